//! Backups of a master that serves, journals filled from them, and checkpoints of a secondary master.

use crate::support::{SUPERUSER, as_user, eventually, file, format_in, populate, start};
use alluxio_host::Host;
use alluxio_journal::backup::{BackupError, BackupHeader, BackupTrailer, read_backup};
use alluxio_journal::folder::FolderReader;
use alluxio_journal::{
    EntryBatch, FolderJournal, FolderOptions, JournalError, JournalStore, Replay, StateDigest,
};
use alluxio_master::recover::{copy_records, recover};
use alluxio_master::secondary::Secondary;
use alluxio_namespace::{Foundation, Namespace, StateHash};
use alluxio_proto::v1::fs as pb;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_proto::v1::meta as meta_pb;
use alluxio_proto::v1::meta::meta_master_client::MetaMasterClient;
use alluxio_rpc::{Primary, RpcError};
use alluxio_types::{CheckpointRecord, Code, Coded, Entry, JournalSeq, Term};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn restore_from(backup: &str) -> [(&'static str, String); 1] {
    [("alluxio.master.journal.init.from.backup", backup.to_owned())]
}

async fn create(primary: &Primary, path: String) -> Result<(), RpcError> {
    ask!(primary, create_file, file(&path)).map(drop)
}

/// Creates, renames and deletes below `/w<number>` until it is told to stop.
async fn work(primary: Primary, number: usize, stop: Arc<AtomicBool>) {
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        create(&primary, format!("/w{number}/f{round}")).await.unwrap();
        if round % 3 == 1 {
            let rename = pb::RenameRequest {
                source: format!("/w{number}/f{round}"),
                destination: format!("/w{number}/r{round}"),
                replace: false,
                exchange: false,
            };
            ask!(primary, FileSystemMasterClient, rename, rename.clone()).unwrap();
        }
        if round % 5 == 4 {
            let delete = pb::DeleteRequest {
                path: format!("/w{number}/f{}", round - 1),
                alluxio_only: true,
                ..Default::default()
            };
            // Renamed away, perhaps.
            let _ = ask!(primary, FileSystemMasterClient, delete, delete.clone());
        }
    }
}

