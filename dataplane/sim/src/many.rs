//! Many seeds, each in a process of its own: the standard library's and tokio's own chance begins anew
//! with a process only, and a run that hangs can be ended.

use crate::Arguments;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Processes at once.
const AT_ONCE: usize = 2;
/// A run takes about a second.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks at the processes.
const LOOK: Duration = Duration::from_millis(2);

/// Runs so many seeds, or fewer when the time for them is over; prints how to repeat each that broke.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (mut running, mut done, mut broken) = (Vec::new(), 0u64, 0u64);
    let end = arguments.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let first = arguments.seed;
    let mut seeds = first..first.saturating_add(arguments.seeds);
    loop {
        while running.len() < AT_ONCE
            && end.is_none_or(|end| done == 0 || Instant::now() < end)
            && !(arguments.first && broken > 0)
            && let Some(seed) = seeds.next()
        {
            match start(arguments, seed) {
                Ok(child) => running.push((seed, Instant::now(), child)),
                Err(error) => {
                    println!("cannot start a process: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
        if running.is_empty() {
            break;
        }
        running.retain_mut(|(seed, started, child)| match ended(child, *started) {
            None => true,
            Some(good) => {
                done += 1;
                if !good {
                    broken += 1;
                    let how = arguments.again().join(" ");
                    println!("again: cargo xtask sim --seed {seed} {how}");
                }
                false
            }
        });
        std::thread::sleep(LOOK);
    }
    println!("{done} seeds, {broken} broken");
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(arguments: &Arguments, seed: u64) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--quiet", "--world", "cluster", "--seed", &seed.to_string()]);
    command.args(arguments.again());
    command.stdin(Stdio::null()).spawn()
}

/// Whether a process ended well, once it ended.
fn ended(child: &mut Child, started: Instant) -> Option<bool> {
    match child.try_wait() {
        Ok(Some(status)) => Some(status.success()),
        Ok(None) if started.elapsed() < PATIENCE => None,
        _ => {
            println!("a run does not end");
            let _ = child.kill();
            let _ = child.wait();
            Some(false)
        }
    }
}
