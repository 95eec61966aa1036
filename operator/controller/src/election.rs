//! One of several operators acts: a `Lease` of Kubernetes, taken and renewed.
//!
//! Clocks of machines are not compared: another holder's lease is over when it was not renewed for its whole length
//! *as seen from here*. Our own ends early, counted from before its last renewal was sent, and the [`Fence`] closes by
//! itself then. A process that lost its lease ends: what it had begun is not carried on by a half-forgotten task.

use crate::fence::Fence;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use std::time::{Duration, Instant};

/// What the election is about.
#[derive(Debug, Clone)]
pub struct ElectionConfig {
    /// Where the lease lies.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who this process is: the name of its pod.
    pub identity: String,
    /// How long a lease lasts; whole seconds, 5 or more.
    pub duration: Duration,
}

/// A writer's view of the lease: what it last saw of it, and when by its own clock.
#[derive(Debug, Clone, Default)]
struct Sight {
    version: Option<String>,
    since: Option<Instant>,
}

/// What to do about the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is ours: renew it.
    Renew,
    /// It is nobody's, or was not renewed for its time: take it.
    Take,
    /// Another one has it.
    Wait,
}

impl Sight {
    /// Notes what was seen at `now`, and says what to do.
    fn decide(&mut self, lease: Option<&Lease>, config: &ElectionConfig, now: Instant) -> Step {
        let Some(lease) = lease else { return Step::Take };
        if self.version != lease.metadata.resource_version || self.since.is_none() {
            self.version = lease.metadata.resource_version.clone();
            self.since = Some(now);
        }
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder == config.identity {
            return Step::Renew;
        }
        // What the holder wrote counts: it may be of a version with another length.
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        let length = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let seen_for =
            self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        match holder.is_empty() || seen_for >= length.max(Duration::from_secs(1)) {
            true => Step::Take,
            false => Step::Wait,
        }
    }
}

/// The lease as we write it: on top of what was there, so that the API server refuses if it changed meanwhile.
fn next(lease: Option<&Lease>, config: &ElectionConfig, now: jiff::Timestamp) -> Lease {
    let before = lease.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let ours = before.holder_identity.as_deref() == Some(&config.identity);
    let transitions = before.lease_transitions.unwrap_or(0);
    Lease {
        metadata: ObjectMeta {
            name: Some(config.name.clone()),
            namespace: Some(config.namespace.clone()),
            resource_version: lease.and_then(ResourceExt::resource_version),
            labels: lease.and_then(|lease| lease.metadata.labels.clone()),
            annotations: lease.and_then(|lease| lease.metadata.annotations.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(config.identity.clone()),
            lease_duration_seconds: i32::try_from(config.duration.as_secs()).ok(),
            renew_time: Some(MicroTime(now)),
            acquire_time: match ours {
                true => before.acquire_time,
                false => Some(MicroTime(now)),
            },
            lease_transitions: Some(match lease.is_some() && !ours {
                true => transitions.saturating_add(1),
                false => transitions,
            }),
            ..LeaseSpec::default()
        }),
    }
}

/// The election of one process.
pub struct Election {
    api: Api<Lease>,
    config: ElectionConfig,
    fence: Fence,
    sight: Sight,
}

impl Election {
    /// `fence` is the one of the client that this operator writes with.
    pub fn new(client: Client, config: ElectionConfig, fence: Fence) -> Self {
        let api = Api::namespaced(client, &config.namespace);
        Election { api, config, fence, sight: Sight::default() }
    }

