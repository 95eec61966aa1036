//! What every [`Elector`] has to pass.

use crate::{Candidate, ElectionError, Elector, Hold, Leader, READ_TENURE, Tenure};
use alluxio_host::Clock;
use alluxio_types::Term;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far more than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Makes the electors of one election.
pub struct Stage {
    /// A new master of this cluster.
    pub join: Box<dyn Fn(Candidate) -> Arc<dyn Elector> + Send + Sync>,
    /// The clock that the tenures are measured by.
    pub clock: Arc<dyn Clock>,
}

impl Stage {
    fn master(&self, id: &str) -> Arc<dyn Elector> {
        (self.join)(Candidate { id: id.to_owned(), rpc_address: format!("{id}:19998") })
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {LIMIT:?}"),
    }
}

fn campaign(elector: &Arc<dyn Elector>) -> JoinHandle<Result<Tenure, ElectionError>> {
    let elector = elector.clone();
    tokio::spawn(async move { elector.campaign(Term(0)).await })
}

async fn won(campaign: JoinHandle<Result<Tenure, ElectionError>>) -> Tenure {
    let tenure = soon("an election", campaign)
        .await
        .expect("the election answers")
        .expect("the election answers");
    assert!(soon("a confirmation", tenure.valid()).await, "the tenure was lost");
    tenure
}

async fn seen(by: &Arc<dyn Elector>, tenure: &Tenure) -> Leader {
    let term = tenure.term();
    let mut news = by.leader();
    let found = news.wait_for(|leader| leader.as_ref().is_some_and(|leader| leader.term == term));
    soon("news of the primary", found)
        .await
        .expect("the election answers")
        .clone()
        .expect("the election answers")
}

/// One master: elected, under ever larger terms.
///
/// **Panics** when the elector breaks the contract.
pub async fn one_master(elector: Arc<dyn Elector>) {
    let first = won(campaign(&elector)).await;
    assert_eq!(seen(&elector, &first).await.term, first.term());
    let again = soon("a refusal", elector.campaign(Term(0))).await;
    assert!(matches!(again, Err(ElectionError::AlreadyElected { .. })), "{:?}", again.err());
    soon("a resignation", elector.resign(&first)).await.expect("the election answers");
    assert_eq!(first.hold(), Hold::Lost);
    let second = won(campaign(&elector)).await;
    assert!(second.term() > first.term());
    soon("a resignation", elector.resign(&first)).await.expect("the election answers");
    assert!(second.is_valid(), "resigning an old tenure must not touch the new one");
    soon("a resignation", elector.resign(&second)).await.expect("the election answers");
    // Either larger than what the journal has seen, or refused.
    match soon("an answer", elector.campaign(Term(1 << 40))).await {
        Ok(tenure) => assert!(tenure.term() > Term(1 << 40)),
        Err(error) => assert!(matches!(error, ElectionError::TermBehind { .. }), "{error}"),
    }
}

/// Several masters: all that the trait promises.
///
/// **Panics** when the elector breaks the contract.
pub async fn several_masters(stage: &Stage) {
    let (a, b, c) = (stage.master("a"), stage.master("b"), stage.master("c"));

    // Everybody hears who won.
    let of_a = won(campaign(&a)).await;
    for elector in [&a, &b, &c] {
        let leader = seen(elector, &of_a).await;
        assert_eq!((leader.id.as_str(), leader.rpc_address.as_str()), ("a", "a:19998"));
    }

    // Nobody else is elected while the tenure is kept, and it is kept.
    let of_b = campaign(&b);
    tokio::time::sleep(3 * READ_TENURE).await;
    assert!(of_a.is_valid() && !of_b.is_finished());

    // A tenure given up in order is followed at once by one of a larger term.
    soon("a resignation", a.resign(&of_a)).await.expect("the election answers");
    assert_eq!(of_a.hold(), Hold::Lost);
    let of_b = won(of_b).await;
    assert!(of_b.term() > of_a.term());
    assert_eq!(of_b.serve_from(), Duration::ZERO, "nothing to wait for after a resignation");

    // A campaign that is dropped leaves nothing behind.
    let dropped = campaign(&c);
    tokio::task::yield_now().await;
    dropped.abort();

    // A challenge ends the tenure; the next one waits until the old one is surely over.
    let of_a_again = campaign(&a);
    let leader = seen(&a, &of_b).await;
    let before = stage.clock.monotonic();
    soon("a challenge", a.challenge(&leader)).await.expect("the election answers");
    let second = won(of_a_again).await;
    assert!(second.term() > of_b.term());
    assert!(second.serve_from() >= before, "a challenged primary may still answer");
    soon("the end of a tenure", of_b.lost()).await;
    assert_eq!(of_b.hold(), Hold::Lost);

    // A challenge that comes too late touches nobody.
    soon("a challenge", c.challenge(&leader)).await.expect("the election answers");
    tokio::time::sleep(2 * READ_TENURE).await;
    assert!(second.is_valid());

    // A tenure that its holder drops is seen by all.
    let of_c = campaign(&c);
    second.give_up();
    let of_c = won(of_c).await;
    assert_eq!(seen(&b, &of_c).await.id, "c");
    soon("a resignation", c.resign(&of_c)).await.expect("the election answers");
}
