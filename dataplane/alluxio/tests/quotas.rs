//! Quotas outlive the master: what was counted when it was killed is counted when the next one serves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_testkit::ProcessCluster;
use serde_json::Value;
use std::path::Path;

fn said(cluster: &ProcessCluster, arguments: &[&str]) -> (bool, String) {
    let output = cluster.alluxio(arguments).unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn done(cluster: &ProcessCluster, arguments: &[&str]) -> String {
    let (success, text) = said(cluster, arguments);
    assert!(success, "{arguments:?}: {text}");
    text
}

fn used(cluster: &ProcessCluster) -> (u64, u64) {
    let told = done(cluster, &["--json", "fs", "quota", "get", "/v"]);
    let told: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    (told["usedBytes"].as_u64().unwrap(), told["usedInodes"].as_u64().unwrap())
}

#[test]
fn usage_is_the_same_after_kill_9_from_the_journal_and_from_a_checkpoint() {
    let binary = Path::new(env!("CARGO_BIN_EXE_alluxio"));
    let mut cluster =
        ProcessCluster::start(binary, &[("alluxio.worker.ramdisk.size", "64MB")]).unwrap();
    cluster.start_worker(1).unwrap();
    let file = cluster.dir().join("file");
    std::fs::write(&file, vec![1; 1000]).unwrap();
    let copy = |cluster: &ProcessCluster, to: &str| {
        said(cluster, &["fs", "copyFromLocal", file.to_str().unwrap(), to])
    };
    done(&cluster, &["fs", "mkdir", "/v/sub"]);
    done(&cluster, &["fs", "quota", "set", "--space", "3000", "--names", "5", "/v"]);
    for round in 0..3 {
        let (copied, text) = copy(&cluster, &format!("/v/sub/f{round}"));
        assert!(copied, "{text}");
        if round == 1 {
            // From here on, the record of the directory is all that tells of its quota.
            done(&cluster, &["fsadmin", "journal", "checkpoint"]);
        }
        let before = used(&cluster);
        assert_eq!(before, (1000 * (round + 1), 3 + round));
        cluster.kill_master().unwrap();
        cluster.start_master().unwrap();
        assert_eq!(used(&cluster), before);
    }
    let (copied, text) = copy(&cluster, "/v/g");
    assert!(!copied && text.contains("quota of directory /v is exceeded"), "{text}");
    let removed = done(&cluster, &["fs", "rm", "-R", "/v/sub"]);
    assert!(removed.contains("/v/sub"), "{removed}");
    assert_eq!(used(&cluster), (0, 1));
}
