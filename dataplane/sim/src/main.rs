//! Replays seeds: `alluxio-sim --seed 42 --world metadata`, or many: `--seeds 1000`.

#![expect(clippy::print_stdout, reason = "a command's output")]

use alluxio_sim::{Trace, World, run_traced};
use clap::Parser;
use std::process::ExitCode;

/// Step-level simulation of Alluxio's cores.
#[derive(Debug, Parser)]
struct Arguments {
    /// First seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Steps of each run.
    #[arg(long, default_value_t = 2000)]
    steps: u64,
    /// Prints every step.
    #[arg(long)]
    trace: bool,
    /// What is simulated; both when left out.
    #[arg(long)]
    world: Option<World>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let worlds = match arguments.world {
        Some(world) => vec![world],
        None => vec![World::Metadata, World::Blocks],
    };
    let mut broken = 0;
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        for &world in &worlds {
            // A panic of a core is a broken promise too; its message is on stderr by then.
            let outcome = std::panic::catch_unwind(|| {
                let print: Trace = if arguments.trace {
                    Box::new(|line| println!("{line}"))
                } else {
                    Box::new(|_| {})
                };
                run_traced(world, seed, arguments.steps, print)
            });
            match outcome {
                Ok(Ok(summary)) if arguments.seeds == 1 => println!("{world:?} {seed}: {summary}"),
                Ok(Ok(_)) => {}
                Ok(Err(violation)) => {
                    println!("{world:?}: {violation}");
                    broken += 1;
                }
                Err(_) => {
                    println!("{world:?}: seed {seed}: panicked");
                    broken += 1;
                }
            }
        }
    }
    println!("{} seeds, {broken} broken", arguments.seeds);
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
