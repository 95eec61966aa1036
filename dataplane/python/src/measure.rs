//! What `alluxio.bench` measures with: the same use of the same bytes, by Rust and by Python.

use crate::sys::Lent;
use alluxio_client::{ClientError, FileReader};
use pyo3::prelude::*;

/// Touches every byte; the cheapest use of data that was not copied.
fn touch(bytes: &[u8]) -> u64 {
    // Eight at a time, in four lanes, so that memory and not the adder is the limit.
    let (words, rest) = bytes.as_chunks::<8>();
    let mut lanes = [0_u64; 4];
    for group in words.chunks(4) {
        for (lane, word) in lanes.iter_mut().zip(group) {
            *lane ^= u64::from_le_bytes(*word);
        }
    }
    let tail = rest.iter().fold(0, |sum, byte| sum ^ u64::from(*byte));
    lanes.iter().fold(tail, |sum, lane| sum ^ lane)
}

/// Touches every byte of a buffer; returns a value that depends on all of them.
#[pyfunction]
pub(crate) fn consume(py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<u64> {
    let lent = Lent::of(buffer)?;
    let bytes = lent.bytes();
    Ok(py.detach(|| touch(bytes)))
}

/// Reads a file without a copy and touches every byte.
pub(crate) async fn read_all(reader: &FileReader, piece_bytes: usize) -> Result<u64, ClientError> {
    let (mut at, mut sum) = (0, 0);
    loop {
        let bytes = reader.read_at_bytes(at, piece_bytes).await?;
        if bytes.is_empty() {
            return Ok(sum);
        }
        sum ^= touch(&bytes);
        at += bytes.len() as u64;
    }
}
