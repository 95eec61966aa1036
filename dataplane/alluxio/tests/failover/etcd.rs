//! Members of etcd that die, its leader among them, and a majority that is gone for a while.

use crate::load::Load;
use crate::{Prober, SERVED_WITHIN, alone, masters, primary, rounds, term, wait_for_standbys};
use alluxio_testkit::Network;
use std::time::{Duration, Instant};

/// How long the majority of etcd is gone, in seconds.
const OUTAGE_VARIABLE: &str = "ALLUXIO_TEST_ETCD_OUTAGE_SECONDS";

#[test]
fn members_of_etcd_die_in_turn_and_clients_notice_nothing_but_time() {
    let _alone = alone();
    let mut masters = masters(Network::Direct);
    let load = Load::start(&masters, 1);
    let mut prober = Prober::new(&masters);
    for _ in 0..rounds(2) {
        load.recorder().wait_for(100, SERVED_WITHIN);
        let member = masters.etcd().leader();
        let killed = Instant::now();
        masters.etcd().kill(member);
        prober.first_change_since(killed);
        load.recorder().wait_for(100, SERVED_WITHIN);
        masters.etcd().restart(member);
        masters.etcd().wait_until_healthy(member);
    }
    prober.finish("kill -9 of etcd's leader");
    wait_for_standbys(&masters, 2);
    load.check(masters.client().unwrap());
}

#[test]
fn without_a_majority_of_etcd_nothing_is_acknowledged_and_nothing_is_lost() {
    let _alone = alone();
    let outage = std::env::var(OUTAGE_VARIABLE).map_or(4, |text| text.parse().unwrap());
    let mut masters = masters(Network::Direct);
    let load = Load::start(&masters, 2);
    let mut prober = Prober::new(&masters);
    load.recorder().wait_for(100, SERVED_WITHIN);
    let before = term(&masters, primary(&masters));
    masters.etcd().kill(0);
    masters.etcd().kill(1);
    std::thread::sleep(Duration::from_secs(outage));
    masters.etcd().restart(0);
    masters.etcd().restart(1);
    let back = Instant::now();
    prober.first_change_since(back);
    prober.finish("etcd without a majority, after it came back");
    load.recorder().wait_for(200, SERVED_WITHIN);
    wait_for_standbys(&masters, 2);
    assert!(term(&masters, primary(&masters)) >= before);
    load.check(masters.client().unwrap());
}
