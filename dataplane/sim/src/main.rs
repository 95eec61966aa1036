//! Replays seeds: `alluxio-sim --seed 42 --world metadata`, or many: `--seeds 1000`; clusters:
//! `--world cluster`.

#![expect(clippy::print_stdout, reason = "a command's output")]

mod many;
mod sys;

use alluxio_sim::{Trace, World, run_traced};
use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Simulation of Alluxio's cores, step by step, and of whole clusters.
#[derive(Debug, Parser)]
struct Arguments {
    /// First seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Begins no run after so many seconds; clusters only.
    #[arg(long)]
    seconds: Option<u64>,
    /// Steps of each run of a core.
    #[arg(long, default_value_t = 2000)]
    steps: u64,
    /// Prints every step.
    #[arg(long)]
    trace: bool,
    /// Prints nothing but what is broken.
    #[arg(long)]
    quiet: bool,
    /// What is simulated; the two cores when left out.
    #[arg(long)]
    world: Option<World>,
}

/// Writes the time of the world in place of the machine's.
struct WorldTime;

impl FormatTime for WorldTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        match alluxio_sim::moment::now() {
            (now, Some(machine)) => write!(writer, "{now:6} #{machine}"),
            (now, None) => write!(writer, "{now:6}   "),
        }
    }
}

fn tell_all() {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("warn,alluxio=debug"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_timer(WorldTime);
    log.with_ansi(false).with_writer(std::io::stderr).init();
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.world == Some(World::Cluster) {
        if arguments.seeds > 1 {
            let for_s = arguments.seconds.map(Duration::from_secs);
            return many::run(arguments.seed, arguments.seeds, for_s);
        }
        sys::seed(arguments.seed);
        if arguments.trace {
            tell_all();
        }
    }
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
                Ok(Ok(summary)) if arguments.seeds == 1 && !arguments.quiet => {
                    println!("{world:?} {seed}: {summary}");
                }
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
    if !arguments.quiet {
        println!("{} seeds, {broken} broken", arguments.seeds);
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
