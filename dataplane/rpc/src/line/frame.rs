//! What is sent on a line. Pure.
//!
//! ```text
//! frame    = length of the rest: u32 ++ path ++ metadata ++ body
//! path     = length: u16 ++ bytes            (empty in a reply)
//! metadata = count: u16 ++ (name length: u16 ++ name ++ value length: u16 ++ value) …
//! ```
//! Numbers are little-endian. The body is what HTTP/2 would carry: messages in gRPC's own frames. Metadata of a
//! reply is its headers and trailers.

use crate::MESSAGE_BYTES_MAX;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};

/// Longest frame: a message, its five bytes of head, and metadata.
const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX + (64 << 10);
/// Most entries of metadata; calls have three or four.
const ENTRIES_MAX: usize = 128;
/// Bytes before what the length counts.
const LENGTH_BYTES: usize = 4;

/// A call, or the answer to one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Frame {
    pub(super) path: String,
    pub(super) metadata: HeaderMap,
    pub(super) body: Bytes,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a frame of a line: {why}")]
pub(crate) struct BadFrame {
    why: &'static str,
}

/// Bytes that the frame at the beginning of `bytes` has, its length included; `None` when too few of them are
/// here to tell.
pub(super) fn length_of(bytes: &[u8]) -> Result<Option<usize>, BadFrame> {
    let Some(head) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(BadFrame { why: "it is too long" });
    }
    Ok(Some(LENGTH_BYTES + length))
}

fn put_short(into: &mut Vec<u8>, bytes: &[u8]) -> Result<(), BadFrame> {
    let length = u16::try_from(bytes.len());
    let length = length.map_err(|_| BadFrame { why: "metadata or path is too long" })?;
    into.extend(length.to_le_bytes());
    into.extend(bytes);
    Ok(())
}

impl Frame {
    /// To be sent.
    ///
    /// **Errors**: what the other end would refuse.
    pub(super) fn encode(&self) -> Result<Vec<u8>, BadFrame> {
        let count = u16::try_from(self.metadata.len()).unwrap_or(u16::MAX);
        if usize::from(count) > ENTRIES_MAX {
            return Err(BadFrame { why: "it has too much metadata" });
        }
        let mut bytes = Vec::with_capacity(256 + self.body.len());
        bytes.extend([0; LENGTH_BYTES]);
        put_short(&mut bytes, self.path.as_bytes())?;
        bytes.extend(count.to_le_bytes());
        for (name, value) in &self.metadata {
            put_short(&mut bytes, name.as_str().as_bytes())?;
            put_short(&mut bytes, value.as_bytes())?;
        }
        bytes.extend_from_slice(&self.body);
        let length = bytes.len() - LENGTH_BYTES;
        if length > FRAME_BYTES_MAX {
            return Err(BadFrame { why: "it is too long" });
        }
        bytes[..LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
        Ok(bytes)
    }

    /// What [`Frame::encode`] has made, whole.
    ///
    /// **Errors**: anything else.
    pub(super) fn decode(bytes: Bytes) -> Result<Frame, BadFrame> {
        let mut rest = Rest { bytes, at: LENGTH_BYTES };
        let path = rest.short()?;
        let path = String::from_utf8(path.to_vec());
        let path = path.map_err(|_| BadFrame { why: "its path is no text" })?;
        let count = usize::from(rest.number()?);
        if count > ENTRIES_MAX {
            return Err(BadFrame { why: "it has too much metadata" });
        }
        let mut metadata = HeaderMap::with_capacity(count);
        for _ in 0..count {
            let name = HeaderName::from_bytes(&rest.short()?);
            let name = name.map_err(|_| BadFrame { why: "metadata has a bad name" })?;
            let value = HeaderValue::from_maybe_shared(rest.short()?);
            let value = value.map_err(|_| BadFrame { why: "metadata has a bad value" })?;
            metadata.append(name, value);
        }
        Ok(Frame { path, metadata, body: rest.bytes.slice(rest.at..) })
    }
}

/// Bytes that are still to be read.
struct Rest {
    bytes: Bytes,
    at: usize,
}

impl Rest {
    fn take(&mut self, count: usize) -> Result<Bytes, BadFrame> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(BadFrame { why: "it is cut off" })?;
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, BadFrame> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn short(&mut self) -> Result<Bytes, BadFrame> {
        let length = usize::from(self.number()?);
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame() -> impl Strategy<Value = Frame> {
        let entry = ("[a-z][a-z0-9-]{0,20}", "[ -~]{0,40}");
        let metadata = prop::collection::vec(entry, 0..6);
        ("(/[a-zA-Z.]{1,20}){0,2}", metadata, prop::collection::vec(any::<u8>(), 0..300)).prop_map(
            |(path, entries, body)| {
                let mut metadata = HeaderMap::new();
                for (name, value) in entries {
                    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                    metadata.append(name, HeaderValue::from_str(&value).unwrap());
                }
                Frame { path, metadata, body: body.into() }
            },
        )
    }

    #[test]
    fn the_bytes_of_a_frame_are_these() {
        let mut metadata = HeaderMap::new();
        metadata.insert("k", HeaderValue::from_static("val"));
        let frame = Frame { path: "/s/m".into(), metadata, body: Bytes::from_static(b"body") };
        let bytes = b"\x14\0\0\0\x04\0/s/m\x01\0\x01\0k\x03\0valbody";
        assert_eq!(frame.encode().unwrap(), bytes);
    }

    proptest! {
        #[test]
        fn what_is_sent_arrives_and_what_is_cut_off_is_refused(frame in frame(), cut: u16) {
            let bytes = frame.encode().unwrap();
            prop_assert_eq!(length_of(&bytes), Ok(Some(bytes.len())));
            let head = bytes.len() - frame.body.len();
            prop_assert_eq!(Frame::decode(bytes.clone().into()).unwrap(), frame);
            let cut = usize::from(cut) % head;
            prop_assert!(Frame::decode(bytes[..cut].to_vec().into()).is_err());
        }

        #[test]
        fn bytes_of_any_kind_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = length_of(&bytes);
            let _ = Frame::decode(bytes.into());
        }
    }

    #[test]
    fn a_frame_that_nobody_would_take_is_not_made() {
        let body = vec![0; FRAME_BYTES_MAX + 1].into();
        assert!(Frame { body, ..Frame::default() }.encode().is_err());
        let path = "x".repeat(70_000);
        assert!(Frame { path, ..Frame::default() }.encode().is_err());
        assert!(length_of(&u32::MAX.to_le_bytes()).is_err());
    }
}
