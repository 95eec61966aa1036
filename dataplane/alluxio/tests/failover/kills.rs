//! `kill -9` of the primary, over and over, and of two masters of three.

use crate::load::Load;
use crate::{Prober, SERVED_WITHIN, alone, masters, primary, rounds, wait_for_standbys};
use alluxio_host::{Entropy, SeededEntropy};
use alluxio_testkit::Network;
use std::time::{Duration, Instant};

/// From how many kills on their 99th percentile says something.
const MANY: u64 = 100;

#[test]
fn killing_the_primary_over_and_over_loses_nothing_that_was_acknowledged() {
    let _alone = alone();
    let kills = rounds(10);
    let entropy = SeededEntropy::new(kills);
    let mut masters = masters(Network::Direct);
    let load = Load::start(&masters, kills);
    let mut prober = Prober::new(&masters);
    for _ in 0..kills {
        // Any moment in the life of a change, and of a checkpoint.
        load.recorder().wait_for(50 + entropy.below(400) as usize, SERVED_WITHIN);
        let victim = primary(&masters);
        let killed = Instant::now();
        masters.kill(victim).unwrap();
        prober.first_change_since(killed);
        masters.start_master(victim).unwrap();
    }
    wait_for_standbys(&masters, 2);
    let p99 = prober.finish("kill -9 of the primary");
    // Whatever is only in some process's memory goes now.
    (0..3).for_each(|number| masters.kill(number).unwrap());
    (0..3).for_each(|number| masters.start_master(number).unwrap());
    let calls = load.check(masters.client().unwrap());
    println!("{kills} kills, {calls} answers explained");
    assert!(kills < MANY || p99 < Duration::from_secs(1), "{p99:?}");
}

#[test]
fn one_master_of_three_serves_alone_and_the_others_come_back() {
    let _alone = alone();
    let mut masters = masters(Network::Direct);
    let load = Load::start(&masters, 3);
    let mut prober = Prober::new(&masters);
    for _ in 0..rounds(1) {
        let first = primary(&masters);
        let second = (first + 1) % 3;
        let killed = Instant::now();
        masters.kill(first).unwrap();
        masters.kill(second).unwrap();
        prober.first_change_since(killed);
        load.recorder().wait_for(200, SERVED_WITHIN);
        assert_eq!(primary(&masters), (first + 2) % 3);
        masters.start_master(first).unwrap();
        masters.start_master(second).unwrap();
        wait_for_standbys(&masters, 2);
    }
    prober.finish("kill -9 of two masters");
    load.check(masters.client().unwrap());
}
