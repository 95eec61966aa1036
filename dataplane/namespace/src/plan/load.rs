//! What the UFS has becomes true here.

use super::Planner;
use super::create::inherit_pin;
use crate::inode::{Brief, Inode};
use crate::namespace::shard_of;
use crate::request::{LoadMetadata, LoadSummary, UfsFacts};
use crate::resolve::prefix;
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::path::check_name;
use alluxio_types::{
    AlluxioPath, AttributeChanges, Entry, FileKind, Fingerprint, InodeId, InodeRecord, Mode,
    PersistenceState,
};
use std::collections::BTreeSet;

/// A load in the making.
struct Load<'a> {
    request: &'a LoadMetadata,
    /// The directory: its id, and what new children take from it.
    id: InodeId,
    owner: String,
    group: String,
    mode: Mode,
    pinned: bool,
    entries: Vec<Entry>,
    removed: Vec<InodeId>,
    summary: LoadSummary,
}

impl Planner<'_> {
    pub(super) fn load_metadata(mut self, request: &LoadMetadata) -> Result<Plan, Refusal> {
        // The master asks for itself, whoever made it look.
        self.checker = crate::permission::Checker::ALL;
        self.check_block_size(request.block_size_bytes)?;
        let walked = self.walk(&request.directory)?;
        if walked.at.node.is_none() {
            let path = prefix(&request.directory, walked.depth);
            return self.refuse(Error::NotADirectory { path });
        }
        self.need_expected(request.expected, &walked.at, &request.directory)?;
        self.need_room(walked.at.container, request.children.len() as u64)?;
        let mut load = self.begin(request, &walked.at)?;
        let mut missing = request.missing_directories.iter();
        for name in request.directory.components().skip(walked.depth) {
            let Some(facts) = missing.next().filter(|facts| facts.name == name) else {
                return self.refuse(Error::PathNotFound { path: request.directory.clone() });
            };
            self.need_nothing_left(request, &walked.at)?;
            self.add_directory_on_the_way(&mut load, facts)?;
        }
        let exists = walked.complete().then_some(walked.at);
        self.load_children(&mut load, exists.as_ref())?;
        if let Some(directory) = exists {
            self.drop_vanished(&mut load, &directory)?;
        }
        self.mark_loaded(&mut load, exists.as_ref())?;
        load.summary.directory = load.id;
        self.done_removing(load.entries, Outcome::Loaded(load.summary), load.removed)
    }

    fn begin<'a>(&self, request: &'a LoadMetadata, directory: &Brief) -> Result<Load<'a>, Refusal> {
        let inode = self.inode(directory)?;
        let perm = inode.perm(self.namespace);
        Ok(Load {
            request,
            id: inode.id(),
            owner: perm.owner.clone(),
            group: perm.group.clone(),
            mode: perm.mode,
            pinned: inode.record.pinned(),
            entries: Vec::new(),
            removed: Vec::new(),
            summary: LoadSummary::default(),
        })
    }

    /// Refuses to create when a name left the directory since the caller looked: the listing may
    /// show what has just been deleted or renamed.
    fn need_nothing_left(&self, request: &LoadMetadata, directory: &Brief) -> Result<(), Refusal> {
        let node = directory.node.expect("a load is into a directory");
        let shard = self.namespace.shard(shard_of(directory.container));
        let removed = shard.node(node, directory.container).map_or(0, |node| node.removed);
        if removed > request.looked_at.0 {
            self.see(removed);
            return self.refuse(Error::Moved { path: request.directory.clone() });
        }
        Ok(())
    }

    fn add_directory_on_the_way(
        &self,
        load: &mut Load<'_>,
        facts: &UfsFacts,
    ) -> Result<(), Refusal> {
        let record = self.loaded_record(load, facts)?;
        load.id = record.id;
        load.owner.clone_from(&record.owner);
        load.group.clone_from(&record.group);
        load.mode = record.mode;
        load.summary.created += 1;
        load.entries.push(Entry::Create(Box::new(record)));
        Ok(())
    }

    fn load_children(&self, load: &mut Load<'_>, directory: Option<&Brief>) -> Result<(), Refusal> {
        let mut names = BTreeSet::new();
        for facts in &load.request.children {
            if !names.insert(facts.name.as_str()) {
                continue;
            }
            let found = match directory {
                None => None,
                Some(directory) => self.child_of(directory, &facts.name)?,
            };
            match found {
                Some(inode) => self.refresh(load, &inode, facts)?,
                None => {
                    if let Some(directory) = directory {
                        self.need_nothing_left(load.request, directory)?;
                    }
                    let record = self.loaded_record(load, facts)?;
                    load.summary.created += 1;
                    load.entries.push(Entry::Create(Box::new(record)));
                }
            }
        }
        Ok(())
    }

    pub(super) fn child_of(&self, directory: &Brief, name: &str) -> Result<Option<Inode>, Refusal> {
        match self.settled(self.namespace.child(directory, name, Inode::of))? {
            crate::resolve::Child::Found(inode) => {
                self.see(inode.brief.seq);
                Ok(Some(inode))
            }
            crate::resolve::Child::Missing(changed) => {
                self.see(changed);
                Ok(None)
            }
        }
    }

    /// A new inode from the UFS.
    fn loaded_record(&self, load: &Load<'_>, facts: &UfsFacts) -> Result<InodeRecord, Refusal> {
        if facts.name.is_empty() || facts.name.contains('/') || matches!(&*facts.name, "." | "..") {
            let name = facts.name.clone();
            return self.refuse(Error::BadName(alluxio_types::PathError::BadByte { name }));
        }
        if let Err(error) = check_name(&facts.name) {
            return self.refuse(Error::BadName(error));
        }
        self.need_fingerprint(&facts.fingerprint)?;
        let inherited = match facts.kind {
            FileKind::Directory => load.mode,
            FileKind::File | FileKind::Symlink => Mode(load.mode.0 & 0o666),
        };
        let mode = facts.mode.unwrap_or(inherited);
        let mut record = self.new_record(facts.kind, load.id, &facts.name, Some(mode))?;
        record.owner = facts.owner.clone().unwrap_or_else(|| load.owner.clone());
        record.group = facts.group.clone().unwrap_or_else(|| load.group.clone());
        record.modified = facts.modified.unwrap_or(self.context.now);
        record.accessed = record.modified;
        record.persistence = PersistenceState::Persisted;
        record.completed = true;
        if facts.kind == FileKind::File {
            record.length = facts.length;
            record.block_size_bytes = load.request.block_size_bytes;
            record.fingerprint = facts.fingerprint.clone();
            inherit_pin(&mut record, load.pinned);
        } else {
            record.pinned = load.pinned;
        }
        Ok(record)
    }

    /// A name that is here and in the UFS.
    fn refresh(&self, load: &mut Load<'_>, inode: &Inode, facts: &UfsFacts) -> Result<(), Refusal> {
        let persisted = inode.record.persistence() == PersistenceState::Persisted;
        if self.is_newer(load, inode) || self.is_mount_point(load, &inode.name) {
            return Ok(());
        }
        match (inode.is_directory(), facts.kind) {
            (true, FileKind::Directory) => {
                if !persisted {
                    load.entries.push(persistence(inode.id(), PersistenceState::Persisted));
                }
                self.refresh_attributes(load, inode, facts);
            }
            // Only Alluxio has what is here: it stays, and hides what the UFS has.
            (false, _) if !persisted || !inode.record.completed() => {}
            (false, FileKind::File | FileKind::Symlink) => {
                if inode.fingerprint(self.namespace) == facts.fingerprint {
                    self.refresh_attributes(load, inode, facts);
                } else {
                    self.replace(load, inode, facts)?;
                }
            }
            // No store shows links: whatever is there is a file to it.
            (true, FileKind::File | FileKind::Symlink) => {
                let (entries, removed) = (load.entries.len(), load.removed.len());
                if self.vanish(load, inode)? {
                    self.create_again(load, inode, facts)?;
                } else {
                    load.entries.truncate(entries);
                    load.removed.truncate(removed);
                }
            }
            (false, FileKind::Directory) => self.replace(load, inode, facts)?,
        }
        Ok(())
    }

    /// Whether it was touched after the caller began to look, so the facts may be older.
    fn is_newer(&self, load: &Load<'_>, inode: &Inode) -> bool {
        inode.brief.seq > load.request.looked_at.0
    }

    fn is_mount_point(&self, load: &Load<'_>, name: &str) -> bool {
        let path = load.request.directory.join(name);
        path.is_ok_and(|path| self.mounts.at(&path).is_some())
    }

    fn replace(&self, load: &mut Load<'_>, inode: &Inode, facts: &UfsFacts) -> Result<(), Refusal> {
        load.entries.push(Entry::Delete { id: inode.id(), modified: self.context.now });
        load.removed.push(inode.id());
        self.create_again(load, inode, facts)
    }

    /// A new inode in the place of one that was removed, with what the user had asked for.
    fn create_again(
        &self,
        load: &mut Load<'_>,
        inode: &Inode,
        facts: &UfsFacts,
    ) -> Result<(), Refusal> {
        let mut record = self.loaded_record(load, facts)?;
        record.ttl_ms = inode.rare.ttl_ms;
        record.ttl_action = inode.rare.ttl_action;
        record.xattr = inode.rare.xattr.clone();
        if facts.kind == FileKind::File {
            record.replication_min = inode.rare.replication_min;
            record.replication_max = inode.rare.replication_max;
        }
        record.pinned = inode.record.pinned();
        load.summary.replaced += 1;
        load.entries.push(Entry::Create(Box::new(record)));
        Ok(())
    }

    /// Owner, group and mode follow the store, where it has them.
    fn refresh_attributes(&self, load: &mut Load<'_>, inode: &Inode, facts: &UfsFacts) {
        let perm = inode.perm(self.namespace);
        let changes = AttributeChanges {
            owner: facts.owner.clone().filter(|owner| *owner != perm.owner),
            group: facts.group.clone().filter(|group| *group != perm.group),
            mode: facts.mode.filter(|mode| *mode != perm.mode),
            ..AttributeChanges::default()
        };
        if changes != AttributeChanges::default() {
            load.summary.updated += 1;
            load.entries.push(Entry::SetAttributes { id: inode.id(), changes });
        }
    }

    fn drop_vanished(&self, load: &mut Load<'_>, directory: &Brief) -> Result<(), Refusal> {
        let known: BTreeSet<&str> =
            load.request.children.iter().map(|facts| facts.name.as_str()).collect();
        let mut gone = Vec::new();
        if load.request.complete {
            self.each_child(directory, |child| {
                if !known.contains(child.name.as_str()) {
                    gone.push(child.clone());
                }
                Ok(())
            })?;
        } else {
            for name in load.request.vanished.iter().filter(|name| !known.contains(name.as_str())) {
                gone.extend(self.child_of(directory, name)?);
            }
        }
        for inode in gone {
            if self.vanish(load, &inode)? {
                load.summary.removed += 1;
            }
        }
        Ok(())
    }

    /// Removes an inode that the UFS does not have, as far as only the UFS had it; whether all of
    /// it went.
    fn vanish(&self, load: &mut Load<'_>, inode: &Inode) -> Result<bool, Refusal> {
        let path = self.path_of(inode.id())?;
        self.vanish_at(load, inode, &path)
    }

    fn vanish_at(
        &self,
        load: &mut Load<'_>,
        inode: &Inode,
        path: &AlluxioPath,
    ) -> Result<bool, Refusal> {
        let persisted = inode.record.persistence() == PersistenceState::Persisted;
        if !persisted || self.is_newer(load, inode) || self.mounts.at(path).is_some() {
            return Ok(false);
        }
        if !inode.is_directory() {
            load.entries.push(Entry::Delete { id: inode.id(), modified: self.context.now });
            load.removed.push(inode.id());
            return Ok(true);
        }
        let first = load.entries.len();
        let mut all = true;
        let mut children = Vec::new();
        self.each_child(&inode.brief, |child| {
            children.push(child.clone());
            Ok(())
        })?;
        for child in &children {
            // A path too long to be asked for cannot be a mount point.
            let below = path.join(&child.name).unwrap_or_else(|_| path.clone());
            all &= self.vanish_at(load, child, &below)?;
        }
        if all {
            // One entry for the whole directory in place of one for each child.
            load.entries.truncate(first);
            load.entries.push(Entry::Delete { id: inode.id(), modified: self.context.now });
        } else {
            load.entries.push(persistence(inode.id(), PersistenceState::NotPersisted));
        }
        Ok(all)
    }

    fn mark_loaded(&self, load: &mut Load<'_>, directory: Option<&Brief>) -> Result<(), Refusal> {
        let loaded = match directory {
            Some(directory) => self.inode(directory)?.record.children_loaded(),
            None => false,
        };
        if load.request.complete && !loaded {
            let changes =
                AttributeChanges { children_loaded: Some(true), ..AttributeChanges::default() };
            load.entries.push(Entry::SetAttributes { id: load.id, changes });
        }
        Ok(())
    }
}

fn persistence(id: InodeId, state: PersistenceState) -> Entry {
    Entry::SetPersistence { id, state, fingerprint: Fingerprint::default() }
}
