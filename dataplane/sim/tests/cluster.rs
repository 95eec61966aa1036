//! Whole clusters from seeds, each in a process of its own. `cargo xtask sim --seeds 10000` runs more.

use std::process::{Command, Output};

/// Seconds of fresh seeds in each run of the tests.
const FRESH_SECONDS: &str = "60";
/// What so many seeds meet together, all of it: a simulation that meets nothing proves nothing.
const ENOUGH_SEEDS: u64 = 150;
/// See [`ENOUGH_SEEDS`].
const MET: &[&str] = &[
    "kill",
    "clean-stop",
    "hand-over",
    "long-absence",
    "power-cut",
    "power-cut-in-write",
    "pause",
    "partition",
    "one-way-partition",
    "isolation",
    "slow-link",
    "broken-connection",
    "lost-lease",
    "estrangement",
    "unheard-deposition",
    "clock-jump",
    "slow-disk",
    "bad-disk",
    "full-disk",
    "lost-sync",
    "calm-hand-over",
    "compaction",
    "checkpoint-given",
    "block-stored",
];

fn simulate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alluxio-sim"));
    let output = command.args(["--world", "cluster"]).args(arguments).output();
    output.unwrap_or_else(|error| panic!("alluxio-sim does not start: {error}"))
}

fn must_hold(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = simulate(arguments);
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{arguments:?}\n{stdout}\n{}", String::from_utf8_lossy(&stderr));
    stdout
}

#[test]
fn a_seed_does_the_same_again_to_the_last_message() {
    for seed in ["2", "9"] {
        let once = must_hold(&["--seed", seed]);
        assert!(once.contains("trace:"), "{once}");
        assert_eq!(once, must_hold(&["--seed", seed]));
    }
}

#[test]
fn a_seed_does_the_same_whatever_runs_beside_it() {
    let many = must_hold(&["--seed", "20", "--seeds", "6", "--jobs", "6", "--each"]);
    for seed in 20..26 {
        let alone = must_hold(&["--seed", &seed.to_string()]);
        let told = alone.lines().next().unwrap_or_default();
        assert!(told.contains("trace:") && many.contains(told), "{told}\n{many}");
    }
}

#[test]
fn clusters_keep_their_promises_whatever_happens_to_them() {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = (seed.unwrap_or(0u64) << 24) + 1000;
    let first = first.to_string();
    let told = must_hold(&["--seed", &first, "--seeds", "100000", "--seconds", FRESH_SECONDS]);
    let mut seeds =
        told.lines().filter_map(|line| line.split_once(" seeds, ")?.0.parse::<u64>().ok());
    if seeds.next_back().is_some_and(|seeds| seeds >= ENOUGH_SEEDS) {
        for &what in MET {
            let met = told.split_whitespace().filter_map(|fact| fact.split_once('='));
            assert!(met.filter(|(name, _)| *name == what).any(|(_, n)| n != "0"), "{what}: {told}");
        }
    }
}
