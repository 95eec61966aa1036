//! Words that several services share.

use super::ConvertError;
use crate::v1::common as pb;
use alluxio_types::{
    AlluxioPath, BlockId, BlockInfo, BlockLocation, FileKind, FileStatus, Fingerprint, InodeId,
    Mode, MountId, MountInfo, MountOptions, PersistenceState, TierAlias, TierUsage, TtlAction,
    UnixMillis, WorkerAddress, WorkerId, WorkerInfo, WorkerState, WriteType, XattrStrategy, Xattrs,
};
use bytes::Bytes;
use std::collections::HashMap;

impl From<&WorkerAddress> for pb::WorkerAddress {
    fn from(a: &WorkerAddress) -> Self {
        pb::WorkerAddress {
            host: a.host.clone(),
            rpc_port: a.rpc_port.into(),
            data_port: a.data_port.into(),
            web_port: a.web_port.into(),
            domain_socket_path: a.domain_socket_path.clone(),
        }
    }
}

fn port(field: &'static str, value: u32) -> Result<u16, ConvertError> {
    u16::try_from(value).map_err(|_| ConvertError::BadValue { field, value: value.into() })
}

impl TryFrom<pb::WorkerAddress> for WorkerAddress {
    type Error = ConvertError;

    fn try_from(a: pb::WorkerAddress) -> Result<Self, ConvertError> {
        Ok(WorkerAddress {
            host: a.host,
            rpc_port: port("rpc_port", a.rpc_port)?,
            data_port: port("data_port", a.data_port)?,
            web_port: port("web_port", a.web_port)?,
            domain_socket_path: a.domain_socket_path,
        })
    }
}

impl From<&BlockLocation> for pb::BlockLocation {
    fn from(l: &BlockLocation) -> Self {
        pb::BlockLocation {
            worker_id: l.worker.0,
            address: Some((&l.address).into()),
            tier: l.tier.0.clone(),
        }
    }
}

impl TryFrom<pb::BlockLocation> for BlockLocation {
    type Error = ConvertError;

    fn try_from(l: pb::BlockLocation) -> Result<Self, ConvertError> {
        Ok(BlockLocation {
            worker: WorkerId(l.worker_id),
            address: l.address.ok_or(ConvertError::Missing { field: "address" })?.try_into()?,
            tier: TierAlias(l.tier),
        })
    }
}

