//! What is kept of a session: with the keepers, beside its descriptors, and in its folder.

use crate::keeper::BLOB_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Shape of the record. Another one is not read: the session is mounted anew then.
const VERSION: u32 = 1;

/// A session, as one agent leaves it to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// Path of the namespace that is its root.
    pub(crate) path: String,
    /// Options as after `-o`.
    pub(crate) options: Vec<String>,
    /// When it was mounted, in ms since 1970. Tells connections under one key apart.
    pub(crate) mounted_ms: u64,
    /// Tells its changes from those of all other mounts.
    pub(crate) salt: u64,
    /// Number of its device, `major:minor`.
    pub(crate) device: String,
    /// What was agreed on with the kernel; empty before anything was.
    pub(crate) negotiated: Vec<u8>,
    /// Whether its last server has answered all that it had read.
    pub(crate) in_order: bool,
    /// Whether it is closed, and lives only as long as programs use it.
    pub(crate) closing: bool,
    /// How often an agent has gone on with it.
    pub(crate) resumed: u64,
    /// When last, in ms since 1970; 0 for never.
    pub(crate) resumed_ms: u64,
}

/// Bytes that are no record of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// They are something else.
    #[error("the record of a session cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// They are of another version.
    #[error("the record of a session is of version {0}, not {VERSION}")]
    Version(u32),
}

/// What every version has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

impl Record {
    pub(crate) fn new(path: &str, options: &[String]) -> Self {
        Record {
            version: VERSION,
            path: path.to_owned(),
            options: options.to_vec(),
            mounted_ms: 0,
            salt: 0,
            device: String::new(),
            negotiated: Vec::new(),
            in_order: false,
            closing: false,
            resumed: 0,
            resumed_ms: 0,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers can be written")
    }

    /// Whether a keeper takes it, whatever it grows by later.
    pub(crate) fn fits(&self) -> bool {
        self.to_bytes().len() + 1024 <= BLOB_BYTES_MAX
    }

    /// **Errors**: [`RecordError`].
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let any: AnyVersion = serde_json::from_slice(bytes)?;
        if any.version != VERSION {
            return Err(RecordError::Version(any.version));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Puts it into a file, whole or not at all. It has to survive us, not the machine.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        std::fs::write(&beside, self.to_bytes())?;
        std::fs::rename(&beside, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_version_is_refused() {
        let mut record = Record::new("/a", &["ro".into()]);
        record.negotiated = vec![1, 2];
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes).unwrap(), record);
        let other = String::from_utf8(bytes).unwrap().replace("\"version\":1", "\"version\":2");
        let error = Record::from_bytes(other.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "the record of a session is of version 2, not 1");
        assert!(Record::from_bytes(b"{}").is_err());
    }

    #[test]
    fn the_bytes_of_a_record_stay_what_they_are() {
        let record = Record::new("/a", &["ro".into()]);
        let golden = r#"{"version":1,"path":"/a","options":["ro"],"mounted_ms":0,"salt":0,"device":"","negotiated":[],"in_order":false,"closing":false,"resumed":0,"resumed_ms":0}"#;
        assert_eq!(String::from_utf8(record.to_bytes()).unwrap(), golden);
    }
}
