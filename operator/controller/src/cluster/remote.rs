//! [`ClusterAdmin`] over the data plane's own client.

use super::admin::{AdminError, ClusterAdmin, ClusterView, EtcdView, MasterView, Target};
use super::membership::{Change, Member};
use alluxio_client::FileSystem;
use alluxio_client::cluster::MasterRole;
use alluxio_config::{Config, properties};
use alluxio_host::Host;
use async_trait::async_trait;
use etcd_client::{Client, ConnectOptions, MemberAddOptions};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longest time for one question.
const WITHIN: Duration = Duration::from_secs(5);
/// Clients that are kept.
const CLIENTS_MAX: usize = 1024;

/// The real one: a client for each cluster, kept while it is used.
#[derive(Default)]
pub struct RemoteAdmin {
    clients: Mutex<BTreeMap<Target, FileSystem>>,
}

impl RemoteAdmin {
    /// A client of a cluster.
    ///
    /// **Errors**: properties that no client takes.
    pub fn client(&self, target: &Target) -> Result<FileSystem, AdminError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(target) {
            return Ok(client.clone());
        }
        let (pairs, _) = properties::parse(&target.properties);
        let mut pairs: Vec<(String, String)> =
            pairs.into_iter().map(|pair| (pair.key, pair.value)).collect();
        // Masters and workers run as this user, and so it may do everything.
        pairs.push(("alluxio.security.login.username".into(), "root".into()));
        pairs.push(("alluxio.user.rpc.retry.max.duration".into(), "4s".into()));
        let failed = |error: &dyn std::fmt::Display| AdminError(error.to_string());
        let config = Config::of(pairs).map_err(|error| failed(&error))?;
        let config = config.client().map_err(|error| failed(&error))?;
        let client = FileSystem::connect(config, Host::real()).map_err(|error| failed(&error))?;
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.insert(target.clone(), client.clone());
        Ok(client)
    }
}

#[async_trait]
impl ClusterAdmin for RemoteAdmin {
    async fn view(&self, target: &Target) -> ClusterView {
        let Ok(client) = self.client(target) else { return ClusterView::default() };
        let mut view = ClusterView::default();
        let Ok(answers) = tokio::time::timeout(WITHIN, client.quorum()).await else { return view };
        for answer in &answers {
            let Ok(quorum) = &answer.view else { continue };
            if quorum.leader_term > view.term {
                view.term = quorum.leader_term;
            }
            if let Some(itself) = &quorum.itself {
                view.masters.push(MasterView {
                    address: answer.address.clone(),
                    primary: itself.role == MasterRole::Primary,
                    standby: itself.role == MasterRole::Standby,
                    version: itself.version.clone(),
                    lag: itself.lag,
                });
            }
            if view.etcd.is_empty() {
                view.etcd = quorum
                    .etcd
                    .iter()
                    .map(|member| EtcdView { name: member.name.clone(), healthy: member.healthy })
                    .collect();
            }
        }
        if view.primary().is_none() {
            return view;
        }
        if let Ok(Ok(info)) = tokio::time::timeout(WITHIN, client.master_info()).await {
            view.cluster_id = Some(info.cluster_id);
        }
        if let Ok(Ok(workers)) = tokio::time::timeout(WITHIN, client.workers(false)).await {
            view.workers = workers.len();
            for tier in workers.iter().flat_map(|worker| &worker.tiers) {
                let sum = view.tiers.entry(tier.alias.to_string()).or_default();
                sum.capacity_bytes += tier.capacity_bytes;
                sum.used_bytes += tier.used_bytes;
            }
        }
        view
    }

    async fn transfer(&self, target: &Target, to: &str) -> Result<(), AdminError> {
        let client = self.client(target)?;
        match tokio::time::timeout(WITHIN, client.transfer(to)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(AdminError(error.to_string())),
            Err(_) => Err(AdminError(format!("no answer within {WITHIN:?}"))),
        }
    }

    async fn etcd_members(&self, endpoints: &[String]) -> Option<Vec<Member>> {
        let list = async { connect(endpoints).await?.member_list().await };
        let list = tokio::time::timeout(WITHIN, list).await.ok()?.ok()?;
        let member = |member: &etcd_client::Member| Member {
            id: member.id(),
            peer_urls: member.peer_urls().to_vec(),
            learner: member.is_learner(),
            // It tells its name when it starts.
            started: !member.name().is_empty(),
        };
        Some(list.members().iter().map(member).collect())
    }

    async fn etcd_change(&self, endpoints: &[String], change: &Change) -> Result<(), AdminError> {
        let act = async {
            let mut client = connect(endpoints).await?;
            match change {
                Change::Add { peer_url } => {
                    let options = MemberAddOptions::new().with_is_learner();
                    client.member_add([peer_url.as_str()], Some(options)).await.map(drop)
                }
                Change::Promote { id } => client.member_promote(*id).await.map(drop),
                Change::Remove { id } => client.member_remove(*id).await.map(drop),
            }
        };
        match tokio::time::timeout(WITHIN, act).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(AdminError(error.to_string())),
            Err(_) => Err(AdminError(format!("no answer within {WITHIN:?}"))),
        }
    }
}

/// A client of an etcd that speaks no TLS, as those that the operator makes.
async fn connect(endpoints: &[String]) -> Result<Client, etcd_client::Error> {
    let options = ConnectOptions::new().with_connect_timeout(WITHIN).with_timeout(WITHIN);
    Client::connect(endpoints, Some(options)).await
}
