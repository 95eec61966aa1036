//! The command line of the benchmarks.

use crate::sys::Pages;
use crate::{data, empty, fuse, journal, metadata, startup};
use alluxio_types::ByteSize;
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Measure this build beside the limits of this machine.
#[derive(Debug, Parser)]
#[command(name = "alluxio bench", bin_name = "alluxio bench")]
struct Bench {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// Sequential reads: cold, warm with a copy, warm without one
    Read,
    /// Random reads of 4 KiB from the local worker
    Randread,
    /// Sequential writes into the local worker
    Write,
    /// Sequential reads from a worker on another host
    RemoteRead,
    /// Creates and statuses, many at once
    Metadata,
    /// Listing a directory of 10 000 files
    List,
    /// Restart of a master with many files
    Startup,
    /// Memory per file, and of an idle cluster
    Memory,
    /// Durable changes in the journal of several masters; needs `--etcd`
    Journal,
    /// The mount through the kernel: reads, names, unpacking; needs root and /dev/fuse
    Fuse,
    /// All of them, but for those that need servers of their own
    All,
    /// The limit beside `metadata`, for a process of its own
    #[command(hide = true)]
    EmptyServer,
}

#[derive(Debug, Clone, Args)]
struct Options {
    /// Print one JSON object a line
    #[arg(long, global = true)]
    json: bool,
    /// Rounds of each measurement
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Bytes of the file that is read or written (default 512MB; the largest one of `fuse` 4GB)
    #[arg(long, global = true, value_parser = size)]
    size: Option<u64>,
    /// Files of `startup` and `memory` (default 1000000), calls a round of `metadata` (default 20000)
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(64..=200_000_000))]
    files: Option<u32>,
    /// Pages of the top tier of a cluster that is started for the run
    #[arg(long, global = true, value_enum, default_value_t = Pages::Huge)]
    pages: Pages,
    /// `host:port` of the members of an etcd that `journal` may write to
    #[arg(long, global = true, value_delimiter = ',')]
    etcd: Vec<String>,
}

fn size(text: &str) -> Result<u64, String> {
    match ByteSize::parse(text) {
        Some(ByteSize(bytes)) if (1 << 20..=1 << 40).contains(&bytes) => Ok(bytes),
        Some(_) => Err("it is not between 1MB and 1TB".into()),
        None => Err("it is not a size such as 512MB".into()),
    }
}

/// What all benchmarks know.
pub(crate) struct Shared {
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) json: bool,
    pub(crate) rounds: usize,
    pub(crate) size_bytes: u64,
    size_given: Option<u64>,
    pub(crate) files: usize,
    pub(crate) pages: Pages,
    given: Option<usize>,
}

impl Shared {
    /// The number of files that was asked for, else `usual`.
    pub(crate) fn files_or(&self, usual: usize) -> usize {
        self.given.unwrap_or(usual)
    }

    /// The size that was asked for, else `usual`.
    pub(crate) fn size_or(&self, usual: u64) -> u64 {
        self.size_given.unwrap_or(usual)
    }

    /// Prints a result.
    #[expect(clippy::print_stdout, reason = "results are what this program is for")]
    pub(crate) fn say(&self, line: &str) {
        println!("{line}");
    }

    /// Says what is going on; not for programs.
    #[expect(clippy::print_stderr, reason = "for the person at the terminal")]
    pub(crate) fn note(&self, line: &str) {
        eprintln!("# {line}");
    }
}

/// Bytes of a file: more than caches of the processor hold, little enough for a laptop.
const SIZE_BYTES: u64 = 512 << 20;
/// Calls a round of `metadata`: about a second of creates.
const CALLS: usize = 20_000;

/// Runs `alluxio bench ARGUMENTS`. Returns the exit code: 255 when a measurement fails.
#[expect(clippy::print_stderr, reason = "the last word of a program that failed")]
pub fn run(arguments: &[String], environment: BTreeMap<String, String>) -> ExitCode {
    let words = std::iter::once("alluxio bench".to_owned()).chain(arguments.iter().cloned());
    let bench = match Bench::try_parse_from(words) {
        Ok(bench) => bench,
        Err(error) => {
            // Help and version are no failures; clap knows where each text goes.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(255) } else { ExitCode::SUCCESS };
        }
    };
    let given = bench.options.files.map(|files| files as usize);
    let shared = Shared {
        environment,
        json: bench.options.json,
        rounds: bench.options.rounds.into(),
        size_bytes: bench.options.size.unwrap_or(SIZE_BYTES),
        size_given: bench.options.size,
        files: given.unwrap_or(CALLS),
        pages: bench.options.pages,
        given,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("alluxio bench: {error}");
            return ExitCode::from(255);
        }
    };
    match runtime.block_on(measure(bench.what, &shared, &bench.options.etcd)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("alluxio bench: {error:#}");
            ExitCode::from(255)
        }
    }
}

async fn measure(what: What, shared: &Shared, etcd: &[String]) -> anyhow::Result<()> {
    match what {
        What::Journal => {
            anyhow::ensure!(!etcd.is_empty(), "`journal` needs an etcd: --etcd HOST:PORT,...");
            journal::journal(shared, etcd).await
        }
        What::Read => data::read(shared).await,
        What::Randread => data::randread(shared).await,
        What::Write => data::write(shared).await,
        What::RemoteRead => data::remote_read(shared).await,
        What::Metadata => metadata::metadata(shared).await,
        What::List => metadata::list(shared).await,
        What::Startup => startup::startup(shared).await,
        What::Memory => startup::memory(shared).await,
        What::Fuse => fuse::fuse(shared).await,
        What::EmptyServer => empty::serve().await,
        What::All => {
            data::read(shared).await?;
            data::randread(shared).await?;
            data::write(shared).await?;
            data::remote_read(shared).await?;
            metadata::metadata(shared).await?;
            metadata::list(shared).await?;
            startup::startup(shared).await?;
            startup::memory(shared).await
        }
    }
}
