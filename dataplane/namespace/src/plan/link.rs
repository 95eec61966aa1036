//! Symbolic links.

use super::Planner;
use crate::request::CreateSymlink;
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::path::TARGET_BYTES_MAX;
use alluxio_types::{Entry, FileKind, Mode, WriteType};

impl Planner<'_> {
    pub(super) fn create_symlink(self, request: &CreateSymlink) -> Result<Plan, Refusal> {
        let (path, target) = (&request.path, &request.target);
        if target.is_empty() || target.len() > TARGET_BYTES_MAX || target.contains('\0') {
            let (bytes, max) = (target.len(), TARGET_BYTES_MAX);
            return self.refuse(Error::BadTarget { bytes, max });
        }
        let walked = self.walk(path)?;
        if walked.complete() {
            return self.refuse(Error::AlreadyExists { path: path.clone() });
        }
        self.need_writable(path)?;
        let mut place = self.make_way(path, &walked, false, WriteType::MustCache)?;
        let mode = Some(Mode(0o777));
        let mut record = self.new_record(FileKind::Symlink, place.parent, path.name(), mode)?;
        record.length = target.len() as u64;
        record.target.clone_from(target);
        place.inherit(&mut record);
        let (id, bytes) = (record.id, record.length);
        place.entries.push(Entry::Create(Box::new(record)));
        self.need_quota_for(&place, bytes, None)?;
        self.done(place.entries, Outcome::Inode { id, created: true })
    }
}
