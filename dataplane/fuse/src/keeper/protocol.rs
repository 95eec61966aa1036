//! Messages, as bytes; pure. One message is one packet of the socket.
//!
//! **Shape**, integers little-endian: version (1 byte), kind (1 byte), then the fields. A key is its length
//! (1 byte) and its bytes, a blob its length (4 bytes) and its bytes, a list its count (2 bytes) and its
//! keys. Descriptors ride beside the bytes. Nothing may follow.

use super::key::Key;
use super::{BLOB_BYTES_MAX, SESSIONS_MAX};

const VERSION: u8 = 1;
/// Longest message: a list of as many keys as there can be.
pub const MESSAGE_BYTES_MAX: usize = 4 + SESSIONS_MAX * (1 + Key::BYTES_MAX);

/// What a keeper is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Hold this session, with the descriptors beside; what there was under the key is let go.
    Put {
        /// Its name.
        key: Key,
        /// What the next one has to know.
        blob: Vec<u8>,
    },
    /// Give a session back. It stays held too, for the one who asks.
    Get {
        /// Its name.
        key: Key,
    },
    /// The keys of all sessions.
    List,
    /// Let a session go. One that is not there is no error.
    Drop {
        /// Its name.
        key: Key,
    },
}

/// What a keeper answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// A session, with its descriptors beside, the mounted one first.
    Session {
        /// What was put.
        blob: Vec<u8>,
        /// For how long nobody has served it, in ms.
        alone_ms: u64,
    },
    /// All keys.
    Keys(Vec<Key>),
    /// It is not done.
    Refused(Reason),
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is no such session.
    #[error("no session has that key")]
    Unknown,
    /// Whoever put it there is still connected.
    #[error("another process still serves the session")]
    Served,
    /// There are too many sessions, or descriptors.
    #[error("the keeper is full")]
    Full,
    /// The message makes no sense.
    #[error("the keeper does not understand the message")]
    Malformed,
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} of a message of a keeper is wrong")]
pub struct BadMessage {
    /// Which part.
    pub what: &'static str,
}

const fn bad(what: &'static str) -> BadMessage {
    BadMessage { what }
}

impl Reason {
    const ALL: [Reason; 4] = [Reason::Unknown, Reason::Served, Reason::Full, Reason::Malformed];

    fn number(self) -> u8 {
        match self {
            Reason::Unknown => 1,
            Reason::Served => 2,
            Reason::Full => 3,
            Reason::Malformed => 4,
        }
    }
}

fn begin(kind: u8) -> Vec<u8> {
    vec![VERSION, kind]
}

fn push_key(bytes: &mut Vec<u8>, key: &Key) {
    // A key is never longer than 64 bytes.
    bytes.push(key.as_str().len() as u8);
    bytes.extend_from_slice(key.as_str().as_bytes());
}

fn push_blob(bytes: &mut Vec<u8>, blob: &[u8]) {
    bytes.extend((blob.len() as u32).to_le_bytes());
    bytes.extend_from_slice(blob);
}

/// Bytes that are eaten from the front.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], BadMessage> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(bad(what))?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], BadMessage> {
        let (front, rest) = self.0.split_first_chunk::<N>().ok_or(bad(what))?;
        self.0 = rest;
        Ok(*front)
    }

    fn begin(bytes: &'a [u8]) -> Result<(u8, Self), BadMessage> {
        let mut rest = Rest(bytes);
        let [version, kind] = rest.array("the header")?;
        if version == VERSION { Ok((kind, rest)) } else { Err(bad("the version")) }
    }

    fn key(&mut self) -> Result<Key, BadMessage> {
        let [length] = self.array("a key")?;
        let text = std::str::from_utf8(self.bytes(length.into(), "a key")?);
        text.ok().and_then(|text| text.parse().ok()).ok_or(bad("a key"))
    }

    fn blob(&mut self) -> Result<Vec<u8>, BadMessage> {
        let length = u32::from_le_bytes(self.array("a blob")?) as usize;
        if length > BLOB_BYTES_MAX {
            return Err(bad("the length of a blob"));
        }
        Ok(self.bytes(length, "a blob")?.to_vec())
    }

    fn end<T>(self, value: T) -> Result<T, BadMessage> {
        if self.0.is_empty() { Ok(value) } else { Err(bad("the end")) }
    }
}

impl Request {
    /// As a packet.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Request::Put { key, blob } => {
                let mut bytes = begin(1);
                push_key(&mut bytes, key);
                push_blob(&mut bytes, blob);
                bytes
            }
            Request::Get { key } => {
                let mut bytes = begin(2);
                push_key(&mut bytes, key);
                bytes
            }
            Request::List => begin(3),
            Request::Drop { key } => {
                let mut bytes = begin(4);
                push_key(&mut bytes, key);
                bytes
            }
        }
    }

    /// What [`Request::to_bytes`] has made.
    ///
    /// **Errors**: [`BadMessage`]; nothing beyond `bytes` is ever read, nothing beyond a limit kept.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadMessage> {
        let (kind, mut rest) = Rest::begin(bytes)?;
        let request = match kind {
            1 => Request::Put { key: rest.key()?, blob: rest.blob()? },
            2 => Request::Get { key: rest.key()? },
            3 => Request::List,
            4 => Request::Drop { key: rest.key()? },
            _ => return Err(bad("the kind")),
        };
        rest.end(request)
    }
}

