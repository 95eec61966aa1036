//! A store that misbehaves on command, for tests of the callers.
//!
//! A [`FaultPlan`] is a shared list of rules. Each call looks for the first rule that fits its
//! operation and path and still has shots left; that rule decides what happens.

use crate::error::{Error, Result};
use crate::facts::{Capabilities, Space, UfsAttributes, UfsEntry, UfsFacts, UfsKind};
use crate::under_fs::{ByteStream, CreateOptions, EntryStream, MkdirOptions, UfsWriter, UnderFs};
use alluxio_types::Fingerprint;
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Operations that a rule can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `status` and `exists`.
    Status,
    /// `list`.
    List,
    /// `read_range`.
    Read,
    /// `create`, and `write` of the file so made.
    Write,
    /// `finish` of a file so made.
    Finish,
    /// `mkdir`.
    Mkdir,
    /// `delete_file` and `delete_dir`.
    Delete,
    /// `rename_file` and `rename_dir`.
    Rename,
    /// `set_attributes`.
    SetAttributes,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with this error; a reader's stream does not even begin.
    Fail(Error),
    /// The call waits first. How it waits is the hook's business.
    Delay(Duration),
    /// A reader gets this many bytes and then `Unavailable`.
    TruncateRead(u64),
    /// A listing shows what the same directory showed the last time it was listed through this
    /// wrapper, or nothing at all if it never was: an eventually consistent store.
    StaleList,
    /// The call does its work and then reports `Unavailable`: the answer got lost.
    LoseAnswer,
}

/// One line of a plan.
#[derive(Debug, Clone)]
struct Rule {
    operation: Operation,
    path_contains: String,
    shots: u64,
    fault: Fault,
}

/// How [`Fault::Delay`] waits: with the test's own clock.
pub type DelayHook = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// The shared list of rules. Clones share it.
#[derive(Clone, Default)]
pub struct FaultPlan {
    rules: Arc<Mutex<Vec<Rule>>>,
}

impl FaultPlan {
    /// A plan under which nothing goes wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule for the next `shots` calls of `operation` on a path that contains
    /// `path_contains` (empty: any).
    pub fn add(&self, operation: Operation, path_contains: &str, shots: u64, fault: Fault) {
        let path_contains = path_contains.to_owned();
        self.rules().push(Rule { operation, path_contains, shots, fault });
    }

    /// Drops all rules.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Calls that the rules are still waiting for.
    pub fn shots_left(&self) -> u64 {
        self.rules().iter().map(|rule| rule.shots).sum()
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().expect("no panic happens under this lock")
    }

    fn next(&self, operation: Operation, path: &str) -> Option<Fault> {
        let mut rules = self.rules();
        let rule = rules.iter_mut().find(|rule| {
            rule.operation == operation
                && rule.shots > 0
                && path.contains(rule.path_contains.as_str())
        })?;
        rule.shots -= 1;
        Some(rule.fault.clone())
    }
}

/// A store that passes everything on, except where its plan says otherwise.
pub struct FaultyUfs {
    inner: Arc<dyn UnderFs>,
    control: Control,
    /// What each directory showed last, for [`Fault::StaleList`].
    shown: Mutex<BTreeMap<String, Vec<UfsEntry>>>,
}

#[derive(Clone)]
struct Control {
    plan: FaultPlan,
    delay: DelayHook,
}

impl FaultyUfs {
    /// `inner`, misbehaving as `plan` says; delays are really waited for.
    pub fn new(inner: Arc<dyn UnderFs>, plan: FaultPlan) -> Self {
        Self::with_delay(inner, plan, Arc::new(|time| Box::pin(tokio::time::sleep(time))))
    }

    /// As [`FaultyUfs::new`], with another way to wait.
    pub fn with_delay(inner: Arc<dyn UnderFs>, plan: FaultPlan, delay: DelayHook) -> Self {
        FaultyUfs { inner, control: Control { plan, delay }, shown: Mutex::default() }
    }

    async fn remember(&self, path: &str, stream: EntryStream) -> Result<Vec<UfsEntry>> {
        let entries: Vec<UfsEntry> = stream.try_concat().await?;
        self.shown
            .lock()
            .expect("no panic happens under this lock")
            .insert(path.to_owned(), entries.clone());
        Ok(entries)
    }
}

/// What is left to do after the plan was asked.
enum Verdict {
    Proceed,
    LoseAnswer,
    Truncate(u64),
    Stale,
}

