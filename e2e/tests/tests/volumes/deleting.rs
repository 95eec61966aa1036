//! Pods of ours are deleted while pods with volumes work: those see pauses, and nothing else.

use crate::on_stand;
use alluxio_e2e_harness::namespace::is_ready;
use alluxio_e2e_harness::{Identity, LIMIT};
use alluxio_e2e_tests::app::Seen;
use alluxio_e2e_tests::stand::{DATASET, NAME, Stand, node_of};
use alluxio_e2e_tests::{App, SYSTEM};
use alluxio_operator_api::AlluxioCluster;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// For how long pods are deleted at random, in seconds.
const SECONDS: &str = "ALLUXIO_TEST_DELETIONS_SECONDS";
/// The same in continuous integration.
const SECONDS_IN_CI: u64 = 20;
/// Seed of the draws.
const SEED: &str = "ALLUXIO_TEST_DELETIONS_SEED";
/// Holders of mounts on each node beside the agent: the keeper and the CSI driver.
const KEEPERS: f64 = 2.0;

/// A kind of pods of ours: where, and its component.
#[derive(Debug, Clone, Copy)]
struct Part {
    in_system: bool,
    component: &'static str,
}

const PARTS: [Part; 7] = [
    Part { in_system: false, component: "master" },
    Part { in_system: false, component: "worker" },
    Part { in_system: false, component: "fuse-agent" },
    Part { in_system: true, component: "fuse-keeper" },
    Part { in_system: true, component: "csi-node" },
    Part { in_system: true, component: "operator" },
    Part { in_system: false, component: "etcd" },
];

impl Part {
    async fn api(self, stand: &Stand) -> Api<Pod> {
        if !self.in_system {
            return stand.namespace.api();
        }
        Api::namespaced(stand.cluster.client(&Identity::Admin).await.unwrap(), SYSTEM)
    }

    async fn list(self, stand: &Stand) -> Vec<Pod> {
        let label = format!("app.kubernetes.io/component={}", self.component);
        let parameters = ListParams::default().labels(&label);
        let mut pods = self.api(stand).await.list(&parameters).await.unwrap().items;
        pods.sort_by_key(|pod| (node_of(pod), pod.name_any()));
        pods
    }

