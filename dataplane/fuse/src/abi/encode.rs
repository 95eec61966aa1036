//! Replies and notices, as bytes.

use super::{NOTIFY_INVAL_ENTRY, NOTIFY_INVAL_INODE, NOTIFY_RESEND, OUT_HEADER_BYTES};
use std::time::Duration;

/// Attributes of a node, as `stat` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attr {
    /// Number that `stat` shows.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// Kind and permission bits.
    pub mode: u32,
    /// Names it has.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last access, since 1970.
    pub accessed: Duration,
    /// Time of last change, since 1970.
    pub modified: Duration,
    /// Best size of reads and writes, in bytes.
    pub block_size: u32,
}

/// A name and what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The node; 0 says that there is none, and that this may be remembered.
    pub node: u64,
    /// Its attributes.
    pub attr: Attr,
    /// How long the name may be believed.
    pub entry_valid: Duration,
    /// How long the attributes may be believed.
    pub attr_valid: Duration,
}

/// Reply to an open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// Handle that later requests carry.
    pub handle: u64,
    /// See [`super::open_flag`].
    pub flags: u32,
    /// The backing file of a passthrough.
    pub backing: u32,
}

/// Room, as `statfs` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatFs {
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub free: u64,
    /// Nodes in all.
    pub files: u64,
    /// Nodes that may still be made.
    pub files_free: u64,
    /// Bytes of a block.
    pub block_size: u32,
    /// Longest name, in bytes.
    pub name_bytes_max: u32,
}

/// Something that the kernel is told without having asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Give out again what was read and not answered.
    Resend,
    /// Attributes of a node are old; from `pages_from` on its pages too.
    Node { node: u64, pages_from: Option<u64> },
    /// A name is old.
    Name { parent: u64, name: String },
}

/// Bytes in native order, one after the other.
struct Bytes<'a>(&'a mut Vec<u8>);

impl Bytes<'_> {
    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn attr(&mut self, attr: &Attr) -> &mut Self {
        self.u64(attr.ino).u64(attr.size).u64(attr.size.div_ceil(512));
        let times = [attr.accessed, attr.modified, attr.modified];
        for time in times {
            self.u64(time.as_secs());
        }
        for time in times {
            self.u32(time.subsec_nanos());
        }
        self.u32(attr.mode).u32(attr.links).u32(attr.uid).u32(attr.gid);
        self.u32(0).u32(attr.block_size).u32(0)
    }

    fn entry(&mut self, entry: &Entry) -> &mut Self {
        self.u64(entry.node).u64(0);
        self.u64(entry.entry_valid.as_secs()).u64(entry.attr_valid.as_secs());
        self.u32(entry.entry_valid.subsec_nanos()).u32(entry.attr_valid.subsec_nanos());
        self.attr(&entry.attr)
    }
}

pub(crate) fn out_header(length: usize, error: i32, unique: u64) -> [u8; OUT_HEADER_BYTES] {
    let mut bytes = [0; OUT_HEADER_BYTES];
    let length = u32::try_from(length).expect("no reply is longer than a buffer");
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..8].copy_from_slice(&error.to_ne_bytes());
    bytes[8..].copy_from_slice(&unique.to_ne_bytes());
    bytes
}

/// What of [`crate::session::Negotiated`] goes on the wire.
pub(crate) fn init_reply(
    minor: u32,
    features: u64,
    max_readahead: u32,
    max_write: u32,
    max_background: u16,
    stack_depth: u32,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let pages = (max_write / 4096).min(u32::from(u16::MAX)) as u16;
    let congested = max_background / 4 * 3;
    Bytes(&mut bytes).u32(7).u32(minor).u32(max_readahead).u32(features as u32);
    Bytes(&mut bytes).u16(max_background).u16(congested).u32(max_write).u32(1);
    Bytes(&mut bytes).u16(pages).u16(0).u32((features >> 32) as u32).u32(stack_depth);
    // No request timeout, and nothing else that is newer.
    bytes.resize(64, 0);
    bytes
}

impl Entry {
    /// As the reply to a lookup, or to what makes a name.
    pub fn reply(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        Bytes(&mut bytes).entry(self);
        bytes
    }

    /// As the reply to a create.
    pub fn reply_opened(&self, opened: &Opened) -> Vec<u8> {
        let mut bytes = self.reply();
        bytes.extend(opened.reply());
        bytes
    }
}

impl Opened {
    /// As the reply to an open.
    pub fn reply(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16);
        Bytes(&mut bytes).u64(self.handle).u32(self.flags).u32(self.backing);
        bytes
    }
}

/// The reply to a request for attributes.
pub fn attr_reply(attr: &Attr, valid: Duration) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(104);
    Bytes(&mut bytes).u64(valid.as_secs()).u32(valid.subsec_nanos()).u32(0).attr(attr);
    bytes
}

