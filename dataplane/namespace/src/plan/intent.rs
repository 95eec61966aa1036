//! What is about to be done in the UFS, and its end.

use super::{Planner, plan};
use crate::namespace::Namespace;
use crate::request::{Finish, Intend};
use crate::{Context, Outcome, Plan, Refusal};
use alluxio_types::{Entry, JournalSeq};

impl Planner<'_> {
    pub(super) fn intend(self, request: &Intend) -> Result<Plan, Refusal> {
        self.done(vec![Entry::Intent(Box::new(request.0.clone()))], Outcome::Done)
    }
}

/// The change of an intent, with the intent's end in the same record.
pub(super) fn finish(
    namespace: &Namespace,
    request: &Finish,
    context: &Context<'_>,
) -> Result<Plan, Refusal> {
    let mut plan = match &request.change {
        Some(change) => plan(namespace, change, context)?,
        None => Plan {
            entries: Vec::new(),
            outcome: Outcome::Done,
            removed: Vec::new(),
            seen: JournalSeq(0),
        },
    };
    plan.entries.push(Entry::IntentEnd { id: request.intent });
    Ok(plan)
}
