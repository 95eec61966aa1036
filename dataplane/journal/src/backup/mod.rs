//! Backup files: one checkpoint that leaves the cluster, to be restored into an empty journal.
//!
//! **Shape**: a gzip file of several members, each complete with a checksum of its own, so that damage
//! is found where it is and neither side holds more than one member in memory; `zcat` reads it. The
//! first byte of a member's content is its kind: 1 the header, 2 items (each with its length before it,
//! as in a checkpoint), 3 the trailer, which counts and sums the items. The header is the first member,
//! the trailer the last.
//!
//! It must not know: where the file lies. Writing and reading are steps over `Write` and `Read`.

mod read;
mod write;

pub use alluxio_proto::convert::backup::{BackupHeader, BackupTrailer};
pub use read::read_backup;
pub use write::BackupWriter;

use alluxio_proto::convert::journal::EntryError;
use alluxio_types::{Code, Coded, UnixMillis};
use std::io;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

const KIND_HEADER: u8 = 1;
const KIND_ITEMS: u8 = 2;
const KIND_TRAILER: u8 = 3;

/// A member of items is closed at this size: about 4,000 inodes. Less would compress worse, more
/// would only cost memory.
const MEMBER_BYTES: usize = 512 << 10;
/// Largest content of a member that a reader accepts: [`MEMBER_BYTES`] and one item of the largest kind.
const MEMBER_BYTES_MAX: usize = 8 << 20;

/// Why a backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is no backup of ours.
    #[error(
        "{file} is no backup of this program ({why}); a backup taken by the Java Alluxio cannot be \
         restored, name a file that `alluxio fsadmin backup` wrote"
    )]
    Foreign {
        /// The file.
        file: String,
        /// What gave it away.
        why: String,
    },
    /// A later version wrote it in a format that this one does not know.
    #[error(
        "backup {file} has format {found}, this version reads up to {FORMAT}: restore it with \
         version {version} or later"
    )]
    Version {
        /// The file.
        file: String,
        /// Its format.
        found: u32,
        /// The version that wrote it.
        version: String,
    },
    /// It is not what was written.
    #[error("backup {file} is damaged at byte {offset}: {what}; restore another one")]
    Corrupt {
        /// The file.
        file: String,
        /// Where the damaged part begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// It cannot be read.
    #[error("cannot read backup {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Coded for BackupError {
    fn code(&self) -> Code {
        match self {
            BackupError::Foreign { .. } | BackupError::Version { .. } => Code::FailedPrecondition,
            BackupError::Corrupt { .. } => Code::DataLoss,
            BackupError::Io { .. } => Code::Unavailable,
        }
    }
}

impl From<EntryError> for Flaw {
    fn from(error: EntryError) -> Self {
        Flaw(error.to_string())
    }
}

/// What is wrong with a member, before it is known where the member is.
struct Flaw(String);

/// The name of a backup that was begun then: `alluxio-journal-YYYY-MM-DD-<milliseconds>.gz`, the day in
/// UTC.
pub fn file_name(at: UnixMillis) -> String {
    let (year, month, day) = civil_day(at.0 / 86_400_000);
    format!("alluxio-journal-{year:04}-{month:02}-{day:02}-{at}.gz")
}

/// When the backup of that name was begun; `None` for a name that [`file_name`] does not make.
pub fn begun_at(name: &str) -> Option<UnixMillis> {
    let millis = name.strip_suffix(".gz")?.rsplit_once('-')?.1.parse().ok()?;
    let at = UnixMillis(millis);
    (file_name(at) == name).then_some(at)
}

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar.
///
/// **Source**: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil_day(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01: years then end with the day that leap years have more.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
