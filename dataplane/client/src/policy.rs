//! Which worker gets a block: the location policies, as pure functions.
//!
//! **Source**: `reference` semantics §5.

use crate::locality::Nearby;
use alluxio_config::LocationPolicy;
use alluxio_types::{BlockId, WorkerId, WorkerInfo};

/// What a policy rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// The block that needs a worker.
    pub(crate) block: BlockId,
    /// Its length in bytes; 0 when only the way to the UFS is needed.
    pub(crate) bytes: u64,
    /// Workers of this host.
    pub(crate) nearby: &'a Nearby,
    /// Worker host of `SpecificHost`.
    pub(crate) specific_host: Option<&'a str>,
    /// Bytes that `LocalFirstAvoidEviction` leaves free.
    pub(crate) reserve_bytes: u64,
    /// Workers that `DeterministicHash` chooses among.
    pub(crate) hash_shards: usize,
    /// Grows by one with every block: position of `RoundRobin`.
    pub(crate) turn: u64,
    /// Random number of this choice.
    pub(crate) random: u64,
}

/// Chooses among `workers` (live ones that were not ruled out). `None` when none fits.
///
/// The order of `workers` does not matter: the deterministic policies sort them first.
pub(crate) fn choose(
    policy: LocationPolicy,
    ask: &Ask<'_>,
    workers: &[WorkerInfo],
) -> Option<WorkerId> {
    let mut fit: Vec<&WorkerInfo> =
        workers.iter().filter(|worker| worker.capacity_bytes() >= ask.bytes.max(1)).collect();
    // By host, then port: the same order for every client.
    fit.sort_by(|a, b| key(a).cmp(&key(b)));
    match policy {
        LocationPolicy::LocalFirst => local_or_random(ask, &fit),
        LocationPolicy::LocalFirstAvoidEviction => {
            let free: Vec<&WorkerInfo> = fit
                .iter()
                .copied()
                .filter(|worker| available(worker) >= ask.bytes.saturating_add(ask.reserve_bytes))
                .collect();
            // With no room anywhere, evicting on the nearest is better than not writing.
            local_or_random(ask, if free.is_empty() { &fit } else { &free })
        }
        LocationPolicy::MostAvailableFirst => {
            // The first of equals.
            fit.iter().rev().max_by_key(|worker| available(worker)).map(|worker| worker.id)
        }
        LocationPolicy::RoundRobin => pick(&fit, ask.turn),
        LocationPolicy::SpecificHost => {
            let host = ask.specific_host?;
            fit.iter().find(|worker| worker.address.host == host).map(|worker| worker.id)
        }
        LocationPolicy::DeterministicHash => {
            let shards = (ask.hash_shards.max(1) as u64).min(fit.len() as u64);
            let shard = if shards <= 1 { 0 } else { ask.random % shards };
            pick(&fit, (mix(ask.block.0) % (fit.len().max(1) as u64)).wrapping_add(shard))
        }
        LocationPolicy::CapacityBaseRandom => by_capacity(&fit, ask.random),
        LocationPolicy::CapacityBasedDeterministicHash => by_capacity(&fit, mix(ask.block.0)),
    }
}

fn key(worker: &WorkerInfo) -> (&str, u16, WorkerId) {
    (&worker.address.host, worker.address.rpc_port, worker.id)
}

fn available(worker: &WorkerInfo) -> u64 {
    worker.capacity_bytes().saturating_sub(worker.used_bytes())
}

fn pick(workers: &[&WorkerInfo], position: u64) -> Option<WorkerId> {
    let count = workers.len() as u64;
    (count > 0).then(|| workers[(position % count) as usize].id)
}

fn local_or_random(ask: &Ask<'_>, workers: &[&WorkerInfo]) -> Option<WorkerId> {
    let local: Vec<&WorkerInfo> =
        workers.iter().copied().filter(|w| ask.nearby.has(w.id, &w.address)).collect();
    pick(if local.is_empty() { workers } else { &local }, ask.random)
}

/// The worker at `point` of the line on which every worker has a stretch as long as its capacity.
fn by_capacity(workers: &[&WorkerInfo], point: u64) -> Option<WorkerId> {
    let total: u64 = workers.iter().map(|worker| worker.capacity_bytes()).sum();
    if total == 0 {
        return None;
    }
    let mut left = point % total;
    for worker in workers {
        let capacity = worker.capacity_bytes();
        if left < capacity {
            return Some(worker.id);
        }
        left -= capacity;
    }
    None
}

