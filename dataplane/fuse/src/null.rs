//! A file system with one empty file, `f`: what the kernel and the loop cost when answering costs nothing.

use crate::abi::{Attr, DirectoryPage, Entry, Opened, Operation, ROOT_NODE, StatFs, attr_reply};
use crate::errno::Errno;
use crate::filesystem::FileSystem;
use crate::session::{Reply, Request};
use std::ffi::OsStr;
use std::time::Duration;

/// See the module. How long the kernel may believe what it is told is the only choice.
#[derive(Debug, Clone, Copy)]
pub struct NullFileSystem {
    /// For names and attributes.
    pub valid: Duration,
}

const FILE_NODE: u64 = 2;

fn attr(node: u64) -> Option<Attr> {
    let (mode, links) = match node {
        ROOT_NODE => (libc::S_IFDIR | 0o755, 2),
        FILE_NODE => (libc::S_IFREG | 0o644, 1),
        _ => return None,
    };
    Some(Attr { ino: node, mode, links, block_size: 4096, ..Attr::default() })
}

impl NullFileSystem {
    fn answer(&self, node: u64, operation: &Operation<'_>) -> Result<Vec<u8>, Errno> {
        Ok(match operation {
            Operation::Lookup { name } if node == ROOT_NODE && *name == OsStr::new("f") => {
                let attr = attr(FILE_NODE).ok_or(Errno::NOENT)?;
                let (entry_valid, attr_valid) = (self.valid, self.valid);
                Entry { node: FILE_NODE, attr, entry_valid, attr_valid }.reply()
            }
            Operation::GetAttr { .. } => attr_reply(&attr(node).ok_or(Errno::NOENT)?, self.valid),
            Operation::Open { .. } | Operation::OpenDir { .. } => Opened::default().reply(),
            Operation::Read(_) | Operation::Flush { .. } | Operation::Release { .. } => Vec::new(),
            Operation::ReleaseDir { .. } => Vec::new(),
            Operation::ReadDir(at) => {
                let mut page = DirectoryPage::new(at.size);
                if at.offset == 0 && !page.push("f", FILE_NODE, 1, 8) {
                    return Err(Errno::INVAL);
                }
                page.bytes().to_vec()
            }
            Operation::ReadDirPlus(at) => {
                let attr = attr(FILE_NODE).ok_or(Errno::NOENT)?;
                // Node 0: the name only, and no lookup that would be forgotten later.
                let (entry_valid, attr_valid) = (Duration::ZERO, Duration::ZERO);
                let entry = Entry { node: 0, attr, entry_valid, attr_valid };
                let mut page = DirectoryPage::new(at.size);
                if at.offset == 0 && !page.push_entry("f", &entry, 1, 8) {
                    return Err(Errno::INVAL);
                }
                page.bytes().to_vec()
            }
            Operation::StatFs => StatFs { block_size: 4096, ..StatFs::default() }.reply(),
            Operation::Lookup { .. } => return Err(Errno::NOENT),
            _ => return Err(Errno::NOSYS),
        })
    }
}

impl FileSystem for NullFileSystem {
    fn serve(&self, request: Request, reply: Reply) {
        match request.parse() {
            Ok((header, operation)) => reply.send_result(self.answer(header.node, &operation)),
            Err(_) => reply.error(Errno::INVAL),
        }
    }

    fn interrupt(&self, _unique: u64) {}

    fn forget(&self, _node: u64, _lookups: u64) {}
}
