//! Which workers are on this host, and by which Unix socket they are reached.
//!
//! Without a socket directory, a worker whose host name is ours is here, and its socket is where it says.
//! With one (`alluxio.worker.data.server.domain.socket.address` and `….as.uuid`), a worker is here if its
//! socket lies in the directory, under its id: so a container with another name and network of its own, into
//! which the directory is mounted at any place, takes descriptors like everybody else.

use alluxio_config::ClientConfig;
use alluxio_datapath::Error;
use alluxio_datapath::client::Target;
use alluxio_types::{WorkerAddress, WorkerId};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a listing of the socket directory is believed. It has a name for each worker of the host, and
/// lies in memory: looking takes some microseconds.
const LISTING_AGE: Duration = Duration::from_secs(1);
/// How long a socket that could not be connected is left alone: doubled with each failure up to the longest.
/// A worker that restarts makes a new socket, which is tried at once.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Workers of this host at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nearby {
    /// Name of this host.
    pub(crate) host: String,
    /// Workers whose socket is in the directory.
    pub(crate) found: Arc<BTreeSet<WorkerId>>,
}

impl Nearby {
    /// Whether a worker is on this host.
    pub(crate) fn has(&self, worker: WorkerId, address: &WorkerAddress) -> bool {
        self.found.contains(&worker) || address.host == self.host
    }
}

/// Why a worker of this host is reached by TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Fallback {
    /// Its socket is not there, or not visible here.
    NoSocket,
    /// Nobody listens at its socket: it is starting, or dead.
    Refused,
    /// This process may not connect to its socket.
    Denied,
    /// It did not answer in time.
    TimedOut,
    /// Whatever else the system said.
    Failed,
}

impl Fallback {
    /// All of them.
    pub const ALL: [Fallback; 5] = [
        Fallback::NoSocket,
        Fallback::Refused,
        Fallback::Denied,
        Fallback::TimedOut,
        Fallback::Failed,
    ];

    /// The value of the label `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Fallback::NoSocket => "no_socket",
            Fallback::Refused => "refused",
            Fallback::Denied => "denied",
            Fallback::TimedOut => "timed_out",
            Fallback::Failed => "failed",
        }
    }

    fn of(error: &io::Error) -> Fallback {
        match error.kind() {
            io::ErrorKind::NotFound => Fallback::NoSocket,
            io::ErrorKind::ConnectionRefused => Fallback::Refused,
            io::ErrorKind::PermissionDenied => Fallback::Denied,
            io::ErrorKind::TimedOut => Fallback::TimedOut,
            _ => Fallback::Failed,
        }
    }
}

/// A socket that could not be connected.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    reason: Fallback,
    failures: u32,
    /// Until when it is left alone (monotonic).
    until: Duration,
    /// The file that it was; a worker that restarts makes another one.
    inode: Option<(u64, u64)>,
}

/// What is known of the workers of this host.
pub(crate) struct Locality {
    host: String,
    dir: Option<PathBuf>,
    /// The last listing, and when it was made (monotonic).
    listing: Mutex<Option<(Duration, Arc<BTreeSet<WorkerId>>)>>,
    trouble: Mutex<HashMap<PathBuf, Trouble>>,
    fallbacks: [AtomicU64; Fallback::ALL.len()],
}

/// The way to a worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is not on this host.
    Remote,
    /// By its socket.
    Unix(PathBuf),
    /// It is on this host, and its socket cannot be used now.
    Fallback(Fallback),
}

impl Locality {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Locality {
            host: config.hostname.clone(),
            dir: config.domain_socket_path.clone().filter(|_| config.domain_socket_as_uuid),
            listing: Mutex::default(),
            trouble: Mutex::default(),
            fallbacks: Default::default(),
        }
    }

    /// The workers of this host.
    pub(crate) fn nearby(&self, now: Duration) -> Nearby {
        let found = match &self.dir {
            Some(dir) => self.listed(dir, now),
            None => Arc::default(),
        };
        Nearby { host: self.host.clone(), found }
    }

    fn listed(&self, dir: &Path, now: Duration) -> Arc<BTreeSet<WorkerId>> {
        let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, found)) = &*listing
            && now.saturating_sub(*at) < LISTING_AGE
        {
            return found.clone();
        }
        let found = match std::fs::read_dir(dir) {
            Ok(items) => items.flatten().filter_map(|item| worker_of(&item.file_name())).collect(),
            Err(error) => {
                tracing::debug!(dir = %dir.display(), %error, "the socket directory cannot be listed");
                BTreeSet::new()
            }
        };
        let found = Arc::new(found);
        *listing = Some((now, found.clone()));
        found
    }

    /// How to reach a worker now.
    pub(crate) fn way(&self, worker: WorkerId, address: &WorkerAddress, now: Duration) -> Way {
        let nearby = self.nearby(now);
        if !nearby.has(worker, address) {
            return Way::Remote;
        }
        let path = match &self.dir {
            Some(dir) => nearby.found.contains(&worker).then(|| dir.join(socket_name(worker))),
            None => Target::unix(address).and_then(|target| match target {
                Target::Unix(path) => Some(path),
                Target::Tcp { .. } => None,
            }),
        };
        match path {
            None => Way::Fallback(Fallback::NoSocket),
            Some(path) => match self.in_trouble(&path, now) {
                Some(reason) => Way::Fallback(reason),
                None => Way::Unix(path),
            },
        }
    }

    fn in_trouble(&self, path: &Path, now: Duration) -> Option<Fallback> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let known = trouble.get(path)?;
        (known.until > now && known.inode == inode_of(path)).then_some(known.reason)
    }

    /// Takes note of a socket that could not be connected; `None` for other failures, which are not the
    /// socket's.
    pub(crate) fn note(&self, path: &Path, error: &Error, now: Duration) -> Option<Fallback> {
        let Error::Connect { source, .. } = error else { return None };
        let reason = Fallback::of(source);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = trouble.get(path).map_or(0, |known| known.failures);
        let pause = PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
        let failed = Trouble {
            reason,
            failures: failures.saturating_add(1),
            until: now.saturating_add(pause),
            inode: inode_of(path),
        };
        trouble.insert(path.to_owned(), failed);
        Some(reason)
    }

    /// A socket works.
    pub(crate) fn works(&self, path: &Path) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.remove(path);
    }

    /// A request to a worker of this host goes by TCP.
    pub(crate) fn count(&self, reason: Fallback) {
        let counter = &self.fallbacks[reason as usize];
        if counter.fetch_add(1, Ordering::Relaxed) == 0 {
            let (dir, reason) = (self.dir.as_deref().unwrap_or(Path::new("")), reason.name());
            tracing::warn!(reason, dir = %dir.display(), "a worker of this host is read over TCP");
        }
    }

    /// Requests that went by TCP, by reason.
    pub(crate) fn counted(&self) -> [(Fallback, u64); Fallback::ALL.len()] {
        Fallback::ALL
            .map(|reason| (reason, self.fallbacks[reason as usize].load(Ordering::Relaxed)))
    }
}

