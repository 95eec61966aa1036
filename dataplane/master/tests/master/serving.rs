//! A master on a real journal folder and a real directory as under store, asked over gRPC.

use crate::support::{PATIENCE, SUPERUSER, as_user, format_in, start, tries_of};
use alluxio_host::Host;
use alluxio_journal::{EntryBatch, FolderJournal, FolderOptions, JournalStore};
use alluxio_master::Handle;
use alluxio_namespace::Foundation;
use alluxio_proto::convert::listing::Statuses;
use alluxio_proto::v1::block as block_pb;
use alluxio_proto::v1::block::block_master_worker_client::BlockMasterWorkerClient;
use alluxio_proto::v1::common as common_pb;
use alluxio_proto::v1::fs as pb;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_rpc::{Primary, Repeat, RpcError};
use alluxio_testservers::minio::{ACCESS_KEY, SECRET_KEY};
use alluxio_testservers::{Minio, Proxy};
use alluxio_types::{
    AlluxioPath, Code, Coded, Entry, InodeId, IntendedChange, Intent, MountOptions, OperationId,
    Term,
};
use alluxio_ufs::{CreateOptions, UfsSettings, UnderFs, UnderFsRegistry};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

struct Master {
    handle: Handle,
    dir: tempfile::TempDir,
    metastore: &'static str,
}

impl Master {
    async fn start() -> Master {
        Self::start_on("HEAP").await
    }

    async fn start_on(metastore: &'static str) -> Master {
        let dir = tempfile::tempdir().unwrap();
        format_in(dir.path());
        let handle = Self::serve(dir.path(), metastore).await;
        Master { handle, dir, metastore }
    }

    async fn serve(dir: &Path, metastore: &str) -> Handle {
        let extra = [
            ("alluxio.master.metastore", metastore.to_owned()),
            ("alluxio.master.metastore.dir", dir.join("metastore").to_str().unwrap().to_owned()),
            ("alluxio.master.metastore.inode.cache.max.size", "1".to_owned()),
            ("alluxio.master.worker.timeout", "300ms".to_owned()),
            ("alluxio.master.lost.worker.detection.interval", "20ms".to_owned()),
        ];
        start(dir, &extra).await.unwrap()
    }

    async fn restart(self) -> Master {
        self.handle.stop(Duration::from_secs(5)).await;
        let handle = Self::serve(self.dir.path(), self.metastore).await;
        Master { handle, ..self }
    }

    /// Stops, leaves these intents in the journal as a crash would, and starts again.
    async fn restart_with(self, intents: Vec<Intent>) -> Master {
        self.handle.stop(Duration::from_secs(5)).await;
        let options = FolderOptions::new(self.dir.path().join("journal"));
        let journal = FolderJournal::open(options, &Host::real(), Arc::new(())).unwrap();
        let (_, recovered) =
            alluxio_master::recover::recover(&journal, &Foundation::default()).unwrap();
        let mut batch = EntryBatch::new(recovered.last.next());
        for intent in intents {
            batch.push(&Entry::Intent(Box::new(intent)));
        }
        let last = batch.last();
        let term = Term(recovered.term.0 + 1);
        journal.fence(term).unwrap();
        journal.append(term, batch).await.unwrap();
        journal.commits().wait_for(last).await.unwrap();
        journal.close().unwrap();
        drop(journal);
        let handle = Self::serve(self.dir.path(), self.metastore).await;
        Master { handle, ..self }
    }

    fn ufs(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("ufs").join(name)
    }

    fn as_user(&self, user: &str) -> Primary {
        as_user(&self.handle, user)
    }
}

fn create(path: &str, write_type: common_pb::WriteType) -> pb::CreateFileRequest {
    pb::CreateFileRequest {
        path: path.into(),
        recursive: true,
        block_size_bytes: 64 << 20,
        write_type: write_type as i32,
        ..Default::default()
    }
}

fn fresh(interval_ms: i64) -> Option<pb::SyncOptions> {
    Some(pb::SyncOptions { sync_interval_ms: Some(interval_ms), load_type: 0 })
}

