//! Calls to a cluster, written down with what was answered and when.

use alluxio_client::blocking::FileSystem;
use alluxio_client::options::{
    CreateDirectoryOptions, CreateFileOptions, DeleteOptions, GetStatusOptions, ListStatusOptions,
};
use alluxio_client::{ClientError, Freshness, MetadataLoad};
use alluxio_history::{Answer, Call, Kind, Operation, Refusal};
use alluxio_testkit::is_outage;
use alluxio_types::{AlluxioPath, Code, Coded, FileStatus, WriteType};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The history of one cluster, with one clock for all that write to it.
pub(crate) struct Recorder {
    start: Instant,
    operations: Mutex<Vec<Operation>>,
    more: Condvar,
    /// Calls under way, by client.
    open: Mutex<BTreeMap<u32, (u64, Call)>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Recorder {
            start: Instant::now(),
            operations: Mutex::default(),
            more: Condvar::new(),
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u32, (u64, Call)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls under way, for somebody who waits too long for their end.
    pub(crate) fn unanswered(&self) -> String {
        let line = |(client, (since, call)): (&u32, &(u64, Call))| {
            let seconds = Duration::from_nanos(self.now() - since).as_secs();
            format!("\n  client {client}: {call}, for {seconds} s")
        };
        self.open().iter().map(line).collect()
    }

    /// The moment now, in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn operations(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, operation: Operation) {
        self.operations().push(operation);
        self.more.notify_all();
    }

    /// Waits until so many more calls are written down.
    pub(crate) fn wait_for(&self, calls: usize, limit: Duration) {
        let operations = self.operations();
        let target = operations.len() + calls;
        let waited = self.more.wait_timeout_while(operations, limit, |all| all.len() < target);
        let (operations, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let lacking = target.saturating_sub(operations.len());
        drop(operations);
        assert!(
            lacking == 0,
            "{lacking} of {calls} calls were not answered within {limit:?}; {}",
            self.unanswered()
        );
    }

    /// Everything so far.
    pub(crate) fn history(&self) -> Vec<Operation> {
        self.operations().clone()
    }
}

/// One client of the cluster.
pub(crate) struct Recorded<'a> {
    pub(crate) number: u32,
    pub(crate) fs: FileSystem,
    pub(crate) recorder: &'a Recorder,
}

impl Recorded<'_> {
    /// Makes a call and writes it down; the answer, if there was one.
    pub(crate) fn call(&self, call: Call) -> Option<Answer> {
        let invoked = self.recorder.now();
        self.recorder.open().insert(self.number, (invoked, call.clone()));
        let answer = answer(self.run(&call));
        self.recorder.open().remove(&self.number);
        let returned = self.recorder.now();
        let told = answer.clone();
        self.recorder.record(Operation { client: self.number, invoked, returned, call, answer });
        told
    }

    fn run(&self, call: &Call) -> Result<Answer, ClientError> {
        // Nothing here is in the under store, and nobody needs to look there.
        let freshness = Freshness { load: Some(MetadataLoad::Never), ..Freshness::default() };
        let path = |text: &str| AlluxioPath::parse(text).expect("calls have proper paths");
        match call {
            Call::Create { path: text } => {
                let write_type = Some(WriteType::MustCache);
                let options = CreateFileOptions { write_type, ..CreateFileOptions::default() };
                let writer = self.fs.create_file(&path(text), &options)?;
                let made = inode(writer.status());
                if let Err(error) = writer.close() {
                    self.closed_badly(text, &error);
                }
                Ok(made)
            }
            Call::Mkdir { path: text } => {
                let options = CreateDirectoryOptions::default();
                Ok(inode(&self.fs.create_directory(&path(text), &options)?))
            }
            Call::Delete { path: text, recursive } => {
                let options = DeleteOptions { recursive: *recursive, ..DeleteOptions::default() };
                self.fs.delete(&path(text), &options).map(|_| Answer::Done)
            }
            Call::Rename { from, to } => {
                self.fs.rename(&path(from), &path(to)).map(|()| Answer::Done)
            }
            Call::Status { path: text } => {
                let options = GetStatusOptions { freshness, without_blocks: true };
                Ok(inode(&self.fs.get_status(&path(text), &options)?))
            }
            Call::List { path: text } => {
                let options = ListStatusOptions { freshness, ..ListStatusOptions::default() };
                let listed = self.fs.list_status(&path(text), &options)?;
                if matches!(listed.as_slice(), [only] if only.path == *text) {
                    // The listing of a file is the file; to the model it is no directory.
                    return Ok(Answer::Refused(Refusal::NotADirectory));
                }
                let name = |status: &FileStatus| {
                    status.path.rsplit('/').next().unwrap_or_default().to_owned()
                };
                Ok(Answer::Names(listed.iter().map(name).collect()))
            }
        }
    }

    /// The file was made, and may have been moved or removed by others before it was complete. A
    /// client that does not know whether it is complete removes it, at any time from now on.
    fn closed_badly(&self, path: &str, error: &ClientError) {
        if is_outage(error) {
            self.recorder.record(Operation {
                client: self.number,
                invoked: self.recorder.now(),
                returned: 0,
                call: Call::Delete { path: path.to_owned(), recursive: false },
                answer: None,
            });
        }
    }
}

pub(crate) fn inode(status: &FileStatus) -> Answer {
    let kind = if status.is_directory() { Kind::Directory } else { Kind::File };
    Answer::Inode { kind, id: status.id.0 }
}

/// `None`: nobody knows whether the call took effect.
fn answer(outcome: Result<Answer, ClientError>) -> Option<Answer> {
    match outcome {
        Ok(answer) => Some(answer),
        Err(error) if is_outage(&error) => None,
        Err(error) => match refusal(error.code()) {
            Some(refusal) => Some(Answer::Refused(refusal)),
            None => panic!("an answer that nobody expects: {error}"),
        },
    }
}

pub(crate) fn refusal(code: Code) -> Option<Refusal> {
    Some(match code {
        Code::NotFound => Refusal::NotFound,
        Code::AlreadyExists => Refusal::AlreadyExists,
        Code::NotEmpty => Refusal::NotEmpty,
        Code::NotADirectory => Refusal::NotADirectory,
        Code::InvalidArgument => Refusal::Invalid,
        _ => return None,
    })
}
