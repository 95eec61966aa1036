//! `DataLoad`, `DataEvict`, `MetadataBackup`: defaults, what a new object may say, what may change later.

use crate::bench::{Bench, Change, Wanted};
use serde_json::{Value, json};

fn load() -> Value {
    json!({
        "apiVersion": "alluxio.dev/v1alpha1",
        "kind": "DataLoad",
        "spec": { "datasetRef": { "name": "d" } },
    })
}

fn evict() -> Value {
    json!({
        "apiVersion": "alluxio.dev/v1alpha1",
        "kind": "DataEvict",
        "spec": { "datasetRef": { "name": "d" } },
    })
}

fn backup() -> Value {
    json!({
        "apiVersion": "alluxio.dev/v1alpha1",
        "kind": "MetadataBackup",
        "spec": { "clusterRef": { "name": "c" } },
    })
}

/// The least of each kind.
pub(crate) fn all() -> [Value; 3] {
    [load(), evict(), backup()]
}

pub(crate) async fn judge(bench: &Bench) -> Vec<String> {
    let mut faults = Vec::new();
    let made = bench.create(load()).await.unwrap();
    let wanted = json!({
        "datasetRef": { "name": "d" }, "paths": ["/"], "metadataOnly": false, "parallelism": 16,
        "backoffLimit": 3, "suspend": false,
    });
    assert_eq!(made["spec"], wanted);
    for base in all() {
        for (changes, wanted) in every_kind() {
            faults.extend(bench.judge(&base, &changes, wanted).await);
        }
        for (before, changes, wanted) in every_kind_later() {
            faults.extend(bench.judge_update(&base, &before, &changes, wanted).await);
        }
    }
    for (base, changes, wanted) in own() {
        faults.extend(bench.judge(&base, &changes, wanted).await);
    }
    for (base, changes, wanted) in own_later() {
        faults.extend(bench.judge_update(&base, &[], &changes, wanted).await);
    }
    faults
}

fn every_kind() -> Vec<(Vec<Change>, Wanted)> {
    use Wanted::{Accepted, Refused};
    let cron = |text: &str| vec![("/spec/schedule", json!({ "cron": text }))];
    vec![
        (
            vec![("/metadata", json!({ "name": "a".repeat(41) }))],
            Refused("metadata.name must have at most 40"),
        ),
        (cron("30 2 * * *"), Accepted),
        (cron("*/5 0-6,20 1,15 JAN-MAR MON-FRI"), Accepted),
        (cron("@daily"), Accepted),
        (cron("daily"), Refused("should match")),
        (cron("30 2 * *"), Refused("should match")),
        (cron("30 2 * * * *"), Refused("should match")),
        (vec![("/spec/activeDeadline", json!("0m"))], Refused("must be a span of time above 0")),
        (vec![("/spec/backoffLimit", json!(-1))], Refused("should be greater than or equal to 0")),
    ]
}

fn every_kind_later() -> Vec<(Vec<Change>, Vec<Change>, Wanted)> {
    use Wanted::{Accepted, Refused};
    let refused = Refused(
        "of an operation only suspend, ttlAfterFinished and what is in schedule can change",
    );
    let schedule = json!({ "cron": "@daily" });
    vec![
        (
            vec![],
            vec![("/spec/suspend", json!(true)), ("/spec/ttlAfterFinished", json!("1h"))],
            Accepted,
        ),
        (
            vec![("/spec/schedule", schedule.clone())],
            vec![
                ("/spec/schedule/cron", json!("@hourly")),
                ("/spec/schedule/failedHistoryLimit", json!(5)),
            ],
            Accepted,
        ),
        (vec![], vec![("/spec/schedule", schedule.clone())], refused),
        (vec![("/spec/schedule", schedule)], vec![("/spec/schedule", Value::Null)], refused),
        (vec![], vec![("/spec/backoffLimit", json!(5))], refused),
        (vec![], vec![("/spec/activeDeadline", json!("1h"))], refused),
    ]
}

fn own() -> Vec<(Value, Vec<Change>, Wanted)> {
    use Wanted::{Accepted, Refused};
    let at = "/spec/paths";
    let clean = Refused("paths must be absolute, without '//'");
    vec![
        (load(), vec![(at, json!(["/", "/a/b", "/a b/c.d"]))], Accepted),
        (load(), vec![(at, json!(["/a", "b"]))], clean),
        (evict(), vec![(at, json!(["/a/../b"]))], clean),
        (load(), vec![(at, json!([]))], Refused("should have at least 1 items")),
        (
            load(),
            vec![("/spec/parallelism", json!(0))],
            Refused("should be greater than or equal to 1"),
        ),
        (backup(), vec![("/spec/directory", json!("s3://bucket/backups"))], Accepted),
        (backup(), vec![("/spec/directory", json!("/backups"))], Accepted),
        (
            backup(),
            vec![("/spec/directory", json!("backups"))],
            Refused("directory must be an absolute path or a URI"),
        ),
    ]
}

fn own_later() -> Vec<(Value, Vec<Change>, Wanted)> {
    use Wanted::Refused;
    let paths = vec![("/spec/paths", json!(["/a"]))];
    vec![
        (load(), paths.clone(), Refused("what is loaded cannot change")),
        (
            load(),
            vec![("/spec/datasetRef/name", json!("e"))],
            Refused("what is loaded cannot change"),
        ),
        (evict(), paths, Refused("what is evicted cannot change")),
        (evict(), vec![("/spec/force", json!(true))], Refused("what is evicted cannot change")),
        (
            backup(),
            vec![("/spec/directory", json!("/b"))],
            Refused("what is backed up, and where to, cannot change"),
        ),
        (
            backup(),
            vec![("/spec/clusterRef/name", json!("e"))],
            Refused("what is backed up, and where to, cannot change"),
        ),
    ]
}
