//! Calls to the primary master: the only module of this crate that names messages.
//!
//! Each function is one call, with the master's words on one side and ours on the other. Retry and
//! finding the primary are [`alluxio_rpc`]'s.

use crate::error::ClientError;
use crate::options::*;
use alluxio_proto::convert::common::xattrs_to_pb;
use alluxio_proto::convert::listing::Statuses;
use alluxio_proto::v1::block::block_master_client_client::BlockMasterClientClient;
use alluxio_proto::v1::block::{GetBlockInfoRequest, GetBlockTokenRequest, GetWorkersRequest};
use alluxio_proto::v1::common as common_pb;
use alluxio_proto::v1::fs as pb;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_rpc::primary::CallerChannel;
use alluxio_rpc::{How, MESSAGE_BYTES_MAX, Primary, Repeat, RpcError};
use alluxio_types::{
    Access, AlluxioPath, BlockId, BlockInfo, Code, FileStatus, Fingerprint, InodeId, Mode,
    OperationId, WorkerId, WorkerInfo, WriteType, Xattrs,
};
use std::time::Duration;
use tonic::Response;

/// Most paths in one call for many statuses.
const STATUSES_PER_CALL: usize = 10_000;

/// The primary master, in our words.
pub(crate) struct Master {
    primary: Primary,
}

fn fs(channel: CallerChannel) -> FileSystemMasterClient<CallerChannel> {
    FileSystemMasterClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

fn blocks(channel: CallerChannel) -> BlockMasterClientClient<CallerChannel> {
    BlockMasterClientClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// One call: a fresh client, a fresh request, per try.
macro_rules! call {
    ($self:ident, $repeat:ident, $client:ident, $method:ident, $request:expr) => {{
        let request = $request;
        $self
            .primary
            .call_as($self.primary.unary(Repeat::$repeat), |channel| {
                let request = request.clone();
                async move { $client(channel).$method(request).await }
            })
            .await?
    }};
}

mod listing;
mod meta;
mod quota;

pub use listing::Listing;

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn sync(freshness: Freshness) -> Option<pb::SyncOptions> {
    let sync_interval_ms = freshness.sync.map(|sync| match sync {
        SyncInterval::Never => -1,
        SyncInterval::After(age) => millis(age),
    });
    let load_type = match freshness.load {
        Some(MetadataLoad::Never) => pb::LoadType::Never,
        Some(MetadataLoad::Always) => pb::LoadType::Always,
        Some(MetadataLoad::Once) | None => pb::LoadType::Once,
    };
    Some(pb::SyncOptions { sync_interval_ms, load_type: load_type.into() })
}

fn listing(
    path: &AlluxioPath,
    freshness: Freshness,
    options: &ListStatusOptions,
) -> pb::ListStatusRequest {
    pb::ListStatusRequest {
        path: path.to_string(),
        sync: sync(freshness),
        recursive: options.recursive,
        without_blocks: options.without_blocks,
        start_after: options.start_after.clone(),
        limit: options.limit,
    }
}

fn write_type(write_type: WriteType) -> i32 {
    alluxio_proto::v1::common::WriteType::from(write_type).into()
}

fn ttl_action(action: alluxio_types::TtlAction) -> i32 {
    alluxio_proto::v1::common::TtlAction::from(action).into()
}

fn status_of(
    status: Option<alluxio_proto::v1::common::FileStatus>,
) -> Result<FileStatus, ClientError> {
    let missing = alluxio_proto::convert::ConvertError::Missing { field: "status" };
    Ok(status.ok_or(missing)?.try_into()?)
}

/// All that a new file is made with; options and configuration are joined.
#[derive(Debug, Clone)]
pub(crate) struct NewFile {
    pub(crate) recursive: bool,
    pub(crate) overwrite: bool,
    pub(crate) replaces: Option<InodeId>,
    pub(crate) mode: Mode,
    pub(crate) block_size_bytes: u64,
    pub(crate) write_type: WriteType,
    pub(crate) ttl: Option<Duration>,
    pub(crate) ttl_action: alluxio_types::TtlAction,
    pub(crate) replication_min: u32,
    pub(crate) replication_max: Option<u32>,
    pub(crate) operation: Option<OperationId>,
    pub(crate) xattr: Xattrs,
    pub(crate) early: bool,
}

/// What the master must know of a file that is complete.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) id: InodeId,
    pub(crate) length: u64,
    /// UFS version, when the write went through.
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) blocks: Vec<(u64, WorkerId)>,
    pub(crate) replaces: Option<InodeId>,
    pub(crate) attributes: WrittenAttributes,
}

