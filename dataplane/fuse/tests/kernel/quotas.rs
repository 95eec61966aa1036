//! Quotas of directories, as programs on a mount meet them.

use crate::cluster::{Cluster, Wanted, pattern, start};
use crate::guard::bounded;
use alluxio_client::SetQuotaOptions;
use alluxio_fuse::options::Commit;
use alluxio_types::AlluxioPath;
use std::fs::{self, File};
use std::io::Write;

fn bound(cluster: &Cluster, path: &str, bytes: Option<u64>, inodes: Option<u64>) {
    let path = AlluxioPath::parse(path).unwrap();
    let options = SetQuotaOptions { bytes: Some(bytes), inodes: Some(inodes) };
    cluster.block_on(cluster.client.set_quota(&path, &options)).unwrap();
}

fn used(cluster: &Cluster, path: &str) -> (u64, u64) {
    let path = AlluxioPath::parse(path).unwrap();
    let quotas = cluster.block_on(cluster.client.quotas(&path)).unwrap();
    (quotas[0].usage.bytes, quotas[0].usage.inodes)
}

/// EDQUOT, which no kind of `std` names for all calls.
fn is_refused<T: std::fmt::Debug>(result: std::io::Result<T>) {
    assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EDQUOT));
}

/// Writes a file, and waits for what becomes of it.
fn write(cluster: &Cluster, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(cluster.at(path))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[test]
fn what_does_not_fit_is_edquot_and_leaves_nothing() {
    bounded(|| {
        for commit in [Commit::Close, Commit::Background] {
            let wanted = Wanted { commit, ..Wanted::default() };
            let Some(cluster) = start(wanted) else { return };
            fs::create_dir(cluster.at("v")).unwrap();
            bound(&cluster, "/v", Some(1_000_000), Some(4));
            write(&cluster, "v/a", &pattern(600_000, 1)).unwrap();
            is_refused(write(&cluster, "v/b", &pattern(600_000, 2)));
            fs::remove_file(cluster.at("v/b")).unwrap_or_default();
            // There is room for what there is, and for less.
            for length in [600_000, 900_000, 100_000, 1_000_000] {
                let bytes = pattern(length, 3);
                write(&cluster, "v/a", &bytes).unwrap();
                assert!(cluster.get("/v/a") == bytes);
            }
            is_refused(write(&cluster, "v/a", &pattern(1_000_001, 4)));
            assert_eq!(cluster.get("/v/a").len(), 1_000_000, "the old version stays");
            // The mount goes on to try; another version ends that. With a commit that nobody waits for, the next
            // one who writes may be told how the last one ended.
            if commit == Commit::Background {
                let _ = write(&cluster, "v/a", b"");
            }
            write(&cluster, "v/a", &pattern(1_000_000, 5)).unwrap();
            write(&cluster, "v/empty", b"").unwrap();
            fs::create_dir(cluster.at("v/d")).unwrap();
            is_refused(fs::create_dir(cluster.at("v/e")));
            is_refused(File::create(cluster.at("v/f")));
            is_refused(std::os::unix::fs::symlink("a", cluster.at("v/l")));
            write(&cluster, "outside", b"text").unwrap();
            is_refused(fs::rename(cluster.at("outside"), cluster.at("v/d/inside")));
            // All names are taken, and yet a file can be written anew.
            write(&cluster, "v/a", b"short").unwrap();
            fs::rename(cluster.at("v/a"), cluster.at("a")).unwrap();
            assert_eq!(used(&cluster, "/v"), (0, 3));
            assert_eq!(cluster.names("/v"), ["d", "empty"], "nothing stays beside them");
        }
    });
}

#[test]
fn df_shows_the_quota_and_what_is_used_of_it() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        fs::create_dir(cluster.at("v")).unwrap();
        let room = || rustix::fs::statvfs(cluster.at("v")).unwrap();
        assert_eq!(room().f_blocks * room().f_bsize, 512 << 20, "the cluster's without a quota");
        bound(&cluster, "/v", Some(64 << 20), Some(10));
        write(&cluster, "v/f", &pattern(16 << 20, 1)).unwrap();
        let told = room();
        assert_eq!(
            (told.f_blocks * told.f_bsize, told.f_bavail * told.f_bsize),
            (64 << 20, 48 << 20)
        );
        assert_eq!((told.f_files, told.f_ffree), (10, 8));
        // The tightest counts, wherever it stands.
        bound(&cluster, "/", Some(20 << 20), None);
        let told = room();
        assert_eq!(
            (told.f_blocks * told.f_bsize, told.f_bavail * told.f_bsize),
            (20 << 20, 4 << 20)
        );
        bound(&cluster, "/", None, None);
        bound(&cluster, "/v", Some(100 << 20), None);
        assert_eq!(room().f_bavail * room().f_bsize, 84 << 20, "more at once");
    });
}

#[test]
fn a_program_that_writes_on_and_on_is_stopped_before_it_closes() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        fs::create_dir(cluster.at("v")).unwrap();
        bound(&cluster, "/v", Some(20 << 20), None);
        let mut file = File::create(cluster.at("v/f")).unwrap();
        let piece = pattern(1 << 20, 5);
        for _ in 0..20 {
            file.write_all(&piece).unwrap();
        }
        is_refused(file.write_all(b"x"));
        is_refused(file.set_len(21 << 20));
        let room = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 21 << 20);
        assert_eq!(room, Err(rustix::io::Errno::DQUOT));
        // What was written before is kept, as on any disk.
        file.sync_all().unwrap();
        drop(file);
        assert_eq!(used(&cluster, "/v").0, 20 << 20);
        bound(&cluster, "/v", Some(21 << 20), None);
        let mut file = File::options().append(true).open(cluster.at("v/f")).unwrap();
        file.write_all(&piece).unwrap();
        is_refused(file.write_all(b"x"));
        file.sync_all().unwrap();
        assert_eq!(cluster.get("/v/f").len(), 21 << 20);
    });
}
