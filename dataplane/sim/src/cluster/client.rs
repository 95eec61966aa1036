//! A client on a simulated machine: the real one, doing what chance says and writing down what it was
//! told.

use super::master::{Settings, USER};
use super::wire::MachineId;
use super::worker::Shelf;
use crate::dice::Dice;
use alluxio_client::options::{
    CreateDirectoryOptions, CreateFileOptions, DeleteOptions, GetStatusOptions, ListStatusOptions,
};
use alluxio_client::{ClientError, FileSystem};
use alluxio_config::Config;
use alluxio_history::{Answer, Call, Kind, Operation, Refusal};
use alluxio_host::Host;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_proto::v1::fs::{BlockWritten, CompleteFileRequest};
use alluxio_rpc::{Caller, HostPort, Primary, Repeat, RetryPolicy};
use alluxio_types::{AlluxioPath, BlockId, Code, Coded, FileStatus, InodeId, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// The names of a run: few, so that clients meet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// Directories at the top, each searched apart by the checker.
    pub(super) tops: u64,
    /// Names in a directory.
    pub(super) each: u64,
}

/// What all clients of a run were told, by the clock of the world.
#[derive(Clone, Default)]
pub(super) struct Diary {
    operations: Arc<Mutex<Vec<Operation>>>,
    /// Milliseconds of the world, which it sets.
    pub(super) now: Arc<AtomicU64>,
}