impl Master {
    pub(crate) fn new(primary: Primary) -> Self {
        Master { primary }
    }

    pub(crate) fn primary(&self) -> &Primary {
        &self.primary
    }

    /// Who answers at the moment, for messages.
    fn target(&self) -> String {
        self.primary.current().map(|current| current.to_string()).unwrap_or_default()
    }

    pub(crate) async fn get_status(
        &self,
        path: &AlluxioPath,
        freshness: Freshness,
        without_blocks: bool,
        for_read: bool,
    ) -> Result<FileStatus, ClientError> {
        let request = pb::GetStatusRequest {
            path: path.to_string(),
            sync: sync(freshness),
            without_blocks,
            for_read,
        };
        status_of(call!(self, Harmless, fs, get_status, request).status)
    }

    /// The same, before the journal has what is told.
    pub(crate) async fn get_status_early(
        &self,
        path: &AlluxioPath,
        freshness: Freshness,
        without_blocks: bool,
    ) -> Result<FileStatus, ClientError> {
        let request = pb::GetStatusRequest {
            path: path.to_string(),
            sync: sync(freshness),
            without_blocks,
            for_read: false,
        };
        let told =
            self.primary.call_as(How { operation: None, early: true, unary: true }, |channel| {
                let request = request.clone();
                async move { fs(channel).get_status(request).await }
            });
        status_of(told.await?.status)
    }

    pub(crate) async fn get_statuses(
        &self,
        paths: &[AlluxioPath],
        freshness: Freshness,
        without_blocks: bool,
    ) -> Result<Vec<Result<FileStatus, ClientError>>, ClientError> {
        let mut all = Vec::with_capacity(paths.len());
        for some in paths.chunks(STATUSES_PER_CALL) {
            let request = pb::GetStatusesRequest {
                paths: some.iter().map(ToString::to_string).collect(),
                sync: sync(freshness),
                without_blocks,
            };
            let response = call!(self, Harmless, fs, get_statuses, request);
            if response.results.len() != some.len() {
                let target = self.target();
                let why = "the count of statuses is not that of paths".to_owned();
                return Err(RpcError::BadReply { target, why }.into());
            }
            all.extend(response.results.into_iter().map(|result| match result.status {
                Some(status) => Ok(status.try_into()?),
                None => Err(ClientError::Refused {
                    code: Code::from_name(&result.code).unwrap_or(Code::Internal),
                    message: result.message,
                }),
            }));
        }
        Ok(all)
    }

    /// A whole listing; one that breaks off, as in a fail-over, is begun again.
    pub(crate) async fn list_all(
        &self,
        path: &AlluxioPath,
        freshness: Freshness,
        options: &ListStatusOptions,
    ) -> Result<Vec<FileStatus>, ClientError> {
        let request = listing(path, freshness, options);
        let pages = self.primary.call(Repeat::Harmless, |channel| {
            let request = request.clone();
            async move {
                let mut stream = fs(channel).list_status(request).await?.into_inner();
                let mut pages = Vec::new();
                while let Some(page) = stream.message().await? {
                    pages.push(page);
                }
                Ok(Response::new(pages))
            }
        });
        let pages = pages.await?.into_iter();
        pages.flat_map(Statuses::of).map(|status| Ok(status?)).collect()
    }

