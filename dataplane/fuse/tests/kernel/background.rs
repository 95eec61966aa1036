//! `commit=background`: `close` does not wait for the journal.

use crate::cluster::{Cluster, Wanted, pattern, run, start, start_with};
use crate::guard::bounded;
use alluxio_client::CreateFileOptions;
use alluxio_fuse::options::Commit;
use alluxio_types::{AlluxioPath, Code, Coded};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

fn wanted() -> Wanted {
    Wanted { commit: Commit::Background, ..Wanted::default() }
}

/// Waits for other clients to read `bytes`.
fn until_others_read(cluster: &Cluster, path: &str, bytes: &[u8]) {
    let begun = Instant::now();
    while !cluster.status(path).is_some_and(|status| status.completed) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{path} is not committed");
        std::thread::yield_now();
    }
    assert!(cluster.get(path) == bytes, "{path}");
}

#[test]
fn what_is_closed_is_there_at_once_here_and_soon_for_others() {
    bounded(|| {
        let Some(cluster) = start(wanted()) else { return };
        let bytes = pattern(9_000_001, 3);
        for name in ["a", "b", "c"] {
            fs::create_dir(cluster.at(name)).unwrap();
            let file = cluster.at(name).join("f");
            fs::write(&file, &bytes).unwrap();
            assert!(fs::read(&file).unwrap() == bytes);
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
            // Renamed while it is on its way, and written again.
            let other = cluster.at(name).join("g");
            fs::rename(&file, &other).unwrap();
            OpenOptions::new().append(true).open(&other).unwrap().write_all(b"more").unwrap();
            let more = [bytes.as_slice(), b"more"].concat();
            assert!(fs::read(&other).unwrap() == more);
            assert_eq!(fs::read_dir(cluster.at(name)).unwrap().count(), 1);
            let path = format!("/{name}/g");
            let begun = Instant::now();
            while cluster.status(&path).is_none_or(|status| status.length != more.len() as u64) {
                assert!(begun.elapsed() < Duration::from_secs(60));
                std::thread::yield_now();
            }
            until_others_read(&cluster, &path, &more);
        }
    });
}

#[test]
fn fsync_waits_for_what_close_does_not() {
    bounded(|| {
        let Some(cluster) = start(wanted()) else { return };
        let mut file = File::create(cluster.at("f")).unwrap();
        for round in 0..20u8 {
            file.write_all(&[round; 10_000]).unwrap();
            file.sync_all().unwrap();
            let seen = cluster.get("/f");
            assert_eq!(
                (seen.len(), seen.last()),
                ((usize::from(round) + 1) * 10_000, Some(&round))
            );
        }
        fs::create_dir(cluster.at("d")).unwrap();
        File::open(cluster.at("d")).unwrap().sync_all().unwrap();
        assert!(cluster.status("/d").is_some());
    });
}

#[test]
fn a_name_is_taken_for_everybody_when_its_creation_returns() {
    bounded(|| {
        let Some(cluster) = start(wanted()) else { return };
        for round in 0..20 {
            let path = format!("/f{round}");
            let new = |path: &str| {
                OpenOptions::new().write(true).create_new(true).open(cluster.at(&path[1..]))
            };
            let file = new(&path).unwrap();
            let there = AlluxioPath::parse(&path).unwrap();
            let options = CreateFileOptions::default();
            let made = cluster.block_on(cluster.client.create_file(&there, &options));
            assert_eq!(made.err().unwrap().code(), Code::AlreadyExists);
            drop(file);
            let path = format!("/g{round}");
            cluster.put(&path, b"theirs");
            assert_eq!(new(&path).unwrap_err().raw_os_error(), Some(libc::EEXIST));
        }
    });
}

#[test]
fn a_commit_that_fails_is_told_by_the_next_call() {
    bounded(|| {
        let small = [
            ("alluxio.worker.ramdisk.size", "16MB"),
            ("alluxio.user.block.size.bytes.default", "4MB"),
        ];
        let Some(cluster) = start_with(wanted(), &small) else { return };
        // A worker that has no room for it.
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true);
        let mut file = options.open(cluster.at("f")).unwrap();
        file.write_all(&pattern(40_000_000, 1)).unwrap();
        let again = file.try_clone().unwrap();
        drop(file);
        assert!(again.sync_all().is_err());
        // Here the bytes are still there, and what fits is written.
        let mut piece = [0; 100];
        again.read_exact_at(&mut piece, 39_000_000).unwrap();
        again.set_len(1_000_000).unwrap();
        // The worker hears with a heartbeat that the blocks of the first try can go.
        let begun = Instant::now();
        while let Err(error) = again.sync_all() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
        }
        assert!(cluster.get("/f") == pattern(40_000_000, 1)[..1_000_000]);
    });
}

#[test]
fn what_goes_through_is_in_the_under_store_when_it_is_closed() {
    bounded(|| {
        let through = [("alluxio.user.file.writetype.default", "CACHE_THROUGH")];
        let Some(cluster) = start_with(wanted(), &through) else { return };
        let stored = cluster.running.as_ref().unwrap().root_ufs();
        for round in 0..5 {
            fs::write(cluster.at(&format!("f{round}")), "through").unwrap();
            assert_eq!(fs::read(stored.join(format!("f{round}"))).unwrap(), b"through");
        }
    });
}

#[test]
fn a_tar_is_unpacked_with_its_modes_and_times() {
    bounded(|| {
        for commit in [Commit::Close, Commit::Background] {
            let Some(cluster) = start(Wanted { commit, ..Wanted::default() }) else { return };
            let root = cluster.root();
            run(
                "mkdir ../src && cd ../src && mkdir -p d/e && for i in $(seq 200); do echo $i > d/f$i; done \
                 && chmod 640 d/f7 && chmod 444 d/f8 && touch -d @1000000000 d/f9 d/e && tar cf ../a.tar d",
                root,
            );
            run("tar xpf ../a.tar && diff -r d ../src/d", root);
            let facts = "stat -c '%n %Y %a %s' d/f7 d/f8 d/f9 d/e | sed 's/4096$/0/'";
            assert_eq!(run(facts, root), run(facts, &root.join("../src")));
            run("find d -type f | xargs -n 50 sync", root);
            let seven = cluster.status("/d/f7").unwrap();
            assert_eq!((seven.mode.0, cluster.status("/d/f8").unwrap().mode.0), (0o640, 0o444));
            assert_eq!(cluster.status("/d/f9").unwrap().modified.0, 1_000_000_000_000);
        }
    });
}
