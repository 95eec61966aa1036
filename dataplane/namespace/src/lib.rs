//! The metadata tree: inodes, names, mounts and the rules for changing them.
//!
//! One writer calls [`Namespace::plan`], which reads and never changes anything, and
//! [`Namespace::apply`], which is the only mutator and cannot fail. Any number of threads read at
//! the same time through `&self`, without path locks. Every answer says, in [`Seen`] or
//! [`Refusal`], which journal position it depends on, so that the caller can hold it back until
//! that position is committed.
//!
//! It must not know: async, clocks, randomness, IO, block locations, sessions, the journal's or the
//! network's formats. Time, identity and ids are arguments or derive from the entries applied.
//!
//! Reading order: [`request`] (what can be asked), [`error`], [`namespace`] (the structure and its
//! locks), `table` (how an inode lies in memory), `apply`, `plan`, `read`,
//! [`checkpoint`].

mod answers;
mod apply;
pub mod checkpoint;
pub mod error;
mod inode;
mod invariants;
mod mount_table;
pub mod namespace;
mod permission;
mod plan;
mod quotas;
mod read;
mod rebuild;
pub mod request;
mod resolve;
mod sets;
mod state_hash;
mod table;

pub use checkpoint::{Checkpoint, Restorer};
pub use error::{Error, Refusal};
pub use namespace::{Foundation, Namespace, Stats};
pub use read::status::blocks_of;
pub use read::{Child, Common, FreeCandidates, Listed, Lookup, Page, Seen, Walk};
pub use rebuild::Rebuild;
pub use request::{
    CompleteFile, Context, CreateDirectory, CreateFile, CreateSymlink, Delete, Exchange, Finish,
    Format, Intend, LoadMetadata, LoadSummary, Mount, Outcome, Plan, Policy, Rename, Request,
    SetAttributes, SetPersistence, SetQuota, UfsFacts, Unmount, UpdateMount, WrittenAttributes,
};
pub use state_hash::StateHash;
