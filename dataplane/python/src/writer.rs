//! A file that is written.

use crate::client::Shared;
use crate::engine::Owned;
use crate::sys::Lent;
use alluxio_client::{ClientError, FileWriter};
use pyo3::prelude::*;
use std::sync::Arc;

/// An open file, written from its start to its end by one thread at a time. Nobody can read it before it is
/// closed; one that is dropped without that leaves nothing.
#[pyclass(module = "alluxio._native")]
pub(crate) struct Writer {
    open: Owned<Open>,
}

struct Open {
    // Before what it needs, so that it goes first.
    writer: FileWriter,
    shared: Arc<Shared>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, writer: FileWriter) -> Writer {
        Writer { open: Owned::new(Open { writer, shared }) }
    }
}

#[pymethods]
impl Writer {
    /// Takes all bytes of a buffer.
    fn write(&mut self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        let lent = Lent::of(buffer)?;
        let Open { writer, shared } = self.open.get_mut()?;
        shared.engine.wait(py, writer.write(lent.bytes()))?;
        Ok(lent.bytes().len())
    }

    /// Sends on what is kept back.
    fn flush(&mut self, py: Python<'_>) -> PyResult<()> {
        let Open { writer, shared } = self.open.get_mut()?;
        shared.engine.wait(py, writer.flush())
    }

    /// Makes the file complete; returns its length.
    fn close(&mut self, py: Python<'_>) -> PyResult<u64> {
        let Open { writer, shared } = self.open.take()?;
        Ok(shared.engine.wait(py, writer.close())?.length)
    }

    /// Gives the file up.
    fn cancel(&mut self, py: Python<'_>) -> PyResult<()> {
        let Open { writer, shared } = self.open.take()?;
        let work = async {
            writer.cancel().await;
            Ok::<(), ClientError>(())
        };
        shared.engine.wait(py, work)
    }
}
