//! Three masters on an etcd of three members, all of them real processes, under load: masters are
//! killed, frozen and cut off, and so is etcd. All that clients were told is written down, and at the
//! end there must be an order of all calls that explains it: no acknowledged change is lost, none is
//! made twice, and no master answers from a tree that is no longer the newest.
//!
//! Each test is short here and long in `cargo xtask soak`, by the variables below.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it tells how long fail-overs take")]

mod etcd;
mod kills;
mod load;
mod partitions;
mod pauses;
mod recorder;
mod shared;

use alluxio_client::blocking::FileSystem;
use alluxio_client::options::CreateDirectoryOptions;
use alluxio_testkit::{Masters, Network};
use alluxio_testservers::eventually;
use alluxio_types::AlluxioPath;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Times that a fault is repeated.
const ROUNDS_VARIABLE: &str = "ALLUXIO_TEST_FAILOVERS";
/// Longest time to the next answer, on a loaded machine.
const SERVED_WITHIN: Duration = Duration::from_secs(60);
/// Short, so that a test can wait for its end: the shortest that can be configured.
const LEASE: Duration = Duration::from_secs(2);

/// One test at a time: six servers and their clients are enough for a small machine.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn term(masters: &Masters, number: usize) -> i64 {
    masters.metric(number, "alluxio_master_term_number").unwrap()
}

fn masters(network: Network) -> Masters {
    let binary = Path::new(env!("CARGO_BIN_EXE_alluxio"));
    // Checkpoints are written all the time, and the journal in etcd is cut behind them.
    let properties = [
        ("alluxio.etcd.leader.lease", "2s"),
        ("alluxio.master.journal.checkpoint.period.entries", "2000"),
    ];
    Masters::start(binary, (3, 3), network, &properties).unwrap()
}

/// How often to repeat a fault: `usual` times, or as the variable says.
fn rounds(usual: u64) -> u64 {
    std::env::var(ROUNDS_VARIABLE).map_or(usual, |text| text.parse().unwrap())
}

/// The primary, once there is one.
fn primary(masters: &Masters) -> usize {
    let mut found = None;
    eventually("a primary", SERVED_WITHIN, || {
        found = masters.primary();
        found.is_some()
    });
    found.unwrap()
}

/// Waits until every other master stays with the primary, and has all that it has.
fn wait_for_standbys(masters: &Masters, count: i64) {
    eventually("all standbys follow", SERVED_WITHIN, || {
        let standbys = |number| masters.metric(number, "alluxio_master_standbys");
        masters.primary().is_some_and(|number| standbys(number) == Some(count))
    });
}

/// Waits until master `old`, which was the primary of `term`, follows another one; on a machine that is
/// too busy it may be elected anew after that, but never serve on.
fn wait_until_deposed(masters: &Masters, old: usize, term: i64) {
    eventually("the old primary steps down", SERVED_WITHIN, || {
        let now = masters.metric(old, "alluxio_master_term_number");
        now.is_some_and(|now| now > term)
    });
    wait_for_standbys(masters, masters.count() as i64 - 1);
}

/// Makes changes that nobody else makes, and measures how long the first one after a fault takes.
struct Prober {
    fs: Arc<FileSystem>,
    made: u64,
    took: Vec<Duration>,
}

impl Prober {
    fn new(masters: &Masters) -> Prober {
        let mut prober =
            Prober { fs: Arc::new(masters.client().unwrap()), made: 0, took: Vec::new() };
        prober.change();
        prober
    }

    fn change(&mut self) {
        self.made += 1;
        let path = AlluxioPath::parse(&format!("/probe-{}", self.made)).unwrap();
        let (fs, (made, outcome)) = (self.fs.clone(), channel());
        std::thread::spawn(move || {
            // Nobody listens to a change that came too late.
            let _ = made.send(fs.create_directory(&path, &CreateDirectoryOptions::default()));
        });
        outcome.recv_timeout(SERVED_WITHIN).expect("a change is served in time").unwrap();
    }

    /// One change, which began when the fault did.
    fn first_change_since(&mut self, fault: Instant) {
        self.change();
        self.took.push(fault.elapsed());
    }

    /// All its changes are there, and the times are printed: median, 99th percentile, longest.
    fn finish(mut self, what: &str) -> Duration {
        let options = alluxio_client::options::GetStatusOptions::default();
        for number in 1..=self.made {
            let path = AlluxioPath::parse(&format!("/probe-{number}")).unwrap();
            self.fs.get_status(&path, &options).unwrap();
        }
        self.took.sort_unstable();
        let at = |part: f64| self.took[((self.took.len() - 1) as f64 * part).round() as usize];
        let (median, p99, longest) = (at(0.5), at(0.99), at(1.0));
        println!(
            "{what}: {} times; first change served after {median:.2?} (median), {p99:.2?} (p99), \
             {longest:.2?} (longest)",
            self.took.len()
        );
        p99
    }
}
