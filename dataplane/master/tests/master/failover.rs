//! Several masters on one journal and one election: who answers, and what is kept when they change.

use crate::shared_journal::SharedJournal;
use crate::support::{PATIENCE, address, client, config, eventually, file, start_as, tries_of};
use alluxio_election::SharedElection;
use alluxio_host::Host;
use alluxio_master::{Handle, OpenJournal, OpenedJournal};
use alluxio_proto::status::code_of;
use alluxio_proto::v1::fs as pb;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_proto::v1::meta as meta_pb;
use alluxio_proto::v1::meta::meta_master_client::MetaMasterClient;
use alluxio_rpc::primary::primary_of;
use alluxio_rpc::{Primary, Repeat};
use alluxio_types::Code;
use std::sync::Arc;
use std::time::Duration;

struct Cluster {
    election: SharedElection,
    journal: SharedJournal,
    dir: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Cluster {
        let lease = Duration::from_secs(60);
        let election = SharedElection::new(Host::real().clock.clone(), lease);
        Cluster { election, journal: SharedJournal::new(), dir: tempfile::tempdir().unwrap() }
    }

    async fn master(&self) -> Handle {
        let journal = self.journal.clone();
        let started = start_as(config(self.dir.path(), &[]), Host::real(), |itself| {
            let open = move || {
                let store = Arc::new(journal.store());
                Ok(OpenedJournal { store, cluster_id: "cluster-1".into() })
            };
            (Arc::new(open) as OpenJournal, Arc::new(self.election.elector(itself)))
        });
        started.await.unwrap()
    }

    async fn three(&self) -> [Handle; 3] {
        [self.master().await, self.master().await, self.master().await]
    }
}

async fn create(client: &Primary, path: &str) -> u64 {
    let request = file(path);
    let made = client.call(Repeat::Harmful, |channel| {
        let request = request.clone();
        async move { FileSystemMasterClient::new(channel).create_file(request).await }
    });
    made.await.unwrap().status.unwrap().id
}

async fn id_of(client: &Primary, path: &str) -> u64 {
    let request = pb::GetStatusRequest { path: path.into(), ..Default::default() };
    let status = client.call(Repeat::Harmless, |channel| {
        let request = request.clone();
        async move { FileSystemMasterClient::new(channel).get_status(request).await }
    });
    status.await.unwrap().status.unwrap().id
}

async fn info(client: &Primary) -> meta_pb::GetMasterInfoResponse {
    let info = client.call(Repeat::Harmless, |channel| async move {
        MetaMasterClient::new(channel).get_master_info(meta_pb::GetMasterInfoRequest {}).await
    });
    info.await.unwrap()
}

async fn wait_for_a_primary(masters: &[&Handle]) -> usize {
    eventually("a primary", async || masters.iter().any(|master| master.is_primary())).await;
    masters.iter().position(|master| master.is_primary()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn standbys_name_the_primary_and_read_along() {
    let cluster = Cluster::new();
    let [one, two, three] = cluster.three().await;
    assert!(one.is_primary() && !two.is_primary() && !three.is_primary());
    let refused = tries_of(&two, 1).create_file(file("/f")).await.unwrap_err();
    assert_eq!(code_of(&refused), Code::NotPrimary);
    assert_eq!(primary_of(&refused), Some(address(&one)));
    // A client that asks a standby first is sent on.
    let client = client([&three, &two]);
    create(&client, "/f").await;
    assert_eq!(client.current(), Some(address(&one)));
    let wanted = one.namespace().unwrap();
    for standby in [&two, &three] {
        let tree = standby.namespace().unwrap();
        eventually("the standby has it", async || tree.applied() == wanted.applied()).await;
        assert_eq!(tree.state_hash(), wanted.state_hash());
    }
    eventually("the primary knows both", async || {
        let states = info(&client).await.states;
        states.iter().filter(|state| state.role() == meta_pb::MasterRole::Standby).count() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_term_leads_to_another_primary_and_nothing_is_lost_or_made_twice() {
    let cluster = Cluster::new();
    let masters = cluster.three().await;
    let client = client(&masters);
    let mut made = Vec::new();
    for round in 0u64..6 {
        let before = wait_for_a_primary(&masters.each_ref()).await;
        let operation = u128::from(round) + 1;
        let path = format!("/once-{round}");
        let first = tries_of(&masters[before], operation).create_file(file(&path)).await;
        let first = first.unwrap().into_inner().status.unwrap().id;
        made.push((path.clone(), first));
        cluster.election.expire_lease();
        let path = format!("/after-{round}");
        made.push((path.clone(), create(&client, &path).await));
        let now = wait_for_a_primary(&masters.each_ref()).await;
        // The same try again, whoever is the primary now.
        let again = tries_of(&masters[now], operation).create_file(file("/ignored")).await;
        assert_eq!(again.unwrap().into_inner().status.unwrap().id, first);
    }
    for (path, id) in made {
        assert_eq!(id_of(&client, &path).await, id, "{path}");
    }
    let term = info(&client).await.term;
    assert!(term >= 7, "{term}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_stops_makes_room_at_once() {
    let cluster = Cluster::new();
    let [one, two, three] = cluster.three().await;
    let client = client([&one, &two, &three]);
    let before = create(&client, "/before").await;
    let started = std::time::Instant::now();
    one.stop(Duration::from_secs(5)).await;
    create(&client, "/after").await;
    // Nobody has to wait for a lease of a minute.
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(id_of(&client, "/before").await, before);
    assert!(two.is_primary() || three.is_primary());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primacy_goes_to_the_master_that_is_named() {
    let cluster = Cluster::new();
    let [one, two, three] = cluster.three().await;
    let client = client([&one, &two, &three]);
    for heir in [&three, &two, &one] {
        let named = address(heir).to_string();
        eventually("the heir is a standby", async || {
            info(&client)
                .await
                .states
                .iter()
                .any(|state| state.id == named && state.role() == meta_pb::MasterRole::Standby)
        })
        .await;
        let request = meta_pb::TransferRequest { master: named.clone() };
        let handed = client.call(Repeat::Harmful, |channel| {
            let request = request.clone();
            async move { MetaMasterClient::new(channel).transfer(request).await }
        });
        handed.await.unwrap();
        eventually("the heir reigns", async || heir.is_primary()).await;
    }
    let request = meta_pb::TransferRequest { master: "nobody:1".into() };
    let refused = client.call(Repeat::Harmful, |channel| {
        let request = request.clone();
        async move { MetaMasterClient::new(channel).transfer(request).await }
    });
    assert!(refused.await.unwrap_err().to_string().contains("no standby nobody:1"));
}
