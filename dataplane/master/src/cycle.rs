//! Standby, primary, standby again: the life of a master process.

use crate::error::StartError;
use crate::link;
use crate::primary::{End, NotRisen, Primary};
use crate::role::{Role, Slot, Station};
use crate::standby::{Ended, Standby, is_passing};
use alluxio_election::{ElectionError, Tenure};
use alluxio_journal::JournalError;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// Pause before a standby is built anew after a failure.
const REBUILD_PAUSE: Duration = Duration::from_millis(200);
/// How long a master keeps back after it handed the primacy over, so that the heir is elected and no
/// other. Should the heir be gone, the others wait no longer than this.
pub(crate) const HAND_OVER: Duration = Duration::from_secs(3);
/// A start that waits says so once in so many looks, a second each.
const WAITS_PER_WORD: u32 = 10;
/// How often the gauges of a standby are set.
const TICK: Duration = Duration::from_secs(1);

/// What a standby became.
enum Outcome {
    Elected(Tenure),
    Rebuild,
    Stopped,
    Fatal(StartError),
}

/// Runs until told to stop, or until nothing helps any more.
pub(crate) async fn run(station: Arc<Station>, slot: Arc<Slot>, mut stop: watch::Receiver<bool>) {
    let mut keep_back = Duration::ZERO;
    let (mut first, mut waited) = (true, 0);
    loop {
        let standby = tokio::select! {
            biased;
            () = told(&mut stop) => break,
            loaded = Standby::load(&station, first) => match loaded {
                Ok(standby) => Arc::new(standby),
                Err(StartError::Journal(
                    error @ (JournalError::Etcd(_) | JournalError::Store { .. }),
                )) if first && is_passing(&error) => {
                    wait_for_journal(&station, &error, &mut waited);
                    tokio::select! {
                        () = told(&mut stop) => break,
                        () = tokio::time::sleep(5 * REBUILD_PAUSE) => continue,
                    }
                }
                Err(error) if first => return fail(&slot, error),
                Err(error) => {
                    // The journal was fine before: it may be so again.
                    tracing::error!(%error, "the journal cannot be loaded");
                    tokio::time::sleep(5 * REBUILD_PAUSE).await;
                    continue;
                }
            },
        };
        first = false;
        slot.set(Role::Standby(standby.clone()));
        station.metrics.primary.set(0);
        let outcome = read_along(&station, &standby, keep_back, &mut stop).await;
        keep_back = Duration::ZERO;
        match outcome {
            Outcome::Elected(tenure) => {
                match reign(&station, &slot, standby, tenure, &mut stop).await {
                    Ok(End::Stopped) => break,
                    // A master that goes on here would depose the other one, and so on.
                    Ok(End::Lost) if station.elector.is_alone() => {
                        return fail(&slot, StartError::Deposed);
                    }
                    Ok(End::Lost) => {}
                    Ok(End::NotBegun) => tokio::time::sleep(REBUILD_PAUSE).await,
                    Ok(End::HandedOver { .. }) => keep_back = HAND_OVER,
                    Ok(End::Failed(cause)) => return fail(&slot, StartError::JournalFailed(cause)),
                    Err(error) => return fail(&slot, error),
                }
            }
            Outcome::Rebuild => tokio::time::sleep(REBUILD_PAUSE).await,
            Outcome::Stopped => break,
            Outcome::Fatal(error) => return fail(&slot, error),
        }
        slot.set(Role::Starting);
    }
    slot.set(Role::Starting);
}

/// Says now and then what a start waits for: there is no telling how long.
fn wait_for_journal(station: &Station, error: &JournalError, waited: &mut u32) {
    if waited.is_multiple_of(WAITS_PER_WORD) {
        if let JournalError::Store { .. } = error {
            let folder = &station.config.journal.folder;
            tracing::warn!(folder, %error, "the start waits for the journal's store");
        } else {
            let endpoints = station.config.etcd.as_ref().map(|etcd| etcd.endpoints.join(","));
            tracing::warn!(endpoints, %error, "the start waits for etcd (alluxio.etcd.endpoints)");
        }
    }
    *waited += 1;
}

/// Ends when the flag is set, or when nobody is left who could.
pub(crate) async fn told(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|set| *set).await;
}

fn fail(slot: &Slot, error: StartError) {
    tracing::error!(%error, "the master cannot go on");
    slot.set(Role::Failed(Arc::new(error)));
}

