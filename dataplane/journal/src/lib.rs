//! The journal: every change of the namespace, durable before it is acknowledged, and checkpoints
//! that bound how much of it a start has to read.
//!
//! It must not know: what an entry means, who is primary and why, how a namespace is built. It
//! keeps bytes in order, tells how far they are durable, and refuses to hand out a wrong one.
//!
//! Main types: [`JournalStore`] is what a master is handed; [`EntryBatch`] goes in, [`Commits`]
//! tells what is durable, a [`Replay`] receives checkpoint and entries at a start.
//!
//! Reading order: [`store`], [`follow`], [`batch`], [`commits`], [`error`],
//! `record`, `queue`, [`folder`], `group`, [`etcd`], [`shared`], [`noop`], [`backup`].

pub mod backup;
pub mod batch;
pub mod commits;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod etcd;
pub mod folder;
pub mod follow;
mod group;
pub mod noop;
mod queue;
mod record;
pub mod shared;
pub mod store;

pub use backup::BackupError;
pub use batch::EntryBatch;
pub use commits::{CommitPublisher, Commits};
pub use error::{Damage, JournalError};
pub use etcd::{EtcdJournal, EtcdJournalOptions};
pub use folder::{FolderJournal, FolderOptions};
pub use follow::{Followed, Follower, Records};
pub use noop::NoopJournal;
pub use shared::{SharedFolder, SharedJournal, SharedJournalOptions};
pub use store::{
    AppendFuture, Backlog, CheckpointInfo, CheckpointInstall, CheckpointSink, CheckpointSource,
    Flush, JournalStore, Observer, Record, Recovered, Replay, StateDigest, Truncated,
};
