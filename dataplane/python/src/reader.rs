//! A file that is read.

use crate::client::Shared;
use crate::engine::Owned;
use crate::error;
use crate::measure;
use crate::sys::Lent;
use crate::view::View;
use alluxio_client::{FileReader, OpenFileOptions};
use alluxio_types::FileStatus;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// An open file, read at positions; from several threads at once, if they like.
#[pyclass(frozen, module = "alluxio._native")]
pub(crate) struct Reader {
    open: Owned<Open>,
    /// What was opened, and how: all that a forked child can go by.
    opened: (Arc<FileStatus>, OpenFileOptions),
}

struct Open {
    // Before what it needs, so that it goes first.
    reader: FileReader,
    shared: Arc<Shared>,
}

impl Open {
    fn fill(&self, py: Python<'_>, buffer: &mut [u8], offset: u64) -> PyResult<usize> {
        let at_once = py.detach(|| self.reader.try_read_at(buffer, offset));
        match at_once.map_err(|failure| error::raise(py, &failure))? {
            Some(count) => Ok(count),
            None => self.shared.engine.wait(py, self.reader.read_at(buffer, offset)),
        }
    }

    /// Bytes from `offset` to the end of the file.
    fn rest(&self, offset: u64) -> u64 {
        self.reader.length().saturating_sub(offset)
    }
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, reader: FileReader, options: OpenFileOptions) -> Reader {
        let opened = (reader.status(), options);
        Reader { open: Owned::new(Open { reader, shared }), opened }
    }

    pub(crate) fn opened(&self) -> (FileStatus, OpenFileOptions) {
        ((*self.opened.0).clone(), self.opened.1)
    }
}

#[pymethods]
impl Reader {
    fn length(&self) -> PyResult<u64> {
        Ok(self.open.get()?.reader.length())
    }

    /// `bytes`, fewer than asked for only at the end of the file.
    fn read_at<'py>(
        &self,
        py: Python<'py>,
        offset: u64,
        wanted: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let open = self.open.get()?;
        let wanted = usize::try_from(wanted.min(open.rest(offset))).unwrap_or(usize::MAX);
        let mut count = 0;
        let bytes = PyBytes::new_with(py, wanted, |buffer| {
            count = open.fill(py, buffer, offset)?;
            Ok(())
        })?;
        match count == wanted {
            true => Ok(bytes),
            // A newer, shorter version of the file was opened instead.
            false => Ok(PyBytes::new(py, &bytes.as_bytes()[..count])),
        }
    }

    /// Fills a buffer; returns how many bytes there were.
    fn read_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, offset: u64) -> PyResult<usize> {
        let mut lent = Lent::of(buffer)?;
        self.open.get()?.fill(py, lent.bytes_mut()?, offset)
    }

    /// All of a range in one piece: without a copy if it lies in one block of this host.
    fn view(&self, py: Python<'_>, offset: u64, wanted: u64) -> PyResult<View> {
        let open = self.open.get()?;
        let end = offset.saturating_add(wanted);
        let range = offset..end;
        let mut views =
            open.shared.engine.wait(py, open.reader.read_ranges(std::slice::from_ref(&range)))?;
        Ok(View::new(views.pop().unwrap_or_default()))
    }

    /// The next piece from `offset` on, which ends with its block: without a copy if that is on this host.
    /// Empty at the end of the file.
    fn piece(&self, py: Python<'_>, offset: u64, wanted: u64) -> PyResult<View> {
        let open = self.open.get()?;
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        Ok(View::new(open.shared.engine.wait(py, open.reader.read_at_bytes(offset, wanted))?))
    }

    /// Reads the whole file in pieces and uses every byte, all of it in Rust: what Python is compared with.
    fn consume(&self, py: Python<'_>, piece_bytes: usize) -> PyResult<u64> {
        let open = self.open.get()?;
        open.shared.engine.wait(py, measure::read_all(&open.reader, piece_bytes))
    }
}
