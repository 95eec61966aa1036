//! What a configuration key is: name, type, default, bounds, and which role reads it.

use std::fmt;

/// One key of the registry. All are constants, made by the `keys!` macro in the role's file; their
/// doc comment is the reference text.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// Canonical name, `alluxio.…`. In a template key, `<name>` and `<N>` stand for one component
    /// and `<rest>` for all that follow.
    pub name: &'static str,
    /// Older names that mean the same.
    pub aliases: &'static [&'static str],
    /// Type and bounds of its value.
    pub kind: Kind,
    /// Value when nobody sets one; may contain `${other.key}`.
    pub default: Option<&'static str>,
    /// What it means, in the words of the generated reference.
    pub doc: &'static str,
    /// Who reads it.
    pub roles: Roles,
    /// Whether the value is never printed.
    pub credential: bool,
}

impl KeySpec {
    /// A key without default or aliases; `keys!` overrides the fields it names.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        KeySpec {
            name,
            aliases: &[],
            kind,
            default: None,
            doc,
            roles: Roles::ALL,
            credential: false,
        }
    }

    /// The environment variable that sets it: upper case, dots as underscores.
    pub fn env_name(&self) -> String {
        self.name.to_uppercase().replace(['.', '-'], "_")
    }

    /// Whether the name contains placeholders.
    pub fn is_template(&self) -> bool {
        self.name.contains('<')
    }
}

/// Type of a value, with its bounds (inclusive).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A TCP port, 0..=65535; 0 means any free one.
    Port,
    /// A decimal number.
    Float {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// A number of bytes, `64MB`.
    Size {
        /// Fewest bytes.
        min: u64,
        /// Most bytes.
        max: u64,
    },
    /// A time span, `30s`; milliseconds without a unit.
    Duration {
        /// Shortest, in milliseconds.
        min_ms: u64,
        /// Whether a negative value (`-1`) means "off" or "no limit".
        off: bool,
    },
    /// One of these words, in any case.
    Enum(&'static [&'static str]),
    /// A Java class name of which only the last part counts: one of these words, in any case, with
    /// or without the package in front and the given ending behind.
    Class {
        /// Short names.
        names: &'static [&'static str],
        /// Ending that the Java class names carry (`Allocator`, `Policy`).
        ending: &'static str,
    },
    /// Comma-separated words.
    List,
    /// Comma-separated `host:port`.
    Addresses,
    /// Permission bits in octal, `022`.
    Octal,
    /// Any text.
    Text,
}

impl Kind {
    /// Any whole number from `min` to `max`.
    pub const fn int(min: i64, max: i64) -> Kind {
        Kind::Int { min, max }
    }

    /// Any number from 0 to 1.
    pub const RATIO: Kind = Kind::Float { min: 0.0, max: 1.0 };

    /// At least `min` bytes.
    pub const fn size(min: u64) -> Kind {
        Kind::Size { min, max: u64::MAX }
    }

    /// At least `min_ms` milliseconds.
    pub const fn time(min_ms: u64) -> Kind {
        Kind::Duration { min_ms, off: false }
    }

    /// A time span, or `-1`.
    pub const TIME_OR_OFF: Kind = Kind::Duration { min_ms: 0, off: true };

    /// One word for the reference's type column.
    pub const fn name(&self) -> &'static str {
        match self {
            Kind::Bool => "boolean",
            Kind::Int { .. } => "integer",
            Kind::Port => "port",
            Kind::Float { .. } => "number",
            Kind::Size { .. } => "size",
            Kind::Duration { .. } => "duration",
            Kind::Enum(_) => "enum",
            Kind::Class { .. } => "class",
            Kind::List => "list",
            Kind::Addresses => "addresses",
            Kind::Octal => "octal",
            Kind::Text => "string",
        }
    }
}

impl fmt::Display for Kind {
    /// What a message says was expected: `a size of at least 1MB, like 64MB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use alluxio_types::{ByteSize, format_duration};
        use std::time::Duration;
        match self {
            Kind::Bool => f.write_str("true or false"),
            Kind::Int { min, max } if *max == i64::MAX => write!(f, "a whole number >= {min}"),
            Kind::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            Kind::Port => f.write_str("a port from 0 to 65535 (0 = any free one)"),
            Kind::Float { min, max } => write!(f, "a number from {min} to {max}"),
            Kind::Size { min: 0, .. } => f.write_str("a size like 64MB"),
            Kind::Size { min, .. } => {
                write!(f, "a size of at least {}, like 64MB", ByteSize(*min))
            }
            Kind::Duration { off: true, .. } => f.write_str("a duration like 30s, or -1"),
            Kind::Duration { min_ms: 0, .. } => f.write_str("a duration like 30s"),
            Kind::Duration { min_ms, .. } => {
                let least = format_duration(Duration::from_millis(*min_ms));
                write!(f, "a duration of at least {least}, like 30s")
            }
            Kind::Enum(names) | Kind::Class { names, .. } => {
                write!(f, "one of {}", names.join(", "))
            }
            Kind::List => f.write_str("a comma-separated list"),
            Kind::Addresses => f.write_str("a comma-separated list of host:port"),
            Kind::Octal => f.write_str("octal permission bits like 022"),
            Kind::Text => f.write_str("a text"),
        }
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles(pub u8);

impl Roles {
    /// Masters.
    pub const MASTER: Roles = Roles(1);
    /// Workers.
    pub const WORKER: Roles = Roles(2);
    /// Clients: the library, the command line, and roles that are clients themselves.
    pub const CLIENT: Roles = Roles(4);
    /// Masters and workers.
    pub const SERVERS: Roles = Roles(3);
    /// Everybody.
    pub const ALL: Roles = Roles(7);
    /// Nobody: accepted so that old files keep working.
    pub const NONE: Roles = Roles(0);

    /// Whether both sets have a role in common.
    pub const fn intersects(self, other: Roles) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            [(Roles::MASTER, "master"), (Roles::WORKER, "worker"), (Roles::CLIENT, "client")]
                .into_iter()
                .filter(|(role, _)| self.intersects(*role))
                .map(|(_, name)| name)
                .collect();
        f.write_str(if names.len() == 3 { "all" } else { "" })?;
        if names.len() < 3 { f.write_str(&names.join(", ")) } else { Ok(()) }
    }
}

/// Declares keys as constants and lists them in `KEYS`:
///
/// ```text
/// keys! {
///     /// What it means.
///     RPC_PORT = "alluxio.master.rpc.port", Kind::Port, default: Some("19998"), roles: Roles::ALL;
/// }
/// ```
macro_rules! keys {
    ($( $(#[doc = $doc:literal])+ $name:ident = $key:literal, $kind:expr
        $(, $field:ident : $value:expr)* ; )+) => {
        $(
            $(#[doc = $doc])+
            pub const $name: $crate::spec::KeySpec = $crate::spec::KeySpec {
                $($field: $value,)*
                ..$crate::spec::KeySpec::new($key, $kind, concat!($($doc),+))
            };
        )+
        /// All keys of this file.
        pub(crate) const KEYS: &[$crate::spec::KeySpec] = &[$($name),+];
    };
}
pub(crate) use keys;