impl Diary {
    fn operations(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call that is about to be made. What happens in the same step of the world overlaps.
    fn begin(&self, client: u32, call: Call) -> usize {
        let invoked = 2 * self.now.load(Ordering::SeqCst);
        let mut operations = self.operations();
        operations.push(Operation { client, invoked, returned: 0, call, answer: None });
        operations.len() - 1
    }

    fn end(&self, index: usize, answer: Answer) {
        let returned = 2 * self.now.load(Ordering::SeqCst) + 1;
        let operation = &mut self.operations()[index];
        (operation.returned, operation.answer) = (returned, Some(answer));
    }

    pub(super) fn take(&self) -> Vec<Operation> {
        self.operations().clone()
    }
}

/// What the world and its clients say to each other.
#[derive(Clone, Default)]
pub(super) struct Orders {
    /// No more calls.
    pub(super) stop: Arc<AtomicBool>,
    /// Something that no client may be told.
    pub(super) absurd: Arc<Mutex<Option<String>>>,
}

/// Where clients bring blocks, and which of their files are complete.
#[derive(Clone, Default)]
pub(super) struct Cargo {
    pub(super) shelves: BTreeMap<MachineId, Shelf>,
    /// Blocks that were brought to any worker.
    pub(super) brought: Arc<Mutex<BTreeSet<BlockId>>>,
    /// Blocks of files that are complete, and the worker that said that it has it.
    pub(super) complete: Arc<Mutex<Vec<(BlockId, WorkerId)>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the world sees of a client.
#[derive(Clone, Default)]
pub(super) struct Standing {
    /// Calls that were answered.
    pub(super) answered: Arc<AtomicU64>,
    /// Milliseconds of the world at which the call under way was made; 0 when there is none.
    since: Arc<AtomicU64>,
    /// It was told to stop, and its last call is over.
    pub(super) done: Arc<AtomicBool>,
}

impl Standing {
    fn begin(&self, diary: &Diary) {
        self.since.store(diary.now.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// For how many milliseconds it has waited for an answer.
    pub(super) fn waits_ms(&self, now: u64) -> u64 {
        match self.since.load(Ordering::SeqCst) {
            0 => 0,
            since => now.saturating_sub(since),
        }
    }

    /// Nothing is under way in a process that is gone.
    pub(super) fn forget(&self) {
        self.since.store(0, Ordering::SeqCst);
    }
}

/// A client's process.
pub(super) struct Client {
    pub(super) number: u32,
    pub(super) settings: Settings,
    pub(super) diary: Diary,
    pub(super) orders: Orders,
    pub(super) standing: Standing,
    pub(super) names: Names,
    pub(super) cargo: Cargo,
    pub(super) seed: u64,
    /// Most milliseconds between two calls.
    pub(super) pause_max: u64,
    pub(super) patience: Duration,
}

impl Client {
    fn connect(&self, host: Host) -> FileSystem {
        let config = Config::of([
            ("alluxio.master.rpc.addresses", self.settings.addresses()),
            ("alluxio.security.login.username", USER.to_owned()),
            ("alluxio.user.file.metadata.load.type", "NEVER".to_owned()),
            ("alluxio.user.rpc.retry.max.duration", format!("{}ms", self.patience.as_millis())),
        ]);
        let config = config.and_then(|config| config.client());
        let config = config.expect("these keys and values are known");
        FileSystem::connect(config, host).expect("the user's name can be sent")
    }

    /// Makes calls until it is told to stop.
    pub(super) async fn work(self, host: Host) {
        let (dice, fs) = (Dice::new(self.seed), self.connect(host.clone()));
        let masters = self.masters(host);
        // Some only look: they see a deposed primary that still answers, and never block on it.
        let weights = match dice.chance(30) {
            true => [0, 0, 0, 0, 5, 3],
            false => dice.mix([6, 4, 3, 4, 3, 3]),
        };
        while !self.orders.stop.load(Ordering::SeqCst) {
            let call = choose(&dice, self.names, &weights);
            let creates = matches!(call, Call::Create { .. });
            let answer = self.make(&fs, call).await;
            if let (true, Some(Answer::Inode { id, .. })) = (creates, answer)
                && dice.chance(60)
            {
                self.fill(&dice, &masters, InodeId(id)).await;
            }
            tokio::time::sleep(Duration::from_millis(dice.below(self.pause_max + 1))).await;
        }
        self.standing.done.store(true, Ordering::SeqCst);
    }

    /// The way to the primary, for what the client does only beside the data protocol.
    fn masters(&self, host: Host) -> Primary {
        let addresses = self.settings.masters.iter();
        let addresses = addresses.map(|id| HostPort::parse(&self.settings.address(*id)));
        let addresses = addresses.collect::<Result<_, _>>().expect("written by us");
        let caller = Caller::new(USER).expect("the user's name can be sent");
        let policy = RetryPolicy { total: self.patience, ..RetryPolicy::default() };
        Primary::new(addresses, caller, policy, host).expect("there is a master")
    }

    /// Brings the one block of a file to a worker, and makes the file complete. Any other client, or an
    /// answer that is lost, may be in the way.
    async fn fill(&self, dice: &Dice, masters: &Primary, file: InodeId) {
        let shelves: Vec<&Shelf> = self.cargo.shelves.values().collect();
        if shelves.is_empty() {
            return;
        }
        let (block, length) = (file.block(0), dice.between(1, 200));
        lock(&self.cargo.brought).insert(block);
        let bytes = (0..length).map(|at| (at ^ file.0).to_le_bytes()[0]).collect();
        let stored = dice.pick(&shelves).deliver(block, bytes);
        let Ok(Ok(worker)) = tokio::time::timeout(self.patience, stored).await else { return };
        let written = BlockWritten { index: 0, worker_id: worker.0, tier: 0 };
        let request =
            CompleteFileRequest { id: file.0, length, blocks: vec![written], ..Default::default() };
        let complete = masters.call(Repeat::Harmful, |channel| {
            let request = request.clone();
            async move { FileSystemMasterClient::new(channel).complete_file(request).await }
        });
        match complete.await {
            Ok(_) => lock(&self.cargo.complete).push((block, worker)),
            Err(error) => tracing::debug!(%block, %error, "the file is not complete"),
        }
    }

    /// Asks the primary to hand over to another master; who says no, or nothing, has reasons.
    pub(super) async fn hand_over(self, host: Host, heir: String) {
        let handed = self.connect(host).transfer(&heir).await;
        tracing::info!(heir, ?handed, "was asked to hand over");
    }

    /// Looks at every name that there may be, so that nothing that was acknowledged is missing unseen.
    pub(super) async fn look_at_all(self, host: Host, done: Arc<AtomicBool>) {
        let (fs, itself) = (Arc::new(self.connect(host)), Arc::new(self));
        let tops = (0..itself.names.tops).map(|top| (itself.clone(), fs.clone(), top));
        let mut looks: JoinSet<()> = tops
            .map(|(itself, fs, top)| async move { itself.look_below(&fs, top).await })
            .collect();
        while looks.join_next().await.is_some() {}
        done.store(true, Ordering::SeqCst);
    }

    async fn look_below(&self, fs: &FileSystem, top: u64) {
        let each = self.names.each;
        let first = (0..each).map(|name| format!("/t{top}/n{name}"));
        for path in std::iter::once(format!("/t{top}")).chain(first.clone()) {
            while self.make(fs, Call::List { path: path.clone() }).await.is_none() {}
        }
        for directory in first {
            let below = (0..each).map(|name| format!("{directory}/n{name}"));
            for path in std::iter::once(directory.clone()).chain(below) {
                while self.make(fs, Call::Status { path: path.clone() }).await.is_none() {}
            }
        }
    }

    /// Makes a call and notes it; what was answered.
    async fn make(&self, fs: &FileSystem, call: Call) -> Option<Answer> {
        let index = self.diary.begin(self.number, call.clone());
        self.standing.begin(&self.diary);
        let answer = carry_out(fs, &call).await;
        self.standing.since.store(0, Ordering::SeqCst);
        match answer {
            Ok(answer) => {
                tracing::debug!(client = self.number, %call, ?answer, "answered");
                self.diary.end(index, answer.clone());
                self.standing.answered.fetch_add(1, Ordering::SeqCst);
                Some(answer)
            }
            Err(error) => {
                tracing::debug!(client = self.number, %call, %error, "not answered");
                if error.code() != Code::Unavailable {
                    let absurd = format!("client {}: {call}: {error}", self.number);
                    lock(&self.orders.absurd).get_or_insert(absurd);
                }
                None
            }
        }
    }
}

fn choose(dice: &Dice, names: Names, weights: &[u64; 6]) -> Call {
    let top = dice.below(names.tops);
    let name = || dice.below(names.each);
    let path = |dice: &Dice| match dice.below(8) {
        0 => format!("/t{top}"),
        1..5 => format!("/t{top}/n{}", name()),
        _ => format!("/t{top}/n{}/n{}", name(), name()),
    };
    let one = path(dice);
    match dice.weighted(weights) {
        0 => Call::Create { path: one },
        1 => Call::Mkdir { path: one },
        2 => Call::Delete { path: one, recursive: dice.chance(50) },
        3 => match path(dice) {
            // To rename something to its own name is no change, and no error either.
            to if to == one => Call::Status { path: one },
            to => Call::Rename { from: one, to },
        },
        4 => Call::Status { path: one },
        _ => Call::List { path: one },
    }
}

fn path(text: &str) -> Result<AlluxioPath, ClientError> {
    Ok(AlluxioPath::parse(text)?)
}

fn inode(status: &FileStatus) -> Answer {
    let kind = if status.is_directory() { Kind::Directory } else { Kind::File };
    Answer::Inode { kind, id: status.id.0 }
}

async fn carry_out(fs: &FileSystem, call: &Call) -> Result<Answer, ClientError> {
    let done = match call {
        Call::Create { path: at } => {
            fs.create_file(&path(at)?, &CreateFileOptions::default()).await.map(|writer| {
                let answer = inode(writer.status());
                // As a client does that dies: dropped, it would remove the file behind our back.
                std::mem::forget(writer);
                answer
            })
        }
        Call::Mkdir { path: at } => {
            let made = fs.create_directory(&path(at)?, &CreateDirectoryOptions::default()).await;
            made.map(|status| inode(&status))
        }
        Call::Delete { path: at, recursive } => {
            let options = DeleteOptions { recursive: *recursive, ..DeleteOptions::default() };
            fs.delete(&path(at)?, &options).await.map(|_| Answer::Done)
        }
        Call::Rename { from, to } => {
            fs.rename(&path(from)?, &path(to)?).await.map(|()| Answer::Done)
        }
        Call::Status { path: at } => {
            let status = fs.get_status(&path(at)?, &GetStatusOptions::default()).await;
            status.map(|status| inode(&status))
        }
        Call::List { path: at } => {
            let listed = fs.list_status(&path(at)?, &ListStatusOptions::default()).await;
            listed.map(|all| match all.as_slice() {
                // A file is listed as itself.
                [itself] if itself.path == *at => Answer::Refused(Refusal::NotADirectory),
                all => Answer::Names(all.iter().map(name_of).collect()),
            })
        }
    };
    done.or_else(|error| match error.code() {
        Code::NotFound => Ok(Answer::Refused(Refusal::NotFound)),
        Code::AlreadyExists => Ok(Answer::Refused(Refusal::AlreadyExists)),
        Code::NotEmpty => Ok(Answer::Refused(Refusal::NotEmpty)),
        Code::NotADirectory => Ok(Answer::Refused(Refusal::NotADirectory)),
        Code::InvalidArgument => Ok(Answer::Refused(Refusal::Invalid)),
        _ => Err(error),
    })
}

fn name_of(status: &FileStatus) -> String {
    let path = status.path.to_string();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
