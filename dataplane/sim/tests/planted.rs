//! Bugs that are planted must be found, each by what should find it; `cargo xtask test` runs these too.
#![cfg(feature = "planted-bugs")]

use std::process::Command;

/// Runs seeds until one breaks something; what was broken, and after how many seeds.
fn found(bug: &str, within_seeds: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alluxio-sim"));
    command.args(["--world", "cluster", "--seeds", within_seeds, "--first", "--plant", bug]);
    let output = command.output().unwrap_or_else(|error| panic!("cannot simulate: {error}"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{bug} is not found: {told}");
    told
}

#[test]
fn an_answer_before_its_commit_is_a_lie_to_a_client() {
    let told = found("ack-before-commit", "100");
    assert!(told.contains("no order explains the answers"), "{told}");
}

#[test]
fn a_journal_that_takes_what_a_deposed_primary_appends_loses_changes_or_breaks() {
    let told = found("missing-fence", "300");
    // A tree that is read from two writers' entries may find that they do not fit each other, and two
    // of them that they were not given the same.
    let signs = [
        "no order explains the answers",
        "trees differ at the same position",
        "panicked at dataplane/namespace",
    ];
    assert!(signs.iter().any(|sign| told.contains(sign)), "{told}");
}

#[test]
fn a_primary_that_does_not_wait_for_the_one_before_it_is_seen() {
    let told = found("skipped-read-tenure", "60");
    assert!(told.contains("several masters may answer"), "{told}");
}
