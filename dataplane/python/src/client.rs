//! A client of one cluster.

use crate::engine::{Engine, Owned};
use crate::error::{self, SetupError};
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{config, convert};
use alluxio_client::{
    ClientError, CreateDirectoryOptions, CreateFileOptions, DeleteOptions, FileSystem, FreeOptions,
    GetStatusOptions, ListStatusOptions, LoadMetadataOptions, MountOptions, OpenFileOptions,
    SetAttributeOptions,
};
use alluxio_host::Host;
use alluxio_types::{AlluxioPath, Mode, ReadType, TtlAction, UnixMillis, WriteType};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a client and its open files share.
pub(crate) struct Shared {
    pub(crate) fs: FileSystem,
    pub(crate) engine: Engine,
}

/// A client of one cluster, in the process that made it.
#[pyclass(frozen, weakref, module = "alluxio._native")]
pub(crate) struct Client {
    shared: Owned<Arc<Shared>>,
}

fn parse(py: Python<'_>, path: &str) -> PyResult<AlluxioPath> {
    AlluxioPath::parse(path).map_err(|error| error::raise(py, &ClientError::from(error)))
}

fn write_type(text: Option<&str>) -> Result<Option<WriteType>, SetupError> {
    convert::word("write_type", text, WriteType::ALL, WriteType::name)
}

fn ttl_action(text: Option<&str>) -> Result<Option<TtlAction>, SetupError> {
    const ALL: [TtlAction; 3] = [TtlAction::Free, TtlAction::Delete, TtlAction::DeleteAlluxio];
    convert::word("ttl_action", text, &ALL, TtlAction::name)
}

/// Copies at most: negative for no limit.
fn replication_max(copies: Option<i64>) -> Option<Option<u32>> {
    copies.map(|copies| u32::try_from(copies).ok())
}

#[pymethods]
impl Client {
    #[new]
    fn new(
        py: Python<'_>,
        properties: Vec<(String, String)>,
        masters: Option<&str>,
        conf_dir: Option<PathBuf>,
    ) -> PyResult<Client> {
        let config = config::load(properties, masters, conf_dir)?;
        let engine = Engine::start()?;
        let fs = engine.inside(|| FileSystem::connect(config, Host::real()));
        let fs = fs.map_err(|failure| error::raise(py, &failure))?;
        Ok(Client { shared: Owned::new(Arc::new(Shared { fs, engine })) })
    }

    /// Name of the user in whose name it acts, and of this machine.
    fn identity(&self) -> PyResult<(String, String)> {
        let fs = &self.shared.get()?.fs;
        Ok((fs.user().to_owned(), fs.config().hostname.clone()))
    }

