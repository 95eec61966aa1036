//! A primary that is cut off: from etcd, from the other masters, from its clients.

use crate::load::Load;
use crate::{Prober, SERVED_WITHIN, alone, masters, primary, rounds, term, wait_until_deposed};
use alluxio_testkit::{Masters, Network};
use alluxio_testservers::eventually;
use std::time::Instant;

/// Cuts the primary off, until another one serves.
fn deposed(masters: &Masters, load: &Load, prober: &mut Prober, cut: fn(&Masters, usize)) {
    load.recorder().wait_for(100, SERVED_WITHIN);
    let old = primary(masters);
    let old_term = term(masters, old);
    let since = Instant::now();
    cut(masters, old);
    eventually("another primary", SERVED_WITHIN, || {
        let others = (0..masters.count()).filter(|number| *number != old);
        { others }.any(|number| masters.metric(number, "alluxio_master_primary") == Some(1))
    });
    prober.first_change_since(since);
    load.recorder().wait_for(100, SERVED_WITHIN);
    masters.heal(old);
    wait_until_deposed(masters, old, old_term);
}

#[test]
fn a_primary_cut_off_from_etcd_is_deposed_and_rejoins() {
    let _alone = alone();
    let masters = masters(Network::Proxies);
    let load = Load::start(&masters, 1);
    let mut prober = Prober::new(&masters);
    for _ in 0..rounds(2) {
        deposed(&masters, &load, &mut prober, Masters::cut_from_etcd);
    }
    prober.finish("primary cut off from etcd");
    load.check(masters.client().unwrap());
}

#[test]
fn a_primary_cut_off_from_the_other_masters_is_deposed_and_rejoins() {
    let _alone = alone();
    let masters = masters(Network::Proxies);
    let load = Load::start(&masters, 2);
    let mut prober = Prober::new(&masters);
    for _ in 0..rounds(2) {
        deposed(&masters, &load, &mut prober, Masters::cut_from_masters);
    }
    prober.finish("primary cut off from the other masters");
    load.check(masters.client().unwrap());
}

#[test]
fn a_primary_cut_off_from_clients_stays_and_their_calls_come_through_when_it_heals() {
    let _alone = alone();
    let masters = masters(Network::Proxies);
    let load = Load::start(&masters, 3);
    let mut prober = Prober::new(&masters);
    for _ in 0..rounds(1) {
        load.recorder().wait_for(100, SERVED_WITHIN);
        let old = primary(&masters);
        let before = term(&masters, old);
        masters.cut_from_clients(old);
        // Only the reader that goes past the proxies is answered meanwhile.
        load.recorder().wait_for(100, SERVED_WITHIN);
        let healed = Instant::now();
        masters.heal(old);
        prober.first_change_since(healed);
        load.recorder().wait_for(100, SERVED_WITHIN);
        assert_eq!((primary(&masters), term(&masters, old)), (old, before));
    }
    prober.finish("primary cut off from its clients, after it healed");
    load.check(masters.client().unwrap());
}
