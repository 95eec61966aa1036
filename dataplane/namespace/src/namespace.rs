//! The structure that holds the tree, and its locks.
//!
//! | lock | held by the writer | held by a reader |
//! |---|---|---|
//! | `structure` | while directories move or go, or mounts change | only after three attempts without it met such a change |
//! | a shard | for one change in it | for one lookup, one copy, or part of a page |
//! | a part of the id index | for one entry | for one look |
//!
//! A reader holds at most one of the last two, and takes `structure` before them. The writer takes
//! `structure` before anything else, then at most one shard, then for one entry a part of the id
//! index or what is kept for a checkpoint. So nobody waits in a circle.
//!
//! `epoch` is odd while `structure` is held by the writer. A reader notes an even epoch, walks,
//! and starts again when it has changed: a path that it resolved half before and half after a
//! rename may never have existed.

use crate::answers::Answers;
use crate::mount_table::MountTable;
use crate::quotas::Quotas;
use crate::sets::Sets;
use crate::table::fingerprint::Shapes;
use crate::table::ids::{Ids, Location, read, write};
use crate::table::intern::Interner;
use crate::table::record::Perm;
use crate::table::shard::Shard;
use crate::{Context, Plan, Refusal, Request, Seen};
use alluxio_host::TableMemory;
use alluxio_types::{Answer, InodeId, Intent, JournalSeq, MountId, MountInfo, OperationId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Number of shards. More would serve more readers of one instant; each costs a partly filled
/// chunk per table, and bits of a location.
pub(crate) const SHARDS: usize = 1 << crate::table::ids::SHARD_BITS;

/// The tree. One writer, many readers; see the crate's page.
pub struct Namespace {
    shards: Box<[RwLock<Shard>]>,
    pub(crate) ids: Ids,
    pub(crate) perms: Interner<Perm>,
    pub(crate) shapes: Shapes,
    pub(crate) sets: Sets,
    pub(crate) quotas: Quotas,
    pub(crate) answers: Answers,
    /// Intents that are open, by id: a handful.
    pub(crate) intents: Mutex<BTreeMap<u64, Intent>>,
    mounts: RwLock<Arc<MountTable>>,
    structure: RwLock<()>,
    epoch: AtomicU64,
    pub(crate) cluster: Mutex<Option<Cluster>>,
    pub(crate) counters: Counters,
    pub(crate) snapshot: Mutex<Option<crate::checkpoint::Snapshot>>,
}

/// Who the journal belongs to, from its first entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) at: alluxio_types::UnixMillis,
}

/// Numbers that only the writer changes.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Last position applied.
    pub(crate) applied: AtomicU64,
    /// Position of the last entry that took an inode away: what a miss by id depends on.
    pub(crate) removed: AtomicU64,
    /// First container that was never given out.
    pub(crate) next_container: AtomicU64,
    pub(crate) files: AtomicU64,
    pub(crate) directories: AtomicU64,
    pub(crate) file_bytes: AtomicU64,
    /// Where the root's record is, plus 1; 0 before it exists. It never moves.
    pub(crate) root: AtomicU64,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Files and directories, the root included.
    pub inodes: u64,
    /// Files.
    pub files: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Sum of the lengths of all complete files.
    pub file_bytes: u64,
    /// Pinned files.
    pub pinned: u64,
    /// Files on the list of what must reach the UFS.
    pub to_be_persisted: u64,
    /// Memory of the tables, by their capacity.
    pub memory_bytes: u64,
}

/// What a tree is built on.
#[derive(Debug, Clone, Default)]
pub struct Foundation {
    /// Where its tables lie.
    pub memory: TableMemory,
    /// Any number; one that nobody can guess keeps names from being chosen to collide. No answer
    /// depends on it.
    pub hash_seed: u64,
}

impl Default for Namespace {
    fn default() -> Self {
        Self::on(&Foundation::default())
    }
}

impl Namespace {
    /// An empty tree, not formatted.
    pub fn on(foundation: &Foundation) -> Self {
        let Foundation { memory, hash_seed } = foundation;
        Namespace {
            shards: (0..SHARDS).map(|_| RwLock::new(Shard::new(memory, *hash_seed))).collect(),
            ids: Ids::new(memory.clone()),
            perms: Interner::default(),
            shapes: Shapes::default(),
            sets: Sets::default(),
            quotas: Quotas::default(),
            answers: Answers::default(),
            intents: Mutex::default(),
            mounts: RwLock::default(),
            structure: RwLock::default(),
            epoch: AtomicU64::new(0),
            cluster: Mutex::new(None),
            counters: Counters::default(),
            snapshot: Mutex::new(None),
        }
    }
}

impl std::fmt::Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files = self.counters.files.load(Ordering::Relaxed);
        f.debug_struct("Namespace")
            .field("applied", &self.applied())
            .field("files", &files)
            .finish_non_exhaustive()
    }
}

/// The shard of a directory's names.
pub(crate) fn shard_of(directory: u64) -> usize {
    // Fibonacci hashing: containers that follow each other land in different shards.
    (directory.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - crate::table::ids::SHARD_BITS)) as usize
}

