//! Memory that Python lends us, and that we lend Python. The only unsafe code of this crate.
#![expect(unsafe_code, reason = "Python's buffer protocol hands out bare pointers")]

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::slice;

/// Bytes of a Python object that somebody else keeps: `bytes`, `bytearray`, a numpy array, ….
pub(crate) struct Lent {
    buffer: PyUntypedBuffer,
}

impl Lent {
    /// **Errors**: `TypeError` for what lends no memory, or lends it in pieces.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Lent> {
        let buffer = PyUntypedBuffer::get(object)?;
        if !buffer.is_c_contiguous() {
            return Err(PyTypeError::new_err("the buffer does not lie in one piece"));
        }
        Ok(Lent { buffer })
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        let length = self.buffer.len_bytes();
        if length == 0 {
            return &[];
        }
        // SAFETY: the exporter keeps `length` bytes at that place, in one piece, as long as `buffer` lives.
        // Another Python thread may write to them, as with every call that takes a buffer: then the bytes
        // are some mixture of old and new, which are all valid u8.
        unsafe { slice::from_raw_parts(self.buffer.buf_ptr().cast(), length) }
    }

    /// Its bytes, to be written. **Errors**: `TypeError` if it may only be read.
    pub(crate) fn bytes_mut(&mut self) -> PyResult<&mut [u8]> {
        if self.buffer.readonly() {
            return Err(PyTypeError::new_err("the buffer can only be read"));
        }
        let length = self.buffer.len_bytes();
        if length == 0 {
            return Ok(&mut []);
        }
        // SAFETY: as in `bytes`; the exporter allows writing, and `self` is borrowed for as long as the
        // slice lives, so that it is the only one that comes from here.
        Ok(unsafe { slice::from_raw_parts_mut(self.buffer.buf_ptr().cast(), length) })
    }
}

/// Lends `bytes`, which lie in `owner` and do not move while it lives, for reading.
///
/// # Safety
///
/// `view` comes from Python's call of `__getbuffer__` on `owner`.
pub(crate) unsafe fn lend(
    owner: Bound<'_, PyAny>,
    bytes: &[u8],
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    let length = ffi::Py_ssize_t::try_from(bytes.len())
        .map_err(|_| PyBufferError::new_err("more bytes than Python can address"))?;
    let py = owner.py();
    let start = bytes.as_ptr().cast_mut().cast();
    // SAFETY: `view` is Python's to be filled. Python takes a reference to `owner` and gives it back when
    // the last view is released, so the bytes outlive every view; `1` says that they are not to be written.
    let filled = unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), start, length, 1, flags) };
    if filled == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
}
