//! Reading and writing through the claim, and which way the bytes go.

use crate::on_stand;
use alluxio_e2e_tests::app::MOUNT;
use alluxio_e2e_tests::stand::{DATASET, FILE_BYTES, FOLDER, Stand};
use alluxio_e2e_tests::{App, pattern};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a Dataset may take from its apply, with a cluster that is applied with it, until pods can have it.
const READY_MAX: Duration = Duration::from_secs(60);

/// By the nodes of workers: reads answered by bytes, reads answered by an open file over the domain socket, bytes
/// that were fetched from the store and from other workers.
#[derive(Debug)]
struct Ways {
    streamed: BTreeMap<String, f64>,
    lent: BTreeMap<String, f64>,
    from_store: BTreeMap<String, f64>,
    from_peers: BTreeMap<String, f64>,
}

impl Ways {
    async fn now(stand: &Stand) -> Ways {
        let of = async |name| stand.metrics("worker", name).await.unwrap();
        Ways {
            streamed: of("alluxio_worker_requests_streamed_total").await,
            lent: of("alluxio_worker_requests_lent_total").await,
            from_store: of("alluxio_worker_fetched_bytes_total{source=\"ufs\"}").await,
            from_peers: of("alluxio_worker_fetched_bytes_total{source=\"worker\"}").await,
        }
    }

    /// What was added since.
    fn since(&self, before: &Ways) -> Ways {
        let less = |now: &BTreeMap<String, f64>, then: &BTreeMap<String, f64>| {
            now.iter().map(|(node, value)| (node.clone(), value - then[node])).collect()
        };
        Ways {
            streamed: less(&self.streamed, &before.streamed),
            lent: less(&self.lent, &before.lent),
            from_store: less(&self.from_store, &before.from_store),
            from_peers: less(&self.from_peers, &before.from_peers),
        }
    }
}

fn total(values: &BTreeMap<String, f64>) -> f64 {
    values.values().sum()
}

/// Reads one file in a pod of a node and tells which way its bytes came.
async fn read(stand: &Stand, pod: &str, node: &str, number: u64) -> Ways {
    let before = Ways::now(stand).await;
    let path = format!("{MOUNT}/{}", pattern::name(number));
    let sums = App::sums(&stand.namespace, pod, node, DATASET, &[&path]).await.unwrap();
    let wanted = pattern::sha256(&pattern::content(number, 0, FILE_BYTES as usize));
    assert_eq!(sums, BTreeMap::from([(path, wanted)]));
    Ways::now(stand).await.since(&before)
}

#[test]
#[expect(clippy::print_stdout, reason = "how long it took is a result")]
fn pods_read_through_their_claim_from_the_store_another_node_and_the_domain_socket() {
    on_stand(async |stand: &Stand| {
        println!("from apply to a ready Dataset: {:.1} s", stand.ready_after.as_secs_f64());
        assert!(stand.ready_after < READY_MAX, "{:?}", stand.ready_after);
        let (first, second) = (&stand.nodes[0], &stand.nodes[1]);
        let bytes = FILE_BYTES as f64;

        let cold = read(stand, "cold", first, 0).await;
        assert_eq!(cold.from_store[first], bytes, "the worker beside the pod fetches it: {cold:?}");
        assert_eq!(total(&cold.from_store), bytes, "and nobody else: {cold:?}");

        let remote = read(stand, "remote", second, 0).await;
        assert!(remote.streamed[first] > 0.0, "the other node's worker sends it: {remote:?}");
        assert_eq!(total(&remote.from_store), 0.0, "the store is not asked again: {remote:?}");

        let local = read(stand, "local", first, 0).await;
        assert!(local.lent[first] > 0.0, "the worker lends its open file: {local:?}");
        let moved = total(&local.streamed) + total(&local.from_store) + total(&local.from_peers);
        assert_eq!(moved, 0.0, "no byte goes over a network: {local:?}");
    });
}

#[test]
fn what_a_pod_writes_is_in_the_store_and_in_pods_of_other_nodes() {
    on_stand(async |stand: &Stand| {
        let (namespace, first, second) = (&stand.namespace, &stand.nodes[0], &stand.nodes[1]);
        let folder = format!("{MOUNT}/results");
        let write = ["write", &folder, "--files", "3", "--bytes", "1500000"];
        let writer = App::start_in(namespace, "writer", first, DATASET, &folder, &write);
        let said = writer.unwrap().end(namespace).await.unwrap();
        let names: Vec<String> = (0..3).map(pattern::name).collect();
        for name in &names {
            assert!(said.contains(&format!("{folder}/{name}")), "{said}");
        }
        let keys: Vec<String> =
            names.iter().map(|name| format!("{FOLDER}/results/{name}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let stored =
            App::sums_of_store(namespace, &stand.s3, "stored", first, &keys).await.unwrap();
        let paths: Vec<String> = names.iter().map(|name| format!("{folder}/{name}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let read = App::sums(namespace, "read-back", second, DATASET, &paths).await.unwrap();
        for (number, (key, path)) in (0..).zip(keys.iter().zip(&paths)) {
            let wanted = pattern::sha256(&pattern::content(number, 0, 1_500_000));
            assert_eq!(stored.get(*key), Some(&wanted), "{key}");
            assert_eq!(read.get(*path), Some(&wanted), "{path}");
        }
    });
}