    /// Deletes a pod and waits until another one does its work.
    async fn replace(self, stand: &Stand, victim: &Pod) {
        let all = self.list(stand).await.len();
        let old = victim.uid();
        let pods = self.api(stand).await;
        pods.delete(&victim.name_any(), &DeleteParams::default()).await.unwrap();
        let deadline = Instant::now() + LIMIT;
        loop {
            let now = self.list(stand).await;
            let replaced = now.iter().all(|pod| pod.uid() != old && is_ready(pod));
            if replaced && now.len() == all {
                break;
            }
            let around = || stand.namespace.surroundings();
            assert!(Instant::now() < deadline, "no other {self:?} gets ready: {}", around());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.settle(stand, &node_of(victim), deadline).await;
    }

    /// Waits until the mounts of the node are held by as many as they should be: only then may the next of them go.
    async fn settle(self, stand: &Stand, node: &str, deadline: Instant) {
        if !["fuse-agent", "fuse-keeper", "csi-node"].contains(&self.component) {
            return;
        }
        let agent = stand.pod_on("fuse-agent", node).await.unwrap();
        while stand.metric("fuse-agent", &agent, "alluxio_fuse_keeper_connections").ok()
            != Some(KEEPERS)
        {
            assert!(Instant::now() < deadline, "a keeper does not come back on {node}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Loads on two nodes; the first node has the store.
async fn loads(stand: &Stand, name: &str) -> Vec<App> {
    let mut apps = Vec::new();
    for node in &stand.nodes[1..] {
        let name = format!("{name}-{node}");
        apps.push(App::load(&stand.namespace, &name, node, DATASET, &[]).await.unwrap());
    }
    apps
}

/// Fails as soon as a pod has seen an error: what those log that had to do with it goes with their pods.
async fn check(stand: &Stand, apps: &[App], after: &str) {
    for app in apps {
        let log = app.log(&stand.namespace).unwrap();
        let errors: Vec<&str> =
            log.lines().filter(|line| line.contains(" failed after ")).collect();
        if errors.is_empty() {
            continue;
        }
        let mut told = String::new();
        for component in ["fuse-agent", "worker", "master"] {
            for pod in stand.pods(component).await.unwrap() {
                let name = pod.name_any();
                let tail = stand.namespace.kubectl(&["logs", &name, "--tail=60"]);
                told.push_str(&format!(
                    "{name} on {}: {}\n",
                    node_of(&pod),
                    tail.unwrap_or_default()
                ));
            }
        }
        panic!("{} after {after}: {errors:#?}\n{told}", app.name);
    }
}

/// Ends loads; none may have seen an error.
pub(crate) async fn finish(stand: &Stand, apps: Vec<App>) -> Vec<Seen> {
    let mut all = Vec::new();
    for app in &apps {
        let seen = app.stop(&stand.namespace).await.unwrap();
        all.push(seen);
    }
    for (app, seen) in apps.iter().zip(&all) {
        assert_eq!(seen.errors, 0, "{}: {seen:#?}\n{}", app.name, stand.namespace.surroundings());
        for kind in ["read", "open", "write", "list"] {
            assert!(seen.operations.get(kind).is_some_and(|count| *count > 0), "{kind}: {seen:?}");
        }
        app.remove(&stand.namespace).await.unwrap();
    }
    all
}

async fn leader(stand: &Stand) -> Option<String> {
    let clusters: Api<AlluxioCluster> = stand.namespace.api();
    let cluster = clusters.get(NAME).await.unwrap();
    Some(cluster.status?.masters?.leader?.pod)
}

pub(crate) fn longest(seen: &[Seen], from_ms: u64) -> u64 {
    seen.iter().filter_map(|seen| seen.longest_since(from_ms)).max().unwrap_or_default()
}

#[test]
#[expect(clippy::print_stdout, reason = "how long it took is a result")]
fn another_master_serves_when_the_primarys_pod_is_deleted() {
    on_stand(async |stand: &Stand| {
        let apps = loads(stand, "primary").await;
        let old = leader(stand).await.expect("a ready cluster has a primary");
        let pods: Api<Pod> = stand.namespace.api();
        let victim = pods.get(&old).await.unwrap();
        let (deleted_ms, deleted) = (now_ms(), Instant::now());
        let master = PARTS[0];
        let new = async {
            loop {
                match leader(stand).await {
                    Some(new) if new != old => return deleted.elapsed(),
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        let (told, ()) = tokio::join!(new, master.replace(stand, &victim));
        stand.all_ready().await.unwrap();
        let seen = finish(stand, apps).await;
        println!(
            "primary {old} deleted: the operator tells another one after {:.1} s; the longest operation in pods \
             took {} ms (0: less than a second)",
            told.as_secs_f64(),
            longest(&seen, deleted_ms)
        );
    });
}

#[test]
#[ignore = "it takes minutes: cargo xtask soak runs it"]
#[expect(clippy::print_stdout, reason = "what was deleted is told where it is looked for")]
fn pods_see_no_error_while_every_pod_of_ours_is_deleted() {
    on_stand(async |stand: &Stand| {
        let apps = loads(stand, "each").await;
        for part in PARTS {
            for victim in part.list(stand).await {
                let began = Instant::now();
                part.replace(stand, &victim).await;
                println!(
                    "{} on {}: another one is ready after {:.1} s",
                    victim.name_any(),
                    node_of(&victim),
                    began.elapsed().as_secs_f64()
                );
                check(stand, &apps, &victim.name_any()).await;
            }
        }
        stand.all_ready().await.unwrap();
        let mut draws = Draws::new();
        let until = Instant::now() + Duration::from_secs(draws.seconds);
        let mut deleted = 0;
        while Instant::now() < until {
            let part = PARTS[draws.below(PARTS.len())];
            let pods = part.list(stand).await;
            let victim = &pods[draws.below(pods.len())];
            println!("{} on {}", victim.name_any(), node_of(victim));
            part.replace(stand, victim).await;
            check(stand, &apps, &victim.name_any()).await;
            deleted += 1;
        }
        let seen = finish(stand, apps).await;
        println!(
            "{deleted} more at random (seed {}); {} operations, the longest took {} ms",
            draws.seed,
            seen.iter().map(Seen::total).sum::<u64>(),
            longest(&seen, 0)
        );
    });
}

/// Random numbers of a seed.
struct Draws {
    seed: u64,
    state: u64,
    seconds: u64,
}

impl Draws {
    fn new() -> Draws {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
        let seed = number(SEED).unwrap_or_else(now_ms);
        let seconds = number(SECONDS).unwrap_or(SECONDS_IN_CI);
        Draws { seed, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, seconds }
    }

    fn below(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % below as u64) as usize
    }
}
