//! What can go wrong with an election.

use alluxio_types::{Code, Coded, Term};

/// Why the elector gave up.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ElectionError {
    /// The next term would not be larger than one that the journal has seen: the election's store
    /// was replaced or set back, the journal was not.
    #[error(
        "the election would give term {term}, but the journal has seen term {last}: the election's \
         store was replaced or set back; restore it, or move the journal to a new cluster name"
    )]
    TermBehind {
        /// The term that could be had.
        term: Term,
        /// The newest term in the journal.
        last: Term,
    },
    /// This elector already gave a tenure that is not over.
    #[error("this master already holds term {term}")]
    AlreadyElected {
        /// The term held.
        term: Term,
    },
    /// The elector was shut down.
    #[error("the election is closed")]
    Closed,
    /// The store of the election refused; waiting will not help (credentials, permissions).
    #[error("the election was refused: {reason}")]
    Refused {
        /// What the store said.
        reason: String,
    },
    /// The store of the election does not answer.
    #[error("the election cannot be reached: {reason}")]
    Unreachable {
        /// What went wrong last.
        reason: String,
    },
}

impl Coded for ElectionError {
    fn code(&self) -> Code {
        match self {
            ElectionError::TermBehind { .. } | ElectionError::Refused { .. } => {
                Code::FailedPrecondition
            }
            ElectionError::AlreadyElected { .. } => Code::Internal,
            ElectionError::Closed | ElectionError::Unreachable { .. } => Code::Unavailable,
        }
    }
}
