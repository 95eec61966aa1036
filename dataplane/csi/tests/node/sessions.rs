//! A second implementation of `Mounter`: sessions in this process. Paths below `/folder` are shown as plain
//! directories, all others as FUSE file systems that answer, hang or die as the test wants.

use alluxio_csi::CsiError;
use alluxio_csi::mounter::{Mounter, SessionView};
use alluxio_csi::session::{SessionKey, SessionSpec};
use alluxio_fuse::abi::Operation;
use alluxio_fuse::mount::{self, Options, Unmount};
use alluxio_fuse::null::NullFileSystem;
use alluxio_fuse::session::{Connection, Reply, Request, Wish};
use alluxio_fuse::{FileSystem, Session};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Answers as the null file system does, unless it hangs.
struct Moody {
    null: NullFileSystem,
    hangs: Arc<AtomicBool>,
    kept: Mutex<Vec<(Request, Reply)>>,
}

impl FileSystem for Moody {
    fn serve(&self, request: Request, reply: Reply) {
        let asked =
            matches!(request.parse(), Ok((_, Operation::StatFs | Operation::Lookup { .. })));
        if asked && self.hangs.load(Ordering::SeqCst) {
            self.kept.lock().unwrap().push((request, reply));
        } else {
            self.null.serve(request, reply);
        }
    }

    fn interrupt(&self, _: u64) {}

    fn forget(&self, _: u64, _: u64) {}
}

struct Open {
    view: SessionView,
    serving: Option<Session>,
}

/// Sessions that can be opened at once.
pub(crate) const GATE: u32 = 64;

/// Sessions of this process.
pub(crate) struct Sessions {
    dir: PathBuf,
    open: Mutex<BTreeMap<SessionKey, Open>>,
    hangs: Arc<AtomicBool>,
    /// One permit for each session that may be opened now.
    pub(crate) gate: Semaphore,
}

impl Sessions {
    pub(crate) fn new(dir: &Path) -> Arc<Self> {
        std::fs::create_dir_all(dir.join("folder")).unwrap();
        let gate = Semaphore::new(GATE as usize);
        Arc::new(Sessions {
            dir: dir.to_owned(),
            open: Mutex::default(),
            hangs: Arc::default(),
            gate,
        })
    }

    /// The directory that is shown for paths below `/folder`.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.join("folder")
    }

    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// How many sessions are open.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().unwrap().len()
    }

    /// All holders of all descriptors die: the kernel gives the connections up.
    pub(crate) fn kill_all(&self) {
        for open in self.open.lock().unwrap().values_mut() {
            if open.serving.is_some() {
                mount::unmount(&open.view.mount_point, Unmount::Force).unwrap();
                open.serving.take().unwrap().wait();
                open.view.dead = Some("killed".into());
            }
        }
    }

    fn begin(&self, key: &SessionKey, spec: &SessionSpec) -> Open {
        let mut view = SessionView {
            key: key.clone(),
            mount_point: self.folder(),
            device: String::new(),
            dead: None,
        };
        if spec.path.starts_with("/folder") {
            let device = std::fs::metadata(&view.mount_point).unwrap().dev();
            view.device = format!("{}:{}", rustix_major(device), rustix_minor(device));
            return Open { view, serving: None };
        }
        view.mount_point = self.dir.join(key.as_str());
        std::fs::create_dir_all(&view.mount_point).unwrap();
        let read_only = spec.options.iter().any(|word| word == "ro");
        let options = Options { read_only, ..Options::default() };
        let device = mount::mount(&view.mount_point, &options).unwrap().device;
        let connection = Connection::begin(device, &Wish::default()).unwrap();
        let file_system = Moody {
            null: NullFileSystem { valid: Duration::from_secs(60) },
            hangs: self.hangs.clone(),
            kept: Mutex::default(),
        };
        let serving = connection.run(Arc::new(file_system), 8).unwrap();
        let rows = mount::table().unwrap();
        let row = rows.into_iter().rev().find(|row| row.path == view.mount_point).unwrap();
        view.device = row.device;
        Open { view, serving: Some(serving) }
    }
}

fn rustix_major(device: u64) -> u64 {
    (device >> 8) & 0xfff | (device >> 32) & !0xfff
}

fn rustix_minor(device: u64) -> u64 {
    device & 0xff | (device >> 12) & !0xff
}

#[tonic::async_trait]
impl Mounter for Sessions {
    async fn open(&self, key: &SessionKey, spec: &SessionSpec) -> Result<SessionView, CsiError> {
        let _permit = self.gate.acquire().await.unwrap();
        let mut open = self.open.lock().unwrap();
        let alive = open.get(key).is_some_and(|open| open.view.dead.is_none());
        if !alive {
            open.insert(key.clone(), self.begin(key, spec));
        }
        Ok(open[key].view.clone())
    }

    async fn close(&self, key: &SessionKey) -> Result<(), CsiError> {
        if let Some(Open { view, serving: Some(serving) }) = self.open.lock().unwrap().remove(key) {
            mount::unmount(&view.mount_point, Unmount::Lazy).unwrap();
            drop(serving);
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SessionView>, CsiError> {
        Ok(self.open.lock().unwrap().values().map(|open| open.view.clone()).collect())
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.kill_all();
    }
}
