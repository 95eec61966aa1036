//! The native half of the Python package `alluxio`: the client, as Python calls it.
//!
//! It must not know: anything that `alluxio-client` does not offer, nor how Python's users want to see
//! it. Classes, options with defaults, and fsspec are Python, in `python/alluxio`; here are plain calls
//! with plain arguments, whose results are tuples.
//!
//! Every call that waits lets other Python threads run meanwhile and can be interrupted (`engine`). What
//! belongs to another process, the parent of a fork, is never touched (`engine::Owned`).
//!
//! Reading order: [`engine`], `config`, [`client`], [`reader`], [`writer`], [`view`], `error` (the one table
//! from codes to exceptions), `sys` (the only unsafe code).

mod client;
mod config;
mod convert;
mod engine;
mod error;
mod measure;
mod reader;
mod sys;
mod view;
mod writer;

use pyo3::prelude::*;

/// `alluxio._native`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("CODES", error::table())?;
    module.add_class::<client::Client>()?;
    module.add_class::<reader::Reader>()?;
    module.add_class::<writer::Writer>()?;
    module.add_class::<view::View>()?;
    module.add_function(wrap_pyfunction!(measure::consume, module)?)
}
