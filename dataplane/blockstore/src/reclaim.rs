//! Making room: choose victims, and let each of them leave its tier.
//!
//! The room of a victim goes straight to the one who asked for it, it is never free in between:
//! two who ask at once cannot take each other's victims' room for ever.

use crate::error::Error;
use crate::layout::Placement;
use crate::lease::Stored;
use crate::space::{Dir, SpaceReservation};
use crate::state::Slot;
use crate::store::{Inner, Tier};
use alluxio_types::BlockId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Tries before a request for room is refused. A try fails only when somebody took a lease on, or
/// the room of, what was chosen a moment ago.
const ROUNDS: usize = 16;
/// Candidates looked at in one go under the lock of the order; eight times more in the next go.
const CANDIDATES_FIRST: usize = 64;

/// Victims that together make the room in one directory.
struct Victims {
    dir: Arc<Dir>,
    blocks: Vec<BlockId>,
}

impl Inner {
    /// Takes `bytes` somewhere, by the rules of `placement`.
    pub(crate) fn make_room(
        self: &Arc<Self>,
        block: BlockId,
        bytes: u64,
        placement: Placement,
    ) -> Result<SpaceReservation, Error> {
        let tiers = self.tiers.len();
        let first = match placement {
            Placement::AnyTier => {
                if let Some(space) = (0..tiers).find_map(|tier| self.take_free(tier, bytes)) {
                    return Ok(space);
                }
                0
            }
            Placement::Tier(tier) if tier < tiers => tier,
            Placement::Tier(tier) => return Err(Error::NoTier { tier, tiers }),
        };
        (first..tiers)
            .find_map(|tier| self.take_or_evict(tier, bytes, None))
            .ok_or_else(|| self.no_space(block, bytes))
    }

    /// Takes `bytes` more in `dir`.
    pub(crate) fn grow(
        self: &Arc<Self>,
        block: BlockId,
        dir: &Arc<Dir>,
        bytes: u64,
    ) -> Result<SpaceReservation, Error> {
        self.take_or_evict(dir.tier, bytes, Some(dir)).ok_or_else(|| self.no_space(block, bytes))
    }

    fn no_space(&self, block: BlockId, wanted_bytes: u64) -> Error {
        self.stats.refused.add(1);
        Error::NoSpace {
            block,
            wanted_bytes,
            used_bytes: self.tiers.iter().map(Tier::used_bytes).sum(),
            capacity_bytes: self.tiers.iter().map(Tier::capacity_bytes).sum(),
        }
    }

    /// Takes `bytes` of what is free in a tier.
    pub(crate) fn take_free(&self, tier: usize, bytes: u64) -> Option<SpaceReservation> {
        let tier = &self.tiers[tier];
        let turn = tier.turn.fetch_add(1, Ordering::Relaxed);
        loop {
            let free: Vec<Option<u64>> =
                tier.dirs.iter().map(|dir| (!dir.is_lost()).then(|| dir.free_bytes())).collect();
            let chosen = self.config.allocator.choose(&free, bytes, turn)?;
            // Fails when somebody was faster; then less is free, so this ends.
            if let Some(space) = tier.dirs[chosen].try_reserve(bytes) {
                return Some(space);
            }
        }
    }

    /// Takes `bytes` in a tier, evicting when it must; in `only` when that is given.
    pub(crate) fn take_or_evict(
        self: &Arc<Self>,
        tier: usize,
        bytes: u64,
        only: Option<&Arc<Dir>>,
    ) -> Option<SpaceReservation> {
        for _ in 0..ROUNDS {
            let free = match only {
                Some(dir) => dir.try_reserve(bytes),
                None => self.take_free(tier, bytes),
            };
            if free.is_some() {
                return free;
            }
            // What is kept can only move down, if at all: the others come first.
            let below = tier + 1 < self.tiers.len();
            let victims = self
                .choose_victims(tier, bytes, only, false)
                .or_else(|| below.then(|| self.choose_victims(tier, bytes, only, true))?)?;
            let room = victims.dir.reserve_up_to(bytes);
            for victim in victims.blocks {
                if room.bytes() >= bytes {
                    break;
                }
                if let Some(space) = self.evict(victim, &victims.dir) {
                    room.absorb(space);
                }
            }
            if room.bytes() >= bytes {
                room.shrink_to(bytes);
                return Some(room);
            }
        }
        None
    }

