//! The same with the real kernel: a relay stands between it and the server, which can so be dropped at
//! any moment. What it had not answered, the kernel gives out again to the next one.

use crate::guard::{Guard, bounded, mounted};
use crate::kernel::{Server, serve_on};
use alluxio_fuse::options::Commit;
use alluxio_fuse::session::{Connection, Negotiated, Wish};
use alluxio_testkit::LocalCluster;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The kernel's descriptor, and the socket of the server that is alive.
struct Wire {
    device: OwnedFd,
    server: Mutex<Option<OwnedFd>>,
    ended: AtomicBool,
}

impl Wire {
    /// From the kernel to the server. A request that was read when there was none is given out again.
    fn down(&self) {
        let mut bytes = vec![0; 2 << 20];
        while !self.ended.load(Ordering::Relaxed) {
            let mut polled = [PollFd::new(&self.device, PollFlags::IN)];
            let wait = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            if poll(&mut polled, Some(&wait)) == Ok(0) {
                continue;
            }
            // Nobody takes over between reading and sending.
            let server = self.server.lock().unwrap();
            let Some(socket) = &*server else {
                drop(server);
                std::thread::yield_now();
                continue;
            };
            match rustix::io::read(&self.device, &mut bytes) {
                Ok(length) => {
                    let _ = rustix::net::send(socket, &bytes[..length], SendFlags::empty());
                }
                Err(rustix::io::Errno::NODEV) => return,
                Err(_) => {}
            }
        }
    }

    /// From one server to the kernel, until it is gone.
    fn up(&self, socket: &OwnedFd) {
        let mut bytes = vec![0; 2 << 20];
        loop {
            match rustix::io::read(socket, &mut bytes) {
                Ok(0) | Err(_) => return,
                // Answers to requests that were given out again are refused, which is as it should be.
                Ok(length) => drop(rustix::io::write(&self.device, &bytes[..length])),
            }
        }
    }
}

struct Mount {
    cluster: Option<LocalCluster>,
    runtime: tokio::runtime::Runtime,
    guard: Option<Guard>,
    wire: Arc<Wire>,
    threads: Vec<JoinHandle<()>>,
    server: Option<Server>,
    negotiated: Negotiated,
    staging: PathBuf,
    commit: Commit,
}

impl Mount {
    fn new(commit: Commit) -> Option<Self> {
        let (guard, device) = mounted()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let properties = [
            ("alluxio.worker.ramdisk.size", "256MB"),
            ("alluxio.user.block.size.bytes.default", "1MB"),
        ];
        let cluster = runtime.block_on(LocalCluster::with(1, properties)).unwrap();
        // What a socket carries in one piece.
        let wish = Wish { max_write: 1 << 17, passthrough: false, ..Wish::default() };
        let connection = Connection::begin(device, &wish).unwrap();
        let negotiated = *connection.negotiated();
        let device = connection.descriptors().next().unwrap().try_clone_to_owned().unwrap();
        drop(connection);
        rustix::io::ioctl_fionbio(&device, true).unwrap();
        let wire =
            Arc::new(Wire { device, server: Mutex::new(None), ended: AtomicBool::new(false) });
        let down = wire.clone();
        let threads = vec![std::thread::spawn(move || down.down())];
        let staging = cluster.dir().join("staging");
        let guard = Some(guard);
        let (cluster, server) = (Some(cluster), None);
        let mut mount =
            Mount { cluster, runtime, guard, wire, threads, server, negotiated, staging, commit };
        mount.go_on();
        Some(mount)
    }

    fn root(&self) -> &Path {
        self.guard.as_ref().unwrap().path()
    }

    fn kill(&mut self) {
        *self.wire.server.lock().unwrap() = None;
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    fn go_on(&mut self) {
        let cluster = self.cluster.as_ref().unwrap();
        let (server, socket) = serve_on(cluster, &self.staging, self.negotiated, self.commit);
        let mine = socket.as_fd().try_clone_to_owned().unwrap();
        let wire = self.wire.clone();
        // Its first word, that it goes on, is in the socket: the kernel hears it before it gives out more.
        let mut first = [0; 64];
        let length = rustix::io::read(&socket, &mut first).unwrap();
        rustix::io::write(&wire.device, &first[..length]).unwrap();
        *wire.server.lock().unwrap() = Some(socket);
        self.threads.push(std::thread::spawn(move || wire.up(&mine)));
        self.server = Some(server);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(self.guard.take());
        self.wire.ended.store(true, Ordering::Relaxed);
        self.kill();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(cluster) = self.cluster.take() {
            self.runtime.block_on(cluster.stop());
        }
    }
}

/// Bytes that tell whose they are.
fn content(writer: usize, round: usize) -> Vec<u8> {
    let length = 1000 + (writer * 7919 + round * 104_729) % 400_000;
    (0..length).map(|at| (at / 7 + writer * 31 + round * 17) as u8).collect()
}

/// New files, read back.
fn makes_files(root: &Path, writer: usize, over: &AtomicBool) -> usize {
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        let path = root.join(format!("new-{writer}-{round}"));
        let bytes = content(writer, round);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        for piece in bytes.chunks(70_000) {
            file.write_all(piece).unwrap();
        }
        drop(file);
        assert!(fs::read(&path).unwrap() == bytes, "{}", path.display());
        round += 1;
    }
    round
}

/// One file that stays open: written in place, synced, read back.
fn changes_a_file(root: &Path, writer: usize, over: &AtomicBool) -> usize {
    let path = root.join(format!("kept-{writer}"));
    let mut options = OpenOptions::new();
    let file: File = options.read(true).write(true).create_new(true).open(&path).unwrap();
    let mut wanted = vec![0; 500_000];
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        let bytes = content(writer, round);
        let at = round * 4099 % 90_000;
        file.write_all_at(&bytes, at as u64).unwrap();
        wanted[at..at + bytes.len()].copy_from_slice(&bytes);
        if round % 3 == 0 {
            file.sync_all().unwrap();
        }
        let mut found = vec![0; bytes.len()];
        file.read_exact_at(&mut found, at as u64).unwrap();
        assert!(found == bytes);
        round += 1;
    }
    let length = file.metadata().unwrap().len() as usize;
    drop(file);
    let mut found = Vec::new();
    File::open(&path).unwrap().read_to_end(&mut found).unwrap();
    assert!(found == wanted[..length]);
    round
}

fn programs_write(commit: Commit) {
    bounded(move || {
        let Some(mut mount) = Mount::new(commit) else { return };
        let over = Arc::new(AtomicBool::new(false));
        let works = [makes_files, makes_files, changes_a_file, changes_a_file];
        let works = works.into_iter().enumerate().map(|(writer, work)| {
            let (root, over) = (mount.root().to_owned(), over.clone());
            std::thread::spawn(move || work(&root, writer, &over))
        });
        let works: Vec<_> = works.collect();
        for round in 0..25u64 {
            std::thread::sleep(Duration::from_millis(20 + 37 * round % 180));
            mount.kill();
            std::thread::sleep(Duration::from_millis(13 * round % 40));
            mount.go_on();
        }
        over.store(true, Ordering::Relaxed);
        for work in works {
            assert!(work.join().unwrap() > 0);
        }
    });
}

#[test]
fn programs_that_write_do_not_notice_that_the_process_of_their_mount_is_killed() {
    programs_write(Commit::Close);
}

#[test]
fn nor_when_their_files_are_committed_in_the_background() {
    programs_write(Commit::Background);
}
