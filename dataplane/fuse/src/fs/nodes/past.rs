//! **A process before us** may have had nodes open, and nobody knows how often: such a node keeps its way, and
//! what depends on it, until the kernel forgets the node, which it does only when nothing has it open. What of
//! a node its number does not tell is put into the [ledger](crate::fs::ledger) whenever it changes.

use super::{Node, Nodes, Way, inode_of, node_of};
use crate::abi::Attr;
use crate::fs::draft::Draft;
use crate::fs::record::{KeptNode, KeptWay};
use alluxio_types::InodeId;
use std::collections::HashMap;
use std::sync::Arc;

impl Nodes {
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

    /// Names that stand for open files.
    pub(crate) fn hidden(&self) -> Vec<u64> {
        let hidden = self.nodes.iter().filter(|(_, node)| node.hidden.is_some());
        hidden.map(|(number, _)| *number).collect()
    }

    /// What a process before us has replaced.
    pub(crate) fn know_rebound(&mut self, nodes: HashMap<u64, InodeId>) {
        self.rebound = nodes;
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
