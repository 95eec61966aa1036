//! A whole cluster in one process, as `alluxio local start` runs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_config::source::SiteFile;
use alluxio_config::{Config, Sources};
use alluxio_node::local::{self, LocalCluster, LocalOptions, Ports};
use alluxio_node::process::Invocation;
use alluxio_node::{NodeError, Process, format};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

fn options(dir: &Path, workers: u16) -> LocalOptions {
    LocalOptions { dir: dir.join("cluster"), ports: Ports::Auto, workers, ufs: None }
}

async fn start(options: &LocalOptions, more: &[(&str, &str)]) -> Result<LocalCluster, NodeError> {
    let definitions = more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let invocation = Invocation { definitions, ..Invocation::default() };
    let config = local::configure(&invocation, options)?;
    local::start(&Process::embedded(config), options).await
}

fn site(cluster: &LocalCluster) -> Config {
    let file = SiteFile::At(cluster.conf_dir().join("alluxio-site.properties"));
    Config::load(Sources::none().with_site_file(file)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_site_file_leads_to_the_cluster_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), 1);
    let block_size = ("alluxio.user.block.size.bytes.default", "1MB");
    let cluster = start(&options, &[block_size]).await.unwrap();
    let (rpc, web) = cluster.master_addresses();
    let worker = cluster.workers().next().unwrap().clone();
    let config = site(&cluster);
    assert_eq!(config.master().unwrap().rpc_port, rpc.port());
    assert_eq!(config.master().unwrap().web_port, web.port());
    assert_eq!(config.worker().unwrap().rpc_port, worker.rpc_port);
    assert_eq!(config.client().unwrap().masters[0].port, rpc.port());
    assert_eq!(config.get(block_size.0).unwrap().value, "1MB");
    assert!(cluster.announcement().starts_with("ready\n"), "{}", cluster.announcement());
    assert!(cluster.announcement().contains(&rpc.to_string()));

    // A second cluster on the same folder is kept out, and says why.
    let error = start(&options, &[]).await.err().unwrap();
    assert!(error.to_string().contains("in use by another master"), "{error}");

    cluster.stop(PATIENCE).await;
    let file = options.dir.join("conf/alluxio-site.properties");
    let edited =
        std::fs::read_to_string(&file).unwrap() + "alluxio.user.rpc.retry.max.duration=7s\n";
    std::fs::write(&file, edited).unwrap();
    let cluster = start(&options, &[]).await.unwrap();
    assert_eq!(cluster.master_addresses().0, rpc, "the address of the last start is free again");
    let kept = site(&cluster);
    assert_eq!(kept.get("alluxio.user.rpc.retry.max.duration").unwrap().value, "7s");
    cluster.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_workers_have_tiers_and_ports_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), 3);
    let cluster = start(&options, &[]).await.unwrap();
    let ports: std::collections::BTreeSet<u16> = cluster
        .workers()
        .flat_map(|worker| [worker.rpc_port, worker.data_port, worker.web_port])
        .collect();
    assert_eq!(ports.len(), 9);
    for number in 1..=3 {
        assert!(options.dir.join(format!("worker-{number}/alluxioworker")).is_dir());
    }
    cluster.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn formatting_makes_an_empty_cluster_and_spares_a_running_one() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), 1);
    let cluster = start(&options, &[]).await.unwrap();
    let process = Process::embedded(site(&cluster));
    assert!(matches!(format::format_master(&process), Err(NodeError::Journal(_))));
    assert!(matches!(format::format_worker(&process), Err(NodeError::WorkerRuns { .. })));
    cluster.stop(PATIENCE).await;
    assert!(!format::format_master_if_new(&process).unwrap(), "what was formatted is spared");
    let folder = format::format_master(&process).unwrap().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(format::format_master_if_new(&process).unwrap());
    assert!(!format::format_master_if_new(&process).unwrap());
    assert_eq!(folder, options.dir.canonicalize().unwrap().join("journal"));
    let dirs = format::format_worker(&process).unwrap();
    assert_eq!(dirs, [options.dir.canonicalize().unwrap().join("worker-1")]);
    assert!(!dirs[0].join("alluxioworker").exists());
    start(&options, &[]).await.unwrap().stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_cannot_be_used_is_named_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let journal = journal.to_str().unwrap();
    let process = |folder: &str| {
        let ports = ["rpc", "web"].map(|kind| (format!("alluxio.master.{kind}.port"), "0"));
        let folder = ("alluxio.master.journal.folder".to_owned(), folder);
        Process::embedded(Config::of(ports.into_iter().chain([folder])).unwrap())
    };
    let error = alluxio_node::start_master(&process(journal)).await.err().unwrap().to_string();
    assert!(error.contains(journal) && error.contains("run `alluxio formatMaster`"), "{error}");
    for (folder, wanted) in [
        ("ftp://host/j", "no under store knows the scheme"),
        ("https://host/j", "alluxio.master.journal.type=ETCD, or a folder of this machine"),
    ] {
        let error = alluxio_node::start_master(&process(folder)).await.err().unwrap().to_string();
        assert!(error.contains(wanted) && error.contains(folder), "{error}");
    }
    std::fs::create_dir(journal).unwrap();
    std::fs::write(Path::new(journal).join("mine.txt"), "x").unwrap();
    let error = format::format_master(&process(journal)).unwrap_err().to_string();
    assert!(error.contains("mine.txt"), "{error}");
}
