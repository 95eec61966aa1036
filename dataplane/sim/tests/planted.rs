//! Bugs that are planted must be found, each by what should find it; `cargo xtask test` runs these too.
#![cfg(feature = "planted-bugs")]

use std::process::Command;

/// What is said when clients were told what cannot be true.
const LIES: &str = "no order explains the answers";

/// Runs seeds until one breaks something; what was broken.
fn found(bug: &str, within_seeds: &str, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alluxio-sim"));
    command.args(["--world", "cluster", "--seeds", within_seeds, "--first", "--plant", bug]);
    let output = command.args(more).output();
    let output = output.unwrap_or_else(|error| panic!("cannot simulate: {error}"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{bug} is not found: {told}");
    told
}

fn found_by_histories(bug: &str, within_seeds: &str) {
    let told = found(bug, within_seeds, &["--by-histories"]);
    assert!(told.contains(LIES), "{told}");
}

#[test]
fn an_answer_before_its_commit_is_a_lie_to_a_client() {
    found_by_histories("ack-before-commit", "200");
}

#[test]
fn a_journal_that_takes_what_a_deposed_primary_appends_makes_liars_of_masters() {
    found_by_histories("missing-fence", "400");
}

#[test]
fn a_journal_that_takes_what_a_deposed_primary_appends_loses_changes_or_breaks() {
    let told = found("missing-fence", "400", &[]);
    // A tree that is read from two writers' entries may find that they do not fit each other, and two
    // of them that they were not given the same.
    let signs = [
        LIES,
        "trees differ at the same position",
        "panicked at dataplane/namespace",
        "a tree read from the journal is",
        "not within",
    ];
    assert!(signs.iter().any(|sign| told.contains(sign)), "{told}");
}

#[test]
fn a_primary_that_does_not_wait_for_the_one_before_it_is_seen() {
    let told = found("skipped-read-tenure", "60", &[]);
    assert!(told.contains("several masters may answer"), "{told}");
}

#[test]
fn a_primary_that_does_not_wait_for_the_one_before_it_contradicts_it() {
    found_by_histories("skipped-read-tenure", "600");
}

#[test]
fn a_hand_over_that_the_election_is_not_told_of_takes_too_long() {
    let told = found("lost-release", "60", &[]);
    assert!(told.contains("the heir to serve as the primary"), "{told}");
}

#[test]
fn a_checkpoint_with_a_wrong_hash_is_not_taken_and_missed() {
    let told = found("wrong-state-hash", "60", &[]);
    assert!(told.contains("not within"), "{told}");
}
