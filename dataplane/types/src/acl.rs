//! Who asks, and what a mode allows (POSIX owner, group, other).

use std::fmt;

/// The caller of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// User name, as claimed under SIMPLE authentication.
    pub user: String,
    /// Group names, the primary one first.
    pub groups: Vec<String>,
}

impl Identity {
    /// An identity with the given names.
    pub fn new(user: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        Identity { user: user.into(), groups: groups.into_iter().collect() }
    }

    /// The group that new files of this caller get: the first one, or the user's name.
    pub fn primary_group(&self) -> &str {
        self.groups.first().map_or(&self.user, |group| group)
    }
}

/// Permission bits, `0o000..=0o7777`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Mode(pub u16);

impl Mode {
    /// `rwxr-xr-x`, a new directory under umask 022.
    pub const DIRECTORY: Mode = Mode(0o755);
    /// `rw-r--r--`, a new file under umask 022.
    pub const FILE: Mode = Mode(0o644);

    /// This mode without the bits of `umask`.
    pub const fn masked(self, umask: Mode) -> Mode {
        Mode(self.0 & !umask.0)
    }

    /// The nine letters of `ls -l`, without the type letter.
    pub fn letters(self) -> String {
        let mut out = String::with_capacity(9);
        for shift in [6, 3, 0] {
            let bits = self.0 >> shift;
            out.push(if bits & 4 != 0 { 'r' } else { '-' });
            out.push(if bits & 2 != 0 { 'w' } else { '-' });
            out.push(if bits & 1 != 0 { 'x' } else { '-' });
        }
        out
    }

    /// Whether `who` may do all of `access` to something that `owner` and `group` own.
    /// POSIX: the first class that matches decides, whatever the later ones allow.
    pub fn allows(self, access: Access, who: &Identity, owner: &str, group: &str) -> bool {
        let shift = if who.user == owner {
            6
        } else if who.groups.iter().any(|g| g == group) {
            3
        } else {
            0
        };
        (self.0 >> shift) & access.0 == access.0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mode({:#05o})", self.0)
    }
}

/// A set of wanted rights: any union of read (4), write (2) and execute (1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access(pub u16);

impl Access {
    /// Read.
    pub const READ: Access = Access(4);
    /// Write.
    pub const WRITE: Access = Access(2);
    /// Execute, or pass through a directory.
    pub const EXECUTE: Access = Access(1);

    /// Both.
    pub const fn and(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = [(4, "read"), (2, "write"), (1, "execute")]
            .into_iter()
            .filter(|(bit, _)| self.0 & bit != 0)
            .map(|(_, word)| word)
            .collect();
        f.write_str(&words.join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_class_decides() {
        let owner = Identity::new("ann", ["staff".into()]);
        let member = Identity::new("bob", ["dev".into(), "staff".into()]);
        let other = Identity::new("eve", ["guests".into()]);
        let mode = Mode(0o074);
        assert!(!mode.allows(Access::READ, &owner, "ann", "staff"));
        assert!(mode.allows(Access::READ.and(Access::WRITE), &member, "ann", "staff"));
        assert!(mode.allows(Access::READ, &other, "ann", "staff"));
        assert!(!mode.allows(Access::WRITE, &other, "ann", "staff"));
        assert_eq!(Mode(0o754).letters(), "rwxr-xr--");
    }
}
