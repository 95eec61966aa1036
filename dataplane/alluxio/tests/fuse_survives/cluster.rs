//! Programs read on the mount while the cluster behind it is killed: workers, the master, and both.

use crate::load::Kind;
use crate::stand::Stand;
use crate::{kills, pause, programs};

/// Whoever is killed, there is another copy of the bytes: in the other worker, or only in the under store.
#[test]
fn readers_see_no_error_while_workers_and_the_master_are_killed_in_turn() {
    let Some(mut stand) = Stand::start() else { return };
    stand.start_worker(2);
    programs(&mut stand, &[Kind::Read, Kind::Map, Kind::Whole, Kind::List]);
    for round in 0..kills() {
        let worker = 1 + (round / 3 % 2) as u32;
        match round % 3 {
            0 => stand.after(pause(), "a worker", |stand| stand.restart_worker(worker)),
            1 => stand.after(pause(), "the master", |stand| {
                // Who reads from now on finds the bytes in the under store alone.
                stand.free("/data");
                stand.restart_master();
            }),
            _ => stand.after(pause(), "the master and a worker", |stand| {
                stand.restart_master_and_worker(worker);
            }),
        }
    }
    stand.after(pause(), "nobody", |_| ());
    stand.finish_programs();
}