/// Name of a worker's socket in the directory.
fn socket_name(worker: WorkerId) -> String {
    format!("{:016x}", worker.0)
}

fn worker_of(name: &std::ffi::OsStr) -> Option<WorkerId> {
    let name = name.to_str().filter(|name| name.len() == 16)?;
    u64::from_str_radix(name, 16).ok().map(WorkerId)
}

fn inode_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.ino(), found.ctime_nsec() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locality(dir: Option<&Path>) -> Locality {
        Locality {
            host: "pod".into(),
            dir: dir.map(Path::to_owned),
            listing: Mutex::default(),
            trouble: Mutex::default(),
            fallbacks: Default::default(),
        }
    }

    fn address(host: &str) -> WorkerAddress {
        let domain_socket_path = "/elsewhere/socket".into();
        WorkerAddress { host: host.into(), domain_socket_path, ..WorkerAddress::default() }
    }

    fn refused() -> Error {
        Error::Connect { target: "t".into(), source: io::ErrorKind::ConnectionRefused.into() }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_socket_in_the_directory_says_who_is_here_whatever_the_hosts_are_called() {
        let dir = tempfile::tempdir().unwrap();
        let locality = locality(Some(dir.path()));
        std::fs::write(dir.path().join("00000000000000ab"), "").unwrap();
        std::fs::write(dir.path().join("not-a-worker"), "").unwrap();
        let here = dir.path().join("00000000000000ab");
        assert_eq!(locality.way(WorkerId(0xab), &address("node"), SECOND), Way::Unix(here));
        assert_eq!(locality.way(WorkerId(1), &address("node"), SECOND), Way::Remote);
        let fallback = Way::Fallback(Fallback::NoSocket);
        assert_eq!(locality.way(WorkerId(1), &address("pod"), SECOND), fallback);
        // A worker that comes is seen soon.
        std::fs::write(dir.path().join("0000000000000001"), "").unwrap();
        assert_eq!(locality.way(WorkerId(1), &address("node"), SECOND * 3), {
            Way::Unix(dir.path().join("0000000000000001"))
        });
    }

    #[test]
    fn without_a_directory_names_of_hosts_decide() {
        let locality = locality(None);
        assert_eq!(locality.way(WorkerId(1), &address("node"), SECOND), Way::Remote);
        let socket = Way::Unix("/elsewhere/socket".into());
        assert_eq!(locality.way(WorkerId(1), &address("pod"), SECOND), socket);
    }

    #[test]
    fn a_socket_in_trouble_is_tried_less_and_less_and_a_new_one_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let locality = locality(Some(dir.path()));
        let path = dir.path().join("0000000000000001");
        std::fs::write(&path, "").unwrap();
        let way = |now| locality.way(WorkerId(1), &address("node"), now);
        let mut now = SECOND;
        let mut last = Duration::ZERO;
        for _ in 0..10 {
            assert_eq!(locality.note(&path, &refused(), now), Some(Fallback::Refused));
            let began = now;
            while way(now) == Way::Fallback(Fallback::Refused) {
                now += Duration::from_millis(100);
            }
            assert!(now - began >= last && now - began <= PAUSE_MAX + SECOND);
            last = (now - began).min(PAUSE_MAX);
        }
        assert_eq!(last, PAUSE_MAX);
        locality.note(&path, &refused(), now);
        assert_eq!(way(now), Way::Fallback(Fallback::Refused));
        // The worker restarts: another file under the same name.
        std::fs::write(dir.path().join("new"), "").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(way(now), Way::Unix(path.clone()));
        locality.works(&path);
        assert_eq!(locality.note(&path, &refused(), now), Some(Fallback::Refused));
        assert_eq!(way(now + PAUSE_MIN), Way::Unix(path));
    }

    #[test]
    fn other_failures_are_not_the_sockets() {
        let locality = locality(None);
        let closed = Error::Closed { peer: "p".into(), doing: "reading" };
        assert_eq!(locality.note(Path::new("/s"), &closed, SECOND), None);
        locality.count(Fallback::Denied);
        locality.count(Fallback::Denied);
        assert!(locality.counted().contains(&(Fallback::Denied, 2)));
        assert!(locality.counted().contains(&(Fallback::Refused, 0)));
    }
}
