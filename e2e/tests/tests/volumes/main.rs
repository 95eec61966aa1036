//! Pods with volumes: from one apply to bytes in pods, whatever is deleted meanwhile.
//!
//! All tests share one Kubernetes of three nodes and one stand, one after the other, in the order of their names: `bytes`
//! come first, from a store that nobody has read.

mod bytes;
mod deleting;
mod driver;
mod nodes;

use alluxio_e2e_harness::Cluster;
use alluxio_e2e_tests::Stand;
use alluxio_e2e_tests::stand::Masters;
use std::sync::OnceLock;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// Nodes: one may be lost, and there is still a majority of masters.
const NODES: usize = 3;

/// Runs a test on the stand, alone. Clients belong to a runtime, so all tests have the same one.
fn on_stand(test: impl AsyncFnOnce(&Stand)) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static STAND: Mutex<Option<Stand>> = Mutex::const_new(None);
    let Some(cluster) = Cluster::shared_of(NODES) else { return };
    let runtime = RUNTIME.get_or_init(|| Runtime::new().unwrap());
    runtime.block_on(async {
        let mut stand = STAND.lock().await;
        if stand.is_none() {
            *stand = Some(Stand::start(cluster, &Masters::Three).await.unwrap());
        }
        test(stand.as_ref().expect("made above")).await;
    });
}
