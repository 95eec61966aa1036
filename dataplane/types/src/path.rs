//! Normalized paths of the Alluxio namespace.
//!
//! Invariant: an [`AlluxioPath`] starts with `/`, has no empty, `.` or `..` component, no NUL byte,
//! and does not end with `/` unless it is the root.

use std::fmt;

/// Longest path, in bytes. Bounds what a client can make the master allocate or walk.
pub const PATH_BYTES_MAX: usize = 16 * 1024;
/// Longest component, in bytes: the longest object key of S3.
pub const NAME_BYTES_MAX: usize = 1024;
/// Deepest path, in components. Bounds recursion and the length of a walk.
pub const DEPTH_MAX: usize = 1024;

/// Longest target of a symbolic link, in bytes (Linux: `PATH_MAX` without its end).
pub const TARGET_BYTES_MAX: usize = 4095;

/// Why a string is not a path of the namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not start with a slash.
    #[error("path {path:?} is not absolute: it must start with /")]
    NotAbsolute {
        /// What was given.
        path: String,
    },
    /// The whole path is longer than [`PATH_BYTES_MAX`].
    #[error("path is {len} bytes long, the limit is {PATH_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// One component is longer than [`NAME_BYTES_MAX`].
    #[error("name {name:.40?}… is {len} bytes long, the limit is {NAME_BYTES_MAX}")]
    NameTooLong {
        /// The component.
        name: String,
        /// Its length in bytes.
        len: usize,
    },
    /// More than [`DEPTH_MAX`] components.
    #[error("path has more than {DEPTH_MAX} components")]
    TooDeep,
    /// `..` would leave the root.
    #[error("path {path:?} leaves the root with ..")]
    AboveRoot {
        /// What was given.
        path: String,
    },
    /// It contains a NUL byte, or a name contains a slash.
    #[error("name {name:?} contains a byte that is not allowed")]
    BadByte {
        /// The component.
        name: String,
    },
}

/// An absolute, normalized path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlluxioPath(Box<str>);

impl AlluxioPath {
    /// `/`.
    pub fn root() -> Self {
        AlluxioPath("/".into())
    }

    /// Parses and normalizes `text`: empty and `.` components are dropped, `..` is resolved.
    /// Does not accept a URI; strip `alluxio://authority` first.
    ///
    /// **Errors**: every variant of [`PathError`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(PathError::NotAbsolute { path: text.to_owned() });
        }
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong { len: text.len() });
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        return Err(PathError::AboveRoot { path: text.to_owned() });
                    }
                }
                name => {
                    check_name(name)?;
                    parts.push(name);
                }
            }
        }
        if parts.len() > DEPTH_MAX {
            return Err(PathError::TooDeep);
        }
        if parts.is_empty() {
            return Ok(Self::root());
        }
        let mut joined = String::with_capacity(text.len());
        for part in parts {
            joined.push('/');
            joined.push_str(part);
        }
        Ok(AlluxioPath(joined.into_boxed_str()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The components from the root down; none for the root itself.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// Number of components.
    pub fn depth(&self) -> usize {
        if self.is_root() { 0 } else { self.0.bytes().filter(|&b| b == b'/').count() }
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// The directory that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<AlluxioPath> {
        if self.is_root() {
            return None;
        }
        match self.0.rfind('/') {
            Some(0) | None => Some(Self::root()),
            Some(cut) => Some(AlluxioPath(self.0[..cut].into())),
        }
    }

    /// This path with `name` below it.
    ///
    /// **Errors**: as [`AlluxioPath::parse`], and `BadByte` for a name with a slash or the names
    /// `.`, `..` and empty.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Err(PathError::BadByte { name: name.to_owned() });
        }
        check_name(name)?;
        let len = self.0.len() + 1 + name.len();
        if len > PATH_BYTES_MAX {
            return Err(PathError::TooLong { len });
        }
        let mut joined = String::with_capacity(len);
        if !self.is_root() {
            joined.push_str(&self.0);
        }
        joined.push('/');
        joined.push_str(name);
        Ok(AlluxioPath(joined.into_boxed_str()))
    }

    /// Whether `self` is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &AlluxioPath) -> bool {
        self.relative_to(ancestor).is_some()
    }

    /// The part of `self` below `ancestor`, without a leading slash; empty when they are equal,
    /// `None` when `self` is not below it.
    pub fn relative_to<'a>(&'a self, ancestor: &AlluxioPath) -> Option<&'a str> {
        if ancestor.is_root() {
            return Some(&self.0[1..]);
        }
        let rest = self.0.strip_prefix(&*ancestor.0)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }
}

/// Checks one component: not longer than [`NAME_BYTES_MAX`], no NUL byte.
pub fn check_name(name: &str) -> Result<(), PathError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(PathError::NameTooLong { name: name.to_owned(), len: name.len() });
    }
    if name.bytes().any(|b| b == 0) {
        return Err(PathError::BadByte { name: name.to_owned() });
    }
    Ok(())
}

impl fmt::Display for AlluxioPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AlluxioPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl std::str::FromStr for AlluxioPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dots_and_slashes_are_normalized() {
        for (given, want) in
            [("/", "/"), ("//a//b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/a/..", "/"), ("/.", "/")]
        {
            assert_eq!(AlluxioPath::parse(given).unwrap().as_str(), want, "{given}");
        }
    }

    #[test]
    fn relative_and_escaping_paths_are_refused() {
        assert!(matches!(AlluxioPath::parse("a/b"), Err(PathError::NotAbsolute { .. })));
        assert!(matches!(AlluxioPath::parse("/a/../.."), Err(PathError::AboveRoot { .. })));
        assert!(matches!(AlluxioPath::parse("/a\0"), Err(PathError::BadByte { .. })));
    }

    #[test]
    fn a_sibling_with_the_same_prefix_is_not_below() {
        let a = AlluxioPath::parse("/ab").unwrap();
        let b = AlluxioPath::parse("/abc").unwrap();
        assert!(!b.starts_with(&a));
        assert_eq!(a.join("c").unwrap().relative_to(&a), Some("c"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_idempotent(text in "\\PC{0,200}") {
            if let Ok(path) = AlluxioPath::parse(&text) {
                prop_assert_eq!(&AlluxioPath::parse(path.as_str()).unwrap(), &path);
                if let Some(parent) = path.parent() {
                    prop_assert_eq!(parent.join(path.name()).unwrap(), path);
                }
            }
        }
    }
}
