//! Every elector on the suite of the trait.

use alluxio_election::conformance::{Stage, one_master, several_masters};
use alluxio_election::{Candidate, EtcdElector, EtcdElectorOptions, FixedElector, SharedElection};
use alluxio_etcd::{Etcd, EtcdSettings};
use alluxio_host::{Clock, SystemClock};
use std::sync::Arc;
use std::time::Duration;

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

fn candidate(id: &str) -> Candidate {
    Candidate { id: id.to_owned(), rpc_address: format!("{id}:19998") }
}

#[tokio::test]
async fn the_fixed_elector_conforms() {
    one_master(Arc::new(FixedElector::new(candidate("only"), clock()))).await;
}

#[tokio::test]
async fn the_elector_of_one_process_conforms() {
    let election = SharedElection::new(clock(), Duration::from_secs(5));
    one_master(Arc::new(election.elector(candidate("only")))).await;
    let election = SharedElection::new(clock(), Duration::from_secs(5));
    let join = Box::new(move |candidate| Arc::new(election.elector(candidate)) as Arc<_>);
    several_masters(&Stage { join, clock: clock() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_elector_in_etcd_conforms() {
    let servers = alluxio_testservers::Etcd::start(1);
    let clock = clock();
    let join = |cluster: &str| {
        let etcd = Etcd::new(&EtcdSettings::plain(servers.endpoints(), cluster)).unwrap();
        let (etcd, clock) = (Arc::new(etcd), clock.clone());
        move |candidate: Candidate| {
            let options = EtcdElectorOptions::default();
            let elector = EtcdElector::start(etcd.clone(), candidate, clock.clone(), options);
            Arc::new(elector) as Arc<dyn alluxio_election::Elector>
        }
    };
    one_master(join("one")(candidate("only"))).await;
    several_masters(&Stage { join: Box::new(join("several")), clock: clock.clone() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_is_newer_than_the_journal_gives_later_terms_all_the_same() {
    use alluxio_election::Elector;
    let servers = alluxio_testservers::Etcd::start(1);
    let start = |id: &str| {
        let settings = alluxio_etcd::EtcdSettings::plain(servers.endpoints(), "raised");
        let etcd = Arc::new(alluxio_etcd::Etcd::new(&settings).unwrap());
        EtcdElector::start(etcd, candidate(id), clock(), EtcdElectorOptions::default())
    };
    let last = alluxio_types::Term(500);
    let strict = start("a");
    let refused = strict.campaign(last).await;
    assert!(matches!(refused, Err(alluxio_election::ElectionError::TermBehind { .. })));
    drop(strict);
    let raising = alluxio_election::RaisingElector::over(start("b"));
    let tenure = raising.campaign(last).await.unwrap();
    assert!(tenure.term() > last);
    let leader = raising.leader().wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!((leader.id.as_str(), leader.term), ("b", tenure.term()));
}
