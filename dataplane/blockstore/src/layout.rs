//! What a store is made of: tiers, their directories, and how to choose among them.

use crate::error::OpenError;
use crate::evict::EvictionOrder;
use alluxio_types::{MediumType, TierAlias};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Default name of the folder of blocks below each configured directory.
pub const DATA_FOLDER: &str = "alluxioworker";
/// Default name of the folder of unfinished blocks below it.
pub const TEMP_FOLDER: &str = ".tmp_blocks";

/// How a store is laid out and how it decides.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Tiers from the top (fastest) down; at least one.
    pub tiers: Vec<TierConfig>,
    /// How a directory is chosen within a tier.
    pub allocator: Allocator,
    /// Which block goes first.
    pub eviction: EvictionOrder,
    /// Folder of blocks below each directory (`alluxio.worker.data.folder`): a relative path.
    pub data_folder: String,
    /// Folder of unfinished blocks below that (`alluxio.worker.data.folder.tmp`): one name that
    /// starts with a dot, so that it is never taken for a block.
    pub temp_folder: String,
    /// Changes remembered between two reports. More make the next report a full one.
    ///
    /// One entry takes about 40 bytes; the default of 100 000 is 4 MB, and more changes than a
    /// worker makes in a minute of 1 kB files.
    pub delta_entries_max: usize,
}

impl StoreConfig {
    /// Default of [`StoreConfig::delta_entries_max`].
    pub const DELTA_ENTRIES_MAX: usize = 100_000;

    /// A store of one tier with one directory; LRU, most free directory first.
    pub fn single(alias: &str, path: impl Into<PathBuf>, quota_bytes: u64) -> Self {
        StoreConfig {
            tiers: vec![TierConfig {
                alias: TierAlias::new(alias),
                dirs: vec![DirConfig {
                    path: path.into(),
                    quota_bytes,
                    medium: MediumType(alias.to_owned()),
                }],
                watermarks: None,
            }],
            allocator: Allocator::MaxFree,
            eviction: EvictionOrder::Lru,
            data_folder: DATA_FOLDER.to_owned(),
            temp_folder: TEMP_FOLDER.to_owned(),
            delta_entries_max: Self::DELTA_ENTRIES_MAX,
        }
    }

    /// Checks what the types do not say.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let bad = |tier, what: String| Err(OpenError::BadLayout { tier, what });
        if self.tiers.is_empty() {
            return bad(0, "a store needs at least one tier".into());
        }
        let temp = &self.temp_folder;
        if !temp.starts_with('.') || temp.len() < 2 || temp.contains('/') || temp == ".." {
            return bad(0, format!("folder {temp:?} of unfinished blocks must start with a dot"));
        }
        let mut paths = BTreeSet::new();
        for (i, tier) in self.tiers.iter().enumerate() {
            if tier.dirs.is_empty() {
                return bad(i, format!("{} has no directory", tier.alias));
            }
            if let Some(marks) = tier.watermarks
                && !(0.0 < marks.low && marks.low <= marks.high && marks.high <= 1.0)
            {
                let Watermarks { low, high } = marks;
                return bad(i, format!("watermarks need 0 < low ({low}) <= high ({high}) <= 1"));
            }
            for dir in &tier.dirs {
                if dir.quota_bytes == 0 {
                    return bad(i, format!("quota of {} is 0", dir.path.display()));
                }
                if !paths.insert(&dir.path) {
                    return bad(i, format!("{} is given twice", dir.path.display()));
                }
            }
        }
        Ok(())
    }
}

/// One tier.
#[derive(Debug, Clone)]
pub struct TierConfig {
    /// Its name: `MEM`, `SSD`, `HDD` or the user's own.
    pub alias: TierAlias,
    /// Its directories; at least one.
    pub dirs: Vec<DirConfig>,
    /// When to evict ahead of need; `None` evicts on demand only.
    pub watermarks: Option<Watermarks>,
}

/// One directory of a tier.
#[derive(Debug, Clone)]
pub struct DirConfig {
    /// Where blocks go: `<path>/alluxioworker/<block id>`.
    pub path: PathBuf,
    /// Bytes of blocks it may hold. Checksums (1/16384 of it) and the file system's own needs come
    /// on top.
    pub quota_bytes: u64,
    /// What it is made of, for reports.
    pub medium: MediumType,
}

/// Shares of a tier's capacity, `0 < low <= high <= 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watermarks {
    /// Free until no more than this is used.
    pub low: f64,
    /// Start when more than this is used.
    pub high: f64,
}

/// How a directory is chosen within a tier (`alluxio.worker.allocator.class`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocator {
    /// The one with most free bytes.
    MaxFree,
    /// The next one with room.
    RoundRobin,
    /// The first one with room.
    Greedy,
}

impl Allocator {
    /// The directory for `bytes`: an index into `free_bytes` (`None` = takes no part), or `None`
    /// when none has room. `turn` grows by one with every call.
    pub fn choose(self, free_bytes: &[Option<u64>], bytes: u64, turn: usize) -> Option<usize> {
        let fits = |i: &usize| free_bytes[*i].is_some_and(|free| free >= bytes);
        let n = free_bytes.len();
        match self {
            Allocator::Greedy => (0..n).find(fits),
            Allocator::RoundRobin => (0..n).map(|i| (turn + i) % n).find(fits),
            // The first of equals, so that the choice does not depend on anything else.
            Allocator::MaxFree => {
                (0..n).filter(fits).max_by_key(|&i| (free_bytes[i], std::cmp::Reverse(i)))
            }
        }
    }
}

/// Where a new block shall go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The highest tier with free room; when all are full, room is made from the top tier down.
    AnyTier,
    /// This tier (0 is the top), evicting if need be; the tiers below it when that cannot work.
    Tier(usize),
}

impl Placement {
    /// The top tier.
    pub const TOP: Placement = Placement::Tier(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocators_choose_as_their_names_say() {
        let free = [Some(10), Some(30), None, Some(30), Some(5)];
        assert_eq!(Allocator::MaxFree.choose(&free, 10, 0), Some(1));
        assert_eq!(Allocator::Greedy.choose(&free, 10, 0), Some(0));
        assert_eq!(Allocator::Greedy.choose(&free, 11, 0), Some(1));
        let turns: Vec<_> = (0..5).map(|t| Allocator::RoundRobin.choose(&free, 10, t)).collect();
        assert_eq!(turns, [Some(0), Some(1), Some(3), Some(3), Some(0)]);
        for kind in [Allocator::MaxFree, Allocator::Greedy, Allocator::RoundRobin] {
            assert_eq!(kind.choose(&free, 31, 7), None);
            assert_eq!(kind.choose(&[], 1, 7), None);
        }
    }

    #[test]
    fn a_layout_that_cannot_work_is_refused() {
        let good = StoreConfig::single("MEM", "/a", 10);
        assert!(good.check().is_ok());
        let mut bad = good.clone();
        bad.tiers[0].dirs[0].quota_bytes = 0;
        assert!(bad.check().unwrap_err().to_string().contains("quota of /a is 0"));
        let mut bad = good.clone();
        bad.tiers.push(bad.tiers[0].clone());
        assert!(bad.check().unwrap_err().to_string().contains("given twice"));
        let mut bad = good;
        bad.tiers[0].watermarks = Some(Watermarks { low: 0.9, high: 0.5 });
        assert!(bad.check().is_err());
    }
}
