//! Looking after blocks that nobody reads.

use crate::error::Error;
use crate::lease::BlockLease;
use crate::state::Slot;
use crate::store::BlockStore;
use alluxio_types::BlockId;
use std::io;

impl BlockStore {
    /// Checks a block against its checksums. Does not count as a use; a block that fails is
    /// dropped. Blocking: reads the whole block. Its length, or `None` when it is not here.
    ///
    /// **Errors**: as [`BlockLease::verify`].
    pub fn scrub(&self, block: BlockId) -> Result<Option<u64>, Error> {
        let inner = self.inner();
        let stored = match inner.shards.of(block).lock().get(&block) {
            Some(Slot::Committed(stored)) => stored.clone(),
            // What moves is checked by who moves it.
            _ => return Ok(None),
        };
        match BlockLease::new(inner.clone(), stored.clone()) {
            Ok(lease) => lease.verify().map(|()| Some(lease.length())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                inner.drop_vanished(&stored);
                Ok(None)
            }
            Err(source) => {
                let path = stored.dir().block_path(block);
                Err(inner.blame(stored.dir(), crate::fill::io_error("cannot open", &path, source)))
            }
        }
    }
}
