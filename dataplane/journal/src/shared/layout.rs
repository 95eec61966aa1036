//! Names in a shared folder, its marker, and formatting.
//!
//! **Shape**: `JOURNAL` (whose journal this is), `log-<tag>/<number>` (segments, numbered from 1 without
//! a gap), `checkpoints-<tag>/<position it covers>-<number of the segment to read on from>`, all numbers with
//! 20 digits, and `….damaged` beside a checkpoint that was found damaged. The tag is the cluster's: what a
//! master of a journal that was formatted since still writes lies in the folder of the old one, where nobody
//! looks.

use super::log::Log;
use super::place::{Creation, Listed, SharedFolder, StoreError};
use crate::JournalError;
use crate::error::Damage;
use crate::folder::FormatFacts;
use alluxio_host::Host;
use alluxio_types::JournalSeq;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) const MARKER: &str = "JOURNAL";
const LOG: &str = "log-";
const CHECKPOINTS: &str = "checkpoints-";
pub(super) const DAMAGED: &str = ".damaged";

/// What tells a journal of Alluxio's Java version: the folders of its masters, and its other files.
const OF_JAVA: &[&str] = &[
    "BlockMaster",
    "FileSystemMaster",
    "MetaMaster",
    "MetricsMaster",
    "TableMaster",
    "raft",
    "_format_",
];

/// A shared folder, and the directories of one cluster in it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) folder: Arc<dyn SharedFolder>,
    pub(super) tag: u64,
}

impl Place {
    pub(super) fn log(&self) -> String {
        format!("{LOG}{:016x}", self.tag)
    }

    pub(super) fn segment(&self, number: u64) -> String {
        format!("{}/{number:020}", self.log())
    }

    pub(super) fn checkpoints(&self) -> String {
        format!("{CHECKPOINTS}{:016x}", self.tag)
    }

    pub(super) fn checkpoint(&self, named: CheckpointName) -> String {
        format!("{}/{:020}-{:020}", self.checkpoints(), named.at.0, named.number)
    }

    /// How errors name a file.
    pub(super) fn shown(&self, name: &str) -> PathBuf {
        shown(&*self.folder, name)
    }

    pub(super) fn failed(
        &self,
        action: &'static str,
        name: &str,
    ) -> impl FnOnce(StoreError) -> JournalError {
        failed(&*self.folder, action, name)
    }
}

fn shown(folder: &dyn SharedFolder, name: &str) -> PathBuf {
    match name {
        "" => PathBuf::from(folder.uri()),
        name => PathBuf::from(format!("{}/{name}", folder.uri())),
    }
}

fn failed(
    folder: &dyn SharedFolder,
    action: &'static str,
    name: &str,
) -> impl FnOnce(StoreError) -> JournalError {
    let path = shown(folder, name);
    move |source| JournalError::Store { action, path, source }
}

/// What the name of a checkpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CheckpointName {
    /// It holds the effect of all entries up to and including this one.
    pub(super) at: JournalSeq,
    /// The segment that the log is read on from.
    pub(super) number: u64,
}

impl CheckpointName {
    /// Reads a name; `None` when it is anything else.
    pub(super) fn parse(name: &str) -> Option<CheckpointName> {
        let (at, number) = name.split_once('-')?;
        Some(CheckpointName { at: JournalSeq(number_of(at)?), number: number_of(number)? })
    }
}

/// A number of 20 digits.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let all_digits = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| name.parse().ok()).flatten()
}

/// Whose journal lies in a folder.
///
/// **Errors**: `NotFormatted`, `JavaJournal`, `FormatVersion`, `Corrupt`, `Store`.
pub async fn inspect(folder: &dyn SharedFolder) -> Result<FormatFacts, JournalError> {
    let found = folder.read(MARKER).await.map_err(failed(folder, "read", MARKER))?;
    let Some(bytes) = found else {
        let names = folder.list("").await.map_err(failed(folder, "list", ""))?;
        return Err(java_journal(folder, &names)
            .unwrap_or_else(|| JournalError::NotFormatted { folder: shown(folder, "") }));
    };
    let damaged = || {
        let (file, what) = (shown(folder, MARKER), Damage::Header);
        Err(JournalError::Corrupt { file, offset: 0, what })
    };
    FormatFacts::parse(&bytes, &shown(folder, "")).unwrap_or_else(damaged)
}

