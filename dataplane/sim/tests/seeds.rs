//! Some seeds of each world, every time; `cargo run -p alluxio-sim -- --seeds 10000` runs more.

#![expect(clippy::print_stderr, reason = "a seed must be told even when a core panics")]

use alluxio_sim::{World, blocks, metadata, run};

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
    let mut met = [0; 16];
    for seed in 0..30 {
        let one = metadata::run(seed, 600, Box::new(|_| {})).unwrap_or_else(|v| panic!("{v}"));
        let two = blocks::run(seed, 600, Box::new(|_| {})).unwrap_or_else(|v| panic!("{v}"));
        let counts = [
            one.changes,
            one.compared,
            one.held_back,
            one.kills,
            one.power_cuts,
            one.disk_failures,
            one.lost,
            one.checkpoints,
            one.starts_from_checkpoint,
            two.commits,
            two.reads,
            two.evicted,
            two.demoted,
            two.promoted,
            two.corrupt,
            two.counted,
        ];
        met.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    assert!(met.iter().all(|count| *count >= 5), "{met:?}");
}
