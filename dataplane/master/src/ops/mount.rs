//! The mount table.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::sync::Freshness;
use alluxio_config::MASK;
use alluxio_namespace::{Mount, Unmount, UpdateMount};
use alluxio_types::{AlluxioPath, Answer, MountInfo, MountOptions};
use alluxio_ufs::{Space, UfsKind};
use std::sync::Arc;

/// A mount as it is shown: without credentials.
pub(crate) struct MountPoint {
    pub(crate) info: MountInfo,
    pub(crate) kind: UfsKind,
    pub(crate) space: Option<Space>,
}

impl Core {
    /// Mounts a store. It must answer: a typo in a bucket's name is found here, not by a reader.
    pub(crate) async fn mount(&self, request: Mount, call: &Call) -> Result<(), MasterError> {
        self.once(call, self.mount_once(request, call)).await?;
        Ok(())
    }

    async fn mount_once(&self, mut request: Mount, call: &Call) -> Result<Answer, MasterError> {
        request.ufs_uri = without_trailing_slash(&request.ufs_uri);
        self.refresh(&request.path, Freshness::ANY, call).await?;
        self.check(request.clone(), &call.who).await?;
        let ufs = self.ufs.try_open(&request.ufs_uri, &request.options)?;
        let facts = ufs.status(ufs.root()).await?;
        if !facts.is_directory() {
            return Err(alluxio_ufs::Error::NotADirectory { uri: request.ufs_uri }.into());
        }
        request.ufs_uri = ufs.root().to_owned();
        request.facts = Some(crate::sync::facts(facts));
        let done = self.commit_for(request, call).await?;
        self.ufs.changed();
        Ok(done.answer)
    }

    /// Gives a mount other options. `None` keeps what it has.
    pub(crate) async fn update_mount(
        &self,
        path: AlluxioPath,
        read_only: Option<bool>,
        shared: Option<bool>,
        options: MountOptions,
        call: &Call,
    ) -> Result<(), MasterError> {
        let known = self.namespace.mounts().into_iter().find(|mount| mount.path == path);
        let request = UpdateMount {
            read_only: read_only.unwrap_or(known.as_ref().is_some_and(|m| m.read_only)),
            shared: shared.unwrap_or(known.as_ref().is_some_and(|m| m.shared)),
            path,
            options,
        };
        self.check(request.clone(), &call.who).await?;
        if let Some(known) = known {
            let ufs = self.ufs.try_open(&known.ufs_uri, &request.options)?;
            ufs.status(ufs.root()).await?;
        }
        self.commit(request, &call.who).await?;
        self.ufs.changed();
        Ok(())
    }

    /// Takes a store out of the namespace; its files stay.
    pub(crate) async fn unmount(&self, path: AlluxioPath, call: &Call) -> Result<(), MasterError> {
        let first = async {
            let done = self.commit_for(Unmount { path: path.clone() }, call).await?;
            self.sync.forget(&path);
            self.ufs.changed();
            Ok(done.answer)
        };
        self.once(call, first).await?;
        Ok(())
    }

    /// The mount table, credentials masked.
    pub(crate) async fn mount_table(
        &self,
        with_usage: bool,
    ) -> Result<Vec<MountPoint>, MasterError> {
        let mut points = Vec::new();
        for mount in self.namespace.mounts() {
            let ufs = self.ufs.of(&mount)?;
            // A store that does not answer must not hide the table.
            let space = if with_usage { ufs.space().await.ok().flatten() } else { None };
            points.push(MountPoint { info: masked(&mount), kind: ufs.kind(), space });
        }
        self.gate.pass(self.namespace.applied()).await?;
        Ok(points)
    }
}

fn masked(mount: &Arc<MountInfo>) -> MountInfo {
    let mut info = MountInfo::clone(mount);
    for (key, value) in &mut info.options.0 {
        if alluxio_config::ufs::is_credential(key) {
            *value = MASK.to_owned();
        }
    }
    info
}

fn without_trailing_slash(uri: &str) -> String {
    match uri.trim_end_matches('/') {
        "" => "/".to_owned(),
        // `s3://` and `file:///` keep what makes them URIs.
        cut if cut.ends_with(':') => uri.to_owned(),
        cut => cut.to_owned(),
    }
}

/// Alluxio's word for a kind of store, as `fs mount` prints it.
pub(crate) fn kind_name(kind: UfsKind, uri: &str) -> String {
    match kind {
        UfsKind::Local => "local".to_owned(),
        UfsKind::Hdfs => "hdfs".to_owned(),
        UfsKind::WebHdfs => "webhdfs".to_owned(),
        UfsKind::Memory => "memory".to_owned(),
        UfsKind::Object | UfsKind::Http => {
            uri.split_once("://").map_or("object", |(scheme, _)| scheme).to_owned()
        }
    }
}
