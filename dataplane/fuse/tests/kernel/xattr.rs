//! Extended attributes, through the kernel.

use crate::cluster::{Cluster, Wanted, start};
use crate::guard::bounded;
use alluxio_client::SetAttributeOptions;
use alluxio_types::{AlluxioPath, XattrStrategy, XattrUpdate, Xattrs};
use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

fn get(path: &Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 65_536];
    let length = getxattr(path, name, &mut value[..])?;
    value.truncate(length);
    Ok(value)
}

fn names(path: &Path) -> Vec<String> {
    let mut list = vec![0; 65_536];
    let length = listxattr(path, &mut list[..]).unwrap();
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
}

/// As another client does.
fn set_elsewhere(cluster: &Cluster, path: &str, name: &str, value: &[u8]) {
    let values = Xattrs::from_iter([(name.to_owned(), value.to_vec())]);
    let xattr = Some(XattrUpdate { values, strategy: XattrStrategy::UnionReplace });
    let changes = SetAttributeOptions { xattr, ..Default::default() };
    let path = AlluxioPath::parse(path).unwrap();
    cluster.block_on(cluster.client.set_attribute(&path, &changes)).unwrap();
}

#[test]
fn they_are_set_read_listed_and_taken_away_as_on_any_file_system() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        fs::write(cluster.at("f"), "x").unwrap();
        fs::create_dir(cluster.at("d")).unwrap();
        for path in [cluster.at("f"), cluster.at("d")] {
            let none = XattrFlags::empty();
            assert_eq!(get(&path, "user.a"), Err(Errno::NODATA));
            assert_eq!(names(&path), Vec::<String>::new());
            setxattr(&path, "user.a", b"one", XattrFlags::CREATE).unwrap();
            assert_eq!(setxattr(&path, "user.a", b"", XattrFlags::CREATE), Err(Errno::EXIST));
            assert_eq!(setxattr(&path, "user.b", b"", XattrFlags::REPLACE), Err(Errno::NODATA));
            setxattr(&path, "user.a", b"three", XattrFlags::REPLACE).unwrap();
            setxattr(&path, "user.empty", b"", none).unwrap();
            setxattr(&path, "trusted.t", b"\0\xff", none).unwrap();
            assert_eq!(get(&path, "user.a").unwrap(), b"three");
            assert_eq!(get(&path, "user.empty").unwrap(), b"");
            assert_eq!(get(&path, "trusted.t").unwrap(), b"\0\xff");
            assert_eq!(names(&path), ["trusted.t", "user.a", "user.empty"]);
            // What does not fit.
            assert_eq!(getxattr(&path, "user.a", &mut [0; 4][..]), Err(Errno::RANGE));
            assert_eq!(listxattr(&path, &mut [0; 5][..]), Err(Errno::RANGE));
            let most = vec![9; 65_536];
            setxattr(&path, "user.most", &most, none).unwrap();
            assert_eq!(get(&path, "user.most").unwrap(), most);
            assert_eq!(setxattr(&path, "user.more", &most, none), Err(Errno::NOSPC));
            assert_eq!(setxattr(&path, "user.most", &vec![9; 65_537], none), Err(Errno::TOOBIG));
            let long = format!("user.{}", "n".repeat(251));
            assert_eq!(setxattr(&path, &*long, b"", none), Err(Errno::RANGE));
            setxattr(&path, &long[..255], b"", none).unwrap();
            removexattr(&path, "user.a").unwrap();
            assert_eq!(removexattr(&path, "user.a"), Err(Errno::NODATA));
            assert_eq!(get(&path, "user.a"), Err(Errno::NODATA));
        }
        let seen = cluster.status("/f").unwrap().xattr;
        assert_eq!(seen.get("trusted.t"), Some(&b"\0\xff"[..]), "other clients see them");
    });
}

