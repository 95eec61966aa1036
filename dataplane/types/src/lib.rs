//! The vocabulary of the data plane: ids, paths, facts about files, blocks, workers and mounts,
//! the journal's [`Entry`], and the closed list of outcome [`Code`]s.
//!
//! It must not know: async, IO, clocks, protobuf, serialization of any kind. Every other crate
//! speaks these words; `proto` translates them to the wire.
//!
//! Reading order: [`id`], [`path`], [`file`], [`xattr`], [`block`], [`worker`], [`mount`], [`quota`], [`entry`], then
//! [`code`].

pub mod acl;
pub mod block;
pub mod code;
pub mod entry;
pub mod file;
pub mod id;
pub mod mount;
pub mod path;
pub mod quota;
pub mod size;
pub mod time;
pub mod worker;
pub mod xattr;

pub use acl::{Access, Identity, Mode};
pub use block::{BlockInfo, BlockLocation, BlockRange};
pub use code::{Code, Coded, Retry};
pub use entry::{
    Answer, AttributeChanges, CheckpointRecord, Entry, InodeRecord, IntendedChange, Intent,
};
pub use file::{
    FileKind, FileStatus, Fingerprint, PersistenceState, ReadType, TtlAction, WriteType,
};
pub use id::{BlockId, InodeId, JournalSeq, MountId, OperationId, Term, WorkerId};
pub use mount::{MountInfo, MountOptions};
pub use path::{AlluxioPath, PathError};
pub use quota::{Quota, QuotaKind, QuotaStatus, QuotaUsage};
pub use size::ByteSize;
pub use time::{UnixMillis, format_duration, parse_duration};
pub use worker::{MediumType, TierAlias, TierUsage, WorkerAddress, WorkerInfo, WorkerState};
pub use xattr::{XattrStrategy, XattrUpdate, Xattrs};