impl Namespace {
    /// An empty tree in the heap, not formatted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides on a request and changes nothing. Only the writer calls it, and applies the
    /// entries, in order, before the next `plan`.
    ///
    /// **Errors**: a typed refusal, with the position that it depends on.
    pub fn plan(&self, request: &Request, context: &Context<'_>) -> Result<Plan, Refusal> {
        crate::plan::plan(self, request, context)
    }

    /// What a change with this operation id was answered, and the position that the answer depends on,
    /// if it is among the last 100,000 changes that had an id.
    pub fn answered(&self, operation: OperationId) -> Option<Seen<Answer>> {
        let row = self.answers.get(operation)?;
        Some(Seen { value: row.answer, seq: JournalSeq(row.seq) })
    }

    /// Intents that are open, in order of id: what may be half done in the UFS.
    pub fn intents(&self) -> Vec<Intent> {
        self.intents_that(|_| true)
    }

    /// Those of [`Namespace::intents`] for which `concern` holds.
    pub fn intents_that(&self, concern: impl Fn(&Intent) -> bool) -> Vec<Intent> {
        let open = self.intents.lock().expect("guards plain data, nothing panics under it");
        open.values().filter(|intent| concern(intent)).cloned().collect()
    }

    /// Highest position applied.
    pub fn applied(&self) -> JournalSeq {
        JournalSeq(self.counters.applied.load(Ordering::Acquire))
    }

    /// The cluster's id; `None` before `Format`.
    pub fn cluster_id(&self) -> Option<String> {
        self.cluster_facts().map(|cluster| cluster.id)
    }

    pub(crate) fn cluster_facts(&self) -> Option<Cluster> {
        self.cluster.lock().expect("guards one assignment").clone()
    }

    /// How much there is. Counters, but for the memory, which looks at every directory: ask once in
    /// a minute, not per call.
    pub fn stats(&self) -> Stats {
        let files = self.counters.files.load(Ordering::Relaxed);
        let directories = self.counters.directories.load(Ordering::Relaxed);
        let (pinned, to_be_persisted) = self.sets.counts();
        Stats {
            inodes: files + directories,
            files,
            directories,
            file_bytes: self.counters.file_bytes.load(Ordering::Relaxed),
            pinned,
            to_be_persisted,
            memory_bytes: self.memory_bytes(),
        }
    }

    /// Bytes that the tables take, by their capacity. Allocator overhead is not in it.
    pub fn memory_bytes(&self) -> u64 {
        let shards: usize = (0..SHARDS).map(|at| self.shard(at).memory_bytes()).sum();
        let rest = self.ids.memory_bytes()
            + self.perms.memory_bytes()
            + self.shapes.memory_bytes()
            + self.sets.memory_bytes()
            + self.answers.memory_bytes();
        (shards + rest) as u64
    }

    /// The mount with that id.
    pub fn mount_by_id(&self, id: MountId) -> Option<Arc<MountInfo>> {
        self.mount_table().by_id(id).map(|row| Arc::clone(&row.info))
    }

    pub(crate) fn mount_table(&self) -> Arc<MountTable> {
        Arc::clone(&read(&self.mounts))
    }

    /// Only within [`Namespace::change_structure`].
    pub(crate) fn set_mount_table(&self, table: MountTable) {
        *write(&self.mounts) = Arc::new(table);
    }

    pub(crate) fn shard(&self, at: usize) -> RwLockReadGuard<'_, Shard> {
        read(&self.shards[at])
    }

    pub(crate) fn shard_mut(&self, at: usize) -> RwLockWriteGuard<'_, Shard> {
        write(&self.shards[at])
    }

    pub(crate) fn root_location(&self) -> Option<Location> {
        let packed = self.counters.root.load(Ordering::Acquire).checked_sub(1)?;
        let slot = u32::try_from(packed).expect("a slot is a u32");
        Some(Location::new(shard_of(InodeId::ROOT.container()), slot))
    }

    /// Runs a change that readers must not see half of: they start again.
    pub(crate) fn change_structure<T>(&self, change: impl FnOnce() -> T) -> T {
        let _alone = write(&self.structure);
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let done = change();
        self.epoch.fetch_add(1, Ordering::SeqCst);
        done
    }

    /// Runs a read that takes several locks one after the other, again when the structure changed
    /// meanwhile.
    pub(crate) fn consistent<T>(
        &self,
        attempt: impl Fn() -> Result<T, Stop>,
    ) -> Result<T, Refusal> {
        for _ in 0..OPTIMISTIC_ATTEMPTS {
            let epoch = self.epoch.load(Ordering::SeqCst);
            if epoch % 2 == 1 {
                std::hint::spin_loop();
                continue;
            }
            let answer = attempt();
            if self.epoch.load(Ordering::SeqCst) != epoch {
                continue;
            }
            match answer {
                Ok(value) => return Ok(value),
                Err(Stop::Refused(refusal)) => return Err(refusal),
                Err(Stop::Gone) => {}
            }
        }
        let _still = read(&self.structure);
        for _ in 0..LOCKED_ATTEMPTS {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Stop::Refused(refusal)) => return Err(refusal),
                Err(Stop::Gone) => {}
            }
        }
        Err(Refusal::new(crate::Error::Contended, self.applied()))
    }
}

