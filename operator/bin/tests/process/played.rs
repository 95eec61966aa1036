//! An operator whose masters and stores are played, as a process of its own: this test program again.

use crate::stand::{Process, Stand};
use alluxio_host::Host;
use alluxio_operator_controller::cluster::admin::{
    AdminError, ClusterAdmin, ClusterView, MasterView, Target,
};
use alluxio_operator_controller::cluster::membership::{Change, Member};
use alluxio_operator_controller::cluster::validate::Defaults;
use alluxio_operator_controller::dataset::played::Played;
use alluxio_operator_controller::metrics::OperatorMetrics;
use alluxio_operator_controller::run::{Admins, OperatorConfig, fenced_client, run};
use alluxio_telemetry::{AdminServer, LogTarget, Metrics, Readiness, trace};
use alluxio_testservers::process::{Server, free_port};
use async_trait::async_trait;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

/// Where that process serves its metrics.
const VARIABLE: &str = "ALLUXIO_TEST_PLAYED_OPERATOR";

/// Starts it.
pub(crate) fn start(stand: &Stand) -> Process {
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port());
    let mut command = Server::supervised(&std::env::current_exe().unwrap());
    command.args(["--exact", "played::an_operator_whose_masters_are_played", "--nocapture"]);
    command.env(VARIABLE, address.to_string());
    stand.process(command, address)
}

/// The process; in an ordinary run of all tests there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_whose_masters_are_played() {
    let Ok(address) = std::env::var(VARIABLE) else { return };
    let address: SocketAddrV4 = address.parse().unwrap();
    let general = alluxio_config::Config::of(Vec::<(String, String)>::new()).unwrap();
    let directives = std::env::var("RUST_LOG").ok();
    let log = trace::install(&general.general().unwrap(), LogTarget::Server, directives.as_deref());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let registry = Metrics::new("operator");
    let metrics = OperatorMetrics::register(&registry).unwrap();
    let readiness = Readiness::waiting_for(&[]);
    let admin = AdminServer { metrics: registry, readiness, log: log.unwrap() };
    let (host, port) = (address.ip().to_string(), address.port());
    let net = Host::real().net;
    let _admin = admin.start(&net, &host, port, axum::Router::new()).await.unwrap();
    let (client, fence) = fenced_client(kube::Config::infer().await.unwrap(), &metrics).unwrap();
    let config = OperatorConfig {
        namespaces: Vec::new(),
        election: None,
        defaults: Defaults {
            repository: "alluxio".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            pull_policy: "IfNotPresent".into(),
            etcd_image: "localhost/etcd:v3.6.4".into(),
        },
        instance: None,
    };
    let admins = Admins { cluster: Arc::new(Serving), dataset: Arc::new(Played::default()) };
    // It ends with whoever started it.
    run(client, fence, config, admins, metrics, std::future::pending()).await;
}

/// Clusters whose first master serves, with a worker.
struct Serving;

#[async_trait]
impl ClusterAdmin for Serving {
    async fn view(&self, target: &Target) -> ClusterView {
        let mut words = target.properties.split(['=', ',', '\n']);
        let address = words.find(|word| word.contains("-master-0.")).unwrap_or_default();
        let master = MasterView {
            address: address.to_owned(),
            primary: true,
            standby: false,
            version: env!("CARGO_PKG_VERSION").into(),
            lag: 0,
        };
        ClusterView {
            cluster_id: Some(format!("journal of {address}")),
            masters: vec![master],
            term: 1,
            workers: 1,
            ..ClusterView::default()
        }
    }

    async fn transfer(&self, _: &Target, to: &str) -> Result<(), AdminError> {
        Err(AdminError(format!("there is no {to}")))
    }

    async fn etcd_members(&self, _: &[String]) -> Option<Vec<Member>> {
        None
    }

    async fn etcd_change(&self, _: &[String], change: &Change) -> Result<(), AdminError> {
        Err(AdminError(format!("there is no etcd for {change:?}")))
    }
}
