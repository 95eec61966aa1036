//! `AlluxioCluster`: defaults, and what a new object may say.

use crate::bench::{Bench, Change, Wanted, changed};
use alluxio_operator_api::AlluxioCluster;
use serde_json::{Value, json};

/// The least that a cluster says.
pub(crate) fn least() -> Value {
    json!({
        "apiVersion": "alluxio.dev/v1alpha1",
        "kind": "AlluxioCluster",
        "spec": {
            "coordination": { "etcd": { "managed": {} } },
            "worker": { "tieredStore": { "levels": [
                { "alias": "MEM", "medium": "MEM", "memory": { "quota": "1Gi" } },
            ] } },
        },
    })
}

/// One with a journal in a folder.
pub(crate) fn single() -> Value {
    changed(
        &least(),
        &[
            ("/spec/coordination", Value::Null),
            ("/spec/master", json!({ "replicas": 1, "journal": { "type": "Folder" } })),
        ],
    )
}

/// One whose workers are a StatefulSet.
pub(crate) fn stateful() -> Value {
    changed(
        &least(),
        &[
            ("/spec/worker/kind", json!("StatefulSet")),
            ("/spec/worker/replicas", json!(2)),
            (
                "/spec/worker/tieredStore/levels/0",
                json!({
                    "alias": "SSD", "medium": "SSD", "volumeClaimTemplate": { "size": "100Gi" },
                }),
            ),
        ],
    )
}

/// A level on directories of the node.
pub(crate) fn dirs(paths: &[&str]) -> Value {
    let dirs: Vec<Value> = paths.iter().map(|p| json!({ "path": p, "quota": "1Ti" })).collect();
    json!({ "alias": "SSD", "medium": "SSD", "hostPath": { "dirs": dirs } })
}

pub(crate) async fn judge(bench: &Bench) -> Vec<String> {
    let mut faults = defaults(bench).await;
    for (base, changes, wanted) in whole().into_iter().chain(coordination()).chain(workers()) {
        faults.extend(bench.judge(&base, &changes, wanted).await);
    }
    for (changes, wanted) in texts() {
        faults.extend(bench.judge(&least(), &changes, wanted).await);
    }
    faults
}

/// What the server fills in is what the types say.
async fn defaults(bench: &Bench) -> Vec<String> {
    let made = bench.create(least()).await.unwrap();
    let spec = &made["spec"];
    let mut faults = Vec::new();
    let mut is = |path: &str, wanted: Value| {
        let found = spec.pointer(path).cloned().unwrap_or_default();
        if found != wanted {
            faults.push(format!("default of {path}: {found}, not {wanted}"));
        }
    };
    is("/master/replicas", json!(3));
    is("/master/journal/type", json!("Etcd"));
    is("/master/journal/storage", json!({ "persistentVolumeClaim": { "size": "10Gi" } }));
    is("/master/ports", json!({ "rpc": 19998, "web": 19999 }));
    is("/coordination/leaseSeconds", json!(5));
    is("/coordination/etcd/managed/replicas", json!(3));
    is("/coordination/etcd/managed/storage", json!({ "persistentVolumeClaim": { "size": "8Gi" } }));
    is("/worker/kind", json!("DaemonSet"));
    is("/worker/ports", json!({ "rpc": 29999, "data": 29998, "web": 30000 }));
    is("/worker/shortCircuit", json!({ "enabled": true, "hostDir": "/run/alluxio" }));
    is("/worker/update/maxUnavailable", json!(1));
    is("/worker/tieredStore/evictor", json!("LRU"));
    is("/worker/tieredStore/levels/0/highWatermarkPercent", json!(95));
    is("/worker/tieredStore/levels/0/lowWatermarkPercent", json!(70));
    is("/worker/replicas", Value::Null);
    is(
        "/fuse",
        json!({ "enabled": true, "update": { "policy": "Smooth", "maxUnavailable": "10%" } }),
    );
    is("/operation/mode", json!("Running"));
    is("/logging", json!({ "level": "INFO", "format": "JSON" }));
    is("/deletionPolicy", json!({ "cache": "Delete", "journal": "Retain", "timeout": "10m" }));
    is("/allowedDatasetNamespaces", json!({ "from": "Same" }));
    is("/networkPolicy/enabled", json!(false));
    // What Rust fills in is the same: an object that the server has seen does not change when it is read.
    let typed: AlluxioCluster = serde_json::from_value(made.clone()).unwrap();
    let unseen: AlluxioCluster =
        serde_json::from_value(changed(&least(), &[("/metadata", made["metadata"].clone())]))
            .unwrap();
    assert_eq!(typed.spec, unseen.spec);
    // A null is as good as nothing.
    let nulls =
        bench.create(changed(&least(), &[("/spec/master", json!({ "replicas": null }))])).await;
    assert_eq!(nulls.unwrap().pointer("/spec/master/replicas"), Some(&json!(3)));
    faults
}

