//! The masters and their election, as this master sees them.

use crate::core::Core;
use crate::peers::StandbyFacts;
use crate::role::{Role, Slot, Station};
use crate::standby::Standby;
use alluxio_election::{Hold, MemberFacts, MemberHealth};
use alluxio_proto::v1::meta as pb;
use alluxio_telemetry::registry::{Sample, SampleKind};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

impl Station {
    pub(crate) fn address(&self) -> pb::MasterAddress {
        pb::MasterAddress {
            host: self.config.hostname.clone(),
            rpc_port: self.rpc_port.into(),
            web_port: self.web_port.into(),
        }
    }

    fn state(&self, role: pb::MasterRole) -> pb::MasterState {
        pb::MasterState {
            address: Some(self.address()),
            role: role.into(),
            id: self.itself.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Default::default()
        }
    }

    async fn standby_state(&self, standby: &Standby) -> pb::MasterState {
        let at = standby.checkpoint_at.load(Ordering::Acquire);
        let checkpoint = self.newest_checkpoint(&standby.journal, at).await;
        pb::MasterState {
            applied_seq: standby.namespace.applied().0,
            lag: standby.lag(),
            term: standby.term().0,
            checkpoint_seq: at,
            checkpoint_ms: checkpoint.created_ms,
            checkpoint_bytes: checkpoint.length_bytes,
            ..self.state(pb::MasterRole::Standby)
        }
    }

    async fn primary_state(&self, core: &Core) -> pb::MasterState {
        let at = core.checkpoint_at.load(Ordering::Acquire);
        let checkpoint = self.newest_checkpoint(&core.journal, at).await;
        let role = match core.gate.tenure().hold() {
            Hold::Valid => pb::MasterRole::Primary,
            Hold::Suspended => pb::MasterRole::Suspended,
            Hold::Lost => pb::MasterRole::Starting,
        };
        pb::MasterState {
            applied_seq: core.namespace.applied().0,
            term: core.gate.tenure().term().0,
            checkpoint_seq: at,
            checkpoint_ms: checkpoint.created_ms,
            checkpoint_bytes: checkpoint.length_bytes,
            ..self.state(role)
        }
    }

    /// The primary that this master is, the standbys that stay with it, and those that are configured
    /// and not here.
    pub(crate) async fn states(&self, core: &Core) -> Vec<pb::MasterState> {
        let itself = self.primary_state(core).await;
        let committed = core.gate.committed().0;
        let standbys = core.standbys.list();
        let mut here: BTreeSet<(String, u16)> =
            standbys.iter().map(|standby| (standby.host.clone(), standby.rpc_port)).collect();
        here.insert((self.config.hostname.clone(), self.rpc_port));
        let configured = self.config.rpc_addresses.iter();
        let lost = configured
            .filter(|address| !here.contains(&(address.host.clone(), address.port)))
            .map(|address| pb::MasterState {
                address: Some(pb::MasterAddress {
                    host: address.host.clone(),
                    rpc_port: address.port.into(),
                    web_port: 0,
                }),
                role: pb::MasterRole::Lost.into(),
                ..Default::default()
            });
        let standbys = standbys.iter().map(|standby| of_standby(standby, committed));
        std::iter::once(itself).chain(standbys).chain(lost).collect()
    }

    /// What this master knows, whatever its role.
    pub(crate) async fn quorum(&self, slot: &Slot) -> pb::GetQuorumResponse {
        let states = async {
            match slot.role() {
                Role::Primary(core) => self.states(&core).await,
                Role::Standby(standby) => vec![self.standby_state(&standby).await],
                Role::Starting | Role::Failed(_) => vec![self.state(pb::MasterRole::Starting)],
            }
        };
        let (states, keepers) = tokio::join!(states, self.elector.keepers());
        let leader = slot.leader().borrow().clone();
        let etcd = self.config.etcd.as_ref();
        pb::GetQuorumResponse {
            itself: states.first().cloned(),
            leader_term: leader.as_ref().map_or(0, |leader| leader.term.0),
            leader: leader.map(|leader| leader.rpc_address).unwrap_or_default(),
            journal_type: self.config.journal.kind.name().to_owned(),
            states,
            etcd: keepers.into_iter().map(member).collect(),
            cluster_name: etcd.map(|etcd| etcd.cluster_name.clone()).unwrap_or_default(),
        }
    }
}

fn of_standby(standby: &StandbyFacts, committed: u64) -> pb::MasterState {
    pb::MasterState {
        address: Some(pb::MasterAddress {
            host: standby.host.clone(),
            rpc_port: standby.rpc_port.into(),
            web_port: standby.web_port.into(),
        }),
        role: pb::MasterRole::Standby.into(),
        id: standby.id.clone(),
        applied_seq: standby.applied,
        // Its report may be older than what was committed since: at most one report's time.
        lag: committed.saturating_sub(standby.applied),
        term: standby.term,
        checkpoint_seq: standby.checkpoint,
        checkpoint_ms: standby.checkpoint_ms,
        checkpoint_bytes: standby.checkpoint_bytes,
        version: standby.version.clone(),
    }
}

fn member(member: MemberFacts) -> pb::EtcdMember {
    let (health, problems) = match member.health {
        Ok(health) => {
            let problems = health.problems.clone();
            (health, problems)
        }
        Err(error) => (MemberHealth::default(), vec![error.to_string()]),
    };
    pb::EtcdMember {
        name: member.name,
        id: member.id,
        client_urls: member.client_urls,
        healthy: problems.is_empty(),
        leader: health.is_leader,
        learner: member.is_learner,
        version: health.version,
        db_bytes: health.db_bytes,
        raft_term: health.raft_term,
        raft_index: health.raft_index,
        problems,
    }
}

/// A metric on its way to those who ask.
pub(super) fn metric(sample: Sample) -> pb::Metric {
    let kind = match sample.kind {
        SampleKind::Counter => "COUNTER",
        SampleKind::Gauge => "GAUGE",
        SampleKind::Histogram => "HISTOGRAM",
    };
    pb::Metric {
        name: sample.name,
        labels: sample.labels,
        kind: kind.to_owned(),
        value: sample.value,
        count: sample.count,
    }
}
