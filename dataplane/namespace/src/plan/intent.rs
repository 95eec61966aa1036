//! What is about to be done in the UFS, and its end.

use super::{Planner, plan_with};
use crate::request::{Finish, Intend};
use crate::{Outcome, Plan, Refusal};
use alluxio_types::{Entry, JournalSeq};

impl Planner<'_> {
    pub(super) fn intend(self, request: &Intend) -> Result<Plan, Refusal> {
        self.done(vec![Entry::Intent(Box::new(request.0.clone()))], Outcome::Done)
    }

    /// The change of an intent, with the intent's end in the same record. The UFS has it already, so no
    /// quota can prevent it any more; it was asked when the change was allowed.
    pub(super) fn finish(mut self, request: &Finish) -> Result<Plan, Refusal> {
        self.bounded = false;
        let mut plan = match &request.change {
            Some(change) => plan_with(self, change)?,
            None => Plan {
                entries: Vec::new(),
                outcome: Outcome::Done,
                removed: Vec::new(),
                deleted: 0,
                seen: JournalSeq(0),
            },
        };
        plan.entries.push(Entry::IntentEnd { id: request.intent });
        Ok(plan)
    }
}
