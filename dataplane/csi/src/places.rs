//! What each bind of ours is for. The kernel's table says whether something is mounted at a path; a *place* says
//! which volume it belongs to and what it shows, so that it can be bound anew. Nothing is counted: who uses a session
//! is found by looking at both.
//!
//! A place is written before its bind is made and removed after it is gone, one file each.

use crate::CsiError;
use crate::mountinfo::Table;
use crate::session::{SessionKey, SessionSpec};
use crate::volume_id::hashed;
use alluxio_host::Host;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What a place is to the kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The volume on this node: its session is open, and nothing is bound.
    Staged,
    /// The volume in a pod.
    Published,
}

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shows {
    /// A session of the agent.
    Session {
        /// Its name.
        key: SessionKey,
        /// What it is.
        spec: SessionSpec,
    },
    /// A folder of this machine: the sockets of workers.
    Folder {
        /// Which.
        path: PathBuf,
    },
}

/// One bind of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where.
    pub path: PathBuf,
    /// Id of the volume.
    pub volume: String,
    /// What it is to the kubelet.
    pub kind: Kind,
    /// What is shown.
    pub shows: Shows,
    /// The directory of it that is shown.
    pub sub_path: String,
    /// Whether changes are refused here.
    pub read_only: bool,
    /// Whether the volume is for one pod only.
    pub one_pod: bool,
}

impl Place {
    /// The session that it shows.
    pub fn session(&self) -> Option<(&SessionKey, &SessionSpec)> {
        match &self.shows {
            Shows::Session { key, spec } => Some((key, spec)),
            Shows::Folder { .. } => None,
        }
    }
}

/// All places of this node. Cloning is cheap and shares them.
#[derive(Clone)]
pub struct Places {
    host: Host,
    dir: PathBuf,
    known: Arc<Mutex<BTreeMap<PathBuf, Place>>>,
}

impl Places {
    /// Reads what is in `dir`, which is made when it is missing. What is no more mounted (the machine was
    /// restarted) is forgotten.
    ///
    /// **Errors**: `Io`.
    pub async fn open(host: Host, dir: PathBuf) -> Result<Places, CsiError> {
        let folder = dir.clone();
        let known = blocking(&host, move || load(&folder)).await?;
        Ok(Places { host, dir, known: Arc::new(Mutex::new(known)) })
    }

    /// The place at a path.
    pub fn at(&self, path: &Path) -> Option<Place> {
        self.lock().get(path).cloned()
    }

    /// All of them, in order of their paths.
    pub fn all(&self) -> Vec<Place> {
        self.lock().values().cloned().collect()
    }

    /// Adds one, or changes it. **Errors**: `Io`.
    pub async fn put(&self, place: Place) -> Result<(), CsiError> {
        let file = self.file(&place.path);
        let text = serde_json::to_vec(&place)
            .map_err(|error| CsiError::Lost { why: error.to_string() })?;
        self.lock().insert(place.path.clone(), place);
        blocking(&self.host, move || {
            let unfinished = file.with_extension("tmp");
            fs::write(&unfinished, text).map_err(CsiError::io("write", &unfinished))?;
            fs::rename(&unfinished, &file).map_err(CsiError::io("rename", &unfinished))
        })
        .await
    }

    /// Forgets one; one that is not there is fine. **Errors**: `Io`.
    pub async fn remove(&self, path: &Path) -> Result<(), CsiError> {
        let file = self.file(path);
        self.lock().remove(path);
        blocking(&self.host, move || remove(&file)).await
    }

    /// The kernel's table of mounts. **Errors**: `Io`.
    pub async fn table(&self) -> Result<Table, CsiError> {
        blocking(&self.host, read_table).await
    }

    fn file(&self, path: &Path) -> PathBuf {
        self.dir.join(hashed(&[&path.to_string_lossy()], 32) + ".json")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Place>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_table() -> Result<Table, CsiError> {
    Table::read().map_err(CsiError::io("read", "/proc/self/mountinfo"))
}

fn load(dir: &Path) -> Result<BTreeMap<PathBuf, Place>, CsiError> {
    fs::create_dir_all(dir).map_err(CsiError::io("make", dir))?;
    let table = read_table()?;
    let mut known = BTreeMap::new();
    for item in fs::read_dir(dir).map_err(CsiError::io("list", dir))? {
        let file = item.map_err(CsiError::io("list", dir))?.path();
        let text = fs::read(&file).map_err(CsiError::io("read", &file))?;
        match serde_json::from_slice::<Place>(&text) {
            Ok(place) if place.kind == Kind::Staged || table.top(&place.path).is_some() => {
                known.insert(place.path.clone(), place);
            }
            // Not mounted any more, or never: written before the bind, and then we were killed.
            Ok(_) => remove(&file)?,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "what is no place is removed");
                remove(&file)?;
            }
        }
    }
    Ok(known)
}

fn remove(file: &Path) -> Result<(), CsiError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CsiError::io("remove", file)(error))
        }
        _ => Ok(()),
    }
}

/// Files of our own folder only: never of a mount that could hang.
async fn blocking<T: Send + 'static>(
    host: &Host,
    work: impl FnOnce() -> Result<T, CsiError> + Send + 'static,
) -> Result<T, CsiError> {
    host.blocking(work).await.map_err(|lost| CsiError::Lost { why: lost.to_string() })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place {
            path: path.into(),
            volume: "v".into(),
            kind: Kind::Published,
            shows: Shows::Folder { path: "/run".into() },
            sub_path: String::new(),
            read_only: true,
            one_pod: false,
        }
    }

    #[tokio::test]
    async fn places_outlive_the_process_and_those_that_are_no_mounts_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("places");
        let places = Places::open(Host::real(), folder.clone()).await.unwrap();
        // Always a mount point.
        places.put(place("/proc")).await.unwrap();
        places.put(place("/nowhere")).await.unwrap();
        fs::write(folder.join("odd.json"), "{").unwrap();
        fs::write(folder.join("cut.tmp"), "{").unwrap();
        let again = Places::open(Host::real(), folder.clone()).await.unwrap();
        assert_eq!(again.all(), [place("/proc")]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        again.remove(Path::new("/proc")).await.unwrap();
        again.remove(Path::new("/proc")).await.unwrap();
        assert_eq!(Places::open(Host::real(), folder).await.unwrap().all(), []);
    }
}
