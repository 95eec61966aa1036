//! [`DatasetAdmin`] over the data plane's own client.

use super::admin::{BackupFact, DatasetAdmin, FileFact, Files, MountRow, MountSpec, Refused};
use crate::cluster::admin::Target;
use crate::cluster::remote::RemoteAdmin;
use alluxio_client::{
    BackupPlace, BackupState, BackupStatus, ClientError, CreateDirectoryOptions, DeleteOptions,
    FileSystem, FreeOptions, Freshness, GetStatusOptions, ListStatusOptions, LoadMetadataOptions,
    MetadataLoad, MountOptions, SetAttributeOptions, SyncInterval, UpdateMountOptions,
};
use alluxio_types::{
    AlluxioPath, Code, Coded, FileStatus, Mode, MountInfo, PersistenceState, WriteType,
    XattrStrategy, XattrUpdate, Xattrs,
};
use async_trait::async_trait;
use futures::StreamExt;
use std::future::Future;
use std::time::Duration;

/// Longest time for one question.
const WITHIN: Duration = Duration::from_secs(10);
/// Longest time for a call in which the master asks a store, or changes very much at once.
const WITHIN_STORE: Duration = Duration::from_secs(60);
/// Attribute of a mount point: the UID of the Dataset that it belongs to.
const OWNER: &str = "user.alluxio.dataset";
/// Directories above Datasets. Everybody may pass: who may have a volume is Kubernetes' matter.
const DIRECTORY_MODE: Mode = Mode(0o755);

/// What the master knows, without asking stores.
const KNOWN: Freshness =
    Freshness { sync: Some(SyncInterval::Never), load: Some(MetadataLoad::Never) };

fn refused(error: &ClientError) -> Refused {
    Refused { code: error.code(), message: error.to_string() }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Refused> {
    match tokio::time::timeout(limit, call).await {
        Ok(outcome) => outcome.map_err(|error| refused(&error)),
        Err(_) => Err(Refused {
            code: Code::DeadlineExceeded,
            message: format!("no answer within {limit:?}"),
        }),
    }
}

/// What is not there is no error.
fn found<T>(outcome: Result<T, Refused>) -> Result<Option<T>, Refused> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn path(text: &str) -> Result<AlluxioPath, Refused> {
    AlluxioPath::parse(text).map_err(|error| refused(&error.into()))
}

fn client(admin: &RemoteAdmin, target: &Target) -> Result<FileSystem, Refused> {
    admin
        .client(target)
        .map_err(|error| Refused { code: Code::InvalidArgument, message: error.to_string() })
}

async fn status(client: &FileSystem, path: &AlluxioPath) -> Result<Option<FileStatus>, Refused> {
    let options = GetStatusOptions { freshness: KNOWN, without_blocks: true };
    found(within(WITHIN, client.get_status(path, &options)).await)
}

/// Makes the directories above a mount point, which no store has.
async fn make_parents(client: &FileSystem, path: &AlluxioPath) -> Result<(), Refused> {
    let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return Ok(()) };
    let options = CreateDirectoryOptions {
        recursive: true,
        allow_exists: true,
        mode: Some(DIRECTORY_MODE),
        write_type: Some(WriteType::MustCache),
    };
    within(WITHIN, client.create_directory(&parent, &options)).await.map(drop)
}

/// Says whose a mount is.
async fn mark(client: &FileSystem, path: &AlluxioPath, owner: &str) -> Result<(), Refused> {
    let mut values = Xattrs::default();
    values.set(OWNER, Some(owner.as_bytes()));
    let xattr = Some(XattrUpdate { values, strategy: XattrStrategy::UnionReplace });
    let changes = SetAttributeOptions { xattr, ..SetAttributeOptions::default() };
    within(WITHIN, client.set_attribute(path, &changes)).await.map(drop)
}

/// Removes an empty directory of the root store; whether there was one. Directories of other stores are none of ours.
async fn remove_empty(client: &FileSystem, path: &AlluxioPath) -> Result<bool, Refused> {
    let Some(status) = status(client, path).await? else { return Ok(false) };
    if !status.is_directory() || status.mount_id != MountInfo::ROOT_ID || status.mount_point {
        return Ok(false);
    }
    let options =
        DeleteOptions { alluxio_only: true, unchecked: Some(true), ..DeleteOptions::default() };
    match found(within(WITHIN, client.delete(path, &options)).await) {
        Err(error) if error.code == Code::NotEmpty => Ok(false),
        other => other.map(|_| true),
    }
}

fn fact(status: &FileStatus) -> FileFact {
    FileFact {
        path: status.path.clone(),
        length: status.length,
        cached_percent: status.in_alluxio_percent,
        persisted: status.persistence == PersistenceState::Persisted,
    }
}

fn backup_fact(status: BackupStatus) -> BackupFact {
    let failed = matches!(status.state, BackupState::Failed | BackupState::None);
    let why = || "the master knows nothing of it: another one serves now".to_owned();
    BackupFact {
        id: status.id,
        done: status.state == BackupState::Completed,
        error: failed.then(|| status.error.unwrap_or_else(why)),
        uri: status.uri,
        entries: status.entries,
        master: status.host,
        sequence: status.sequence,
    }
}