    /// The coldest blocks of a tier that may go and together with what is free make `bytes` of
    /// room in one directory; `None` when there is no such set. Those that are kept are among them
    /// only `with_kept`.
    fn choose_victims(
        &self,
        tier: usize,
        bytes: u64,
        only: Option<&Arc<Dir>>,
        with_kept: bool,
    ) -> Option<Victims> {
        let tier = &self.tiers[tier];
        let pinned = self.pinned();
        let mut found: Vec<(u64, Vec<BlockId>)> =
            tier.dirs.iter().map(|dir| (dir.free_bytes(), Vec::new())).collect();
        let takes_part = |dir: &Arc<Dir>| {
            !dir.is_lost() && dir.quota_bytes >= bytes && only.is_none_or(|o| Arc::ptr_eq(o, dir))
        };
        let (mut seen, mut limit) = (0, CANDIDATES_FIRST);
        loop {
            let mut candidates = Vec::new();
            let mut visited = 0;
            tier.order().visit_coldest(&mut |block| {
                visited += 1;
                if visited > seen && !pinned.contains(&block.inode()) {
                    candidates.push(block);
                }
                visited < seen + limit
            });
            for block in candidates {
                let Some((dir, length)) = self.evictable(block) else { continue };
                if !with_kept && self.is_kept(block) {
                    continue;
                }
                if dir.tier != tier.dirs[0].tier || !takes_part(&dir) {
                    continue;
                }
                let (room, blocks) = &mut found[dir.index];
                *room += length;
                blocks.push(block);
                if *room >= bytes {
                    return Some(Victims { blocks: std::mem::take(blocks), dir });
                }
            }
            if visited < seen + limit {
                return None;
            }
            seen = visited;
            limit *= 8;
        }
    }

    /// Where a block lies and how long it is, when nothing keeps it there.
    pub(crate) fn evictable(&self, block: BlockId) -> Option<(Arc<Dir>, u64)> {
        match self.shards.of(block).lock().get(&block) {
            Some(Slot::Committed(stored)) if !Stored::is_leased(stored, 0) => {
                Some((stored.dir().clone(), stored.length))
            }
            _ => None,
        }
    }

    /// Lets a block leave `dir`: down into the next one when that has or can make room, out of
    /// the store otherwise. The room it leaves, or `None` when it stays (it moved, a lease came
    /// first, it is kept) or its bytes are still in use.
    fn evict(self: &Arc<Self>, block: BlockId, dir: &Arc<Dir>) -> Option<SpaceReservation> {
        let stored = self.begin_moving(block, Some(dir)).ok()?;
        if self.demote(&stored) {
            self.stats.demoted.add(1);
            return self.unshare(stored);
        }
        if self.is_kept(block) {
            self.end_moving(&stored);
            return None;
        }
        let old = {
            let mut map = self.shards.of(block).lock();
            let slot = map.get_mut(&block)?;
            let Slot::Moving { doomed, .. } = slot else { return None };
            // Ours are the slot's and this function's; anybody else began to read since.
            if !*doomed && Stored::is_leased(&stored, 1) {
                *slot = Slot::Committed(stored);
                return None;
            }
            std::mem::replace(slot, Slot::Leaving)
        };
        drop(old);
        self.finish_leaving(&stored);
        self.stats.evicted.add(1);
        self.unshare(stored)
    }

    /// The room of a block that is out of the map, unless somebody still reads it.
    fn unshare(&self, stored: Arc<Stored>) -> Option<SpaceReservation> {
        Arc::into_inner(stored).and_then(|stored| Arc::into_inner(stored.into_space()))
    }

    /// See [`crate::BlockStore::free_ahead`].
    pub(crate) fn free_ahead(self: &Arc<Self>) -> usize {
        // From the bottom up: what the lower tier frees takes what the upper one pushes down.
        self.tiers.iter().rev().map(|tier| self.free_tier_ahead(tier)).sum()
    }

    fn free_tier_ahead(self: &Arc<Self>, tier: &Tier) -> usize {
        let Some(marks) = tier.watermarks else { return 0 };
        let capacity = tier.capacity_bytes() as f64;
        if tier.used_bytes() as f64 <= capacity * marks.high {
            return 0;
        }
        let goal = (capacity * marks.low) as u64;
        let pinned = self.pinned();
        let mut coldest = Vec::new();
        tier.order().visit_coldest(&mut |block| {
            if !pinned.contains(&block.inode()) {
                coldest.push(block);
            }
            true
        });
        let mut gone = 0;
        for block in coldest {
            if tier.used_bytes() <= goal {
                break;
            }
            if let Some((dir, _)) = self.evictable(block)
                && tier.dirs.iter().any(|own| Arc::ptr_eq(own, &dir))
            {
                // The room is simply returned.
                gone += usize::from(self.evict(block, &dir).is_some());
            }
        }
        gone
    }
}
