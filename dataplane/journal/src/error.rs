//! What can go wrong with a journal.

use alluxio_proto::convert::journal::EntryError;
use alluxio_types::{Code, Coded, JournalSeq, Term};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the journal refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder is missing, empty, or half formatted.
    #[error("journal {} is not formatted: run `alluxio formatMaster`", folder.display())]
    NotFormatted {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// It was formatted by a version that this one does not know.
    #[error(
        "journal {} has format version {found}, this version reads {supported}: \
         start the version that wrote it, or run `alluxio formatMaster` to begin an empty one",
        folder.display()
    )]
    FormatVersion {
        /// The journal's folder.
        folder: PathBuf,
        /// The version on disk.
        found: u32,
        /// The version we know.
        supported: u32,
    },
    /// It belongs to another cluster, as a whole or one file of it.
    #[error(
        "{} belongs to another cluster (id {found}, expected {expected}): point \
         alluxio.master.journal.folder at this cluster's journal, or run `alluxio formatMaster` \
         to begin an empty one",
        path.display()
    )]
    Foreign {
        /// The folder, or the file in it.
        path: PathBuf,
        /// The cluster id found there.
        found: String,
        /// The cluster id that was expected.
        expected: String,
    },
    /// Formatting would delete a file that is not a journal's.
    #[error(
        "{} holds {name:?}, which is no file of a journal: \
         set alluxio.master.journal.folder to an empty folder, or move that file away",
        folder.display()
    )]
    FolderNotEmpty {
        /// The folder that was to be formatted.
        folder: PathBuf,
        /// The first foreign name in it.
        name: String,
    },
    /// Another process uses it.
    #[error("journal {} is in use by another master", folder.display())]
    Locked {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// Another secondary master reads along in it.
    #[error("journal {} is in use by a secondary master: stop that one first", folder.display())]
    SecondaryRuns {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// A file does not hold what was written to it.
    #[error(
        "{} is damaged at byte {offset}: {what}; restore the journal from a backup, inspect it \
         with `alluxio readJournal -inputDir {}`, or run `alluxio formatMaster` to begin an empty one",
        file.display(), file.parent().unwrap_or(file).display()
    )]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where the damage begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        what: Damage,
    },
    /// Entries between two files, or between a checkpoint and the first file, are gone.
    #[error(
        "journal {} misses entries {from} to {to}: a file was removed; restore it, or run \
         `alluxio formatMaster` to begin an empty journal", folder.display()
    )]
    Gap {
        /// The journal's folder.
        folder: PathBuf,
        /// First missing position.
        from: JournalSeq,
        /// Last missing position.
        to: JournalSeq,
    },
    /// Entries were dropped because checkpoints cover them, and this master holds none that does: it
    /// needs one from another master.
    #[error(
        "entries from {from} on were dropped from the journal, and no checkpoint here covers them: \
         take one from another master ({holders})"
    )]
    CheckpointNeeded {
        /// First position that is gone.
        from: JournalSeq,
        /// The masters that hold one, with its position.
        holders: String,
    },
    /// The journal holds less than this master has seen: its store was set back or replaced.
    #[error(
        "the journal ends at entry {last}, but this master holds a checkpoint of entry {checkpoint}: \
         its store was set back; restore it, or restore a backup into a formatted journal"
    )]
    SetBack {
        /// Last position in the store.
        last: JournalSeq,
        /// Position of the checkpoint.
        checkpoint: JournalSeq,
    },
    /// Two primaries wrote under one term, which no elector allows.
    #[error("the journal continues at {found} under term {term}, expected {expected}")]
    Conflict {
        /// The term.
        term: Term,
        /// Last position found.
        found: JournalSeq,
        /// Last position expected.
        expected: JournalSeq,
    },
    /// etcd did not answer, or refused.
    #[error(transparent)]
    Etcd(#[from] alluxio_etcd::EtcdError),
    /// The store of a shared journal did not answer, or refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Store {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the store said.
        #[source]
        source: crate::shared::StoreError,
    },
    /// The store of a shared journal lets two masters create the same file.
    #[error(
        "{} cannot hold a journal: the store takes a name twice where it was asked to take it only if \
         it is free (S3 servers need `If-None-Match` on uploads); use another store, \
         alluxio.master.journal.type=ETCD, or a folder of this machine for a single master",
        folder.display()
    )]
    NotExclusive {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// The folder holds the journal of Alluxio's Java version.
    #[error(
        "{} holds a journal of Alluxio's Java version ({name:?}), which this one does not read: set \
         alluxio.master.journal.folder to an empty folder", folder.display()
    )]
    JavaJournal {
        /// The journal's folder.
        folder: PathBuf,
        /// What tells it.
        name: String,
    },
    /// The part of the journal that no checkpoint covers is too large; appends wait.
    #[error(
        "the journal holds {bytes} bytes that no checkpoint covers, twice the limit of {limit}"
    )]
    BacklogFull {
        /// Bytes kept.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A primary of an earlier term tried to append.
    #[error("term {term} is over: the journal has seen term {newest}")]
    Fenced {
        /// The caller's term.
        term: Term,
        /// The newest term.
        newest: Term,
    },
    /// A batch does not continue where the journal ends.
    #[error("batch starts at {given}, the journal continues at {expected}")]
    NotContiguous {
        /// First position of the batch.
        given: JournalSeq,
        /// The position that was expected.
        expected: JournalSeq,
    },
    /// One entry is larger than a record may be.
    #[error("entry {seq} has {length_bytes} bytes, the limit is {limit_bytes}")]
    EntryTooLarge {
        /// Its position.
        seq: JournalSeq,
        /// Its length.
        length_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// A checkpoint was asked for at a position that is not durable.
    #[error("checkpoint at {at} is ahead of the last durable entry {committed}")]
    CheckpointAhead {
        /// The position asked for.
        at: JournalSeq,
        /// The last durable position.
        committed: JournalSeq,
    },
    /// A call that needs [`crate::JournalStore::load`] or [`crate::JournalStore::fence`] first.
    #[error("journal used out of order: {call} needs {needs} first")]
    OutOfOrder {
        /// The call.
        call: &'static str,
        /// What was missing.
        needs: &'static str,
    },
    /// The disk failed. After a failed write or sync nothing is committed any more, until the
    /// process starts again and reads what is really there.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk is full; nothing was written of what was asked. Unlike after other failures, the
    /// journal goes on as soon as there is room.
    #[error("no space left for the journal at {}: make room, changes wait until then", path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The disk failed earlier.
    #[error("the journal failed earlier: {cause}")]
    Failed {
        /// The first failure.
        #[source]
        cause: Arc<JournalError>,
    },
    /// The journal was shut down.
    #[error("the journal is closed")]
    Closed,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its header is not one of ours, or fails its checksum.
    #[error("bad file header")]
    Header,
    /// A record that is followed by valid ones fails its checksum or makes no sense.
    #[error("bad record, with valid records after it")]
    Record,
    /// A record has the wrong position.
    #[error("entry {found} where {expected} was expected")]
    Order {
        /// The position found.
        found: JournalSeq,
        /// The position expected.
        expected: JournalSeq,
    },
    /// A record's term is older than one before it.
    #[error("term {found} after term {newest}")]
    Term {
        /// The term found.
        found: Term,
        /// The newest term before it.
        newest: Term,
    },
    /// A record's bytes are intact and no known entry.
    #[error("entry cannot be decoded: {0}")]
    Entry(#[from] EntryError),
    /// A checkpoint is shorter or longer than its trailer says, or its checksum fails.
    #[error("checkpoint is incomplete or fails its checksum")]
    Checkpoint,
    /// A checkpoint's items are those that were written, and do not make the state that they were taken of.
    #[error("it gives another state than it was taken of (hash {found:016x}, not {expected:016x})")]
    StateHash {
        /// What the items give.
        found: u64,
        /// What its writer said.
        expected: u64,
    },
}

impl Coded for JournalError {
    fn code(&self) -> Code {
        match self {
            JournalError::NotFormatted { .. }
            | JournalError::FormatVersion { .. }
            | JournalError::Foreign { .. }
            | JournalError::FolderNotEmpty { .. }
            | JournalError::JavaJournal { .. }
            | JournalError::NotExclusive { .. }
            | JournalError::SecondaryRuns { .. }
            | JournalError::Locked { .. } => Code::FailedPrecondition,
            JournalError::Corrupt { .. }
            | JournalError::Gap { .. }
            | JournalError::SetBack { .. }
            | JournalError::CheckpointNeeded { .. } => Code::DataLoss,
            JournalError::Etcd(error) => error.code(),
            JournalError::Store { source, .. } => source.code,
            JournalError::Fenced { .. } => Code::NotPrimary,
            JournalError::NotContiguous { .. }
            | JournalError::CheckpointAhead { .. }
            | JournalError::Conflict { .. }
            | JournalError::OutOfOrder { .. } => Code::Internal,
            JournalError::EntryTooLarge { .. }
            | JournalError::BacklogFull { .. }
            | JournalError::Full { .. } => Code::ResourceExhausted,
            JournalError::Io { .. } | JournalError::Failed { .. } | JournalError::Closed => {
                Code::Unavailable
            }
        }
    }
}
