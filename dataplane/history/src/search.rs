//! The search for an order, after Wing and Gong ("Testing and Verifying Concurrent Objects", 1993)
//! with Lowe's memory of states that were seen ("Testing for linearizability", 2017).
//!
//! Calls and answers stand in a list by time. A call can come next if no answer stands before it: then
//! everything that ended before it began has its place already. Taking a call removes it and its answer
//! from the list; meeting an answer means that its call should have been taken earlier, so the last
//! choice is undone.

use crate::Violation;
use crate::operation::Operation;
use crate::tree::{Tree, Undo};
use std::collections::HashSet;
use std::fmt::Write;

/// Explains one part, or says why it cannot be.
pub(crate) fn explain(operations: &[&Operation], steps_max: u64) -> Result<(), Violation> {
    Search::new(operations).run(steps_max)
}

struct Search<'a> {
    operations: &'a [&'a Operation],
    events: Events,
    tree: Tree,
    /// Which calls were taken, as bits.
    taken: Vec<u64>,
    /// The calls taken, in order, and how to take them back.
    order: Vec<(usize, Undo)>,
    /// Sets of calls with the tree that they led to.
    seen: HashSet<(Vec<u64>, u64)>,
    /// Longest order so far.
    best: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [&'a Operation]) -> Self {
        Search {
            operations,
            events: Events::new(operations),
            tree: Tree::default(),
            taken: vec![0; operations.len().div_ceil(64)],
            order: Vec::new(),
            seen: HashSet::new(),
            best: Vec::new(),
        }
    }

    fn run(mut self, steps_max: u64) -> Result<(), Violation> {
        let mut at = self.events.first();
        for _ in 0..steps_max {
            match at {
                // No answer is left, and calls that nobody answered need not have happened.
                None => return Ok(()),
                Some(Event { call: true, operation, position }) => {
                    at = if self.take(operation) {
                        self.events.first()
                    } else {
                        self.events.after(position)
                    };
                }
                Some(Event { call: false, .. }) => match self.order.pop() {
                    None => return Err(self.violation()),
                    Some((operation, undo)) => {
                        self.tree.take_back(undo);
                        self.flip(operation);
                        let position = self.events.restore(operation);
                        at = self.events.after(position);
                    }
                },
            }
        }
        Err(Violation::Undecided { steps: steps_max, calls: self.operations.len() })
    }

    /// Takes a call if its answer is true now and this has not been tried before.
    fn take(&mut self, operation: usize) -> bool {
        let Some(undo) = self.tree.take(self.operations[operation]) else { return false };
        self.flip(operation);
        if !self.seen.insert((self.taken.clone(), self.tree.hash())) {
            self.flip(operation);
            self.tree.take_back(undo);
            return false;
        }
        self.events.remove(operation);
        self.order.push((operation, undo));
        if self.order.len() > self.best.len() {
            self.best = self.order.iter().map(|(operation, _)| *operation).collect();
        }
        true
    }

    fn flip(&mut self, operation: usize) {
        self.taken[operation / 64] ^= 1 << (operation % 64);
    }

    fn violation(&self) -> Violation {
        let mut rest = Events::new(self.operations);
        self.best.iter().for_each(|operation| rest.remove(*operation));
        let mut stuck = Vec::new();
        let mut at = rest.first();
        while let Some(Event { call: true, operation, position }) = at {
            stuck.push(operation);
            at = rest.after(position);
        }
        Violation::NotLinearizable {
            explained: self.best.len(),
            stuck: self.lines(&stuck),
            order: self.lines(&self.best),
        }
    }

    fn lines(&self, operations: &[usize]) -> String {
        operations.iter().fold(String::new(), |mut text, operation| {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {}", self.operations[*operation]);
            text
        })
    }
}

/// Calls and answers by time, as a doubly linked list in arrays. Position 0 is before the first.
struct Events {
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Operation of a position, and whether it is the call.
    what: Vec<(usize, bool)>,
    /// Positions of an operation's call and answer (0: none).
    places: Vec<(usize, usize)>,
}

#[derive(Clone, Copy)]
struct Event {
    call: bool,
    operation: usize,
    position: usize,
}

impl Events {
    fn new(operations: &[&Operation]) -> Self {
        let mut moments = Vec::with_capacity(operations.len() * 2);
        for (index, operation) in operations.iter().enumerate() {
            // At the same moment calls come first: then they overlap, which is the weaker claim.
            moments.push((operation.invoked, false, index));
            if operation.answer.is_some() {
                moments.push((operation.returned.max(operation.invoked), true, index));
            }
        }
        moments.sort_unstable();
        let count = moments.len() + 1;
        let mut places = vec![(0, 0); operations.len()];
        let mut what = vec![(0, false)];
        for (position, (_, is_answer, index)) in (1..).zip(moments) {
            what.push((index, !is_answer));
            let place = &mut places[index];
            if is_answer { place.1 = position } else { place.0 = position }
        }
        // The last one is followed by 0, which is followed by the first.
        let next = (1..count).chain([0]).collect();
        let previous = std::iter::once(count - 1).chain(0..count - 1).collect();
        Events { next, previous, what, places }
    }

    fn first(&self) -> Option<Event> {
        self.after(0)
    }

    fn after(&self, position: usize) -> Option<Event> {
        let position = self.next[position];
        let (operation, call) = self.what[position];
        (position != 0).then_some(Event { call, operation, position })
    }

    fn remove(&mut self, operation: usize) {
        let (call, answer) = self.places[operation];
        self.unlink(call);
        if answer != 0 {
            self.unlink(answer);
        }
    }

    /// Undoes the newest removal that was not undone; returns the position of the call.
    fn restore(&mut self, operation: usize) -> usize {
        let (call, answer) = self.places[operation];
        if answer != 0 {
            self.link(answer);
        }
        self.link(call);
        call
    }

    fn unlink(&mut self, position: usize) {
        let (before, after) = (self.previous[position], self.next[position]);
        self.next[before] = after;
        self.previous[after] = before;
    }

    /// A position keeps its neighbours while it is out of the list.
    fn link(&mut self, position: usize) {
        let (before, after) = (self.previous[position], self.next[position]);
        self.next[before] = position;
        self.previous[after] = position;
    }
}