/// The reply to a write of so many bytes.
pub fn write_reply(written: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8);
    Bytes(&mut bytes).u32(written).u32(0);
    bytes
}

/// The reply to a seek.
pub fn lseek_reply(position: u64) -> Vec<u8> {
    position.to_ne_bytes().to_vec()
}

/// The reply to who asks how long an attribute, or the list of their names, is.
pub fn xattr_size_reply(bytes: u32) -> Vec<u8> {
    write_reply(bytes)
}

impl StatFs {
    /// As the reply to `statfs`.
    pub fn reply(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(80);
        Bytes(&mut bytes).u64(self.blocks).u64(self.free).u64(self.free).u64(self.files);
        Bytes(&mut bytes).u64(self.files_free);
        Bytes(&mut bytes).u32(self.block_size).u32(self.name_bytes_max).u32(self.block_size);
        bytes.resize(80, 0);
        bytes
    }
}

impl Notice {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let code = match self {
            Notice::Resend => NOTIFY_RESEND,
            Notice::Node { node, pages_from } => {
                // A negative position leaves the pages alone; length 0 is to the end.
                let from = pages_from.map_or(-1i64 as u64, |from| from);
                Bytes(&mut body).u64(*node).u64(from).u64(0);
                NOTIFY_INVAL_INODE
            }
            Notice::Name { parent, name } => {
                Bytes(&mut body).u64(*parent).u32(name.len() as u32).u32(0);
                body.extend_from_slice(name.as_bytes());
                body.push(0);
                NOTIFY_INVAL_ENTRY
            }
        };
        let mut bytes = out_header(OUT_HEADER_BYTES + body.len(), code, 0).to_vec();
        bytes.extend(body);
        bytes
    }
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryPage {
    bytes: Vec<u8>,
    limit: usize,
}

impl DirectoryPage {
    /// Bytes before the name of an entry.
    const NAME_AT: usize = 24;

    /// A page of at most `limit` bytes.
    pub fn new(limit: u32) -> Self {
        DirectoryPage { bytes: Vec::with_capacity(limit as usize), limit: limit as usize }
    }

    /// Adds a name with the cookie that a listing goes on behind it with; `kind` as in `d_type`.
    /// `false` when there is no room.
    #[must_use]
    pub fn push(&mut self, name: &str, ino: u64, cookie: u64, kind: u32) -> bool {
        let length = (Self::NAME_AT + name.len()).next_multiple_of(8);
        if self.bytes.len() + length > self.limit {
            return false;
        }
        let end = self.bytes.len() + length;
        Bytes(&mut self.bytes).u64(ino).u64(cookie).u32(name.len() as u32).u32(kind);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.resize(end, 0);
        true
    }

    /// The same with what the name leads to. The kernel counts it as a lookup, unless the node is 0.
    #[must_use]
    pub fn push_entry(&mut self, name: &str, entry: &Entry, cookie: u64, kind: u32) -> bool {
        let start = self.bytes.len();
        let length = 128 + (Self::NAME_AT + name.len()).next_multiple_of(8);
        if start + length > self.limit {
            return false;
        }
        Bytes(&mut self.bytes).entry(entry);
        self.push(name, entry.attr.ino, cookie, kind)
    }

    /// The reply.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_the_sizes_of_the_kernels_structures() {
        let zero = Duration::ZERO;
        let attr = Attr::default();
        let entry = Entry { node: 2, attr, entry_valid: zero, attr_valid: zero };
        assert_eq!(entry.reply().len(), 128);
        assert_eq!(entry.reply_opened(&Opened::default()).len(), 144);
        assert_eq!(attr_reply(&attr, zero).len(), 104);
        assert_eq!(init_reply(31, 0, 0, 1 << 20, 12, 0).len(), 64);
        assert_eq!(StatFs::default().reply().len(), 80);
        assert_eq!(write_reply(1).len(), 8);
        assert_eq!(Notice::Resend.bytes().len(), OUT_HEADER_BYTES);
        assert_eq!(Notice::Node { node: 1, pages_from: None }.bytes().len(), OUT_HEADER_BYTES + 24);
    }

    #[test]
    fn a_page_never_grows_beyond_its_limit() {
        let mut page = DirectoryPage::new(100);
        let mut names = 0;
        while page.push("name", 5, names + 1, 8) {
            names += 1;
        }
        assert_eq!((names, page.bytes().len()), (3, 96));
        let zero = Duration::ZERO;
        let entry = Entry { node: 2, attr: Attr::default(), entry_valid: zero, attr_valid: zero };
        assert!(!page.push_entry("n", &entry, 9, 8));
        assert_eq!(page.bytes().len(), 96);
    }
}