    /// The new file, and the bytes that quotas leave to it, if any bounds it.
    pub(crate) async fn create_file(
        &self,
        path: &AlluxioPath,
        file: &NewFile,
    ) -> Result<(FileStatus, Option<u64>), ClientError> {
        let request = pb::CreateFileRequest {
            path: path.to_string(),
            recursive: file.recursive,
            mode: Some(file.mode.0.into()),
            block_size_bytes: file.block_size_bytes,
            write_type: write_type(file.write_type),
            overwrite: file.overwrite,
            replaces_id: file.replaces.map_or(0, |id| id.0),
            ttl_ms: file.ttl.map(|ttl| millis(ttl) as u64),
            ttl_action: ttl_action(file.ttl_action),
            replication_min: file.replication_min,
            replication_max: file.replication_max,
            xattr: xattrs_to_pb(&file.xattr),
        };
        let operation = file.operation.or_else(|| Some(self.primary.new_operation()));
        let made =
            self.primary.call_as(How { operation, early: file.early, unary: true }, |channel| {
                let request = request.clone();
                async move { fs(channel).create_file(request).await }
            });
        let made = made.await?;
        Ok((status_of(made.status)?, made.room_bytes))
    }

    pub(crate) async fn complete_file(&self, written: &Written) -> Result<FileStatus, ClientError> {
        let blocks = written.blocks.iter();
        let request = pb::CompleteFileRequest {
            id: written.id.0,
            length: written.length,
            persisted: written.fingerprint.is_some(),
            fingerprint: written.fingerprint.clone().unwrap_or_default().0,
            blocks: blocks
                .map(|(index, worker)| pb::BlockWritten {
                    index: *index,
                    worker_id: worker.0,
                    tier: 0,
                })
                .collect(),
            owner: written.attributes.owner.clone(),
            group: written.attributes.group.clone(),
            mode: written.attributes.mode.map(|mode| mode.0.into()),
            accessed_ms: written.attributes.accessed.map(|at| at.0),
            modified_ms: written.attributes.modified.map(|at| at.0),
            replaces_id: written.replaces.map_or(0, |id| id.0),
        };
        status_of(call!(self, Harmful, fs, complete_file, request).status)
    }

    pub(crate) async fn create_directory(
        &self,
        path: &AlluxioPath,
        options: &CreateDirectoryOptions,
        mode: Mode,
        kind: WriteType,
        early: bool,
    ) -> Result<FileStatus, ClientError> {
        let request = pb::CreateDirectoryRequest {
            path: path.to_string(),
            recursive: options.recursive,
            allow_exists: options.allow_exists,
            mode: Some(mode.0.into()),
            write_type: write_type(kind),
        };
        let operation = Some(self.primary.new_operation());
        let made = self.primary.call_as(How { operation, early, unary: true }, |channel| {
            let request = request.clone();
            async move { fs(channel).create_directory(request).await }
        });
        status_of(made.await?.status)
    }

    pub(crate) async fn delete(
        &self,
        path: &AlluxioPath,
        options: &DeleteOptions,
        unchecked: bool,
        only: Option<InodeId>,
    ) -> Result<u64, ClientError> {
        let request = pb::DeleteRequest {
            path: path.to_string(),
            recursive: options.recursive,
            alluxio_only: options.alluxio_only,
            unchecked,
            delete_mount_points: options.delete_mount_points,
            expected_id: only.map_or(0, |id| id.0),
        };
        Ok(call!(self, Harmful, fs, delete, request).deleted)
    }

    pub(crate) async fn rename(
        &self,
        source: &AlluxioPath,
        destination: &AlluxioPath,
        replace: bool,
    ) -> Result<(), ClientError> {
        let (source, destination) = (source.to_string(), destination.to_string());
        let request = pb::RenameRequest { source, destination, replace, exchange: false };
        call!(self, Harmful, fs, rename, request);
        Ok(())
    }

