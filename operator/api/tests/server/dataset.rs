//! `Dataset`: defaults, what a new object may say, what may change later.

use crate::bench::{Bench, Change, Wanted, changed};
use alluxio_operator_api::Dataset;
use serde_json::{Value, json};

/// The least that a Dataset says.
pub(crate) fn least() -> Value {
    json!({
        "apiVersion": "alluxio.dev/v1alpha1",
        "kind": "Dataset",
        "spec": {
            "clusterRef": { "name": "demo" },
            "mounts": [{ "name": "train", "uri": "s3://bucket/data" }],
        },
    })
}

/// One that shows another.
fn shared() -> Value {
    json!({
        "apiVersion": "alluxio.dev/v1alpha1",
        "kind": "Dataset",
        "spec": { "source": { "datasetRef": { "name": "a", "namespace": "b" } } },
    })
}

fn mounts(paths: &[Option<&str>]) -> Value {
    let one = |(number, path): (usize, &Option<&str>)| {
        let mut mount = json!({ "name": format!("m{number}"), "uri": "s3://bucket/x" });
        if let Some(path) = path {
            mount["path"] = json!(path);
        }
        mount
    };
    paths.iter().enumerate().map(one).collect()
}

pub(crate) async fn judge(bench: &Bench) -> Vec<String> {
    let mut faults = defaults(bench).await;
    for (base, changes, wanted) in bound().into_iter().chain(paths()).chain(stores()) {
        faults.extend(bench.judge(&base, &changes, wanted).await);
    }
    for (base, before, changes, wanted) in later() {
        faults.extend(bench.judge_update(&base, &before, &changes, wanted).await);
    }
    faults
}

async fn defaults(bench: &Bench) -> Vec<String> {
    let made = bench.create(least()).await.unwrap();
    let spec = &made["spec"];
    assert_eq!(spec["accessModes"], json!(["ReadOnlyMany"]));
    assert_eq!(spec["writeMode"], "Through");
    assert_eq!(spec["consistency"], json!({ "mode": "Interval", "interval": "1m" }));
    assert_eq!(spec["cachePolicy"], json!({ "readMode": "CachePromote", "pin": false }));
    assert_eq!(spec["volume"], json!({ "create": true, "capacity": "1Pi" }));
    assert_eq!(spec["deletionPolicy"], json!({ "whenInUse": "Wait", "timeout": "10m" }));
    assert_eq!(spec["mounts"][0]["readOnly"], true);
    let typed: Dataset = serde_json::from_value(made.clone()).unwrap();
    let unseen: Dataset =
        serde_json::from_value(changed(&least(), &[("/metadata", made["metadata"].clone())]))
            .unwrap();
    assert_eq!(typed.spec, unseen.spec);
    assert_eq!(typed.spec.volume.capacity.bytes(), Ok(1 << 50));
    assert_eq!(typed.spec.consistency.interval.duration().unwrap().as_secs(), 60);
    Vec::new()
}

type Case = (Value, Vec<Change>, Wanted);

fn bound() -> Vec<Case> {
    use Wanted::{Accepted, Refused};
    let at = "/spec/mounts";
    let modes = "/spec/accessModes";
    vec![
        (shared(), vec![], Accepted),
        (
            least(),
            vec![("/metadata", json!({ "name": "a".repeat(41) }))],
            Refused("metadata.name must have at most 40"),
        ),
        (
            shared(),
            vec![
                ("/spec/mounts", mounts(&[None])),
                ("/spec/clusterRef", json!({ "name": "demo" })),
            ],
            Refused("a Dataset has either mounts or a source"),
        ),
        (least(), vec![(at, json!([]))], Refused("a Dataset has either mounts or a source")),
        (
            least(),
            vec![("/spec/clusterRef", Value::Null)],
            Refused("a Dataset with mounts names its cluster in clusterRef"),
        ),
        (
            shared(),
            vec![(modes, json!(["ReadWriteMany"]))],
            Refused("a Dataset with a source can only be read"),
        ),
        (
            least(),
            vec![(modes, json!(["ReadWriteMany"]))],
            Refused("accessModes for writing need a mount with readOnly: false"),
        ),
        (
            least(),
            vec![(modes, json!(["ReadWriteMany"])), ("/spec/mounts/0/readOnly", json!(false))],
            Accepted,
        ),
        (
            least(),
            vec![(modes, json!(["ReadOnlyMany", "ReadOnlyMany"]))],
            Refused("Duplicate value"),
        ),
        (shared(), vec![("/spec/source/path", json!("/a/b"))], Accepted),
        (
            shared(),
            vec![("/spec/source/path", json!("/a/../b"))],
            Refused("must be an absolute path without"),
        ),
        (
            least(),
            vec![("/spec/allowedNamespaces", json!({ "from": "All", "selector": {} }))],
            Refused("selector is given with from: Selector, and only then"),
        ),
        (
            least(),
            vec![("/spec/volume", json!({ "mountOptions": ["attr_timeout=5"], "capacity": 1000 }))],
            Accepted,
        ),
    ]
}

