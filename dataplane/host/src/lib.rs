//! The ports a process asks of its machine: [`Clock`], [`Entropy`], [`Disk`], [`Net`], [`Threads`];
//! with the real implementations, and an in-memory disk that can crash.
//!
//! It must not know: what is stored or asked. The cores (`namespace`, `blockstore`, `journal`) take
//! these ports as arguments, so that a simulation can drive them from one seed.
//!
//! [`TableMemory`] is no port but a place: memory for tables that may outgrow the machine's.
//!
//! Reading order: [`clock`], [`entropy`], [`disk`], [`memory_disk`], [`net`], [`threads`],
//! [`table_memory`], [`planted`], [`waiting`].

pub mod clock;
pub mod disk;
pub mod entropy;
pub mod memory_disk;
pub mod net;
pub mod planted;
pub mod table_memory;
pub mod threads;
pub mod waiting;

pub use clock::{Clock, ManualClock, SystemClock};
pub use disk::{Disk, DiskFile, FileFacts, OpenMode, RealDisk};
pub use entropy::{Entropy, OsEntropy, SeededEntropy};
pub use memory_disk::{Fault, FaultKind, MemoryDisk, Operation};
pub use net::{Net, TcpNet};
pub use table_memory::{FileUsage, TableMemory};
pub use threads::{Blocking, PooledThreads, Threads, WorkLost};

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
    /// Connections to other processes.
    pub net: Arc<dyn Net>,
    /// Where work runs that blocks.
    pub threads: Arc<dyn Threads>,
}

impl Host {
    /// The machine that this process runs on.
    pub fn real() -> Self {
        Host {
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(OsEntropy),
            disk: Arc::new(RealDisk),
            net: Arc::new(TcpNet),
            threads: Arc::new(PooledThreads),
        }
    }

    /// Begins work that blocks, and returns its result to come; see [`Threads::run`].
    pub fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Blocking<T> {
        self.threads.blocking(work)
    }
}
