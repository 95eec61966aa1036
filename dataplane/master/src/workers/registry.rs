//! The workers of the cluster: who they are, whether they are heard, what they shall do.

use super::locations::{Copy, Locations};
use alluxio_host::Host;
use alluxio_types::{
    BlockId, BlockLocation, FileStatus, InodeId, TierAlias, TierUsage, WorkerAddress, WorkerId,
    WorkerInfo, WorkerState,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// Blocks to free in one heartbeat reply: 8 bytes each, far below the message limit.
const FREE_BLOCKS_PER_REPLY: usize = 10_000;

/// What a worker says when it registers.
pub struct Registration {
    /// Its id.
    pub id: WorkerId,
    /// How to reach it.
    pub address: WorkerAddress,
    /// Its tiers, the top one first.
    pub tiers: Vec<TierUsage>,
    /// Version of its binary.
    pub version: String,
    /// All its blocks, with their tier.
    pub blocks: Vec<(BlockId, u8)>,
}

/// What a worker says every second.
pub struct Heartbeat {
    /// Its id.
    pub id: WorkerId,
    /// Its registration.
    pub session: u64,
    /// Its tiers.
    pub tiers: Vec<TierUsage>,
    /// New blocks, or blocks in another tier.
    pub added: Vec<(BlockId, u8)>,
    /// Blocks that are gone.
    pub removed: Vec<BlockId>,
}

/// What it is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum HeartbeatReply {
    /// Its registration is not known: register again.
    RegisterAgain,
    /// Blocks to remove.
    Free(Vec<BlockId>),
}

/// Heartbeats within which a worker tells of a block that a client says it wrote there: one may be on
/// its way already, the next one knows it.
const HEARSAY_BEATS: u8 = 2;

struct Worker {
    info: WorkerInfo,
    session: u64,
    heard: Duration,
    blocks: HashMap<BlockId, u8>,
    /// Those of which only a client told so far, with the heartbeats until they are not believed in any
    /// more: the worker may have lost them before the client's call came.
    hearsay: HashMap<BlockId, u8>,
    /// Blocks it shall remove; kept until it reports them gone.
    to_free: HashSet<BlockId>,
}

/// How to reach each live worker, and what its tiers are called.
type Addresses = HashMap<WorkerId, (WorkerAddress, Vec<TierAlias>)>;

/// Workers that fell silent, and what that means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// The workers.
    pub workers: Vec<WorkerId>,
    /// Files that had a block there and nowhere else.
    pub bereft: BTreeSet<InodeId>,
}

/// All workers.
pub struct Workers {
    host: Host,
    locations: Locations,
    by_id: RwLock<BTreeMap<WorkerId, Worker>>,
    /// What readers need of live workers, replaced as a whole when it changes.
    addresses: RwLock<Arc<Addresses>>,
}

