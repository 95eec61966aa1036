//! Bytes of a file without a copy.

use crate::engine::Owned;
use crate::sys;
use bytes::Bytes;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;

/// Bytes of a file that Python reads where they are: `memoryview(view)`. Where a worker on this host has
/// them, that is its block, which it keeps until the last view of it is released.
#[pyclass(frozen, module = "alluxio._native")]
pub(crate) struct View {
    bytes: Owned<Bytes>,
}

impl View {
    pub(crate) fn new(bytes: Bytes) -> View {
        View { bytes: Owned::new(bytes) }
    }

    /// The bytes. A forked child has the same mapping, and reads it; only the lease is its parent's.
    fn bytes(&self) -> &[u8] {
        self.bytes.picture().map_or(&[], |bytes| bytes)
    }
}

#[pymethods]
#[expect(unsafe_code, reason = "the buffer protocol's functions are unsafe by their type")]
impl View {
    fn __len__(&self) -> usize {
        self.bytes().len()
    }

    // SAFETY: Python calls it with a view to be filled, as `lend` asks for.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        // SAFETY: as above; the bytes are a part of `slf`, and are not moved.
        unsafe { sys::lend(slf.clone().into_any(), this.bytes(), view, flags) }
    }
}
