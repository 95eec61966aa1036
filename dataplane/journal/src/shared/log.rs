//! The log: segments that are made one after the other, each by one creation that only one writer can win.
//!
//! **Why two writers cannot both go on.** A writer has one creation in flight, of the number after its last
//! one, and its first segment is a fence. Suppose that `W` made segment *n* and tries *n+1*, however late:
//!
//! 1. If *n+1* was made by another writer, it is that writer's first one, as every writer goes on from
//!    number to number and *n* is `W`'s. So it is a fence, of a later term. Recent fences are never
//!    removed ([`FENCES_KEPT`] terms), so the store refuses `W` for as long as it may try, even when all
//!    entries around are compacted away: `W` reads the fence and is over.
//! 2. If *n+1* was made by `W` itself in a try whose answer was lost, reading it back says so. It may have
//!    been compacted away meanwhile; then `W` makes it again, which changes nothing, as its entries were
//!    durable, nobody reads so far back, and *n+2* is a fence or free.
//! 3. Otherwise *n+1* was never made, and `W` is the only writer that has not been followed by a fence.
//!
//! A writer that begins is not protected by (1): the number that it found free may have been made
//! and compacted away before its fence arrives. Compaction removes only what lies below a checkpoint that is
//! there for good, so the writer looks, after its fence is made, whether a checkpoint lies beyond it;
//! then it is too late, and gives up ([`Log::fence`]).

use super::layout::{CheckpointName, Place, number_of};
use super::place::Creation;
use super::segment::{self, Facts, Segment, WriterId};
use crate::JournalError;
use crate::error::Damage;
use alluxio_host::Host;
use alluxio_types::{JournalSeq, Term};
use std::time::Duration;

/// Terms whose fences stay. A writer would have to sleep through so many elections to do harm.
pub(super) const FENCES_KEPT: usize = 1_000;
/// The term of the fence that ends a journal which is formatted anew.
const LAST_TERM: Term = Term(u64::MAX);
/// Numbers beyond the end of the log that are looked at before a fence is made there: a file that
/// somebody removed would look like the end.
const LOOK_BEYOND: u64 = 8;
/// Pause before the store is asked again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Tries of a fence before the election is given back.
const FENCE_TRIES: usize = 15;
/// Segments that are read at a time when many are there.
pub(super) const READ_AHEAD: u64 = 32;

/// Where the log goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Number of the segment that comes next.
    pub(super) number: u64,
    /// Position that comes next; `None` while that is for the next segment to say.
    pub(super) next: Option<JournalSeq>,
    pub(super) term: Term,
    /// Bytes of records before it.
    pub(super) offset: u64,
}

impl Default for Position {
    /// The start of a log.
    fn default() -> Self {
        Position { number: 1, next: Some(JournalSeq(1)), term: Term(0), offset: 0 }
    }
}

impl Position {
    /// The start of what a checkpoint wants to be read.
    pub(super) fn at(number: u64) -> Self {
        Position { number, next: None, term: Term(0), offset: 0 }
    }

    /// Goes on behind `segment`, if it continues here.
    ///
    /// **Errors**: `Corrupt`.
    pub(super) fn pass(&mut self, segment: &Segment) -> Result<(), JournalError> {
        let found = segment.first;
        if let Some(expected) = self.next.filter(|expected| *expected != found) {
            return Err(segment.corrupt(40, Damage::Order { found, expected }));
        }
        if segment.term < self.term {
            let (found, newest) = (segment.term, self.term);
            return Err(segment.corrupt(24, Damage::Term { found, newest }));
        }
        let (next, _) = segment
            .visit(JournalSeq(u64::MAX), &mut |_| Ok(std::ops::ControlFlow::Continue(())))?;
        *self = Position {
            number: self.number + 1,
            next: Some(next),
            term: segment.term,
            offset: segment.offset + segment.record_bytes(),
        };
        Ok(())
    }
}

/// What became of the creation of a segment.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is there.
    Ours,
    /// Another writer was first.
    Other(Segment),
}

/// What a try to create a segment came to.
pub(super) enum Try {
    Settled(Outcome),
    /// It is not there: try again, after a pause when there is an error to tell.
    Open(Option<JournalError>),
}

