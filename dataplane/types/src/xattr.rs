//! Extended attributes: named values that users give to files and directories.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Longest name, in bytes (Linux: `XATTR_NAME_MAX`).
pub const XATTR_NAME_BYTES_MAX: usize = 255;
/// Longest value, in bytes (Linux: `XATTR_SIZE_MAX`).
pub const XATTR_VALUE_BYTES_MAX: usize = 64 << 10;
/// Most bytes of all names and values of one inode: one value of the longest kind and as much again. They
/// lie in the master's heap and in every status.
pub const XATTR_BYTES_MAX: usize = 128 << 10;

/// Names of this kind are for the superuser only, reading included.
const TRUSTED: &str = "trusted.";
/// Names of this kind are the system's: only the superuser sets them.
const SECURITY: &str = "security.";

/// The attributes of one inode, by name. One word while there are none, and cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Xattrs(Option<Arc<BTreeMap<String, Vec<u8>>>>);

impl Xattrs {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.as_ref()?.get(name).map(Vec::as_slice)
    }

    /// Names and values, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let all = self.0.iter().flat_map(|all| all.iter());
        all.map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Bytes of all names and values.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Gives a name a value; `None` takes it away.
    pub fn set(&mut self, name: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => {
                Arc::make_mut(self.0.get_or_insert_default()).insert(name.to_owned(), value.into());
            }
            None => self.retain(|other| other != name),
        }
    }

    /// Keeps the names for which `keep` holds.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let Some(all) = &mut self.0 else { return };
        if !all.keys().all(|name| keep(name)) {
            Arc::make_mut(all).retain(|name, _| keep(name));
        }
        if all.is_empty() {
            self.0 = None;
        }
    }
}

/// Names and lengths: values may be anything, and long.
impl fmt::Debug for Xattrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, value.len()))).finish()
    }
}

impl FromIterator<(String, Vec<u8>)> for Xattrs {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(all: I) -> Self {
        let all: BTreeMap<_, _> = all.into_iter().collect();
        Xattrs((!all.is_empty()).then(|| Arc::new(all)))
    }
}

/// Whether only the superuser may see this name.
pub fn is_trusted(name: &str) -> bool {
    name.starts_with(TRUSTED)
}

/// Whether only the superuser may set this name.
pub fn is_privileged(name: &str) -> bool {
    is_trusted(name) || name.starts_with(SECURITY)
}

/// How new attributes meet those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum XattrStrategy {
    /// They are all that there is afterwards.
    Truncate,
    /// They come beside those that are there; a new value wins.
    #[default]
    UnionReplace,
    /// They come beside those that are there; the old value stays.
    UnionPreserve,
    /// The names go, those that are there; values do not matter.
    DeleteKeys,
    /// As `UnionReplace`, refused when a name is there.
    Create,
    /// As `UnionReplace`, refused when a name is not there.
    Replace,
    /// As `DeleteKeys`, refused when a name is not there.
    Remove,
}

/// A change of attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct XattrUpdate {
    /// Names and values.
    pub values: Xattrs,
    /// What becomes of those that are there.
    pub strategy: XattrStrategy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_attributes_are_the_same_however_it_came_about() {
        let mut some = Xattrs::default();
        some.set("user.a", Some(b"1"));
        some.set("user.b", Some(b""));
        assert_eq!((some.get("user.a"), some.get("user.b")), (Some(&b"1"[..]), Some(&b""[..])));
        assert_eq!((some.bytes(), some.iter().count()), (13, 2));
        let copy = some.clone();
        some.set("user.a", None);
        some.set("user.b", None);
        assert_eq!(some, Xattrs::default());
        assert!(some.is_empty() && !copy.is_empty());
        assert_eq!(Xattrs::from_iter([]), some);
        assert_eq!(size_of::<Xattrs>(), 8);
    }
}
