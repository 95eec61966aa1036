//! Journal entries and checkpoint items for people and machines. Credentials are masked.

use alluxio_config::MASK;
use alluxio_types::{
    Answer, AttributeChanges, CheckpointRecord, Entry, FileKind, InodeRecord, IntendedChange,
    Intent, MountInfo, Quota, TtlAction,
};
use serde_json::{Map, Value, json};

/// An entry as an object; `type` says what it is.
pub fn entry(entry: &Entry) -> Value {
    match entry {
        Entry::Format { cluster_id, at } => {
            json!({"type": "Format", "clusterId": cluster_id, "atMs": at.0})
        }
        Entry::Create(record) => inode("Create", record),
        Entry::Complete { id, length, modified, persistence, fingerprint } => json!({
            "type": "Complete", "id": id.0, "length": length, "modifiedMs": modified.0,
            "persistence": persistence.name(), "fingerprint": fingerprint.0,
        }),
        Entry::Delete { id, modified } => {
            json!({"type": "Delete", "id": id.0, "modifiedMs": modified.0})
        }
        Entry::Rename { id, parent, name, modified } => json!({
            "type": "Rename", "id": id.0, "parent": parent.0, "name": name,
            "modifiedMs": modified.0,
        }),
        Entry::SetAttributes { id, changes } => attributes(id.0, changes),
        Entry::SetPersistence { id, state, fingerprint } => json!({
            "type": "SetPersistence", "id": id.0, "persistence": state.name(),
            "fingerprint": fingerprint.0,
        }),
        Entry::Mount(info) => mount("Mount", info),
        Entry::UpdateMount(info) => mount("UpdateMount", info),
        Entry::Unmount { id } => json!({"type": "Unmount", "mountId": id.0}),
        Entry::ReserveContainers { next } => json!({"type": "ReserveContainers", "next": next}),
        Entry::Answered { operation, answer: answered } => answer(operation.0, *answered),
        Entry::Intent(open) => intent(open),
        Entry::IntentEnd { id } => json!({"type": "IntentEnd", "intent": format!("{id:016x}")}),
        Entry::Group(entries) => {
            json!({"type": "Group", "entries": entries.iter().map(self::entry).collect::<Vec<_>>()})
        }
    }
}

/// An item of a checkpoint or backup as an object.
pub fn item(record: &CheckpointRecord) -> Value {
    match record {
        CheckpointRecord::Cluster { cluster_id, formatted } => {
            json!({"type": "Cluster", "clusterId": cluster_id, "formattedMs": formatted.0})
        }
        CheckpointRecord::NextContainer(next) => json!({"type": "NextContainer", "next": next}),
        CheckpointRecord::Mount(info) => mount("Mount", info),
        CheckpointRecord::Answered { operation, answer: answered } => {
            answer(operation.0, *answered)
        }
        CheckpointRecord::Intent(open) => intent(open),
        CheckpointRecord::Inode(record) => inode("Inode", record),
    }
}

/// A remembered answer to a change with this operation id.
fn answer(operation: u128, answer: Answer) -> Value {
    let mut value = json!({"type": "Answered", "operation": format!("{operation:032x}")});
    let rest = match answer {
        Answer::Done { removed } => json!({"answer": "done", "removed": removed}),
        Answer::Inode { id, created } => json!({"answer": "inode", "id": id.0, "created": created}),
        Answer::Mounted(id) => json!({"answer": "mounted", "mountId": id.0}),
    };
    merge(&mut value, rest);
    value
}

/// Something that is about to be done in the UFS.
fn intent(open: &Intent) -> Value {
    let mut value = json!({
        "type": "Intent",
        "intent": format!("{:016x}", open.id),
        "id": open.inode.0,
        "path": open.path.as_str(),
    });
    let rest = match &open.change {
        IntendedChange::Delete { recursive, delete_mount_points } => json!({
            "change": "delete", "recursive": recursive, "deleteMountPoints": delete_mount_points,
        }),
        IntendedChange::Rename { target } => json!({"change": "rename", "target": target.as_str()}),
    };
    merge(&mut value, rest);
    if let Some(operation) = open.operation {
        merge(&mut value, json!({"operation": operation.to_string()}));
    }
    value
}

fn inode(kind: &str, record: &InodeRecord) -> Value {
    let mut value = json!({
        "type": kind,
        "id": record.id.0,
        "parent": record.parent.0,
        "name": record.name,
        "kind": match record.kind {
            FileKind::File => "file",
            FileKind::Directory => "directory",
            FileKind::Symlink => "symlink",
        },
        "owner": record.owner,
        "group": record.group,
        "mode": format!("{:o}", record.mode.0),
        "createdMs": record.created.0,
        "modifiedMs": record.modified.0,
        "accessedMs": record.accessed.0,
        "pinned": record.pinned,
        "persistence": record.persistence.name(),
        "fingerprint": record.fingerprint.0,
    });
    let rest = match record.kind {
        FileKind::Directory => json!({"childrenLoaded": record.children_loaded}),
        FileKind::Symlink => json!({"target": record.target}),
        FileKind::File => json!({
            "length": record.length, "blockSizeBytes": record.block_size_bytes,
            "completed": record.completed, "replicationMin": record.replication_min,
        }),
    };
    merge(&mut value, rest);
    if !record.xattr.is_empty() {
        let lengths =
            record.xattr.iter().map(|(name, value)| (name.to_owned(), json!(value.len())));
        merge(&mut value, json!({"xattrBytes": lengths.collect::<Map<_, _>>()}));
    }
    if let Some(ttl) = record.ttl_ms {
        merge(&mut value, json!({"ttlMs": ttl, "ttlAction": ttl_action(record.ttl_action)}));
    }
    if !record.quota.is_none() {
        merge(&mut value, json!({"quota": quota(record.quota)}));
    }
    if let Some(max) = record.replication_max {
        merge(&mut value, json!({"replicationMax": max}));
    }
    value
}