/// Follows the journal and the primary until this master is elected.
async fn read_along(
    station: &Arc<Station>,
    standby: &Arc<Standby>,
    keep_back: Duration,
    stop: &mut watch::Receiver<bool>,
) -> Outcome {
    let (end, ended) = watch::channel(false);
    let mut following = tokio::spawn(standby.clone().follow(ended.clone()));
    let (yields, yielded) = watch::channel(keep_back);
    let link = tokio::spawn(link::keep(station.clone(), standby.clone(), yields));
    let gauges = tokio::spawn(keep_gauges(station.clone(), standby.clone()));
    let mut outcome = tokio::select! {
        biased;
        () = told(stop) => Outcome::Stopped,
        ended = &mut following => after(ended),
        elected = campaign(station, standby, yielded) => match elected {
            Ok(tenure) => Outcome::Elected(tenure),
            Err(ElectionError::Closed) => Outcome::Stopped,
            Err(error) => Outcome::Fatal(error.into()),
        },
    };
    link.abort();
    gauges.abort();
    end.send_replace(true);
    if let Outcome::Elected(tenure) = &outcome {
        let ended = (&mut following).await;
        if !matches!(ended, Ok(Ended::Stopped)) {
            // Elected with a tree that is not whole: let another master be the primary.
            resign(station, tenure).await;
            outcome = after(ended);
        }
    }
    outcome
}

fn after(ended: Result<Ended, tokio::task::JoinError>) -> Outcome {
    match ended {
        Ok(Ended::Stopped) => Outcome::Stopped,
        Ok(Ended::FellBehind) => Outcome::Rebuild,
        Ok(Ended::Failed(error)) => {
            tracing::error!(%error, "the journal cannot be followed");
            Outcome::Rebuild
        }
        Err(error) => {
            tracing::error!(%error, "reading along ended badly");
            Outcome::Rebuild
        }
    }
}

/// Campaigns, but keeps back while another master shall be elected.
async fn campaign(
    station: &Station,
    standby: &Standby,
    mut yielded: watch::Receiver<Duration>,
) -> Result<Tenure, ElectionError> {
    loop {
        let keep_back = *yielded.borrow_and_update();
        if !keep_back.is_zero() {
            // Another word, that this master is the heir above all, ends the wait.
            let waited = tokio::time::timeout(keep_back, yielded.changed()).await;
            if let Ok(Ok(())) = waited {
                continue;
            }
        }
        tokio::select! {
            biased;
            // The sender lives in the link, which is ended after this.
            Ok(()) = yielded.changed() => {}
            tenure = station.elector.campaign(standby.term()) => return tenure,
        }
    }
}

async fn keep_gauges(station: Arc<Station>, standby: Arc<Standby>) {
    loop {
        let metrics = &station.metrics;
        metrics.journal_lag.set(standby.lag() as i64);
        metrics.journal_committed.set(standby.committed.load(Ordering::Acquire) as i64);
        metrics.journal_checkpoint.set(standby.checkpoint_at.load(Ordering::Acquire) as i64);
        metrics.term.set(standby.term().0 as i64);
        metrics.inodes.set(standby.namespace.stats().inodes as i64);
        tokio::time::sleep(TICK).await;
    }
}

async fn resign(station: &Station, tenure: &Tenure) {
    if let Err(error) = station.elector.resign(tenure).await {
        tracing::warn!(%error, "the term was not given back, it ends by itself");
    }
}

/// Serves as long as the term lasts.
async fn reign(
    station: &Station,
    slot: &Slot,
    standby: Arc<Standby>,
    tenure: Tenure,
    stop: &mut watch::Receiver<bool>,
) -> Result<End, StartError> {
    let elected = station.host.clock.monotonic();
    tracing::info!(term = tenure.term().0, "elected");
    let primary = match Primary::rise(station, standby, tenure.clone()).await {
        Ok(primary) => primary,
        Err(reason) => {
            resign(station, &tenure).await;
            return match reason {
                NotRisen::Again(reason) => {
                    tracing::warn!(reason, "elected, but not the primary");
                    Ok(End::NotBegun)
                }
                NotRisen::Fatal(error) => Err(error),
            };
        }
    };
    let took = station.host.clock.monotonic().saturating_sub(elected);
    let metrics = &station.metrics;
    metrics.primary.set(1);
    metrics.elections.inc();
    metrics.journal_lag.set(0);
    metrics.term.set(tenure.term().0 as i64);
    slot.set(Role::Primary(primary.core.clone()));
    tracing::info!(term = tenure.term().0, ms = took.as_millis() as u64, "serves as the primary");
    let end = primary.reign(stop).await;
    // From here on every service says that this is not the primary.
    slot.set(Role::Starting);
    metrics.primary.set(0);
    match &end {
        End::Lost => tracing::warn!(term = tenure.term().0, "the term is lost"),
        other => tracing::info!(term = tenure.term().0, end = ?other, "the reign ends"),
    }
    if let End::HandedOver { heir } = &end {
        tracing::info!(heir, "handing over");
    }
    // What is queued becomes durable while the term still lasts, then the next one may begin.
    primary.fall().await;
    resign(station, &tenure).await;
    Ok(end)
}
