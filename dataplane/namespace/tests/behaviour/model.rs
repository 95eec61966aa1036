//! Random operations on the tree and on a model that is too simple to be wrong: a sorted map from
//! path to what is there. Every answer must agree, and all ways to build the tree must end in the
//! same tree.

use crate::ops::{Op, ops};
use crate::support::{Tree, id_of, path, restore, restore_on};
use alluxio_host::TableMemory;
use alluxio_namespace::{
    CompleteFile, CreateDirectory, CreateFile, CreateSymlink, Delete, Exchange, Foundation,
    LoadMetadata, Mount, Refusal, Rename, Request, Restorer, SetAttributes, SetQuota, UfsFacts,
    Unmount, WrittenAttributes,
};
use alluxio_types::{
    Code, Coded, FileKind, Fingerprint, InodeId, JournalSeq, Mode, MountOptions, PersistenceState,
    Quota, QuotaUsage, UnixMillis, XattrStrategy, XattrUpdate, Xattrs,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What the model knows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    id: InodeId,
    directory: bool,
    complete: bool,
    persisted: bool,
    pinned: bool,
    ttl: Option<u64>,
    version: u64,
    xattr: Xattrs,
    /// Where a link leads.
    target: String,
    length: u64,
    quota: Quota,
}

#[derive(Debug, Default, Clone)]
struct Model {
    nodes: BTreeMap<String, Node>,
    mounts: BTreeMap<String, u8>,
}

fn parent_of(at: &str) -> &str {
    match at.rfind('/') {
        Some(0) | None => "/",
        Some(cut) => &at[..cut],
    }
}

fn is_below(at: &str, top: &str) -> bool {
    at == top || at.starts_with(&format!("{}/", top.trim_end_matches('/')))
}

impl Model {
    fn directory(&self, at: &str) -> bool {
        at == "/" || self.nodes.get(at).is_some_and(|node| node.directory)
    }

    /// Whether a file is on the way to `at`.
    fn blocked(&self, at: &str) -> bool {
        let mut up = parent_of(at);
        while up != "/" {
            if self.nodes.get(up).is_some_and(|node| !node.directory) {
                return true;
            }
            up = parent_of(up);
        }
        false
    }

    fn children(&self, at: &str) -> usize {
        self.nodes.keys().filter(|path| parent_of(path) == at).count()
    }

    fn pinned(&self, at: &str) -> bool {
        let mut up = at;
        while up != "/" {
            up = parent_of(up);
            if let Some(node) = self.nodes.get(up) {
                return node.pinned;
            }
        }
        false
    }

    fn mount_of(&self, at: &str) -> String {
        let mounts = self.mounts.keys().filter(|mount| is_below(at, mount));
        mounts.max_by_key(|mount| mount.len()).cloned().unwrap_or_else(|| "/".into())
    }

    fn remove(&mut self, at: &str) {
        self.nodes.retain(|path, _| !is_below(path, at));
        self.mounts.retain(|path, _| !is_below(path, at));
    }

    fn missing(&self, at: &str) -> Code {
        if self.blocked(at) { Code::NotADirectory } else { Code::NotFound }
    }

    /// The way to a new name at `at`.
    fn way(&self, at: &str, recursive: bool) -> Result<Vec<String>, Code> {
        if self.blocked(at) {
            return Err(Code::NotADirectory);
        }
        let mut made = Vec::new();
        let mut up = parent_of(at).to_owned();
        while !self.directory(&up) {
            made.push(up.clone());
            up = parent_of(&up).to_owned();
        }
        if made.is_empty() || recursive { Ok(made) } else { Err(Code::NotFound) }
    }

    fn new_node(&self, at: &str, directory: bool) -> Node {
        Node {
            id: InodeId::default(),
            directory,
            complete: directory,
            persisted: false,
            pinned: self.pinned(at),
            ttl: None,
            version: 0,
            xattr: Xattrs::default(),
            target: String::new(),
            length: 0,
            quota: Quota::default(),
        }
    }

    fn make_way(&mut self, mut made: Vec<String>) {
        made.reverse();
        for at in made {
            let node = self.new_node(&at, true);
            self.nodes.insert(at, node);
        }
    }

