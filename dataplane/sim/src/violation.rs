//! Broken promises.

use alluxio_types::{Code, Coded};

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum World {
    /// Namespace and journal of a master.
    Metadata,
    /// Block store of a worker.
    Blocks,
    /// Whole masters and clients.
    Cluster,
}

/// A promise that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, step {step}: {what}")]
pub struct Violation {
    /// The run.
    pub seed: u64,
    /// Where in it.
    pub step: u64,
    /// The promise, and what was found.
    pub what: String,
}

impl Coded for Violation {
    fn code(&self) -> Code {
        Code::Internal
    }
}
