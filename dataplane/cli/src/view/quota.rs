//! Views of quotas, in HDFS's words.

use super::size;
use alluxio_types::QuotaStatus;
use serde_json::{Value, json};

/// Above the rows.
pub const HEADER: &str = "       QUOTA   REM_QUOTA    SPACE_QUOTA REM_SPACE_QUOTA PATHNAME";

/// One quota: bound and rest of names, bound and rest of bytes, path. `none` is no bound, and `inf` its rest; a
/// rest below 0 is how much is too much.
pub fn row(status: &QuotaStatus, human: bool) -> String {
    let (quota, usage) = (status.quota, status.usage);
    let bytes = |bytes: u64| size(bytes, human);
    let names = cells(quota.inodes, usage.inodes, |names| names.to_string());
    let space = cells(quota.bytes, usage.bytes, bytes);
    format!("{:>12}{:>12}{:>15}{:>16} {}", names.0, names.1, space.0, space.1, status.path)
}

fn cells(bound: Option<u64>, used: u64, text: impl Fn(u64) -> String) -> (String, String) {
    match bound {
        None => ("none".to_owned(), "inf".to_owned()),
        Some(bound) if used > bound => (text(bound), format!("-{}", text(used - bound))),
        Some(bound) => (text(bound), text(bound - used)),
    }
}

/// The same for machines; without any bound nobody counts, and what is used is null.
pub fn json(status: &QuotaStatus) -> Value {
    let counted = !status.quota.is_none();
    json!({
        "path": status.path.as_str(),
        "quotaInodes": status.quota.inodes,
        "usedInodes": counted.then_some(status.usage.inodes),
        "quotaBytes": status.quota.bytes,
        "usedBytes": counted.then_some(status.usage.bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::{AlluxioPath, Quota, QuotaUsage};

    #[test]
    fn no_bound_and_too_much_are_told_as_in_hdfs() {
        let path = AlluxioPath::parse("/v").unwrap();
        let quota = Quota { bytes: Some(1000), inodes: None };
        let usage = QuotaUsage { bytes: 1024, inodes: 3 };
        let status = QuotaStatus { path, quota, usage };
        let row = row(&status, false);
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words, ["none", "inf", "1000", "-24", "/v"]);
        assert_eq!(row.find("none").map(|at| at + 4), HEADER.find("QUOTA").map(|at| at + 5));
        assert_eq!(json(&status)["usedInodes"], 3);
    }
}