type Case = (Value, Vec<Change>, Wanted);

fn whole() -> Vec<Case> {
    use Wanted::{Accepted, Refused};
    vec![
        (least(), vec![("/metadata", json!({ "name": "a".repeat(40) }))], Accepted),
        (
            least(),
            vec![("/metadata", json!({ "name": "a".repeat(41) }))],
            Refused("metadata.name must have at most 40 characters"),
        ),
        (single(), vec![], Accepted),
        (
            single(),
            vec![("/spec/master/replicas", json!(3))],
            Refused("a journal in a folder has one master"),
        ),
        (
            single(),
            vec![("/spec/coordination", json!({ "etcd": { "managed": {} } }))],
            Refused("journal type Folder goes without coordination"),
        ),
        (
            least(),
            vec![("/spec/coordination", Value::Null)],
            Refused("journal type Etcd needs coordination.etcd"),
        ),
        (
            single(),
            vec![("/spec/master/journal/restoreFrom", json!({ "uri": "s3://b/x.gz" }))],
            Accepted,
        ),
        (
            single(),
            vec![(
                "/spec/master/journal/restoreFrom",
                json!({ "uri": "s3://b/x.gz", "backupRef": { "name": "b" } }),
            )],
            Refused("restoreFrom is exactly one of uri and backupRef"),
        ),
        (
            single(),
            vec![("/spec/master/ports", json!({ "web": 19998 }))],
            Refused("ports must differ"),
        ),
        (single(), vec![("/spec/master/ports", json!({ "web": 19997 }))], Accepted),
        (
            least(),
            vec![("/spec/allowedDatasetNamespaces", json!({ "from": "Selector" }))],
            Refused("selector is given with from: Selector, and only then"),
        ),
        (
            least(),
            vec![(
                "/spec/allowedDatasetNamespaces",
                json!({ "from": "Selector", "selector": { "matchLabels": { "a": "b" } } }),
            )],
            Accepted,
        ),
    ]
}

fn coordination() -> Vec<Case> {
    use Wanted::{Accepted, Refused};
    let external =
        |endpoints: &[&str]| json!({ "etcd": { "external": { "endpoints": endpoints } } });
    let at = "/spec/coordination";
    let tls = |endpoint: &str| json!({ "etcd": { "external": { "endpoints": [endpoint], "tls": { "secretRef": { "name": "t" } } } } });
    vec![
        (least(), vec![(at, external(&["http://a:2379", "http://b:2379"]))], Accepted),
        (least(), vec![(at, tls("https://a:2379"))], Accepted),
        (
            least(),
            vec![(at, tls("http://a:2379"))],
            Refused("tls needs endpoints that begin with https://"),
        ),
        (
            least(),
            vec![(at, external(&["http://a:2379", "https://b:2379"]))],
            Refused("endpoints must be all https:// or all http://"),
        ),
        (least(), vec![(at, external(&["a:2379"]))], Refused("should match")),
        (
            least(),
            vec![(at, json!({ "etcd": {} }))],
            Refused("etcd is exactly one of external and managed"),
        ),
        (
            least(),
            vec![(at, json!({ "etcd": { "managed": { "replicas": 2 } } }))],
            Refused("Unsupported value: 2"),
        ),
    ]
}

