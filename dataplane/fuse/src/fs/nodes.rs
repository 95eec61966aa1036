//! What the kernel knows: numbers of nodes, where they are, how they are open. Memory only, no IO.
//!
//! **Numbers.** The root of the mount is 1. Another node has its inode's container plus 2, so that a
//! process that comes later finds it by asking the master. The bits above are 0, except for a node that
//! had to be told apart from an older one of the same inode (see [`Nodes::supersede`]).
//!
//! **Versions.** A file that is replaced has a new inode. When this mount replaces it, the node stays and
//! gets the new inode, because programs that have it open expect so; when somebody else does, the new
//! inode is a new node and the old one is stale, so pages of different versions never mix.

use super::draft::Draft;
use crate::abi::{Attr, ROOT_NODE, SetAttr};
use alluxio_datapath::client::LocalBlock;
use alluxio_types::InodeId;
use std::collections::HashMap;
use std::sync::Arc;

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
        /// Held for the worker's lease on it.
        _block: LocalBlock,
    },
}

/// A node.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) parent: u64,
    pub(crate) name: String,
    pub(crate) inode: InodeId,
    /// As last heard.
    pub(crate) attr: Attr,
    pub(crate) lookups: u64,
    pub(crate) way: Way,
    /// What is being written.
    pub(crate) draft: Option<Arc<Draft>>,
    /// Whether its name is gone.
    pub(crate) unlinked: bool,
    /// A name that it has instead, for as long as it is open.
    pub(crate) hidden: Option<String>,
    /// Whether another node shall be found under its name.
    superseded: bool,
}

/// All nodes that the kernel may ask for.
#[derive(Default)]
pub(crate) struct Nodes {
    nodes: HashMap<u64, Node>,
    by_name: HashMap<u64, HashMap<String, u64>>,
    by_inode: HashMap<InodeId, u64>,
    /// Numbers that lead elsewhere since a process before us has replaced the bytes.
    rebound: HashMap<u64, InodeId>,
}

