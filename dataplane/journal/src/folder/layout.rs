//! Names in a journal's folder, its `VERSION` file, and formatting.
//!
//! **Shape**: `VERSION` (whose journal this is), `LOCK` (held by the master that uses it), `SECONDARY`
//! (held by the secondary master that reads along),
//! `segment-<position of its first entry>`, `checkpoint-<position it covers>`, both with 20 digits,
//! and `*.tmp` for what is not finished (`*.secondary.tmp` for what a secondary master has not). A checkpoint
//! that was found damaged while another one took its place is kept as `damaged-checkpoint-…` for
//! whoever wants to look at it.

use super::segment::SegmentWriter;
use crate::JournalError;
use crate::record::crc32c;
use alluxio_host::{Disk, DiskFile, Host, OpenMode};
use alluxio_types::{JournalSeq, Term, UnixMillis};
use std::io;
use std::path::{Path, PathBuf};

/// The only format there is so far.
pub(crate) const FORMAT_VERSION: u32 = 1;
pub(crate) const VERSION_FILE: &str = "VERSION";
pub(crate) const LOCK_FILE: &str = "LOCK";
const SECONDARY_FILE: &str = "SECONDARY";
/// Beginning of the name of a checkpoint that was found damaged.
const SET_ASIDE: &str = "damaged-checkpoint-";
/// Ending of what a secondary master has not finished: a primary must not take it for its own.
const SECONDARY_TMP: &str = ".secondary.tmp";
const MAGIC_LINE: &str = "alluxio-journal";
/// `VERSION` is a few short lines; more is not ours.
const VERSION_BYTES_MAX: u64 = 4096;

/// Whose journal a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatFacts {
    /// Random id of the cluster.
    pub cluster_id: String,
    /// When it was formatted.
    pub created: UnixMillis,
}

impl FormatFacts {
    /// What the header of every file carries instead of the whole id: FNV-1a, 64 bits.
    pub(crate) fn tag(&self) -> u64 {
        self.cluster_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// Reads what [`FormatFacts::to_text`] wrote for the journal at `journal`; `None` when it is
    /// anything else.
    pub(crate) fn parse(bytes: &[u8], journal: &Path) -> Option<Result<Self, JournalError>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (body, crc) = text.strip_suffix('\n')?.rsplit_once("crc32c=")?;
        if u32::from_str_radix(crc, 16).ok()? != crc32c(body.as_bytes()) || crc.len() != 8 {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != MAGIC_LINE {
            return None;
        }
        let found: u32 = lines.next()?.strip_prefix("format=")?.parse().ok()?;
        if found != FORMAT_VERSION {
            let folder = journal.to_owned();
            let supported = FORMAT_VERSION;
            return Some(Err(JournalError::FormatVersion { folder, found, supported }));
        }
        let cluster_id = lines.next()?.strip_prefix("cluster_id=")?.to_owned();
        let created = lines.next()?.strip_prefix("created_unix_ms=")?.parse().ok()?;
        Some(Ok(FormatFacts { cluster_id, created: UnixMillis(created) }))
    }

    pub(crate) fn to_text(&self) -> String {
        let body = format!(
            "{MAGIC_LINE}\nformat={FORMAT_VERSION}\ncluster_id={}\ncreated_unix_ms={}\n",
            self.cluster_id, self.created
        );
        format!("{body}crc32c={:08x}\n", crc32c(body.as_bytes()))
    }
}

/// What a name in the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Version,
    Lock,
    Segment(JournalSeq),
    Checkpoint(JournalSeq),
    /// A checkpoint that was found damaged.
    SetAside,
    Temporary,
    /// A temporary file of a secondary master.
    SecondaryTemporary,
    Foreign,
}

impl Name {
    pub(crate) fn of(name: &str) -> Name {
        let number = |prefix: &str| {
            let digits = name.strip_prefix(prefix)?;
            let all_digits = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
            all_digits.then(|| digits.parse().ok().map(JournalSeq)).flatten()
        };
        match name {
            VERSION_FILE => Name::Version,
            LOCK_FILE | SECONDARY_FILE => Name::Lock,
            _ if name.strip_suffix(SECONDARY_TMP).is_some_and(Name::is_ours) => {
                Name::SecondaryTemporary
            }
            _ if number(SET_ASIDE).is_some() => Name::SetAside,
            _ => match (number("segment-"), number("checkpoint-"), name.strip_suffix(".tmp")) {
                (Some(first), _, _) => Name::Segment(first),
                (_, Some(at), _) => Name::Checkpoint(at),
                (_, _, Some(stem)) if !matches!(Name::of(stem), Name::Foreign) => Name::Temporary,
                _ => Name::Foreign,
            },
        }
    }
}