/// The log of one cluster, and the writer that we would be. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) place: Place,
    writer: WriterId,
}

impl Log {
    pub(super) fn new(place: Place, host: &Host) -> Self {
        let mut writer = [0; 16];
        writer[..8].copy_from_slice(&host.entropy.next_u64().to_le_bytes());
        writer[8..].copy_from_slice(&host.entropy.next_u64().to_le_bytes());
        Log { place, writer }
    }

    pub(super) fn facts(&self, at: &Position) -> Facts {
        let (tag, writer) = (self.place.tag, self.writer);
        Facts { tag, writer, number: at.number, offset: at.offset }
    }

    /// Reads a segment; `None` when there is none of this number.
    ///
    /// **Errors**: `Corrupt`, `Foreign`, `Store`.
    pub(super) async fn get(&self, number: u64) -> Result<Option<Segment>, JournalError> {
        let name = self.place.segment(number);
        let read = self.place.folder.read(&name).await;
        let Some(bytes) = read.map_err(self.place.failed("read", &name))? else {
            return Ok(None);
        };
        segment::parse(&self.place.shown(&name), self.place.tag, number, bytes).map(Some)
    }

    /// Reads up to `count` segments from `at` on, and moves `at` behind them; fewer when the log ends.
    ///
    /// **Errors**: as [`Log::get`].
    /// **Cancel safety**: `at` moves only when it returns.
    pub(super) async fn page(
        &self,
        at: &mut Position,
        count: u64,
    ) -> Result<Vec<Segment>, JournalError> {
        let gets = (at.number..at.number + count).map(|number| self.get(number));
        let mut segments = Vec::new();
        let mut moved = *at;
        for found in futures::future::join_all(gets).await {
            // What comes behind a gap may have been made between the two looks.
            let Some(segment) = found? else { break };
            moved.pass(&segment)?;
            segments.push(segment);
        }
        *at = moved;
        Ok(segments)
    }

