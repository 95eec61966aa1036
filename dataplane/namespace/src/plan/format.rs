//! The first change of all.

use super::Planner;
use crate::request::Format;
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::{AlluxioPath, Entry, FileKind, InodeId, Mode, MountInfo, PersistenceState};

impl Planner<'_> {
    pub(super) fn format(self, request: &Format) -> Result<Plan, Refusal> {
        if let Some(cluster_id) = self.namespace.cluster_id() {
            self.see(self.namespace.applied().0);
            return self.refuse(Error::AlreadyFormatted { cluster_id });
        }
        self.next_container.set(InodeId::ROOT.container());
        let mode = request.root_mode.unwrap_or(Mode::DIRECTORY);
        let mut root = self.new_record(FileKind::Directory, InodeId::ROOT, "", Some(mode))?;
        root.persistence = PersistenceState::Persisted;
        let id = root.id;
        let entries = vec![
            Entry::Format { cluster_id: request.cluster_id.clone(), at: self.context.now },
            Entry::Create(Box::new(root)),
            Entry::Mount(MountInfo {
                id: MountInfo::ROOT_ID,
                path: AlluxioPath::root(),
                ufs_uri: request.ufs_uri.clone(),
                read_only: request.read_only,
                shared: request.shared,
                options: request.options.clone(),
            }),
        ];
        self.done(entries, Outcome::Inode { id, created: true })
    }
}
