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
//! **A process before us** may have had nodes open, and nobody knows how often: such a node keeps its way, and
//! what depends on it, until the kernel forgets the node, which it does only when nothing has it open. What of
//! a node its number does not tell is put into the [ledger](super::ledger) whenever it changes.

use super::draft::Draft;
use super::record::{KeptNode, KeptWay};
use crate::abi::{Attr, ROOT_NODE, SetAttr};
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
            let node = self.nodes.entry(number).or_insert_with(|| Node::met(number, inode));
            if node.placeless {
                (node.parent, node.name, node.inode) = (parent, name.to_owned(), inode);
                (node.attr, node.placeless) = (attr, false);
            }
            self.by_name.entry(parent).or_default().insert(name.to_owned(), number);
            return true;
        }
        false
    }

    /// Takes over what a process before us has kept.
    pub(crate) fn restore(&mut self, kept: KeptNode) {
        let number = kept.node;
        let way = match kept.way {
            KeptWay::Closed => Way::Closed,
            KeptWay::Cached => Way::Cached { opens: 0 },
            KeptWay::Passed(backing) => Way::Passed { opens: 0, backing, _block: None },
        };
        let (placeless, named) = (kept.parent == 0, kept.parent != 0 && !kept.unlinked);
        if named {
            self.by_name.entry(kept.parent).or_default().insert(kept.name.clone(), number);
        }
        if !kept.superseded && !kept.unlinked {
            self.by_inode.insert(kept.inode, number);
        }
        let mut node = Node {
            parent: kept.parent,
            name: kept.name,
            before: !matches!(way, Way::Closed) || kept.hidden.is_some(),
            way,
            unlinked: kept.unlinked,
            hidden: kept.hidden,
            superseded: kept.superseded,
            placeless,
            ..Node::met(number, kept.inode)
        };
        node.attr.links = u32::from(!kept.unlinked);
        self.nodes.insert(number, node);
    }

    /// What a process after us must know of a node; `None` when its number tells all.
    pub(crate) fn kept(&self, number: u64) -> Option<KeptNode> {
        let node = self.nodes.get(&number)?;
        let way = match node.way {
            Way::Closed => KeptWay::Closed,
            Way::Cached { .. } => KeptWay::Cached,
            Way::Passed { backing, .. } => KeptWay::Passed(backing),
        };
        let is_other = node.inode != inode_of(number) || node.unlinked || node.superseded;
        if way == KeptWay::Closed && !is_other {
            return None;
        }
        // Where it is can be asked, unless its number leads elsewhere.
        let (parent, name) = match is_other && !node.placeless {
            true => (node.parent, node.name.clone()),
            false => (0, String::new()),
        };
        Some(KeptNode {
            node: number,
            parent,
            name,
            inode: node.inode,
            unlinked: node.unlinked,
            superseded: node.superseded,
            hidden: node.hidden.clone(),
            way,
        })
    }

    /// What was changed of a node may have to be kept.
    pub(crate) fn touch(&mut self, number: u64) {
        self.touched.push(number);
    }

    /// The nodes that were touched since.
    pub(crate) fn take_touched(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.touched)
    }

    /// A node that the kernel knows from before our time.
    pub(crate) fn meet(&mut self, number: u64) -> &mut Node {
        let inode = self.rebound.get(&number).copied().unwrap_or_else(|| inode_of(number));
        let known = self.nodes.contains_key(&number);
        if !known {
            self.by_inode.entry(inode).or_insert(number);
        }
        self.nodes.entry(number).or_insert_with(|| Node::met(number, inode))
    }

    /// The node of an inode, if memory has one.
    pub(crate) fn of_inode(&self, inode: InodeId) -> Option<u64> {
        self.by_inode.get(&inode).copied()
    }

    /// A node whose name a process before us has taken away while it was open.
    pub(crate) fn hide(&mut self, parent: u64, name: &str, inode: InodeId, hidden: String) {
        let number = self.of_inode(inode).unwrap_or_else(|| node_of(inode));
        self.detach(number);
        let node = self.meet(number);
        (node.parent, node.name, node.inode) = (parent, name.to_owned(), inode);
        (node.unlinked, node.placeless, node.before) = (true, false, true);
        (node.attr.links, node.hidden) = (0, Some(hidden));
        self.touched.push(number);
    }

    /// Whether any file is being written.
    pub(crate) fn are_written(&self) -> bool {
        self.nodes.values().any(|node| node.draft.is_some())
    }

    /// Names that stand for open files.
    pub(crate) fn hidden(&self) -> Vec<u64> {
        let hidden = self.nodes.iter().filter(|(_, node)| node.hidden.is_some());
        hidden.map(|(number, _)| *number).collect()
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
        self.touched.push(number);
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
        let kept = self.nodes.remove(&number);
        let node = Node {
            parent,
            name: name.to_owned(),
            attr,
            way,
            draft: Some(draft.clone()),
            unlinked,
            hidden: kept.as_ref().and_then(|kept| kept.hidden.clone()),
            superseded: kept.as_ref().is_some_and(|kept| kept.superseded),
            placeless: false,
            before: opens > 0 || kept.is_some_and(|kept| kept.before),
            ..Node::met(number, inode)
        };
        self.nodes.insert(number, node);
        self.touched.push(number);
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
        self.touched.push(number);
    }

    /// Two names lead to each other's node.
    pub(crate) fn exchange(&mut self, one: (u64, &str), other: (u64, &str)) {
        let nodes = [one, other].map(|(parent, name)| self.child(parent, name));
        nodes.into_iter().flatten().for_each(|number| self.detach(number));
        for (number, (parent, name)) in nodes.into_iter().zip([other, one]) {
            let Some(number) = number else { continue };
            self.by_name.entry(parent).or_default().insert(name.to_owned(), number);
            if let Some(node) = self.nodes.get_mut(&number) {
                (node.parent, node.name) = (parent, name.to_owned());
                if let Some(draft) = &node.draft {
                    draft.moved(Some((parent, name)));
                }
            }
            self.touched.push(number);
        }
    }

    /// Where a node is.
    pub(crate) fn place(&self, node: u64) -> Place {
        let mut names = Vec::new();
        let mut at = node;
        while at != ROOT_NODE {
            let Some(known) = self.nodes.get(&at).filter(|known| !known.placeless) else {
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

impl Node {
    /// Whether a process before us may have it open, so that its handles cannot be counted.
    pub(crate) fn is_from_before(&self) -> bool {
        self.before
    }

    /// It has not, whatever was thought.
    pub(crate) fn forget_before(&mut self) {
        self.before = false;
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
    fn nodes_that_are_exchanged_have_each_others_name() {
        let mut nodes = Nodes::default();
        let d = nodes.learn(ROOT_NODE, "d", A, attr(), 1);
        let f = nodes.learn(d, "f", B, attr(), 1);
        let g = nodes.learn(ROOT_NODE, "g", InodeId::from_container(9), attr(), 1);
        nodes.exchange((d, "f"), (ROOT_NODE, "g"));
        assert_eq!((nodes.place(f), nodes.place(g)), (known(&["g"]), known(&["d", "f"])));
        assert_eq!((nodes.child(d, "f"), nodes.child(ROOT_NODE, "g")), (Some(g), Some(f)));
        // Only one of both is remembered.
        nodes.exchange((ROOT_NODE, "nobody"), (ROOT_NODE, "g"));
        assert_eq!(nodes.place(f), known(&["nobody"]));
        assert_eq!(nodes.child(ROOT_NODE, "g"), None);
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

    #[test]
    fn what_a_process_before_us_had_open_stays_as_it_was_until_the_kernel_forgets_it() {
        let mut before = Nodes::default();
        let node = before.learn(ROOT_NODE, "f", A, attr(), 1);
        if let Some(known) = before.get_mut(node) {
            known.way = Way::Passed { opens: 3, backing: 9, _block: None };
        }
        let other = before.learn(ROOT_NODE, "g", B, attr(), 1);
        let c = InodeId::from_container(9);
        before.rebind(other, c);
        let mut nodes = Nodes::default();
        for number in [node, other] {
            nodes.restore(before.kept(number).unwrap());
        }
        assert_eq!(nodes.place(node), Place::Unknown(A, vec![]));
        assert_eq!(nodes.place(other), known(&["g"]));
        assert_eq!(nodes.learn(ROOT_NODE, "f", A, attr(), 1), node);
        assert_eq!(nodes.learn(ROOT_NODE, "g", c, attr(), 1), other);
        assert_eq!(nodes.forget(node, 1), Forgotten::default());
        assert!(nodes.get(node).unwrap().is_from_before());
        assert_eq!(nodes.forget(node, 5), Forgotten { backing: Some(9), hidden: false });
        assert!(nodes.get(node).is_none());
        assert!(nodes.take_touched().contains(&node));
        assert_eq!(nodes.kept(node), None);
    }

    #[test]
    fn a_node_from_before_our_time_can_be_superseded() {
        let mut nodes = Nodes::default();
        let old = node_of(A);
        nodes.supersede(old);
        let new = nodes.learn(ROOT_NODE, "f", A, attr(), 1);
        assert_ne!(new, old);
        assert_eq!(nodes.place(old), Place::Unknown(A, vec![]));
        assert!(nodes.kept(old).unwrap().superseded);
    }
}
