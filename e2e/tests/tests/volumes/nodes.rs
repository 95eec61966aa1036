//! A node is lost, as by a power cut, and comes back with its disk.

use crate::deleting::{finish, longest, now_ms};
use crate::on_stand;
use alluxio_e2e_harness::wait::wait_for;
use alluxio_e2e_harness::{Identity, LIMIT};
use alluxio_e2e_tests::stand::{DATASET, FILE_BYTES, FILES, Stand};
use alluxio_e2e_tests::{App, pattern};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use std::time::Instant;

fn is_ready(node: Option<&Node>) -> bool {
    let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

/// Reads all files in a new pod of a node.
async fn read_all(stand: &Stand, pod: &str, node: &str) {
    let paths: Vec<String> = (0..FILES).map(|n| format!("/data/{}", pattern::name(n))).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let sums = App::sums(&stand.namespace, pod, node, DATASET, &paths).await.unwrap();
    for (number, path) in (0..FILES).zip(paths) {
        let wanted = pattern::sha256(&pattern::content(number, 0, FILE_BYTES as usize));
        assert_eq!(sums.get(path), Some(&wanted), "{path}");
    }
}

/// Blocks that the worker of a node holds.
async fn blocks(stand: &Stand, node: &str) -> f64 {
    let worker = stand.pod_on("worker", node).await.unwrap();
    stand.metric("worker", &worker, "alluxio_worker_stored_blocks").unwrap()
}

#[test]
#[ignore = "it takes minutes: cargo xtask soak runs it"]
#[expect(clippy::print_stdout, reason = "how long it took is a result")]
fn a_lost_node_comes_back_with_its_cache_and_pods_of_others_see_no_error() {
    on_stand(async |stand: &Stand| {
        let Ok(nodes) = stand.cluster.nodes() else { return };
        // The last one: the store is on the first one.
        let (number, victim) = (stand.nodes.len(), stand.nodes.last().unwrap());
        let witness = &stand.nodes[1];
        read_all(stand, "before", victim).await;
        let cached = blocks(stand, victim).await;
        assert!(cached > 0.0);
        let app = App::load(&stand.namespace, "witness", witness, DATASET, &[]).await.unwrap();
        let doomed = App::load(&stand.namespace, "doomed", victim, DATASET, &[]).await.unwrap();

        let lost_ms = now_ms();
        nodes.kill_node(number).unwrap();
        let client = stand.cluster.client(&Identity::Admin).await.unwrap();
        let api: Api<Node> = Api::all(client);
        let lost = |node: Option<&Node>| !is_ready(node);
        wait_for(&api, victim, "it to be missed", LIMIT, lost).await.unwrap();
        // It is still away: others go on.
        read_all(stand, "meanwhile", witness).await;

        let started = Instant::now();
        nodes.start_node(number).unwrap();
        if let Err(error) = wait_for(&api, victim, "it to be back", LIMIT, is_ready).await {
            let log = std::fs::read_to_string(nodes.log(&format!("{victim}-kubelet"))).unwrap();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            panic!("{error:#}\nits kubelet: {tail:#?}");
        }
        // Its pods are told ready until its kubelet has looked: the new worker is the one that answers.
        let deadline = Instant::now() + LIMIT;
        let back = loop {
            let worker = stand.pod_on("worker", victim).await.unwrap();
            match stand.metric("worker", &worker, "alluxio_worker_stored_blocks") {
                Ok(blocks) => break blocks,
                Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        };
        assert!(back >= cached, "{back} blocks are back of {cached}");
        stand.all_ready().await.unwrap();
        doomed.remove(&stand.namespace).await.unwrap();
        read_all(stand, "after", victim).await;
        println!(
            "node {victim}: {back} blocks of {cached} are back, all is ready {:.1} s after its start",
            started.elapsed().as_secs_f64()
        );
        let seen = finish(stand, vec![app]).await;
        println!("the longest operation on {witness} took {} ms", longest(&seen, lost_ms));
    });
}