impl Name {
    fn is_ours(name: &str) -> bool {
        !matches!(Name::of(name), Name::Foreign)
    }
}

/// A disk and a folder on it: every call names its path when it fails.
#[derive(Clone)]
pub(crate) struct Folder {
    pub(crate) host: Host,
    pub(crate) path: PathBuf,
}

/// Positions in the names of a folder, ascending.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) segments: Vec<JournalSeq>,
    pub(crate) checkpoints: Vec<JournalSeq>,
    pub(crate) set_aside: Vec<String>,
    pub(crate) temporary: Vec<String>,
    pub(crate) secondary_temporary: Vec<String>,
    /// The first name that is not a journal's.
    pub(crate) foreign: Option<String>,
}

impl Folder {
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.host.disk
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn segment(&self, first: JournalSeq) -> PathBuf {
        self.file(&format!("segment-{:020}", first.0))
    }

    pub(crate) fn checkpoint(&self, at: JournalSeq) -> PathBuf {
        self.file(&format!("checkpoint-{:020}", at.0))
    }

    /// Takes checkpoints that were found damaged out of those that count. The caller holds the lock.
    pub(crate) fn set_aside<'a>(&self, damaged: impl Iterator<Item = &'a JournalSeq>) {
        for seq in damaged {
            let aside = self.file(&format!("{SET_ASIDE}{:020}", seq.0));
            if let Err(error) = self.disk().rename(&self.checkpoint(*seq), &aside) {
                // It is found damaged again at the next start.
                tracing::warn!(%error, at = seq.0, "a damaged checkpoint keeps its name");
            }
        }
    }

    pub(crate) fn inventory(&self) -> Result<Inventory, JournalError> {
        let names = self.disk().list(&self.path).map_err(at("list", &self.path))?;
        let mut found = Inventory::default();
        // The list is sorted, and so are numbers of 20 digits.
        for name in names {
            match Name::of(&name) {
                Name::Segment(first) => found.segments.push(first),
                Name::Checkpoint(at) => found.checkpoints.push(at),
                Name::SetAside => found.set_aside.push(name),
                Name::Temporary => found.temporary.push(name),
                Name::SecondaryTemporary => found.secondary_temporary.push(name),
                Name::Foreign => found.foreign = found.foreign.or(Some(name)),
                Name::Version | Name::Lock => {}
            }
        }
        Ok(found)
    }

    pub(crate) fn read_all(&self, path: &Path) -> Result<Vec<u8>, JournalError> {
        let file = self.disk().open(path, OpenMode::Read).map_err(at("open", path))?;
        let length = file.length().map_err(at("read", path))?;
        let mut bytes =
            vec![0; usize::try_from(length).expect("files are far below the address space")];
        file.read_exact_at(&mut bytes, 0).map_err(at("read", path))?;
        Ok(bytes)
    }

    pub(crate) fn remove(&self, path: &Path) -> Result<(), JournalError> {
        self.disk().remove_file(path).map_err(at("remove", path))
    }

    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        self.disk().sync_dir(&self.path).map_err(at("sync", &self.path))
    }

    /// A new file that gets its name by [`Folder::publish`], once it is complete.
    pub(crate) fn create_temporary(
        &self,
        path: &Path,
    ) -> Result<(Box<dyn DiskFile>, PathBuf), JournalError> {
        self.create_new(with_tmp(path))
    }

    /// The same for a secondary master, which gives it its name by [`Folder::publish_secondary`].
    pub(crate) fn create_secondary_temporary(
        &self,
        path: &Path,
    ) -> Result<(Box<dyn DiskFile>, PathBuf), JournalError> {
        self.create_new(with_ending(path, SECONDARY_TMP))
    }

    fn create_new(&self, temporary: PathBuf) -> Result<(Box<dyn DiskFile>, PathBuf), JournalError> {
        match self.disk().remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at("remove", &temporary)(error));
            }
            _ => {}
        }
        let file = self
            .disk()
            .open(&temporary, OpenMode::CreateNew)
            .map_err(growing("create", &temporary))?;
        Ok((file, temporary))
    }

    /// Makes a synced temporary file visible under its name, durably.
    pub(crate) fn publish(&self, path: &Path) -> Result<(), JournalError> {
        self.disk().rename(&with_tmp(path), path).map_err(at("rename", path))?;
        self.sync()
    }

    /// As [`Folder::publish`], for a secondary master.
    pub(crate) fn publish_secondary(&self, path: &Path) -> Result<(), JournalError> {
        let temporary = with_ending(path, SECONDARY_TMP);
        self.disk().rename(&temporary, path).map_err(at("rename", path))?;
        self.sync()
    }

    /// Whose journal this is.
    ///
    /// **Errors**: `NotFormatted`, `FormatVersion`, `Corrupt` for a damaged `VERSION`, `Io`.
    pub(crate) fn facts(&self) -> Result<FormatFacts, JournalError> {
        let path = self.file(VERSION_FILE);
        let not_formatted = || JournalError::NotFormatted { folder: self.path.clone() };
        match self.disk().facts(&path) {
            Ok(facts) if facts.length > VERSION_BYTES_MAX => return Err(damaged(&path)),
            Ok(_) => {}
            Err(error) if is_missing(&error) => return Err(not_formatted()),
            Err(error) => return Err(at("open", &path)(error)),
        }
        let bytes = self.read_all(&path)?;
        FormatFacts::parse(&bytes, &self.path).unwrap_or_else(|| Err(damaged(&path)))
    }

    /// Takes the lock that keeps a second master out.
    pub(crate) fn lock(&self) -> Result<Box<dyn Send + Sync>, JournalError> {
        let path = self.file(LOCK_FILE);
        self.disk().lock(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => JournalError::Locked { folder: self.path.clone() },
            _ => at("lock", &path)(error),
        })
    }

    /// Takes the lock that keeps a second secondary master out, and formatting.
    ///
    /// **Errors**: `SecondaryRuns`; `Io`.
    pub(crate) fn lock_secondary(&self) -> Result<Box<dyn Send + Sync>, JournalError> {
        let path = self.file(SECONDARY_FILE);
        self.disk().lock(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => JournalError::SecondaryRuns { folder: self.path.clone() },
            _ => at("lock", &path)(error),
        })
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn damaged(path: &Path) -> JournalError {
    JournalError::Corrupt { file: path.to_owned(), offset: 0, what: crate::error::Damage::Header }
}