#[async_trait]
impl DatasetAdmin for RemoteAdmin {
    async fn mounts(&self, target: &Target, below: &str) -> Result<Vec<MountRow>, Refused> {
        let client = client(self, target)?;
        let below = path(below)?;
        let table = within(WITHIN, client.get_mount_table(false)).await?;
        let mut infos: Vec<MountInfo> = table.into_iter().map(|point| point.info).collect();
        infos.retain(|info| info.path.starts_with(&below));
        infos.sort_by(|one, other| one.path.cmp(&other.path));
        if infos.is_empty() {
            return Ok(Vec::new());
        }
        let paths: Vec<AlluxioPath> = infos.iter().map(|info| info.path.clone()).collect();
        let options = GetStatusOptions { freshness: KNOWN, without_blocks: true };
        let statuses = within(WITHIN, client.get_statuses(&paths, &options)).await?;
        let owners = statuses.into_iter().map(|status| {
            let status = status.ok()?;
            Some(String::from_utf8_lossy(status.xattr.get(OWNER)?).into_owned())
        });
        let rows = infos.into_iter().zip(owners).map(|(info, owner)| MountRow {
            path: info.path.to_string(),
            uri: info.ufs_uri,
            read_only: info.read_only,
            options: info.options.0,
            owner,
        });
        Ok(rows.collect())
    }

    async fn mount(&self, target: &Target, owner: &str, spec: &MountSpec) -> Result<(), Refused> {
        let client = client(self, target)?;
        let path = path(&spec.path)?;
        make_parents(&client, &path).await?;
        let options = MountOptions {
            read_only: spec.read_only,
            shared: true,
            properties: spec.options.reveal(),
        };
        let mounted = within(WITHIN_STORE, client.mount(&path, &spec.uri, &options)).await;
        match mounted {
            Err(error) if error.code == Code::AlreadyExists => {
                if !remove_empty(&client, &path).await? {
                    return Err(error);
                }
                within(WITHIN_STORE, client.mount(&path, &spec.uri, &options)).await?;
            }
            other => other?,
        }
        mark(&client, &path, owner).await
    }

    async fn update(&self, target: &Target, owner: &str, spec: &MountSpec) -> Result<(), Refused> {
        let client = client(self, target)?;
        let path = path(&spec.path)?;
        let options = UpdateMountOptions {
            read_only: Some(spec.read_only),
            shared: Some(true),
            properties: spec.options.reveal(),
        };
        within(WITHIN_STORE, client.update_mount(&path, &options)).await?;
        mark(&client, &path, owner).await
    }

    async fn unmount(&self, target: &Target, at: &str) -> Result<(), Refused> {
        let client = client(self, target)?;
        found(within(WITHIN_STORE, client.unmount(&path(at)?)).await).map(drop)
    }

    async fn remove_directory(&self, target: &Target, at: &str) -> Result<(), Refused> {
        remove_empty(&client(self, target)?, &path(at)?).await.map(drop)
    }

    async fn pinned(&self, target: &Target, at: &str) -> Result<Option<bool>, Refused> {
        let status = status(&client(self, target)?, &path(at)?).await?;
        Ok(status.map(|status| status.pinned))
    }

    async fn pin(&self, target: &Target, at: &str, pinned: bool) -> Result<(), Refused> {
        let changes =
            SetAttributeOptions { pinned: Some(pinned), ..SetAttributeOptions::default() };
        let client = client(self, target)?;
        within(WITHIN_STORE, client.set_attribute(&path(at)?, &changes)).await.map(drop)
    }

    async fn files(&self, target: &Target, at: &str) -> Result<Files, Refused> {
        let client = client(self, target)?;
        let path = path(at)?;
        let Some(status) = status(&client, &path).await? else {
            return Err(Refused { code: Code::NotFound, message: format!("{at} does not exist") });
        };
        if !status.is_directory() {
            return Ok(futures::stream::iter([Ok(fact(&status))]).boxed());
        }
        let options = ListStatusOptions {
            recursive: true,
            without_blocks: true,
            freshness: KNOWN,
            ..ListStatusOptions::default()
        };
        let listing = within(WITHIN_STORE, client.iterate_status(&path, &options)).await?;
        let files = futures::stream::try_unfold(listing, |mut listing| async move {
            loop {
                match listing.next().await {
                    Ok(None) => return Ok(None),
                    Ok(Some(status)) if status.is_file() && status.completed => {
                        return Ok(Some((fact(&status), listing)));
                    }
                    Ok(Some(_)) => {}
                    Err(error) => return Err(refused(&error)),
                }
            }
        });
        Ok(files.boxed())
    }

    async fn load_metadata(&self, target: &Target, at: &str) -> Result<(), Refused> {
        let options = LoadMetadataOptions { recursive: true, force: true };
        let loaded = client(self, target)?.load_metadata(&path(at)?, options).await;
        loaded.map(drop).map_err(|error| refused(&error))
    }

    async fn load_file(&self, target: &Target, at: &str) -> Result<(), Refused> {
        let loaded = client(self, target)?.load(&path(at)?, false).await;
        loaded.map(drop).map_err(|error| refused(&error))
    }

    async fn free(&self, target: &Target, at: &str, forced: bool) -> Result<u64, Refused> {
        let options = FreeOptions { recursive: true, forced };
        let client = client(self, target)?;
        let freed = within(WITHIN_STORE, client.free(&path(at)?, options)).await?;
        Ok(freed.files)
    }

    async fn backup(&self, target: &Target, directory: &str) -> Result<BackupFact, Refused> {
        let client = client(self, target)?;
        let place = BackupPlace {
            directory: directory.to_owned(),
            allow_leader: true,
            ..BackupPlace::default()
        };
        within(WITHIN_STORE, client.backup(&place)).await.map(backup_fact)
    }

    async fn backup_status(&self, target: &Target, id: &str) -> Result<BackupFact, Refused> {
        let client = client(self, target)?;
        within(WITHIN, client.backup_status(id)).await.map(backup_fact)
    }
}
