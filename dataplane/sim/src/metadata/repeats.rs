//! Clients that ask again because they got no answer: a repeated operation gets the answer that it got
//! first, or is carried out now because it never was.

use crate::Dice;
use alluxio_namespace::{Namespace, Request};
use alluxio_types::{Answer, Identity, JournalSeq, OperationId};

/// Operations that may be asked for again, at most.
const KEPT_MAX: usize = 64;

/// One call of a client.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) operation: OperationId,
    pub(super) request: Request,
    pub(super) who: Identity,
    /// What it was answered first, and where the change lies in the journal.
    made: Option<(Answer, JournalSeq)>,
}

/// The calls of all clients.
#[derive(Default)]
pub(super) struct Repeats {
    calls: Vec<Call>,
}

impl Repeats {
    /// A new call.
    pub(super) fn call(dice: &Dice, request: Request, who: Identity) -> Call {
        let operation = OperationId(u128::from(dice.seed()) << 64 | u128::from(dice.seed()));
        Call { operation, request, who, made: None }
    }

    /// An earlier call, if there is one.
    pub(super) fn again(&self, dice: &Dice) -> Option<Call> {
        (!self.calls.is_empty()).then(|| dice.pick(&self.calls).clone())
    }

    /// Remembers what a call was answered; `None` when nothing was changed.
    pub(super) fn note(&mut self, dice: &Dice, call: Call, made: Option<(Answer, JournalSeq)>) {
        let call = Call { made, ..call };
        if let Some(known) = self.calls.iter_mut().find(|other| other.operation == call.operation) {
            *known = call;
        } else if self.calls.len() < KEPT_MAX {
            self.calls.push(call);
        } else {
            let at = dice.index(KEPT_MAX);
            self.calls[at] = call;
        }
    }

    /// A crash took all after `last` away: those changes have happened never.
    pub(super) fn forget_after(&mut self, last: JournalSeq) {
        for call in &mut self.calls {
            call.made = call.made.filter(|(_, seq)| *seq <= last);
        }
    }

    /// Every tree knows exactly the answers of the changes that are in it.
    pub(super) fn check(&self, tree: &Namespace) -> Result<(), String> {
        self.calls.iter().try_for_each(|call| call.check(tree))
    }
}

impl Call {
    /// Whether the call was carried out, and is remembered as it was answered.
    ///
    /// **Errors**: it is remembered otherwise.
    pub(super) fn check(&self, tree: &Namespace) -> Result<(), String> {
        let applied = tree.applied();
        let wanted = self.made.filter(|(_, seq)| *seq <= applied).map(|(answer, _)| answer);
        let found = tree.answered(self.operation).map(|seen| seen.value);
        if found != wanted {
            let Call { operation, request, .. } = self;
            return Err(format!(
                "{operation} ({request:?}) was answered {wanted:?}, the tree at {applied} \
                 remembers {found:?}"
            ));
        }
        Ok(())
    }

    pub(super) fn is_made(&self) -> bool {
        self.made.is_some()
    }
}