/// Attempts of a read before it holds the writer's structural changes up.
const OPTIMISTIC_ATTEMPTS: usize = 3;
/// Attempts after that. Only files can still go, each attempt can meet one, and the next finds its
/// name missing; so the second succeeds unless names are made and removed all the time.
const LOCKED_ATTEMPTS: usize = 16;

/// Why a read could not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// What an index pointed to is not there any more: look again.
    Gone,
    /// An answer.
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inode::Brief;
    use crate::resolve::Child;
    use crate::{CreateDirectory, CreateFile, Delete, Format, Rename};
    use alluxio_types::{AlluxioPath, Entry, Identity, MountOptions, UnixMillis};
    use std::cell::Cell;

    fn path(text: &str) -> AlluxioPath {
        AlluxioPath::parse(text).unwrap()
    }

    /// Plans and applies, as the writer between two steps of a reader.
    fn change(namespace: &Namespace, request: impl Into<Request>) {
        let (who, policy) = (Identity::new("root", []), crate::Policy::default());
        let context = Context { now: UnixMillis(1), who: &who, policy: &policy };
        let plan = namespace.plan(&request.into(), &context).unwrap();
        namespace.apply(namespace.applied().next(), &Entry::Group(plan.entries));
    }

    fn rename(namespace: &Namespace, source: &str, target: &str) {
        let (source, target) = (path(source), path(target));
        change(namespace, Rename { source, target, replace: false, expected: None });
    }

    /// `/p/m` and `/q` are directories, `/f` is a file.
    fn tree() -> Namespace {
        let namespace = Namespace::new();
        change(
            &namespace,
            Format {
                cluster_id: "c".into(),
                ufs_uri: "/ufs".into(),
                read_only: false,
                shared: false,
                options: MountOptions::default(),
                root_mode: None,
            },
        );
        for at in ["/p/m", "/q"] {
            let request = CreateDirectory { recursive: true, ..CreateDirectory::new(path(at)) };
            change(&namespace, request);
        }
        change(&namespace, CreateFile::new(path("/f")));
        namespace
    }

    fn step(namespace: &Namespace, at: &Brief, name: &str) -> Result<Option<Brief>, Stop> {
        Ok(match namespace.child(at, name, Brief::of)? {
            Child::Found(found) => Some(found),
            Child::Missing(_) => None,
        })
    }

    /// Resolves `/p/m/f` in steps; between the second and the third of the first attempt, `between`
    /// runs. Returns what was found and the number of attempts.
    fn resolve_with(
        namespace: &Namespace,
        between: impl Fn(&Namespace),
    ) -> (Result<bool, Refusal>, u32) {
        let attempts = Cell::new(0);
        let found = namespace.consistent(|| {
            attempts.set(attempts.get() + 1);
            let root = namespace.root_or_refuse()?;
            let Some(p) = step(namespace, &root, "p")? else { return Ok(false) };
            let Some(m) = step(namespace, &p, "m")? else { return Ok(false) };
            if attempts.get() == 1 {
                between(namespace);
            }
            Ok(step(namespace, &m, "f")?.is_some())
        });
        (found, attempts.get())
    }

    #[test]
    fn a_read_that_a_rename_cut_in_two_starts_again() {
        let namespace = tree();
        let (found, attempts) = resolve_with(&namespace, |namespace| {
            rename(namespace, "/p/m", "/q/m");
            rename(namespace, "/f", "/q/m/f");
        });
        assert_eq!((found, attempts), (Ok(false), 2), "/p/m/f has never existed");
    }

    #[test]
    fn a_read_that_a_delete_cut_in_two_starts_again() {
        let namespace = tree();
        let (found, attempts) = resolve_with(&namespace, |namespace| {
            change(
                namespace,
                Delete {
                    path: path("/p"),
                    recursive: true,
                    alluxio_only: false,
                    delete_mount_points: false,
                    expected: None,
                },
            );
        });
        assert_eq!((found, attempts), (Ok(false), 2));
    }

    #[test]
    fn a_read_beside_a_create_goes_on() {
        let namespace = tree();
        let (found, attempts) = resolve_with(&namespace, |namespace| {
            change(namespace, CreateFile::new(path("/p/m/f")));
        });
        assert_eq!((found, attempts), (Ok(true), 1));
    }

    #[test]
    fn a_read_that_meets_a_rename_on_every_attempt_holds_the_structure_still() {
        let namespace = tree();
        let attempts = Cell::new(0);
        let done = namespace.consistent(|| {
            attempts.set(attempts.get() + 1);
            let (from, to) = if attempts.get() % 2 == 1 { ("/q", "/r") } else { ("/r", "/q") };
            if attempts.get() <= OPTIMISTIC_ATTEMPTS {
                rename(&namespace, from, to);
            } else {
                assert!(namespace.structure.try_write().is_err(), "a rename has to wait now");
            }
            Ok(())
        });
        assert_eq!((done, attempts.get()), (Ok(()), OPTIMISTIC_ATTEMPTS + 1));
    }
}
