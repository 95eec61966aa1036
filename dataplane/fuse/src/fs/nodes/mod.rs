//! What the kernel knows: numbers of nodes, where they are, how they are open. Memory only, no IO.
//!
//! **Numbers.** The root of the mount is 1. Another node has its inode's container plus 2, so that a
//! process that comes later finds it by asking the master. The bits above are 0, except for a node that
//! had to be told apart from an older one of the same inode (see [`Nodes::supersede`]).
//!
//! **Versions.** A file that is replaced has a new inode. When this mount replaces it, the node stays and
//! gets the new inode, because programs that have it open expect so; when somebody else does, the new
//! inode is a new node and the old one is stale, so pages of different versions never mix.
//!
//! Reading order: this file, `place` (names), `past` (what a process before us has left, and what one after us must
//! know).

mod past;
mod place;

pub(crate) use place::Place;

use super::draft::Draft;
use crate::abi::{Attr, SetAttr};
use alluxio_datapath::client::LocalBlock;
use alluxio_types::{InodeId, Xattrs};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Where the bits that tell nodes of one inode apart begin.
const TURN_SHIFT: u32 = 48;

/// How the kernel reads a node while it is open. It refuses to mix the ways.
#[derive(Debug, Clone, Default)]
pub(crate) enum Way {
    /// Not open.
    #[default]
    Closed,
    /// Through us.
    Cached {
        /// Handles.
        opens: u32,
    },
    /// Past us.
    Passed {
        /// Handles.
        opens: u32,
        /// The kernel's name of the file.
        backing: u32,
        /// Held for the worker's lease on it; a process before us had another one.
        _block: Option<LocalBlock>,
    },
}

/// Extended attributes of a node, as last heard.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) xattr: Xattrs,
    /// When, by the monotonic clock.
    pub(crate) at: Duration,
    /// Whether those that only the superuser may see are among them.
    pub(crate) whole: bool,
}

/// A node.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) parent: u64,
    pub(crate) name: String,
    pub(crate) inode: InodeId,
    /// As last heard.
    pub(crate) attr: Attr,
    pub(crate) heard: Option<Heard>,
    pub(crate) lookups: u64,
    pub(crate) way: Way,
    /// What is being written.
    pub(crate) draft: Option<Arc<Draft>>,
    /// Whether its name is gone.
    pub(crate) unlinked: bool,
    /// A name that it has instead, for as long as it is open.
    pub(crate) hidden: Option<String>,
    /// When this mount made it, if it is a directory; by the monotonic clock.
    made_at: Option<Duration>,
    /// Whether another node shall be found under its name.
    superseded: bool,
    /// Whether only its number is known, not where it is.
    placeless: bool,
    /// Whether a process before us may have it open.
    before: bool,
}

impl Node {
    /// One of which only the number is known, and that the kernel knows it: by how many lookups is not, since it
    /// forgets all of them at once.
    fn met(number: u64, inode: InodeId) -> Self {
        Node {
            parent: 0,
            name: String::new(),
            inode,
            attr: Attr { ino: ino_of(number), links: 1, mode: libc::S_IFREG, ..Attr::default() },
            heard: None,
            lookups: 1,
            way: Way::Closed,
            draft: None,
            unlinked: false,
            hidden: None,
            made_at: None,
            superseded: false,
            placeless: true,
            before: false,
        }
    }
}

/// All nodes that the kernel may ask for.
#[derive(Default)]
pub(crate) struct Nodes {
    nodes: HashMap<u64, Node>,
    by_name: HashMap<u64, HashMap<String, u64>>,
    by_inode: HashMap<InodeId, u64>,
    /// Numbers that lead elsewhere since a process before us has replaced the bytes.
    rebound: HashMap<u64, InodeId>,
    /// Nodes that may have to be kept in another way than they are.
    touched: Vec<u64>,
}

/// What is left to do when the kernel has forgotten a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Forgotten {
    /// A backing file that nobody uses any more.
    pub(crate) backing: Option<u32>,
    /// Whether it has a name that nobody needs any more.
    pub(crate) hidden: bool,
}

/// The inode of a node that has no entry here: its number says it.
pub(crate) fn inode_of(node: u64) -> InodeId {
    let container = (node & ((1 << TURN_SHIFT) - 1)).saturating_sub(2);
    InodeId::from_container(container)
}

/// The first number of an inode's node.
pub(crate) fn node_of(inode: InodeId) -> u64 {
    inode.container() + 2
}

/// What `stat` shows as the number of a node: the same for as long as the kernel remembers it, also when this
/// mount replaces its bytes, because programs compare it.
pub(crate) fn ino_of(node: u64) -> u64 {
    node & ((1 << TURN_SHIFT) - 1)
}

impl Nodes {
    /// What `stat` shows, or would show, as the number of an inode.
    pub(crate) fn ino(&self, inode: InodeId) -> u64 {
        self.by_inode.get(&inode).copied().map_or_else(|| node_of(inode), ino_of)
    }

    pub(crate) fn get(&self, node: u64) -> Option<&Node> {
        self.nodes.get(&node)
    }

