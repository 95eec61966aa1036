//! Requests of the kernel, read with every bound checked.

use super::{IN_HEADER_BYTES, OPEN_KILL_SUIDGID, WRITE_KILL_SUIDGID, changed, opcode};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// Bytes that are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than its header, its kind or its own length say.
    #[error("the request has {found} bytes and should have {needed}")]
    Short {
        /// Bytes there are.
        found: usize,
        /// Bytes it says it has.
        needed: usize,
    },
    /// A name that has no end.
    #[error("a name in the request has no end")]
    Unterminated,
}

/// What every request begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole request.
    pub length: u32,
    /// Which operation.
    pub opcode: u32,
    /// Number of the request, to be echoed.
    pub unique: u64,
    /// The node that it is about.
    pub node: u64,
    /// User of the caller; 0 when the kernel acts on its own.
    pub uid: u32,
    /// Group of the caller.
    pub gid: u32,
    /// Process, in the namespace of whom mounted; 0 when it has no number there.
    pub pid: u32,
}

/// The first request of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Init {
    /// Version of the protocol, 7.
    pub major: u32,
    /// Its minor version.
    pub minor: u32,
    /// Longest read ahead, in bytes.
    pub max_readahead: u32,
    /// What the kernel can do: see [`super::feature`].
    pub features: u64,
}

/// A time to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// The time of the server.
    Now,
    /// This time, since 1970.
    At(Duration),
}

/// Attributes to change; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetAttr {
    /// The handle that it was called on.
    pub handle: Option<u64>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Permission bits and kind.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Time of last access.
    pub accessed: Option<SetTime>,
    /// Time of last change.
    pub modified: Option<SetTime>,
    /// Whether set-user-id bits have to go with the length.
    pub kill_privileges: bool,
}

/// A piece of a file or of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAt {
    /// Handle of the open.
    pub handle: u64,
    /// Position in bytes; in listings the cookie of the last name.
    pub offset: u64,
    /// Most bytes in the reply.
    pub size: u32,
}

/// Bytes for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteAt<'a> {
    /// Handle of the open.
    pub handle: u64,
    /// Position in bytes.
    pub offset: u64,
    /// The bytes.
    pub data: &'a [u8],
    /// Whether set-user-id bits have to go.
    pub kill_privileges: bool,
}

/// Nodes that the kernel does not remember any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchForget<'a>(&'a [u8]);

impl BatchForget<'_> {
    /// Node, and by how many lookups less it is known.
    pub fn nodes(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.chunks_exact(16).filter_map(|pair| {
            let mut words = Words(pair);
            Some((words.u64().ok()?, words.u64().ok()?))
        })
    }
}