    fn expect(&mut self, op: &Op) -> Result<(), Code> {
        match op {
            Op::Create { at, recursive, overwrite, complete, persisted } => {
                let way = match self.nodes.get(at) {
                    Some(_) if !overwrite => return Err(Code::AlreadyExists),
                    Some(node) if node.directory => return Err(Code::IsADirectory),
                    Some(_) => Vec::new(),
                    None => self.way(at, *recursive)?,
                };
                self.make_way(way);
                let node = Node {
                    complete: *complete,
                    persisted: *complete && *persisted,
                    version: 1,
                    length: if *complete { 100 } else { 0 },
                    ..self.new_node(at, false)
                };
                self.nodes.insert(at.clone(), node);
                Ok(())
            }
            Op::Mkdir { at, recursive, allow_exists } => {
                match self.nodes.get(at) {
                    Some(node) if node.directory && *allow_exists => return Ok(()),
                    Some(_) => return Err(Code::AlreadyExists),
                    None => {}
                }
                let way = self.way(at, *recursive)?;
                self.make_way(way);
                let node = self.new_node(at, true);
                self.nodes.insert(at.clone(), node);
                Ok(())
            }
            Op::Delete { at, recursive, mounts } => self.expect_delete(at, *recursive, *mounts),
            Op::Rename { from, to } => self.expect_rename(from, to),
            Op::Exchange { from, to } => self.expect_exchange(from, to),
            Op::Link { at, target } => self.expect_link(at, *target),
            Op::Xattr { at, strategy, values } => self.change(at, |node| {
                node.xattr = updated(&node.xattr, *strategy, values)?;
                Ok(())
            }),
            Op::Pin { at, pinned } => self.expect_pin(at, *pinned),
            Op::Ttl { at, ttl } => self.change(at, |node| {
                node.ttl = *ttl;
                Ok(())
            }),
            Op::Load { at, names } => self.expect_load(at, names),
            Op::Mount { at, uri } => {
                if self.nodes.contains_key(at) {
                    return Err(Code::AlreadyExists);
                }
                self.way(at, false)?;
                if self.mounts.values().any(|other| other == uri) {
                    return Err(Code::InvalidArgument);
                }
                let node = Node { persisted: true, ..self.new_node(at, true) };
                self.nodes.insert(at.clone(), node);
                self.mounts.insert(at.clone(), *uri);
                Ok(())
            }
            Op::Quota { at, bytes, inodes } => self.change(at, |node| {
                if !node.directory {
                    return Err(Code::NotADirectory);
                }
                node.quota = Quota { bytes: *bytes, inodes: *inodes };
                Ok(())
            }),
            Op::Unmount { at } => {
                if !self.mounts.contains_key(at) {
                    let blocked = self.blocked(at);
                    return Err(if blocked { Code::NotADirectory } else { Code::InvalidArgument });
                }
                if self.mounts.keys().any(|mount| mount != at && is_below(mount, at)) {
                    return Err(Code::FailedPrecondition);
                }
                self.remove(at);
                Ok(())
            }
        }
    }

    /// As [`Model::expect`], with what quotas refuse. A file is made and completed in two changes, and the
    /// second may be refused alone.
    fn expect_within_quotas(&mut self, op: &Op) -> Result<(), Code> {
        if let Op::Create { complete: true, .. } = op {
            let mut first = op.clone();
            if let Op::Create { complete, .. } = &mut first {
                *complete = false;
            }
            let before = self.clone();
            self.expect_bounded(&first)?;
            let made = std::mem::replace(self, before);
            let mut whole = self.clone();
            whole.expect(op)?;
            *self = made;
            if whole.exceeds(self, &first) {
                return Err(Code::QuotaExceeded);
            }
            *self = whole;
            return Ok(());
        }
        self.expect_bounded(op)
    }

    fn expect_bounded(&mut self, op: &Op) -> Result<(), Code> {
        let before = self.clone();
        self.expect(op)?;
        let never_refused = matches!(op, Op::Load { .. } | Op::Mount { .. } | Op::Quota { .. });
        if !never_refused && self.exceeds(&before, op) {
            *self = before;
            return Err(Code::QuotaExceeded);
        }
        Ok(())
    }

    /// Whether a directory has more than its quota, and more than it had before the operation.
    fn exceeds(&self, before: &Model, op: &Op) -> bool {
        let was = |at: &str| match op {
            Op::Rename { from, to } if is_below(at, to) => format!("{from}{}", &at[to.len()..]),
            Op::Exchange { from, to } if is_below(at, to) => format!("{from}{}", &at[to.len()..]),
            Op::Exchange { from, to } if is_below(at, from) => format!("{to}{}", &at[from.len()..]),
            _ => at.to_owned(),
        };
        self.nodes.iter().filter(|(_, node)| !node.quota.is_none()).any(|(at, node)| {
            let (now, then) = (self.usage(at), before.usage(&was(at)));
            let over = |limit: Option<u64>, now: u64, then: u64| {
                limit.is_some_and(|limit| now > limit && now > then)
            };
            over(node.quota.bytes, now.bytes, then.bytes)
                || over(node.quota.inodes, now.inodes, then.inodes)
        })
    }