impl Workers {
    /// None yet.
    pub fn new(host: Host) -> Self {
        Workers {
            host,
            locations: Locations::default(),
            by_id: RwLock::default(),
            addresses: RwLock::default(),
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<WorkerId, Worker>> {
        self.by_id.write().unwrap_or_else(|poison| poison.into_inner())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<WorkerId, Worker>> {
        self.by_id.read().unwrap_or_else(|poison| poison.into_inner())
    }

    fn publish(&self, workers: &BTreeMap<WorkerId, Worker>) {
        let live = workers.iter().filter(|(_, w)| w.info.state == WorkerState::Live);
        let table = live
            .map(|(id, w)| {
                let tiers = w.info.tiers.iter().map(|tier| tier.alias.clone()).collect();
                (*id, (w.info.address.clone(), tiers))
            })
            .collect();
        *self.addresses.write().unwrap_or_else(|poison| poison.into_inner()) = Arc::new(table);
    }

    /// Takes a worker in, in place of what was known of it. Returns the session of this
    /// registration, and those of its blocks that `alive` says no file has any more.
    pub fn register(
        &self,
        registration: Registration,
        alive: impl Fn(InodeId) -> bool,
    ) -> (u64, Vec<BlockId>) {
        let Registration { id, address, tiers, version, blocks } = registration;
        let session = self.host.entropy.next_u64();
        let now = self.host.clock.now();
        let mut workers = self.write();
        // A worker that lost its disks comes back under a new id at the old address.
        let replaced: Vec<WorkerId> = workers
            .iter()
            .filter(|(other, w)| **other == id || w.info.address == address)
            .map(|(other, _)| *other)
            .collect();
        for other in replaced {
            if let Some(old) = workers.remove(&other) {
                self.forget_blocks(other, &old);
            }
        }
        for &(block, tier) in &blocks {
            self.locations.add(block, Copy { worker: id, tier });
        }
        // Asked after adding: a delete from here on finds the copies.
        let (kept, orphans): (Vec<_>, Vec<_>) =
            blocks.into_iter().partition(|(block, _)| alive(block.inode()));
        orphans.iter().for_each(|(block, _)| self.locations.remove(*block, id));
        let info = WorkerInfo {
            id,
            address,
            state: WorkerState::Live,
            tiers,
            last_heartbeat: now,
            started: now,
            block_count: kept.len() as u64,
            version,
        };
        let orphans: Vec<BlockId> = orphans.into_iter().map(|(block, _)| block).collect();
        let worker = Worker {
            info,
            session,
            heard: self.host.clock.monotonic(),
            blocks: kept.into_iter().collect(),
            hearsay: HashMap::new(),
            to_free: orphans.iter().copied().collect(),
        };
        workers.insert(id, worker);
        self.publish(&workers);
        (session, orphans)
    }

    /// Takes a worker's news in. Blocks of files that are gone (by `alive`) are freed at once.
    pub fn heartbeat(
        &self,
        heartbeat: Heartbeat,
        alive: impl Fn(InodeId) -> bool,
    ) -> HeartbeatReply {
        let mut workers = self.write();
        let Some(worker) = workers.get_mut(&heartbeat.id) else {
            return HeartbeatReply::RegisterAgain;
        };
        // A lost worker's blocks were forgotten: only a registration brings them back.
        if worker.session != heartbeat.session || worker.info.state == WorkerState::Lost {
            return HeartbeatReply::RegisterAgain;
        }
        worker.heard = self.host.clock.monotonic();
        worker.info.last_heartbeat = self.host.clock.now();
        worker.info.tiers = heartbeat.tiers;
        for block in heartbeat.removed {
            worker.blocks.remove(&block);
            worker.to_free.remove(&block);
            self.locations.remove(block, heartbeat.id);
        }
        for (block, tier) in heartbeat.added {
            worker.hearsay.remove(&block);
            self.locations.add(block, Copy { worker: heartbeat.id, tier });
            // Asked after adding: a delete from here on finds the copy.
            if alive(block.inode()) {
                worker.blocks.insert(block, tier);
            } else {
                self.locations.remove(block, heartbeat.id);
                worker.to_free.insert(block);
            }
        }
        let Worker { hearsay, blocks, .. } = worker;
        hearsay.retain(|block, beats| {
            *beats -= 1;
            if *beats == 0 {
                blocks.remove(block);
                self.locations.remove(*block, heartbeat.id);
            }
            *beats > 0
        });
        worker.info.block_count = worker.blocks.len() as u64;
        let free = worker.to_free.iter().copied().take(FREE_BLOCKS_PER_REPLY).collect();
        HeartbeatReply::Free(free)
    }

    /// Notes a block that a client wrote, until the worker itself reports it, or does not within
    /// [`HEARSAY_BEATS`]. A worker that is not known (any more) is not noted.
    pub fn note_written(&self, block: BlockId, worker: WorkerId, tier: u8) {
        let mut workers = self.write();
        if let Some(known) = workers.get_mut(&worker)
            && known.info.state == WorkerState::Live
            && !known.to_free.contains(&block)
        {
            if known.blocks.insert(block, tier).is_none() {
                known.hearsay.insert(block, HEARSAY_BEATS);
            }
            self.locations.add(block, Copy { worker, tier });
        }
    }

    /// Forgets the blocks of a file at once and tells the workers to remove them. Returns how
    /// many copies that are.
    pub fn free_file(&self, inode: InodeId) -> u64 {
        let blocks = self.locations.take_file(inode);
        if blocks.is_empty() {
            return 0;
        }
        let mut freed = 0;
        let mut workers = self.write();
        for (block, copies) in blocks {
            for copy in copies {
                if let Some(worker) = workers.get_mut(&copy.worker) {
                    worker.blocks.remove(&block);
                    worker.hearsay.remove(&block);
                    worker.to_free.insert(block);
                    freed += 1;
                }
            }
        }
        freed
    }

    /// Declares workers lost that were not heard for `timeout`, forgets those lost for
    /// `forget_after` on top.
    pub fn expire(&self, timeout: Duration, forget_after: Duration) -> Expired {
        let now = self.host.clock.monotonic();
        let mut workers = self.write();
        let mut expired = Expired::default();
        for (id, worker) in workers.iter_mut() {
            let silent = now.saturating_sub(worker.heard);
            if worker.info.state == WorkerState::Live && silent > timeout {
                worker.info.state = WorkerState::Lost;
                self.forget_blocks(*id, worker);
                let gone = worker.blocks.keys().filter(|b| self.locations.of(**b).is_empty());
                expired.bereft.extend(gone.map(|block| block.inode()));
                worker.blocks.clear();
                worker.hearsay.clear();
                worker.to_free.clear();
                worker.info.block_count = 0;
                expired.workers.push(*id);
            }
        }
        let before = workers.len();
        workers.retain(|_, w| {
            w.info.state == WorkerState::Live
                || now.saturating_sub(w.heard) <= timeout + forget_after
        });
        if !expired.workers.is_empty() || workers.len() != before {
            self.publish(&workers);
        }
        expired
    }

    fn forget_blocks(&self, id: WorkerId, worker: &Worker) {
        for block in worker.blocks.keys() {
            self.locations.remove(*block, id);
        }
    }

    /// All workers, live ones first, then by host.
    pub fn list(&self, include_lost: bool) -> Vec<WorkerInfo> {
        let workers = self.read();
        let mut infos: Vec<WorkerInfo> = workers
            .values()
            .filter(|w| include_lost || w.info.state == WorkerState::Live)
            .map(|w| w.info.clone())
            .collect();
        infos.sort_by(|a, b| {
            let key = |w: &WorkerInfo| (w.state == WorkerState::Lost, w.address.host.clone(), w.id);
            key(a).cmp(&key(b))
        });
        infos
    }

    /// Where a block is, as a client needs it.
    pub fn locate(&self, block: BlockId) -> Vec<BlockLocation> {
        let addresses = self.addresses.read().unwrap_or_else(|poison| poison.into_inner()).clone();
        let copies = self.locations.of(block);
        copies.into_iter().filter_map(|copy| location(&addresses, copy)).collect()
    }

    /// Adds locations and the shares in cache to a status; `blocks` must be there.
    pub fn locate_all(&self, status: &mut FileStatus) {
        let addresses = self.addresses.read().unwrap_or_else(|poison| poison.into_inner()).clone();
        let (mut cached, mut in_top) = (0u64, 0u64);
        for block in &mut status.blocks {
            let copies = self.locations.of(block.id);
            block.locations =
                copies.iter().filter_map(|&copy| location(&addresses, copy)).collect();
            if !block.locations.is_empty() {
                cached += block.length;
            }
            if copies.iter().any(|copy| copy.tier == 0 && addresses.contains_key(&copy.worker)) {
                in_top += block.length;
            }
        }
        status.in_alluxio_percent = percent(cached, status);
        status.in_memory_percent = percent(in_top, status);
    }

    /// Adds the shares in cache to a status without blocks.
    pub fn count_cached(&self, status: &mut FileStatus) {
        let (mut cached, mut in_top) = (0u64, 0u64);
        if status.completed && status.length > 0 {
            let addresses = self.addresses.read().unwrap_or_else(|poison| poison.into_inner());
            let first = status.id.block(0);
            self.locations.visit_file(status.id, |block, copies| {
                let mut live = copies.iter().filter(|copy| addresses.contains_key(&copy.worker));
                let length = status.block_length(block.0 - first.0);
                let Some(copy) = live.next() else { return };
                cached += length;
                if copy.tier == 0 || live.any(|copy| copy.tier == 0) {
                    in_top += length;
                }
            });
        }
        status.in_alluxio_percent = percent(cached, status);
        status.in_memory_percent = percent(in_top, status);
    }

    /// Whether every block of a file has a copy somewhere.
    pub fn has_all(&self, status: &FileStatus) -> bool {
        status.blocks.iter().all(|block| !self.locations.of(block.id).is_empty())
    }

    /// Number of known copies.
    pub fn replicas(&self) -> usize {
        self.locations.replicas()
    }
}

fn location(addresses: &Addresses, copy: Copy) -> Option<BlockLocation> {
    let (address, tiers) = addresses.get(&copy.worker)?;
    Some(BlockLocation {
        worker: copy.worker,
        address: address.clone(),
        tier: tiers.get(usize::from(copy.tier)).cloned().unwrap_or_else(|| TierAlias::new("")),
    })
}

fn percent(bytes: u64, status: &FileStatus) -> u32 {
    match status.length {
        // An empty file needs no block: it is all there.
        0 => 100,
        length => u32::try_from(u128::from(bytes) * 100 / u128::from(length)).unwrap_or(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_host::ManualClock;
    use alluxio_types::UnixMillis;

    fn registration(id: u64, blocks: Vec<(BlockId, u8)>) -> Registration {
        Registration {
            id: WorkerId(id),
            address: WorkerAddress { host: format!("w{id}"), ..Default::default() },
            tiers: vec![TierUsage {
                alias: TierAlias::new("MEM"),
                capacity_bytes: 100,
                used_bytes: 0,
            }],
            version: "1".into(),
            blocks,
        }
    }

    fn beat(id: u64, session: u64) -> Heartbeat {
        Heartbeat { id: WorkerId(id), session, tiers: vec![], added: vec![], removed: vec![] }
    }

    fn workers() -> (Workers, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(UnixMillis(1)));
        (Workers::new(Host { clock: clock.clone(), ..Host::real() }), clock)
    }

    #[test]
    fn a_delete_while_a_worker_tells_of_the_block_finds_the_copy_or_is_seen() {
        let (workers, _) = workers();
        let file = InodeId::from_container(7);
        let block = file.block(0);
        // Deleted just before it is asked for: by then the copy must be there to be found.
        let deleted = |_| {
            let seen = workers.locations.of(block);
            assert_eq!(seen.len(), 1, "a delete at this moment would free nothing");
            false
        };
        let (session, orphans) = workers.register(registration(1, vec![(block, 0)]), deleted);
        assert_eq!(orphans, [block]);
        assert!(workers.locations.of(block).is_empty());
        let news = Heartbeat { added: vec![(block, 0)], ..beat(1, session) };
        assert_eq!(workers.heartbeat(news, deleted), HeartbeatReply::Free(vec![block]));
        assert!(workers.locations.of(block).is_empty());
    }

    #[test]
    fn a_block_that_only_a_client_told_of_is_believed_in_until_its_worker_should_know_it() {
        let (workers, _) = workers();
        let [lost, kept] = [3, 4].map(|file| InodeId::from_container(file).block(0));
        let (session, _) = workers.register(registration(1, vec![]), |_| true);
        workers.note_written(lost, WorkerId(1), 0);
        workers.note_written(kept, WorkerId(1), 0);
        // On its way before the calls came.
        workers.heartbeat(beat(1, session), |_| true);
        assert_eq!([lost, kept].map(|block| workers.locate(block).len()), [1, 1]);
        let news = Heartbeat { added: vec![(kept, 0)], ..beat(1, session) };
        workers.heartbeat(news, |_| true);
        assert_eq!([lost, kept].map(|block| workers.locate(block).len()), [0, 1]);
        // A late repeat of a call says nothing new of what the worker told.
        workers.note_written(kept, WorkerId(1), 0);
        for _ in 0..3 {
            workers.heartbeat(beat(1, session), |_| true);
        }
        assert_eq!(workers.locate(kept).len(), 1);
        assert_eq!(workers.list(false)[0].block_count, 1);
    }

    #[test]
    fn a_silent_worker_is_lost_with_its_blocks_and_must_register_again() {
        let (workers, clock) = workers();
        let block = InodeId::from_container(3).block(0);
        let (session, _) = workers.register(registration(1, vec![(block, 0)]), |_| true);
        assert_eq!(workers.locate(block).len(), 1);
        clock.advance(Duration::from_secs(10));
        let expired = workers.expire(Duration::from_secs(5), Duration::from_secs(60));
        assert_eq!(expired.workers, [WorkerId(1)]);
        assert_eq!(expired.bereft, BTreeSet::from([block.inode()]));
        assert!(workers.locate(block).is_empty());
        assert_eq!(workers.heartbeat(beat(1, session), |_| true), HeartbeatReply::RegisterAgain);
        let (session, _) = workers.register(registration(1, vec![(block, 0)]), |_| true);
        assert_eq!(workers.heartbeat(beat(1, session), |_| true), HeartbeatReply::Free(vec![]));
        assert_eq!(workers.locate(block).len(), 1);
    }

    #[test]
    fn freed_blocks_are_told_until_they_are_reported_gone() {
        let (workers, _) = workers();
        let file = InodeId::from_container(3);
        let (session, _) = workers.register(registration(1, vec![(file.block(0), 0)]), |_| true);
        assert_eq!(workers.free_file(file), 1);
        assert!(workers.locate(file.block(0)).is_empty());
        let told = HeartbeatReply::Free(vec![file.block(0)]);
        assert_eq!(workers.heartbeat(beat(1, session), |_| true), told);
        let gone = Heartbeat { removed: vec![file.block(0)], ..beat(1, session) };
        assert_eq!(workers.heartbeat(gone, |_| true), HeartbeatReply::Free(vec![]));
    }

    #[test]
    fn blocks_without_a_file_are_freed() {
        let (workers, _) = workers();
        let orphan = InodeId::from_container(9).block(0);
        let (session, free) = workers.register(registration(1, vec![(orphan, 0)]), |_| false);
        assert_eq!(free, [orphan]);
        let added = Heartbeat { added: vec![(orphan, 0)], ..beat(1, session) };
        assert_eq!(workers.heartbeat(added, |_| false), HeartbeatReply::Free(vec![orphan]));
        assert!(workers.locate(orphan).is_empty());
    }
}
