//! How the members of an etcd are, for those who look after it.

use crate::connection::Etcd;
use crate::error::EtcdError;
use etcd_client::{Client, StatusResponse};
use futures::future::join_all;
use std::time::Duration;
use tokio::time::timeout;

/// How long one member may take to say how it is. Somebody waits at a terminal.
const STATUS_LIMIT: Duration = Duration::from_secs(1);

/// A member of an etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFacts {
    /// Its name; empty when the members could not be listed.
    pub name: String,
    /// Its number in its cluster; 0 when it is not known.
    pub id: u64,
    /// Where it serves.
    pub client_urls: Vec<String>,
    /// Whether it only reads along, without a vote.
    pub is_learner: bool,
    /// How it is, in its own words.
    pub health: Result<MemberHealth, EtcdError>,
}

/// What a member says of itself; only that it is there (no version) when our user may not know more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberHealth {
    /// Its version.
    pub version: String,
    /// Whether it leads.
    pub is_leader: bool,
    /// Term of etcd's own election.
    pub raft_term: u64,
    /// Last entry of etcd's own log.
    pub raft_index: u64,
    /// Size of its file.
    pub db_bytes: u64,
    /// Alarms and the like; none when it is well.
    pub problems: Vec<String>,
}

/// The number of a member that answered, and how it is.
type Answer = (u64, MemberHealth);

/// What came of asking one configured endpoint.
type Asked = (String, Result<Answer, EtcdError>);

fn of_status(status: &StatusResponse) -> Answer {
    let id = status.header().map_or(0, |header| header.member_id());
    let health = MemberHealth {
        version: status.version().to_owned(),
        is_leader: id != 0 && status.leader() == id,
        raft_term: status.raft_term(),
        raft_index: status.raft_index(),
        db_bytes: u64::try_from(status.db_size()).unwrap_or(0),
        problems: status.errors().to_vec(),
    };
    (id, health)
}

/// Asks a member how it is. Where only administrators may know, it is well when it answers a read that
/// needs the majority.
async fn ask(mut client: Client, key: &str) -> Result<Answer, EtcdError> {
    match client.status().await.map_err(EtcdError::from) {
        Ok(status) => Ok(of_status(&status)),
        Err(EtcdError::Refused { .. }) => {
            let found = client.get(key, None).await?;
            let header = found.header();
            let raft_term = header.map_or(0, |header| header.raft_term());
            let health = MemberHealth { raft_term, ..MemberHealth::default() };
            Ok((header.map_or(0, |header| header.member_id()), health))
        }
        Err(error) => Err(error),
    }
}

impl Etcd {
    /// All members with their health. Members that no configured endpoint leads to are asked at the
    /// addresses that etcd has for them. When nobody can list the members, the configured endpoints
    /// stand for them. Takes two seconds at most.
    pub async fn members(&self) -> Vec<MemberFacts> {
        let asking = (0..self.endpoints().count()).map(|index| self.ask_status(index));
        let listing =
            self.read(STATUS_LIMIT, |mut client| async move { client.member_list().await });
        let (mut asked, listed) = tokio::join!(join_all(asking), listing);
        let Ok(listed) = listed else {
            return asked.into_iter().map(of_endpoint).collect();
        };
        let mut members = Vec::new();
        for member in listed.members() {
            let health = match take(&mut asked, member.id(), member.client_urls()) {
                Some(health) => health,
                None => self.ask_elsewhere(member.client_urls()).await,
            };
            members.push(MemberFacts {
                name: member.name().to_owned(),
                id: member.id(),
                client_urls: member.client_urls().to_vec(),
                is_learner: member.is_learner(),
                health: health.map(|(_, health)| health),
            });
        }
        members
    }

    async fn ask_status(&self, index: usize) -> Asked {
        // In a box, as connecting is: it is large.
        let key = self.keys().leader();
        let asking = Box::pin(async { ask(self.client(index).await?, &key).await });
        let endpoint = self.endpoints().nth(index).unwrap_or_default().to_owned();
        (endpoint, within(asking).await)
    }

    async fn ask_elsewhere(&self, urls: &[String]) -> Result<Answer, EtcdError> {
        let Some(url) = urls.first() else {
            // etcd knows members that were added and never started so.
            return Err(EtcdError::Unreachable { reason: "it never started".into() });
        };
        let key = self.keys().leader();
        let asking = Box::pin(async { ask(self.connect(url).await?, &key).await });
        within(asking).await
    }
}

async fn within<T>(asking: impl Future<Output = Result<T, EtcdError>>) -> Result<T, EtcdError> {
    match timeout(STATUS_LIMIT, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(EtcdError::Late { limit: STATUS_LIMIT }),
    }
}

/// The answer of the member with that number, or what went wrong at one of its addresses.
fn take(asked: &mut Vec<Asked>, id: u64, urls: &[String]) -> Option<Result<Answer, EtcdError>> {
    let plain = |url: &str| url.split("://").last().unwrap_or_default().to_owned();
    let found = asked.iter().position(|(endpoint, answer)| match answer {
        Ok((answered, _)) => *answered == id,
        Err(_) => urls.iter().any(|url| plain(url) == plain(endpoint)),
    })?;
    Some(asked.swap_remove(found).1)
}

fn of_endpoint((endpoint, answer): Asked) -> MemberFacts {
    let id = answer.as_ref().map_or(0, |(id, _)| *id);
    MemberFacts {
        name: String::new(),
        id,
        client_urls: vec![endpoint],
        is_learner: false,
        health: answer.map(|(_, health)| health),
    }
}
