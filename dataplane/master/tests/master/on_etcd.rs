//! Masters on a real etcd: checkpoints that are fetched, damaged or find no room, and backups.

use crate::support::{PATIENCE, SUPERUSER, as_user, client, config, eventually, file, start_as};
use alluxio_election::{EtcdElector, EtcdElectorOptions};
use alluxio_etcd::api::GetOptions;
use alluxio_etcd::{Etcd, EtcdSettings};
use alluxio_host::{Fault, FaultKind, Host, MemoryDisk, Operation};
use alluxio_journal::folder::{FolderReader, QueueLimits};
use alluxio_journal::{EtcdJournal, EtcdJournalOptions, etcd};
use alluxio_master::{Handle, OpenJournal, OpenedJournal, StartError};
use alluxio_namespace::StateHash;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_proto::v1::meta as meta_pb;
use alluxio_proto::v1::meta::meta_master_client::MetaMasterClient;
use alluxio_rpc::Primary;
use alluxio_testservers::Etcd as Servers;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A cluster of masters: one etcd, and a directory for each master.
struct Cluster {
    servers: Servers,
    dir: tempfile::TempDir,
    extra: Vec<(&'static str, String)>,
}

impl Cluster {
    /// Formats a cluster with checkpoints every `period` entries.
    async fn format(members: usize, period: u64) -> Cluster {
        let (servers, dir) = (Servers::start(members), tempfile::tempdir().unwrap());
        let period = ("alluxio.master.journal.checkpoint.period.entries", period.to_string());
        let cluster = Cluster { servers, dir, extra: vec![period] };
        let folder = cluster.folder("a");
        etcd::format(&cluster.etcd(), &Host::real(), folder, "cluster-1").await.unwrap();
        cluster
    }

    fn etcd(&self) -> Arc<Etcd> {
        Arc::new(Etcd::new(&EtcdSettings::plain(self.servers.endpoints(), "c")).unwrap())
    }

    /// Where the checkpoints of a master are.
    fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name).join("journal")
    }

    async fn start(&self, name: &str) -> Handle {
        self.try_start(name, Host::real()).await.unwrap()
    }

    async fn try_start(&self, name: &str, host: Host) -> Result<Handle, StartError> {
        self.start_with(name, host, &[]).await
    }

    async fn start_with(
        &self,
        name: &str,
        host: Host,
        more: &[(&'static str, String)],
    ) -> Result<Handle, StartError> {
        let mut extra = self.extra.clone();
        let ufs = self.dir.path().join("ufs").to_str().unwrap().to_owned();
        extra.push(("alluxio.master.mount.table.root.ufs", ufs));
        extra.extend_from_slice(more);
        let config = config(&self.dir.path().join(name), &extra);
        let (etcd, folder, parts) = (self.etcd(), self.folder(name), host.clone());
        start_as(config, host, |itself| {
            let options = EtcdJournalOptions {
                etcd: etcd.clone(),
                folder,
                master: itself.id.clone(),
                queue: QueueLimits::default(),
                backlog_bytes: 0,
            };
            let (runtime, host) = (tokio::runtime::Handle::current(), parts.clone());
            let open = move || {
                let opening = EtcdJournal::open(options.clone(), &host, Arc::new(()));
                let store = runtime.block_on(opening)?;
                let cluster_id = store.facts().cluster_id.clone();
                Ok(OpenedJournal { store: Arc::new(store), cluster_id })
            };
            let options = EtcdElectorOptions { lease: Duration::from_secs(3) };
            let elector = EtcdElector::start(etcd, itself, parts.clock.clone(), options);
            (Arc::new(open) as OpenJournal, Arc::new(elector))
        })
        .await
    }

    /// The first position that etcd still has.
    async fn kept_from(&self, etcd: &Etcd) -> u64 {
        let first = etcd
            .read(PATIENCE, |mut client| async move {
                let options = GetOptions::new().with_prefix().with_limit(1).with_keys_only();
                client.get(etcd.keys().entries(), Some(options)).await
            })
            .await
            .unwrap();
        first.kvs().first().map_or(0, |kv| etcd.keys().position(kv.key()).unwrap())
    }
}

async fn create_many(client: &Primary, directory: &str, count: usize) {
    for number in 0..count {
        ask!(client, create_file, file(&format!("{directory}/f{number}"))).unwrap();
    }
}

async fn stop(masters: impl IntoIterator<Item = Handle>) {
    for master in masters {
        master.stop(Duration::from_secs(5)).await;
    }
}

fn checkpoints_in(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|item| item.unwrap().path());
    let is_one =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("checkpoint-");
    let mut found: Vec<_> = paths.filter(is_one).collect();
    found.sort();
    found
}

/// Makes files until etcd has dropped everything up to `seq`; returns how many rounds it took.
async fn outgrow(cluster: &Cluster, client: &Primary, label: &str, seq: u64) {
    let etcd = cluster.etcd();
    let mut round = 0;
    eventually("covered entries are dropped", async || {
        create_many(client, &format!("/{label}/{round}"), 100).await;
        round += 1;
        cluster.kept_from(&etcd).await > seq + 1
    })
    .await;
}

