//! A cluster that is played, for tests of this crate and of others: a mount table, and files that are a list.

use super::admin::{BackupFact, DatasetAdmin, FileFact, Files, MountRow, MountSpec, Refused};
use super::names::is_below;
use crate::cluster::admin::Target;
use alluxio_types::Code;
use async_trait::async_trait;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What it holds.
#[derive(Default)]
struct State {
    mounts: BTreeMap<String, (MountSpec, String)>,
    files: BTreeMap<String, FileFact>,
    broken: BTreeSet<String>,
    pinned: BTreeSet<String>,
    loads: Vec<String>,
    pushes: usize,
    /// Values of `s3a.secretKey` that the store takes; none: all.
    key: Option<String>,
    backup_looks: u32,
}

/// See the module.
#[derive(Default)]
pub struct Played {
    state: Mutex<State>,
}

fn no(code: Code, message: &str) -> Refused {
    Refused { code, message: message.to_owned() }
}

impl Played {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file; `cached_percent` is 0..=100.
    pub fn file(&self, path: &str, length: u64, cached_percent: u32, persisted: bool) {
        let fact = FileFact { path: path.to_owned(), length, cached_percent, persisted };
        self.state().files.insert(path.to_owned(), fact);
    }

    /// The store fails when that file is read.
    pub fn break_file(&self, path: &str) {
        self.state().broken.insert(path.to_owned());
    }

    /// No file fails any more.
    pub fn mend(&self) {
        self.state().broken.clear();
    }

    /// Files that were loaded, in that order.
    pub fn loads(&self) -> Vec<String> {
        self.state().loads.clone()
    }

    /// The share of a file that is cached; 0 for one that is not there.
    pub fn cached(&self, path: &str) -> u32 {
        self.state().files.get(path).map_or(0, |file| file.cached_percent)
    }

    /// The store takes only this secret key from now on.
    pub fn accept_key(&self, key: &str) {
        self.state().key = Some(key.to_owned());
    }

    /// Paths, URIs and the options as they were sent.
    pub fn table(&self) -> Vec<(String, String, BTreeMap<String, String>)> {
        let state = self.state();
        let rows = state.mounts.iter();
        rows.map(|(path, (spec, _))| (path.clone(), spec.uri.clone(), spec.options.reveal()))
            .collect()
    }

    /// How often a mount was made or changed.
    pub fn pushes(&self) -> usize {
        self.state().pushes
    }

    /// A mount that somebody made by hand.
    pub fn mounted_by_hand(&self, path: &str, uri: &str) {
        let spec = MountSpec {
            path: path.to_owned(),
            uri: uri.to_owned(),
            read_only: false,
            options: Default::default(),
        };
        self.state().mounts.insert(path.to_owned(), (spec, String::new()));
    }

    fn put(&self, owner: &str, spec: &MountSpec) -> Result<(), Refused> {
        let mut state = self.state();
        let given = spec.options.reveal();
        let given = given.get("s3a.secretKey");
        if let Some(key) = &state.key
            && given != Some(key)
        {
            // A store that quotes what it was given.
            let text = format!("the store refuses {}", given.cloned().unwrap_or_default());
            return Err(no(Code::PermissionDenied, &text));
        }
        state.pushes += 1;
        state.mounts.insert(spec.path.clone(), (spec.clone(), owner.to_owned()));
        Ok(())
    }
}

#[async_trait]
impl DatasetAdmin for Played {
    async fn mounts(&self, _: &Target, below: &str) -> Result<Vec<MountRow>, Refused> {
        let state = self.state();
        let rows = state.mounts.iter().filter(|(path, _)| is_below(path, below));
        let row = |(path, (spec, owner)): (&String, &(MountSpec, String))| MountRow {
            path: path.clone(),
            uri: spec.uri.clone(),
            read_only: spec.read_only,
            options: spec
                .options
                .reveal()
                .into_iter()
                .map(|(name, value)| match alluxio_config::ufs::is_credential(&name) {
                    true => (name, "******".to_owned()),
                    false => (name, value),
                })
                .collect(),
            owner: (!owner.is_empty()).then(|| owner.clone()),
        };
        Ok(rows.map(row).collect())
    }

    async fn mount(&self, _: &Target, owner: &str, spec: &MountSpec) -> Result<(), Refused> {
        if self.state().mounts.contains_key(&spec.path) {
            return Err(no(Code::AlreadyExists, "there is a mount"));
        }
        self.put(owner, spec)
    }

    async fn update(&self, _: &Target, owner: &str, spec: &MountSpec) -> Result<(), Refused> {
        self.put(owner, spec)
    }

    async fn unmount(&self, _: &Target, path: &str) -> Result<(), Refused> {
        let mut state = self.state();
        if state.mounts.keys().any(|other| other != path && is_below(other, path)) {
            return Err(no(Code::FailedPrecondition, "there is a mount below"));
        }
        state.mounts.remove(path);
        Ok(())
    }

    async fn remove_directory(&self, _: &Target, _: &str) -> Result<(), Refused> {
        Ok(())
    }

    async fn pinned(&self, _: &Target, path: &str) -> Result<Option<bool>, Refused> {
        let state = self.state();
        let there = state.mounts.keys().any(|mount| is_below(mount, path) || is_below(path, mount));
        Ok(there.then(|| state.pinned.contains(path)))
    }

    async fn pin(&self, _: &Target, path: &str, pinned: bool) -> Result<(), Refused> {
        let mut state = self.state();
        match pinned {
            true => state.pinned.insert(path.to_owned()),
            false => state.pinned.remove(path),
        };
        Ok(())
    }

    async fn files(&self, _: &Target, path: &str) -> Result<Files, Refused> {
        let state = self.state();
        let files = state.files.values().filter(|file| is_below(&file.path, path));
        let files: Vec<Result<FileFact, Refused>> = files.cloned().map(Ok).collect();
        Ok(futures::stream::iter(files).boxed())
    }

    async fn load_metadata(&self, _: &Target, _: &str) -> Result<(), Refused> {
        Ok(())
    }

    async fn load_file(&self, _: &Target, path: &str) -> Result<(), Refused> {
        let mut state = self.state();
        state.loads.push(path.to_owned());
        if state.broken.contains(path) {
            return Err(no(Code::Internal, "the store is broken"));
        }
        match state.files.get_mut(path) {
            Some(file) => file.cached_percent = 100,
            None => return Err(no(Code::NotFound, "it is gone")),
        }
        Ok(())
    }

    async fn free(&self, _: &Target, path: &str, _: bool) -> Result<u64, Refused> {
        let mut state = self.state();
        let mut files: Vec<&mut FileFact> =
            state.files.values_mut().filter(|file| is_below(&file.path, path)).collect();
        if files.iter().any(|file| !file.persisted) {
            return Err(no(Code::FailedPrecondition, "a file is in no store"));
        }
        files.iter_mut().for_each(|file| file.cached_percent = 0);
        Ok(files.len() as u64)
    }

    async fn backup(&self, target: &Target, directory: &str) -> Result<BackupFact, Refused> {
        self.backup_status(target, directory).await
    }

    async fn backup_status(&self, _: &Target, id: &str) -> Result<BackupFact, Refused> {
        let mut state = self.state();
        state.backup_looks += 1;
        Ok(BackupFact {
            id: id.to_owned(),
            done: state.backup_looks > 2,
            uri: format!("{id}/backup-1"),
            entries: 7,
            ..BackupFact::default()
        })
    }
}