    pub(crate) fn get_mut(&mut self, node: u64) -> Option<&mut Node> {
        self.nodes.get_mut(&node)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// This mount has just made a directory.
    pub(crate) fn made_here(&mut self, number: u64, now: Duration) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.made_at = Some(now);
        }
    }

    /// Whether a directory has no names but those that are known here: this mount has made it less than
    /// `age` ago, and has forgotten none of its names.
    pub(crate) fn is_known_whole(&self, number: u64, now: Duration, age: Duration) -> bool {
        let made = self.nodes.get(&number).and_then(|node| node.made_at);
        made.is_some_and(|made| now.saturating_sub(made) < age)
    }

    /// The kernel has looked a node up.
    pub(crate) fn look_up(&mut self, number: u64) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.lookups += 1;
        }
    }

    /// Takes note of an inode with a name, and counts so many lookups of it.
    pub(crate) fn learn(
        &mut self,
        parent: u64,
        name: &str,
        inode: InodeId,
        attr: Attr,
        lookups: u64,
    ) -> u64 {
        let known = self.by_inode.get(&inode).copied();
        let fresh = |node: &Node| !node.superseded && !node.unlinked;
        let number = match known.filter(|number| self.nodes.get(number).is_some_and(fresh)) {
            Some(number) => number,
            None => self.free_number(inode),
        };
        if self.child(parent, name) != Some(number) {
            self.detach(number);
            self.by_name.entry(parent).or_default().insert(name.to_owned(), number);
        }
        let node = self.nodes.entry(number).or_insert_with(|| Node {
            parent,
            name: name.to_owned(),
            attr,
            lookups: 0,
            placeless: false,
            ..Node::met(number, inode)
        });
        node.placeless = false;
        (node.parent, node.attr) = (parent, Attr { ino: ino_of(number), ..attr });
        if node.name != name {
            name.clone_into(&mut node.name);
        }
        node.lookups += lookups;
        if node.before {
            self.touched.push(number);
        }
        self.by_inode.insert(inode, number);
        number
    }

    /// The node of an inode, if memory has one.
    pub(crate) fn of_inode(&self, inode: InodeId) -> Option<u64> {
        self.by_inode.get(&inode).copied()
    }

    /// Whether any file is being written.
    pub(crate) fn are_written(&self) -> bool {
        self.nodes.values().any(|node| node.draft.is_some())
    }

    fn free_number(&self, inode: InodeId) -> u64 {
        let first = node_of(inode);
        (0..u64::from(u16::MAX >> 1))
            .map(|turn| first | turn << TURN_SHIFT)
            .find(|number| !self.nodes.contains_key(number))
            .unwrap_or(first)
    }

    /// The next lookup of its name finds another node, which is read in another way.
    pub(crate) fn supersede(&mut self, number: u64) {
        self.meet(number).superseded = true;
        self.touched.push(number);
    }

    /// This mount has replaced the bytes of a node.
    pub(crate) fn rebind(&mut self, number: u64, inode: InodeId) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        let old = std::mem::replace(&mut node.inode, inode);
        if self.by_inode.get(&old) == Some(&number) {
            self.by_inode.remove(&old);
        }
        self.by_inode.insert(inode, number);
        self.touched.push(number);
    }

    /// Attributes of a node have changed: they are shown for as long as it is being written.
    pub(crate) fn attributes_changed(&mut self, number: u64, set: &SetAttr) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        if let Some(mode) = set.mode {
            node.attr.mode = node.attr.mode & libc::S_IFMT | mode & 0o7777;
        }
        node.attr.uid = set.uid.unwrap_or(node.attr.uid);
        node.attr.gid = set.gid.unwrap_or(node.attr.gid);
        if let Some(draft) = &node.draft {
            draft.attributes_changed(set);
        }
    }

    /// The kernel forgets.
    pub(crate) fn forget(&mut self, number: u64, lookups: u64) -> Forgotten {
        let mut left = Forgotten::default();
        if let Some(node) = self.nodes.get_mut(&number) {
            node.lookups = node.lookups.saturating_sub(lookups);
            if node.lookups == 0 && node.before && node.draft.is_none() {
                // Nothing has it open, whatever we have counted.
                node.before = false;
                left.hidden = node.hidden.is_some();
                if let Way::Passed { backing, .. } = std::mem::take(&mut node.way) {
                    left.backing = Some(backing);
                }
                self.touched.push(number);
            }
        }
        self.drop_unused(number);
        left
    }

    /// Frees the memory of a node that nobody needs.
    pub(crate) fn drop_unused(&mut self, number: u64) {
        let unused = self.nodes.get(&number).is_some_and(|node| {
            // Handles that we cannot count are closed when the kernel has forgotten the node.
            let closed = match node.way {
                Way::Closed => true,
                Way::Cached { .. } => node.before,
                Way::Passed { .. } => false,
            };
            node.lookups == 0 && closed && node.draft.is_none() && node.hidden.is_none()
        });
        if !unused {
            return;
        }
        self.detach(number);
        let parent = self.nodes.get(&number).map(|node| node.parent);
        if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(&parent)) {
            parent.made_at = None;
        }
        if let Some(node) = self.nodes.remove(&number) {
            if node.inode != inode_of(number) || node.unlinked || node.superseded || node.before {
                self.touched.push(number);
            }
            if self.by_inode.get(&node.inode) == Some(&number) {
                self.by_inode.remove(&node.inode);
            }
        }
    }
}

#[cfg(test)]
mod tests;