fn with_tmp(path: &Path) -> PathBuf {
    with_ending(path, ".tmp")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Turns an IO error into ours.
pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { action, path, source }
}

/// The same for calls that need room on the disk, and that change nothing when there is none.
pub(crate) fn growing(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => JournalError::Full { path },
        _ => JournalError::Io { action, path, source },
    }
}

/// Makes `folder` an empty journal of a new cluster. What was a journal in it is deleted; anything
/// else in it makes this refuse.
///
/// **Errors**: `FolderNotEmpty` when a foreign file is there, `Locked` when a master uses it, `Io`.
/// After an error the folder is as it was, or unformatted.
pub fn format(host: &Host, folder: &Path, cluster_id: &str) -> Result<FormatFacts, JournalError> {
    let facts = FormatFacts { cluster_id: cluster_id.to_owned(), created: host.clock.now() };
    let folder = Folder { host: host.clone(), path: folder.to_owned() };
    folder.disk().create_dir_all(&folder.path).map_err(at("create", &folder.path))?;
    if let Some(parent) = folder.path.parent() {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        folder.disk().sync_dir(parent).map_err(at("sync", parent))?;
    }
    let refuse_foreign = |found: &Inventory| match &found.foreign {
        Some(name) => {
            Err(JournalError::FolderNotEmpty { folder: folder.path.clone(), name: name.clone() })
        }
        None => Ok(()),
    };
    // Before the lock too: a foreign folder must not even get a lock file.
    refuse_foreign(&folder.inventory()?)?;
    let _locks = (folder.lock()?, folder.lock_secondary()?);
    let found = folder.inventory()?;
    refuse_foreign(&found)?;
    // Without VERSION it is unformatted: a crash from here on cannot leave half a journal.
    match folder.disk().remove_file(&folder.file(VERSION_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(at("remove", &folder.file(VERSION_FILE))(error));
        }
        _ => folder.sync()?,
    }
    for first in found.segments {
        folder.remove(&folder.segment(first))?;
    }
    for at in found.checkpoints {
        folder.remove(&folder.checkpoint(at))?;
    }
    let unfinished = found.temporary.iter().chain(&found.secondary_temporary);
    for name in unfinished.chain(&found.set_aside) {
        folder.remove(&folder.file(name))?;
    }
    folder.sync()?;
    // A small file: it grows when the first master appends to it.
    SegmentWriter::create(&folder, facts.tag(), JournalSeq(1), Term(0), 4096)?;
    let path = folder.file(VERSION_FILE);
    let (file, temporary) = folder.create_temporary(&path)?;
    file.write_all_at(facts.to_text().as_bytes(), 0).map_err(at("write", &temporary))?;
    file.sync_data().map_err(at("sync", &temporary))?;
    folder.publish(&path)?;
    Ok(facts)
}

/// Whose journal `folder` holds, without taking its lock.
///
/// **Errors**: `NotFormatted`, `FormatVersion`, `Corrupt`, `Io`.
pub fn inspect(host: &Host, folder: &Path) -> Result<FormatFacts, JournalError> {
    Folder { host: host.clone(), path: folder.to_owned() }.facts()
}
