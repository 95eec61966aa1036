//! `alluxio secondary-master`: checkpoints for a single master with its journal in a folder.

use crate::master::{JournalPlace, local_folder};
use crate::{NodeError, Process, signals};
use alluxio_journal::JournalError;
use alluxio_master::secondary::Secondary;
use std::time::Duration;

/// Time between two looks at the journal, as the reference's `tailer.sleep.time`.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs a secondary master until it is told to stop.
///
/// **Errors**: `Config`; `NoSecondary` for a journal that has none; `Journal`.
pub async fn run(process: &Process) -> Result<(), NodeError> {
    let config = process.config.master()?;
    if JournalPlace::of(&config) != JournalPlace::Local {
        return Err(NodeError::NoSecondary);
    }
    let folder = local_folder(&config.journal);
    let stop = signals::stop_requested()?;
    tokio::pin!(stop);
    let (host, path) = (process.host.clone(), folder.clone());
    let period = config.journal.checkpoint_period_entries;
    let open = move || Secondary::open(&host, &path, period);
    let mut secondary = tokio::task::spawn_blocking(open).await??;
    tracing::info!(folder = %folder.display(), "secondary master reads along");
    loop {
        let step = tokio::task::spawn_blocking(move || {
            let result = secondary.step();
            (secondary, result)
        });
        let (back, result) = step.await?;
        secondary = back;
        match result {
            Ok(stepped) => {
                if let Some(written) = stepped.written {
                    let (seq, records) = (written.at.0, written.records);
                    tracing::info!(seq, records, "checkpoint is written");
                }
            }
            // The primary goes on without us, and what was in the way may pass.
            Err(error @ (JournalError::Io { .. } | JournalError::Full { .. })) => {
                tracing::warn!(%error, "no checkpoint now, it is tried again");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            biased;
            signal = &mut stop => {
                tracing::info!(signal, "secondary master stops");
                return Ok(());
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
