//! Facts of the client as tuples, in the order of the dataclasses in `alluxio.types`.

use crate::error::SetupError;
use alluxio_client::{Freshness, MetadataLoad, SyncInterval};
use alluxio_types::{BlockInfo, FileStatus};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::time::Duration;

/// Reads one of `allowed` names.
pub(crate) fn word<T: Copy>(
    option: &'static str,
    text: Option<&str>,
    allowed: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<Option<T>, SetupError> {
    let Some(text) = text else { return Ok(None) };
    let found = allowed.iter().copied().find(|value| name(*value).eq_ignore_ascii_case(text));
    found.map(Some).ok_or_else(|| {
        let allowed = allowed.iter().map(|value| name(*value)).collect::<Vec<_>>().join(", ");
        SetupError::Word { option, text: text.to_owned(), allowed }
    })
}

/// How old the last look at the under store may be, in milliseconds: negative for never again, `None` as
/// configured.
pub(crate) fn freshness(sync_ms: Option<i64>) -> Freshness {
    let sync = sync_ms.map(|ms| match u64::try_from(ms) {
        Ok(ms) => SyncInterval::After(Duration::from_millis(ms)),
        Err(_) => SyncInterval::Never,
    });
    // Who asks each time wants to see what just appeared, too.
    let load = (sync_ms == Some(0)).then_some(MetadataLoad::Always);
    Freshness { sync, load }
}

/// A time to live in milliseconds: negative for ever.
pub(crate) fn ttl(ms: Option<i64>) -> Option<Option<Duration>> {
    ms.map(|ms| u64::try_from(ms).ok().map(Duration::from_millis))
}

/// `FileStatus`.
pub(crate) fn status<'py>(py: Python<'py>, status: FileStatus) -> PyResult<Bound<'py, PyTuple>> {
    let blocks = status.blocks.iter().map(|info| block(py, info)).collect::<PyResult<Vec<_>>>()?;
    let is_directory = status.is_directory();
    let fields = [
        status.path.into_bound_py_any(py)?,
        status.name.into_bound_py_any(py)?,
        status.id.0.into_bound_py_any(py)?,
        is_directory.into_bound_py_any(py)?,
        status.length.into_bound_py_any(py)?,
        status.block_size_bytes.into_bound_py_any(py)?,
        status.completed.into_bound_py_any(py)?,
        status.persistence.name().into_bound_py_any(py)?,
        status.owner.into_bound_py_any(py)?,
        status.group.into_bound_py_any(py)?,
        status.mode.0.into_bound_py_any(py)?,
        status.created.0.into_bound_py_any(py)?,
        status.modified.0.into_bound_py_any(py)?,
        status.accessed.0.into_bound_py_any(py)?,
        status.pinned.into_bound_py_any(py)?,
        status.mount_point.into_bound_py_any(py)?,
        status.ufs_path.into_bound_py_any(py)?,
        status.ttl_ms.into_bound_py_any(py)?,
        status.ttl_action.name().into_bound_py_any(py)?,
        status.replication_min.into_bound_py_any(py)?,
        status.replication_max.into_bound_py_any(py)?,
        status.in_alluxio_percent.into_bound_py_any(py)?,
        PyTuple::new(py, blocks)?.into_any(),
    ];
    PyTuple::new(py, fields)
}

/// `Block`: offset, length, hosts, tiers.
fn block<'py>(py: Python<'py>, info: &BlockInfo) -> PyResult<Bound<'py, PyTuple>> {
    let hosts = info.locations.iter().map(|location| location.address.host.as_str());
    let tiers = info.locations.iter().map(|location| location.tier.0.as_str());
    let hosts = PyTuple::new(py, hosts.collect::<Vec<_>>())?;
    let tiers = PyTuple::new(py, tiers.collect::<Vec<_>>())?;
    (info.offset, info.length, hosts, tiers).into_pyobject(py)
}
