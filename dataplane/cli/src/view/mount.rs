//! Views of the mount table.

use super::size_or_unknown;
use alluxio_client::MountPoint;
use serde_json::{Value, json};

/// `UFS on /path (type, capacity=, used=, [not ]read-only, [not ]shared, properties={…})`.
pub fn row(mount: &MountPoint) -> String {
    let info = &mount.info;
    let not = |flag: bool| if flag { "" } else { "not " };
    let properties: Vec<String> =
        info.options.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "{:<25} on {:<20} ({}, capacity={}, used={}, {}read-only, {}shared, properties={{{}}})",
        info.ufs_uri,
        info.path.as_str(),
        mount.ufs_type,
        size_or_unknown(mount.capacity_bytes),
        size_or_unknown(mount.used_bytes),
        not(info.read_only),
        not(info.shared),
        properties.join(", ")
    )
}

/// The same for machines.
pub fn json(mount: &MountPoint) -> Value {
    let info = &mount.info;
    json!({
        "mountId": info.id.0,
        "path": info.path.as_str(),
        "ufsUri": info.ufs_uri,
        "ufsType": mount.ufs_type,
        "ufsCapacityBytes": mount.capacity_bytes.map_or(json!(-1), |bytes| json!(bytes)),
        "ufsUsedBytes": mount.used_bytes.map_or(json!(-1), |bytes| json!(bytes)),
        "readOnly": info.read_only,
        "shared": info.shared,
        "properties": info.options.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::{AlluxioPath, MountId, MountInfo, MountOptions};
    use std::collections::BTreeMap;

    #[test]
    fn a_mount_is_one_line() {
        let mount = MountPoint {
            info: MountInfo {
                id: MountId(2),
                path: AlluxioPath::parse("/lake").unwrap(),
                ufs_uri: "s3://bucket".into(),
                read_only: true,
                shared: false,
                options: MountOptions(BTreeMap::from([("s3a.secretKey".into(), "******".into())])),
            },
            ufs_type: "s3".into(),
            capacity_bytes: None,
            used_bytes: Some(2048),
        };
        assert_eq!(
            row(&mount),
            "s3://bucket               on /lake                (s3, capacity=-1B, used=2.00KB, \
             read-only, not shared, properties={s3a.secretKey=******})"
        );
    }
}
