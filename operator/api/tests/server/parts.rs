//! Parts that several specifications have, at each of their places: storage, levels of a cache, properties, texts.

use crate::bench::{Bench, Wanted, changed};
use crate::cluster::{least, single, stateful};
use crate::{dataset, operation};
use serde_json::{Value, json};

type Change = crate::bench::Change<String>;
/// A new object.
type New = (Value, Vec<Change>, Wanted);
/// A change of one.
type Later = (Value, Vec<Change>, Vec<Change>, Wanted);

pub(crate) async fn judge(bench: &Bench) -> Vec<String> {
    let mut faults = Vec::new();
    let (etcd, journal) = ("/spec/coordination/etcd/managed", "/spec/master/journal");
    let levels = "/spec/worker/tieredStore/levels";
    let of_nodes = "/spec/worker/nodeOverrides/0/tieredStore/levels";
    let mut cases: Vec<New> = Vec::new();
    cases.extend(storage(&least(), etcd));
    cases.extend(storage(&single(), journal));
    cases.extend(tiers(&least(), levels));
    cases.extend(tiers(&with_nodes(), of_nodes));
    cases.extend(properties());
    cases.extend(texts());
    for (base, changes, wanted) in cases {
        faults.extend(bench.judge(&base, &changes, wanted).await);
    }
    let mut cases: Vec<Later> = Vec::new();
    cases.extend(storage_later(&least(), etcd));
    cases.extend(storage_later(&single(), journal));
    cases.extend(tiers_later(&least(), levels));
    cases.extend(tiers_later(&with_nodes(), of_nodes));
    cases.extend(claims_later());
    for (base, before, changes, wanted) in cases {
        faults.extend(bench.judge_update(&base, &before, &changes, wanted).await);
    }
    faults
}

/// A cluster some of whose nodes have a cache of their own.
fn with_nodes() -> Value {
    let tier = json!({ "alias": "MEM", "medium": "MEM", "memory": { "quota": "2Gi" } });
    let node = json!({
        "name": "big", "nodeSelector": { "disk": "big" }, "tieredStore": { "levels": [tier] },
    });
    changed(&least(), &[("/spec/worker/nodeOverrides".to_owned(), json!([node]))])
}

const SIZE: Wanted = Wanted::Refused("must be a size above 0 and below 8Ei, such as 10Gi or 800G");
const PATH: Wanted =
    Wanted::Refused("must be an absolute path of letters, digits, '.', '_' and '-'");
const SYSTEM: Wanted = Wanted::Refused("must not be a directory of the system");
const SPAN: Wanted = Wanted::Refused("must be a span of time above 0, such as 30s, 10m or 1h30m");

fn storage(base: &Value, at: &str) -> Vec<New> {
    use Wanted::{Accepted, Refused};
    let one = Refused("storage is exactly one of persistentVolumeClaim, hostPath and emptyDir");
    let lossy = Refused("set allowDataLoss: true if that may happen");
    let claim = |size: &str| json!({ "persistentVolumeClaim": { "size": size } });
    let host = |path: &str| json!({ "hostPath": { "path": path } });
    let empty = |limit: &str| json!({ "emptyDir": { "sizeLimit": limit } });
    let stored = |storage: Value, wanted: Wanted| {
        (base.clone(), vec![(format!("{at}/storage"), storage)], wanted)
    };
    let lost = |storage: Value, wanted: Wanted| {
        let allow = (format!("{at}/allowDataLoss"), json!(true));
        (base.clone(), vec![(format!("{at}/storage"), storage), allow], wanted)
    };
    vec![
        stored(claim("20Gi"), Accepted),
        stored(claim("100Ti"), Accepted),
        stored(claim("ten"), SIZE),
        stored(claim("0"), SIZE),
        stored(claim("8Ei"), SIZE),
        stored(host("/mnt/j"), Accepted),
        stored(host("mnt/j"), PATH),
        stored(host("/mnt/../j"), PATH),
        stored(host("/etc"), SYSTEM),
        stored(host("/var/lib/kubelet"), SYSTEM),
        stored(json!({}), one),
        stored(json!({ "emptyDir": {}, "hostPath": { "path": "/mnt/j" } }), one),
        stored(json!({ "emptyDir": {} }), lossy),
        lost(json!({ "emptyDir": {} }), Accepted),
        lost(empty("1Gi"), Accepted),
        lost(empty("0"), SIZE),
    ]
}

