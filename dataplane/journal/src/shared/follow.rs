//! Reading along: a standby behind the primary. Nobody tells of new segments, so it looks for the next one,
//! more seldom while there is none.

use super::index::Index;
use super::log::{Log, Position, READ_AHEAD};
use super::segment::Segment;
use crate::{CommitPublisher, Commits, Followed, Follower, JournalError, Records};
use alluxio_types::JournalSeq;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks, right after something came and after a long silence.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_millis(500);
/// A follower that finds nothing makes sure, once in so many looks, that it did not fall behind.
const LOOKS_PER_CHECK: u32 = 10;

pub(super) struct SharedFollower {
    pub(super) log: Log,
    pub(super) index: Arc<Index>,
    pub(super) publisher: Arc<CommitPublisher>,
    pub(super) commits: Commits,
    /// Where the log is read on; `None` when that is gone.
    pub(super) at: Option<Position>,
    /// Position that comes next.
    pub(super) next: JournalSeq,
    /// Read, and not handed out yet.
    pub(super) ready: VecDeque<Segment>,
    /// Looks that found nothing, since something was found.
    pub(super) idle: u32,
    /// Segments to read at a time.
    pub(super) ahead: u64,
}

impl SharedFollower {
    /// The entries of the oldest segment that was read; `None` when it has none that are new.
    fn hand_out(&mut self) -> Result<Option<Records>, JournalError> {
        let Some(segment) = self.ready.pop_front() else { return Ok(None) };
        let mut records = Records::default();
        segment.visit(self.next, &mut |record| {
            records.push(record);
            Ok(ControlFlow::Continue(()))
        })?;
        let Some(last) = records.last() else { return Ok(None) };
        self.next = last.next();
        self.publisher.commit(last);
        Ok(Some(records))
    }

    /// Whether the next segment will never come: it was compacted away.
    ///
    /// **Errors**: `Gap` when it was removed by somebody else.
    async fn is_behind(&self, at: Position) -> Result<bool, JournalError> {
        let newest = self.log.checkpoints().await?.last().map_or(0, |(newest, _)| newest.number);
        let later = match newest > at.number {
            true => None,
            false => self.log.get(at.number + 1).await?,
        };
        // What was made between the looks is there by now.
        if (newest <= at.number && later.is_none()) || self.log.get(at.number).await?.is_some() {
            return Ok(false);
        }
        match later {
            Some(later) => Err(self.log.missing(&at, &later)),
            None => Ok(true),
        }
    }

    async fn pause(&self) {
        let pause = LOOK_FIRST.saturating_mul(1 << self.idle.min(8)).min(LOOK_MAX);
        // In the process of the writer, its commits are news.
        let committed = async {
            if self.commits.wait_for(self.next).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = committed => {}
        }
    }
}

#[async_trait]
impl Follower for SharedFollower {
    async fn next(&mut self) -> Result<Followed, JournalError> {
        loop {
            while !self.ready.is_empty() {
                if let Some(records) = self.hand_out()? {
                    return Ok(Followed::Entries(records));
                }
            }
            let Some(mut at) = self.at else {
                return Ok(Followed::Compacted { from: self.next });
            };
            let begun = at;
            let page = self.log.page(&mut at, self.ahead).await?;
            if page.is_empty() {
                self.ahead = 1;
                if self.idle.is_multiple_of(LOOKS_PER_CHECK) && self.is_behind(begun).await? {
                    self.at = None;
                    continue;
                }
                self.pause().await;
                self.idle += 1;
                continue;
            }
            (self.idle, self.ahead) = (0, (self.ahead * 2).min(READ_AHEAD));
            let mut known = begun;
            for segment in &page {
                let place = (segment.number, segment.first, segment.offset);
                known.pass(segment)?;
                self.index.passed(place, &known);
            }
            self.at = Some(at);
            self.ready.extend(page);
        }
    }
}