impl From<&BlockInfo> for pb::BlockInfo {
    fn from(b: &BlockInfo) -> Self {
        pb::BlockInfo {
            id: b.id.0,
            length: b.length,
            offset: b.offset,
            locations: b.locations.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::BlockInfo> for BlockInfo {
    type Error = ConvertError;

    fn try_from(b: pb::BlockInfo) -> Result<Self, ConvertError> {
        Ok(BlockInfo {
            id: BlockId(b.id),
            length: b.length,
            offset: b.offset,
            locations: b.locations.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<PersistenceState> for pb::PersistenceState {
    fn from(s: PersistenceState) -> Self {
        match s {
            PersistenceState::NotPersisted => pb::PersistenceState::NotPersisted,
            PersistenceState::ToBePersisted => pb::PersistenceState::ToBePersisted,
            PersistenceState::Persisted => pb::PersistenceState::Persisted,
            PersistenceState::Lost => pb::PersistenceState::Lost,
        }
    }
}

impl From<pb::PersistenceState> for PersistenceState {
    fn from(s: pb::PersistenceState) -> Self {
        match s {
            pb::PersistenceState::NotPersisted => PersistenceState::NotPersisted,
            pb::PersistenceState::ToBePersisted => PersistenceState::ToBePersisted,
            pb::PersistenceState::Persisted => PersistenceState::Persisted,
            pb::PersistenceState::Lost => PersistenceState::Lost,
        }
    }
}

impl From<TtlAction> for pb::TtlAction {
    fn from(a: TtlAction) -> Self {
        match a {
            TtlAction::Free => pb::TtlAction::Free,
            TtlAction::Delete => pb::TtlAction::Delete,
            TtlAction::DeleteAlluxio => pb::TtlAction::DeleteAlluxio,
        }
    }
}

impl From<pb::TtlAction> for TtlAction {
    fn from(a: pb::TtlAction) -> Self {
        match a {
            pb::TtlAction::Free => TtlAction::Free,
            pb::TtlAction::Delete => TtlAction::Delete,
            pb::TtlAction::DeleteAlluxio => TtlAction::DeleteAlluxio,
        }
    }
}

impl From<WriteType> for pb::WriteType {
    fn from(w: WriteType) -> Self {
        match w {
            WriteType::MustCache => pb::WriteType::MustCache,
            WriteType::CacheThrough => pb::WriteType::CacheThrough,
            WriteType::Through => pb::WriteType::Through,
            WriteType::AsyncThrough => pb::WriteType::AsyncThrough,
        }
    }
}

impl TryFrom<pb::WriteType> for WriteType {
    type Error = ConvertError;

    fn try_from(w: pb::WriteType) -> Result<Self, ConvertError> {
        match w {
            pb::WriteType::Unspecified => Err(ConvertError::Missing { field: "write_type" }),
            pb::WriteType::MustCache => Ok(WriteType::MustCache),
            pb::WriteType::CacheThrough => Ok(WriteType::CacheThrough),
            pb::WriteType::Through => Ok(WriteType::Through),
            pb::WriteType::AsyncThrough => Ok(WriteType::AsyncThrough),
        }
    }
}

impl From<FileStatus> for pb::FileStatus {
    fn from(s: FileStatus) -> Self {
        pb::FileStatus {
            id: s.id.0,
            name: s.name,
            path: s.path,
            ufs_path: s.ufs_path,
            kind: match s.kind {
                FileKind::File => pb::FileKind::File,
                FileKind::Directory => pb::FileKind::Directory,
                FileKind::Symlink => pb::FileKind::Symlink,
            } as i32,
            length: s.length,
            block_size_bytes: s.block_size_bytes,
            created_ms: s.created.0,
            modified_ms: s.modified.0,
            accessed_ms: s.accessed.0,
            completed: s.completed,
            pinned: s.pinned,
            persistence: pb::PersistenceState::from(s.persistence) as i32,
            mount_point: s.mount_point,
            mount_id: s.mount_id.0,
            owner: s.owner,
            group: s.group,
            mode: s.mode.0.into(),
            ttl_ms: s.ttl_ms,
            ttl_action: pb::TtlAction::from(s.ttl_action) as i32,
            replication_min: s.replication_min,
            replication_max: s.replication_max,
            fingerprint: s.fingerprint.0,
            blocks: s.blocks.iter().map(Into::into).collect(),
            in_alluxio_percent: s.in_alluxio_percent,
            in_memory_percent: s.in_memory_percent,
            xattr: xattrs_to_pb(&s.xattr),
            target: s.target,
        }
    }
}

/// Extended attributes of a message.
pub fn xattrs_to_pb(xattr: &Xattrs) -> HashMap<String, Bytes> {
    xattr.iter().map(|(name, value)| (name.to_owned(), value.to_vec().into())).collect()
}

/// What [`xattrs_to_pb`] wrote.
pub fn xattrs_from_pb(all: HashMap<String, Bytes>) -> Xattrs {
    all.into_iter().map(|(name, value)| (name, value.into())).collect()
}

impl From<XattrStrategy> for pb::XattrStrategy {
    fn from(strategy: XattrStrategy) -> Self {
        match strategy {
            XattrStrategy::Truncate => pb::XattrStrategy::Truncate,
            XattrStrategy::UnionReplace => pb::XattrStrategy::UnionReplace,
            XattrStrategy::UnionPreserve => pb::XattrStrategy::UnionPreserve,
            XattrStrategy::DeleteKeys => pb::XattrStrategy::DeleteKeys,
            XattrStrategy::Create => pb::XattrStrategy::Create,
            XattrStrategy::Replace => pb::XattrStrategy::Replace,
            XattrStrategy::Remove => pb::XattrStrategy::Remove,
        }
    }
}

impl From<pb::XattrStrategy> for XattrStrategy {
    fn from(strategy: pb::XattrStrategy) -> Self {
        match strategy {
            pb::XattrStrategy::Truncate => XattrStrategy::Truncate,
            pb::XattrStrategy::UnionReplace => XattrStrategy::UnionReplace,
            pb::XattrStrategy::UnionPreserve => XattrStrategy::UnionPreserve,
            pb::XattrStrategy::DeleteKeys => XattrStrategy::DeleteKeys,
            pb::XattrStrategy::Create => XattrStrategy::Create,
            pb::XattrStrategy::Replace => XattrStrategy::Replace,
            pb::XattrStrategy::Remove => XattrStrategy::Remove,
        }
    }
}

impl TryFrom<pb::FileStatus> for FileStatus {
    type Error = ConvertError;

    fn try_from(s: pb::FileStatus) -> Result<Self, ConvertError> {
        let kind = match s.kind() {
            pb::FileKind::File => FileKind::File,
            pb::FileKind::Directory => FileKind::Directory,
            pb::FileKind::Symlink => FileKind::Symlink,
            pb::FileKind::Unspecified => return Err(ConvertError::Missing { field: "kind" }),
        };
        // A block size of 0 would be divided by.
        if kind == FileKind::File && s.block_size_bytes == 0 {
            return Err(ConvertError::BadValue { field: "block_size_bytes", value: 0 });
        }
        let (persistence, ttl_action) = (s.persistence().into(), s.ttl_action().into());
        Ok(FileStatus {
            id: InodeId(s.id),
            name: s.name,
            path: s.path,
            ufs_path: s.ufs_path,
            kind,
            length: s.length,
            block_size_bytes: s.block_size_bytes,
            created: UnixMillis(s.created_ms),
            modified: UnixMillis(s.modified_ms),
            accessed: UnixMillis(s.accessed_ms),
            completed: s.completed,
            pinned: s.pinned,
            persistence,
            mount_point: s.mount_point,
            mount_id: MountId(s.mount_id),
            owner: s.owner,
            group: s.group,
            mode: mode(s.mode)?,
            ttl_ms: s.ttl_ms,
            ttl_action,
            replication_min: s.replication_min,
            replication_max: s.replication_max,
            fingerprint: Fingerprint(s.fingerprint),
            blocks: s.blocks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            in_alluxio_percent: s.in_alluxio_percent,
            in_memory_percent: s.in_memory_percent,
            xattr: xattrs_from_pb(s.xattr),
            target: s.target,
        })
    }
}

/// Permission bits of a message; more than `0o7777` is refused.
pub fn mode(bits: u32) -> Result<Mode, ConvertError> {
    match u16::try_from(bits) {
        Ok(bits) if bits <= 0o7777 => Ok(Mode(bits)),
        _ => Err(ConvertError::BadValue { field: "mode", value: bits.into() }),
    }
}

impl From<&MountInfo> for pb::MountInfo {
    fn from(m: &MountInfo) -> Self {
        pb::MountInfo {
            id: m.id.0,
            path: m.path.to_string(),
            ufs_uri: m.ufs_uri.clone(),
            read_only: m.read_only,
            shared: m.shared,
            options: m.options.0.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }
}

impl TryFrom<pb::MountInfo> for MountInfo {
    type Error = ConvertError;

    fn try_from(m: pb::MountInfo) -> Result<Self, ConvertError> {
        Ok(MountInfo {
            id: MountId(m.id),
            path: AlluxioPath::parse(&m.path)?,
            ufs_uri: m.ufs_uri,
            read_only: m.read_only,
            shared: m.shared,
            options: MountOptions(m.options.into_iter().collect()),
        })
    }
}

impl From<&TierUsage> for pb::TierUsage {
    fn from(t: &TierUsage) -> Self {
        pb::TierUsage {
            alias: t.alias.0.clone(),
            capacity_bytes: t.capacity_bytes,
            used_bytes: t.used_bytes,
        }
    }
}

impl From<pb::TierUsage> for TierUsage {
    fn from(t: pb::TierUsage) -> Self {
        TierUsage {
            alias: TierAlias(t.alias),
            capacity_bytes: t.capacity_bytes,
            used_bytes: t.used_bytes,
        }
    }
}

impl From<&WorkerInfo> for pb::WorkerInfo {
    fn from(w: &WorkerInfo) -> Self {
        pb::WorkerInfo {
            id: w.id.0,
            address: Some((&w.address).into()),
            state: match w.state {
                WorkerState::Live => pb::WorkerState::Live,
                WorkerState::Lost => pb::WorkerState::Lost,
            } as i32,
            tiers: w.tiers.iter().map(Into::into).collect(),
            last_heartbeat_ms: w.last_heartbeat.0,
            started_ms: w.started.0,
            block_count: w.block_count,
            version: w.version.clone(),
        }
    }
}

impl TryFrom<pb::WorkerInfo> for WorkerInfo {
    type Error = ConvertError;

    fn try_from(w: pb::WorkerInfo) -> Result<Self, ConvertError> {
        let state = match w.state() {
            pb::WorkerState::Live => WorkerState::Live,
            pb::WorkerState::Lost => WorkerState::Lost,
        };
        Ok(WorkerInfo {
            id: WorkerId(w.id),
            address: w.address.ok_or(ConvertError::Missing { field: "address" })?.try_into()?,
            state,
            tiers: w.tiers.into_iter().map(Into::into).collect(),
            last_heartbeat: UnixMillis(w.last_heartbeat_ms),
            started: UnixMillis(w.started_ms),
            block_count: w.block_count,
            version: w.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_the_round_trip() {
        let status = FileStatus {
            id: InodeId::from_container(9),
            name: "f".into(),
            path: "/f".into(),
            ufs_path: "/tmp/f".into(),
            kind: FileKind::File,
            length: 10,
            block_size_bytes: 4,
            created: UnixMillis(1),
            modified: UnixMillis(2),
            accessed: UnixMillis(3),
            completed: true,
            pinned: true,
            persistence: PersistenceState::Persisted,
            mount_point: false,
            mount_id: MountId(1),
            owner: "ann".into(),
            group: "staff".into(),
            mode: Mode(0o640),
            ttl_ms: Some(5),
            ttl_action: TtlAction::Delete,
            replication_min: 1,
            replication_max: None,
            fingerprint: Fingerprint("v1".into()),
            blocks: vec![BlockInfo {
                id: InodeId::from_container(9).block(0),
                length: 4,
                offset: 0,
                locations: vec![BlockLocation {
                    worker: WorkerId(3),
                    address: WorkerAddress { host: "h".into(), rpc_port: 1, ..Default::default() },
                    tier: TierAlias::new("MEM"),
                }],
            }],
            in_alluxio_percent: 40,
            in_memory_percent: 40,
            xattr: Xattrs::from_iter([("user.a".into(), vec![0, 255])]),
            target: String::new(),
        };
        assert_eq!(FileStatus::try_from(pb::FileStatus::from(status.clone())).unwrap(), status);
    }

    #[test]
    fn senseless_messages_are_refused() {
        let bad_port = pb::WorkerAddress { rpc_port: 70_000, ..Default::default() };
        assert!(WorkerAddress::try_from(bad_port).is_err());
        assert!(mode(0o10000).is_err());
        let no_block_size =
            pb::FileStatus { kind: pb::FileKind::File as i32, ..Default::default() };
        assert!(FileStatus::try_from(no_block_size).is_err());
    }
}
