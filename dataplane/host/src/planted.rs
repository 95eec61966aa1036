//! Bugs that tests plant, to show that the simulation finds them. Only a build with the feature
//! `planted-bugs` can have any, and no binary of ours builds with it; elsewhere [`is`] is a constant.

use std::sync::atomic::{AtomicU8, Ordering};

/// Whether bugs can be planted in this build.
pub const POSSIBLE: bool = cfg!(feature = "planted-bugs");

static PLANTED: AtomicU8 = AtomicU8::new(0);

/// A bug that may be planted, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A master answers before what it answers is durable.
    AckBeforeCommit = 1,
    /// The journal takes what a deposed primary appends.
    MissingFence = 2,
    /// A new primary answers while the one before it may still answer, too.
    SkippedReadTenure = 3,
    /// A primary that hands over, or stops, does not tell the election.
    LostRelease = 4,
    /// A checkpoint is written with a hash that is not its state's.
    WrongStateHash = 5,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 5] = [
        Bug::AckBeforeCommit,
        Bug::MissingFence,
        Bug::SkippedReadTenure,
        Bug::LostRelease,
        Bug::WrongStateHash,
    ];
}

/// Plants a bug, for as long as this process lives.
///
/// **Panics**: in a build that can have none.
pub fn plant(bug: Bug) {
    match POSSIBLE {
        true => PLANTED.store(bug as u8, Ordering::SeqCst),
        false => panic!("this build has no planted bugs"),
    }
}

/// Whether this bug is planted.
#[inline]
pub fn is(bug: Bug) -> bool {
    POSSIBLE && PLANTED.load(Ordering::Relaxed) == bug as u8
}

#[cfg(all(test, not(feature = "planted-bugs")))]
mod tests {
    use super::*;

    #[test]
    fn a_usual_build_has_no_bug_that_was_planted_and_takes_none() {
        for bug in Bug::ALL {
            assert!(std::panic::catch_unwind(|| plant(bug)).is_err());
            assert!(!is(bug));
        }
    }
}