    fn usage(&self, top: &str) -> QuotaUsage {
        let below = self.nodes.iter().filter(|(at, _)| is_below(at, top));
        below.fold(QuotaUsage::default(), |sum, (_, node)| QuotaUsage {
            bytes: sum.bytes + node.length,
            inodes: sum.inodes + 1,
        })
    }

    fn expect_delete(&mut self, at: &str, recursive: bool, mounts: bool) -> Result<(), Code> {
        if !self.nodes.contains_key(at) {
            return Err(self.missing(at));
        }
        if self.children(at) > 0 && !recursive {
            return Err(Code::NotEmpty);
        }
        if !mounts {
            if self.mounts.contains_key(at) {
                return Err(Code::InvalidArgument);
            }
            if self.mounts.keys().any(|mount| is_below(mount, at)) {
                return Err(Code::FailedPrecondition);
            }
        }
        self.remove(at);
        Ok(())
    }

    fn expect_rename(&mut self, from: &str, to: &str) -> Result<(), Code> {
        if !self.nodes.contains_key(from) {
            return Err(self.missing(from));
        }
        if from == to {
            return Ok(());
        }
        if is_below(to, from) || self.mounts.contains_key(from) {
            return Err(Code::InvalidArgument);
        }
        if self.mounts.keys().any(|mount| is_below(mount, from)) {
            return Err(Code::FailedPrecondition);
        }
        if self.mount_of(from) != self.mount_of(to) {
            return Err(Code::InvalidArgument);
        }
        if self.nodes.contains_key(to) {
            return Err(Code::AlreadyExists);
        }
        self.way(to, false)?;
        let moved: Vec<String> =
            self.nodes.keys().filter(|path| is_below(path, from)).cloned().collect();
        for path in moved {
            let node = self.nodes.remove(&path).unwrap();
            self.nodes.insert(format!("{to}{}", &path[from.len()..]), node);
        }
        Ok(())
    }

    fn change(
        &mut self,
        at: &str,
        change: impl FnOnce(&mut Node) -> Result<(), Code>,
    ) -> Result<(), Code> {
        let missing = self.missing(at);
        self.nodes.get_mut(at).map_or(Err(missing), change)
    }

    fn expect_pin(&mut self, at: &str, pinned: bool) -> Result<(), Code> {
        if !self.nodes.contains_key(at) {
            return Err(self.missing(at));
        }
        let below = self.nodes.iter_mut().filter(|(path, _)| is_below(path, at));
        below.for_each(|(_, node)| node.pinned = pinned);
        Ok(())
    }

    fn expect_link(&mut self, at: &str, target: u8) -> Result<(), Code> {
        if self.nodes.contains_key(at) {
            return Err(Code::AlreadyExists);
        }
        self.way(at, false)?;
        let target = target_of(target);
        let length = target.len() as u64;
        let node = Node { complete: true, target, length, ..self.new_node(at, false) };
        self.nodes.insert(at.to_owned(), node);
        Ok(())
    }

    fn expect_exchange(&mut self, from: &str, to: &str) -> Result<(), Code> {
        for at in [from, to] {
            if !self.nodes.contains_key(at) {
                return Err(self.missing(at));
            }
        }
        if from == to {
            return Ok(());
        }
        if is_below(to, from) || is_below(from, to) {
            return Err(Code::InvalidArgument);
        }
        for (at, other) in [(from, to), (to, from)] {
            if self.mounts.contains_key(at) {
                return Err(Code::InvalidArgument);
            }
            if self.mounts.keys().any(|mount| is_below(mount, at)) {
                return Err(Code::FailedPrecondition);
            }
            if self.mount_of(at) != self.mount_of(other) {
                return Err(Code::InvalidArgument);
            }
        }
        let of = |at: &str| -> Vec<String> {
            self.nodes.keys().filter(|path| is_below(path, at)).cloned().collect()
        };
        let (ours, theirs) = (of(from), of(to));
        if ours.iter().chain(&theirs).any(|path| self.nodes[path].persisted) {
            return Err(Code::InvalidArgument);
        }
        let mut moved = Vec::new();
        for (paths, at, other) in [(ours, from, to), (theirs, to, from)] {
            for path in paths {
                let node = self.nodes.remove(&path).unwrap();
                moved.push((format!("{other}{}", &path[at.len()..]), node));
            }
        }
        self.nodes.extend(moved);
        Ok(())
    }

