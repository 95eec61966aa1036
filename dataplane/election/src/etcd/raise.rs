//! An election whose terms go on behind those of the journal, when its store is a new one.

use super::EtcdElector;
use crate::{ElectionError, Elector, Leader, Tenure};
use alluxio_etcd::MemberFacts;
use alluxio_types::Term;
use async_trait::async_trait;
use tokio::sync::watch;

/// How far terms are raised at most: a minute or two of small writes.
const RAISE_MAX: u64 = 100_000;

/// Elects as the [`EtcdElector`] in it, for a journal that is not in etcd and outlives it: where etcd was
/// replaced, or is used for the first time, its revisions, which are the terms, are raised beyond the last
/// one of the journal. Nothing that the journal rests on is lost with etcd, so that is safe.
pub struct RaisingElector {
    inner: EtcdElector,
}

impl RaisingElector {
    /// An elector over `inner`.
    pub fn over(inner: EtcdElector) -> Self {
        RaisingElector { inner }
    }
}

#[async_trait]
impl Elector for RaisingElector {
    async fn campaign(&self, last: Term) -> Result<Tenure, ElectionError> {
        loop {
            match self.inner.campaign(last).await {
                Err(ElectionError::TermBehind { term, last }) if last.0 - term.0 <= RAISE_MAX => {
                    tracing::warn!(
                        term = term.0,
                        last = last.0,
                        "etcd is newer than the journal, its terms are raised"
                    );
                    while self.inner.core.store.raise().await? < last {}
                }
                outcome => return outcome,
            }
        }
    }

    fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.inner.leader()
    }

    async fn challenge(&self, leader: &Leader) -> Result<(), ElectionError> {
        self.inner.challenge(leader).await
    }

    async fn resign(&self, tenure: &Tenure) -> Result<(), ElectionError> {
        self.inner.resign(tenure).await
    }

    async fn keepers(&self) -> Vec<MemberFacts> {
        self.inner.keepers().await
    }
}
