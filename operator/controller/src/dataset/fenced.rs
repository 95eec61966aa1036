//! Who lost the election changes nothing in a cluster either: an old operator that was paused, and goes on, must not send
//! credentials that its successor has replaced.

use super::admin::{BackupFact, DatasetAdmin, Files, MountRow, MountSpec, Refused};
use crate::cluster::admin::Target;
use crate::fence::Fence;
use alluxio_types::Code;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Instant;

/// Lets questions pass, and changes only while this operator leads.
pub struct FencedAdmin {
    inner: Arc<dyn DatasetAdmin>,
    fence: Fence,
}

impl FencedAdmin {
    /// `fence` is the one that the election opens.
    pub fn new(inner: Arc<dyn DatasetAdmin>, fence: Fence) -> Self {
        FencedAdmin { inner, fence }
    }

    fn leading(&self) -> Result<&dyn DatasetAdmin, Refused> {
        match self.fence.is_open(Instant::now()) {
            true => Ok(&*self.inner),
            false => Err(Refused {
                code: Code::Unavailable,
                message: "this operator does not hold the lease".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl DatasetAdmin for FencedAdmin {
    async fn mounts(&self, target: &Target, below: &str) -> Result<Vec<MountRow>, Refused> {
        self.inner.mounts(target, below).await
    }

    async fn mount(&self, target: &Target, owner: &str, spec: &MountSpec) -> Result<(), Refused> {
        self.leading()?.mount(target, owner, spec).await
    }

    async fn update(&self, target: &Target, owner: &str, spec: &MountSpec) -> Result<(), Refused> {
        self.leading()?.update(target, owner, spec).await
    }

    async fn unmount(&self, target: &Target, path: &str) -> Result<(), Refused> {
        self.leading()?.unmount(target, path).await
    }

    async fn remove_directory(&self, target: &Target, path: &str) -> Result<(), Refused> {
        self.leading()?.remove_directory(target, path).await
    }

    async fn pinned(&self, target: &Target, path: &str) -> Result<Option<bool>, Refused> {
        self.inner.pinned(target, path).await
    }

    async fn pin(&self, target: &Target, path: &str, pinned: bool) -> Result<(), Refused> {
        self.leading()?.pin(target, path, pinned).await
    }

    async fn files(&self, target: &Target, path: &str) -> Result<Files, Refused> {
        self.inner.files(target, path).await
    }

    async fn load_metadata(&self, target: &Target, path: &str) -> Result<(), Refused> {
        self.leading()?.load_metadata(target, path).await
    }

    async fn load_file(&self, target: &Target, path: &str) -> Result<(), Refused> {
        self.leading()?.load_file(target, path).await
    }

    async fn free(&self, target: &Target, path: &str, forced: bool) -> Result<u64, Refused> {
        self.leading()?.free(target, path, forced).await
    }

    async fn backup(&self, target: &Target, directory: &str) -> Result<BackupFact, Refused> {
        self.leading()?.backup(target, directory).await
    }

    async fn backup_status(&self, target: &Target, id: &str) -> Result<BackupFact, Refused> {
        self.inner.backup_status(target, id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::played::Played;
    use crate::dataset::secret::StoreOptions;

    #[tokio::test]
    async fn without_the_lease_nothing_is_changed() {
        let played = Arc::new(Played::default());
        let fence = Fence::new();
        let admin = FencedAdmin::new(played.clone(), fence.clone());
        let target = Target { properties: String::new() };
        let spec = MountSpec {
            path: "/datasets/a/b".into(),
            uri: "s3://b".into(),
            read_only: true,
            options: StoreOptions::default(),
        };
        assert!(admin.mount(&target, "u", &spec).await.unwrap_err().unreachable());
        assert_eq!((played.pushes(), admin.mounts(&target, "/").await), (0, Ok(Vec::new())));
        fence.open();
        admin.mount(&target, "u", &spec).await.unwrap();
        fence.close();
        assert!(admin.unmount(&target, "/datasets/a/b").await.is_err());
        assert_eq!(played.table().len(), 1);
    }
}
