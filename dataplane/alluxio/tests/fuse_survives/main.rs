//! Mounts that outlive what serves them. Programs read, map, list and write on a mount, and check every byte,
//! while the agent is killed again and again, then its keepers, then pairs of them, then workers and the master. No
//! program may see an error. Everything is a process of its own; the test itself never touches the mount, so that it cannot be
//! made to wait.
//!
//! Where mounting is not allowed (no root, no device), that is said and nothing is tested, except in CI, where
//! it is a failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agent;
mod cluster;
mod load;
mod stand;
mod volume;

use load::Kind;
use stand::{Stand, say, until};
use std::time::Duration;

/// Programs at the same time, unless the variable says otherwise.
const PROGRAMS: usize = 8;
const PROGRAMS_VARIABLE: &str = "ALLUXIO_TEST_FUSE_PROGRAMS";
/// Kills of the agent alone, unless the variable says otherwise.
const KILLS: u64 = 6;
const KILLS_VARIABLE: &str = "ALLUXIO_TEST_FUSE_KILLS";
/// Between two kills.
const PAUSE_MS: u64 = 700;
const PAUSE_VARIABLE: &str = "ALLUXIO_TEST_FUSE_PAUSE_MS";

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// How often the one is killed that a test is about.
fn kills() -> u64 {
    variable(KILLS_VARIABLE, KILLS)
}

/// How often others are.
fn some_kills() -> u64 {
    (kills() / 3).max(2)
}

fn pause() -> Duration {
    Duration::from_millis(variable(PAUSE_VARIABLE, PAUSE_MS))
}

/// Starts as many programs as are wanted, of all kinds in turn.
fn programs(stand: &mut Stand, kinds: &[Kind]) {
    let count = variable(PROGRAMS_VARIABLE, PROGRAMS as u64);
    for number in 0..count {
        let kind = kinds[number as usize % kinds.len()];
        // Of files to unlink there are four.
        let out_of_files = kind == Kind::Unlinked && number / kinds.len() as u64 >= 4;
        let kind = if out_of_files { Kind::Change } else { kind };
        // Each unlinks a file of its own.
        let seed = if kind == Kind::Unlinked { number / kinds.len() as u64 } else { number + 100 };
        stand.start_program(kind, seed);
    }
}

#[test]
fn readers_see_no_error_while_everything_that_serves_them_is_killed_in_turn() {
    let Some(mut stand) = Stand::start() else { return };
    programs(&mut stand, &[Kind::Read, Kind::Map, Kind::List, Kind::Read]);
    for _ in 0..kills() {
        stand.after(pause(), "the agent", |stand| stand.restart_agent());
    }
    let each_keeper = || (0..some_kills() as usize).map(|number| number % 2);
    for keeper in each_keeper() {
        stand.after(pause(), "a keeper", |stand| stand.restart_keeper(keeper));
        stand.after(pause(), "the agent", |stand| stand.restart_agent());
    }
    for keeper in each_keeper() {
        stand.after(pause(), "the agent and a keeper", |stand| {
            stand.kill_keeper(keeper);
            stand.restart_agent();
            stand.start_keeper(keeper);
        });
    }
    stand.after(pause(), "both keepers", |stand| {
        stand.kill_keeper(0);
        stand.kill_keeper(1);
        stand.start_keeper(0);
        stand.start_keeper(1);
    });
    stand.after(pause(), "the agent", |stand| stand.restart_agent());
    stand.after(pause(), "the agent, in order", |stand| stand.replace_agent());
    stand.after(pause(), "nobody", |_| ());
    stand.finish_programs();
    assert!(stand.resumed() >= 8, "{}", stand.stat());
    // Readers open again and again: also what was passed through before this agent came.
    until("opens past the agent", || {
        stand.metric("alluxio_fuse_passthrough_files_total") > Some(0)
    });
}

#[test]
fn every_change_happens_once_while_everything_that_serves_it_is_killed_in_turn() {
    let Some(mut stand) = Stand::start() else { return };
    programs(&mut stand, &[Kind::Change, Kind::Unlinked, Kind::Write, Kind::Change]);
    for _ in 0..kills() {
        stand.after(pause(), "the agent", |stand| stand.restart_agent());
    }
    stand.after(pause(), "the agent and a keeper", |stand| {
        stand.kill_keeper(0);
        stand.restart_agent();
        stand.start_keeper(0);
    });
    stand.after(pause(), "the agent, in order", |stand| stand.replace_agent());
    stand.after(pause(), "nobody", |_| ());
    stand.finish_programs();
    // Files that were unlinked while they were open are gone with their last handle.
    until("the end of unlinked files", || stand.names("/doomed").iter().all(|name| name.len() < 4));
    assert_eq!(stand.names("/doomed").len(), 4 - doomed_programs());
}

/// How many programs unlink a file each.
fn doomed_programs() -> usize {
    (variable(PROGRAMS_VARIABLE, PROGRAMS as u64) as usize).div_ceil(4).min(4)
}

#[test]
fn when_all_holders_are_gone_new_opens_work_again_within_ten_seconds() {
    let Some(mut stand) = Stand::start() else { return };
    stand.probe(&stand.session_mount()).unwrap();
    stand.kill_keeper(0);
    stand.kill_keeper(1);
    stand.kill_agent();
    let died = std::time::Instant::now();
    stand.start_keeper(0);
    stand.start_keeper(1);
    stand.start_agent();
    let path = stand.session_mount();
    let outcome = loop {
        let outcome = stand.probe(&path);
        if outcome.is_ok() || died.elapsed() > Duration::from_secs(10) {
            break outcome;
        }
    };
    assert!(outcome.is_ok(), "{outcome:?} after {:?}: {}", died.elapsed(), stand.stat());
    say(&format!("all holders gone: new opens work after {} ms", died.elapsed().as_millis()));
}

/// No test: what [`load`] runs in processes of its own.
#[test]
fn a_program_that_uses_the_mount() {
    load::run_if_asked();
}
