//! The ports a process asks of its machine: [`Clock`], [`Entropy`], [`Disk`]; with the real
//! implementations, and an in-memory disk that can crash.
//!
//! It must not know: what is stored or asked. The cores (`namespace`, `blockstore`, `journal`) take
//! these ports as arguments, so that a simulation can drive them from one seed.
//!
//! [`TableMemory`] is no port but a place: memory for tables that may outgrow the machine's.
//!
//! Reading order: [`clock`], [`entropy`], [`disk`], [`memory_disk`], [`table_memory`].

pub mod clock;
pub mod disk;
pub mod entropy;
pub mod memory_disk;
pub mod table_memory;

pub use clock::{Clock, ManualClock, SystemClock};
pub use disk::{Disk, DiskFile, FileFacts, OpenMode, RealDisk};
pub use entropy::{Entropy, OsEntropy, SeededEntropy};
pub use memory_disk::{Fault, FaultKind, MemoryDisk, Operation};
pub use table_memory::{FileUsage, TableMemory};

use std::sync::Arc;

/// The ports of one process. Cloning is cheap.
#[derive(Clone)]
pub struct Host {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Files of this machine.
    pub disk: Arc<dyn Disk>,
}

impl Host {
    /// The machine that this process runs on.
    pub fn real() -> Self {
        Host {
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(OsEntropy),
            disk: Arc::new(RealDisk),
        }
    }
}
