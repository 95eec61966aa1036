//! Where a mount differs from a local file system: each sentence of the table in `docs/SEMANTICS.md` that says
//! so, and has no test elsewhere.

use crate::cluster::{Wanted, run, start, start_with};
use crate::guard::bounded;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

#[test]
fn times_are_kept_to_the_millisecond_and_status_changes_have_none_of_their_own() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let path = cluster.at("f");
        fs::write(&path, "x").unwrap();
        let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 123_456_789 };
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
        let times = Timestamps { last_access: omit, last_modification: time };
        utimensat(CWD, &path, &times, AtFlags::empty()).unwrap();
        run("chmod 600 f", cluster.root());
        let facts = fs::metadata(&path).unwrap();
        assert_eq!((facts.mtime(), facts.mtime_nsec()), (1_000_000_000, 123_000_000));
        assert_eq!((facts.ctime(), facts.ctime_nsec()), (1_000_000_000, 123_000_000));
    });
}

#[test]
fn names_and_targets_are_text() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let odd = cluster.root().join(OsStr::from_bytes(b"not \xff text"));
        assert_eq!(errno(File::create(&odd)), libc::EINVAL);
        assert_eq!(errno(fs::create_dir(&odd)), libc::EINVAL);
        assert_eq!(errno(fs::metadata(&odd)), libc::ENOENT);
        let link = std::os::unix::fs::symlink(&odd, cluster.at("l"));
        assert_eq!(errno(link), libc::EINVAL);
        assert_eq!(errno(File::create(cluster.at(&"m".repeat(256)))), libc::ENAMETOOLONG);
    });
}

#[test]
fn a_directory_stays_while_a_file_that_is_read_has_lost_its_name_in_it() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        fs::create_dir(cluster.at("d")).unwrap();
        cluster.put("/d/f", b"bytes");
        let held = File::open(cluster.at("d/f")).unwrap();
        fs::remove_file(cluster.at("d/f")).unwrap();
        assert_eq!(fs::read_dir(cluster.at("d")).unwrap().count(), 0);
        assert_eq!(errno(fs::remove_dir(cluster.at("d"))), libc::ENOTEMPTY);
        let mut bytes = [0; 5];
        held.read_exact_at(&mut bytes, 0).unwrap();
        drop(held);
        // The last close is answered before the hidden name is gone.
        let begun = std::time::Instant::now();
        while fs::remove_dir(cluster.at("d")).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
    });
}

#[test]
fn what_has_no_name_has_a_mode_and_no_extended_attributes() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let mut file = File::create_new(cluster.at("f")).unwrap();
        file.write_all(b"x").unwrap();
        fs::remove_file(cluster.at("f")).unwrap();
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let facts = file.metadata().unwrap();
        assert_eq!((facts.mode() & 0o7777, facts.nlink(), facts.len()), (0o600, 0, 1));
        let set = rustix::fs::fsetxattr(&file, "user.a", b"1", rustix::fs::XattrFlags::empty());
        assert_eq!(set, Err(rustix::io::Errno::STALE));
    });
}

#[test]
fn an_old_name_may_be_believed_as_long_as_the_mount_says() {
    bounded(|| {
        let wanted = Wanted { valid: Duration::from_secs(600), ..Wanted::default() };
        let Some(cluster) = start(wanted) else { return };
        cluster.put("/f", b"one");
        assert_eq!(fs::metadata(cluster.at("f")).unwrap().len(), 3);
        cluster.put("/f", b"three");
        assert_eq!(fs::metadata(cluster.at("f")).unwrap().len(), 3, "attributes are old");
        assert_eq!(fs::read(cluster.at("f")).unwrap(), b"three", "an open looks");
    });
}

#[test]
fn a_rename_onto_what_the_under_store_has_takes_two_steps_and_ends_the_same() {
    bounded(|| {
        let through = [("alluxio.user.file.writetype.default", "CACHE_THROUGH")];
        let Some(cluster) = start_with(Wanted::default(), &through) else { return };
        for name in ["a", "b"] {
            File::create(cluster.at(name)).unwrap().write_all(name.as_bytes()).unwrap();
        }
        fs::rename(cluster.at("a"), cluster.at("b")).unwrap();
        assert_eq!(fs::read(cluster.at("b")).unwrap(), b"a");
        assert_eq!(cluster.names("/"), ["b"]);
        assert_eq!(cluster.status("/b").unwrap().persistence.name(), "PERSISTED");
    });
}
