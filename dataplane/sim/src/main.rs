//! Replays seeds: `alluxio-sim --seed 42 --world metadata`, or many: `--seeds 1000`; clusters:
//! `--world cluster`.

#![expect(clippy::print_stdout, reason = "a command's output")]

mod many;
mod sys;

use alluxio_sim::{Trace, World, cluster, run_traced};
use clap::Parser;
use std::process::ExitCode;
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
    /// Ends with the first seed that breaks something; clusters only.
    #[arg(long)]
    first: bool,
    /// Judges by what clients were told, and by nothing else; clusters only.
    #[arg(long)]
    by_histories: bool,
    /// Runs at once; as many as there are processors when left out. Clusters only.
    #[arg(long)]
    jobs: Option<usize>,
    /// Tells what each seed met; clusters only.
    #[arg(long)]
    each: bool,
    /// Prints nothing but what is broken.
    #[arg(long)]
    quiet: bool,
    /// Who started this process waits for its end.
    #[arg(long, hide = true)]
    one_of_many: bool,
    /// A bug to find; clusters only.
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    plant: Option<Plant>,
    /// What is simulated; the two cores when left out.
    #[arg(long)]
    world: Option<World>,
}

impl Arguments {
    /// What makes a run of one seed the same again, besides the seed.
    fn again(&self) -> Vec<String> {
        let mut again = Vec::new();
        if self.by_histories {
            again.push("--by-histories".to_owned());
        }
        #[cfg(feature = "planted-bugs")]
        if let Some(bug) = self.plant.as_ref().and_then(clap::ValueEnum::to_possible_value) {
            again.extend(["--plant".to_owned(), bug.get_name().to_owned()]);
        }
        again
    }
}

/// The bugs by name.
#[cfg(feature = "planted-bugs")]
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Plant {
    /// A master answers before what it answers is durable.
    AckBeforeCommit,
    /// The journal takes what a deposed primary appends.
    MissingFence,
    /// A new primary answers while the one before it may still answer, too.
    SkippedReadTenure,
    /// A primary that hands over does not tell the election.
    LostRelease,
    /// A checkpoint is written with a hash that is not its state's.
    WrongStateHash,
}

#[cfg(feature = "planted-bugs")]
impl Plant {
    fn bug(self) -> alluxio_host::planted::Bug {
        use alluxio_host::planted::Bug;
        match self {
            Plant::AckBeforeCommit => Bug::AckBeforeCommit,
            Plant::MissingFence => Bug::MissingFence,
            Plant::SkippedReadTenure => Bug::SkippedReadTenure,
            Plant::LostRelease => Bug::LostRelease,
            Plant::WrongStateHash => Bug::WrongStateHash,
        }
    }
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
            return many::run(&arguments);
        }
        if arguments.trace {
            tell_all();
        }
        if arguments.one_of_many {
            many::end_in_time();
        }
        #[cfg(feature = "planted-bugs")]
        if let Some(bug) = arguments.plant {
            alluxio_host::planted::plant(bug.bug());
        }
    }
    // A thread of its own: nothing was drawn there before.
    let seed = arguments.seed;
    let run = std::thread::spawn(move || {
        sys::seed(seed);
        run_seeds(&arguments)
    });
    run.join().unwrap_or(ExitCode::FAILURE)
}

fn run_seeds(arguments: &Arguments) -> ExitCode {
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
                match world {
                    World::Cluster => {
                        let run = cluster::run(seed, arguments.by_histories);
                        run.map(|summary| summary.to_string())
                    }
                    _ => run_traced(world, seed, arguments.steps, print),
                }
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
    if !arguments.quiet && !arguments.one_of_many {
        println!("{} seeds, {broken} broken", arguments.seeds);
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
