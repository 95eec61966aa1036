//! The same facts for machines: one JSON object a line, names as in Alluxio's REST interface.

use alluxio_types::{FileStatus, WorkerInfo, WorkerState};
use serde_json::{Value, json};

/// Fields of a status in the order in which people read them, blocks left out.
pub const FIELDS: [&str; 28] = [
    "fileId",
    "name",
    "path",
    "ufsPath",
    "length",
    "blockSizeBytes",
    "creationTimeMs",
    "completed",
    "folder",
    "pinned",
    "persisted",
    "persistenceState",
    "mountPoint",
    "mountId",
    "ttl",
    "ttlAction",
    "lastModificationTimeMs",
    "lastAccessTimeMs",
    "owner",
    "group",
    "mode",
    "replicationMin",
    "replicationMax",
    "inAlluxioPercentage",
    "inMemoryPercentage",
    "ufsFingerprint",
    "symlinkTarget",
    "xattr",
];

/// A file or directory.
pub fn status(s: &FileStatus) -> Value {
    let blocks: Vec<Value> = s
        .blocks
        .iter()
        .map(|block| {
            let locations: Vec<Value> = block
                .locations
                .iter()
                .map(|at| {
                    json!({
                        "workerId": at.worker.0,
                        "workerAddress": {
                            "host": at.address.host,
                            "rpcPort": at.address.rpc_port,
                            "dataPort": at.address.data_port,
                            "webPort": at.address.web_port,
                            "domainSocketPath": at.address.domain_socket_path,
                        },
                        "tierAlias": at.tier.0,
                    })
                })
                .collect();
            json!({
                "blockInfo": {
                    "blockId": block.id.0, "length": block.length, "locations": locations,
                },
                "offset": block.offset,
            })
        })
        .collect();
    let mut value = json!({
        "fileId": s.id.0,
        "name": s.name,
        "path": s.path,
        "ufsPath": s.ufs_path,
        "length": s.length,
        "blockSizeBytes": s.block_size_bytes,
        "creationTimeMs": s.created.0,
        "lastModificationTimeMs": s.modified.0,
        "lastAccessTimeMs": s.accessed.0,
        "completed": s.completed,
        "folder": s.is_directory(),
        "pinned": s.pinned,
        "persisted": s.persistence == alluxio_types::PersistenceState::Persisted,
        "mountPoint": s.mount_point,
        "mountId": s.mount_id.0,
        "owner": s.owner,
        "group": s.group,
        "mode": s.mode.0,
        "persistenceState": s.persistence.name(),
        "ttl": s.ttl_ms.map_or(json!(-1), |ms| json!(ms)),
        "ttlAction": s.ttl_action.name(),
        "replicationMin": s.replication_min,
        "replicationMax": s.replication_max.map_or(json!(-1), |max| json!(max)),
        "inAlluxioPercentage": s.in_alluxio_percent,
        "inMemoryPercentage": s.in_memory_percent,
        "ufsFingerprint": s.fingerprint.0,
        "fileBlockInfos": blocks,
    });
    if s.is_symlink() {
        value["symlinkTarget"] = json!(s.target);
    }
    if !s.xattr.is_empty() {
        let named = s.xattr.iter().map(|(name, value)| (name.to_owned(), json!(text_of(value))));
        value["xattr"] = Value::Object(named.collect());
    }
    value
}

/// The value of an extended attribute, as `getfattr` shows it: text, or else hexadecimal.
fn text_of(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => value.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}

/// A worker.
pub fn worker(w: &WorkerInfo) -> Value {
    let tiers: Vec<Value> = w
        .tiers
        .iter()
        .map(|tier| {
            json!({
                "alias": tier.alias.0,
                "capacityBytes": tier.capacity_bytes,
                "usedBytes": tier.used_bytes,
            })
        })
        .collect();
    json!({
        "workerId": w.id.0,
        "host": w.address.host,
        "rpcPort": w.address.rpc_port,
        "dataPort": w.address.data_port,
        "webPort": w.address.web_port,
        "state": match w.state { WorkerState::Live => "LIVE", WorkerState::Lost => "LOST" },
        "capacityBytes": w.capacity_bytes(),
        "usedBytes": w.used_bytes(),
        "tiers": tiers,
        "lastHeartbeatMs": w.last_heartbeat.0,
        "startTimeMs": w.started.0,
        "blockCount": w.block_count,
        "version": w.version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_fields_is_complete() {
        let mut file = crate::view::file::sample::file();
        file.kind = alluxio_types::FileKind::Symlink;
        file.xattr.set("user.text", Some(b"plain"));
        file.xattr.set("user.bytes", Some(&[0, 255]));
        let value = status(&file);
        assert_eq!(value["xattr"], json!({"user.bytes": "0x00ff", "user.text": "plain"}));
        let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        names.retain(|name| *name != "fileBlockInfos");
        let mut fields = FIELDS.to_vec();
        fields.sort_unstable();
        assert_eq!(names, fields);
    }
}
