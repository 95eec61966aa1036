//! Some seeds of each world, every time; `cargo run -p alluxio-sim -- --seeds 10000` runs more.

#![expect(clippy::print_stderr, reason = "a seed must be told even when a core panics")]

use alluxio_sim::{World, metadata, run};

/// Says which seed it was when a core panics.
struct OnPanic(World, u64);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("broken by: alluxio-sim --world {:?} --seed {}", self.0, self.1);
        }
    }
}

fn run_seeds(world: World, seeds: std::ops::Range<u64>, steps: u64) {
    for seed in seeds {
        let _guard = OnPanic(world, seed);
        if let Err(violation) = run(world, seed, steps) {
            panic!("{violation}");
        }
    }
}

#[test]
fn metadata_survives_kills_and_power_cuts() {
    run_seeds(World::Metadata, 0..60, 600);
}

#[test]
fn blocks_are_right_or_absent_and_space_is_accounted() {
    run_seeds(World::Blocks, 0..80, 500);
}

#[test]
fn a_seed_does_the_same_again() {
    for world in [World::Metadata, World::Blocks] {
        assert_eq!(run(world, 7, 400), run(world, 7, 400));
    }
}

/// A simulation that meets nothing proves nothing.
#[test]
fn the_seeds_together_meet_every_kind_of_event() {
    let mut sum = metadata::Summary::default();
    for seed in 0..30 {
        let one = metadata::run(seed, 600, Box::new(|_| {}))
            .unwrap_or_else(|violation| panic!("{violation}"));
        sum.changes += one.changes;
        sum.compared += one.compared;
        sum.held_back += one.held_back;
        sum.kills += one.kills;
        sum.power_cuts += one.power_cuts;
        sum.disk_failures += one.disk_failures;
        sum.lost += one.lost;
        sum.checkpoints += one.checkpoints;
        sum.starts_from_checkpoint += one.starts_from_checkpoint;
    }
    let least = [
        sum.changes,
        sum.compared,
        sum.held_back,
        sum.kills,
        sum.power_cuts,
        sum.disk_failures,
        sum.lost,
        sum.checkpoints,
        sum.starts_from_checkpoint,
    ];
    assert!(least.iter().all(|count| *count >= 5), "{sum:?}");
}
