//! Several masters on one journal and one election: who answers, and what is kept when they change.
#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod journal;

use alluxio_config::Config;
use alluxio_election::{Candidate, SharedElection};
use alluxio_host::Host;
use alluxio_master::{Deps, Handle, OpenedJournal};
use alluxio_proto::status::code_of;
use alluxio_proto::v1::fs as pb;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_proto::v1::meta as meta_pb;
use alluxio_proto::v1::meta::meta_master_client::MetaMasterClient;
use alluxio_rpc::primary::{CallerChannel, channel, primary_of};
use alluxio_rpc::{Caller, HostPort, Primary, Repeat, RetryPolicy};
use alluxio_types::{Code, OperationId};
use journal::SharedJournal;
use std::sync::Arc;
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;

const USER: &str = "root";
const PATIENCE: Duration = Duration::from_secs(20);

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
        let ufs = self.dir.path().join("ufs").to_str().unwrap().to_owned();
        let config = Config::of([
            ("alluxio.master.hostname", "127.0.0.1".to_owned()),
            ("alluxio.master.bind.host", "127.0.0.1".to_owned()),
            ("alluxio.master.web.bind.host", "127.0.0.1".to_owned()),
            ("alluxio.master.rpc.port", "0".to_owned()),
            ("alluxio.master.web.port", "0".to_owned()),
            ("alluxio.master.mount.table.root.ufs", ufs),
        ]);
        let config = config.unwrap().master().unwrap();
        let listener = alluxio_master::bind(&Host::real().net, &config).await.unwrap();
        let rpc_address = listener.address().to_string();
        let itself = Candidate { id: rpc_address.clone(), rpc_address };
        let journal = self.journal.clone();
        let deps = Deps {
            elector: Arc::new(self.election.elector(itself.clone())),
            itself,
            journal: Arc::new(move || {
                let store = Arc::new(journal.store());
                Ok(OpenedJournal { store, cluster_id: "cluster-1".into() })
            }),
            metrics: alluxio_telemetry::Metrics::new("master"),
            log: alluxio_telemetry::LogControl::none(),
            properties: Vec::new(),
            user: USER.into(),
            host: Host::real(),
            config,
        };
        alluxio_master::start(listener, deps).await.unwrap()
    }

    async fn three(&self) -> [Handle; 3] {
        [self.master().await, self.master().await, self.master().await]
    }
}

fn address(master: &Handle) -> HostPort {
    HostPort { host: "127.0.0.1".into(), port: master.rpc_address().port() }
}

/// A client that knows the masters in that order.
fn client<'a>(masters: impl IntoIterator<Item = &'a Handle>) -> Primary {
    let addresses = masters.into_iter().map(address).collect();
    let policy = RetryPolicy { total: PATIENCE, ..RetryPolicy::default() };
    Primary::new(addresses, Caller::new(USER).unwrap(), policy, Host::real()).unwrap()
}

/// Calls of one master and of no other, all tries of one change.
fn tries_of(master: &Handle, operation: u128) -> FileSystemMasterClient<CallerChannel> {
    let caller = Caller::new(USER).unwrap().for_operation(OperationId(operation));
    let channel = channel(&Host::real().net, &address(master)).unwrap();
    FileSystemMasterClient::new(InterceptedService::new(channel, caller))
}

fn file(path: &str) -> pb::CreateFileRequest {
    pb::CreateFileRequest {
        path: path.into(),
        block_size_bytes: 1 << 20,
        write_type: alluxio_proto::v1::common::WriteType::MustCache as i32,
        ..Default::default()
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

/// Waits for what no event tells.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("never: {what}"));
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
    assert_eq!(client.current(), address(&one));
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
