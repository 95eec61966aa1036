//! The model: a tree of names that takes one call at a time, and can take it back.

use crate::operation::{Answer, Call, Kind, Operation, Refusal};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;

/// Names by their whole path. The root is there without a name.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    names: BTreeMap<String, Node>,
    /// Exclusive or of the hashes of all names: the same for the same tree, however it came about.
    hash: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    kind: Kind,
    /// `None` while no answer has named it.
    id: Option<u64>,
}

/// What to do to take a call back: names with what they were before, last change first.
pub(crate) struct Undo(Vec<(String, Option<Node>)>);

impl Tree {
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Takes the call of `operation` if its answer is true now. `None`: it is not, or, for a call
    /// without an answer, taking it changes nothing.
    pub(crate) fn take(&mut self, operation: &Operation) -> Option<Undo> {
        let reasons = self.reasons(&operation.call);
        match &operation.answer {
            Some(Answer::Refused(reason)) => reasons.contains(reason).then(|| Undo(Vec::new())),
            _ if !reasons.is_empty() => None,
            None => Some(self.change(&operation.call, None)).filter(|undo| !undo.0.is_empty()),
            Some(answer) => self.answers(&operation.call, answer),
        }
    }

    pub(crate) fn take_back(&mut self, undo: Undo) {
        for (name, before) in undo.0 {
            self.set(name, before);
        }
    }

    fn answers(&mut self, call: &Call, answer: &Answer) -> Option<Undo> {
        match (call, answer) {
            (Call::Create { .. } | Call::Mkdir { .. }, Answer::Inode { kind, id }) => {
                (*kind == kind_of(call)).then(|| self.change(call, Some(*id)))
            }
            (
                Call::Create { .. }
                | Call::Mkdir { .. }
                | Call::Delete { .. }
                | Call::Rename { .. },
                Answer::Done,
            ) => Some(self.change(call, None)),
            (Call::Status { path }, Answer::Inode { kind, id }) => self.recognize(path, *kind, *id),
            (Call::List { path }, Answer::Names(names)) => {
                let mut told: Vec<&str> = names.iter().map(String::as_str).collect();
                told.sort_unstable();
                self.children(path).eq(told).then(|| Undo(Vec::new()))
            }
            _ => None,
        }
    }

    /// A name that an answer describes: of that kind, and with that id if it is known.
    fn recognize(&mut self, path: &str, kind: Kind, id: u64) -> Option<Undo> {
        if path == "/" {
            return (kind == Kind::Directory).then(|| Undo(Vec::new()));
        }
        let node = *self.names.get(path)?;
        match node.id {
            _ if node.kind != kind => None,
            Some(known) => (known == id).then(|| Undo(Vec::new())),
            None => {
                let mut undo = Undo(Vec::new());
                self.put(&mut undo, path.to_owned(), Some(Node { kind, id: Some(id) }));
                Some(undo)
            }
        }
    }

    /// Everything that speaks against the call; empty when it succeeds.
    fn reasons(&self, call: &Call) -> Vec<Refusal> {
        let mut reasons = Vec::new();
        match call {
            Call::Create { path } | Call::Mkdir { path } => self.refuse_new(path, &mut reasons),
            Call::Delete { path, recursive } => {
                self.refuse_missing(path, &mut reasons);
                if path == "/" {
                    reasons.push(Refusal::Invalid);
                }
                if !recursive && self.children(path).next().is_some() {
                    reasons.push(Refusal::NotEmpty);
                }
            }
            Call::Rename { from, to } => {
                self.refuse_missing(from, &mut reasons);
                // Onto itself it is no change, as rename(2) has it.
                if from != to {
                    self.refuse_new(to, &mut reasons);
                }
                if from == "/" || to == "/" || is_below(to, from) {
                    reasons.push(Refusal::Invalid);
                }
            }
            Call::Status { path } => self.refuse_missing(path, &mut reasons),
            Call::List { path } => {
                self.refuse_missing(path, &mut reasons);
                if self.kind(path) == Some(Kind::File) {
                    reasons.push(Refusal::NotADirectory);
                }
            }
        }
        reasons
    }

