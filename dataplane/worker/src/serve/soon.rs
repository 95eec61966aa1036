//! Whether a block that is on its way is worth waiting for.
//!
//! A reader on this host may follow a fill, or wait until the block is whole and then read it in
//! place, without a message or a copy. From a slow store it must follow: its first bytes would come
//! late. From a fast one (a local directory, another worker near by) the block is whole within
//! milliseconds, and following costs more than the fill itself: each byte is read back, checksummed
//! twice, sent and received.

use alluxio_blockstore::{FillReader, FillState};
use alluxio_datapath::ReadRequest;
use alluxio_host::Clock;
use std::time::Duration;

/// Shorter reads are served as soon as their bytes are there.
const RANGE_BYTES_MIN: u64 = 4 << 20;
/// Longest time for which a reader's first byte is put off.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Time between two looks at how fast the block comes. Also what a reader of a slow store may lose;
/// that is nothing where the first byte takes longer than this, as with any object store.
const LOOK: Duration = Duration::from_millis(5);

/// Waits for a fill while it promises to end in time. `true` when the block is whole: look it up.
///
/// **Cancel safety**: safe.
pub(super) async fn comes_soon(
    reader: &FillReader,
    request: &ReadRequest,
    clock: &dyn Clock,
) -> bool {
    if !request.want_fd || request.range.len() < RANGE_BYTES_MIN {
        return false;
    }
    let progress = reader.progress();
    let (started, before) = (clock.monotonic(), progress.state().readable_bytes());
    loop {
        // Until the last byte is there, or nothing more will come.
        let end = async {
            let mut state = progress.state();
            while !state.is_over() {
                state = progress.beyond(state.readable_bytes()).await;
            }
        };
        let _ = tokio::time::timeout(LOOK, end).await;
        let arrived = match progress.state() {
            FillState::Committed { .. } => return true,
            FillState::Abandoned { .. } => return false,
            FillState::Filling { written_bytes } => written_bytes.saturating_sub(before),
        };
        let left = request.block_length.saturating_sub(before + arrived);
        let waited = clock.monotonic().saturating_sub(started);
        if !ends_in_time(arrived, left, waited) {
            return false;
        }
    }
}

/// Whether `left_bytes` come before the time is up, at the rate so far.
fn ends_in_time(arrived_bytes: u64, left_bytes: u64, waited: Duration) -> bool {
    let Some(time_left) = WAIT_MAX.checked_sub(waited) else { return false };
    let (arrived, left) = (u128::from(arrived_bytes), u128::from(left_bytes));
    arrived > 0 && left * waited.as_micros() <= arrived * time_left.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn a_reader_waits_for_what_comes_fast_and_follows_what_does_not() {
        let at = Duration::from_millis;
        assert!(ends_in_time(8 * MB, 56 * MB, at(5)), "1.6 GB/s: 40 ms in all");
        assert!(!ends_in_time(MB, 63 * MB, at(5)), "200 MB/s: 320 ms in all");
        assert!(!ends_in_time(0, 64 * MB, at(5)), "the store has not even answered");
        assert!(ends_in_time(63 * MB, MB, at(60)));
        assert!(!ends_in_time(63 * MB, MB, at(101)), "the time is up");
        assert!(ends_in_time(MB, 0, at(100)), "only the commit is missing");
    }
}