    pub(crate) async fn exchange(
        &self,
        one: &AlluxioPath,
        other: &AlluxioPath,
    ) -> Result<(), ClientError> {
        let (source, destination) = (one.to_string(), other.to_string());
        let request = pb::RenameRequest { source, destination, replace: false, exchange: true };
        call!(self, Harmful, fs, rename, request);
        Ok(())
    }

    pub(crate) async fn create_symlink(
        &self,
        path: &AlluxioPath,
        target: &str,
    ) -> Result<FileStatus, ClientError> {
        let request =
            pb::CreateSymlinkRequest { path: path.to_string(), target: target.to_owned() };
        status_of(call!(self, Harmful, fs, create_symlink, request).status)
    }

    pub(crate) async fn set_attributes(
        &self,
        path: &AlluxioPath,
        changes: &SetAttributeOptions,
    ) -> Result<u64, ClientError> {
        let request = pb::SetAttributesRequest {
            path: path.to_string(),
            recursive: changes.recursive,
            owner: changes.owner.clone(),
            group: changes.group.clone(),
            mode: changes.mode.map(|mode| mode.0.into()),
            pinned: changes.pinned,
            ttl_ms: changes.ttl.map(|ttl| ttl.map_or(-1, millis)),
            ttl_action: changes.ttl_action.map(ttl_action),
            replication_min: changes.replication_min,
            replication_max: changes
                .replication_max
                .map(|max| max.map_or(-1, |max| i32::try_from(max).unwrap_or(i32::MAX))),
            accessed_ms: changes.accessed.map(|at| at.0),
            modified_ms: changes.modified.map(|at| at.0),
            xattr: changes.xattr.as_ref().map(|set| xattrs_to_pb(&set.values)).unwrap_or_default(),
            xattr_strategy: changes
                .xattr
                .as_ref()
                .map(|set| common_pb::XattrStrategy::from(set.strategy).into()),
        };
        // "Only if it is there" must not meet its own first try.
        if changes.xattr.is_some() {
            return Ok(call!(self, Harmful, fs, set_attributes, request).changed);
        }
        Ok(call!(self, Harmless, fs, set_attributes, request).changed)
    }

    pub(crate) async fn check_access(
        &self,
        path: &AlluxioPath,
        access: Access,
    ) -> Result<(), ClientError> {
        let request = pb::CheckAccessRequest { path: path.to_string(), access: access.0.into() };
        call!(self, Harmless, fs, check_access, request);
        Ok(())
    }

    pub(crate) async fn free(
        &self,
        path: &AlluxioPath,
        options: FreeOptions,
    ) -> Result<Freed, ClientError> {
        let FreeOptions { recursive, forced } = options;
        let request = pb::FreeRequest { path: path.to_string(), recursive, forced };
        let response = call!(self, Harmless, fs, free, request);
        Ok(Freed { files: response.files, blocks: response.blocks })
    }

    pub(crate) async fn load_metadata(
        &self,
        path: &AlluxioPath,
        options: LoadMetadataOptions,
    ) -> Result<u64, ClientError> {
        let LoadMetadataOptions { recursive, force } = options;
        let request = pb::LoadMetadataRequest { path: path.to_string(), recursive, force };
        Ok(call!(self, Harmless, fs, load_metadata, request).changed)
    }

    pub(crate) async fn check_consistency(
        &self,
        path: &AlluxioPath,
    ) -> Result<Vec<String>, ClientError> {
        let request = pb::CheckConsistencyRequest { path: path.to_string() };
        Ok(call!(self, Harmless, fs, check_consistency, request).differences)
    }

    pub(crate) async fn complete_persist(
        &self,
        id: InodeId,
        fingerprint: &Fingerprint,
        length: u64,
    ) -> Result<(), ClientError> {
        let fingerprint = fingerprint.0.clone();
        let request = pb::CompletePersistRequest { id: id.0, fingerprint, length };
        call!(self, Harmless, fs, complete_persist, request);
        Ok(())
    }