    fn expect_load(&mut self, at: &str, names: &[(String, bool, u64)]) -> Result<(), Code> {
        if !self.directory(at) {
            let file = self.nodes.contains_key(at) || self.blocked(at);
            return Err(if file { Code::NotADirectory } else { Code::NotFound });
        }
        let join = |name: &str| format!("{}/{name}", at.trim_end_matches('/'));
        let mut seen = Vec::new();
        for (name, directory, version) in names {
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let below = join(name);
            let mut fresh = Node {
                directory: *directory,
                complete: true,
                persisted: true,
                version: if *directory { 0 } else { *version },
                length: if *directory { 0 } else { 10 },
                ..self.new_node(&below, *directory)
            };
            match self.nodes.get(&below).cloned() {
                None => {}
                Some(_) if self.mounts.contains_key(&below) => continue,
                Some(old) if old.directory && *directory => {
                    self.nodes.get_mut(&below).unwrap().persisted = true;
                    continue;
                }
                Some(old) if !old.directory && !old.persisted => continue,
                Some(old) if !old.directory && !directory && old.version == *version => continue,
                Some(old) => {
                    let kept = |path: &String| is_below(path, &below);
                    let stays = self.nodes.iter().any(|(path, node)| kept(path) && !node.persisted)
                        || self.mounts.keys().any(kept);
                    if stays {
                        continue;
                    }
                    self.remove(&below);
                    (fresh.pinned, fresh.ttl, fresh.xattr) = (old.pinned, old.ttl, old.xattr);
                }
            }
            self.nodes.insert(below, fresh);
        }
        let here: Vec<String> =
            self.nodes.keys().filter(|path| parent_of(path) == at).cloned().collect();
        for below in here {
            if !seen.iter().any(|name| join(name) == below) {
                self.vanish(&below);
            }
        }
        Ok(())
    }

    fn vanish(&mut self, at: &str) -> bool {
        let node = self.nodes[at].clone();
        if !node.persisted || self.mounts.contains_key(at) {
            return false;
        }
        let below: Vec<String> =
            self.nodes.keys().filter(|path| parent_of(path) == at).cloned().collect();
        let mut all = true;
        for path in below {
            all &= self.vanish(&path);
        }
        if all {
            self.nodes.remove(at);
        } else {
            self.nodes.get_mut(at).unwrap().persisted = false;
        }
        all
    }
}

fn target_of(target: u8) -> String {
    format!("../{target}")
}

/// What a change of extended attributes leaves.
fn updated(there: &Xattrs, strategy: XattrStrategy, values: &Xattrs) -> Result<Xattrs, Code> {
    let mut after: BTreeMap<&str, &[u8]> = there.iter().collect();
    let all = values.iter().all(|(name, _)| after.contains_key(name));
    let any = values.iter().any(|(name, _)| after.contains_key(name));
    let values = values.iter();
    match strategy {
        XattrStrategy::Create if any => return Err(Code::AlreadyExists),
        XattrStrategy::Replace | XattrStrategy::Remove if !all => return Err(Code::NotFound),
        XattrStrategy::Truncate => after = values.collect(),
        XattrStrategy::DeleteKeys | XattrStrategy::Remove => {
            values.for_each(|(name, _)| {
                after.remove(name);
            });
        }
        XattrStrategy::UnionPreserve => values.for_each(|(name, value)| {
            after.entry(name).or_insert(value);
        }),
        XattrStrategy::UnionReplace | XattrStrategy::Create | XattrStrategy::Replace => {
            after.extend(values);
        }
    }
    Ok(after.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect())
}

/// Some files get attributes as they are completed.
fn written_attributes(id: InodeId) -> WrittenAttributes {
    match id.container() % 3 {
        0 => WrittenAttributes::default(),
        1 => WrittenAttributes { modified: Some(UnixMillis(77)), ..Default::default() },
        _ => WrittenAttributes {
            owner: Some("somebody".into()),
            mode: Some(Mode(0o640)),
            accessed: Some(UnixMillis(78)),
            ..Default::default()
        },
    }
}

