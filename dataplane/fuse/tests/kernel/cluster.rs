//! A mount of a real cluster in this process.

use crate::guard::{Guard, mounted};
use alluxio_client::{CreateFileOptions, FileSystem as Client};
use alluxio_fuse::fs::{AlluxioFs, Settings};
use alluxio_fuse::options::Commit;
use alluxio_fuse::session::{Connection, Counts, Wish};
use alluxio_host::Host;
use alluxio_testkit::LocalCluster;
use alluxio_types::{AlluxioPath, FileStatus};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// What a test mounts.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) valid: Duration,
    pub(crate) passthrough: bool,
    pub(crate) commit: Commit,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { valid: Duration::from_secs(60), passthrough: true, commit: Commit::Close }
    }
}

/// A cluster, and its root at a mount point.
pub(crate) struct Cluster {
    guard: Option<Guard>,
    session: Option<alluxio_fuse::Session>,
    pub(crate) client: Client,
    pub(crate) running: Option<LocalCluster>,
    runtime: Runtime,
}

/// `None` where mounting is not allowed.
pub(crate) fn start(wanted: Wanted) -> Option<Cluster> {
    start_with(wanted, &[("alluxio.user.block.size.bytes.default", "4MB")])
}

pub(crate) fn start_with(wanted: Wanted, properties: &[(&str, &str)]) -> Option<Cluster> {
    let (guard, device) = mounted()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let properties = [("alluxio.worker.ramdisk.size", "512MB")].iter().chain(properties).copied();
    let cluster = runtime.block_on(LocalCluster::with(1, properties)).unwrap();
    let mut connection = Connection::begin(device, &Wish::default()).unwrap();
    connection.add_clones(2).unwrap();
    let staging = cluster.dir().join("staging");
    std::fs::create_dir(&staging).unwrap();
    let settings = Settings {
        root: AlluxioPath::root(),
        attr_valid: wanted.valid,
        entry_valid: wanted.valid,
        passthrough: wanted.passthrough,
        staging,
        commit: wanted.commit,
    };
    let config = cluster.config().client().unwrap();
    let inside = runtime.enter();
    let fs = AlluxioFs::new(config, Host::real(), connection.control(), settings).unwrap();
    let client = cluster.client().unwrap();
    drop(inside);
    let session = connection.run(Arc::new(fs), 8).unwrap();
    Some(Cluster {
        guard: Some(guard),
        session: Some(session),
        client,
        running: Some(cluster),
        runtime,
    })
}

impl Cluster {
    /// Where a path is on the mount.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn root(&self) -> &Path {
        self.guard.as_ref().unwrap().path()
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Writes a file as other clients do.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let path = AlluxioPath::parse(path).unwrap();
        self.block_on(async {
            let options = CreateFileOptions { overwrite: true, ..Default::default() };
            let mut writer = self.client.create_file(&path, &options).await.unwrap();
            writer.write(bytes).await.unwrap();
            writer.close().await.unwrap();
        });
    }

    /// Reads a file as other clients do.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let path = AlluxioPath::parse(path).unwrap();
        self.block_on(async {
            let mut reader = self.client.open_file(&path, &Default::default()).await.unwrap();
            reader.read_to_end().await.unwrap()
        })
    }

    /// Status as other clients see it.
    pub(crate) fn status(&self, path: &str) -> Option<FileStatus> {
        let path = AlluxioPath::parse(path).unwrap();
        self.block_on(self.client.get_status(&path, &Default::default())).ok()
    }

    /// Names in a directory, as other clients see them.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let path = AlluxioPath::parse(path).unwrap();
        let listed = self.block_on(self.client.list_status(&path, &Default::default())).unwrap();
        listed.into_iter().map(|status| status.name).collect()
    }

    /// Whether the kernel has ended the connection.
    pub(crate) fn is_over(&self) -> bool {
        self.session.as_ref().unwrap().is_over()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.session.as_ref().unwrap().counters().counts()
    }

    pub(crate) fn count(&self, operation: &str) -> u64 {
        let counts = self.counts();
        counts.operations.iter().find(|(name, _)| *name == operation).map_or(0, |(_, count)| *count)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // First the mount: nothing can wait for a server then.
        drop(self.guard.take());
        if let Some(session) = self.session.take() {
            session.wait();
        }
        if let Some(cluster) = self.running.take() {
            self.runtime.block_on(cluster.stop());
        }
    }
}

/// Bytes that tell where they belong.
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_ne_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Runs a command that must succeed; returns its output.
pub(crate) fn run(line: &str, directory: &Path) -> String {
    let output = std::process::Command::new("sh")
        .args(["-ec", line])
        .current_dir(directory)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}\n{text}\n{said}");
    text
}
