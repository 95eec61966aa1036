//! Extended attributes.

use super::Planner;
use crate::{Error, Refusal};
use alluxio_types::xattr::{
    XATTR_BYTES_MAX, XATTR_NAME_BYTES_MAX, XATTR_VALUE_BYTES_MAX, is_privileged,
};
use alluxio_types::{AlluxioPath, XattrStrategy, XattrUpdate, Xattrs};
use std::collections::BTreeMap;

impl Planner<'_> {
    /// Refuses names and values that no inode may have, and names that the caller may not set.
    pub(super) fn check_xattrs(&self, xattr: &Xattrs, path: &AlluxioPath) -> Result<(), Refusal> {
        for (name, value) in xattr.iter() {
            if name.is_empty() || name.len() > XATTR_NAME_BYTES_MAX || name.contains('\0') {
                let (name, max) = (name.to_owned(), XATTR_NAME_BYTES_MAX);
                return self.refuse(Error::BadXattrName { name, max });
            }
            if value.len() > XATTR_VALUE_BYTES_MAX {
                return self.refuse(Error::TooLarge {
                    what: "length of an extended attribute in bytes",
                    value: value.len() as u64,
                    max: XATTR_VALUE_BYTES_MAX as u64,
                });
            }
            if is_privileged(name) && !self.checker.is_superuser() {
                return self.refuse(self.checker.not_superuser("set system attributes of", path));
            }
        }
        self.need_xattr_room(xattr, path)
    }

    fn need_xattr_room(&self, xattr: &Xattrs, path: &AlluxioPath) -> Result<(), Refusal> {
        let bytes = xattr.bytes();
        if bytes > XATTR_BYTES_MAX {
            let (path, max) = (path.clone(), XATTR_BYTES_MAX);
            return self.refuse(Error::XattrsFull { path, bytes, max });
        }
        Ok(())
    }

    /// What an update changes of the attributes that are there.
    pub(super) fn xattr_changes(
        &self,
        there: &Xattrs,
        update: &XattrUpdate,
        path: &AlluxioPath,
    ) -> Result<BTreeMap<String, Option<Vec<u8>>>, Refusal> {
        let mut after = there.clone();
        if update.strategy == XattrStrategy::Truncate {
            // What the caller cannot see he does not mean.
            after.retain(|name| is_privileged(name) && !self.checker.is_superuser());
        }
        for (name, value) in update.values.iter() {
            let (is_there, path) = (there.get(name).is_some(), || path.clone());
            let name_of = || name.to_owned();
            match (update.strategy, is_there) {
                (XattrStrategy::Create, true) => {
                    return self.refuse(Error::XattrExists { path: path(), name: name_of() });
                }
                (XattrStrategy::Replace | XattrStrategy::Remove, false) => {
                    return self.refuse(Error::XattrNotFound { path: path(), name: name_of() });
                }
                (XattrStrategy::DeleteKeys | XattrStrategy::Remove, _) => after.set(name, None),
                (XattrStrategy::UnionPreserve, true) => {}
                _ => after.set(name, Some(value)),
            }
        }
        self.need_xattr_room(&after, path)?;
        let gone = there.iter().filter(|(name, _)| after.get(name).is_none());
        let gone = gone.map(|(name, _)| (name.to_owned(), None));
        let new = after.iter().filter(|(name, value)| there.get(name) != Some(value));
        let new = new.map(|(name, value)| (name.to_owned(), Some(value.to_vec())));
        Ok(gone.chain(new).collect())
    }
}
