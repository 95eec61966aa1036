//! An etcd that fails: killed and frozen members, lost majority, broken network.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_election::{
    Candidate, Elector, EtcdElector, EtcdElectorOptions, Hold, READ_TENURE, Tenure,
};
use alluxio_etcd::{Etcd, EtcdSettings};
use alluxio_host::{Clock, SystemClock};
use alluxio_testservers::{Etcd as Servers, Proxy};
use alluxio_types::Term;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Far more than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(40);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {LIMIT:?}"),
    }
}

fn elector(endpoints: Vec<String>, id: &str, clock: &Arc<dyn Clock>, lease: u64) -> EtcdElector {
    let etcd = Arc::new(Etcd::new(&EtcdSettings::plain(endpoints, "faults")).unwrap());
    let candidate = Candidate { id: id.to_owned(), rpc_address: format!("{id}:19998") };
    let options = EtcdElectorOptions { lease: Duration::from_secs(lease) };
    EtcdElector::start(etcd, candidate, clock.clone(), options)
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

async fn elected(elector: &EtcdElector) -> Tenure {
    let tenure = soon("an election", elector.campaign(Term(0))).await.unwrap();
    assert!(soon("a confirmation", tenure.valid()).await);
    tenure
}

async fn suspended(tenure: &Tenure) {
    let wait = async {
        while tenure.hold() == Hold::Valid {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("the end of the deadline", wait).await;
    assert_eq!(tenure.hold(), Hold::Suspended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenure_is_suspended_while_etcd_is_frozen_and_revived_after() {
    let servers = Servers::start(1);
    let clock = clock();
    let elector = elector(servers.endpoints(), "a", &clock, 20);
    let tenure = elected(&elector).await;
    servers.pause(0);
    suspended(&tenure).await;
    servers.resume(0);
    assert!(soon("the revival", tenure.valid()).await, "nobody else was elected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_stays_one_while_etcd_loses_members_and_its_majority() {
    let mut servers = Servers::start(3);
    let clock = clock();
    let elector = elector(servers.endpoints(), "a", &clock, 20);
    let tenure = elected(&elector).await;

    // Its leader dies: etcd elects another one, and we go on.
    let leader = servers.leader();
    servers.kill(leader);
    assert!(soon("a confirmation", tenure.valid()).await);
    servers.restart(leader);
    servers.wait_until_healthy(leader);

    // Its leader hangs, with our connection open.
    let leader = servers.leader();
    servers.pause(leader);
    tokio::time::sleep(2 * READ_TENURE).await;
    assert!(soon("a confirmation", tenure.valid()).await);
    servers.resume(leader);
    servers.wait_until_healthy(leader);

    // The majority is gone: nothing is acknowledged, nothing is forgotten.
    let down = [servers.leader(), (servers.leader() + 1) % 3];
    down.iter().for_each(|member| servers.kill(*member));
    suspended(&tenure).await;
    down.iter().for_each(|member| servers.restart(*member));
    assert!(soon("the revival", tenure.valid()).await);
    assert_eq!(elector.leader().borrow().as_ref().map(|leader| leader.term), Some(tenure.term()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_cut_off_from_etcd_is_replaced_and_never_valid_beside_its_successor() {
    let servers = Servers::start(1);
    let clock = clock();
    let proxy = Proxy::to(&servers.endpoints()[0]);
    let old = elector(vec![proxy.address()], "old", &clock, 2);
    let new = elector(servers.endpoints(), "new", &clock, 2);
    let of_old = elected(&old).await;
    proxy.partition();
    // By the end of the lease: nobody challenges.
    let of_new = soon("an election", new.campaign(Term(0))).await.unwrap();
    assert!(of_new.term() > of_old.term());
    assert!(!of_old.is_valid(), "the lease is far longer than the tenure");
    proxy.heal();
    soon("the news", of_old.lost()).await;
    assert!(soon("a confirmation", of_new.valid()).await);
    // It rejoins as a candidate.
    let again = old.campaign(Term(0));
    soon("a resignation", new.resign(&of_new)).await.unwrap();
    assert!(soon("an election", again).await.unwrap().term() > of_new.term());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenure_of_a_challenged_primary_is_over_before_its_successor_serves() {
    let servers = Servers::start(1);
    let clock = clock();
    let proxy = Proxy::to(&servers.endpoints()[0]);
    let old = elector(vec![proxy.address()], "old", &clock, 20);
    let new = elector(servers.endpoints(), "new", &clock, 20);
    let of_old = elected(&old).await;
    let mut leader = new.leader();
    let seen = soon("news", leader.wait_for(Option::is_some)).await.unwrap().clone().unwrap();
    proxy.partition();
    soon("a challenge", new.challenge(&seen)).await.unwrap();
    let of_new = soon("an election", new.campaign(Term(0))).await.unwrap();
    // The cut-off primary cannot know; its deadline alone must end it in time.
    while clock.monotonic() < of_new.serve_from() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(of_old.hold(), Hold::Suspended);
    assert!(soon("a confirmation", of_new.valid()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_whose_answer_is_lost_ends_in_one_primary() {
    let servers = Servers::start(1);
    let clock = clock();
    let proxy = Proxy::to(&servers.endpoints()[0]);
    let lossy = elector(vec![proxy.address()], "lossy", &clock, 2);
    let mut leader = lossy.leader();
    for round in 0..3 {
        // Requests arrive, answers do not: the attempt may win without knowing it.
        proxy.cut_replies();
        let campaign = lossy.campaign(Term(0));
        tokio::pin!(campaign);
        let early = tokio::time::timeout(Duration::from_millis(300), &mut campaign).await;
        assert!(early.is_err(), "it cannot know yet");
        proxy.reset();
        proxy.heal();
        let tenure = soon("an election", campaign).await.unwrap();
        assert!(soon("a confirmation", tenure.valid()).await);
        let term = tenure.term();
        let known = leader.wait_for(|l| l.as_ref().is_some_and(|l| l.term == term));
        drop(soon("news", known).await.unwrap());
        soon("a resignation", lossy.resign(&tenure)).await.unwrap();
        assert_eq!(tenure.hold(), Hold::Lost, "round {round}");
    }
}
