//! Whether what clients were told of the namespace can be true: a checker of linearizability.
//!
//! Clients record each call with the moment it was made and the moment it was answered. [`check`]
//! looks for an order of all calls, each at one moment between the two, in which a plain tree of names
//! gives the same answers. If there is none, somebody was told a lie: an acknowledged change is lost, a
//! change was made twice, or a master answered from a tree that was no longer the newest.
//!
//! It must not know: how a master works, how calls are made, what a clock is. Moments are numbers of
//! one clock that all clients of a history share.
//!
//! Main types: [`Operation`] (one call), [`Call`] and [`Answer`], [`Violation`] (the lie found).
//!
//! Reading order: [`operation`], `tree` (the model), `search` (the algorithm), `partition`.

mod partition;
mod search;
mod tree;

pub mod operation;

#[cfg(test)]
mod tests;

pub use operation::{Answer, Call, Kind, Operation, Refusal};

use thiserror::Error;

/// Steps after which a search gives up; about a minute's work.
pub const STEPS_MAX: u64 = 20_000_000;

/// Why a history was not found to be sound.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Violation {
    /// No order of the calls explains their answers.
    #[error(
        "no order explains the answers: after {explained} calls none of these can come next: {stuck}"
    )]
    NotLinearizable {
        /// Calls in the longest order that was found.
        explained: usize,
        /// The calls that were open then, one a line.
        stuck: String,
        /// The longest order that was found, one call a line.
        order: String,
    },
    /// The search was given up: too many calls overlap.
    #[error("undecided after {steps} steps over {calls} calls; record fewer clients at a time")]
    Undecided {
        /// Steps taken.
        steps: u64,
        /// Calls of the part that was searched.
        calls: usize,
    },
}

/// Looks for an order that explains all answers. The tree is empty at first.
///
/// Calls below different top-level directories are searched apart, unless a call touches both.
///
/// **Errors**: `NotLinearizable`; `Undecided` after [`STEPS_MAX`] steps in one part.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    check_within(history, STEPS_MAX)
}

/// As [`check`], with a limit of `steps` for each part.
pub fn check_within(history: &[Operation], steps: u64) -> Result<(), Violation> {
    partition::parts(history).iter().try_for_each(|part| search::explain(part, steps))
}