#[test]
fn what_is_not_kept_says_so() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let path = cluster.at("f");
        fs::write(&path, "x").unwrap();
        for name in
            ["security.capability", "security.selinux", "system.posix_acl_access", "other.a"]
        {
            assert_eq!(get(&path, name), Err(Errno::OPNOTSUPP), "{name}");
            let set = setxattr(&path, name, b"1", XattrFlags::empty());
            assert!(matches!(set, Err(Errno::OPNOTSUPP | Errno::INVAL)), "{name}: {set:?}");
        }
        // Other clients may use names that are none to Linux.
        set_elsewhere(&cluster, "/f", "s3_etag", b"e");
        assert_eq!(names(&path), Vec::<String>::new());
    });
}

#[test]
fn they_outlive_new_versions_of_the_bytes_and_follow_their_file() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let (a, b) = (cluster.at("a"), cluster.at("b"));
        let mut file = File::create(&a).unwrap();
        setxattr(&a, "user.of", b"a", XattrFlags::empty()).unwrap();
        file.write_all(b"first").unwrap();
        file.sync_all().unwrap();
        assert_eq!(get(&a, "user.of").unwrap(), b"a");
        file.write_all(b" second").unwrap();
        drop(file);
        fs::write(&b, "b").unwrap();
        setxattr(&b, "user.of", b"b", XattrFlags::empty()).unwrap();
        setxattr(&b, "user.more", b"b", XattrFlags::empty()).unwrap();
        set_elsewhere(&cluster, "/a", "trusted.t", b"t");
        fs::write(&a, "anew").unwrap();
        assert_eq!(cluster.get("/a"), b"anew");
        let there = cluster.status("/a").unwrap().xattr;
        assert_eq!(
            (there.get("user.of"), there.get("trusted.t")),
            (Some(&b"a"[..]), Some(&b"t"[..]))
        );
        fs::rename(&a, &b).unwrap();
        assert_eq!(get(&b, "user.of").unwrap(), b"a");
        assert_eq!(get(&b, "user.more"), Err(Errno::NODATA), "that was the other file's");
    });
}

#[test]
fn neither_writes_nor_listings_ask_for_attributes_one_by_one() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let file = File::create(cluster.at("f")).unwrap();
        for at in 0..200 {
            file.write_all_at(b"some bytes", at * 4096).unwrap();
        }
        drop(file);
        let (writes, asked) = (cluster.count("write"), cluster.count("getxattr"));
        assert!(writes >= 200 && asked <= 2, "{asked} of {writes}");
        for name in 0..50 {
            cluster.put(&format!("/{name}"), b"");
        }
        crate::cluster::run("ls -l >/dev/null", cluster.root());
        let more = cluster.count("getxattr") - asked;
        assert!(more <= 5, "ls asks once, hears that it is of no use, and asks no more: {more}");
        // And what it lists is known from the listing.
        let before = cluster.count("getattr");
        fs::read_dir(cluster.root()).unwrap().for_each(|entry| {
            assert_eq!(names(&entry.unwrap().path()), Vec::<String>::new());
        });
        assert!(cluster.count("listxattr") >= 51);
        assert!(cluster.count("getattr") - before <= 51);
    });
}

#[test]
fn privileges_go_with_the_first_write_of_somebody_else() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let path = cluster.at("f");
        let mode = |mode: u32| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let seen = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        fs::write(&path, "x").unwrap();
        mode(0o6777);
        // Root may write and keep them.
        File::options().write(true).open(&path).unwrap().write_all(b"y").unwrap();
        assert_eq!(seen(), 0o6777);
        let other = |line: &str| {
            let line =
                format!("setpriv --reuid 12345 --regid 12345 --clear-groups sh -ec '{line}'");
            crate::cluster::run(&line, cluster.root());
        };
        other("echo z >> f");
        assert_eq!(seen(), 0o777);
        mode(0o6777);
        other("truncate -s 1 f");
        assert_eq!(seen(), 0o777);
        mode(0o6777);
        other(": > f");
        assert_eq!(seen(), 0o777);
        mode(0o2767);
        other("echo z >> f");
        assert_eq!(seen(), 0o2767, "without x for the group it is no privilege");
        mode(0o6755);
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        assert_eq!(seen(), 0o755);
    });
}