async fn equal_trees(one: &Handle, other: &Handle) {
    eventually("both trees are at the same entry", async || {
        let (one, other) = (one.namespace(), other.namespace());
        matches!((one, other), (Some(one), Some(other)) if one.applied() == other.applied())
    })
    .await;
    let hash = |master: &Handle| master.namespace().unwrap().state_hash();
    assert_eq!(hash(one), hash(other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_was_away_past_compaction_takes_a_checkpoint_from_another_master() {
    let cluster = Cluster::format(3, 150).await;
    let one = cluster.start("a").await;
    let two = cluster.start("b").await;
    let three = cluster.start("c").await;
    let client = client([&one, &two]);
    create_many(&client, "/before", 20).await;
    equal_trees(&one, &three).await;
    let away_at = three.namespace().unwrap().applied().0;
    stop([three]).await;
    outgrow(&cluster, &client, "meanwhile", away_at).await;
    assert!(checkpoints_in(&cluster.folder("c")).is_empty(), "it has to fetch one");
    let three = cluster.start("c").await;
    let fetched = FolderReader::open(&Host::real(), &cluster.folder("c")).unwrap();
    let fetched = fetched.checkpoints().unwrap();
    let (at, info) = &fetched[0];
    assert!(at.0 > away_at);
    assert_eq!(info.as_ref().unwrap().state_hash.kind, StateHash::KIND);
    create_many(&client, "/after", 20).await;
    equal_trees(&one, &three).await;

    // The one that has it is damaged now: it is set aside, and the other master's is taken again.
    let away_at = three.namespace().unwrap().applied().0;
    stop([three]).await;
    outgrow(&cluster, &client, "again", away_at).await;
    let mine = checkpoints_in(&cluster.folder("c"));
    assert!(!mine.is_empty());
    for path in &mine {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(path, bytes).unwrap();
    }
    let three = cluster.start("c").await;
    equal_trees(&one, &three).await;
    let names: Vec<_> = fs::read_dir(cluster.folder("c"))
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| name.starts_with("damaged-checkpoint-")), "{names:?}");
    stop([three, two, one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_without_another_copy_is_refused_with_file_and_offset() {
    let cluster = Cluster::format(1, 100).await;
    let one = cluster.start("a").await;
    let client = client([&one]);
    create_many(&client, "/d", 10).await;
    one.checkpoint().await.unwrap();
    outgrow(&cluster, &client, "more", 1).await;
    stop([one]).await;
    let folder = cluster.folder("a");
    let newest = checkpoints_in(&folder).pop().unwrap();
    for path in checkpoints_in(&folder) {
        let mut bytes = fs::read(&path).unwrap();
        bytes[90] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let error = cluster.try_start("a", Host::real()).await.err().unwrap().to_string();
    let expected = format!("{} is damaged at byte 64", newest.display());
    assert!(error.contains(&expected), "{error}");
    assert!(newest.exists(), "it stays for whoever looks at it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_finds_no_room_leaves_the_old_one_and_the_service() {
    let cluster = Cluster::format(1, 1_000_000).await;
    let disk = MemoryDisk::new(1);
    let host = Host { disk: Arc::new(disk.clone()), ..Host::real() };
    let one = cluster.try_start("a", host.clone()).await.unwrap();
    let client = client([&one]);
    create_many(&client, "/d", 50).await;
    let first = one.checkpoint().await.unwrap();
    create_many(&client, "/e", 50).await;
    for operation in [Operation::Write, Operation::Sync, Operation::Open] {
        let full = Fault::new(FaultKind::Full).on(operation).at("checkpoint-").times(1000);
        disk.inject(full);
        let error = one.checkpoint().await.unwrap_err().to_string();
        assert!(error.contains("no space left"), "{operation:?}: {error}");
        // The service does not notice.
        create_many(&client, &format!("/{operation:?}"), 5).await;
        let reader = FolderReader::open(&host, &cluster.folder("a")).unwrap();
        let kept: Vec<_> = reader.checkpoints().unwrap().into_iter().map(|(at, _)| at).collect();
        assert_eq!(kept, [first]);
        disk.clear_faults();
    }
    let second = one.checkpoint().await.unwrap();
    let tree = one.namespace().unwrap();
    assert_eq!(second, tree.applied());
    stop([one]).await;
    let again = cluster.try_start("a", host).await.unwrap();
    assert_eq!(again.namespace().unwrap().state_hash(), tree.state_hash());
    stop([again]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_into_an_empty_journal_and_reaches_every_standby() {
    let from = Cluster::format(1, 1_000_000).await;
    let one = from.start("a").await;
    let source = as_user(&one, SUPERUSER);
    create_many(&source, "/d", 120).await;
    let target = from.dir.path().join("backups").to_str().unwrap().to_owned();
    let status = back_up(&source, &target).await;
    stop([one]).await;

    let cluster = Cluster::format(3, 1_000_000).await;
    let backup = ("alluxio.master.journal.init.from.backup", status.uri.clone());
    let more = std::slice::from_ref(&backup);
    let one = cluster.start_with("a", Host::real(), more).await.unwrap();
    // Told to restore as well, a second master finds the journal filled, and so refuses.
    let refused = cluster.start_with("b", Host::real(), more).await.err().unwrap().to_string();
    assert!(refused.contains("an empty one only"), "{refused}");
    // Without, it takes the restored state from the first one.
    let two = cluster.start("b").await;
    equal_trees(&one, &two).await;
    let client = client([&one, &two]);
    create_many(&client, "/after", 10).await;
    stop([one]).await;
    // The restored state outlives the master that restored it.
    let id = |path: &'static str| {
        let client = &client;
        async move {
            let request =
                alluxio_proto::v1::fs::GetStatusRequest { path: path.into(), ..Default::default() };
            ask!(client, get_status, request.clone()).unwrap().status.unwrap().id
        }
    };
    assert_ne!(id("/d/f7").await, id("/after/f7").await);
    stop([two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_another_cluster_is_refused() {
    let cluster = Cluster::format(1, 1000).await;
    alluxio_journal::folder::format(&Host::real(), &cluster.folder("b"), "cluster-2").unwrap();
    let error = cluster.try_start("b", Host::real()).await.err().unwrap().to_string();
    let named = error.contains("cluster-2") && error.contains("cluster-1");
    assert!(error.contains("belongs to another cluster") && named, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_writes_the_backup_and_the_primary_when_there_is_none() {
    let cluster = Cluster::format(1, 1_000_000).await;
    let one = cluster.start("a").await;
    // Its name tells who wrote a backup.
    let name = [("alluxio.master.hostname", "localhost".to_owned())];
    let two = cluster.start_with("b", Host::real(), &name).await.unwrap();
    let client = client([&one]);
    create_many(&client, "/d", 200).await;
    let states = async || {
        let request = meta_pb::GetMasterInfoRequest {};
        ask!(client, MetaMasterClient, get_master_info, request).unwrap().states
    };
    eventually("the standby is known", async || states().await.len() == 2).await;
    let target = cluster.dir.path().join("backups").to_str().unwrap().to_owned();
    let status = back_up(&client, &target).await;
    let tree = one.namespace().unwrap();
    assert_eq!(status.host, "localhost");
    assert_eq!((status.sequence, status.state_hash), (tree.applied().0, tree.state_hash()));
    assert!(Path::new(&status.uri).starts_with(&target));
    assert!(status.entries > 200);

    // Under load too it holds what was acknowledged before, and is restored elsewhere.
    let writing = tokio::spawn({
        let client = as_user(&one, SUPERUSER);
        async move { create_many(&client, "/load", 400).await }
    });
    let acknowledged = tree.applied().0;
    let status = back_up(&client, &target).await;
    assert_eq!(status.host, "localhost");
    assert!(status.sequence >= acknowledged);
    writing.await.unwrap();
    let other = Cluster::format(1, 1_000_000).await;
    let restore = [("alluxio.master.journal.init.from.backup", status.uri.clone())];
    let restored = other.start_with("a", Host::real(), &restore).await.unwrap();
    assert_eq!(restored.namespace().unwrap().applied().0, status.sequence + 1);
    stop([restored]).await;

    // The primary may be told to do it, and does it when the standby cannot.
    let (directory, local) = (target.clone(), true);
    let request =
        meta_pb::BackupRequest { directory, local, bypass_delegation: true, ..Default::default() };
    assert_eq!(finished(&client, request.clone()).await.host, "127.0.0.1");
    stop([two]).await;
    eventually("the standby is forgotten", async || states().await.len() == 1).await;
    let request = meta_pb::BackupRequest { bypass_delegation: false, ..request };
    let status = finished(&client, request).await;
    assert_eq!((status.host.as_str(), status.state_hash), ("127.0.0.1", tree.state_hash()));
    stop([one]).await;
}

/// Takes a backup into a directory of this machine.
async fn back_up(primary: &Primary, directory: &str) -> meta_pb::BackupStatus {
    let (directory, local) = (directory.to_owned(), true);
    finished(primary, meta_pb::BackupRequest { directory, local, ..Default::default() }).await
}

async fn finished(primary: &Primary, request: meta_pb::BackupRequest) -> meta_pb::BackupStatus {
    let mut status = ask!(primary, MetaMasterClient, backup, request.clone()).unwrap();
    eventually("the backup ends", async || {
        let request = meta_pb::GetBackupStatusRequest { id: status.id.clone() };
        status = ask!(primary, MetaMasterClient, get_backup_status, request.clone()).unwrap();
        use meta_pb::BackupState::{Completed, Failed};
        matches!(status.state(), Completed | Failed)
    })
    .await;
    assert_eq!(status.state(), meta_pb::BackupState::Completed, "{}", status.error);
    status
}
