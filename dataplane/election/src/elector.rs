//! What a master asks of an election.

use crate::{ElectionError, Tenure};
use alluxio_etcd::MemberFacts;
use alluxio_types::Term;
use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::watch;

/// How long a primary may answer after it asked whether it still is the primary. A new one waits as
/// long before it answers, so it is a part of every fail-over after a crash; five confirmations fit
/// into it.
pub const READ_TENURE: Duration = Duration::from_millis(300);

/// A master that may be elected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name, unique in the cluster and the same after a restart.
    pub id: String,
    /// `host:port` under which others reach it.
    pub rpc_address: String,
}

/// The primary, as the election knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its name.
    pub id: String,
    /// `host:port` under which others reach it.
    pub rpc_address: String,
    /// The term it was elected for.
    pub term: Term,
}

/// Gives tenures, one at a time in the whole cluster. One elector per master process.
///
/// Implementations MUST hold:
/// 1. A term is larger than all that were given before, and than the `last` of its campaign.
/// 2. At no moment is a tenure valid by its holder's clock once a tenure of a larger term has come to
///    its own [`Tenure::serve_from`], as long as clocks run equally fast within the drift margin.
/// 3. A tenure is lost for ever before another one is given by the same elector.
/// 4. When the store of the election cannot be reached, a tenure becomes suspended; it is lost only
///    when the store says so, or the elector is gone.
#[async_trait]
pub trait Elector: Send + Sync + 'static {
    /// Waits until this master is elected. `last` is the newest term in its journal.
    ///
    /// **Errors**: `TermBehind`, `AlreadyElected`, `Refused`, `Closed`. An election that cannot be
    /// reached is waited for.
    /// **Cancel safety**: may be dropped at any time; a tenure that was won meanwhile is resigned.
    async fn campaign(&self, last: Term) -> Result<Tenure, ElectionError>;

    /// The primary, as far as is known here; `None` while there is none. May lag behind.
    fn leader(&self) -> watch::Receiver<Option<Leader>>;

    /// Says that `leader` is gone: its stream broke or its heartbeats stopped. Ends its hold if that
    /// is still the current one, so that another master can be elected at once.
    ///
    /// **Errors**: `Unreachable`, `Refused`: nothing may have happened. It is no error when `leader`
    /// is not the primary any more.
    async fn challenge(&self, leader: &Leader) -> Result<(), ElectionError>;

    /// Gives `tenure` up, first here, then in the store, so that the next primary need not wait.
    ///
    /// **Errors**: `Unreachable`: the tenure is lost here, and ends in the store by itself.
    async fn resign(&self, tenure: &Tenure) -> Result<(), ElectionError>;

    /// Whether nobody else can be elected. Then a journal that another master appends to has two masters
    /// which do not know of each other.
    fn is_alone(&self) -> bool {
        false
    }

    /// The servers that keep the election, and how they are; none where no server does.
    async fn keepers(&self) -> Vec<MemberFacts> {
        Vec::new()
    }
}