    fn refuse_missing(&self, path: &str, reasons: &mut Vec<Refusal>) {
        if self.kind(path).is_none() {
            reasons.push(Refusal::NotFound);
            if self.has_file_above(path) {
                reasons.push(Refusal::NotADirectory);
            }
        }
    }

    fn refuse_new(&self, path: &str, reasons: &mut Vec<Refusal>) {
        if self.kind(path).is_some() {
            reasons.push(Refusal::AlreadyExists);
        }
        let parent = parent(path);
        if self.kind(parent).is_none() {
            reasons.push(Refusal::NotFound);
        }
        if self.kind(parent) == Some(Kind::File) || self.has_file_above(parent) {
            reasons.push(Refusal::NotADirectory);
        }
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        if path == "/" {
            return Some(Kind::Directory);
        }
        self.names.get(path).map(|node| node.kind)
    }

    fn has_file_above(&self, path: &str) -> bool {
        let mut above = path;
        while above != "/" {
            above = parent(above);
            if self.kind(above) == Some(Kind::File) {
                return true;
            }
        }
        false
    }

    /// Names in a directory, in order.
    fn children<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        self.below(path).filter_map(|(name, _)| {
            let rest = &name[prefix_length(path)..];
            (!rest.contains('/')).then_some(rest)
        })
    }

    /// Everything below a directory, at any depth.
    fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a String, &'a Node)> {
        let from = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        self.names
            .range((Bound::Excluded(from), Bound::Unbounded))
            .take_while(move |(name, _)| is_below(name, path))
    }

    /// Makes a change that nothing speaks against.
    fn change(&mut self, call: &Call, id: Option<u64>) -> Undo {
        let mut undo = Undo(Vec::new());
        match call {
            Call::Create { path } | Call::Mkdir { path } => {
                self.put(&mut undo, path.clone(), Some(Node { kind: kind_of(call), id }));
            }
            Call::Delete { path, .. } => {
                for (name, _) in self.whole(path) {
                    self.put(&mut undo, name, None);
                }
            }
            Call::Rename { from, to } if from == to => {}
            Call::Rename { from, to } => {
                for (name, node) in self.whole(from) {
                    let moved = format!("{to}{}", &name[from.len()..]);
                    self.put(&mut undo, name, None);
                    self.put(&mut undo, moved, Some(node));
                }
            }
            Call::Status { .. } | Call::List { .. } => {}
        }
        undo.0.reverse();
        undo
    }

    /// A name and all below it.
    fn whole(&self, path: &str) -> Vec<(String, Node)> {
        let itself = self.names.get_key_value(path).into_iter();
        itself.chain(self.below(path)).map(|(name, node)| (name.clone(), *node)).collect()
    }

    fn put(&mut self, undo: &mut Undo, name: String, node: Option<Node>) {
        let before = self.set(name.clone(), node);
        undo.0.push((name, before));
    }

    fn set(&mut self, name: String, node: Option<Node>) -> Option<Node> {
        let before = self.names.get(&name).copied();
        for present in [before, node].into_iter().flatten() {
            self.hash ^= hash_of(&name, present);
        }
        match node {
            Some(node) => self.names.insert(name, node),
            None => self.names.remove(&name),
        }
    }
}

fn hash_of(name: &str, node: Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    (name, node).hash(&mut hasher);
    hasher.finish()
}

fn kind_of(call: &Call) -> Kind {
    if matches!(call, Call::Mkdir { .. }) { Kind::Directory } else { Kind::File }
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

fn prefix_length(path: &str) -> usize {
    if path == "/" { 1 } else { path.len() + 1 }
}

fn is_below(path: &str, ancestor: &str) -> bool {
    ancestor == "/" && path != "/"
        || path.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with('/'))
}