async fn backup(primary: &Primary, directory: &str) -> meta_pb::BackupStatus {
    let request = meta_pb::BackupRequest {
        directory: directory.to_owned(),
        local: true,
        ..Default::default()
    };
    let mut status = ask!(primary, MetaMasterClient, backup, request.clone()).unwrap();
    loop {
        match status.state() {
            meta_pb::BackupState::Completed | meta_pb::BackupState::Failed => return status,
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let request = meta_pb::GetBackupStatusRequest { id: status.id.clone() };
        status = ask!(primary, MetaMasterClient, get_backup_status, request.clone()).unwrap();
    }
}

fn read(file: &Path) -> (BackupHeader, BackupTrailer, Vec<CheckpointRecord>) {
    let mut records = Vec::new();
    let input = fs::File::open(file).unwrap();
    let read = read_backup::<BackupError>("backup", input, &mut |_, record| {
        records.push(record);
        Ok(())
    });
    let (header, trailer) = read.unwrap();
    (header, trailer, records)
}

/// The tree after the first `last` entries of a journal that has no checkpoint.
struct Prefix {
    tree: Namespace,
    last: JournalSeq,
}

impl Replay for Prefix {
    fn restart(&mut self) {
        self.tree = Namespace::new();
    }

    fn checkpoint(&mut self, record: &CheckpointRecord) {
        panic!("the journal has a checkpoint: {record:?}");
    }

    fn entry(&mut self, seq: JournalSeq, entry: Entry) {
        if seq <= self.last {
            self.tree.apply(seq, &entry);
        }
    }
}

fn replayed(dir: &Path, last: JournalSeq) -> Namespace {
    let options = FolderOptions::new(dir.join("journal"));
    let journal = FolderJournal::open(options, &Host::real(), Arc::new(())).unwrap();
    let mut prefix = Prefix { tree: Namespace::new(), last };
    journal.load(&mut prefix).unwrap();
    prefix.tree
}

/// A master with so many files and some hundred more, under load; its backup; and all of it stopped.
async fn backed_up(dir: &Path, files: u64) -> (PathBuf, meta_pb::BackupStatus) {
    format_in(dir);
    populate(dir, files).await;
    let master = start(dir, &[]).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    for number in 0..300 {
        create(&as_user(&master, SUPERUSER), format!("/before/d{}/f{number}", number % 7))
            .await
            .unwrap();
    }
    let workers: Vec<_> =
        (0..4).map(|n| tokio::spawn(work(as_user(&master, SUPERUSER), n, stop.clone()))).collect();
    let target = dir.join("backups");
    let status = backup(&as_user(&master, SUPERUSER), target.to_str().unwrap()).await;
    // The load goes on behind the backup.
    for number in 0..50 {
        create(&as_user(&master, SUPERUSER), format!("/after/f{number}")).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    master.stop(Duration::from_secs(5)).await;
    assert_eq!(status.state(), meta_pb::BackupState::Completed, "{}", status.error);
    (PathBuf::from(&status.uri), status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_the_state_at_one_position_and_is_restored_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let files = std::env::var("ALLUXIO_TEST_BACKUP_FILES").map_or(50_000, |n| n.parse().unwrap());
    let (file, status) = backed_up(dir.path(), files).await;
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(alluxio_journal::backup::begun_at(name).is_some(), "{name}");
    let (header, trailer, records) = read(&file);
    assert_eq!((header.sequence.0, trailer.state_hash), (status.sequence, status.state_hash));
    assert_eq!((trailer.items, trailer.items), (status.entries, records.len() as u64));

    // The journal, replayed up to the backup's position, is the same tree.
    let tree = replayed(dir.path(), header.sequence);
    assert_eq!(tree.state_hash(), trailer.state_hash);

    // Elsewhere, the tree is the same but for the ids that are skipped.
    let other = tempfile::tempdir().unwrap();
    format_in(other.path());
    let uri = file.to_str().unwrap();
    let master = start(other.path(), &restore_from(uri)).await.unwrap();
    let next = records.iter().find_map(|record| match record {
        CheckpointRecord::NextContainer(next) => Some(*next),
        _ => None,
    });
    let skip = Entry::ReserveContainers { next: next.unwrap() + (1 << 34) };
    tree.apply(header.sequence.next(), &skip);
    assert_eq!(master.namespace().unwrap().applied(), tree.applied());
    assert_eq!(master.namespace().unwrap().state_hash(), tree.state_hash());
    // It serves, and survives a restart without the backup.
    create(&as_user(&master, SUPERUSER), "/restored/f".into()).await.unwrap();
    let hash = master.namespace().unwrap().state_hash();
    master.stop(Duration::from_secs(5)).await;
    fs::remove_file(&file).unwrap();
    let master = start(other.path(), &[]).await.unwrap();
    assert_eq!(master.namespace().unwrap().state_hash(), hash);
    master.stop(Duration::from_secs(5)).await;

    // With entries in the journal, nothing is restored over them.
    let error = start(other.path(), &restore_from(uri)).await.err().unwrap().to_string();
    assert!(error.contains("formatMaster") && error.contains("an empty one only"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_a_cut_and_a_foreign_backup_leave_the_journal_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = backed_up(dir.path(), 0).await;
    let good = fs::read(&file).unwrap();
    let mut damaged = good.clone();
    let middle = good.len() / 2;
    damaged[middle] ^= 0x40;
    let other = tempfile::tempdir().unwrap();
    format_in(other.path());
    let bad = other.path().join("bad.gz");
    let uri = bad.to_str().unwrap();
    for (bytes, want) in [
        (damaged, "is damaged at byte "),
        (good[..good.len() - 7].to_vec(), "is damaged at byte "),
        (good[..good.len() / 3].to_vec(), "is damaged at byte "),
        (b"not a backup at all".to_vec(), "is no backup of this program"),
    ] {
        fs::write(&bad, bytes).unwrap();
        let error = start(other.path(), &restore_from(uri)).await.err().unwrap().to_string();
        assert!(error.contains(want) && error.contains(uri), "{error}");
    }
    let error = start(other.path(), &restore_from("/no/such/file.gz")).await.err().unwrap();
    assert!(error.to_string().contains("/no/such/file.gz"), "{error}");
    // The older name is as good as ours.
    let renamed = other.path().join("alluxio-backup-2026-01-02-1767312000000.gz");
    fs::write(&renamed, good).unwrap();
    let uri = format!("file://{}", renamed.display());
    let master = start(other.path(), &restore_from(&uri)).await.unwrap();
    assert!(master.namespace().unwrap().stats().inodes > 300);
    master.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_go_into_the_root_under_store_and_only_for_the_superuser() {
    let dir = tempfile::tempdir().unwrap();
    format_in(dir.path());
    let master = start(dir.path(), &[]).await.unwrap();
    create(&as_user(&master, SUPERUSER), "/a/b".into()).await.unwrap();
    let request = meta_pb::BackupRequest::default();
    let error = ask!(as_user(&master, "eve"), MetaMasterClient, backup, request.clone());
    assert_eq!(error.unwrap_err().code(), Code::PermissionDenied);
    let root = as_user(&master, SUPERUSER);
    let mut status = ask!(root, MetaMasterClient, backup, request.clone()).unwrap();
    while status.state() != meta_pb::BackupState::Completed {
        assert_ne!(status.state(), meta_pb::BackupState::Failed, "{}", status.error);
        tokio::time::sleep(Duration::from_millis(5)).await;
        let newest = meta_pb::GetBackupStatusRequest::default();
        status = ask!(root, MetaMasterClient, get_backup_status, newest.clone()).unwrap();
    }
    let folder = dir.path().join("ufs/alluxio_backups");
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|item| item.unwrap()).collect();
    assert_eq!(names.len(), 1);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(names[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let (_, trailer, records) = read(&names[0].path());
    let mut hash = StateHash::new();
    records.iter().for_each(|record| hash.add(record));
    assert_eq!(hash.finish(), trailer.state_hash);
    // Relative places are refused at once.
    let request = meta_pb::BackupRequest { directory: "here".into(), ..Default::default() };
    let error = ask!(root, MetaMasterClient, backup, request.clone()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    master.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_master_writes_the_checkpoints_and_the_primary_drops_what_they_cover() {
    let dir = tempfile::tempdir().unwrap();
    format_in(dir.path());
    let journal = dir.path().join("journal");
    let period = [
        ("alluxio.master.journal.checkpoint.period.entries", "200".to_owned()),
        ("alluxio.master.journal.log.size.bytes.max", "64KB".to_owned()),
    ];
    let host = Host::real();
    let mut secondary = Secondary::open(&host, &journal, 200).unwrap();
    let master = start(dir.path(), &period).await.unwrap();
    let primary = as_user(&master, SUPERUSER);
    let mut written = Vec::new();
    for number in 0..1200 {
        create(&primary, format!("/d{}/f{number}", number % 9)).await.unwrap();
        if number % 20 == 19 {
            let stepped = secondary.step().unwrap();
            written.extend(stepped.written);
        }
    }
    assert!(written.len() >= 3, "{written:?}");
    let newest = written.last().unwrap();
    assert!(newest.at > JournalSeq(600));
    // The primary notices, takes none of its own, and drops what is covered.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let known = || async {
        let request = meta_pb::GetMasterInfoRequest {};
        ask!(primary, MetaMasterClient, get_master_info, request).unwrap().checkpoint_seq
    };
    while known().await < newest.at.0 {
        assert!(tokio::time::Instant::now() < deadline, "the primary never noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let names: Vec<_> = fs::read_dir(&journal)
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("checkpoint-"))
        .collect();
    assert!(names.len() <= 2 && names.contains(&format!("checkpoint-{:020}", newest.at.0)));
    let hash = master.namespace().unwrap().state_hash();
    master.stop(Duration::from_secs(5)).await;
    drop(secondary);
    let master = start(dir.path(), &period).await.unwrap();
    assert_eq!(master.namespace().unwrap().state_hash(), hash);
    master.stop(Duration::from_secs(5)).await;
}

fn open(dir: &Path) -> FolderJournal {
    let options = FolderOptions { segment_bytes: 4096, ..FolderOptions::new(dir.join("journal")) };
    FolderJournal::open(options, &Host::real(), Arc::new(())).unwrap()
}

/// Appends an entry and writes a checkpoint whose hash is not that of its state.
async fn write_wrong_checkpoint(dir: &Path) {
    let journal = open(dir);
    let (tree, recovered) = recover(&journal, &Foundation::default()).unwrap();
    let (term, seq) = (Term(recovered.term.0 + 1), recovered.last.next());
    journal.fence(term).unwrap();
    let mut batch = EntryBatch::new(seq);
    let entry = Entry::ReserveContainers { next: 1 << 20 };
    batch.push(&entry);
    tree.apply(seq, &entry);
    journal.append(term, batch).await.unwrap();
    journal.commits().wait_for(seq).await.unwrap();
    let checkpoint = tree.begin_checkpoint().unwrap();
    let mut sink = journal.begin_checkpoint(seq).unwrap();
    let copied: Result<_, JournalError> = copy_records(checkpoint, |record| sink.put(record));
    let StateDigest { kind, hash } = copied.unwrap();
    assert_eq!((kind, hash), (StateHash::KIND, tree.state_hash()));
    sink.finish(StateDigest { kind, hash: hash ^ 1 }).unwrap();
    journal.truncate().unwrap();
    journal.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_checkpoint_has_the_hash_of_its_state_and_one_of_another_state_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    format_in(dir.path());
    let master = start(dir.path(), &[]).await.unwrap();
    let mut hashes = Vec::new();
    for round in 0..2 {
        for number in 0..60 {
            create(&as_user(&master, SUPERUSER), format!("/r{round}/f{number}")).await.unwrap();
        }
        master.checkpoint().await.unwrap();
        let hash = master.namespace().unwrap().state_hash();
        hashes.push(StateDigest { kind: StateHash::KIND, hash });
    }
    master.stop(Duration::from_secs(5)).await;
    let reader = FolderReader::open(&Host::real(), &dir.path().join("journal")).unwrap();
    let stored = reader.checkpoints().unwrap();
    let stored: Vec<_> = stored.into_iter().map(|(_, info)| info.unwrap().state_hash).collect();
    assert_eq!(stored, hashes);

    // The newest gives another state than it says: the one before it and the entries since are used.
    write_wrong_checkpoint(dir.path()).await;
    let (tree, recovered) = recover(&open(dir.path()), &Foundation::default()).unwrap();
    assert_eq!((recovered.damaged_checkpoints, recovered.entries), (1, 1));
    // Then the older one is gone too: a refusal that says which file it is, and what does not fit.
    write_wrong_checkpoint(dir.path()).await;
    let used = recovered.checkpoint.unwrap().at;
    fs::remove_file(dir.path().join(format!("journal/checkpoint-{:020}", used.0))).unwrap();
    let at = recovered.last.next();
    let refused = start(dir.path(), &[]).await.err().unwrap().to_string();
    let file = format!("journal/checkpoint-{:020} is damaged at byte ", at.0);
    // The entry that was added changes nothing the second time.
    let (found, expected) = (tree.state_hash(), tree.state_hash() ^ 1);
    let hashes = format!("(hash {found:016x}, not {expected:016x})");
    assert!(refused.contains(&file) && refused.contains(&hashes), "{refused}");
}

/// Set in a process that is there to be killed: the directory of its master.
const TO_BE_KILLED: &str = "ALLUXIO_TEST_TO_BE_KILLED";

/// Not a test of its own: what the process does that the next test kills.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_takes_backups_until_it_is_killed() {
    let Some(dir) = std::env::var_os(TO_BE_KILLED) else { return };
    let dir = PathBuf::from(dir);
    let master = start(&dir, &[]).await.unwrap();
    loop {
        backup(&as_user(&master, SUPERUSER), dir.join("backups").to_str().unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_killed_in_the_middle_of_a_backup_leaves_nothing_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    format_in(dir.path());
    populate(dir.path(), 60_000).await;
    let backups = dir.path().join("backups");
    let names = || -> Vec<String> {
        let Ok(found) = fs::read_dir(&backups) else { return Vec::new() };
        found.map(|item| item.unwrap().file_name().into_string().unwrap()).collect()
    };
    let is_whole = |name: &String| alluxio_journal::backup::begun_at(name).is_some();
    for round in 0..3 {
        let before: Vec<_> = names().into_iter().filter(is_whole).collect();
        let mut process = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "backup::a_process_that_takes_backups_until_it_is_killed"])
            .env(TO_BE_KILLED, dir.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Once a backup has begun, or, in later rounds, some are whole and another has begun.
        eventually("a backup is being written", async || {
            assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
            let (whole, begun): (Vec<_>, Vec<_>) = names().into_iter().partition(&is_whole);
            whole.len() >= before.len() + round && !begun.is_empty()
        })
        .await;
        process.kill().unwrap();
        process.wait().unwrap();
        for name in names().iter().filter(|name| is_whole(name)) {
            let (_, trailer, records) = read(&backups.join(name));
            assert_eq!(trailer.items, records.len() as u64, "{name} is whole");
        }
    }
    let master = start(dir.path(), &[]).await.unwrap();
    let status = backup(&as_user(&master, SUPERUSER), backups.to_str().unwrap()).await;
    assert_eq!(status.state(), meta_pb::BackupState::Completed, "{}", status.error);
    assert!(read(Path::new(&status.uri)).2.len() > 60_000);
    master.stop(Duration::from_secs(5)).await;
}
