//! `AlluxioCluster`: what may change later.

use crate::bench::{Bench, Change, Wanted};
use crate::cluster::{least, single, stateful};
use serde_json::{Value, json};

type Case = (Value, Vec<Change>, Vec<Change>, Wanted);

pub(crate) async fn judge(bench: &Bench) -> Vec<String> {
    let mut faults = Vec::new();
    for (base, before, changes, wanted) in masters().into_iter().chain(workers()) {
        faults.extend(bench.judge_update(&base, &before, &changes, wanted).await);
    }
    faults
}

fn masters() -> Vec<Case> {
    use Wanted::{Accepted, Refused};
    let journal = "/spec/master/journal";
    let from = "/spec/master/journal/restoreFrom";
    let etcd = "/spec/coordination/etcd";
    let external = json!({ "external": { "endpoints": ["http://a:2379"] } });
    let folder =
        json!({ "type": "Folder", "storage": { "persistentVolumeClaim": { "size": "10Gi" } } });
    vec![
        (least(), vec![], vec![("/spec/master/replicas", json!(1))], Accepted),
        (least(), vec![], vec![("/spec/operation/mode", json!("Paused"))], Accepted),
        (least(), vec![], vec![("/spec/version", json!("1.2.3"))], Accepted),
        (
            least(),
            vec![("/spec/master", json!({ "replicas": 1 }))],
            vec![(journal, folder), ("/spec/coordination", Value::Null)],
            Refused("the type of the journal cannot change"),
        ),
        (
            single(),
            vec![],
            vec![("/spec/coordination", json!({ "etcd": { "managed": {} } }))],
            Refused("coordination cannot be added or removed"),
        ),
        (
            single(),
            vec![],
            vec![(from, json!({ "uri": "s3://b/x.gz" }))],
            Refused("restoreFrom fills a new journal and cannot be changed later"),
        ),
        (
            single(),
            vec![(from, json!({ "uri": "s3://b/x.gz" }))],
            vec![(from, Value::Null)],
            Refused("restoreFrom fills a new journal and cannot be changed later"),
        ),
        (
            least(),
            vec![],
            vec![(etcd, external.clone())],
            Refused("external and managed cannot be exchanged"),
        ),
        (least(), vec![], vec![("/spec/coordination/etcd/managed/replicas", json!(5))], Accepted),
        (
            least(),
            vec![(etcd, external.clone())],
            vec![("/spec/coordination/etcd/external/endpoints/-", json!("http://b:2379"))],
            Accepted,
        ),
        (
            least(),
            vec![(etcd, external)],
            vec![("/spec/coordination/etcd/external/clusterName", json!("other"))],
            Refused("clusterName cannot change"),
        ),
    ]
}

fn workers() -> Vec<Case> {
    use Wanted::{Accepted, Refused};
    let levels = "/spec/worker/tieredStore/levels";
    vec![
        (stateful(), vec![], vec![("/spec/worker/replicas", json!(5))], Accepted),
        (
            least(),
            vec![(
                levels,
                json!([{ "alias": "SSD", "medium": "SSD", "emptyDir": { "quota": "1Gi" } }]),
            )],
            vec![("/spec/worker/kind", json!("StatefulSet")), ("/spec/worker/replicas", json!(1))],
            Refused("kind cannot change"),
        ),
    ]
}