fn java_journal(folder: &dyn SharedFolder, names: &[Listed]) -> Option<JournalError> {
    let of_java = |name: &&Listed| {
        OF_JAVA.iter().any(|known| match known.strip_suffix('_') {
            Some(_) => name.name.starts_with(known),
            None => name.name == *known,
        })
    };
    let name = names.iter().find(of_java)?.name.clone();
    Some(JournalError::JavaJournal { folder: shown(folder, ""), name })
}

/// Makes sure that the store does not take a name twice: all that keeps two masters apart rests on it.
///
/// **Errors**: `NotExclusive`, `Store`.
pub(super) async fn prove(
    folder: &dyn SharedFolder,
    facts: &FormatFacts,
) -> Result<(), JournalError> {
    // Were it written all the same, it would be the same bytes.
    let text = facts.to_text();
    match folder.create_new(MARKER, text.as_bytes()).await {
        Ok(Creation::Taken) => Ok(()),
        Ok(Creation::Created) => Err(JournalError::NotExclusive { folder: shown(folder, "") }),
        Err(error) => Err(failed(folder, "create", MARKER)(error)),
    }
}

/// Makes the folder an empty journal of a new cluster. What was a journal in it is deleted, and its
/// primary, if one is left, is fenced; anything else in it makes this refuse. An empty journal stays as it
/// is, and so do its facts, so that all masters of a cluster can be told to format.
///
/// **Errors**: `FolderNotEmpty`, `JavaJournal`, `NotExclusive`; `Locked` when another master formats at the same
/// time; `Store`. After an error the folder is as it was, or unformatted.
pub async fn format(
    folder: &Arc<dyn SharedFolder>,
    host: &Host,
    cluster_id: &str,
) -> Result<FormatFacts, JournalError> {
    let names = folder.list("").await.map_err(failed(&**folder, "list", ""))?;
    if let Some(error) = java_journal(&**folder, &names) {
        return Err(error);
    }
    let ours =
        |name: &str| name == MARKER || name.starts_with(LOG) || name.starts_with(CHECKPOINTS);
    if let Some(foreign) = names.iter().find(|listed| !ours(&listed.name)) {
        let (folder, name) = (shown(&**folder, ""), foreign.name.clone());
        return Err(JournalError::FolderNotEmpty { folder, name });
    }
    match inspect(&**folder).await {
        Ok(facts) => {
            prove(&**folder, &facts).await?;
            let log = Log::new(Place { folder: folder.clone(), tag: facts.tag() }, host);
            if log.is_untouched().await? {
                return Ok(facts);
            }
            // Whoever still writes to it finds this in the way.
            log.end_for_good().await?;
            folder.remove(MARKER).await.map_err(failed(&**folder, "remove", MARKER))?;
        }
        Err(JournalError::NotFormatted { .. }) => {}
        // Of a later version, or damaged: to be replaced, which is what was asked for.
        Err(JournalError::FormatVersion { .. } | JournalError::Corrupt { .. }) => {
            folder.remove(MARKER).await.map_err(failed(&**folder, "remove", MARKER))?;
        }
        Err(error) => return Err(error),
    }
    let new = FormatFacts { cluster_id: cluster_id.to_owned(), created: host.clock.now() };
    for listed in names.iter().filter(|listed| listed.name != MARKER) {
        clear(&**folder, &listed.name).await?;
    }
    let made = folder.create_new(MARKER, new.to_text().as_bytes()).await;
    // Whatever the answer was: what is there now counts.
    let facts = match inspect(&**folder).await {
        Err(JournalError::NotFormatted { .. }) => {
            made.map_err(failed(&**folder, "create", MARKER))?;
            return Err(JournalError::Locked { folder: shown(&**folder, "") });
        }
        found => found?,
    };
    prove(&**folder, &facts).await?;
    Ok(facts)
}

/// Removes what a directory of an older journal holds, but for the fence at the end of a log: it keeps out
/// whoever still believes to be the primary.
async fn clear(folder: &dyn SharedFolder, directory: &str) -> Result<(), JournalError> {
    let files = folder.list(directory).await.map_err(failed(folder, "list", directory))?;
    let last = files.iter().map(|file| &file.name).max().cloned();
    for file in &files {
        if directory.starts_with(LOG) && Some(&file.name) == last.as_ref() {
            continue;
        }
        let name = format!("{directory}/{}", file.name);
        folder.remove(&name).await.map_err(failed(folder, "remove", &name))?;
    }
    Ok(())
}
