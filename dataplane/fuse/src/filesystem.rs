//! The seam between the loop and what is shown.

use crate::session::{Reply, Request};

/// What answers the kernel. Called on the threads of the session, which read nothing else meanwhile:
/// what takes its time keeps the request and the reply, and answers from elsewhere.
pub trait FileSystem: Send + Sync + 'static {
    /// Serves one request. `reply` must be answered some time; one that is dropped says `EIO`.
    fn serve(&self, request: Request, reply: Reply);

    /// The caller of request `unique` does not want to wait any more. The request must still be answered,
    /// and may be answered as if nothing had happened.
    fn interrupt(&self, unique: u64);

    /// The kernel forgets so many lookups of a node. There is no reply, and what a server that died had
    /// read is lost: counts are a hint for freeing memory, never the life of a node.
    fn forget(&self, node: u64, lookups: u64);
}
