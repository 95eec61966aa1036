//! Where a block is read from: one pure decision per try.
//!
//! Order: a worker of this host that has it → another worker that has it → the worker that the
//! policy chooses to fetch it from the UFS (this host's first, by default). Workers that failed are
//! passed over while there is anybody else; when all have failed, the one whose failure is oldest
//! is tried again.
//!
//! **Source**: `reference` semantics §4, "Source choice per block".

use crate::policy;
use alluxio_config::LocationPolicy;
use alluxio_types::{BlockLocation, WorkerAddress, WorkerId, WorkerInfo};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the decision rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// Copies of the block, as far as the master knows.
    pub(crate) locations: &'a [BlockLocation],
    /// Live workers.
    pub(crate) workers: &'a [WorkerInfo],
    /// Whether the UFS has the file.
    pub(crate) in_ufs: bool,
    /// Workers that failed, and when (monotonic).
    pub(crate) failed: &'a BTreeMap<WorkerId, Duration>,
    /// Who fetches from the UFS.
    pub(crate) policy: LocationPolicy,
    /// The question to the policy; its host and random number serve here too.
    pub(crate) ask: policy::Ask<'a>,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Which worker.
    pub(crate) worker: WorkerId,
    /// How to reach it.
    pub(crate) address: WorkerAddress,
    /// Whether it is on this host.
    pub(crate) local: bool,
    /// Whether it should have the block; otherwise it fetches it from the UFS.
    pub(crate) holds: bool,
    /// Whether it failed before: the caller should pause.
    pub(crate) failed_before: bool,
}

/// Chooses a source; `None` when nobody has the block and nobody can fetch it.
pub(crate) fn choose(facts: &Facts<'_>) -> Option<Source> {
    let fresh = |id: WorkerId| !facts.failed.contains_key(&id);
    let holders: Vec<&BlockLocation> =
        facts.locations.iter().filter(|location| fresh(location.worker)).collect();
    if let Some(location) = nearest(facts, &holders) {
        return Some(holder(facts, location, false));
    }
    if facts.in_ufs {
        let workers: Vec<WorkerInfo> =
            facts.workers.iter().filter(|worker| fresh(worker.id)).cloned().collect();
        if let Some(source) = fetcher(facts, &workers, false) {
            return Some(source);
        }
    }
    oldest_failure(facts)
}

fn is_local(facts: &Facts<'_>, worker: WorkerId, address: &WorkerAddress) -> bool {
    facts.ask.nearby.has(worker, address)
}

