//! One master, no election.

use crate::{Candidate, ElectionError, Elector, Leader, Tenure};
use alluxio_host::Clock;
use alluxio_types::Term;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The only master there is: always elected, under the term after the last one.
pub struct FixedElector {
    candidate: Candidate,
    clock: Arc<dyn Clock>,
    leader: watch::Sender<Option<Leader>>,
    held: Mutex<Option<Tenure>>,
}

impl FixedElector {
    /// An elector for a cluster with one master.
    pub fn new(candidate: Candidate, clock: Arc<dyn Clock>) -> Self {
        let (leader, _) = watch::channel(None);
        FixedElector { candidate, clock, leader, held: Mutex::new(None) }
    }
}

#[async_trait]
impl Elector for FixedElector {
    async fn campaign(&self, last: Term) -> Result<Tenure, ElectionError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &*held {
            Some(tenure) if tenure.is_valid() => {
                return Err(ElectionError::AlreadyElected { term: tenure.term() });
            }
            Some(tenure) => tenure.term(),
            None => Term(0),
        };
        let term = Term(last.max(before).0 + 1);
        let tenure = Tenure::endless(term, self.clock.clone());
        *held = Some(tenure.clone());
        let Candidate { id, rpc_address } = self.candidate.clone();
        self.leader.send_replace(Some(Leader { id, rpc_address, term }));
        Ok(tenure)
    }

    fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.subscribe()
    }

    fn is_alone(&self) -> bool {
        true
    }

    async fn challenge(&self, _leader: &Leader) -> Result<(), ElectionError> {
        // Nobody else could be elected.
        Ok(())
    }

    async fn resign(&self, tenure: &Tenure) -> Result<(), ElectionError> {
        tenure.give_up();
        self.leader.send_if_modified(|leader| {
            let ours = leader.as_ref().is_some_and(|leader| leader.term == tenure.term());
            if ours {
                *leader = None;
            }
            ours
        });
        Ok(())
    }
}
