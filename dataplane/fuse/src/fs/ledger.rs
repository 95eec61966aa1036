//! What of a mount must outlive its process and cannot be asked of anybody: a file that is only appended to.
//!
//! - Nodes that are not what their number says: whose bytes this mount has replaced, that were told apart, or
//!   that have no name any more; and how nodes are open, because the kernel refuses to mix ways, and an open
//!   inode must keep its backing file.
//! - Answers of operations that must not be carried out twice, until the kernel has them.
//!
//! A record is written before the reply that exposes it. It lies in the page cache: it outlives `kill -9`,
//! not the machine, which takes the mount with it anyway. Reads, lookups and attributes write nothing.
//!
//! **Shape**, integers little-endian: the magic `ALXFUSEL`, version (2 bytes), 6 bytes 0, the time of the mount
//! in ms (8 bytes); then records: length of the payload (4 bytes), its CRC-32C (4 bytes), the payload, see
//! [`record`](super::record). What follows a damaged record is not read: it was being written when its process
//! was killed, so nobody has seen what it stands for.

use super::record::{Answer, KeptNode, Record};
use crate::abi::UNIQUE_RESEND;
use crate::errno::Errno;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const MAGIC: [u8; 8] = *b"ALXFUSEL";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 24;
/// Longest file that is read. One is written anew long before.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// A file is written anew when it has grown by so much beyond what it must hold.
const GROWTH_BYTES: u64 = 4 << 20;
/// Answers of processes before us that are remembered. The kernel asks again for what was under way, at once;
/// no mount has so many callers.
const ANSWERS_MAX: usize = 16_384;

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is of another version, or something else.
    #[error("{} is no ledger of version {VERSION}", path.display())]
    Unknown {
        /// Which.
        path: PathBuf,
    },
}

/// See the module. One that keeps nothing serves mounts that end with their process.
#[derive(Debug, Default)]
pub struct Ledger {
    inner: Option<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    path: PathBuf,
    mounted_ms: u64,
    bytes: u64,
    /// Bytes after it was last written anew.
    bytes_then: u64,
    nodes: HashMap<u64, KeptNode>,
    /// Answers of those before us.
    replays: HashMap<u64, Answer>,
    /// Our own, that the kernel may not have yet.
    pending: HashMap<u64, Answer>,
    /// Names that open files are about to get: what the name was, and what it becomes.
    hiding: HashMap<(u64, String), String>,
    broken: bool,
}

/// What a file holds.
#[derive(Debug, Default)]
struct Content {
    mounted_ms: u64,
    nodes: HashMap<u64, KeptNode>,
    answers: HashMap<u64, Answer>,
    hiding: HashMap<(u64, String), String>,
}

impl Content {
    fn take(&mut self, record: Record) {
        match record {
            Record::Node(node) => {
                if let Some(hidden) = &node.hidden {
                    self.hiding.retain(|_, there| there != hidden);
                }
                self.nodes.insert(node.node, node);
            }
            Record::NodeGone(node) => {
                self.nodes.remove(&node);
            }
            Record::Answer(answer) => {
                self.answers.insert(answer.unique, answer);
            }
            Record::Hiding { parent, name, hidden } => {
                self.hiding.insert((parent, name), hidden);
            }
        }
    }

    fn read(path: &Path) -> Result<Option<Self>, LedgerError> {
        let failed = |source| LedgerError::Io { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?,
        };
        let header = bytes.split_first_chunk::<HEADER_BYTES>();
        let known = header
            .filter(|(header, _)| header[..8] == MAGIC && header[8..10] == VERSION.to_le_bytes());
        let Some((header, mut rest)) = known else {
            return Err(LedgerError::Unknown { path: path.to_owned() });
        };
        let mut word = [0; 8];
        word.copy_from_slice(&header[16..]);
        let mut content = Content { mounted_ms: u64::from_le_bytes(word), ..Content::default() };
        while let Some((record, behind)) = next(rest) {
            content.take(record);
            rest = behind;
        }
        Ok(Some(content))
    }
}

/// The first record, and what is behind it.
fn next(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let (payload, behind) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    if crc_fast::crc32_iscsi(payload) != u32::from_le_bytes(*checksum) {
        return None;
    }
    Some((Record::from_bytes(payload)?, behind))
}

fn framed(record: &Record, into: &mut Vec<u8>) {
    let payload = record.to_bytes();
    into.extend((payload.len() as u32).to_le_bytes());
    into.extend(crc_fast::crc32_iscsi(&payload).to_le_bytes());
    into.extend(payload);
}

