//! Questions to a tree, with answers that can be compared.

use super::requests::Requests;
use crate::Dice;
use alluxio_namespace::{Context, Namespace, Policy, Refusal, Seen};
use alluxio_types::{Access, AlluxioPath, FileStatus, Identity, InodeId, JournalSeq, UnixMillis};
use std::fmt::Debug;
use std::sync::Arc;

/// Something that a client, or the master itself, asks.
#[derive(Debug)]
pub(super) enum Question {
    Status(AlluxioPath),
    StatusById(InodeId),
    PathOf(InodeId),
    Resolve(AlluxioPath),
    Lookup(AlluxioPath),
    Access(AlluxioPath, Access),
    List { path: AlluxioPath, after: Option<String>, limit: usize },
}

impl Question {
    pub(super) fn random(dice: &Dice, requests: &Requests) -> Question {
        let path = requests.path(dice);
        match dice.below(8) {
            0 | 1 => Question::Status(path),
            2 => Question::StatusById(requests.id(dice)),
            3 => Question::PathOf(requests.id(dice)),
            4 => Question::Resolve(path),
            5 => Question::Lookup(path),
            6 => Question::Access(path, Access(u16::try_from(dice.between(1, 7)).unwrap_or(1))),
            _ => {
                let after = dice.chance(30).then(|| "b".to_owned());
                Question::List { path, after, limit: dice.index(4) + 1 }
            }
        }
    }

    /// The answer as text, and the position that it depends on.
    pub(super) fn ask(&self, tree: &Namespace, context: &Context<'_>) -> (String, JournalSeq) {
        match self {
            Question::Status(path) => text(tree.status(path, context)),
            Question::StatusById(id) => text(tree.status_by_id(*id)),
            Question::PathOf(id) => text(tree.path_of(*id)),
            Question::Resolve(path) => text(tree.resolve(path, context)),
            Question::Lookup(path) => text(tree.lookup(path, context)),
            Question::Access(path, access) => text(tree.check_access(path, *access, context)),
            Question::List { path, after, limit } => {
                text(tree.list(path, after.as_deref(), *limit, context))
            }
        }
    }
}

fn text<T: Debug>(answer: Result<Seen<T>, Refusal>) -> (String, JournalSeq) {
    match answer {
        Ok(seen) => (format!("{:?}", seen.value), seen.seq),
        Err(refusal) => (format!("{:?}", refusal.error), refusal.seen),
    }
}

/// Everything there is, whatever the modes say.
pub(super) fn walk(tree: &Arc<Namespace>) -> impl Iterator<Item = FileStatus> {
    let who = Identity::new("", []);
    let policy = Policy { permission_enabled: false, ..Policy::default() };
    let context = Context { now: UnixMillis(0), who: &who, policy: &policy };
    let walk = tree.walk(&AlluxioPath::root(), &context).into_iter().flatten();
    walk.filter_map(|step| step.ok().map(|seen| seen.value))
}
