//! Names for changes that another process may have to repeat. Normally each change has a random operation id,
//! which nobody knows after its process is gone.

use alluxio_types::OperationId;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

tokio::task_local! {
    static NAMES: Names;
}

struct Names {
    base: OperationId,
    given: AtomicU32,
}

/// Changes that one piece of work may make under names; those beyond have random ones.
pub const NAMES_PER_WORK: u32 = 16;

/// Carries out `work`; the changes that it asks for, one after the other, are called `base`, `base + 1` and so
/// on. Who carries out the same work with the same base, in another process too, repeats these very changes,
/// and masters answer what they have carried out already as they did the first time. Work that is spawned is
/// not part of it.
pub async fn named<F: Future>(base: OperationId, work: F) -> F::Output {
    NAMES.scope(Names { base, given: AtomicU32::new(0) }, work).await
}

/// The next name of the work that runs, if it has names.
pub(crate) fn next() -> Option<OperationId> {
    NAMES
        .try_with(|names| {
            let turn = names.given.fetch_add(1, Ordering::Relaxed);
            let name = OperationId(names.base.0.wrapping_add(u128::from(turn)));
            (turn < NAMES_PER_WORK).then_some(name)
        })
        .ok()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_work_gives_the_same_names_and_other_work_none() {
        assert_eq!(next(), None);
        let work = || async { (0..=NAMES_PER_WORK).map(|_| next()).collect::<Vec<_>>() };
        let names = named(OperationId(7), work()).await;
        assert_eq!((names[0], names[1]), (Some(OperationId(7)), Some(OperationId(8))));
        assert_eq!(names[NAMES_PER_WORK as usize], None);
        assert_eq!(named(OperationId(7), work()).await, names);
        assert_eq!(next(), None);
    }
}