/// What the kernel wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields have the names of the system calls' arguments")]
pub enum Operation<'a> {
    Init(Init),
    Destroy,
    Interrupt { unique: u64 },
    Forget { lookups: u64 },
    BatchForget(BatchForget<'a>),
    Lookup { name: &'a OsStr },
    GetAttr { handle: Option<u64> },
    SetAttr(SetAttr),
    ReadLink,
    Mknod { name: &'a OsStr, mode: u32, umask: u32 },
    Mkdir { name: &'a OsStr, mode: u32, umask: u32 },
    Unlink { name: &'a OsStr },
    Rmdir { name: &'a OsStr },
    Rename { name: &'a OsStr, new_parent: u64, new_name: &'a OsStr, flags: u32 },
    Create { name: &'a OsStr, flags: u32, mode: u32, umask: u32, kill_privileges: bool },
    Symlink { name: &'a OsStr, target: &'a OsStr },
    Link { node: u64, name: &'a OsStr },
    Open { flags: u32, kill_privileges: bool },
    Read(ReadAt),
    Write(WriteAt<'a>),
    Flush { handle: u64 },
    Fsync { handle: u64, data_only: bool },
    Release { handle: u64, flags: u32 },
    Fallocate { handle: u64, offset: u64, length: u64, mode: u32 },
    Lseek { handle: u64, offset: u64, whence: u32 },
    OpenDir { flags: u32 },
    ReadDir(ReadAt),
    ReadDirPlus(ReadAt),
    ReleaseDir { handle: u64 },
    FsyncDir { handle: u64 },
    StatFs,
    Access { mask: u32 },
    GetXattr { name: &'a OsStr, size: u32 },
    ListXattr { size: u32 },
    SetXattr { name: &'a OsStr, value: &'a [u8], flags: u32 },
    RemoveXattr { name: &'a OsStr },
    Other { opcode: u32 },
}

/// Bytes that are eaten from the front.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let short = Malformed::Short { found: self.0.len(), needed: count };
        let (front, rest) = self.0.split_at_checked(count).ok_or(short)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let short = Malformed::Short { found: self.0.len(), needed: N };
        let (front, rest) = self.0.split_first_chunk::<N>().ok_or(short)?;
        self.0 = rest;
        Ok(*front)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_ne_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_ne_bytes(self.array()?))
    }

    fn name(&mut self) -> Result<&'a OsStr, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed::Unterminated)?;
        let name = self.bytes(end)?;
        self.bytes(1)?;
        Ok(OsStr::from_bytes(name))
    }
}

/// Reads a request.
///
/// **Errors**: [`Malformed`] when it says more than there is; nothing beyond `bytes` is ever read.
pub fn parse(bytes: &[u8]) -> Result<(Header, Operation<'_>), Malformed> {
    let header = header(bytes)?;
    let end = header.length as usize;
    let short = Malformed::Short { found: bytes.len(), needed: end };
    let body = bytes.get(IN_HEADER_BYTES..end).ok_or(short)?;
    Ok((header, operation(header.opcode, Words(body))?))
}

fn header(bytes: &[u8]) -> Result<Header, Malformed> {
    let short = Malformed::Short { found: bytes.len(), needed: IN_HEADER_BYTES };
    let mut words = Words(bytes.get(..IN_HEADER_BYTES).ok_or(short)?);
    Ok(Header {
        length: words.u32()?,
        opcode: words.u32()?,
        unique: words.u64()?,
        node: words.u64()?,
        uid: words.u32()?,
        gid: words.u32()?,
        pid: words.u32()?,
    })
}

fn operation(code: u32, mut words: Words<'_>) -> Result<Operation<'_>, Malformed> {
    Ok(match code {
        opcode::LOOKUP => Operation::Lookup { name: words.name()? },
        opcode::FORGET => Operation::Forget { lookups: words.u64()? },
        opcode::GETATTR => {
            let by_handle = words.u32()? & 1 != 0;
            words.u32()?;
            let handle = words.u64()?;
            Operation::GetAttr { handle: by_handle.then_some(handle) }
        }
        opcode::SETATTR => Operation::SetAttr(set_attr(&mut words)?),
        opcode::READLINK => Operation::ReadLink,
        opcode::OPEN => Operation::Open {
            flags: words.u32()?,
            kill_privileges: words.u32()? & OPEN_KILL_SUIDGID != 0,
        },
        opcode::OPENDIR => Operation::OpenDir { flags: words.u32()? },
        opcode::READ => Operation::Read(read_at(&mut words)?),
        opcode::READDIR => Operation::ReadDir(read_at(&mut words)?),
        opcode::READDIRPLUS => Operation::ReadDirPlus(read_at(&mut words)?),
        opcode::WRITE => Operation::Write(write_at(&mut words)?),
        opcode::STATFS => Operation::StatFs,
        opcode::FLUSH => Operation::Flush { handle: words.u64()? },
        opcode::RELEASE => Operation::Release { handle: words.u64()?, flags: words.u32()? },
        opcode::RELEASEDIR => Operation::ReleaseDir { handle: words.u64()? },
        opcode::FSYNC => {
            Operation::Fsync { handle: words.u64()?, data_only: words.u32()? & 1 != 0 }
        }
        opcode::FSYNCDIR => Operation::FsyncDir { handle: words.u64()? },
        opcode::ACCESS => Operation::Access { mask: words.u32()? },
        opcode::INIT => Operation::Init(init(&mut words)?),
        opcode::DESTROY => Operation::Destroy,
        opcode::INTERRUPT => Operation::Interrupt { unique: words.u64()? },
        opcode::BATCH_FORGET => {
            let count = words.u32()? as usize;
            words.u32()?;
            let found = words.0.len();
            let needed = count.saturating_mul(16);
            let short = Malformed::Short { found, needed };
            Operation::BatchForget(BatchForget(words.0.get(..needed).ok_or(short)?))
        }
        opcode::FALLOCATE => {
            let handle = words.u64()?;
            let (offset, length, mode) = (words.u64()?, words.u64()?, words.u32()?);
            Operation::Fallocate { handle, offset, length, mode }
        }
        opcode::LSEEK => {
            Operation::Lseek { handle: words.u64()?, offset: words.u64()?, whence: words.u32()? }
        }
        opcode::SETXATTR | opcode::GETXATTR | opcode::LISTXATTR | opcode::REMOVEXATTR => {
            return xattrs(code, words);
        }
        other => return names(other, words),
    })
}

/// Operations on extended attributes.
fn xattrs(code: u32, mut words: Words<'_>) -> Result<Operation<'_>, Malformed> {
    Ok(match code {
        opcode::SETXATTR => {
            let (size, flags) = (words.u32()?, words.u32()?);
            let name = words.name()?;
            Operation::SetXattr { name, value: words.bytes(size as usize)?, flags }
        }
        opcode::REMOVEXATTR => Operation::RemoveXattr { name: words.name()? },
        opcode::GETXATTR => {
            let (size, _padding) = (words.u32()?, words.u32()?);
            Operation::GetXattr { name: words.name()?, size }
        }
        _ => Operation::ListXattr { size: words.u32()? },
    })
}

/// Operations that change the names of a directory.
fn names(code: u32, mut words: Words<'_>) -> Result<Operation<'_>, Malformed> {
    Ok(match code {
        opcode::MKNOD => {
            let (mode, _device) = (words.u32()?, words.u32()?);
            let (umask, _padding) = (words.u32()?, words.u32()?);
            Operation::Mknod { name: words.name()?, mode, umask }
        }
        opcode::MKDIR => {
            let (mode, umask) = (words.u32()?, words.u32()?);
            Operation::Mkdir { name: words.name()?, mode, umask }
        }
        opcode::CREATE => {
            let (flags, mode, umask) = (words.u32()?, words.u32()?, words.u32()?);
            let kill_privileges = words.u32()? & OPEN_KILL_SUIDGID != 0;
            Operation::Create { name: words.name()?, flags, mode, umask, kill_privileges }
        }
        opcode::SYMLINK => Operation::Symlink { name: words.name()?, target: words.name()? },
        opcode::LINK => Operation::Link { node: words.u64()?, name: words.name()? },
        opcode::UNLINK => Operation::Unlink { name: words.name()? },
        opcode::RMDIR => Operation::Rmdir { name: words.name()? },
        opcode::RENAME => {
            let new_parent = words.u64()?;
            let (name, new_name) = (words.name()?, words.name()?);
            Operation::Rename { name, new_parent, new_name, flags: 0 }
        }
        opcode::RENAME2 => {
            let (new_parent, flags, _padding) = (words.u64()?, words.u32()?, words.u32()?);
            let (name, new_name) = (words.name()?, words.name()?);
            Operation::Rename { name, new_parent, new_name, flags }
        }
        other => Operation::Other { opcode: other },
    })
}

fn init(words: &mut Words<'_>) -> Result<Init, Malformed> {
    let (major, minor) = (words.u32()?, words.u32()?);
    let (max_readahead, low) = (words.u32()?, words.u32()?);
    // Absent in the words of kernels before 7.36.
    let high = words.u32().unwrap_or(0);
    let extended = u64::from(low) & super::feature::INIT_EXT != 0;
    let features = u64::from(low) | if extended { u64::from(high) << 32 } else { 0 };
    Ok(Init { major, minor, max_readahead, features })
}

fn read_at(words: &mut Words<'_>) -> Result<ReadAt, Malformed> {
    Ok(ReadAt { handle: words.u64()?, offset: words.u64()?, size: words.u32()? })
}

fn write_at<'a>(words: &mut Words<'a>) -> Result<WriteAt<'a>, Malformed> {
    let (handle, offset, size) = (words.u64()?, words.u64()?, words.u32()?);
    let (write_flags, _owner, _flags, _padding) =
        (words.u32()?, words.u64()?, words.u32()?, words.u32()?);
    let kill_privileges = write_flags & WRITE_KILL_SUIDGID != 0;
    Ok(WriteAt { handle, offset, data: words.bytes(size as usize)?, kill_privileges })
}

fn set_attr(words: &mut Words<'_>) -> Result<SetAttr, Malformed> {
    let (valid, _padding) = (words.u32()?, words.u32()?);
    let (handle, size, _owner) = (words.u64()?, words.u64()?, words.u64()?);
    let (atime, mtime, _ctime) = (words.u64()?, words.u64()?, words.u64()?);
    let (atime_ns, mtime_ns, _ctime_ns) = (words.u32()?, words.u32()?, words.u32()?);
    let (mode, _unused, uid, gid) = (words.u32()?, words.u32()?, words.u32()?, words.u32()?);
    let has = |bit: u32| valid & bit != 0;
    let time = |bit: u32, now: u32, seconds: u64, nanos: u32| match (has(now), has(bit)) {
        (true, _) => Some(SetTime::Now),
        // Times before 1970 are negative, and no time that a master can keep.
        (_, true) => {
            let seconds = u64::try_from(seconds as i64).unwrap_or(0);
            Some(SetTime::At(Duration::new(seconds, nanos.min(999_999_999))))
        }
        _ => None,
    };
    Ok(SetAttr {
        handle: has(changed::FH).then_some(handle),
        size: has(changed::SIZE).then_some(size),
        mode: has(changed::MODE).then_some(mode),
        uid: has(changed::UID).then_some(uid),
        gid: has(changed::GID).then_some(gid),
        accessed: time(changed::ATIME, changed::ATIME_NOW, atime, atime_ns),
        modified: time(changed::MTIME, changed::MTIME_NOW, mtime, mtime_ns),
        kill_privileges: has(changed::KILL_SUIDGID),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(opcode: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((IN_HEADER_BYTES + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(opcode.to_ne_bytes());
        for word in [7u64, 9] {
            bytes.extend(word.to_ne_bytes());
        }
        for word in [1000u32, 1001, 42, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_rename_has_both_names() {
        let mut body = 3u64.to_ne_bytes().to_vec();
        body.extend(1u32.to_ne_bytes());
        body.extend(0u32.to_ne_bytes());
        body.extend(b"old\0new\0");
        let bytes = request(opcode::RENAME2, &body);
        let (header, operation) = parse(&bytes).unwrap();
        assert_eq!((header.unique, header.node, header.uid, header.pid), (7, 9, 1000, 42));
        let (name, new_name) = (OsStr::new("old"), OsStr::new("new"));
        assert_eq!(operation, Operation::Rename { name, new_parent: 3, new_name, flags: 1 });
    }

    #[test]
    fn a_write_may_not_say_more_than_it_brings() {
        let mut body = Vec::new();
        body.extend(1u64.to_ne_bytes());
        body.extend(0u64.to_ne_bytes());
        body.extend(5u32.to_ne_bytes());
        body.extend([0; 20]);
        body.extend(b"1234");
        let short = request(opcode::WRITE, &body);
        assert_eq!(parse(&short).unwrap_err(), Malformed::Short { found: 4, needed: 5 });
        body.push(b'5');
        let whole = request(opcode::WRITE, &body);
        let (_, operation) = parse(&whole).unwrap();
        let wanted = WriteAt { handle: 1, offset: 0, data: b"12345", kill_privileges: false };
        assert_eq!(operation, Operation::Write(wanted));
    }

    #[test]
    fn an_attribute_is_as_long_as_it_says() {
        let mut body = 3u32.to_ne_bytes().to_vec();
        body.extend(1u32.to_ne_bytes());
        body.extend(b"user.a\0xy");
        let short = request(opcode::SETXATTR, &body);
        assert_eq!(parse(&short).unwrap_err(), Malformed::Short { found: 2, needed: 3 });
        body.push(b'z');
        let whole = request(opcode::SETXATTR, &body);
        let name = OsStr::new("user.a");
        let wanted = Operation::SetXattr { name, value: b"xyz", flags: 1 };
        assert_eq!(parse(&whole).unwrap().1, wanted);
    }

    #[test]
    fn a_name_without_an_end_is_refused() {
        let bytes = request(opcode::LOOKUP, b"abc");
        assert_eq!(parse(&bytes).unwrap_err(), Malformed::Unterminated);
    }

    proptest! {
        /// Whatever comes: no panic, and nothing that lies beyond what the request says it has.
        #[test]
        fn any_bytes_are_parsed_or_refused(
            opcode in 0u32..60,
            body in proptest::collection::vec(any::<u8>(), 0..200),
            cut in 0usize..300,
            claim in proptest::option::of(0u32..400),
        ) {
            let mut bytes = request(opcode, &body);
            if let Some(claim) = claim {
                bytes[..4].copy_from_slice(&claim.to_ne_bytes());
            }
            bytes.truncate(cut);
            if let Ok((header, operation)) = parse(&bytes) {
                prop_assert!(header.length as usize <= bytes.len());
                match operation {
                    Operation::Write(write) => prop_assert!(write.data.len() <= body.len()),
                    Operation::SetXattr { value, .. } => prop_assert!(value.len() <= body.len()),
                    Operation::BatchForget(nodes) => {
                        prop_assert!(nodes.nodes().count() * 16 <= body.len());
                    }
                    Operation::Lookup { name } => prop_assert!(name.len() < body.len()),
                    _ => {}
                }
            }
        }
    }
}