/// A local one if there is one, else a random one.
fn nearest<'a>(facts: &Facts<'_>, among: &[&'a BlockLocation]) -> Option<&'a BlockLocation> {
    let local: Vec<&BlockLocation> =
        among.iter().copied().filter(|l| is_local(facts, l.worker, &l.address)).collect();
    let among = if local.is_empty() { among } else { &local };
    let count = among.len() as u64;
    (count > 0).then(|| among[(facts.ask.random % count) as usize])
}

fn holder(facts: &Facts<'_>, location: &BlockLocation, failed_before: bool) -> Source {
    Source {
        worker: location.worker,
        address: location.address.clone(),
        local: is_local(facts, location.worker, &location.address),
        holds: true,
        failed_before,
    }
}

fn fetcher(facts: &Facts<'_>, workers: &[WorkerInfo], failed_before: bool) -> Option<Source> {
    // A worker too small for the block can still pass it through, so size rules nobody out; and a
    // policy that finds nobody must not make a file in the UFS unreadable.
    let ask = policy::Ask { bytes: 0, ..facts.ask };
    let chosen = policy::choose(facts.policy, &ask, workers)
        .or_else(|| policy::choose(LocationPolicy::LocalFirst, &ask, workers))?;
    let worker = workers.iter().find(|worker| worker.id == chosen)?;
    Some(Source {
        worker: worker.id,
        address: worker.address.clone(),
        local: is_local(facts, worker.id, &worker.address),
        holds: false,
        failed_before,
    })
}

/// All have failed: the one that has had most time to recover.
fn oldest_failure(facts: &Facts<'_>) -> Option<Source> {
    let since = |id: WorkerId| facts.failed.get(&id).copied().unwrap_or_default();
    let holder_again = facts.locations.iter().min_by_key(|location| since(location.worker));
    let worker_again = facts.workers.iter().min_by_key(|worker| since(worker.id));
    match (holder_again, worker_again) {
        (Some(location), Some(worker))
            if facts.in_ufs && since(worker.id) < since(location.worker) =>
        {
            fetcher(facts, std::slice::from_ref(worker), true)
        }
        (Some(location), _) => Some(holder(facts, location, true)),
        (None, Some(worker)) if facts.in_ufs => fetcher(facts, std::slice::from_ref(worker), true),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{nearby, worker};
    use alluxio_types::{BlockId, TierAlias};

    struct Case {
        locations: Vec<BlockLocation>,
        workers: Vec<WorkerInfo>,
        in_ufs: bool,
        failed: BTreeMap<WorkerId, Duration>,
    }

    impl Case {
        /// Workers 1 and 2 elsewhere, 3 here; `holders` have the block.
        fn new(holders: &[u64], in_ufs: bool) -> Case {
            let workers =
                vec![worker(1, "x", 10, 0), worker(2, "y", 10, 0), worker(3, "here", 10, 0)];
            let locations = workers
                .iter()
                .filter(|w| holders.contains(&w.id.0))
                .map(|w| BlockLocation {
                    worker: w.id,
                    address: w.address.clone(),
                    tier: TierAlias::new("MEM"),
                })
                .collect();
            Case { locations, workers, in_ufs, failed: BTreeMap::new() }
        }

        fn fail(mut self, worker: u64, at_ms: u64) -> Case {
            self.failed.insert(WorkerId(worker), Duration::from_millis(at_ms));
            self
        }

        /// Worker, whether local, whether it holds the block, whether it failed before.
        fn choose(&self) -> Option<(u64, bool, bool, bool)> {
            let facts = Facts {
                locations: &self.locations,
                workers: &self.workers,
                in_ufs: self.in_ufs,
                failed: &self.failed,
                policy: LocationPolicy::LocalFirst,
                ask: policy::Ask {
                    block: BlockId(1),
                    bytes: 1 << 40,
                    nearby: nearby("here"),
                    specific_host: None,
                    reserve_bytes: 0,
                    hash_shards: 1,
                    turn: 0,
                    random: 0,
                },
            };
            choose(&facts).map(|s| (s.worker.0, s.local, s.holds, s.failed_before))
        }
    }

    #[test]
    fn the_nearest_copy_comes_first() {
        assert_eq!(Case::new(&[1, 3], true).choose(), Some((3, true, true, false)));
        assert_eq!(Case::new(&[1, 2], true).choose(), Some((1, false, true, false)));
    }

    #[test]
    fn without_a_copy_the_local_worker_fetches() {
        assert_eq!(Case::new(&[], true).choose(), Some((3, true, false, false)));
        assert_eq!(Case::new(&[], false).choose(), None);
    }

    #[test]
    fn who_failed_is_passed_over() {
        let case = Case::new(&[3, 1], true).fail(3, 10);
        assert_eq!(case.choose(), Some((1, false, true, false)));
        let case = case.fail(1, 20);
        assert_eq!(case.choose(), Some((2, false, false, false)));
        let case = case.fail(2, 30);
        assert_eq!(case.choose(), Some((3, true, true, true)), "the oldest failure");
    }

    #[test]
    fn a_file_in_no_ufs_is_read_from_its_copies_only() {
        let case = Case::new(&[1, 2], false).fail(1, 20);
        assert_eq!(case.choose(), Some((2, false, true, false)));
        assert_eq!(case.fail(2, 10).choose(), Some((2, false, true, true)));
    }

    #[test]
    fn no_worker_no_source() {
        let mut case = Case::new(&[], true);
        case.workers.clear();
        assert_eq!(case.choose(), None);
    }
}