const fn ttl_action(action: TtlAction) -> &'static str {
    match action {
        TtlAction::Free => "FREE",
        TtlAction::Delete => "DELETE",
        TtlAction::DeleteAlluxio => "DELETE_ALLUXIO",
    }
}

fn quota(Quota { bytes, inodes }: Quota) -> Value {
    json!({"bytes": bytes, "inodes": inodes})
}

fn attributes(id: u64, changes: &AttributeChanges) -> Value {
    let AttributeChanges {
        owner,
        group,
        mode,
        pinned,
        ttl_ms,
        ttl_action: action,
        replication_min,
        replication_max,
        accessed,
        modified,
        children_loaded,
        xattr,
        quota: bounds,
    } = changes;
    let mut value = Map::new();
    let mut put = |name: &str, changed: Option<Value>| {
        if let Some(changed) = changed {
            value.insert(name.to_owned(), changed);
        }
    };
    put("type", Some(json!("SetAttributes")));
    put("id", Some(json!(id)));
    put("owner", owner.as_ref().map(|owner| json!(owner)));
    put("group", group.as_ref().map(|group| json!(group)));
    put("mode", mode.map(|mode| json!(format!("{:o}", mode.0))));
    put("pinned", pinned.map(|pinned| json!(pinned)));
    put("ttlMs", ttl_ms.map(|ttl| json!(ttl)));
    put("ttlAction", action.map(|action| json!(ttl_action(action))));
    put("replicationMin", replication_min.map(|min| json!(min)));
    put("replicationMax", replication_max.map(|max| json!(max)));
    put("accessedMs", accessed.map(|at| json!(at.0)));
    put("modifiedMs", modified.map(|at| json!(at.0)));
    put("childrenLoaded", children_loaded.map(|loaded| json!(loaded)));
    put("quota", bounds.map(quota));
    // Values may be secrets, and long.
    let lengths =
        xattr.iter().map(|(name, value)| (name.clone(), json!(value.as_ref().map(Vec::len))));
    put("xattrBytes", (!xattr.is_empty()).then(|| json!(lengths.collect::<Map<_, _>>())));
    Value::Object(value)
}

/// Any option may be a credential, and a dump is passed around: all values are masked.
fn mount(kind: &str, info: &MountInfo) -> Value {
    let options: Map<String, Value> =
        info.options.0.keys().map(|name| (name.clone(), json!(MASK))).collect();
    json!({
        "type": kind, "mountId": info.id.0, "path": info.path.as_str(), "ufsUri": info.ufs_uri,
        "readOnly": info.read_only, "shared": info.shared, "properties": options,
    })
}

fn merge(value: &mut Value, rest: Value) {
    if let (Value::Object(value), Value::Object(rest)) = (value, rest) {
        value.extend(rest);
    }
}

/// One of these objects as a line: its type, then `name=value`; a group has a line for each of its
/// entries, indented.
pub fn lines(value: &Value) -> Vec<String> {
    let mut line = value["type"].as_str().unwrap_or_default().to_owned();
    let mut below = Vec::new();
    for (name, field) in value.as_object().into_iter().flatten() {
        match (name.as_str(), field) {
            ("type", _) => {}
            ("entries", Value::Array(entries)) => {
                below.extend(entries.iter().flat_map(lines).map(|text| format!("  {text}")));
            }
            _ => line.push_str(&format!(" {name}={field}")),
        }
    }
    below.insert(0, line);
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::{AlluxioPath, InodeId, MountId, MountOptions, UnixMillis};
    use std::collections::BTreeMap;

    #[test]
    fn a_group_has_a_line_for_each_of_its_entries() {
        let group = Entry::Group(vec![
            Entry::ReserveContainers { next: 9 },
            Entry::SetAttributes {
                id: InodeId(7),
                changes: AttributeChanges {
                    pinned: Some(true),
                    ttl_ms: Some(None),
                    ..AttributeChanges::default()
                },
            },
            Entry::Delete { id: InodeId(7), modified: UnixMillis(5) },
        ]);
        assert_eq!(
            lines(&entry(&group)),
            [
                "Group",
                "  ReserveContainers next=9",
                "  SetAttributes id=7 pinned=true ttlMs=null",
                "  Delete id=7 modifiedMs=5",
            ]
        );
    }

    #[test]
    fn no_option_of_a_mount_is_shown() {
        let info = MountInfo {
            id: MountId(2),
            path: AlluxioPath::parse("/s3").unwrap(),
            ufs_uri: "s3://b".into(),
            read_only: false,
            shared: true,
            options: MountOptions(BTreeMap::from([("s3a.secretKey".into(), "hush".into())])),
        };
        let text = item(&CheckpointRecord::Mount(info)).to_string();
        assert!(text.contains("s3a.secretKey") && !text.contains("hush"), "{text}");
    }
}
