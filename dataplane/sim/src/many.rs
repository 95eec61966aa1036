//! Many seeds, each in a process of its own: the standard library's and tokio's own chance begins anew
//! with a process only, and a run that hangs can be ended.

use crate::Arguments;
use std::collections::BTreeMap;
use std::io::{Error, Write};
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A run takes less than a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of all runs so far.
#[derive(Default)]
struct Total {
    done: u64,
    broken: u64,
    /// What the runs met, added up.
    met: BTreeMap<String, u64>,
    cannot: Option<Error>,
}

/// Runs so many seeds, or fewer when the time for them is over; prints how to repeat each that broke.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let at_once = arguments.jobs.unwrap_or_else(processors).max(1);
    let first = arguments.seed;
    let seeds = Mutex::new(first..first.saturating_add(arguments.seeds));
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| work(arguments, began, &seeds, &total));
        }
    });
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = total.cannot {
        println!("cannot run a process: {error}");
        return ExitCode::FAILURE;
    }
    if !arguments.quiet {
        let met = total.met.iter().map(|(what, count)| format!("{what}={count}"));
        println!("{}", met.collect::<Vec<_>>().join(" "));
    }
    let took = began.elapsed().as_secs_f64();
    let each_second = total.done as f64 / took.max(0.001);
    println!(
        "{} seeds, {} broken; {each_second:.1} seeds a second for {took:.0} s",
        total.done, total.broken
    );
    if total.broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes one seed after the other until none is left, or the time is over.
fn work(
    arguments: &Arguments,
    began: Instant,
    seeds: &Mutex<std::ops::Range<u64>>,
    total: &Mutex<Total>,
) {
    let over = || {
        let late = arguments.seconds.is_some_and(|most| began.elapsed().as_secs() >= most);
        let total = lock(total);
        (late && total.done > 0) || (arguments.first && total.broken > 0) || total.cannot.is_some()
    };
    while !over() {
        let Some(seed) = lock(seeds).next() else { return };
        match run_one(arguments, seed) {
            Ok(output) => take(arguments, seed, &output, &mut lock(total)),
            Err(error) => lock(total).cannot = Some(error),
        }
    }
}

fn run_one(arguments: &Arguments, seed: u64) -> Result<Output, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--world", "cluster", "--one-of-many", "--seed", &seed.to_string()]);
    command.args(arguments.again()).stdin(Stdio::null()).output()
}

fn take(arguments: &Arguments, seed: u64, output: &Output, total: &mut Total) {
    let told = String::from_utf8_lossy(&output.stdout);
    total.done += 1;
    if output.status.success() {
        if arguments.each {
            print!("{told}");
        }
        for (what, count) in told.split_whitespace().filter_map(|fact| fact.split_once('=')) {
            if let Ok(count) = count.parse::<u64>() {
                let sum = total.met.entry(what.to_owned()).or_default();
                *sum = sum.wrapping_add(count);
            }
        }
        return;
    }
    total.broken += 1;
    print!("{told}");
    // Panics are told there; what cannot be shown is in the seed all the same.
    let _ = std::io::stderr().write_all(&output.stderr);
    println!("again: cargo xtask sim --seed {seed} {}", arguments.again().join(" "));
}

/// Ends this process, which runs one of many seeds, should it hang.
pub(crate) fn end_in_time() {
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE);
        println!("a run does not end");
        std::process::exit(1);
    });
}
