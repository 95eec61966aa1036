//! The real API server judges objects: what it fills in, what it refuses and with which words, what may change.
//!
//! Reading order: [`bench`] (how a case is judged), [`rules`] (no rule without a case), then a file for each kind.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

mod bench;
mod cluster;
mod cluster_changes;
mod dataset;
mod operation;
mod parts;
mod rules;

use alluxio_e2e_harness::ControlPlane;
use bench::Bench;

/// One control plane for all kinds: starting one takes longer than all cases together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_judges_as_the_rules_say() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let plane = ControlPlane::start().await.unwrap();
    let bench = Bench::install(&plane).await;
    let mut faults = Vec::new();
    faults.extend(cluster::judge(&bench).await);
    faults.extend(cluster_changes::judge(&bench).await);
    faults.extend(dataset::judge(&bench).await);
    faults.extend(operation::judge(&bench).await);
    faults.extend(parts::judge(&bench).await);
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    let rules = bench.rules();
    let lacking = rules.without_a_case();
    assert!(lacking.is_empty(), "of {} rules:\n{}", rules.len(), lacking.join("\n"));
    assert!(rules.len() > 100, "{} rules were found", rules.len());
}
