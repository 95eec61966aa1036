//! Reads all blocks slowly, one after the other, and checks them: rot is found while another copy,
//! or the UFS, can still make up for it.

use crate::core::{Core, blocking};
use std::sync::Arc;
use std::time::Duration;

/// Pause between two rounds, and the shortest one of a store that is soon looked through.
const ROUND_PAUSE: Duration = Duration::from_secs(60);

/// Runs as long as the worker. At most `alluxio.worker.scrub.bytes.per.second` on average.
pub(crate) async fn run(core: Arc<Core>, bytes_per_second: u64) {
    loop {
        tokio::time::sleep(ROUND_PAUSE).await;
        let store = core.store.clone();
        let Ok(pieces) = blocking(move || store.blocks().collect::<Vec<_>>()).await else { return };
        for (block, _) in pieces.into_iter().flatten() {
            let store = core.store.clone();
            match blocking(move || store.scrub(block)).await {
                Ok(Ok(Some(length))) => {
                    core.metrics.scrubbed_bytes.inc_by(length);
                    tokio::time::sleep(pause(length, bytes_per_second)).await;
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(block = block.0, %error, "a block fails its check");
                    core.news.notify_one();
                }
                Err(_) => return,
            }
        }
    }
}

fn pause(bytes: u64, bytes_per_second: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_followed_by_the_pause_that_keeps_the_rate() {
        assert_eq!(pause(64 << 20, 8 << 20), Duration::from_secs(8));
        assert_eq!(pause(0, 0), Duration::ZERO);
    }
}
