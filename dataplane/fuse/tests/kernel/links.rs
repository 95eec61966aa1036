//! Links, and names that change places.

use crate::cluster::{Wanted, run, start, start_with};
use crate::guard::bounded;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

fn exchange(one: &Path, other: &Path) -> Result<(), Errno> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}

#[test]
fn the_kernel_follows_symbolic_links_and_others_see_what_they_hold() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let at = |name: &str| cluster.at(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/f"), "bytes").unwrap();
        symlink("d", at("l")).unwrap();
        symlink("no/where", at("d/dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        assert_eq!(fs::read(at("l/f")).unwrap(), b"bytes");
        fs::write(at("l/g"), "through it").unwrap();
        assert_eq!(cluster.get("/d/g"), b"through it");
        assert_eq!(fs::read_link(at("l")).unwrap(), Path::new("d"));
        let facts = fs::symlink_metadata(at("d/dangling")).unwrap();
        assert!(facts.file_type().is_symlink());
        assert_eq!((facts.len(), facts.mode() & 0o7777), (8, 0o777));
        let errno = |result: std::io::Result<Vec<u8>>| result.unwrap_err().raw_os_error();
        assert_eq!(errno(fs::read(at("d/dangling"))), Some(libc::ENOENT));
        assert_eq!(errno(fs::read(at("loop"))), Some(libc::ELOOP));
        let again = symlink("x", at("l")).unwrap_err();
        assert_eq!(again.raw_os_error(), Some(libc::EEXIST));
        let long = "x".repeat(4096);
        assert_eq!(symlink(&long, at("x")).unwrap_err().raw_os_error(), Some(libc::ENAMETOOLONG));
        symlink(&long[..4095], at("x")).unwrap();
        assert_eq!(fs::read_link(at("x")).unwrap(), Path::new(&long[..4095]));
        let seen = cluster.status("/l").unwrap();
        assert!(seen.is_symlink());
        assert_eq!(seen.target, "d");
        assert!(cluster.status("/l/f").is_none(), "other clients do not follow");
        // It is the link that is renamed, replaced and removed.
        fs::rename(at("d/f"), at("l")).unwrap();
        assert_eq!(fs::read(at("l")).unwrap(), b"bytes");
        fs::remove_file(at("loop")).unwrap();
        run("ls -l d | grep -q 'dangling -> no/where' && rm -r d && ! test -e d", cluster.root());
    });
}

#[test]
fn links_stay_when_the_under_store_is_looked_at() {
    bounded(|| {
        let properties = [
            ("alluxio.user.file.writetype.default", "CACHE_THROUGH"),
            ("alluxio.user.file.metadata.sync.interval", "0"),
        ];
        let Some(cluster) = start_with(
            Wanted { valid: Default::default(), passthrough: true, ..Wanted::default() },
            &properties,
        ) else {
            return;
        };
        let at = |name: &str| cluster.at(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/f"), "bytes").unwrap();
        symlink("f", at("d/l")).unwrap();
        for _ in 0..2 {
            assert_eq!(fs::read(at("d/l")).unwrap(), b"bytes");
            let mut names: Vec<_> =
                fs::read_dir(at("d")).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["f", "l"]);
        }
        fs::rename(at("d"), at("e")).unwrap();
        assert_eq!(fs::read(at("e/l")).unwrap(), b"bytes");
        // A store cannot exchange names, and has one of these.
        fs::write(at("g"), "other").unwrap();
        assert_eq!(exchange(&at("e/f"), &at("g")), Err(Errno::INVAL));
        assert_eq!(fs::read(at("g")).unwrap(), b"other");
        fs::remove_dir_all(at("e")).unwrap();
        assert!(cluster.status("/e").is_none());
    });
}

#[test]
fn two_names_change_places() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let at = |name: &str| cluster.at(name);
        fs::write(at("f"), "file").unwrap();
        fs::create_dir_all(at("d/e")).unwrap();
        fs::write(at("d/e/below"), "below").unwrap();
        let (file, directory) =
            (fs::metadata(at("f")).unwrap().ino(), fs::metadata(at("d/e")).unwrap().ino());
        exchange(&at("f"), &at("d/e")).unwrap();
        assert_eq!(fs::read(at("d/e")).unwrap(), b"file");
        assert_eq!(fs::read(at("f/below")).unwrap(), b"below");
        assert_eq!(fs::metadata(at("f")).unwrap().ino(), directory);
        assert_eq!(fs::metadata(at("d/e")).unwrap().ino(), file);
        assert_eq!(cluster.get("/d/e"), b"file");
        assert_eq!(exchange(&at("f"), &at("no")), Err(Errno::NOENT));
        assert_eq!(exchange(&at("d"), &at("d/e")), Err(Errno::INVAL));
        symlink("f", at("l")).unwrap();
        exchange(&at("l"), &at("d/e")).unwrap();
        assert_eq!(fs::read(at("l")).unwrap(), b"file");
    });
}

#[test]
fn an_inode_has_one_name() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        fs::write(cluster.at("f"), "x").unwrap();
        let link = fs::hard_link(cluster.at("f"), cluster.at("h")).unwrap_err();
        assert_eq!(link.raw_os_error(), Some(libc::EPERM));
        assert_eq!(fs::metadata(cluster.at("f")).unwrap().nlink(), 1);
    });
}
