//! Pages of a listing: statuses that are written and read one by one, without a tree of messages
//! for the whole page in between, which takes as long as all the rest.

use super::ConvertError;
use crate::v1::common as common_pb;
use crate::v1::fs as pb;
use alluxio_types::FileStatus;
use alluxio_types::mount::join_uri;
use prost::Message;

/// Appends a status to the `statuses` of a page.
pub fn put_status(status: FileStatus, statuses: &mut Vec<u8>) {
    let message = common_pb::FileStatus::from(status);
    message.encode_length_delimited(statuses).expect("a vector has room for every message");
}

/// The statuses of a page, complete.
#[derive(Debug, Default)]
pub struct Statuses {
    page: pb::ListStatusResponse,
    /// Where the next one begins.
    at: usize,
}

impl Statuses {
    /// From the start of `page` on.
    pub fn of(page: pb::ListStatusResponse) -> Self {
        Statuses { page, at: 0 }
    }

    fn read(&self, mut rest: &[u8]) -> Result<(FileStatus, usize), ConvertError> {
        let before = rest.len();
        let message = common_pb::FileStatus::decode_length_delimited(&mut rest)
            .map_err(|error| ConvertError::Malformed { what: error.to_string() })?;
        let mut status = FileStatus::try_from(message)?;
        if status.path.is_empty() {
            let page = &self.page;
            let base = page.directory.trim_end_matches('/');
            status.path = String::with_capacity(base.len() + 1 + status.name.len());
            status.path.extend([base, "/", &status.name]);
            status.ufs_path = join_uri(&page.ufs_directory, &status.name);
            status.owner.clone_from(&page.owner);
            status.group.clone_from(&page.group);
        }
        Ok((status, before - rest.len()))
    }
}

impl Iterator for Statuses {
    type Item = Result<FileStatus, ConvertError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.page.statuses.get(self.at..).filter(|rest| !rest.is_empty())?;
        match self.read(rest) {
            Ok((status, length)) => {
                self.at += length;
                Some(Ok(status))
            }
            Err(error) => {
                // What follows cannot be told apart.
                self.at = self.page.statuses.len();
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::{
        FileKind, Fingerprint, InodeId, Mode, MountId, PersistenceState, TtlAction, UnixMillis,
    };

    fn status(name: &str, path: &str) -> FileStatus {
        let of = |text: &str| if path.is_empty() { String::new() } else { text.to_owned() };
        FileStatus {
            id: InodeId::from_container(9),
            name: name.into(),
            path: path.into(),
            ufs_path: of("s3://other/x"),
            kind: FileKind::Directory,
            length: 0,
            block_size_bytes: 0,
            created: UnixMillis(1),
            modified: UnixMillis(2),
            accessed: UnixMillis(3),
            completed: true,
            pinned: false,
            persistence: PersistenceState::Persisted,
            mount_point: false,
            mount_id: MountId(1),
            owner: of("ann"),
            group: of(""),
            mode: Mode(0o750),
            ttl_ms: None,
            ttl_action: TtlAction::Free,
            replication_min: 0,
            replication_max: None,
            fingerprint: Fingerprint::default(),
            blocks: Vec::new(),
            in_alluxio_percent: 0,
            in_memory_percent: 0,
            xattr: Default::default(),
            target: String::new(),
        }
    }

    fn page(directory: &str, statuses: Vec<u8>) -> pb::ListStatusResponse {
        pb::ListStatusResponse {
            statuses: statuses.into(),
            directory: directory.into(),
            ufs_directory: "s3://bucket/d".into(),
            owner: "bob".into(),
            group: "staff".into(),
        }
    }

    #[test]
    fn what_a_page_says_once_comes_back_in_every_status_that_left_it_out() {
        let mut bytes = Vec::new();
        put_status(status("a", ""), &mut bytes);
        put_status(status("x", "/elsewhere/x"), &mut bytes);
        for (directory, path) in [("/d", "/d/a"), ("/", "/a")] {
            let read: Result<Vec<_>, _> = Statuses::of(page(directory, bytes.clone())).collect();
            let read = read.unwrap();
            assert_eq!(read.len(), 2);
            let words = |at: usize| {
                let FileStatus { path, ufs_path, owner, group, .. } = &read[at];
                [path.as_str(), ufs_path.as_str(), owner.as_str(), group.as_str()]
            };
            assert_eq!(words(0), [path, "s3://bucket/d/a", "bob", "staff"]);
            assert_eq!(words(1), ["/elsewhere/x", "s3://other/x", "ann", ""]);
        }
    }

    #[test]
    fn a_page_that_is_cut_short_is_an_error_and_then_the_end() {
        let mut bytes = Vec::new();
        put_status(status("a", ""), &mut bytes);
        put_status(status("b", ""), &mut bytes);
        bytes.pop();
        let mut statuses = Statuses::of(page("/d", bytes));
        assert_eq!(statuses.next().unwrap().unwrap().name, "a");
        assert!(statuses.next().unwrap().is_err());
        assert!(statuses.next().is_none());
    }
}