fn storage_later(base: &Value, at: &str) -> Vec<Later> {
    use Wanted::{Accepted, Refused};
    let storage = |value: Value| vec![(format!("{at}/storage"), value)];
    let claim = |size: &str| storage(json!({ "persistentVolumeClaim": { "size": size } }));
    let class = |name: &str| {
        let claim = json!({ "size": "10Gi", "storageClassName": name });
        storage(json!({ "persistentVolumeClaim": claim }))
    };
    let host = |path: &str| storage(json!({ "hostPath": { "path": path } }));
    let case = |before, after, wanted| (base.clone(), before, after, wanted);
    vec![
        case(claim("10Gi"), claim("20Gi"), Accepted),
        case(claim("10Gi"), claim("10240Mi"), Accepted),
        case(claim("10Gi"), claim("9Gi"), Refused("size can grow, not shrink")),
        case(class("slow"), class("slow"), Accepted),
        case(class("slow"), class("fast"), Refused("storageClassName cannot change")),
        case(claim("10Gi"), class("fast"), Refused("storageClassName cannot change")),
        case(claim("10Gi"), host("/mnt/j"), Refused("the kind of storage cannot change")),
        case(host("/mnt/j"), host("/mnt/j"), Accepted),
        case(host("/mnt/j"), host("/mnt/k"), Refused("path cannot change")),
    ]
}

fn mem(quota: &str) -> Value {
    json!({ "alias": "MEM", "medium": "MEM", "memory": { "quota": quota } })
}

fn ssd(kind: &str, what: Value) -> Value {
    json!({ "alias": "SSD", "medium": "SSD", kind: what })
}

fn dirs(paths: &[&str], quota: &str) -> Value {
    let dirs: Vec<Value> = paths.iter().map(|p| json!({ "path": p, "quota": quota })).collect();
    ssd("hostPath", json!({ "dirs": dirs }))
}

fn tiers(base: &Value, at: &str) -> Vec<New> {
    use Wanted::{Accepted, Refused};
    let case = |levels: Value, wanted| (base.clone(), vec![(at.to_owned(), levels)], wanted);
    let one = |level: Value, wanted| case(json!([level]), wanted);
    let memory_on = |medium: &str, kind: &str| json!({ "alias": "A1", "medium": medium, kind: { "quota": "1Gi" } });
    let watermarks = |low: u8, high: u8| {
        let marks = [
            ("/lowWatermarkPercent".to_owned(), json!(low)),
            ("/highWatermarkPercent".to_owned(), json!(high)),
        ];
        changed(&mem("1Gi"), &marks)
    };
    let kinds = Refused("a level is on exactly one of memory, hostPath, emptyDir and");
    vec![
        case(json!([mem("1Gi"), dirs(&["/mnt/a", "/mnt/ab", "/dev/shm"], "1Ti")]), Accepted),
        case(json!([mem("1Gi"), mem("1Gi")]), Refused("Duplicate value")),
        one(mem("0"), SIZE),
        one(ssd("emptyDir", json!({ "quota": "1Gi" })), Accepted),
        one(ssd("emptyDir", json!({ "quota": "1Gb" })), SIZE),
        one(dirs(&["/mnt/a"], "0"), SIZE),
        one(dirs(&["mnt"], "1Ti"), PATH),
        one(dirs(&["/mnt/../etc"], "1Ti"), PATH),
        one(dirs(&["/mnt/"], "1Ti"), PATH),
        one(dirs(&["/etc"], "1Ti"), SYSTEM),
        one(dirs(&["/dev/shmx"], "1Ti"), SYSTEM),
        one(dirs(&["/var/lib/kubelet/pods"], "1Ti"), SYSTEM),
        one(dirs(&["/mnt/a", "/mnt/a/b"], "1Ti"), Refused("a directory must not lie in another")),
        one(json!({ "alias": "MEM", "medium": "MEM" }), kinds),
        one(changed(&mem("1Gi"), &[("/emptyDir".to_owned(), json!({ "quota": "1Gi" }))]), kinds),
        one(json!({ "alias": "mem", "medium": "MEM" }), Refused("should match")),
        one(memory_on("MEM", "emptyDir"), Refused("medium MEM is memory, or a hostPath")),
        one(memory_on("SSD", "memory"), Refused("memory has medium MEM")),
        one(watermarks(50, 60), Accepted),
        one(watermarks(60, 60), Refused("lowWatermarkPercent must be below highWatermark")),
        one(ssd("volumeClaimTemplate", json!({ "size": "1Gi" })), Refused("needs kind Stateful")),
        one(ssd("volumeClaimTemplate", json!({ "size": "0" })), SIZE),
    ]
}