    /// Waits until this process leads, and opens the fence. Failures are logged and tried again for ever: an
    /// operator that cannot reach the API server has nothing else to do.
    pub async fn win(&mut self) {
        loop {
            match self.round().await {
                Ok(true) => {
                    tracing::info!(lease = self.config.name, me = self.config.identity, "leading");
                    return;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the lease could not be asked for"),
            }
            tokio::time::sleep(self.config.duration / 8).await;
        }
    }

    /// Keeps the lease; returns when it is lost, with the fence closed.
    pub async fn keep(&mut self) -> Lost {
        loop {
            tokio::time::sleep(self.config.duration / 8).await;
            match self.round().await {
                Ok(true) => {}
                Ok(false) => {
                    self.fence.close();
                    return Lost::Taken;
                }
                Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
            }
            if !self.fence.is_open(Instant::now()) {
                self.fence.close();
                return Lost::NotRenewed;
            }
        }
    }

    /// Gives the lease up, so that another one needs not wait for its end.
    pub async fn release(&mut self) {
        self.fence.close();
        let released = async {
            let Some(mut lease) = self.api.get_opt(&self.config.name).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.config.identity) {
                spec.holder_identity = None;
                self.api.replace(&self.config.name, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        if let Err(error) = released.await {
            tracing::info!(%error, "the lease was not released; it ends by itself");
        }
    }

    /// One look at the lease, and what follows. `true`: it is ours.
    async fn round(&mut self) -> Result<bool, kube::Error> {
        // No request may take longer than the rest of the lease is worth.
        let within = self.config.duration / 4;
        match tokio::time::timeout(within, self.look()).await {
            Ok(answer) => answer,
            Err(_) => Err(kube::Error::Service(format!("no answer within {within:?}").into())),
        }
    }

    async fn look(&mut self) -> Result<bool, kube::Error> {
        let lease = self.api.get_opt(&self.config.name).await?;
        let step = self.sight.decide(lease.as_ref(), &self.config, Instant::now());
        if step == Step::Wait {
            return Ok(false);
        }
        let wanted = next(lease.as_ref(), &self.config, jiff::Timestamp::now());
        // The rest of the lease is a margin for clocks that run at different speed.
        let until = Instant::now() + self.config.duration.mul_f64(0.75);
        let written = match lease {
            None => self.api.create(&PostParams::default(), &wanted).await,
            Some(_) => self.api.replace(&self.config.name, &PostParams::default(), &wanted).await,
        };
        match written {
            Ok(_) => {
                self.fence.open_until(until);
                Ok(true)
            }
            // Somebody was faster. If it was us, the next look shows it.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Why an operator leads no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Another one has the lease.
    #[error("another operator holds the lease")]
    Taken,
    /// The API server was not reached in time.
    #[error("the lease could not be renewed in time")]
    NotRenewed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config(identity: &str) -> ElectionConfig {
        ElectionConfig {
            namespace: "alluxio".into(),
            name: "alluxio-operator".into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
        }
    }

    fn stored(mut lease: Lease, version: u64) -> Lease {
        lease.metadata.resource_version = Some(version.to_string());
        lease
    }

    #[test]
    fn a_lease_is_taken_renewed_and_counted() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let first = stored(next(None, &config("a"), now), 1);
        let spec = first.spec.clone().unwrap();
        assert_eq!(spec.lease_transitions, Some(0));
        assert_eq!(spec.lease_duration_seconds, Some(15));
        let later = now + jiff::SignedDuration::from_secs(5);
        let renewed = next(Some(&first), &config("a"), later).spec.unwrap();
        assert_eq!(renewed.acquire_time, spec.acquire_time);
        assert_eq!(renewed.renew_time, Some(MicroTime(later)));
        let taken = next(Some(&first), &config("b"), later);
        assert_eq!(taken.metadata.resource_version.as_deref(), Some("1"));
        assert_eq!(taken.spec.unwrap().lease_transitions, Some(1));
    }

    #[test]
    fn another_ones_lease_ends_only_when_it_was_not_renewed_for_its_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let of_a = next(None, &config("a"), jiff::Timestamp::UNIX_EPOCH);
        let mut b = Sight::default();
        let me = config("b");
        assert_eq!(b.decide(Some(&stored(of_a.clone(), 1)), &me, at(0)), Step::Wait);
        assert_eq!(b.decide(Some(&stored(of_a.clone(), 1)), &me, at(14)), Step::Wait);
        assert_eq!(b.decide(Some(&stored(of_a.clone(), 2)), &me, at(14)), Step::Wait);
        assert_eq!(b.decide(Some(&stored(of_a.clone(), 2)), &me, at(28)), Step::Wait);
        assert_eq!(b.decide(Some(&stored(of_a, 2)), &me, at(29)), Step::Take);
        assert_eq!(b.decide(None, &me, at(30)), Step::Take);
    }

    /// One operator of the model: what it saw, and until when it believes that it leads.
    struct Actor {
        config: ElectionConfig,
        sight: Sight,
        leads_until: Option<Instant>,
    }

    proptest! {
        /// Operators that look at random times, are paused at random, and whose answers get lost: two never believe
        /// at one time that they lead.
        #[test]
        fn two_never_lead_at_once(steps in prop::collection::vec((0..3usize, 0..4000u64, any::<bool>()), 1..200)) {
            let start = Instant::now();
            let mut now = start;
            let mut version = 0;
            let mut server: Option<Lease> = None;
            let mut actors: Vec<Actor> = ["a", "b", "c"].map(|name| Actor {
                config: config(name), sight: Sight::default(), leads_until: None,
            }).into();
            for (who, pause, lost) in steps {
                now += Duration::from_millis(pause);
                let actor = &mut actors[who];
                if actor.sight.decide(server.as_ref(), &actor.config, now) != Step::Wait {
                    let wanted = next(server.as_ref(), &actor.config, jiff::Timestamp::UNIX_EPOCH);
                    version += 1;
                    server = Some(stored(wanted, version));
                    if !lost {
                        actor.leads_until = Some(now + actor.config.duration.mul_f64(0.75));
                    }
                }
                let leading = actors.iter().filter(|a| a.leads_until.is_some_and(|until| until > now));
                prop_assert!(leading.count() <= 1);
            }
        }
    }
}