/// Does an operation on the tree.
fn perform(tree: &mut Tree, op: &Op) -> Result<(), Refusal> {
    let request: Request = match op {
        Op::Create { at, recursive, overwrite, complete, persisted } => {
            let request = CreateFile {
                recursive: *recursive,
                overwrite: *overwrite,
                ..CreateFile::new(path(at))
            };
            let id = id_of(&tree.change(request)?);
            if !complete {
                return Ok(());
            }
            completion(id, *persisted).into()
        }
        Op::Mkdir { at, recursive, allow_exists } => CreateDirectory {
            recursive: *recursive,
            allow_exists: *allow_exists,
            ..CreateDirectory::new(path(at))
        }
        .into(),
        Op::Delete { at, recursive, mounts } => Delete {
            path: path(at),
            recursive: *recursive,
            alluxio_only: false,
            delete_mount_points: *mounts,
            expected: None,
        }
        .into(),
        Op::Rename { from, to } => {
            Rename { source: path(from), target: path(to), replace: false, expected: None }.into()
        }
        Op::Exchange { from, to } => Exchange { source: path(from), target: path(to) }.into(),
        Op::Link { at, target } => {
            CreateSymlink { path: path(at), target: target_of(*target) }.into()
        }
        Op::Xattr { at, strategy, values } => SetAttributes {
            path: Some(path(at)),
            xattr: Some(XattrUpdate { strategy: *strategy, values: values.clone() }),
            ..SetAttributes::default()
        }
        .into(),
        Op::Pin { at, pinned } => SetAttributes {
            path: Some(path(at)),
            pinned: Some(*pinned),
            ..SetAttributes::default()
        }
        .into(),
        Op::Ttl { at, ttl } => {
            SetAttributes { path: Some(path(at)), ttl_ms: Some(*ttl), ..SetAttributes::default() }
                .into()
        }
        Op::Load { at, names } => load(tree, at, names).into(),
        Op::Mount { at, uri } => Mount {
            path: path(at),
            ufs_uri: format!("s3://bucket{uri}"),
            read_only: false,
            shared: false,
            options: MountOptions::default(),
            facts: None,
        }
        .into(),
        Op::Unmount { at } => Unmount { path: path(at) }.into(),
        Op::Quota { at, bytes, inodes } => {
            SetQuota { path: path(at), bytes: Some(*bytes), inodes: Some(*inodes) }.into()
        }
    };
    tree.change(request).map(|_| ())
}

fn completion(id: InodeId, persisted: bool) -> CompleteFile {
    let (persistence, version) = match persisted {
        true => (PersistenceState::Persisted, 1),
        false => (PersistenceState::NotPersisted, 0),
    };
    let (fingerprint, attributes) = (fingerprint(version), written_attributes(id));
    CompleteFile { id, length: 100, persistence, fingerprint, replaces: None, attributes }
}

fn fingerprint(version: u64) -> Fingerprint {
    Fingerprint(if version == 0 { String::new() } else { format!("memory;version={version}") })
}

fn load(tree: &Tree, at: &str, names: &[(String, bool, u64)]) -> LoadMetadata {
    let children = names.iter().map(|(name, directory, version)| UfsFacts {
        name: name.clone(),
        kind: if *directory { FileKind::Directory } else { FileKind::File },
        length: 10,
        modified: Some(UnixMillis(*version)),
        owner: None,
        group: None,
        mode: None,
        fingerprint: fingerprint(*version),
    });
    LoadMetadata {
        directory: path(at),
        missing_directories: Vec::new(),
        expected: None,
        looked_at: tree.namespace.applied(),
        children: children.collect(),
        vanished: Vec::new(),
        complete: true,
        block_size_bytes: 4,
    }
}

/// The tree as the model would see it.
fn observe(tree: &Tree) -> BTreeMap<String, Node> {
    let walk = tree.namespace.walk(&path("/"), &tree.context()).unwrap();
    let statuses = walk.map(|status| status.unwrap().value).filter(|status| status.path != "/");
    statuses
        .map(|status| {
            assert_eq!(tree.namespace.status_by_id(status.id).unwrap().value.path, status.path);
            let quotas = tree.namespace.quotas_of(&path(&status.path), &tree.context()).unwrap();
            let own = quotas.value.into_iter().find(|quota| quota.path.as_str() == status.path);
            // That of a directory is the number of its names.
            let length = if status.is_directory() { 0 } else { status.length };
            let version = status.fingerprint.0.rsplit('=').next().unwrap().parse().unwrap_or(0);
            let node = Node {
                id: InodeId::default(),
                directory: status.is_directory(),
                complete: status.completed,
                persisted: status.persistence == PersistenceState::Persisted,
                pinned: status.pinned,
                ttl: status.ttl_ms,
                version,
                xattr: status.xattr,
                target: status.target,
                length,
                quota: own.map(|own| own.quota).unwrap_or_default(),
            };
            assert_eq!(status.kind == FileKind::Symlink, !node.target.is_empty());
            (status.path, node)
        })
        .collect()
}