    /// Numbers of all segments, ascending, and whether each is a fence.
    ///
    /// **Errors**: `Store`.
    pub(super) async fn numbers(&self) -> Result<Vec<(u64, bool)>, JournalError> {
        let directory = self.place.log();
        let listed = self.place.folder.list(&directory).await;
        let listed = listed.map_err(self.place.failed("list", &directory))?;
        let number = |file: &super::place::Listed| {
            Some((number_of(&file.name)?, file.length == segment::HEADER_BYTES as u64))
        };
        let mut numbers: Vec<(u64, bool)> = listed.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Checkpoints that are not known to be damaged, oldest first, with their lengths.
    ///
    /// **Errors**: `Store`.
    pub(super) async fn checkpoints(&self) -> Result<Vec<(CheckpointName, u64)>, JournalError> {
        let directory = self.place.checkpoints();
        let listed = self.place.folder.list(&directory).await;
        let listed = listed.map_err(self.place.failed("list", &directory))?;
        let damaged = |name: &str| {
            let marker = format!("{name}{}", super::layout::DAMAGED);
            listed.iter().any(|file| file.name == marker)
        };
        let mut found: Vec<(CheckpointName, u64)> = listed
            .iter()
            .filter(|file| !damaged(&file.name))
            .filter_map(|file| Some((CheckpointName::parse(&file.name)?, file.length)))
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Whether nothing was ever written but fences.
    ///
    /// **Errors**: `Store`.
    pub(super) async fn is_untouched(&self) -> Result<bool, JournalError> {
        let only_fences = self.numbers().await?.iter().all(|(_, is_fence)| *is_fence);
        Ok(only_fences && self.checkpoints().await?.is_empty())
    }

    /// Tries once to create a segment, and reads back what became of it unless that is clear.
    ///
    /// **Errors**: what trying again will not mend.
    pub(super) async fn try_create(&self, number: u64, bytes: &[u8]) -> Result<Try, JournalError> {
        let name = self.place.segment(number);
        let error = match self.place.folder.create_new(&name, bytes).await {
            Ok(Creation::Created) => return Ok(Try::Settled(Outcome::Ours)),
            // Perhaps by an earlier try.
            Ok(Creation::Taken) => None,
            Err(error) if error.is_passing() => Some(self.place.failed("create", &name)(error)),
            Err(error) => return Err(self.place.failed("create", &name)(error)),
        };
        match self.get(number).await {
            Ok(Some(found)) if found.bytes == bytes => Ok(Try::Settled(Outcome::Ours)),
            Ok(Some(found)) => Ok(Try::Settled(Outcome::Other(found))),
            Ok(None) => Ok(Try::Open(error)),
            Err(JournalError::Store { action, path, source }) if source.is_passing() => {
                Ok(Try::Open(Some(JournalError::Store { action, path, source })))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the log from `from` to its end and puts a fence of `term` there; returns where the log goes
    /// on behind it. Nothing of an earlier term is made after that.
    ///
    /// **Errors**: `Fenced` when a term as new was seen; `Gap`; `Store` when the store does not answer.
    pub(super) async fn fence(
        &self,
        from: Position,
        term: Term,
    ) -> Result<(Position, Vec<Segment>), JournalError> {
        let mut at = from;
        let mut read = Vec::new();
        let mut tries = 0;
        loop {
            let count = if read.is_empty() { 1 } else { READ_AHEAD };
            let page = self.page(&mut at, count).await?;
            if !page.is_empty() {
                read.extend(page);
                continue;
            }
            if at.term >= term {
                return Err(JournalError::Fenced { term, newest: at.term });
            }
            self.check_end(&at).await?;
            let bytes = segment::fence(&self.facts(&at), term, at.next.unwrap_or_default());
            match self.try_create(at.number, &bytes).await? {
                Try::Settled(Outcome::Ours) => break,
                Try::Settled(Outcome::Other(_)) => {}
                Try::Open(error) => {
                    tries += 1;
                    if let Some(error) = error.filter(|_| tries > FENCE_TRIES) {
                        return Err(error);
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
        let newest = self.checkpoints().await?.last().map_or(0, |(newest, _)| newest.number);
        if newest > at.number {
            // The number was free because what had it was compacted away: others are far ahead.
            return Err(JournalError::Fenced { term, newest: Term(term.0 + 1) });
        }
        (at.number, at.term) = (at.number + 1, term);
        Ok((at, read))
    }

    /// Puts a fence of the last term there is at the end, whatever the log holds.
    ///
    /// **Errors**: `Store`.
    pub(super) async fn end_for_good(&self) -> Result<(), JournalError> {
        let mut number = self.numbers().await?.last().map_or(0, |(last, _)| *last) + 1;
        let mut tries = 0;
        loop {
            let facts = self.facts(&Position::at(number));
            let bytes = segment::fence(&facts, LAST_TERM, JournalSeq(0));
            match self.try_create(number, &bytes).await {
                Ok(Try::Settled(Outcome::Ours)) => return Ok(()),
                Ok(Try::Settled(Outcome::Other(_)))
                | Err(JournalError::Corrupt { .. } | JournalError::Foreign { .. }) => number += 1,
                Ok(Try::Open(error)) => {
                    tries += 1;
                    if let Some(error) = error.filter(|_| tries > FENCE_TRIES) {
                        return Err(error);
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes sure that nothing lies beyond what looks like the end.
    ///
    /// **Errors**: `Gap`, `Store`.
    async fn check_end(&self, at: &Position) -> Result<(), JournalError> {
        let beyond = (1..=LOOK_BEYOND).map(|ahead| self.get(at.number + ahead));
        for found in futures::future::join_all(beyond).await {
            let Some(later) = found? else { continue };
            // Made between the two looks, if it is there by now.
            if self.get(at.number).await?.is_none() {
                return Err(self.missing(at, &later));
            }
        }
        Ok(())
    }

    /// What to say when `at` is not there and `later` is.
    pub(super) fn missing(&self, at: &Position, later: &Segment) -> JournalError {
        let file = self.place.segment(at.number);
        JournalError::Gap {
            folder: self.place.shown(&file),
            from: at.next.unwrap_or_default(),
            to: JournalSeq(later.first.0.saturating_sub(1)),
        }
    }
}
