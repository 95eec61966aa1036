//! Where the tree lies: on the heap, or in a file that may outgrow the memory.

use crate::error::StartError;
use alluxio_config::MetastoreConfig;
use alluxio_host::{Host, TableMemory};
use alluxio_namespace::{Foundation, Namespace};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often the memory of a tree in a file is looked at.
const TRIM_INTERVAL: Duration = Duration::from_secs(5);

/// What a new tree is built on; one in a file gets a file of its own. Blocking.
///
/// **Errors**: `Metastore`.
pub(crate) fn foundation(config: &MetastoreConfig, host: &Host) -> Result<Foundation, StartError> {
    let memory = match config {
        MetastoreConfig::Heap => TableMemory::heap(),
        MetastoreConfig::File { dir, .. } => TableMemory::in_dir(dir)
            .map_err(|source| StartError::Metastore { dir: dir.clone(), source })?,
    };
    Ok(Foundation { memory, hash_seed: host.entropy.next_u64() })
}

/// Keeps a tree in a file within the memory that it may take, as long as the tree is in use.
pub(crate) fn keep_trim(
    config: &MetastoreConfig,
    host: &Host,
    memory: TableMemory,
    tree: &Arc<Namespace>,
) {
    let MetastoreConfig::File { resident_bytes: Some(most), .. } = config else { return };
    tokio::spawn(trim(*most, host.clone(), memory, Arc::downgrade(tree)));
}

async fn trim(most: u64, host: Host, memory: TableMemory, tree: Weak<Namespace>) {
    while tree.strong_count() > 0 {
        let memory = memory.clone();
        let trimmed = host.blocking(move || memory.keep_resident_below(most));
        if trimmed.await.is_err() {
            // The process stops.
            return;
        }
        tokio::time::sleep(TRIM_INTERVAL).await;
    }
}
