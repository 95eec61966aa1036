//! Quotas of directories, while a file is written: the master refuses a version that does not fit, but a program that
//! is told only at `close` has filled the disk of this machine by then.

use super::Draft;
use crate::errno::Errno;
use crate::fs::Core;
use alluxio_client::GetStatusOptions;
use alluxio_types::{Coded, QuotaStatus};
use std::sync::Arc;

/// Shorter files are refused when they are closed: asking first would cost a call for each of them.
pub(super) const ASK_FROM_BYTES: u64 = 16 << 20;
/// Bytes after which the answer is old, below a quota.
const ASK_AGAIN_BYTES: u64 = 64 << 20;
/// The same where there is none.
const ASK_RARELY_BYTES: u64 = 1 << 30;

impl Draft {
    /// Whether the file may become that long, as far as anybody knows, without another question.
    pub(in crate::fs) fn may_reach(&self, end: u64) -> bool {
        end <= self.state().asked_to
    }
}

impl Core {
    /// Asks whether quotas allow the file to become that long. A master that does not answer keeps nobody from
    /// writing: the commit will tell.
    ///
    /// **Errors**: `DQUOT`.
    pub(in crate::fs) async fn need_room(
        &self,
        node: u64,
        draft: &Arc<Draft>,
        end: u64,
    ) -> Result<(), Errno> {
        let Ok(path) = self.path(node).await else { return Ok(()) };
        let left = match self.own.quotas(&path).await {
            Ok(quotas) => quotas.iter().filter_map(QuotaStatus::bytes_left).min(),
            Err(error) => {
                tracing::debug!(%path, code = error.code().name(), "quotas are not known");
                None
            }
        };
        let Some(left) = left else {
            draft.state().asked_to = end.saturating_add(ASK_RARELY_BYTES);
            return Ok(());
        };
        // The version that there is goes when the new one comes.
        let options = GetStatusOptions { without_blocks: true, ..GetStatusOptions::default() };
        let there = self.own.get_status(&path, &options).await;
        let room = left.saturating_add(there.map_or(0, |there| there.length));
        if end > room {
            return Err(Errno::DQUOT);
        }
        draft.state().asked_to = room.min(end.saturating_add(ASK_AGAIN_BYTES));
        Ok(())
    }
}
