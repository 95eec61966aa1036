//! Clients that change a few names as fast as they can, and readers that stick to one master each.

use crate::SERVED_WITHIN;
use crate::recorder::{Recorded, Recorder, inode, refusal};
use alluxio_client::blocking::FileSystem;
use alluxio_history::{Answer, Call, Operation, Refusal, Violation};
use alluxio_host::{Entropy, Host, SeededEntropy};
use alluxio_proto::status::code_of;
use alluxio_proto::v1::fs as pb;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_rpc::primary::master_channel;
use alluxio_rpc::{Caller, HostPort};
use alluxio_testkit::Masters;
use alluxio_types::FileStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tonic::service::interceptor::InterceptedService;

/// Clients that make changes.
const CLIENTS: u32 = 4;
/// Calls on one top-level directory: a history is searched directory by directory, and a search takes
/// longer than its share when there are many.
const CALLS_PER_DIRECTORY: u64 = 600;
/// Names that clients fight for in one directory.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "d/e", "d/f"];
/// Between two questions of a reader.
const READER_PAUSE: Duration = Duration::from_millis(4);

/// Calls that are shown before the one that has no place in any order.
const LINES_OF_ORDER: usize = 60;

/// What all clients of a load share.
struct Shared {
    recorder: Recorder,
    tickets: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Running clients. Dropping it ends them.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts clients of all masters, and a reader for each master that talks to it alone.
    pub(crate) fn start(masters: &Masters, seed: u64) -> Load {
        let recorder = Recorder::new();
        let (tickets, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { recorder, tickets, stop });
        let mut threads: Vec<JoinHandle<()>> = (0..CLIENTS)
            .map(|number| {
                let (fs, shared) = (masters.client().unwrap(), shared.clone());
                let entropy = SeededEntropy::new(seed << 8 | u64::from(number));
                std::thread::spawn(move || change(number, fs, &shared, &entropy))
            })
            .collect();
        for (number, address) in (CLIENTS..).zip(masters.own_addresses()) {
            let shared = shared.clone();
            threads.push(std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(read(number, &address, &shared));
            }));
        }
        Load { shared, threads }
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    /// Ends the clients, then asks for all names once more through `fs`, and looks for an order that
    /// explains every answer. Returns how many there were.
    pub(crate) fn check(mut self, fs: FileSystem) -> usize {
        self.shared.stop.store(true, Ordering::Relaxed);
        let asked = Instant::now();
        for thread in self.threads.drain(..) {
            while !thread.is_finished() {
                let open = self.shared.recorder.unanswered();
                assert!(asked.elapsed() < SERVED_WITHIN, "unanswered: {open}");
                std::thread::sleep(READER_PAUSE);
            }
            thread.join().unwrap();
        }
        let client = Recorded { number: u32::MAX, fs, recorder: &self.shared.recorder };
        let directories = self.shared.tickets.load(Ordering::Relaxed) / CALLS_PER_DIRECTORY;
        for number in 0..=directories {
            for directory in [directory(number), format!("{}/d", directory(number))] {
                client.call(Call::List { path: directory });
            }
        }
        let history = self.shared.recorder.history();
        if let Err(violation) = alluxio_history::check(&history) {
            if let Violation::NotLinearizable { order, .. } = &violation {
                let lines: Vec<&str> = order.lines().collect();
                let last = lines[lines.len().saturating_sub(LINES_OF_ORDER)..].join("\n");
                eprintln!("the longest order that was found ends with\n{last}");
            }
            panic!("{violation}\nin a history of {} calls", history.len());
        }
        history.len()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Threads that wait for an answer end after it.
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn directory(number: u64) -> String {
    format!("/h{number}")
}

/// One client's life.
fn change(number: u32, fs: FileSystem, shared: &Shared, entropy: &SeededEntropy) {
    let client = Recorded { number, fs, recorder: &shared.recorder };
    let mut at = None;
    while !shared.stopped() {
        let ticket = shared.tickets.fetch_add(1, Ordering::Relaxed) / CALLS_PER_DIRECTORY;
        let top = directory(ticket);
        if at != Some(ticket) {
            at = Some(ticket);
            client.call(Call::Mkdir { path: top.clone() });
        }
        let any = || format!("{top}/{}", NAMES[entropy.below(NAMES.len() as u64) as usize]);
        client.call(match entropy.below(16) {
            0..5 => Call::Create { path: any() },
            5..7 => Call::Mkdir { path: format!("{top}/d") },
            7..10 => Call::Delete { path: any(), recursive: entropy.below(2) == 0 },
            10..12 => Call::Rename { from: any(), to: any() },
            12..15 => Call::Status { path: any() },
            _ => Call::List { path: top.clone() },
        });
    }
}

/// Asks one master only. Its refusals to answer are no answers; an answer that it must not give,
/// because another one is the primary by then, would be an old one.
async fn read(number: u32, address: &str, shared: &Shared) {
    let channel = master_channel(&Host::real().net, &HostPort::parse(address).unwrap()).unwrap();
    let caller = Caller::new("reader").unwrap();
    let mut master = FileSystemMasterClient::new(InterceptedService::new(channel, caller));
    while !shared.stopped() {
        let ticket = shared.tickets.load(Ordering::Relaxed) / CALLS_PER_DIRECTORY;
        let path = format!("{}/a", directory(ticket));
        let request = pb::GetStatusRequest {
            path: path.clone(),
            without_blocks: true,
            ..pb::GetStatusRequest::default()
        };
        let invoked = shared.recorder.now();
        let answer = match master.get_status(request).await {
            Ok(response) => {
                let status = response.into_inner().status.unwrap();
                Some(inode(&FileStatus::try_from(status).unwrap()))
            }
            Err(status) => match refusal(code_of(&status)) {
                Some(Refusal::NotFound) => Some(Answer::Refused(Refusal::NotFound)),
                _ => None,
            },
        };
        if answer.is_some() {
            let (returned, call) = (shared.recorder.now(), Call::Status { path });
            shared.recorder.record(Operation { client: number, invoked, returned, call, answer });
        }
        tokio::time::sleep(READER_PAUSE).await;
    }
}
