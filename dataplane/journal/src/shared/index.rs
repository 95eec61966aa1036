//! Where entries lie in the log, as far as this process has seen it.

use super::log::Position;
use crate::Backlog;
use alluxio_types::JournalSeq;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One segment in so many is remembered: 65,536 of them are 4,096 places.
const STEP: u64 = 16;
/// What a segment counts as at least: reading a small one takes as long as so many bytes of a large one.
const SEGMENT_COST_BYTES: u64 = 4 << 10;
/// Twice as much as is kept when a checkpoint should come, whatever its schedule says: 65,536 small
/// segments, which a start reads in half a minute from a store that answers within 10 ms.
const LIMIT_BYTES: u64 = 512 << 20;

/// A place in the log: a segment's number, the position of its first entry, and the bytes before it.
pub(super) type Known = (u64, JournalSeq, u64);

#[derive(Default)]
pub(super) struct Index {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By number.
    places: BTreeMap<u64, (JournalSeq, u64)>,
    end: Option<Position>,
}

impl Index {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything; the log is read from `at` on.
    pub(super) fn begin(&self, at: Position) {
        *self.state() = State { places: BTreeMap::new(), end: Some(at) };
    }

    /// A segment was read or written, and the log goes on at `end`.
    pub(super) fn passed(&self, (number, first, offset): Known, end: &Position) {
        let mut state = self.state();
        if state.places.is_empty() || number.is_multiple_of(STEP) {
            state.places.insert(number, (first, offset));
        }
        if state.end.is_none_or(|known| known.number < end.number) {
            state.end = Some(*end);
        }
    }

    /// Where the log goes on, as far as it was seen.
    pub(super) fn end(&self) -> Position {
        self.state().end.unwrap_or_default()
    }

    /// Where to read from for the entry at `seq`; `None` when it lies before all that is known.
    pub(super) fn place_of(&self, seq: JournalSeq) -> Option<Position> {
        let state = self.state();
        let end = state.end.unwrap_or_default();
        let found = state.places.iter().rev().find(|(_, (first, _))| *first <= seq);
        match found {
            Some((number, (first, offset))) => Some(Position {
                number: *number,
                next: Some(*first),
                term: alluxio_types::Term(0),
                offset: *offset,
            }),
            None if state.places.is_empty() && end.next.is_none_or(|next| next <= seq) => Some(end),
            None => None,
        }
    }

    /// The log was cut off before the segment `number`.
    pub(super) fn cut(&self, number: u64) {
        let mut state = self.state();
        let kept = state.places.split_off(&number);
        if !kept.is_empty() {
            state.places = kept;
        }
    }

    /// How much of the log is kept.
    pub(super) fn backlog(&self) -> Backlog {
        let state = self.state();
        let (Some(end), Some((number, (_, offset)))) = (state.end, state.places.first_key_value())
        else {
            return Backlog { bytes: 0, limit_bytes: LIMIT_BYTES };
        };
        let segments = end.number.saturating_sub(*number);
        let bytes = end.offset.saturating_sub(*offset) + segments * SEGMENT_COST_BYTES;
        Backlog { bytes, limit_bytes: LIMIT_BYTES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::Term;

    fn end(number: u64) -> Position {
        let next = Some(JournalSeq(number * 10));
        Position { number, next, term: Term(1), offset: number * 100 }
    }

    #[test]
    fn an_entry_is_found_from_a_place_shortly_before_it() {
        let index = Index::default();
        index.begin(end(5));
        for number in 5..100 {
            let first = JournalSeq(number * 10);
            index.passed((number, first, number * 100), &end(number + 1));
        }
        let place = |seq| index.place_of(JournalSeq(seq)).map(|place| place.number);
        assert_eq!(
            (place(49), place(50), place(159), place(160)),
            (None, Some(5), Some(5), Some(16))
        );
        assert_eq!((place(9999), index.end()), (Some(96), end(100)));
        assert_eq!(index.backlog().bytes, 95 * 100 + 95 * SEGMENT_COST_BYTES);
        index.cut(32);
        assert_eq!((place(319), place(320)), (None, Some(32)));
        assert!(!index.backlog().wants_checkpoint());
    }
}