/// Versions of files that the UFS does not have say nothing.
fn comparable(nodes: &BTreeMap<String, Node>) -> BTreeMap<String, Node> {
    let mut nodes = nodes.clone();
    for node in nodes.values_mut().filter(|node| !node.persisted || node.directory) {
        node.version = 0;
    }
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_operations_agree_with_the_model(ops in prop::collection::vec(ops(), 1..60)) {
        let (mut tree, mut model) = (Tree::new(), Model::default());
        for op in &ops {
            let want = model.expect_within_quotas(op);
            let got = perform(&mut tree, op).map_err(|refusal| refusal.code());
            prop_assert_eq!(got, want, "{:?}", op);
        }
        prop_assert_eq!(comparable(&observe(&tree)), comparable(&model.nodes));
        let mounts = tree.namespace.mounts();
        let mounts: Vec<&str> = mounts.iter().map(|mount| mount.path.as_str()).skip(1).collect();
        prop_assert_eq!(mounts, model.mounts.keys().collect::<Vec<_>>());
        for at in model.nodes.keys() {
            for quota in tree.namespace.quotas_of(&path(at), &tree.context()).unwrap().value {
                prop_assert_eq!(quota.usage, model.usage(quota.path.as_str()), "{}", quota.path);
            }
        }
        tree.check();
    }

    #[test]
    fn a_tree_in_a_file_is_the_tree_in_the_heap(ops in prop::collection::vec(ops(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let memory = TableMemory::in_dir(dir.path()).unwrap();
        let foundation = Foundation { memory: memory.clone(), hash_seed: 99 };
        let (mut here, mut there) = (Tree::new(), Tree::on(&foundation));
        for (op, turn) in ops.iter().zip(0..) {
            let done = [&mut here, &mut there].map(|tree| perform(tree, op).map_err(|no| no.code()));
            prop_assert_eq!(done[0], done[1]);
            if turn % 16 == 0 {
                memory.keep_resident_below(0);
            }
        }
        there.check();
        prop_assert_eq!(here.namespace.state_hash(), there.namespace.state_hash());
        let restored = restore_on(&foundation, &here.namespace);
        restored.check_invariants().unwrap();
        prop_assert_eq!(restored.state_hash(), here.namespace.state_hash());
        prop_assert_eq!(memory.usage().unwrap().spilled_bytes, 0);
    }

    #[test]
    fn a_checkpoint_taken_during_changes_is_the_tree_at_its_start(
        before in prop::collection::vec(ops(), 1..60),
        during in prop::collection::vec((ops(), 0usize..3), 1..40),
    ) {
        let mut tree = Tree::new();
        for op in &before {
            let _ = perform(&mut tree, op);
        }
        let (hash, at) = (tree.namespace.state_hash(), tree.namespace.applied());
        let mut checkpoint = tree.namespace.begin_checkpoint().unwrap();
        prop_assert!(tree.namespace.begin_checkpoint().is_err());
        let mut restorer = Restorer::new();
        for (op, steps) in &during {
            let _ = perform(&mut tree, op);
            for _ in 0..*steps {
                checkpoint.step(1).iter().for_each(|entry| restorer.push(entry));
            }
        }
        loop {
            let some = checkpoint.step(1);
            if some.is_empty() {
                break;
            }
            some.iter().for_each(|entry| restorer.push(entry));
        }
        prop_assert_eq!(checkpoint.seq(), at);
        let restored = restorer.finish(at);
        prop_assert_eq!(restored.state_hash(), hash);
        restored.check_invariants().unwrap();
        // The journal goes on from the checkpoint to the tree as it is.
        for (entry, seq) in tree.journal.iter().zip(1..).skip(usize::try_from(at.0).unwrap()) {
            restored.apply(JournalSeq(seq), entry);
        }
        prop_assert_eq!(restored.state_hash(), tree.namespace.state_hash());
        restored.check_invariants().unwrap();
        drop(checkpoint);
        prop_assert_eq!(restore(&tree.namespace).state_hash(), tree.namespace.state_hash());
    }
}