fn workers() -> Vec<Case> {
    use Wanted::{Accepted, Refused};
    let level = "/spec/worker/tieredStore/levels/0";
    let more = "/spec/worker/tieredStore/levels/-";
    let node = |tiers: Value| json!([{ "name": "big", "nodeSelector": { "disk": "big" }, "tieredStore": { "levels": [tiers] } }]);
    let claim =
        json!({ "alias": "SSD", "medium": "SSD", "volumeClaimTemplate": { "size": "1Gi" } });
    vec![
        (stateful(), vec![], Accepted),
        (
            stateful(),
            vec![("/spec/worker/replicas", Value::Null)],
            Refused("replicas is given with kind StatefulSet, and only then"),
        ),
        (
            least(),
            vec![("/spec/worker/replicas", json!(2))],
            Refused("replicas is given with kind StatefulSet, and only then"),
        ),
        (
            least(),
            vec![(more, claim.clone())],
            Refused("volumeClaimTemplate needs kind StatefulSet"),
        ),
        (stateful(), vec![(level, dirs(&["/mnt/a"]))], Refused("hostPath needs kind DaemonSet")),
        (
            stateful(),
            vec![("/spec/worker/hostNetwork", json!(true))],
            Refused("hostNetwork needs kind DaemonSet"),
        ),
        (
            stateful(),
            vec![("/spec/worker/nodeOverrides", node(dirs(&["/mnt/a"])))],
            Refused("nodeOverrides needs kind DaemonSet"),
        ),
        (least(), vec![("/spec/worker/nodeOverrides", node(dirs(&["/mnt/a"])))], Accepted),
        (
            least(),
            vec![("/spec/worker/nodeOverrides", node(claim))],
            Refused("volumeClaimTemplate needs kind StatefulSet"),
        ),
        (
            least(),
            vec![("/spec/worker/nodeOverrides", json!([{ "name": "big", "nodeSelector": {} }]))],
            Refused("nodeSelector must name a label"),
        ),
        (
            least(),
            vec![("/spec/worker/ports", json!({ "rpc": 30000 }))],
            Refused("ports must differ"),
        ),
    ]
}

/// Texts that are checked everywhere alike.
fn texts() -> Vec<(Vec<Change>, Wanted)> {
    use Wanted::{Accepted, Refused};
    let update = |value: Value| vec![("/spec/worker/update", json!({ "maxUnavailable": value }))];
    let timeout = |text: &str| vec![("/spec/deletionPolicy", json!({ "timeout": text }))];
    let percent = Refused("must be a number above 0, or a percentage from 1% to 100%");
    let property = |name: &str| vec![("/spec/properties", json!({ name: "x" }))];
    let secret = Refused("credentials do not belong here");
    let mut cases = vec![
        (update(json!(3)), Accepted),
        (update(json!("25%")), Accepted),
        (update(json!("100%")), Accepted),
        (update(json!(0)), percent),
        (update(json!("0%")), percent),
        (update(json!("3")), percent),
        (timeout("1h30m"), Accepted),
        (timeout("1.5h"), Accepted),
        (timeout("0s"), Refused("must be a span of time above 0")),
        (timeout("1 hour"), Refused("should match")),
        (property("alluxio.user.block.size.bytes.default"), Accepted),
        (property("alluxio.security.block.token.enabled"), Accepted),
        (property("alluxio.etcd.password.file"), Accepted),
        (property("fs.gcs.credential.path"), Accepted),
        (property("a b"), Refused("names of properties are letters")),
        (property("some.new.store.SecretKey"), secret),
        (property("alluxio.etcd.password"), secret),
        (property("alluxio.master.journal.ufs.option.s3a.secretKey"), secret),
        (vec![("/spec/version", json!("2.0.0-rc.1"))], Accepted),
        (vec![("/spec/version", json!("latest"))], Refused("should match")),
        (
            vec![(
                "/spec/master",
                json!({ "podOverrides": { "spec": { "priorityClassName": "p" } } }),
            )],
            Accepted,
        ),
        (
            vec![("/spec/master", json!({ "resources": { "requests": { "cpu": "lots" } } }))],
            Refused("should match"),
        ),
        (
            vec![(
                "/spec/master",
                json!({ "resources": { "requests": { "cpu": "500m", "memory": 1000 } } }),
            )],
            Accepted,
        ),
    ];
    // Every credential that the data plane knows.
    let credentials = alluxio_config::ufs::options().iter().filter(|option| option.credential);
    for option in credentials {
        cases.push((property(&option.name.replace("<rest>", "account.example")), secret));
    }
    cases
}
