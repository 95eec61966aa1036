//! A primary that stands still for longer than its lease, and does not know it afterwards.

use crate::load::Load;
use crate::{
    LEASE, Prober, SERVED_WITHIN, alone, masters, primary, rounds, term, wait_until_deposed,
};
use alluxio_testkit::Network;
use std::time::{Duration, Instant};

#[test]
fn a_frozen_primary_serves_nothing_when_it_wakes_and_rejoins_by_itself() {
    let _alone = alone();
    let masters = masters(Network::Direct);
    let load = Load::start(&masters, 1);
    let mut prober = Prober::new(&masters);
    for round in 0..rounds(3) {
        load.recorder().wait_for(100, SERVED_WITHIN);
        let victim = primary(&masters);
        let term = term(&masters, victim);
        let paused = Instant::now();
        masters.pause(victim).unwrap();
        prober.first_change_since(paused);
        load.recorder().wait_for(100, SERVED_WITHIN);
        if round % 2 == 0 {
            // Past its lease, which is what it believes in.
            std::thread::sleep((LEASE + Duration::from_secs(1)).saturating_sub(paused.elapsed()));
        }
        masters.resume(victim).unwrap();
        wait_until_deposed(&masters, victim, term);
    }
    prober.finish("SIGSTOP of the primary");
    load.check(masters.client().unwrap());
}
