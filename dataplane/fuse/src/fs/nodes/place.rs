//! Names: which node has one, and where a node is.

use super::{Nodes, inode_of};
use crate::abi::ROOT_NODE;
use alluxio_types::InodeId;

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

impl Nodes {
    /// The node with a name, if memory has one.
    pub(crate) fn child(&self, parent: u64, name: &str) -> Option<u64> {
        self.by_name.get(&parent)?.get(name).copied()
    }

    /// The node with a name, if it is being written here.
    pub(crate) fn written_child(&self, parent: u64, name: &str) -> Option<u64> {
        self.child(parent, name)
            .filter(|number| self.nodes.get(number).is_some_and(|node| node.draft.is_some()))
    }

    /// The name leads to the node no more.
    pub(super) fn detach(&mut self, number: u64) {
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
}