/// Where a node is, as far as memory tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Names from the root of the mount down.
    Known(Vec<String>),
    /// A node from before our time, and the names below it.
    Unknown(InodeId, Vec<String>),
    /// It has no name any more.
    Gone,
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

    /// The node with a name, if memory has one.
    pub(crate) fn child(&self, parent: u64, name: &str) -> Option<u64> {
        self.by_name.get(&parent)?.get(name).copied()
    }

    /// The node with a name, if it is being written here.
    pub(crate) fn written_child(&self, parent: u64, name: &str) -> Option<u64> {
        self.child(parent, name)
            .filter(|number| self.nodes.get(number).is_some_and(|node| node.draft.is_some()))
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
            inode,
            attr,
            lookups: 0,
            way: Way::Closed,
            draft: None,
            unlinked: false,
            hidden: None,
            superseded: false,
        });
        (node.parent, node.attr) = (parent, Attr { ino: ino_of(number), ..attr });
        if node.name != name {
            name.clone_into(&mut node.name);
        }
        node.lookups += lookups;
        self.by_inode.insert(inode, number);
        number
    }

    /// Takes note of an inode that the kernel knows by a number from before our time; `false` when it has
    /// got another one since.
    pub(crate) fn learn_as(
        &mut self,
        number: u64,
        (parent, name): (u64, &str),
        inode: InodeId,
        attr: Attr,
    ) -> bool {
        if self.by_inode.get(&inode).is_none_or(|known| *known == number) {
            self.by_inode.insert(inode, number);
            self.nodes.entry(number).or_insert_with(|| Node {
                parent,
                name: name.to_owned(),
                inode,
                attr,
                lookups: 1,
                way: Way::Closed,
                draft: None,
                unlinked: false,
                hidden: None,
                superseded: false,
            });
            self.by_name.entry(parent).or_default().insert(name.to_owned(), number);
            return true;
        }
        false
    }

    fn free_number(&self, inode: InodeId) -> u64 {
        let first = node_of(inode);
        (0..u64::from(u16::MAX >> 1))
            .map(|turn| first | turn << TURN_SHIFT)
            .find(|number| !self.nodes.contains_key(number))
            .unwrap_or(first)
    }

    /// The name leads to the node no more.
    fn detach(&mut self, number: u64) {
        let Some(node) = self.nodes.get(&number) else { return };
        if let Some(names) = self.by_name.get_mut(&node.parent) {
            if names.get(&node.name) == Some(&number) {
                names.remove(&node.name);
            }
            if names.is_empty() {
                self.by_name.remove(&node.parent);
            }
        }
    }

    /// The next lookup of its name finds another node, which is read in another way.
    pub(crate) fn supersede(&mut self, number: u64) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.superseded = true;
        }
    }

    /// This mount has replaced the bytes of a node.
    pub(crate) fn rebind(&mut self, number: u64, inode: InodeId) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        let old = std::mem::replace(&mut node.inode, inode);
        if self.by_inode.get(&old) == Some(&number) {
            self.by_inode.remove(&old);
        }
        self.by_inode.insert(inode, number);
    }

    /// What a process before us has replaced.
    pub(crate) fn know_rebound(&mut self, nodes: HashMap<u64, InodeId>) {
        self.rebound = nodes;
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

    /// The name of a node is gone; `hidden` is the one that it has instead.
    pub(crate) fn unlink(&mut self, parent: u64, name: &str, hidden: Option<String>) {
        let Some(number) = self.child(parent, name) else { return };
        self.vanish(number);
        if let Some(node) = self.nodes.get_mut(&number) {
            node.hidden = hidden;
            if let Some(draft) = &node.draft {
                draft.moved(None);
            }
        }
        self.drop_unused(number);
    }

    /// A node has no name any more.
    pub(crate) fn vanish(&mut self, number: u64) {
        self.detach(number);
        if let Some(node) = self.nodes.get_mut(&number) {
            node.unlinked = true;
            node.attr.links = 0;
        }
    }

    /// A node of a process before us, which was writing it with so many handles.
    pub(crate) fn take_up(
        &mut self,
        (parent, name): (u64, &str),
        number: u64,
        inode: InodeId,
        attr: Attr,
        (draft, opens, unlinked): (&Arc<Draft>, u32, bool),
    ) {
        let way = if opens > 0 { Way::Cached { opens } } else { Way::Closed };
        let node = Node {
            parent,
            name: name.to_owned(),
            inode,
            attr,
            // The kernel knows it, by how many lookups is not known: it forgets all of them at once.
            lookups: 1,
            way,
            draft: Some(draft.clone()),
            unlinked,
            hidden: None,
            superseded: false,
        };
        self.nodes.insert(number, node);
        self.by_inode.insert(inode, number);
        if !unlinked {
            self.by_name.entry(parent).or_default().insert(name.to_owned(), number);
        }
    }

    /// A node has another name; what had that is gone.
    pub(crate) fn rename(&mut self, from: (u64, &str), to: (u64, &str)) {
        // One from before our time may not be known here; what had its new name is gone all the same.
        let moved = self.child(from.0, from.1);
        if self.child(to.0, to.1).is_some_and(|there| Some(there) != moved) {
            self.unlink(to.0, to.1, None);
        }
        let Some(number) = moved else { return };
        self.detach(number);
        self.by_name.entry(to.0).or_default().insert(to.1.to_owned(), number);
        if let Some(node) = self.nodes.get_mut(&number) {
            (node.parent, node.name) = (to.0, to.1.to_owned());
            if let Some(draft) = &node.draft {
                draft.moved(Some(to));
            }
        }
    }

    /// Where a node is.
    pub(crate) fn place(&self, node: u64) -> Place {
        let mut names = Vec::new();
        let mut at = node;
        while at != ROOT_NODE {
            let Some(known) = self.nodes.get(&at) else {
                names.reverse();
                let inode = self.rebound.get(&at).copied();
                return Place::Unknown(inode.unwrap_or_else(|| inode_of(at)), names);
            };
            if known.unlinked {
                match &known.hidden {
                    Some(hidden) => names.push(hidden.clone()),
                    None => return Place::Gone,
                }
            } else {
                names.push(known.name.clone());
            }
            at = known.parent;
        }
        names.reverse();
        Place::Known(names)
    }

    /// The kernel forgets.
    pub(crate) fn forget(&mut self, number: u64, lookups: u64) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.lookups = node.lookups.saturating_sub(lookups);
        }
        self.drop_unused(number);
    }

    /// Frees the memory of a node that nobody needs.
    pub(crate) fn drop_unused(&mut self, number: u64) {
        let unused = self.nodes.get(&number).is_some_and(|node| {
            node.lookups == 0
                && matches!(node.way, Way::Closed)
                && node.draft.is_none()
                && node.hidden.is_none()
        });
        if !unused {
            return;
        }
        self.detach(number);
        if let Some(node) = self.nodes.remove(&number)
            && self.by_inode.get(&node.inode) == Some(&number)
        {
            self.by_inode.remove(&node.inode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attr() -> Attr {
        Attr { links: 1, ..Attr::default() }
    }

    fn known(names: &[&str]) -> Place {
        Place::Known(names.iter().map(|name| (*name).to_owned()).collect())
    }

    const A: InodeId = InodeId::from_container(7);
    const B: InodeId = InodeId::from_container(8);

    #[test]
    fn a_directory_that_moves_takes_its_children_along() {
        let mut nodes = Nodes::default();
        let d = nodes.learn(ROOT_NODE, "d", A, attr(), 1);
        let f = nodes.learn(d, "f", B, attr(), 1);
        assert_eq!(nodes.place(f), known(&["d", "f"]));
        nodes.rename((ROOT_NODE, "d"), (ROOT_NODE, "e"));
        assert_eq!(nodes.place(f), known(&["e", "f"]));
        nodes.forget(f, 1);
        nodes.forget(d, 1);
        assert_eq!((nodes.len(), nodes.child(ROOT_NODE, "e")), (0, None));
        assert_eq!(nodes.place(f), Place::Unknown(B, vec![]));
        assert_eq!(inode_of(f), B);
    }

    #[test]
    fn another_inode_under_the_name_is_another_node() {
        let mut nodes = Nodes::default();
        let old = nodes.learn(ROOT_NODE, "f", A, attr(), 1);
        let new = nodes.learn(ROOT_NODE, "f", B, attr(), 1);
        assert_ne!(old, new);
        assert_eq!(nodes.child(ROOT_NODE, "f"), Some(new));
        nodes.forget(old, 1);
        assert_eq!(nodes.child(ROOT_NODE, "f"), Some(new));
    }

    #[test]
    fn bytes_that_this_mount_replaces_stay_in_their_node() {
        let mut nodes = Nodes::default();
        let node = nodes.learn(ROOT_NODE, "f", A, attr(), 1);
        nodes.rebind(node, B);
        assert_eq!(nodes.learn(ROOT_NODE, "f", B, attr(), 1), node);
        nodes.supersede(node);
        let next = nodes.learn(ROOT_NODE, "f", B, attr(), 1);
        assert_ne!(next, node);
        assert_eq!(nodes.learn(ROOT_NODE, "f", B, attr(), 1), next);
    }

    #[test]
    fn a_name_that_is_gone_can_be_given_again() {
        let mut nodes = Nodes::default();
        let old = nodes.learn(ROOT_NODE, "f", A, attr(), 1);
        nodes.unlink(ROOT_NODE, "f", Some(".hidden".into()));
        assert_eq!(nodes.place(old), known(&[".hidden"]));
        let new = nodes.learn(ROOT_NODE, "f", B, attr(), 1);
        nodes.rename((ROOT_NODE, "f"), (ROOT_NODE, "g"));
        assert_eq!(nodes.place(new), known(&["g"]));
        assert_eq!(nodes.place(old), known(&[".hidden"]));
    }
}
