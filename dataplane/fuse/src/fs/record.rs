//! What the [ledger](super::ledger) is made of, as bytes; pure.

use alluxio_types::InodeId;

/// How a node is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptWay {
    /// Not open.
    Closed,
    /// Through us.
    Cached,
    /// Past us, to this backing file.
    Passed(u32),
}

/// A node that is not, or not only, what its number says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptNode {
    /// Its number.
    pub node: u64,
    /// Its directory; 0 when only its inode is known.
    pub parent: u64,
    /// Its name there.
    pub name: String,
    /// What it is now.
    pub inode: InodeId,
    /// Whether its name is gone.
    pub unlinked: bool,
    /// Whether another node shall be found under its name.
    pub superseded: bool,
    /// A name that it has instead.
    pub hidden: Option<String>,
    /// How it is open.
    pub way: KeptWay,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The request, without the bit that says that it comes again.
    pub(crate) unique: u64,
    /// 0, or the number of an error.
    pub(crate) error: i32,
    pub(crate) body: Vec<u8>,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Node(KeptNode),
    NodeGone(u64),
    Answer(Answer),
    Hiding { parent: u64, name: String, hidden: String },
}

const UNLINKED: u8 = 1 << 0;
const SUPERSEDED: u8 = 1 << 1;
const HIDDEN: u8 = 1 << 2;

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

impl Record {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        match self {
            Record::Node(kept) => {
                bytes.push(1);
                for word in [kept.node, kept.parent, kept.inode.container()] {
                    bytes.extend(word.to_le_bytes());
                }
                let (way, backing) = match kept.way {
                    KeptWay::Closed => (0, 0),
                    KeptWay::Cached => (1, 0),
                    KeptWay::Passed(backing) => (2, backing),
                };
                bytes.push(way);
                bytes.extend(backing.to_le_bytes());
                let flag = |set: bool, flag: u8| if set { flag } else { 0 };
                bytes.push(
                    flag(kept.unlinked, UNLINKED)
                        | flag(kept.superseded, SUPERSEDED)
                        | flag(kept.hidden.is_some(), HIDDEN),
                );
                push_text(&mut bytes, &kept.name);
                push_text(&mut bytes, kept.hidden.as_deref().unwrap_or_default());
            }
            Record::NodeGone(node) => {
                bytes.push(2);
                bytes.extend(node.to_le_bytes());
            }
            Record::Answer(answer) => {
                bytes.push(3);
                bytes.extend(answer.unique.to_le_bytes());
                bytes.extend(answer.error.to_le_bytes());
                bytes.extend_from_slice(&answer.body);
            }
            Record::Hiding { parent, name, hidden } => {
                bytes.push(4);
                bytes.extend(parent.to_le_bytes());
                push_text(&mut bytes, name);
                push_text(&mut bytes, hidden);
            }
        }
        bytes
    }

    /// `None` for bytes that are no record.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let mut rest = Rest(bytes);
        let [kind] = rest.array()?;
        let record = match kind {
            1 => {
                let (node, parent) = (rest.u64()?, rest.u64()?);
                let inode = InodeId::from_container(rest.u64()?);
                let ([way], backing) = (rest.array()?, u32::from_le_bytes(rest.array()?));
                let way = match way {
                    0 => KeptWay::Closed,
                    1 => KeptWay::Cached,
                    2 => KeptWay::Passed(backing),
                    _ => return None,
                };
                let [flags] = rest.array()?;
                let (name, hidden) = (rest.text()?, rest.text()?);
                let has = |flag: u8| flags & flag != 0;
                let (unlinked, superseded) = (has(UNLINKED), has(SUPERSEDED));
                let hidden = has(HIDDEN).then_some(hidden);
                let kept =
                    KeptNode { node, parent, name, inode, unlinked, superseded, hidden, way };
                Record::Node(kept)
            }
            2 => Record::NodeGone(rest.u64()?),
            3 => {
                let (unique, error) = (rest.u64()?, i32::from_le_bytes(rest.array()?));
                let body = std::mem::take(&mut rest.0).to_vec();
                Record::Answer(Answer { unique, error, body })
            }
            4 => Record::Hiding { parent: rest.u64()?, name: rest.text()?, hidden: rest.text()? },
            _ => return None,
        };
        rest.0.is_empty().then_some(record)
    }
}

/// Bytes that are eaten from the front.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(std::str::from_utf8(front).ok()?.to_owned())
    }
}
