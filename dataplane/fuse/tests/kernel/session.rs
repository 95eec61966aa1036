//! The loop alone, with file systems that are made for the question.

use crate::guard::{Guard, bounded, mounted};
use alluxio_fuse::abi::{Operation, open_flag, parse};
use alluxio_fuse::null::NullFileSystem;
use alluxio_fuse::session::{Before, Connection, Negotiated, Reply, Request, SessionError, Wish};
use alluxio_fuse::{Errno, FileSystem};
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NULL: NullFileSystem = NullFileSystem { valid: Duration::ZERO };

fn serve(
    guard: &Guard,
    device: OwnedFd,
    clones: usize,
    fs: impl FileSystem,
) -> alluxio_fuse::Session {
    let mut connection = Connection::begin(device, &Wish::default()).unwrap();
    connection.add_clones(clones).unwrap();
    assert!(guard.path().is_absolute());
    connection.run(Arc::new(fs), 4).unwrap()
}

#[test]
fn a_mount_is_served_by_cloned_channels_until_it_is_unmounted() {
    bounded(|| {
        let Some((guard, device)) = mounted() else { return };
        let session = serve(&guard, device, 3, NULL);
        let file = guard.path().join("f");
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                std::thread::spawn(move || {
                    for _ in 0..50 {
                        assert_eq!(fs::metadata(&file).unwrap().len(), 0);
                        assert_eq!(fs::read(&file).unwrap(), b"");
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.join().unwrap();
        }
        let names: Vec<_> =
            fs::read_dir(guard.path()).unwrap().map(|n| n.unwrap().file_name()).collect();
        assert_eq!(names, ["f"]);
        assert_eq!(
            fs::metadata(guard.path().join("g")).unwrap_err().raw_os_error(),
            Some(libc::ENOENT)
        );
        let counts = session.counters().counts();
        let opened = counts.operations.iter().find(|(name, _)| *name == "open").unwrap().1;
        assert!(opened >= 400, "{counts:?}");
        assert!(!session.is_over());
        guard.unmount();
        session.wait();
    });
}

#[test]
fn a_server_that_comes_later_answers_what_the_first_one_had_read() {
    bounded(|| {
        let Some((guard, device)) = mounted() else { return };
        let mut first = Connection::begin(device, &Wish::default()).unwrap();
        first.add_clones(2).unwrap();
        // What a keeper has: every descriptor, and what was agreed on, as bytes.
        let kept: Vec<OwnedFd> =
            first.descriptors().map(|fd| fd.as_fd().try_clone_to_owned().unwrap()).collect();
        let agreed = first.negotiated().to_bytes();
        let file = guard.path().join("f");
        let reader = std::thread::spawn(move || fs::metadata(file));
        // The first server reads a request from a clone, and is gone.
        let mut request = vec![0; 2 << 20];
        let length = rustix::io::read(&kept[1], &mut request).unwrap();
        let (lost, _) = parse(&request[..length]).unwrap();
        drop(first);
        let mut kept = kept.into_iter();
        let (main, clones) = (kept.next().unwrap(), kept.collect());
        let agreed = Negotiated::from_bytes(&agreed).unwrap();
        let second = Connection::adopt(main, clones, agreed).unwrap();
        let late = second.descriptors().nth(1).unwrap().try_clone_to_owned().unwrap();
        // What the first one would still answer is not for anybody: nobody waits under that number.
        let answer = [&16u32.to_ne_bytes()[..], &(-5i32).to_ne_bytes(), &lost.unique.to_ne_bytes()];
        assert_eq!(
            rustix::io::write(&late, &answer.concat()).unwrap_err(),
            rustix::io::Errno::NOENT
        );
        let second = second.run(Arc::new(NULL), 4).unwrap();
        assert_eq!(reader.join().unwrap().unwrap().len(), 0);
        assert_eq!(second.counters().counts().resent, 1);
        guard.unmount();
        drop(late);
        second.wait();
    });
}

/// Answers everything but the first lookup, which it keeps.
struct Keeping {
    kept: Arc<Mutex<Option<Reply>>>,
    told: Sender<()>,
}

impl FileSystem for Keeping {
    fn serve(&self, request: Request, reply: Reply) {
        if let (_, Operation::Lookup { .. }) = request.parse().unwrap() {
            *self.kept.lock().unwrap() = Some(reply);
            return self.told.send(()).unwrap();
        }
        NULL.serve(request, reply);
    }
    fn interrupt(&self, _unique: u64) {}
    fn forget(&self, _node: u64, _lookups: u64) {}
}

fn copies(connection: &Connection) -> Vec<OwnedFd> {
    connection.descriptors().map(|fd| fd.as_fd().try_clone_to_owned().unwrap()).collect()
}

#[test]
fn a_session_that_is_left_answers_no_more_and_the_next_one_does() {
    bounded(|| {
        let Some((guard, device)) = mounted() else { return };
        let mut first = Connection::begin(device, &Wish::default()).unwrap();
        first.add_clones(3).unwrap();
        let (kept, agreed) = (copies(&first), *first.negotiated());
        let (told, reading) = channel();
        let held = Arc::new(Mutex::new(None));
        let keeping = Keeping { kept: held.clone(), told };
        let first = first.run(Arc::new(keeping), 4).unwrap();
        let file = guard.path().join("f");
        let reader = std::thread::spawn(move || fs::metadata(file));
        reading.recv().unwrap();
        // All threads wait in the kernel, and end; what is owed is left.
        assert_eq!(first.leave(Duration::from_millis(300)), 1);
        drop(held.lock().unwrap().take());
        assert!(!reader.is_finished(), "it would have been told EIO");
        let mut kept = kept.into_iter();
        let (main, clones) = (kept.next().unwrap(), kept.collect());
        let second = Connection::adopt(main, clones, agreed).unwrap();
        let second = second.run(Arc::new(NULL), 4).unwrap();
        assert_eq!(reader.join().unwrap().unwrap().len(), 0);
        assert_eq!(second.counters().counts().resent, 1);
        guard.unmount();
        second.wait();
    });
}

#[test]
fn without_resending_only_a_server_that_ended_in_order_has_a_successor() {
    bounded(|| {
        let Some((guard, device)) = mounted() else { return };
        let first = Connection::begin(device, &Wish::default()).unwrap();
        let (kept, mut agreed) = (copies(&first), *first.negotiated());
        // As a kernel before 6.9 says.
        agreed.features &= !alluxio_fuse::abi::feature::HAS_RESEND;
        let first = first.run(Arc::new(NULL), 4).unwrap();
        assert_eq!(first.leave(Duration::from_secs(20)), 0);
        let main = || kept[0].try_clone().unwrap();
        let refused = Connection::adopt(main(), Vec::new(), agreed).unwrap_err();
        assert!(matches!(refused, SessionError::NoResend), "{refused}");
        let second = Connection::adopt_from(main(), Vec::new(), agreed, Before::InOrder).unwrap();
        let second = second.run(Arc::new(NULL), 4).unwrap();
        assert_eq!(fs::metadata(guard.path().join("f")).unwrap().len(), 0);
        guard.unmount();
        second.wait();
        let refused = Connection::adopt(main(), Vec::new(), agreed).unwrap_err();
        assert!(matches!(refused, SessionError::Dead), "{refused}");
    });
}

#[test]
fn a_server_that_is_gone_before_it_has_agreed_has_a_successor_too() {
    bounded(|| {
        let Some((guard, device)) = mounted() else { return };
        // It reads the first request, and is gone.
        let main = device.try_clone().unwrap();
        let mut request = vec![0; 2 << 20];
        rustix::io::read(&device, &mut request).unwrap();
        drop(device);
        let mut saved = None;
        let save = |agreed: &Negotiated| saved = Some(*agreed);
        let second = Connection::begin_saving(main, &Wish::default(), save).unwrap();
        assert_eq!(saved.as_ref(), Some(second.negotiated()));
        let second = second.run(Arc::new(NULL), 4).unwrap();
        assert_eq!(fs::metadata(guard.path().join("f")).unwrap().len(), 0);
        guard.unmount();
        second.wait();
    });
}

/// Answers reads only when they are interrupted.
struct Slow {
    held: Mutex<Option<Reply>>,
    interrupts: Arc<AtomicU64>,
    told: Sender<()>,
}

impl FileSystem for Slow {
    fn serve(&self, request: Request, reply: Reply) {
        let is_read = matches!(request.parse().unwrap().1, Operation::Read(_));
        if is_read {
            *self.held.lock().unwrap() = Some(reply);
            self.told.send(()).unwrap();
            return;
        }
        if let (_, Operation::Open { .. }) = request.parse().unwrap() {
            let flags = open_flag::DIRECT_IO;
            let opened = alluxio_fuse::abi::Opened { flags, ..Default::default() };
            return reply.ok(&opened.reply());
        }
        NULL.serve(request, reply);
    }

    fn interrupt(&self, unique: u64) {
        let mut held = self.held.lock().unwrap();
        if held.as_ref().is_some_and(|reply| reply.unique() == unique) {
            self.interrupts.fetch_add(1, Ordering::SeqCst);
            if let Some(reply) = held.take() {
                reply.error(Errno::INTR);
            }
        }
    }

    fn forget(&self, _node: u64, _lookups: u64) {}
}

#[test]
fn who_is_killed_while_it_waits_interrupts_its_request() {
    bounded(|| {
        let Some((guard, device)) = mounted() else { return };
        let (told, reading) = channel();
        let interrupts = Arc::new(AtomicU64::new(0));
        let slow = Slow { held: Mutex::default(), interrupts: interrupts.clone(), told };
        let session = serve(&guard, device, 2, slow);
        let mut cat =
            std::process::Command::new("cat").arg(guard.path().join("f")).spawn().unwrap();
        reading.recv().unwrap();
        cat.kill().unwrap();
        assert!(!cat.wait().unwrap().success());
        assert_eq!(interrupts.load(Ordering::SeqCst), 1);
        guard.unmount();
        session.wait();
    });
}

#[test]
fn a_reply_that_is_forgotten_is_an_error_for_the_caller() {
    struct Forgetful;
    impl FileSystem for Forgetful {
        fn serve(&self, request: Request, reply: Reply) {
            if let (_, Operation::StatFs) = request.parse().unwrap() {
                return drop(reply);
            }
            NULL.serve(request, reply);
        }
        fn interrupt(&self, _unique: u64) {}
        fn forget(&self, _node: u64, _lookups: u64) {}
    }
    bounded(|| {
        let Some((guard, device)) = mounted() else { return };
        let session = serve(&guard, device, 1, Forgetful);
        let error = rustix::fs::statfs(guard.path()).unwrap_err();
        assert_eq!(error, rustix::io::Errno::IO);
        let mut bytes = Vec::new();
        fs::File::open(guard.path().join("f")).unwrap().read_to_end(&mut bytes).unwrap();
        guard.unmount();
        session.wait();
    });
}