impl Control {
    async fn ask(&self, operation: Operation, path: &str) -> Result<Verdict> {
        match self.plan.next(operation, path) {
            None => Ok(Verdict::Proceed),
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::Delay(time)) => {
                (self.delay)(time).await;
                Ok(Verdict::Proceed)
            }
            Some(Fault::TruncateRead(bytes)) => Ok(Verdict::Truncate(bytes)),
            Some(Fault::StaleList) => Ok(Verdict::Stale),
            Some(Fault::LoseAnswer) => Ok(Verdict::LoseAnswer),
        }
    }
}

fn lost(path: &str) -> Error {
    Error::Unavailable { uri: path.to_owned(), detail: "injected fault".to_owned() }
}

fn answer<T>(verdict: Verdict, path: &str, value: T) -> Result<T> {
    match verdict {
        Verdict::LoseAnswer => Err(lost(path)),
        Verdict::Proceed | Verdict::Truncate(_) | Verdict::Stale => Ok(value),
    }
}

#[async_trait]
impl UnderFs for FaultyUfs {
    fn kind(&self) -> UfsKind {
        self.inner.kind()
    }

    fn root(&self) -> &str {
        self.inner.root()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn status(&self, path: &str) -> Result<UfsFacts> {
        let verdict = self.control.ask(Operation::Status, path).await?;
        answer(verdict, path, self.inner.status(path).await?)
    }

    async fn list(&self, path: &str, recursive: bool) -> Result<EntryStream> {
        let verdict = self.control.ask(Operation::List, path).await?;
        let key = format!("{recursive}:{path}");
        if matches!(verdict, Verdict::Stale) {
            let shown = self.shown.lock().expect("no panic happens under this lock");
            let old = shown.get(&key).cloned().unwrap_or_default();
            return Ok(one_batch(old));
        }
        let entries = self.remember(&key, self.inner.list(path, recursive).await?).await?;
        answer(verdict, path, one_batch(entries))
    }

    async fn read_range(
        &self,
        path: &str,
        offset: u64,
        length: u64,
        expected: &Fingerprint,
    ) -> Result<ByteStream> {
        let verdict = self.control.ask(Operation::Read, path).await?;
        let stream = self.inner.read_range(path, offset, length, expected).await?;
        match verdict {
            Verdict::Truncate(bytes) => Ok(truncate(stream, bytes, path.to_owned())),
            other => answer(other, path, stream),
        }
    }

    async fn create(&self, path: &str, options: CreateOptions) -> Result<Box<dyn UfsWriter>> {
        let verdict = self.control.ask(Operation::Write, path).await?;
        let inner = self.inner.create(path, options).await?;
        let control = self.control.clone();
        answer(verdict, path, Box::new(FaultyWriter { inner, control, path: path.to_owned() }))
    }

    async fn create_new(&self, path: &str, bytes: Bytes) -> Result<()> {
        let verdict = self.control.ask(Operation::Finish, path).await?;
        answer(verdict, path, self.inner.create_new(path, bytes).await?)
    }

    async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<()> {
        let verdict = self.control.ask(Operation::Mkdir, path).await?;
        answer(verdict, path, self.inner.mkdir(path, options).await?)
    }

    async fn delete_file(&self, path: &str) -> Result<()> {
        let verdict = self.control.ask(Operation::Delete, path).await?;
        answer(verdict, path, self.inner.delete_file(path).await?)
    }

    async fn delete_dir(&self, path: &str, recursive: bool) -> Result<()> {
        let verdict = self.control.ask(Operation::Delete, path).await?;
        answer(verdict, path, self.inner.delete_dir(path, recursive).await?)
    }

    async fn rename_file(&self, from: &str, to: &str) -> Result<UfsFacts> {
        let verdict = self.control.ask(Operation::Rename, from).await?;
        answer(verdict, from, self.inner.rename_file(from, to).await?)
    }

    async fn rename_dir(&self, from: &str, to: &str) -> Result<()> {
        let verdict = self.control.ask(Operation::Rename, from).await?;
        answer(verdict, from, self.inner.rename_dir(from, to).await?)
    }

    async fn set_attributes(&self, path: &str, attributes: &UfsAttributes) -> Result<UfsFacts> {
        let verdict = self.control.ask(Operation::SetAttributes, path).await?;
        answer(verdict, path, self.inner.set_attributes(path, attributes).await?)
    }

    async fn space(&self) -> Result<Option<Space>> {
        self.inner.space().await
    }
}

struct FaultyWriter {
    inner: Box<dyn UfsWriter>,
    control: Control,
    path: String,
}

#[async_trait]
impl UfsWriter for FaultyWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let verdict = self.control.ask(Operation::Write, &self.path).await?;
        answer(verdict, &self.path, self.inner.write(bytes).await?)
    }

    async fn finish(self: Box<Self>) -> Result<UfsFacts> {
        let verdict = self.control.ask(Operation::Finish, &self.path).await?;
        answer(verdict, &self.path, self.inner.finish().await?)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}

