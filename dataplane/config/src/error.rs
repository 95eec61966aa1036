//! What can be wrong with a configuration. All faults are found before any is reported.

use alluxio_types::{Code, Coded};
use std::fmt;
use std::path::PathBuf;

/// A configuration that must not be used.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// Everything that is wrong; never empty.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    /// One fault per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl Coded for ConfigError {
    fn code(&self) -> Code {
        Code::InvalidArgument
    }
}

/// One thing that is wrong. Values of credentials are masked before they get here.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No such key.
    #[error("unknown key {key} ({source_name}){}", hint(.nearest))]
    UnknownKey {
        /// As written.
        key: String,
        /// Where it stands.
        source_name: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong type, or out of its bounds.
    #[error("{key}={value} ({source_name}): expected {expected}")]
    BadValue {
        /// Canonical name.
        key: String,
        /// The value, or `******`.
        value: String,
        /// Where it stands.
        source_name: String,
        /// What would be right.
        expected: String,
    },
    /// A value that we understand and refuse, with the way out.
    #[error("{key}={value} ({source_name}) is not supported: {way_out}")]
    Unsupported {
        /// Canonical name.
        key: String,
        /// The value.
        value: String,
        /// Where it stands.
        source_name: String,
        /// What to write instead.
        way_out: String,
    },
    /// A role needs a value and there is none.
    #[error("no value for {key}: {way_out}")]
    Missing {
        /// Canonical name.
        key: String,
        /// What to do.
        way_out: String,
    },
    /// `${…}` leads back to where it started.
    #[error("circular substitution: {}", .chain.join(" -> "))]
    Cycle {
        /// The keys on the way, first and last equal.
        chain: Vec<String>,
    },
    /// `${…}` names a key that has no value.
    #[error("{key} ({source_name}) refers to ${{{reference}}}, which has no value")]
    Unresolved {
        /// Canonical name.
        key: String,
        /// Where it stands.
        source_name: String,
        /// The name inside the braces.
        reference: String,
    },
    /// Values that are fine alone and not together.
    #[error("{message}")]
    Conflict {
        /// Names the keys, their values and the rule.
        message: String,
    },
    /// A properties file that cannot be read.
    #[error("cannot read {}: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A line of a properties file that has no meaning.
    #[error("{}:{line}: {reason}", .path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(", did you mean {name}?")).unwrap_or_default()
}
