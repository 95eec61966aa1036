//! An operator that was stopped for longer than its lease lasts writes nothing any more when it goes on.
//!
//! Once by default; `ALLUXIO_TEST_PAUSES` asks for more.

use crate::load::{self, Numbers};
use crate::stand::{OPERATOR, Process, Stand};
use alluxio_e2e_harness::{LIMIT, Request};
use std::time::{Duration, Instant};

/// The shortest lease there is, in seconds.
const LEASE: &str = "5";
/// What is made for the two to do.
const WORK: Numbers = Numbers { clusters: 10, datasets: 60 };

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_was_paused_past_its_lease_writes_nothing_more() {
    let rounds = std::env::var("ALLUXIO_TEST_PAUSES").map_or(1, |text| text.parse().unwrap());
    for round in 0..rounds {
        let stand = Stand::start().await;
        let successor = stand.second_account("successor");
        load::put(&stand, WORK).await;
        let old = stand.operator(&lease("old"));
        // In the middle of its work, at another place each time.
        until("it works", &old, || old.metric("alluxio_operator_writes_total") >= 20 + round * 7)
            .await;
        old.pause(true);
        let new = stand.operator_as("successor", &lease("new"));
        until("the other one works", &new, || new.metric("alluxio_operator_writes_total") > 0)
            .await;
        old.pause(false);
        until("the old one ends by itself", &old, || old.has_ended()).await;
        let log = old.log();
        assert!(log.contains("the lease"), "{log}");
        // What the other one has to do goes on meanwhile; it is not to be disturbed.
        let told = Instant::now();
        while load::all_told(&stand).await.is_err() {
            assert!(told.elapsed() < LIMIT, "{}", new.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        check(&stand.plane.requests().unwrap(), &successor);
        println!(
            "round {round}: the old one tried {} writes in vain",
            log.matches("is not sent").count()
        );
    }
}

fn lease(name: &str) -> [&str; 6] {
    ["--lease-seconds", LEASE, "--pod-namespace", "alluxio-system", "--pod-name", name]
}

async fn until(what: &str, of: &Process, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "waited for: {what}\n{}", of.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Behind the first write of the successor there is none of the old one, and both wrote something.
fn check(requests: &[Request], successor: &str) {
    let is_write = |request: &&Request| request.is_write() && request.code < 400;
    let wrote = |user: &str| {
        let mut of = requests.iter().enumerate();
        of.position(|(_, request)| request.user == user && is_write(&request))
    };
    let first = wrote(successor).unwrap();
    assert!(wrote(OPERATOR).is_some_and(|old| old < first), "the old one led before");
    let work = |request: &&Request| is_write(request) && request.resource != "leases";
    assert!(requests[..first].iter().filter(work).any(|request| request.user == OPERATOR));
    let late: Vec<&Request> = requests[first..]
        .iter()
        .filter(|request| request.user == OPERATOR && is_write(request))
        .collect();
    assert!(late.is_empty(), "written after the other one's first write: {late:?}");
    assert!(requests[first..].iter().filter(work).any(|request| request.user == successor));
}
