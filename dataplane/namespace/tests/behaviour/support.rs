//! What the tests of the namespace share: a tree with a journal beside it.

use alluxio_namespace::{
    CompleteFile, Context, CreateDirectory, CreateFile, Error, Format, Foundation, Namespace,
    Outcome, Plan, Policy, Refusal, Request, Restorer, WrittenAttributes,
};
use alluxio_types::{
    AlluxioPath, Entry, FileStatus, Fingerprint, Identity, InodeId, JournalSeq, MountOptions,
    PersistenceState, UnixMillis, WriteType,
};
use std::sync::Arc;

pub(crate) fn path(text: &str) -> AlluxioPath {
    AlluxioPath::parse(text).unwrap()
}

/// A tree, its journal, and who works on it.
pub(crate) struct Tree {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) journal: Vec<Entry>,
    pub(crate) now: u64,
    pub(crate) who: Identity,
    pub(crate) policy: Policy,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A formatted tree of user `root`, in the heap.
    pub(crate) fn new() -> Self {
        Self::on(&Foundation::default())
    }

    /// A formatted tree of user `root`.
    pub(crate) fn on(foundation: &Foundation) -> Self {
        let mut tree = Tree {
            namespace: Arc::new(Namespace::on(foundation)),
            journal: Vec::new(),
            now: 1000,
            who: Identity::new("root", ["wheel".to_owned()]),
            policy: Policy::default(),
        };
        tree.change(Format {
            cluster_id: "c".into(),
            ufs_uri: "/ufs".into(),
            read_only: false,
            shared: false,
            options: MountOptions::default(),
            root_mode: None,
        })
        .unwrap();
        tree
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context { now: UnixMillis(self.now), who: &self.who, policy: &self.policy }
    }

    /// Plans, and applies as one entry, as the master does.
    pub(crate) fn change(&mut self, request: impl Into<Request>) -> Result<Plan, Refusal> {
        self.now += 1;
        let plan = self.namespace.plan(&request.into(), &self.context())?;
        self.apply(&plan);
        Ok(plan)
    }

    pub(crate) fn apply(&mut self, plan: &Plan) {
        match plan.entries.as_slice() {
            [] => {}
            [one] => self.push(one.clone()),
            many => self.push(Entry::Group(many.to_vec())),
        }
    }

    fn push(&mut self, entry: Entry) {
        self.journal.push(entry);
        let seq = JournalSeq(self.journal.len() as u64);
        self.namespace.apply(seq, &self.journal[self.journal.len() - 1]);
    }

    pub(crate) fn refused(&mut self, request: impl Into<Request>) -> Error {
        let before = self.namespace.state_hash();
        let error = self.change(request).expect_err("must be refused").error;
        assert_eq!(self.namespace.state_hash(), before);
        error
    }

    pub(crate) fn mkdir(&mut self, at: &str) -> InodeId {
        let request = CreateDirectory { recursive: true, ..CreateDirectory::new(path(at)) };
        id_of(&self.change(request).unwrap())
    }

    /// An incomplete file.
    pub(crate) fn create(&mut self, at: &str) -> InodeId {
        let request = CreateFile { recursive: true, ..CreateFile::new(path(at)) };
        id_of(&self.change(request).unwrap())
    }

    /// A complete file of 100 bytes that only Alluxio has.
    pub(crate) fn file(&mut self, at: &str) -> InodeId {
        let id = self.create(at);
        self.complete(id, 100, PersistenceState::NotPersisted);
        id
    }

    pub(crate) fn persisted_file(&mut self, at: &str) -> InodeId {
        let request = CreateFile {
            recursive: true,
            write_type: WriteType::CacheThrough,
            ..CreateFile::new(path(at))
        };
        let id = id_of(&self.change(request).unwrap());
        self.complete(id, 100, PersistenceState::Persisted);
        id
    }

    pub(crate) fn complete(&mut self, id: InodeId, length: u64, persistence: PersistenceState) {
        let fingerprint = match persistence {
            PersistenceState::Persisted => Fingerprint(format!("memory;len={length};version=1")),
            _ => Fingerprint::default(),
        };
        let attributes = WrittenAttributes::default();
        self.change(CompleteFile {
            id,
            length,
            persistence,
            fingerprint,
            replaces: None,
            attributes,
        })
        .unwrap();
    }

    pub(crate) fn status(&self, at: &str) -> Result<FileStatus, Error> {
        let seen = self.namespace.status(&path(at), &self.context());
        seen.map(|seen| seen.value).map_err(|refusal| refusal.error)
    }

    pub(crate) fn exists(&self, at: &str) -> bool {
        self.status(at).is_ok()
    }

    pub(crate) fn names(&self, at: &str) -> Vec<String> {
        let page = self.namespace.list(&path(at), None, usize::MAX, &self.context()).unwrap();
        page.value.entries.into_iter().map(|status| status.name).collect()
    }

    /// Replays the journal, and checks that all ways lead to the same tree.
    pub(crate) fn check(&self) {
        self.namespace.check_invariants().unwrap();
        let hash = self.namespace.state_hash();
        let replayed = Namespace::new();
        for (at, entry) in self.journal.iter().enumerate() {
            replayed.apply(JournalSeq(at as u64 + 1), entry);
        }
        replayed.check_invariants().unwrap();
        assert_eq!(replayed.state_hash(), hash, "replay leads elsewhere");
        let restored = restore(&self.namespace);
        restored.check_invariants().unwrap();
        assert_eq!(restored.state_hash(), hash, "the checkpoint leads elsewhere");
    }
}

pub(crate) fn id_of(plan: &Plan) -> InodeId {
    match plan.outcome {
        Outcome::Inode { id, .. } => id,
        other => panic!("no inode in {other:?}"),
    }
}

pub(crate) fn restore(namespace: &Arc<Namespace>) -> Namespace {
    restore_on(&Foundation::default(), namespace)
}

pub(crate) fn restore_on(foundation: &Foundation, namespace: &Arc<Namespace>) -> Namespace {
    let mut checkpoint = namespace.begin_checkpoint().unwrap();
    let mut restorer = Restorer::on(foundation);
    loop {
        let entries = checkpoint.step(100);
        if entries.is_empty() {
            break;
        }
        entries.iter().for_each(|entry| restorer.push(entry));
    }
    restorer.finish(checkpoint.seq())
}