impl Reply {
    /// As a packet.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Reply::Done => begin(129),
            Reply::Session { blob, alone_ms } => {
                let mut bytes = begin(130);
                bytes.extend(alone_ms.to_le_bytes());
                push_blob(&mut bytes, blob);
                bytes
            }
            Reply::Keys(keys) => {
                let mut bytes = begin(131);
                bytes.extend((keys.len() as u16).to_le_bytes());
                keys.iter().for_each(|key| push_key(&mut bytes, key));
                bytes
            }
            Reply::Refused(reason) => {
                let mut bytes = begin(132);
                bytes.push(reason.number());
                bytes
            }
        }
    }

    /// What [`Reply::to_bytes`] has made.
    ///
    /// **Errors**: as [`Request::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadMessage> {
        let (kind, mut rest) = Rest::begin(bytes)?;
        let reply = match kind {
            129 => Reply::Done,
            130 => {
                let alone_ms = u64::from_le_bytes(rest.array("a time")?);
                Reply::Session { blob: rest.blob()?, alone_ms }
            }
            131 => {
                let count = usize::from(u16::from_le_bytes(rest.array("a list")?));
                if count > SESSIONS_MAX {
                    return Err(bad("the length of a list"));
                }
                Reply::Keys((0..count).map(|_| rest.key()).collect::<Result<_, _>>()?)
            }
            132 => {
                let [number] = rest.array("a reason")?;
                let reason = Reason::ALL.into_iter().find(|reason| reason.number() == number);
                Reply::Refused(reason.ok_or(bad("a reason"))?)
            }
            _ => return Err(bad("the kind")),
        };
        rest.end(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = Key> {
        "[a-z0-9-]{1,64}".prop_map(|text| text.parse().unwrap())
    }

    fn requests() -> impl Strategy<Value = Request> {
        let blob = prop::collection::vec(any::<u8>(), 0..200);
        prop_oneof![
            (keys(), blob).prop_map(|(key, blob)| Request::Put { key, blob }),
            keys().prop_map(|key| Request::Get { key }),
            Just(Request::List),
            keys().prop_map(|key| Request::Drop { key }),
        ]
    }

    fn replies() -> impl Strategy<Value = Reply> {
        prop_oneof![
            Just(Reply::Done),
            (prop::collection::vec(any::<u8>(), 0..200), any::<u64>())
                .prop_map(|(blob, alone_ms)| Reply::Session { blob, alone_ms }),
            prop::collection::vec(keys(), 0..8).prop_map(Reply::Keys),
            prop::sample::select(Reason::ALL.to_vec()).prop_map(Reply::Refused),
        ]
    }

    #[test]
    fn the_bytes_of_a_message_stay_what_they_are() {
        let put = Request::Put { key: "a-1".parse().unwrap(), blob: vec![7, 8] };
        assert_eq!(put.to_bytes(), b"\x01\x01\x03a-1\x02\x00\x00\x00\x07\x08");
        let session = Reply::Session { blob: vec![7], alone_ms: 258 };
        assert_eq!(session.to_bytes(), [1, 130, 2, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7]);
        assert_eq!(Reply::Refused(Reason::Served).to_bytes(), [1, 132, 2]);
    }

    #[test]
    fn the_longest_list_fits_into_a_message() {
        let key: Key = "k".repeat(Key::BYTES_MAX).parse().unwrap();
        let list = Reply::Keys(vec![key; SESSIONS_MAX]);
        assert_eq!(list.to_bytes().len(), MESSAGE_BYTES_MAX);
        assert_eq!(Reply::from_bytes(&list.to_bytes()).unwrap(), list);
    }

    proptest! {
        #[test]
        fn what_is_sent_is_what_arrives_and_a_part_of_it_never(
            request in requests(), reply in replies(), cut in 0usize..300,
        ) {
            let bytes = request.to_bytes();
            prop_assert_eq!(Request::from_bytes(&bytes).unwrap(), request);
            if cut < bytes.len() {
                prop_assert!(Request::from_bytes(&bytes[..cut]).is_err());
            }
            prop_assert!(Request::from_bytes(&[bytes, vec![0]].concat()).is_err());
            let bytes = reply.to_bytes();
            prop_assert_eq!(Reply::from_bytes(&bytes).unwrap(), reply);
            if cut < bytes.len() {
                prop_assert!(Reply::from_bytes(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn bytes_of_anybody_are_refused_or_understood_and_never_more(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            for bytes in [bytes.clone(), [vec![1, 1], bytes].concat()] {
                if let Ok(request) = Request::from_bytes(&bytes) {
                    prop_assert_eq!(request.to_bytes(), bytes.clone());
                }
                if let Ok(reply) = Reply::from_bytes(&bytes) {
                    prop_assert_eq!(reply.to_bytes(), bytes);
                }
            }
        }
    }
}
