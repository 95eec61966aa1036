//! What clients ask of the file system.

use super::{freshness, path, user};
use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::ops::create::{Written, persistence_after, ttl_of};
use crate::ops::delete::DeleteOptions;
use crate::ops::mount::kind_name;
use crate::ops::read::{List, ListPage};
use crate::role::Slot;
use crate::sync::Freshness;
use alluxio_namespace::{
    CompleteFile, CreateDirectory, CreateFile, CreateSymlink, Mount, SetAttributes, SetQuota,
    WrittenAttributes,
};
use alluxio_proto::convert::ConvertError;
use alluxio_proto::convert::common::{mode as mode_of, xattrs_from_pb};
use alluxio_proto::convert::listing::put_status;
use alluxio_proto::v1::common as common_pb;
use alluxio_proto::v1::fs as pb;
use alluxio_proto::v1::fs::file_system_master_server::FileSystemMaster;
use alluxio_rpc::GroupNames;
use alluxio_types::{
    Access, Coded, FileStatus, Fingerprint, InodeId, Mode, MountOptions, OperationId, UnixMillis,
    WorkerId, WriteType, XattrUpdate,
};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

/// Paths of one batched status call: their replies stay below the message limit.
const PATHS_MAX: usize = 10_000;
/// Pages of a listing that wait for a slow client, about 200 kB each.
const PAGES_IN_FLIGHT: usize = 4;

/// The service.
pub struct FsService {
    slot: Arc<Slot>,
}

impl FsService {
    /// Serves while this master is the primary.
    pub fn new(slot: Arc<Slot>) -> Self {
        FsService { slot }
    }

    fn call<T>(&self, request: &Request<T>) -> Result<(Arc<Core>, Call), Status> {
        let core = self.slot.primary()?;
        let operation = request.extensions().get::<OperationId>().copied();
        let groups = request.extensions().get::<GroupNames>().map(|groups| groups.0.clone());
        let mut call = core.call(&user(request)?, groups, operation);
        call.early = request.extensions().get::<alluxio_rpc::Early>().is_some();
        Ok((core, call))
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn list_page(page: ListPage<Vec<u8>>) -> pb::ListStatusResponse {
    let statuses = page.entries.into();
    match page.common {
        Some(common) => pb::ListStatusResponse {
            statuses,
            directory: common.directory.to_string(),
            ufs_directory: common.ufs_directory,
            owner: common.owner,
            group: common.group,
        },
        None => pb::ListStatusResponse { statuses, ..Default::default() },
    }
}

fn message(status: FileStatus) -> common_pb::FileStatus {
    status.into()
}

fn write_type(value: i32) -> Result<WriteType, MasterError> {
    let bad = ConvertError::BadValue { field: "write_type", value: value.into() };
    let wire = common_pb::WriteType::try_from(value).map_err(|_| bad)?;
    Ok(WriteType::try_from(wire)?)
}

fn optional_mode(bits: Option<u32>) -> Result<Option<Mode>, MasterError> {
    Ok(bits.map(mode_of).transpose()?)
}

fn options(map: HashMap<String, String>) -> MountOptions {
    MountOptions(map.into_iter().collect())
}

#[tonic::async_trait]
impl FileSystemMaster for FsService {
    async fn get_status(
        &self,
        request: Request<pb::GetStatusRequest>,
    ) -> Answer<pb::GetStatusResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let path = path(&request.path)?;
        let fresh = freshness(request.sync);
        let status = core.get_status(&path, fresh, request.without_blocks, &call).await?;
        if request.for_read {
            core.note_read(&path, &status, &call).await?;
        }
        Ok(Response::new(pb::GetStatusResponse { status: Some(message(status)) }))
    }

    async fn get_statuses(
        &self,
        request: Request<pb::GetStatusesRequest>,
    ) -> Answer<pb::GetStatusesResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        if request.paths.len() > PATHS_MAX {
            return Err(MasterError::OutOfBounds {
                what: "number of paths",
                value: request.paths.len() as i64,
                min: 0,
                max: PATHS_MAX as i64,
            }
            .into());
        }
        let fresh = freshness(request.sync);
        let mut results = Vec::with_capacity(request.paths.len());
        for text in &request.paths {
            let result = match path(text) {
                Ok(path) => core.get_status(&path, fresh, request.without_blocks, &call).await,
                Err(error) => Err(error),
            };
            results.push(match result {
                Ok(status) => {
                    pb::StatusOrError { status: Some(message(status)), ..Default::default() }
                }
                Err(error) => pb::StatusOrError {
                    status: None,
                    code: error.code().name().to_owned(),
                    message: error.to_string(),
                },
            });
        }
        Ok(Response::new(pb::GetStatusesResponse { results }))
    }