/// Spreads neighbouring ids: the finalizer of SplitMix64.
fn mix(id: u64) -> u64 {
    let mut z = id.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alluxio_types::{TierAlias, TierUsage, UnixMillis, WorkerAddress, WorkerState};
    use std::collections::BTreeMap;

    /// A live worker.
    pub(crate) fn worker(id: u64, host: &str, capacity: u64, used: u64) -> WorkerInfo {
        WorkerInfo {
            id: WorkerId(id),
            address: WorkerAddress {
                host: host.into(),
                rpc_port: 1,
                data_port: 1000 + id as u16,
                web_port: 3,
                domain_socket_path: format!("/sockets/{id}"),
            },
            state: WorkerState::Live,
            tiers: vec![TierUsage {
                alias: TierAlias::new("MEM"),
                capacity_bytes: capacity,
                used_bytes: used,
            }],
            last_heartbeat: UnixMillis(0),
            started: UnixMillis(0),
            block_count: 0,
            version: String::new(),
        }
    }

    /// A host where workers are known by its name.
    pub(crate) fn nearby(host: &str) -> &'static Nearby {
        Box::leak(Box::new(Nearby { host: host.to_owned(), ..Nearby::default() }))
    }

    fn ask() -> Ask<'static> {
        Ask {
            block: BlockId(5),
            bytes: 10,
            nearby: nearby("b"),
            specific_host: None,
            reserve_bytes: 0,
            hash_shards: 1,
            turn: 0,
            random: 0,
        }
    }

    fn three() -> Vec<WorkerInfo> {
        vec![worker(1, "c", 100, 0), worker(2, "b", 100, 95), worker(3, "a", 300, 290)]
    }

    #[test]
    fn local_first_stays_at_home_while_capacity_allows() {
        let policy = LocationPolicy::LocalFirst;
        assert_eq!(choose(policy, &ask(), &three()), Some(WorkerId(2)));
        let elsewhere = Ask { nearby: nearby("z"), random: 1, ..ask() };
        assert!(choose(policy, &elsewhere, &three()).is_some());
        let large = Ask { bytes: 200, ..ask() };
        assert_eq!(choose(policy, &large, &three()), Some(WorkerId(3)));
        assert_eq!(choose(policy, &Ask { bytes: 301, ..ask() }, &three()), None);
    }

    #[test]
    fn avoiding_eviction_leaves_home_when_it_is_full() {
        let policy = LocationPolicy::LocalFirstAvoidEviction;
        assert_eq!(choose(policy, &ask(), &three()), Some(WorkerId(3)));
        assert_eq!(choose(policy, &Ask { bytes: 5, ..ask() }, &three()), Some(WorkerId(2)));
        // Nobody has 90 free bytes but the first; with a reserve nobody has.
        let all_full = Ask { bytes: 90, reserve_bytes: 20, ..ask() };
        assert_eq!(choose(policy, &all_full, &three()), Some(WorkerId(2)));
    }

    #[test]
    fn the_other_policies_follow_their_rule() {
        let most = LocationPolicy::MostAvailableFirst;
        assert_eq!(choose(most, &ask(), &three()), Some(WorkerId(1)));
        let turns: Vec<_> = (0..4)
            .map(|turn| choose(LocationPolicy::RoundRobin, &Ask { turn, ..ask() }, &three()))
            .map(|id| id.unwrap().0)
            .collect();
        assert_eq!(turns, [3, 2, 1, 3]);
        let specific = LocationPolicy::SpecificHost;
        assert_eq!(choose(specific, &ask(), &three()), None);
        let on_c = Ask { specific_host: Some("c"), ..ask() };
        assert_eq!(choose(specific, &on_c, &three()), Some(WorkerId(1)));
    }

    #[test]
    fn hashing_agrees_between_clients_and_spreads() {
        for policy in
            [LocationPolicy::DeterministicHash, LocationPolicy::CapacityBasedDeterministicHash]
        {
            let (workers, mut turned) = (three(), three());
            turned.reverse();
            let mut counts = BTreeMap::new();
            for block in 0..3000 {
                let ask = Ask { block: BlockId(block), ..ask() };
                let id = choose(policy, &ask, &workers).unwrap();
                assert_eq!(choose(policy, &Ask { random: 77, ..ask }, &turned), Some(id));
                *counts.entry(id.0).or_insert(0) += 1;
            }
            // Worker 3 has three fifths of the capacity, and a third of the hash.
            let share = counts[&3];
            match policy {
                LocationPolicy::DeterministicHash => assert!((900..1100).contains(&share)),
                _ => assert!((1700..1900).contains(&share), "{share}"),
            }
        }
    }

    #[test]
    fn shards_give_a_block_that_many_workers() {
        let mut seen = std::collections::BTreeSet::new();
        for random in 0..100 {
            let ask = Ask { hash_shards: 2, random, ..ask() };
            seen.insert(choose(LocationPolicy::DeterministicHash, &ask, &three()));
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn random_choices_follow_capacity() {
        let mut counts = BTreeMap::new();
        for random in 0..500 {
            let ask = Ask { random, ..ask() };
            let id = choose(LocationPolicy::CapacityBaseRandom, &ask, &three()).unwrap();
            *counts.entry(id.0).or_insert(0) += 1;
        }
        assert_eq!(counts, BTreeMap::from([(1, 100), (2, 100), (3, 300)]));
    }

    #[test]
    fn no_workers_no_choice() {
        for policy in [LocationPolicy::LocalFirst, LocationPolicy::RoundRobin] {
            assert_eq!(choose(policy, &ask(), &[]), None);
        }
        assert_eq!(choose(LocationPolicy::DeterministicHash, &ask(), &[]), None);
    }
}