fn one_batch(entries: Vec<UfsEntry>) -> EntryStream {
    let batches = if entries.is_empty() { vec![] } else { vec![Ok(entries)] };
    futures::stream::iter(batches).boxed()
}

/// The first `bytes` of `stream`, then an error.
fn truncate(stream: ByteStream, bytes: u64, path: String) -> ByteStream {
    let cut = futures::stream::unfold(Some((stream, bytes)), move |state| {
        let path = path.clone();
        async move {
            let (mut stream, room) = state?;
            if room == 0 {
                return Some((Err(lost(&path)), None));
            }
            match stream.next().await? {
                Ok(mut piece) => {
                    piece.truncate(usize::try_from(room).unwrap_or(usize::MAX));
                    let room = room - piece.len() as u64;
                    Some((Ok(piece), Some((stream, room))))
                }
                Err(error) => Some((Err(error), None)),
            }
        }
    });
    cut.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Fixture, refused};
    use crate::memory::MemoryUfs;
    use alluxio_host::SystemClock;

    fn store() -> (Fixture, FaultPlan) {
        let inner = MemoryUfs::new("memory://m/d", Arc::new(SystemClock::new())).unwrap();
        let plan = FaultPlan::new();
        (Fixture::new(Arc::new(FaultyUfs::new(Arc::new(inner), plan.clone()))), plan)
    }

    async fn fixture() -> Fixture {
        store().0
    }

    crate::conformance_tests!(fixture);

    #[tokio::test]
    async fn a_rule_hits_its_operation_and_path_as_often_as_it_says() {
        let (fixture, plan) = store();
        fixture.put("a", "x").await;
        fixture.put("b", "x").await;
        let error = Error::Busy { uri: "a".into(), detail: "503".into() };
        plan.add(Operation::Status, "/a", 2, Fault::Fail(error.clone()));
        assert!(fixture.exists("b").await);
        for _ in 0..2 {
            assert_eq!(fixture.ufs.status(&fixture.path("a")).await, Err(error.clone()));
        }
        assert!(fixture.exists("a").await);
        assert_eq!(plan.shots_left(), 0);
    }

    #[tokio::test]
    async fn a_stale_listing_shows_what_was_there_before() {
        let (fixture, plan) = store();
        fixture.put("d/old", "x").await;
        assert_eq!(fixture.names("d", false).await, ["old"]);
        fixture.put("d/new", "x").await;
        plan.add(Operation::List, "", 1, Fault::StaleList);
        assert_eq!(fixture.names("d", false).await, ["old"]);
        assert_eq!(fixture.names("d", false).await, ["new", "old"]);
    }

    #[tokio::test]
    async fn a_cut_read_yields_its_first_bytes_and_then_an_error() {
        let (fixture, plan) = store();
        fixture.put("a", "0123456789").await;
        plan.add(Operation::Read, "", 1, Fault::TruncateRead(4));
        let empty = Fingerprint::default();
        let stream = fixture.ufs.read_range(&fixture.path("a"), 0, 10, &empty).await.unwrap();
        let pieces: Vec<Result<Bytes>> = stream.collect().await;
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].as_deref(), Ok(&b"0123"[..]));
        assert!(matches!(pieces[1], Err(Error::Unavailable { .. })));
        assert!(fixture.read("a", 0, 10).await.is_ok());
    }

    #[tokio::test]
    async fn a_lost_answer_hides_work_that_was_done() {
        let (fixture, plan) = store();
        plan.add(Operation::Mkdir, "", 1, Fault::LoseAnswer);
        let made = fixture.ufs.mkdir(&fixture.path("d"), MkdirOptions::recursive()).await;
        refused("a lost answer", made, Error::is_temporary);
        assert!(fixture.exists("d").await);
    }

    #[tokio::test]
    async fn a_delay_waits_by_the_hook() {
        let inner = MemoryUfs::new("memory://m/d", Arc::new(SystemClock::new())).unwrap();
        let waited = Arc::new(Mutex::new(Vec::new()));
        let (plan, log) = (FaultPlan::new(), waited.clone());
        let hook: DelayHook = Arc::new(move |time| {
            log.lock().unwrap().push(time);
            Box::pin(async {})
        });
        let ufs = FaultyUfs::with_delay(Arc::new(inner), plan.clone(), hook);
        plan.add(Operation::Status, "", 1, Fault::Delay(Duration::from_secs(3600)));
        assert!(ufs.status("memory://m/d").await.is_ok());
        assert_eq!(*waited.lock().unwrap(), [Duration::from_secs(3600)]);
    }
}