fn tiers_later(base: &Value, at: &str) -> Vec<Later> {
    use Wanted::{Accepted, Refused};
    let levels = |levels: &[Value]| vec![(at.to_owned(), json!(levels))];
    let case = |before: &[Value], after: &[Value], wanted| {
        (base.clone(), levels(before), levels(after), wanted)
    };
    let a = || dirs(&["/mnt/a"], "1Ti");
    let both = || dirs(&["/mnt/a", "/mnt/b"], "1Ti");
    let empty = || ssd("emptyDir", json!({ "quota": "1Gi" }));
    vec![
        case(&[mem("1Gi")], &[mem("2Gi")], Accepted),
        case(&[mem("1Gi")], &[mem("1Gi"), a()], Accepted),
        case(&[mem("1Gi"), a()], &[mem("1Gi")], Refused("levels can be added, not removed")),
        case(&[a()], &[empty()], Refused("the kind of storage of a level cannot change")),
        case(&[a()], &[both()], Accepted),
        case(&[a()], &[dirs(&["/mnt/a"], "2Ti")], Accepted),
        case(&[both()], &[dirs(&["/mnt/b"], "1Ti")], Refused("directories can be added, not rem")),
    ]
}

/// Claims of workers, which only a StatefulSet has.
fn claims_later() -> Vec<Later> {
    use Wanted::{Accepted, Refused};
    let at = "/spec/worker/tieredStore/levels/0/volumeClaimTemplate";
    let claim = |size: &str, class: &str| {
        vec![(at.to_owned(), json!({ "size": size, "storageClassName": class }))]
    };
    let case = |after, wanted| (stateful(), claim("100Gi", "slow"), after, wanted);
    vec![
        case(claim("200Gi", "slow"), Accepted),
        case(claim("1Gi", "slow"), Refused("size can grow, not shrink")),
        case(claim("100Gi", "fast"), Refused("storageClassName cannot change")),
        case(claim("0", "slow"), SIZE),
    ]
}

fn properties() -> Vec<New> {
    use Wanted::{Accepted, Refused};
    let secret = Refused("credentials do not belong here: put them in a Secret");
    let of_dataset = ["/spec/sharedOptions", "/spec/mounts/0/options"].map(|at| (at, true));
    let places = ["properties", "master/properties", "worker/properties", "fuse/properties"]
        .map(|name| (format!("/spec/{name}"), false));
    let places = places.into_iter().chain(of_dataset.map(|(at, of)| (at.to_owned(), of)));
    let cases = places.flat_map(|(at, of_dataset)| {
        let base = if of_dataset { dataset::least() } else { least() };
        let case =
            |name: &str, wanted| (base.clone(), vec![(at.clone(), json!({ name: "x" }))], wanted);
        let long = "a".repeat(254);
        [
            case("alluxio.user.block.size.bytes.default", Accepted),
            case("some.store.option_a/b@c", Accepted),
            case("a b", Refused("names of properties are letters")),
            case(&long, Refused("names of properties are letters")),
            case("some.new.store.SecretKey", secret),
            case("aws.accessKeyId", secret),
        ]
    });
    cases.collect()
}

/// Spans of time, sizes and images where the other files do not have them.
fn texts() -> Vec<New> {
    use Wanted::{Accepted, Refused};
    let case = |base: Value, at: &str, value: &str, wanted| {
        (base, vec![(at.to_owned(), json!(value))], wanted)
    };
    let mut cases = Vec::new();
    let spans = ["/spec/consistency/interval", "/spec/deletionPolicy/timeout"];
    let spans = spans.map(|at| (dataset::least(), at)).into_iter();
    let spans = spans.chain(operation::all().into_iter().flat_map(|base| {
        ["/spec/activeDeadline", "/spec/ttlAfterFinished"].map(|at| (base.clone(), at))
    }));
    for (base, at) in spans.chain([(least(), "/spec/deletionPolicy/timeout")]) {
        cases.push(case(base.clone(), at, "1h30m", Accepted));
        cases.push(case(base.clone(), at, "1.5h", Accepted));
        cases.push(case(base.clone(), at, "0s", SPAN));
        cases.push(case(base, at, "1 hour", Refused("should match")));
    }
    let capacity = "/spec/volume/capacity";
    cases.push(case(dataset::least(), capacity, "5Ti", Accepted));
    cases.push(case(dataset::least(), capacity, "0", SIZE));
    let percent = Refused("must be a number above 0, or a percentage from 1% to 100%");
    for at in ["/spec/fuse/update/maxUnavailable", "/spec/worker/update/maxUnavailable"] {
        cases.push(case(least(), at, "25%", Accepted));
        cases.push(case(least(), at, "0%", percent));
        cases.push(case(least(), at, "101%", percent));
    }
    let digest = format!("sha256:{:064}", 0);
    for at in ["/spec/image", "/spec/coordination/etcd/managed/image"] {
        let image = |value| vec![(at.to_owned(), value)];
        let both = image(json!({ "tag": "1", "digest": digest }));
        let words = "an image has a tag or a digest, not both";
        cases.push((least(), both, Refused(words)));
        cases.push((least(), image(json!({ "repository": "r.io:5000/a", "tag": "1" })), Accepted));
        cases.push((least(), image(json!({ "digest": digest })), Accepted));
    }
    cases
}