async fn status(
    primary: &Primary,
    path: &str,
    interval_ms: i64,
) -> Result<common_pb::FileStatus, RpcError> {
    let request =
        pb::GetStatusRequest { path: path.into(), sync: fresh(interval_ms), ..Default::default() };
    ask!(primary, get_status, request.clone()).map(|response| response.status.unwrap())
}

async fn names(primary: &Primary, path: &str, interval_ms: i64) -> Vec<String> {
    let request =
        pb::ListStatusRequest { path: path.into(), sync: fresh(interval_ms), ..Default::default() };
    let mut stream = ask!(primary, list_status, request.clone()).unwrap();
    let mut names = Vec::new();
    while let Some(page) = stream.message().await.unwrap() {
        names.extend(Statuses::of(page).map(|status| status.unwrap().name));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_are_there_after_a_restart() {
    survive_restarts(Master::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_in_a_file_serves_as_one_in_memory_does() {
    survive_restarts(Master::start_on("ROCKS").await).await;
}

async fn survive_restarts(master: Master) {
    let primary = master.as_user(SUPERUSER);
    let created = ask!(primary, create_file, create("/a/b/f", common_pb::WriteType::MustCache));
    let id = created.unwrap().status.unwrap().id;
    let complete = pb::CompleteFileRequest { id, length: 100, ..Default::default() };
    ask!(primary, complete_file, complete.clone()).unwrap();
    let rename = pb::RenameRequest {
        source: "/a/b/f".into(),
        destination: "/a/g".into(),
        replace: false,
        exchange: false,
    };
    ask!(primary, rename, rename.clone()).unwrap();

    let master = master.restart().await;
    let primary = master.as_user(SUPERUSER);
    let found = status(&primary, "/a/g", -1).await.unwrap();
    assert_eq!((found.id, found.length, found.completed), (id, 100, true));
    assert_eq!(status(&primary, "/a/b/f", -1).await.unwrap_err().code(), Code::NotFound);

    let at = master.handle.checkpoint().await.unwrap();
    assert!(at.0 > 0);
    let delete = pb::DeleteRequest { path: "/a/b".into(), recursive: true, ..Default::default() };
    ask!(primary, delete, delete.clone()).unwrap();
    let master = master.restart().await;
    let primary = master.as_user(SUPERUSER);
    assert_eq!(names(&primary, "/a", -1).await, ["g"]);
    master.handle.namespace().unwrap().check_invariants().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_onto_itself_changes_nothing_here_and_in_the_under_store() {
    let master = Master::start().await;
    let primary = master.as_user(SUPERUSER);
    std::fs::create_dir(master.ufs("directory")).unwrap();
    std::fs::write(master.ufs("directory/file"), "bytes").unwrap();
    for path in ["/directory/file", "/directory"] {
        let rename = pb::RenameRequest {
            source: path.into(),
            destination: path.into(),
            replace: false,
            exchange: false,
        };
        ask!(primary, rename, rename.clone()).unwrap();
        assert!(status(&primary, path, -1).await.is_ok());
    }
    assert_eq!(std::fs::read_to_string(master.ufs("directory/file")).unwrap(), "bytes");
    let rename = pb::RenameRequest {
        source: "/none".into(),
        destination: "/none".into(),
        replace: false,
        exchange: false,
    };
    assert_eq!(ask!(primary, rename, rename.clone()).unwrap_err().code(), Code::NotFound);
}

/// What a master finds that was killed between the under store and its journal.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_the_under_store_that_a_crash_cut_off_are_completed_or_given_up() {
    let master = Master::start().await;
    let primary = master.as_user(SUPERUSER);
    for name in ["moved", "waiting", "half/one", "half/two"] {
        std::fs::create_dir_all(master.ufs("half")).unwrap();
        std::fs::write(master.ufs(name), name).unwrap();
    }
    let mut intents = Vec::new();
    let path = |text: &str| AlluxioPath::parse(text).unwrap();
    let rename = |to: &str| IntendedChange::Rename { target: path(to) };
    let delete = IntendedChange::Delete { recursive: true, delete_mount_points: false };
    let changes =
        [("/moved", rename("/there")), ("/waiting", rename("/nowhere")), ("/half", delete)];
    for (number, (name, change)) in (1..).zip(changes) {
        let inode = InodeId(status(&primary, name, -1).await.unwrap().id);
        let operation = Some(OperationId(u128::from(number)));
        intents.push(Intent { id: number, operation, inode, path: path(name), change });
    }
    assert_eq!(names(&primary, "/half", -1).await, ["one", "two"]);
    // The first rename got to the store, the second did not, the delete was half done.
    std::fs::rename(master.ufs("moved"), master.ufs("there")).unwrap();
    std::fs::remove_file(master.ufs("half/one")).unwrap();

    let moved = intents[0].inode.0;
    let master = master.restart_with(intents).await;
    let primary = master.as_user(SUPERUSER);
    let there = status(&primary, "/there", -1).await.unwrap();
    assert_eq!((there.id, there.length), (moved, 5));
    assert_eq!(status(&primary, "/moved", -1).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(status(&primary, "/waiting", -1).await.unwrap().length, 7);
    assert_eq!(status(&primary, "/nowhere", -1).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(status(&primary, "/half", -1).await.unwrap_err().code(), Code::NotFound);
    assert!(!master.ufs("half").exists());
    let namespace = master.handle.namespace().unwrap();
    assert_eq!(namespace.intents(), []);
    // Who asks again is told what came of it.
    let answered = [1, 2, 3].map(|id| namespace.answered(OperationId(id)).is_some());
    assert_eq!(answered, [true, false, true]);
    namespace.check_invariants().unwrap();
    // With its fingerprint: a look at the store finds nothing new.
    assert_eq!(status(&primary, "/there", 0).await.unwrap().id, moved);
}

/// An S3 server that can stop to answer, and what mounts it.
struct Bucket {
    minio: Minio,
    proxy: Proxy,
}

impl Bucket {
    fn start() -> Bucket {
        let minio = Minio::start();
        let proxy = Proxy::to(minio.endpoint().trim_start_matches("http://"));
        Bucket { minio, proxy }
    }

    fn uri(name: &str) -> String {
        format!("s3://{}/{name}", Minio::BUCKET)
    }

    fn options(endpoint: String) -> MountOptions {
        MountOptions(BTreeMap::from([
            ("alluxio.underfs.s3.endpoint".into(), endpoint),
            ("s3a.accessKeyId".into(), ACCESS_KEY.into()),
            ("s3a.secretKey".into(), SECRET_KEY.into()),
        ]))
    }

    async fn mount(&self, primary: &Primary, path: &str) {
        let request = pb::MountRequest {
            path: path.into(),
            ufs_uri: Self::uri(""),
            options: Self::options(format!("http://{}", self.proxy.address()))
                .0
                .into_iter()
                .collect(),
            ..Default::default()
        };
        ask!(primary, mount, request.clone()).unwrap();
    }

    /// As others see it, around the proxy.
    fn ufs(&self) -> Arc<dyn UnderFs> {
        let registry = UnderFsRegistry::new(UfsSettings::default());
        registry.open(&Self::uri(""), &Self::options(self.minio.endpoint())).unwrap()
    }
}

/// The store does not answer when a new primary begins: everybody is served but those who ask for what
/// it was asked last, and they are told the truth when it answers again.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_store_holds_up_only_those_who_ask_for_what_was_cut_off() {
    let bucket = Bucket::start();
    let (ufs, path) = (bucket.ufs(), |text: &str| AlluxioPath::parse(text).unwrap());
    let (old, new) = (Bucket::uri("old"), Bucket::uri("new"));
    let mut file = ufs.create(&old, CreateOptions::default()).await.unwrap();
    file.write("bytes".into()).await.unwrap();
    file.finish().await.unwrap();
    let master = Master::start().await;
    let primary = master.as_user(SUPERUSER);
    bucket.mount(&primary, "/s3").await;
    let moved = status(&primary, "/s3/old", -1).await.unwrap().id;
    // Made in the store, and not yet here.
    ufs.rename_file(&old, &new).await.unwrap();
    bucket.proxy.partition();
    let change = IntendedChange::Rename { target: path("/s3/new") };
    let operation = Some(OperationId(77));
    let intent = Intent { id: 1, operation, inode: InodeId(moved), path: path("/s3/old"), change };
    let master = master.restart_with(vec![intent]).await;
    let primary = master.as_user(SUPERUSER);
    let file = create("/elsewhere", common_pb::WriteType::MustCache);
    ask!(primary, create_file, file.clone()).unwrap();
    let namespace = master.handle.namespace().unwrap();
    assert_eq!(namespace.intents().len(), 1);

    let mut again = tries_of(&master.handle, 77);
    let (source, destination) = ("/s3/old".to_owned(), "/s3/new".to_owned());
    let rename = pb::RenameRequest { source, destination, replace: false, exchange: false };
    let mut again = tokio::spawn(async move { again.rename(rename).await });
    // Long enough for a wrong answer.
    let early = tokio::time::timeout(Duration::from_millis(300), &mut again).await;
    assert!(early.is_err(), "answered without the store: {early:?}");
    bucket.proxy.heal();
    tokio::time::timeout(PATIENCE, again).await.unwrap().unwrap().unwrap();
    assert_eq!(namespace.intents(), []);
    assert_eq!(status(&primary, "/s3/new", -1).await.unwrap().id, moved);
    assert_eq!(status(&primary, "/s3/old", -1).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_the_under_store_appear_on_demand_and_vanish_after_the_interval() {
    let master = Master::start().await;
    let primary = master.as_user(SUPERUSER);
    std::fs::create_dir_all(master.ufs("x/y")).unwrap();
    std::fs::write(master.ufs("x/y/one"), "1").unwrap();
    std::fs::write(master.ufs("x/two"), "22").unwrap();

    let one = status(&primary, "/x/y/one", -1).await.unwrap();
    assert_eq!(one.length, 1);
    assert_eq!(one.persistence, common_pb::PersistenceState::Persisted as i32);
    assert_eq!(names(&primary, "/x", -1).await, ["two", "y"]);

    // Behind our back: a new version, a new name, a name that goes away.
    std::fs::write(master.ufs("x/y/one"), "111").unwrap();
    std::fs::write(master.ufs("x/three"), "333").unwrap();
    std::fs::remove_file(master.ufs("x/two")).unwrap();
    assert_eq!(status(&primary, "/x/y/one", -1).await.unwrap().length, 1);
    assert_eq!(names(&primary, "/x", -1).await, ["two", "y"]);
    let replaced = status(&primary, "/x/y/one", 0).await.unwrap();
    assert_eq!(replaced.length, 3);
    assert_ne!(replaced.id, one.id, "another version is another inode");
    assert_eq!(names(&primary, "/x", 0).await, ["three", "y"]);
    assert_eq!(status(&primary, "/x/two", -1).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_reach_the_under_store() {
    let master = Master::start().await;
    let primary = master.as_user(SUPERUSER);
    let mkdir = pb::CreateDirectoryRequest {
        path: "/d/e".into(),
        recursive: true,
        write_type: common_pb::WriteType::Through as i32,
        ..Default::default()
    };
    ask!(primary, create_directory, mkdir.clone()).unwrap();
    assert!(master.ufs("d/e").is_dir());
    std::fs::write(master.ufs("d/e/f"), "data").unwrap();
    assert_eq!(status(&primary, "/d/e/f", 0).await.unwrap().length, 4);

    let rename = pb::RenameRequest {
        source: "/d/e/f".into(),
        destination: "/d/g".into(),
        replace: false,
        exchange: false,
    };
    ask!(primary, rename, rename.clone()).unwrap();
    assert_eq!(std::fs::read(master.ufs("d/g")).unwrap(), b"data");
    assert!(!master.ufs("d/e/f").exists());
    // The renamed file is the same version to the next look.
    let before = status(&primary, "/d/g", -1).await.unwrap().id;
    assert_eq!(status(&primary, "/d/g", 0).await.unwrap().id, before);

    let delete = pb::DeleteRequest { path: "/d".into(), ..Default::default() };
    assert_eq!(ask!(primary, delete, delete.clone()).unwrap_err().code(), Code::NotEmpty);
    assert!(master.ufs("d/g").exists(), "a refused delete deletes nothing");
    let delete = pb::DeleteRequest { path: "/d".into(), recursive: true, ..Default::default() };
    ask!(primary, delete, delete.clone()).unwrap();
    assert!(!master.ufs("d").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn others_may_not_change_what_they_do_not_own() {
    let master = Master::start().await;
    let root = master.as_user(SUPERUSER);
    let eve = master.as_user("eve-of-nowhere");
    let mkdir = pb::CreateDirectoryRequest {
        path: "/private".into(),
        mode: Some(0o700),
        write_type: common_pb::WriteType::MustCache as i32,
        ..Default::default()
    };
    ask!(root, create_directory, mkdir.clone()).unwrap();
    let file = create("/private/f", common_pb::WriteType::MustCache);
    let refused = ask!(eve, create_file, file.clone()).unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let delete =
        pb::DeleteRequest { path: "/private".into(), recursive: true, ..Default::default() };
    assert_eq!(ask!(eve, delete, delete.clone()).unwrap_err().code(), Code::PermissionDenied);
    let checkpointed = status(&eve, "/private/f", -1).await.unwrap_err();
    assert_eq!(checkpointed.code(), Code::PermissionDenied);
    let asynchronous = create("/g", common_pb::WriteType::AsyncThrough);
    let refused = ask!(root, create_file, asynchronous.clone()).unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

/// Asks until the state of a file is `wanted`; what changes it is the master's own clock.
async fn becomes(primary: &Primary, path: &str, wanted: common_pb::PersistenceState) {
    let seen = async {
        while status(primary, path, -1).await.unwrap().persistence != wanted as i32 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the state is reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_its_worker_is_lost_until_the_worker_is_back() {
    let master = Master::start().await;
    let primary = master.as_user(SUPERUSER);
    let created = ask!(primary, create_file, create("/f", common_pb::WriteType::MustCache));
    let id = created.unwrap().status.unwrap().id;
    let complete = pb::CompleteFileRequest { id, length: 10, ..Default::default() };
    ask!(primary, complete_file, complete.clone()).unwrap();
    let register = || {
        let hello = block_pb::RegisterWorkerHello {
            worker_id: 7,
            address: Some(common_pb::WorkerAddress { host: "w".into(), ..Default::default() }),
            ..Default::default()
        };
        let blocks = vec![block_pb::BlockFact { id: InodeId(id).block(0).0, tier: 0 }];
        let messages = vec![block_pb::RegisterWorkerRequest { hello: Some(hello), blocks }];
        primary.call(Repeat::Harmless, move |channel| {
            let messages = tokio_stream::iter(messages.clone());
            async move { BlockMasterWorkerClient::new(channel).register_worker(messages).await }
        })
    };
    register().await.unwrap();
    becomes(&primary, "/f", common_pb::PersistenceState::Lost).await;
    register().await.unwrap();
    becomes(&primary, "/f", common_pb::PersistenceState::NotPersisted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_hears_which_blocks_can_go() {
    let master = Master::start().await;
    let primary = master.as_user(SUPERUSER);
    let created = ask!(primary, create_file, create("/f", common_pb::WriteType::MustCache));
    let id = created.unwrap().status.unwrap().id;
    let block = InodeId(id).block(0);

    let hello = block_pb::RegisterWorkerHello {
        worker_id: 7,
        address: Some(common_pb::WorkerAddress { host: "w".into(), ..Default::default() }),
        ..Default::default()
    };
    let register = |cluster_id: &str| {
        let hello =
            block_pb::RegisterWorkerHello { cluster_id: cluster_id.into(), ..hello.clone() };
        let facts = vec![
            block_pb::BlockFact { id: block.0, tier: 0 },
            block_pb::BlockFact { id: InodeId::from_container(999).block(0).0, tier: 0 },
        ];
        let messages = vec![
            block_pb::RegisterWorkerRequest { hello: Some(hello), blocks: vec![] },
            block_pb::RegisterWorkerRequest { hello: None, blocks: facts },
        ];
        primary.call(Repeat::Harmless, move |channel| {
            let messages = messages.clone();
            async move {
                BlockMasterWorkerClient::new(channel)
                    .register_worker(tokio_stream::iter(messages))
                    .await
            }
        })
    };
    let foreign = register("another-cluster").await.unwrap_err();
    assert_eq!(foreign.code(), Code::FailedPrecondition);
    assert!(foreign.to_string().contains("formatWorker"), "{foreign}");
    let registered = register("").await.unwrap();
    assert_eq!(registered.cluster_id, "cluster-1");
    assert_eq!(registered.free_blocks, [InodeId::from_container(999).block(0).0]);

    let complete = pb::CompleteFileRequest { id, length: 10, ..Default::default() };
    let completed = ask!(primary, complete_file, complete.clone()).unwrap().status.unwrap();
    assert_eq!(completed.in_alluxio_percent, 100);
    let delete = pb::DeleteRequest { path: "/f".into(), ..Default::default() };
    ask!(primary, delete, delete.clone()).unwrap();
    let beat = block_pb::HeartbeatRequest {
        worker_id: 7,
        session: registered.session,
        ..Default::default()
    };
    let reply = primary
        .call(Repeat::Harmless, |channel| {
            let beat = beat.clone();
            async move { BlockMasterWorkerClient::new(channel).heartbeat(beat).await }
        })
        .await
        .unwrap();
    assert!(reply.free_blocks.contains(&block.0));
    assert!(!reply.register_again);
}

/// Creates, renames and deletes a file and a directory, each under one operation id, and returns all
/// answers.
async fn life_of_a_file(master: &Master) -> Vec<String> {
    let file = create("/d/f", common_pb::WriteType::MustCache);
    let made =
        tries_of(&master.handle, 1).create_file(file).await.unwrap().into_inner().status.unwrap();
    let complete = pb::CompleteFileRequest { id: made.id, length: 0, ..Default::default() };
    let completed = tries_of(&master.handle, 2).complete_file(complete).await.unwrap().into_inner();
    let (source, destination) = ("/d/f".to_owned(), "/d/g".to_owned());
    let rename = pb::RenameRequest { source, destination, replace: false, exchange: false };
    let renamed = tries_of(&master.handle, 3).rename(rename).await.unwrap().into_inner();
    let delete = pb::DeleteRequest { path: "/d".into(), recursive: true, ..Default::default() };
    let deleted = tries_of(&master.handle, 4).delete(delete).await.unwrap().into_inner();
    let completed = completed.status.unwrap();
    vec![
        format!("{} {} {}", made.id, made.path, made.name),
        format!("{} {}", completed.id, completed.completed),
        format!("{renamed:?}"),
        format!("{deleted:?}"),
    ]
}

#[tokio::test]
async fn a_repeated_change_is_answered_as_the_first_was_also_after_a_restart() {
    let mut master = Master::start().await;
    let first = life_of_a_file(&master).await;
    for _ in 0..2 {
        assert_eq!(life_of_a_file(&master).await, first);
        let missing = status(&master.as_user(SUPERUSER), "/d", -1).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound, "nothing was made a second time");
        master = master.restart().await;
    }
    // Another change is another change.
    let file = create("/d/f", common_pb::WriteType::MustCache);
    tries_of(&master.handle, 9).create_file(file.clone()).await.unwrap();
    let refused = tries_of(&master.handle, 10).create_file(file).await.unwrap_err();
    assert_eq!(alluxio_proto::status::code_of(&refused), Code::AlreadyExists);
    // A client that uses one id for two changes hears of it.
    let delete = pb::DeleteRequest { path: "/d/f".into(), ..Default::default() };
    tries_of(&master.handle, 9).delete(delete).await.unwrap_err();
}

#[tokio::test]
async fn tries_that_meet_make_one_change() {
    let master = Master::start().await;
    let file = create("/f", common_pb::WriteType::MustCache);
    let tries = (0..16).map(|_| {
        let mut client = tries_of(&master.handle, 5);
        let file = file.clone();
        async move { client.create_file(file).await.unwrap().into_inner().status.unwrap().id }
    });
    let ids = futures::future::join_all(tries).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