    type ListStatusStream =
        Pin<Box<dyn Stream<Item = Result<pb::ListStatusResponse, Status>> + Send>>;

    async fn list_status(
        &self,
        request: Request<pb::ListStatusRequest>,
    ) -> Answer<Self::ListStatusStream> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let list = List {
            path: path(&request.path)?,
            freshness: freshness(request.sync),
            recursive: request.recursive,
            without_blocks: request.without_blocks,
            start_after: Some(request.start_after).filter(|name| !name.is_empty()),
            limit: Some(request.limit).filter(|limit| *limit > 0),
        };
        let (sender, receiver) = mpsc::channel(PAGES_IN_FLIGHT);
        tokio::spawn(async move {
            if let Err(error) = core.list_status(list, &call, &sender, put_status).await {
                // The client may be gone: then nobody misses the error.
                let _ = sender.send(Err(error)).await;
            }
        });
        let pages =
            ReceiverStream::new(receiver).map(|page| Ok(list_page(page.map_err(Status::from)?)));
        Ok(Response::new(Box::pin(pages)))
    }

    async fn create_file(
        &self,
        request: Request<pb::CreateFileRequest>,
    ) -> Answer<pb::CreateFileResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let ttl_action = request.ttl_action().into();
        let create = CreateFile {
            path: path(&request.path)?,
            recursive: request.recursive,
            replaces: Some(InodeId(request.replaces_id)).filter(|id| id.0 != 0),
            overwrite: request.overwrite,
            mode: optional_mode(request.mode)?,
            block_size_bytes: request.block_size_bytes,
            ttl_ms: request.ttl_ms,
            ttl_action,
            replication_min: request.replication_min,
            replication_max: request.replication_max,
            xattr: xattrs_from_pb(request.xattr),
            write_type: write_type(request.write_type)?,
        };
        let (path, replaces) = (create.path.clone(), create.replaces);
        let status = core.create_file(create, &call).await?;
        let room_bytes = core.room(&path, replaces, &call);
        Ok(Response::new(pb::CreateFileResponse { status: Some(message(status)), room_bytes }))
    }

    async fn complete_file(
        &self,
        request: Request<pb::CompleteFileRequest>,
    ) -> Answer<pb::CompleteFileResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let written = request.blocks.iter().map(|block| Written {
            index: block.index,
            worker: WorkerId(block.worker_id),
            // Deeper than any worker's tiers: shown as the last one.
            tier: u8::try_from(block.tier).unwrap_or(u8::MAX),
        });
        let written = written.collect();
        let complete = CompleteFile {
            id: InodeId(request.id),
            length: request.length,
            persistence: persistence_after(request.persisted),
            fingerprint: Fingerprint(request.fingerprint),
            replaces: Some(InodeId(request.replaces_id)).filter(|id| id.0 != 0),
            attributes: WrittenAttributes {
                owner: request.owner,
                group: request.group,
                mode: optional_mode(request.mode)?,
                accessed: request.accessed_ms.map(UnixMillis),
                modified: request.modified_ms.map(UnixMillis),
            },
        };
        let status = core.complete_file(complete, written, &call).await?;
        Ok(Response::new(pb::CompleteFileResponse { status: Some(message(status)) }))
    }

    async fn create_directory(
        &self,
        request: Request<pb::CreateDirectoryRequest>,
    ) -> Answer<pb::CreateDirectoryResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let create = CreateDirectory {
            recursive: request.recursive,
            allow_exists: request.allow_exists,
            mode: optional_mode(request.mode)?,
            write_type: write_type(request.write_type)?,
            ..CreateDirectory::new(path(&request.path)?)
        };
        let status = core.create_directory(create, &call).await?;
        Ok(Response::new(pb::CreateDirectoryResponse { status: Some(message(status)) }))
    }

    async fn create_symlink(
        &self,
        request: Request<pb::CreateSymlinkRequest>,
    ) -> Answer<pb::CreateSymlinkResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let create = CreateSymlink { path: path(&request.path)?, target: request.target };
        let status = core.create_symlink(create, &call).await?;
        Ok(Response::new(pb::CreateSymlinkResponse { status: Some(message(status)) }))
    }

    async fn delete(&self, request: Request<pb::DeleteRequest>) -> Answer<pb::DeleteResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let options = DeleteOptions {
            recursive: request.recursive,
            alluxio_only: request.alluxio_only,
            unchecked: request.unchecked,
            delete_mount_points: request.delete_mount_points,
            expected: Some(InodeId(request.expected_id)).filter(|id| id.0 != 0),
        };
        let deleted = core.delete(&path(&request.path)?, options, &call).await?;
        Ok(Response::new(pb::DeleteResponse { deleted }))
    }

    async fn rename(&self, request: Request<pb::RenameRequest>) -> Answer<pb::RenameResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let (source, target) = (path(&request.source)?, path(&request.destination)?);
        match request.exchange {
            true => core.exchange(&source, &target, &call).await?,
            false => core.rename(&source, &target, request.replace, &call).await?,
        }
        Ok(Response::new(pb::RenameResponse {}))
    }

    async fn set_attributes(
        &self,
        request: Request<pb::SetAttributesRequest>,
    ) -> Answer<pb::SetAttributesResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let ttl_action = request.ttl_action.is_some().then(|| request.ttl_action().into());
        let strategy = request.xattr_strategy.map(|_| request.xattr_strategy().into());
        let xattr = strategy
            .map(|strategy| XattrUpdate { values: xattrs_from_pb(request.xattr), strategy });
        let set = SetAttributes {
            path: Some(path(&request.path)?),
            recursive: request.recursive,
            owner: request.owner,
            group: request.group,
            mode: optional_mode(request.mode)?,
            pinned: request.pinned,
            ttl_ms: request.ttl_ms.map(ttl_of),
            ttl_action,
            replication_min: request.replication_min,
            replication_max: request.replication_max.map(|max| u32::try_from(max).ok()),
            accessed: request.accessed_ms.map(UnixMillis),
            modified: request.modified_ms.map(UnixMillis),
            xattr,
            expected: None,
        };
        let changed = core.set_attributes(set, &call).await?;
        Ok(Response::new(pb::SetAttributesResponse { changed }))
    }

    async fn set_quota(
        &self,
        request: Request<pb::SetQuotaRequest>,
    ) -> Answer<pb::SetQuotaResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let set = SetQuota {
            path: path(&request.path)?,
            bytes: request.bytes.map(|bytes| u64::try_from(bytes).ok()),
            inodes: request.inodes.map(|inodes| u64::try_from(inodes).ok()),
        };
        core.set_quota(set, &call).await?;
        Ok(Response::new(pb::SetQuotaResponse {}))
    }

    async fn get_quotas(
        &self,
        request: Request<pb::GetQuotasRequest>,
    ) -> Answer<pb::GetQuotasResponse> {
        let (core, call) = self.call(&request)?;
        let quotas = core.quotas(&path(&request.into_inner().path)?, &call).await?;
        let quotas = quotas.iter().map(Into::into).collect();
        Ok(Response::new(pb::GetQuotasResponse { quotas }))
    }

    async fn check_access(
        &self,
        request: Request<pb::CheckAccessRequest>,
    ) -> Answer<pb::CheckAccessResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let access = match u16::try_from(request.access) {
            Ok(bits) if bits <= 7 => Access(bits),
            _ => {
                let value = request.access.into();
                return Err(
                    MasterError::OutOfBounds { what: "access", value, min: 0, max: 7 }.into()
                );
            }
        };
        core.check_access(&path(&request.path)?, access, &call).await?;
        Ok(Response::new(pb::CheckAccessResponse {}))
    }

    async fn free(&self, request: Request<pb::FreeRequest>) -> Answer<pb::FreeResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let path = path(&request.path)?;
        let (files, blocks) = core.free(&path, request.recursive, request.forced, &call).await?;
        Ok(Response::new(pb::FreeResponse { files, blocks }))
    }

    async fn load_metadata(
        &self,
        request: Request<pb::LoadMetadataRequest>,
    ) -> Answer<pb::LoadMetadataResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let path = path(&request.path)?;
        let fresh = if request.force { Freshness::NOW } else { Freshness::ANY };
        // Naming a path that is nowhere is an error, loading one that is known is not.
        core.get_status(&path, fresh, true, &call).await?;
        let changed = if request.recursive {
            core.refresh_tree(&path, fresh, &call).await?
        } else {
            core.refresh_children(&path, fresh, &call).await?
        };
        Ok(Response::new(pb::LoadMetadataResponse { changed }))
    }

    async fn check_consistency(
        &self,
        request: Request<pb::CheckConsistencyRequest>,
    ) -> Answer<pb::CheckConsistencyResponse> {
        let (core, call) = self.call(&request)?;
        let path = path(&request.into_inner().path)?;
        let differences = core.differences(&path, &call).await?;
        Ok(Response::new(pb::CheckConsistencyResponse { differences }))
    }

    async fn complete_persist(
        &self,
        request: Request<pb::CompletePersistRequest>,
    ) -> Answer<pb::CompletePersistResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let fingerprint = Fingerprint(request.fingerprint);
        let id = InodeId(request.id);
        core.complete_persist(id, request.length, fingerprint, &call).await?;
        Ok(Response::new(pb::CompletePersistResponse {}))
    }

    async fn mount(&self, request: Request<pb::MountRequest>) -> Answer<pb::MountResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let mount = Mount {
            path: path(&request.path)?,
            ufs_uri: request.ufs_uri,
            read_only: request.read_only,
            shared: request.shared,
            options: options(request.options),
            facts: None,
        };
        core.mount(mount, &call).await?;
        Ok(Response::new(pb::MountResponse {}))
    }

    async fn update_mount(
        &self,
        request: Request<pb::UpdateMountRequest>,
    ) -> Answer<pb::UpdateMountResponse> {
        let (core, call) = self.call(&request)?;
        let request = request.into_inner();
        let path = path(&request.path)?;
        let options = options(request.options);
        core.update_mount(path, request.read_only, request.shared, options, &call).await?;
        Ok(Response::new(pb::UpdateMountResponse {}))
    }

    async fn unmount(&self, request: Request<pb::UnmountRequest>) -> Answer<pb::UnmountResponse> {
        let (core, call) = self.call(&request)?;
        core.unmount(path(&request.into_inner().path)?, &call).await?;
        Ok(Response::new(pb::UnmountResponse {}))
    }

    async fn get_mount_table(
        &self,
        request: Request<pb::GetMountTableRequest>,
    ) -> Answer<pb::GetMountTableResponse> {
        let points = self.slot.primary()?.mount_table(request.into_inner().with_usage).await?;
        let mounts = points.into_iter().map(|point| pb::MountPoint {
            ufs_type: kind_name(point.kind, &point.info.ufs_uri),
            info: Some((&point.info).into()),
            capacity_bytes: point.space.map_or(-1, |space| bytes(space.total_bytes)),
            used_bytes: point.space.map_or(-1, |space| bytes(space.used_bytes)),
        });
        Ok(Response::new(pb::GetMountTableResponse { mounts: mounts.collect() }))
    }
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