impl Inner {
    /// A file with all that must be in it, and nothing else, in place of the one that there is.
    fn renew(&mut self) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(self.mounted_ms.to_le_bytes());
        for node in self.nodes.values() {
            framed(&Record::Node(node.clone()), &mut bytes);
        }
        for answer in self.replays.values().chain(self.pending.values()) {
            framed(&Record::Answer(answer.clone()), &mut bytes);
        }
        for ((parent, name), hidden) in &self.hiding {
            let (name, hidden) = (name.clone(), hidden.clone());
            framed(&Record::Hiding { parent: *parent, name, hidden }, &mut bytes);
        }
        let beside = self.path.with_extension("new");
        let _ = std::fs::remove_file(&beside);
        let mut file = OpenOptions::new().append(true).create_new(true).open(&beside)?;
        file.write_all(&bytes)?;
        std::fs::rename(&beside, &self.path)?;
        self.file = file;
        self.bytes = bytes.len() as u64;
        self.bytes_then = self.bytes;
        Ok(())
    }

    /// Appends a record. One that is not kept costs the next process something, and this one nothing.
    fn append(&mut self, record: &Record) {
        let mut bytes = Vec::with_capacity(256);
        framed(record, &mut bytes);
        let mut written = self.file.write_all(&bytes);
        self.bytes += bytes.len() as u64;
        if written.is_err() || self.bytes > 2 * self.bytes_then + GROWTH_BYTES {
            // What those before us had under way was asked for again long ago.
            self.replays.clear();
            written = self.renew();
        }
        if let Err(error) = &written
            && !self.broken
        {
            let path = self.path.display();
            tracing::error!(%path, %error, "what must outlive this process is not kept");
        }
        self.broken = written.is_err();
    }
}

impl Ledger {
    /// The ledger of a mount that was made at `mounted_ms`. One of another mount that lies there is done with:
    /// the nodes whose files are only kept because they were open there are returned.
    ///
    /// **Errors**: [`LedgerError`].
    pub fn open(path: &Path, mounted_ms: u64) -> Result<(Self, Vec<KeptNode>), LedgerError> {
        let failed = |source| LedgerError::Io { path: path.to_owned(), source };
        let mut content = Content::read(path)?.unwrap_or_default();
        let mut forsaken = Vec::new();
        if content.mounted_ms != mounted_ms {
            forsaken = content.nodes.into_values().filter(|node| node.hidden.is_some()).collect();
            content = Content { mounted_ms, ..Content::default() };
        }
        if content.answers.len() > ANSWERS_MAX {
            let mut order: Vec<u64> = content.answers.keys().copied().collect();
            order.sort_unstable();
            let oldest = order[order.len() - ANSWERS_MAX];
            content.answers.retain(|unique, _| *unique >= oldest);
        }
        let file = File::open("/dev/null").map_err(failed)?;
        let mut inner = Inner {
            file,
            path: path.to_owned(),
            mounted_ms,
            bytes: 0,
            bytes_then: 0,
            nodes: content.nodes,
            replays: content.answers,
            pending: HashMap::new(),
            hiding: content.hiding,
            broken: false,
        };
        inner.renew().map_err(failed)?;
        Ok((Ledger { inner: Some(Mutex::new(inner)) }, forsaken))
    }

    fn inner(&self) -> Option<MutexGuard<'_, Inner>> {
        Some(self.inner.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The nodes that are kept.
    pub(crate) fn nodes(&self) -> Vec<KeptNode> {
        self.inner().map(|inner| inner.nodes.values().cloned().collect()).unwrap_or_default()
    }

    /// Keeps a node as it is now.
    pub(crate) fn node(&self, kept: KeptNode) {
        let Some(mut inner) = self.inner() else { return };
        if inner.nodes.get(&kept.node) == Some(&kept) {
            return;
        }
        if let Some(hidden) = &kept.hidden {
            inner.hiding.retain(|_, there| there != hidden);
        }
        inner.nodes.insert(kept.node, kept.clone());
        inner.append(&Record::Node(kept));
    }

    /// A node is what its number says, or is forgotten.
    pub(crate) fn node_gone(&self, node: u64) {
        let Some(mut inner) = self.inner() else { return };
        if inner.nodes.remove(&node).is_some() {
            inner.append(&Record::NodeGone(node));
        }
    }

    /// An open file is about to be called `hidden`.
    pub(crate) fn hiding(&self, parent: u64, name: &str, hidden: &str) {
        let Some(mut inner) = self.inner() else { return };
        let (name, hidden) = (name.to_owned(), hidden.to_owned());
        inner.hiding.insert((parent, name.clone()), hidden.clone());
        inner.append(&Record::Hiding { parent, name, hidden });
    }

    /// What a name was about to be called when a process before us was killed.
    pub(crate) fn hidden(&self, parent: u64, name: &str) -> Option<String> {
        self.inner()?.hiding.get(&(parent, name.to_owned())).cloned()
    }

    /// Keeps the answer to a request, until [`Ledger::answered`].
    pub(crate) fn answer(&self, unique: u64, result: &Result<Vec<u8>, Errno>) {
        let Some(mut inner) = self.inner() else { return };
        let unique = unique & !UNIQUE_RESEND;
        let (error, body) = match result {
            Ok(body) => (0, body.clone()),
            Err(errno) => (errno.number(), Vec::new()),
        };
        let answer = Answer { unique, error, body };
        inner.pending.insert(unique, answer.clone());
        inner.append(&Record::Answer(answer));
    }

    /// The kernel has the answer.
    pub(crate) fn answered(&self, unique: u64) {
        let Some(mut inner) = self.inner() else { return };
        let unique = unique & !UNIQUE_RESEND;
        inner.pending.remove(&unique);
        inner.replays.remove(&unique);
    }

    /// What a process before us has answered, or was about to.
    pub(crate) fn replay(&self, unique: u64) -> Option<Result<Vec<u8>, Errno>> {
        let inner = self.inner()?;
        let answer = inner.replays.get(&(unique & !UNIQUE_RESEND))?;
        Some(match Errno::of_number(answer.error) {
            None => Ok(answer.body.clone()),
            Some(errno) => Err(errno),
        })
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
