//! What many clusters and Datasets cost: time until all is told, requests, writes when nothing happens (none), memory.
//!
//! Few by default; `ALLUXIO_TEST_CLUSTERS` and `ALLUXIO_TEST_DATASETS` ask for more, `--nocapture` shows the numbers.

use crate::load::{self, Numbers};
use crate::played;
use crate::stand::{OPERATOR, Process, Stand};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Resident memory of the operator, with 200 clusters and 2,000 Datasets.
const MEMORY_MAX: u64 = 200 << 20;
/// How long many of them may take.
const SETTLE_WITHIN: Duration = Duration::from_secs(1200);
/// How often the process is asked.
const LOOK: Duration = Duration::from_millis(100);

/// How long things are watched.
#[derive(Clone, Copy)]
struct Times {
    /// Without a write for so long, all is told.
    quiet: Duration,
    /// Then it is watched for so long: all that waits for masters is looked at once within the both.
    idle: Duration,
}

impl Times {
    fn of(numbers: Numbers) -> Times {
        let seconds = |quiet, idle| Times {
            quiet: Duration::from_secs(quiet),
            idle: Duration::from_secs(idle),
        };
        if numbers.are_few() { seconds(4, 11) } else { seconds(20, 120) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_objects_that_wait_for_masters_are_told_so_and_then_left_alone() {
    let numbers = Numbers::asked();
    let times = Times::of(numbers);
    let stand = Stand::start().await;
    load::put(&stand, numbers).await;
    let operator = stand.operator(&["--no-election"]);
    settle(&stand, &operator, times, "nothing is there yet").await;
    idle(&stand, &operator, times, "masters are waited for").await;
    drop(operator);
    let operator = stand.operator(&["--no-election"]);
    settle(&stand, &operator, times, "all is there").await;
    let writes = operator.metric("alluxio_operator_writes_total");
    assert_eq!(writes, 0, "the next operator found it as it was:\n{}", operator.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_datasets_are_mounted_and_then_left_alone() {
    let numbers = Numbers::asked();
    let times = Times::of(numbers);
    let stand = Stand::start().await;
    load::put(&stand, numbers).await;
    let operator = played::start(&stand);
    let begun = Instant::now();
    loop {
        load::play_kubernetes(&stand).await;
        let ready = load::in_phase(&stand, "Ready").await;
        if ready == (numbers.clusters, numbers.datasets) {
            break;
        }
        let late = begun.elapsed() > SETTLE_WITHIN;
        assert!(!late, "{ready:?} of {numbers:?} are ready:\n{}", operator.log());
        tokio::time::sleep(LOOK).await;
    }
    println!("all ready after {:.1} s", begun.elapsed().as_secs_f64());
    settle(&stand, &operator, times, "all is ready").await;
    idle(&stand, &operator, times, "all is ready").await;
}

/// Waits until nothing is written any more, and tells how long that took and what was asked.
async fn settle(stand: &Stand, operator: &Process, times: Times, what: &str) {
    let begun = Instant::now();
    let mark = stand.plane.mark().unwrap();
    let writes = || operator.metric("alluxio_operator_writes_total");
    let (mut last, mut since) = (writes(), begun);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = writes();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        let late = begun.elapsed() > SETTLE_WITHIN;
        if since.elapsed() < times.quiet && !late {
            continue;
        }
        match load::all_told(stand).await {
            Ok(()) => break,
            Err(untold) => assert!(!late, "{untold}:\n{}", operator.log()),
        }
    }
    let took = since.duration_since(begun);
    print(stand, mark, took, operator, &format!("until nothing is written; {what}"));
}

/// Nothing is written while nothing happens, and little is asked.
async fn idle(stand: &Stand, operator: &Process, times: Times, what: &str) {
    let mark = stand.plane.mark().unwrap();
    let cpu = operator.cpu_seconds();
    tokio::time::sleep(times.idle).await;
    let cpu = operator.cpu_seconds() - cpu;
    let share = cpu / times.idle.as_secs_f64();
    println!("processor: {:.1} % of one", share * 100.0);
    let asked = print(stand, mark, times.idle, operator, &format!("nothing happens; {what}"));
    let is_write = |name: &&String| !["get", "list", "watch"].contains(&word(name));
    let writes: Vec<&String> = asked.keys().filter(is_write).collect();
    assert!(writes.is_empty(), "{writes:?}:\n{}", operator.log());
    let (now, most) = operator.memory();
    assert!(most < MEMORY_MAX, "{now} bytes, and {most} at most");
}

fn word(name: &str) -> &str {
    name.split(' ').next().unwrap_or_default()
}

/// Tells what the operator asked since `mark`, by verb and resource.
fn print(
    stand: &Stand,
    mark: alluxio_e2e_harness::Mark,
    took: Duration,
    operator: &Process,
    what: &str,
) -> BTreeMap<String, u64> {
    let mut asked: BTreeMap<String, u64> = BTreeMap::new();
    for request in stand.plane.requests_since(mark).unwrap() {
        if request.user == OPERATOR {
            *asked.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
        }
    }
    let all: u64 = asked.values().sum();
    let (now, most) = operator.memory();
    println!(
        "{:.1} s {what}: {all} requests, {:.1} a second; memory {} MiB, at most {} MiB",
        took.as_secs_f64(),
        all as f64 / took.as_secs_f64().max(1.0),
        now >> 20,
        most >> 20
    );
    let mut sorted: Vec<(&String, &u64)> = asked.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (name, count) in sorted {
        println!("  {count:>8} {name}");
    }
    asked
}