    pub(crate) async fn mount(
        &self,
        path: &AlluxioPath,
        ufs_uri: &str,
        options: &MountOptions,
    ) -> Result<(), ClientError> {
        let request = pb::MountRequest {
            path: path.to_string(),
            ufs_uri: ufs_uri.to_owned(),
            read_only: options.read_only,
            shared: options.shared,
            options: options.properties.clone().into_iter().collect(),
        };
        call!(self, Harmful, fs, mount, request);
        Ok(())
    }

    pub(crate) async fn update_mount(
        &self,
        path: &AlluxioPath,
        options: &UpdateMountOptions,
    ) -> Result<(), ClientError> {
        let request = pb::UpdateMountRequest {
            path: path.to_string(),
            read_only: options.read_only,
            shared: options.shared,
            options: options.properties.clone().into_iter().collect(),
        };
        call!(self, Harmless, fs, update_mount, request);
        Ok(())
    }

    pub(crate) async fn unmount(&self, path: &AlluxioPath) -> Result<(), ClientError> {
        call!(self, Harmful, fs, unmount, pb::UnmountRequest { path: path.to_string() });
        Ok(())
    }

    pub(crate) async fn mount_table(
        &self,
        with_usage: bool,
    ) -> Result<Vec<MountPoint>, ClientError> {
        let request = pb::GetMountTableRequest { with_usage };
        let response = call!(self, Harmless, fs, get_mount_table, request);
        response.mounts.into_iter().map(mount_point).collect()
    }

    pub(crate) async fn workers(&self, include_lost: bool) -> Result<Vec<WorkerInfo>, ClientError> {
        let request = GetWorkersRequest { include_lost };
        let response = call!(self, Harmless, blocks, get_workers, request);
        response.workers.into_iter().map(|worker| Ok(worker.try_into()?)).collect()
    }

    pub(crate) async fn block_info(
        &self,
        block: BlockId,
    ) -> Result<(BlockInfo, String), ClientError> {
        let request = GetBlockInfoRequest { block_id: block.0 };
        let response = call!(self, Harmless, blocks, get_block_info, request);
        let missing = alluxio_proto::convert::ConvertError::Missing { field: "info" };
        Ok((response.info.ok_or(missing)?.try_into()?, response.path))
    }

    /// Lets this client open the blocks of a file, and for how long; empty when workers ask for nothing.
    pub(crate) async fn block_token(
        &self,
        file: InodeId,
        write: bool,
    ) -> Result<(Vec<u8>, Duration), ClientError> {
        let request = GetBlockTokenRequest { inode_id: file.0, write };
        let response = call!(self, Harmless, blocks, get_block_token, request);
        Ok((response.token.to_vec(), Duration::from_millis(response.lifetime_ms)))
    }

    /// Where the file with that id is now.
    pub(crate) async fn path_of(&self, file: InodeId) -> Result<AlluxioPath, ClientError> {
        let request = GetBlockInfoRequest { block_id: file.0 };
        let path = call!(self, Harmless, blocks, get_block_info, request).path;
        AlluxioPath::parse(&path).map_err(|error| {
            let target = self.primary.current().map(|at| at.to_string()).unwrap_or_default();
            RpcError::BadReply { target, why: error.to_string() }.into()
        })
    }
}

fn mount_point(mount: pb::MountPoint) -> Result<MountPoint, ClientError> {
    let missing = alluxio_proto::convert::ConvertError::Missing { field: "info" };
    Ok(MountPoint {
        info: mount.info.ok_or(missing)?.try_into()?,
        ufs_type: mount.ufs_type,
        capacity_bytes: u64::try_from(mount.capacity_bytes).ok(),
        used_bytes: u64::try_from(mount.used_bytes).ok(),
    })
}