    /// How often workers of this host were reached by TCP, by reason.
    fn short_circuit_fallbacks(&self) -> PyResult<BTreeMap<&'static str, u64>> {
        let counted = self.shared.get()?.fs.short_circuit_fallbacks();
        Ok(counted.into_iter().map(|(reason, count)| (reason.name(), count)).collect())
    }

    fn status<'py>(
        &self,
        py: Python<'py>,
        path: &str,
        sync_ms: Option<i64>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let options =
            GetStatusOptions { freshness: convert::freshness(sync_ms), without_blocks: false };
        let status = shared.engine.wait(py, shared.fs.get_status(&path, &options))?;
        convert::status(py, status)
    }

    fn entries<'py>(
        &self,
        py: Python<'py>,
        path: &str,
        recursive: bool,
        sync_ms: Option<i64>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let options = ListStatusOptions {
            freshness: convert::freshness(sync_ms),
            recursive,
            without_blocks: true,
            ..ListStatusOptions::default()
        };
        let all = shared.engine.wait(py, shared.fs.list_status(&path, &options))?;
        all.into_iter().map(|status| convert::status(py, status)).collect()
    }

    fn exists(&self, py: Python<'_>, path: &str, sync_ms: Option<i64>) -> PyResult<bool> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        shared.engine.wait(py, shared.fs.exists(&path, convert::freshness(sync_ms)))
    }

    fn mkdir(
        &self,
        py: Python<'_>,
        path: &str,
        recursive: bool,
        exist_ok: bool,
        mode: Option<u16>,
        write_type_name: Option<&str>,
    ) -> PyResult<()> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let options = CreateDirectoryOptions {
            recursive,
            allow_exists: exist_ok,
            mode: mode.map(Mode),
            write_type: write_type(write_type_name)?,
        };
        shared.engine.wait(py, shared.fs.create_directory(&path, &options)).map(|_| ())
    }

    fn delete(
        &self,
        py: Python<'_>,
        path: &str,
        recursive: bool,
        alluxio_only: bool,
    ) -> PyResult<u64> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let options = DeleteOptions { recursive, alluxio_only, ..DeleteOptions::default() };
        shared.engine.wait(py, shared.fs.delete(&path, &options))
    }

    fn rename(&self, py: Python<'_>, from: &str, to: &str, replace: bool) -> PyResult<()> {
        let (shared, from, to) = (self.shared.get()?, parse(py, from)?, parse(py, to)?);
        match replace {
            true => shared.engine.wait(py, shared.fs.rename_over(&from, &to)),
            false => shared.engine.wait(py, shared.fs.rename(&from, &to)),
        }
    }

    #[pyo3(signature = (path, *, recursive, owner, group, mode, pinned, ttl_ms, ttl_action_name,
                        replication_min, replication_max_copies, accessed_ms, modified_ms))]
    #[expect(clippy::too_many_arguments, reason = "all are by name, from one place in Python")]
    fn set_attribute(
        &self,
        py: Python<'_>,
        path: &str,
        recursive: bool,
        owner: Option<String>,
        group: Option<String>,
        mode: Option<u16>,
        pinned: Option<bool>,
        ttl_ms: Option<i64>,
        ttl_action_name: Option<&str>,
        replication_min: Option<u32>,
        replication_max_copies: Option<i64>,
        accessed_ms: Option<u64>,
        modified_ms: Option<u64>,
    ) -> PyResult<u64> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let changes = SetAttributeOptions {
            recursive,
            owner,
            group,
            mode: mode.map(Mode),
            pinned,
            ttl: convert::ttl(ttl_ms),
            ttl_action: ttl_action(ttl_action_name)?,
            replication_min,
            replication_max: replication_max(replication_max_copies),
            accessed: accessed_ms.map(UnixMillis),
            modified: modified_ms.map(UnixMillis),
            ..SetAttributeOptions::default()
        };
        shared.engine.wait(py, shared.fs.set_attribute(&path, &changes))
    }

    /// Files looked at, blocks and bytes that were not cached before.
    fn load(&self, py: Python<'_>, path: &str, local: bool) -> PyResult<(u64, u64, u64)> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let loaded = shared.engine.wait(py, shared.fs.load(&path, local))?;
        Ok((loaded.files, loaded.blocks, loaded.bytes))
    }

    fn load_metadata(&self, py: Python<'_>, path: &str, recursive: bool) -> PyResult<u64> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let options = LoadMetadataOptions { recursive, force: true };
        shared.engine.wait(py, shared.fs.load_metadata(&path, options))
    }

    /// Files whose blocks were freed, and copies of blocks.
    fn free(
        &self,
        py: Python<'_>,
        path: &str,
        recursive: bool,
        forced: bool,
    ) -> PyResult<(u64, u64)> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let freed =
            shared.engine.wait(py, shared.fs.free(&path, FreeOptions { recursive, forced }))?;
        Ok((freed.files, freed.blocks))
    }

    fn persist(&self, py: Python<'_>, path: &str) -> PyResult<u64> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        shared.engine.wait(py, shared.fs.persist(&path))
    }

    fn mount(
        &self,
        py: Python<'_>,
        path: &str,
        ufs_uri: &str,
        properties: BTreeMap<String, String>,
        read_only: bool,
        shared_by_all: bool,
    ) -> PyResult<()> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let options = MountOptions { read_only, shared: shared_by_all, properties };
        shared.engine.wait(py, shared.fs.mount(&path, ufs_uri, &options))
    }

    fn unmount(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        shared.engine.wait(py, shared.fs.unmount(&path))
    }

    /// Path, URI, kind of store, whether it is read-only.
    fn mounts(&self, py: Python<'_>) -> PyResult<Vec<(String, String, String, bool)>> {
        let shared = self.shared.get()?;
        let mounts = shared.engine.wait(py, shared.fs.get_mount_table(false))?;
        let row = |mount: alluxio_client::MountPoint| {
            let info = mount.info;
            (info.path.to_string(), info.ufs_uri, mount.ufs_type, info.read_only)
        };
        Ok(mounts.into_iter().map(row).collect())
    }

    /// Bytes that fit on all live workers, and bytes in use.
    fn capacity(&self, py: Python<'_>) -> PyResult<(u64, u64)> {
        let shared = self.shared.get()?;
        let capacity = shared.engine.wait(py, shared.fs.capacity())?;
        Ok((capacity.capacity_bytes, capacity.used_bytes))
    }

    fn open(
        &self,
        py: Python<'_>,
        path: &str,
        read_type_name: Option<&str>,
        sync_ms: Option<i64>,
    ) -> PyResult<Reader> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let options = OpenFileOptions {
            freshness: convert::freshness(sync_ms),
            read_type: convert::word("read_type", read_type_name, ReadType::ALL, ReadType::name)?,
            ufs_read_policy: None,
        };
        let reader = shared.engine.wait(py, shared.fs.open_file(&path, &options))?;
        Ok(Reader::new(shared.clone(), reader, options))
    }

    /// The same version of a file that another client, the parent's perhaps, has open.
    fn open_again(&self, py: Python<'_>, reader: &Reader) -> PyResult<Reader> {
        let shared = self.shared.get()?;
        let (status, options) = reader.opened();
        let reader = shared.fs.open_status(status, &options);
        let reader = reader.map_err(|failure| error::raise(py, &failure))?;
        Ok(Reader::new(shared.clone(), reader, options))
    }

    #[pyo3(signature = (path, *, recursive, overwrite, mode, block_size, write_type_name, ttl_ms,
                        ttl_action_name, replication_min, replication_max_copies, length_hint))]
    #[expect(clippy::too_many_arguments, reason = "all are by name, from one place in Python")]
    fn create(
        &self,
        py: Python<'_>,
        path: &str,
        recursive: bool,
        overwrite: bool,
        mode: Option<u16>,
        block_size: Option<u64>,
        write_type_name: Option<&str>,
        ttl_ms: Option<i64>,
        ttl_action_name: Option<&str>,
        replication_min: Option<u32>,
        replication_max_copies: Option<i64>,
        length_hint: Option<u64>,
    ) -> PyResult<Writer> {
        let (shared, path) = (self.shared.get()?, parse(py, path)?);
        let options = CreateFileOptions {
            recursive,
            overwrite,
            mode: mode.map(Mode),
            block_size_bytes: block_size,
            write_type: write_type(write_type_name)?,
            ttl: convert::ttl(ttl_ms),
            ttl_action: ttl_action(ttl_action_name)?,
            replication_min,
            replication_max: replication_max(replication_max_copies),
            length_hint,
            ..CreateFileOptions::default()
        };
        let writer = shared.engine.wait(py, shared.fs.create_file(&path, &options))?;
        Ok(Writer::new(shared.clone(), writer))
    }
}
