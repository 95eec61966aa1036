//! Tiered block storage of one worker: several tiers of several directories with quotas, room
//! reserved before the first byte, checksums beside every block, leases for readers, eviction that
//! moves down before it removes, and adoption of what is whole after a restart.
//!
//! It must not know: files and paths of the namespace, the UFS, the network, masters, protobuf,
//! async runtimes. Time does not enter: the order of eviction counts events.
//!
//! Main types: [`BlockStore`] opens and finds blocks; [`TempBlock`] writes one; [`BlockLease`]
//! reads one; [`FillReader`] reads one that is still being written; [`ChunkCrcs`] are the
//! checksums of one.
//!
//! **Accounting**: a directory's used bytes are the lengths of its complete blocks plus the
//! reservations of unfinished ones. Room is returned when the last of {map, writer, lease} lets go
//! of it, so what is accounted is what the disk holds. Checksum files are not accounted.
//!
//! **Durability**: none is promised, no write is synced. A block is a copy of bytes that are
//! elsewhere, or were only ever promised to memory. After a crash of the machine, checksums tell
//! what survived.
//!
//! Reading order: [`layout`], [`space`], [`checksum`], [`state`](self), `store`, `temp`, `fill`,
//! `lease`, [`evict`], `reclaim`, `relocate`, `recover`, `health`, [`report`].

pub mod checksum;
pub mod error;
pub mod evict;
mod fill;
mod health;
pub mod identity;
mod kept;
pub mod layout;
mod lease;
mod reclaim;
mod recover;
mod relocate;
pub mod report;
mod scrub;
pub mod space;
mod state;
pub mod stats;
mod store;
mod temp;

pub use checksum::{CHUNK_BYTES, ChunkCrcs, CrcBuilder, crc32c};
pub use error::{Error, LostDir, OpenError};
pub use evict::EvictionOrder;
pub use fill::{FillProgress, FillReader, FillState};
pub use identity::Identity;
pub use layout::{
    Allocator, DATA_FOLDER, DirConfig, Placement, StoreConfig, TierConfig, Watermarks,
};
pub use lease::{BlockLease, UnverifiedLease};
pub use recover::RecoveryReport;
pub use report::{Delta, DirUsage, Usage};
pub use space::SpaceReservation;
pub use stats::Stats;
pub use store::{BlockStore, Lookup, PinnedInodes};
pub use temp::{CommittedBlock, TempBlock};