fn paths() -> Vec<Case> {
    use Wanted::{Accepted, Refused};
    let at = "/spec/mounts";
    let path = "/spec/mounts/0/path";
    let clean = Refused("must be an absolute path without");
    let many: Vec<String> = (0..64).map(|number| format!("/{number:0>250}")).collect();
    let many: Vec<Option<&str>> = many.iter().map(|path| Some(path.as_str())).collect();
    vec![
        (least(), vec![(at, mounts(&[Some("/a"), Some("/ab")]))], Accepted),
        (least(), vec![(at, mounts(&[Some("/"), Some("/ab")]))], Accepted),
        (least(), vec![(at, mounts(&many))], Accepted),
        (
            least(),
            vec![(at, mounts(&[Some("/a"), None]))],
            Refused("with several mounts each needs a path"),
        ),
        (
            least(),
            vec![(at, mounts(&[Some("/a"), Some("/a")]))],
            Refused("mounts need paths of their own"),
        ),
        (
            least(),
            vec![(at, mounts(&[Some("/a"), Some("/a/b")]))],
            Refused("only a mount at / may have others below it"),
        ),
        (least(), vec![(path, json!("/a.b/..c"))], Accepted),
        (least(), vec![(path, json!("a"))], clean),
        (least(), vec![(path, json!("/a/"))], clean),
        (least(), vec![(path, json!("/a//b"))], clean),
        (least(), vec![(path, json!("/a/."))], clean),
        (least(), vec![(path, json!("/../a"))], clean),
    ]
}

fn stores() -> Vec<Case> {
    use Wanted::{Accepted, Refused};
    let uri = "/spec/mounts/0/uri";
    let s3 = json!({ "endpoint": "http://minio.minio:9000", "pathStyle": true });
    vec![
        (least(), vec![(uri, json!("hdfs://name:8020/a"))], Accepted),
        (least(), vec![(uri, json!("gluster://a/b"))], Refused("uri must begin with s3://")),
        (least(), vec![(uri, json!("s3://a b"))], Refused("uri must begin with s3://")),
        (least(), vec![("/spec/mounts/0/s3", s3.clone())], Accepted),
        (
            least(),
            vec![("/spec/mounts/0/s3", s3), (uri, json!("gs://bucket/a"))],
            Refused("s3 is for uris that begin with s3://"),
        ),
        (
            least(),
            vec![("/spec/mounts/0/s3", json!({ "endpoint": "https://key:word@host/" }))],
            Refused("should match"),
        ),
        (
            least(),
            vec![("/spec/mounts/0/options", json!({ "s3a.secretKey": "x" }))],
            Refused("credentials do not belong here"),
        ),
        (
            least(),
            vec![("/spec/sharedOptions", json!({ "aws.accessKeyId": "x" }))],
            Refused("credentials do not belong here"),
        ),
        (
            least(),
            vec![(
                "/spec/mounts/0/credentials",
                json!({ "secretRef": { "name": "s", "keys": { "s3a.secretKey": "secret" } } }),
            )],
            Accepted,
        ),
        (
            least(),
            vec![("/spec/mounts/0/credentials", json!({}))],
            Refused("secretRef: Required value"),
        ),
    ]
}

fn later() -> Vec<(Value, Vec<Change>, Vec<Change>, Wanted)> {
    use Wanted::{Accepted, Refused};
    let name = "/spec/volume/name";
    vec![
        (least(), vec![], vec![("/spec/mounts/0/uri", json!("s3://bucket/other"))], Accepted),
        (
            least(),
            vec![],
            vec![("/spec/clusterRef/name", json!("other"))],
            Refused("clusterRef cannot change"),
        ),
        (
            least(),
            vec![],
            vec![("/spec/clusterRef/namespace", json!("other"))],
            Refused("clusterRef cannot change"),
        ),
        (
            least(),
            vec![],
            vec![
                ("/spec/clusterRef", Value::Null),
                ("/spec/mounts", Value::Null),
                ("/spec/source", json!({ "datasetRef": { "name": "a" } })),
            ],
            Refused("clusterRef cannot change"),
        ),
        (shared(), vec![], vec![("/spec/deletionPolicy/whenInUse", json!("Force"))], Accepted),
        (
            shared(),
            vec![],
            vec![("/spec/source/path", json!("/a"))],
            Refused("source cannot change: make another Dataset"),
        ),
        (
            least(),
            vec![],
            vec![(name, json!("v"))],
            Refused("the volume's name cannot change: make another Dataset"),
        ),
        (
            least(),
            vec![("/spec/volume", json!({ "name": "v" }))],
            vec![(name, json!("w"))],
            Refused("the volume's name cannot change: make another Dataset"),
        ),
        (least(), vec![], vec![("/spec/deletionPolicy/whenInUse", json!("Force"))], Accepted),
    ]
}
