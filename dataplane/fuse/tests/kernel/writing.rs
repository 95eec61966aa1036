//! Programs write through the kernel; other clients read whole versions.

use crate::cluster::{Cluster, Wanted, pattern, run, start};
use crate::guard::bounded;
use crate::sys::unshare_files;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::mpsc::channel;

fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

/// Opens and writes a file with `first`, looks `between`, and goes on with `second`.
///
/// The file is of a thread of its own: other tests start programs, and a fork has copies of all files until its program
/// runs. To close such a copy is a flush, and what is flushed is there for everybody.
fn written_in_parts(
    first: impl FnOnce() -> File + Send,
    between: impl FnOnce(),
    second: impl FnOnce(File) + Send,
) {
    let (written, is_written) = channel();
    let (seen, is_seen) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            unshare_files();
            let file = first();
            written.send(()).unwrap();
            is_seen.recv().unwrap();
            second(file);
        });
        is_written.recv().unwrap();
        between();
        seen.send(()).unwrap();
    });
}

#[test]
fn what_is_written_is_there_for_everybody_once_it_is_closed() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let bytes = pattern(9_000_001, 3);
        written_in_parts(
            || {
                let mut file = File::create(cluster.at("f")).unwrap();
                file.write_all(&bytes[..5_000_000]).unwrap();
                file
            },
            || {
                assert!(!cluster.status("/f").unwrap().completed, "nobody can read half of it");
                assert_eq!(fs::metadata(cluster.at("f")).unwrap().len(), 5_000_000);
            },
            |mut file| file.write_all(&bytes[5_000_000..]).unwrap(),
        );
        assert!(cluster.get("/f") == bytes);
        assert!(fs::read(cluster.at("f")).unwrap() == bytes);
        fs::write(cluster.at("empty"), "").unwrap();
        let empty = cluster.status("/empty").unwrap();
        assert!(empty.completed && empty.length == 0);
        assert_eq!(
            errno(OpenOptions::new().write(true).create_new(true).open(cluster.at("f"))),
            libc::EEXIST
        );
    });
}

/// Bytes in the workers, as they say with their heartbeats.
fn cached(cluster: &Cluster) -> u64 {
    cluster.block_on(cluster.client.capacity()).unwrap().used_bytes
}

#[test]
fn a_large_new_file_goes_to_its_workers_while_it_is_written() {
    bounded(|| {
        for goes_back in [false, true] {
            let Some(cluster) = start(Wanted::default()) else { return };
            let mut bytes = pattern(90_000_000, 8);
            written_in_parts(
                || {
                    let mut file = File::create(cluster.at("f")).unwrap();
                    for piece in bytes.chunks(700_000) {
                        file.write_all(piece).unwrap();
                    }
                    file
                },
                || {
                    let begun = std::time::Instant::now();
                    while cached(&cluster) < 60_000_000 {
                        assert!(begun.elapsed() < std::time::Duration::from_secs(60));
                        std::thread::yield_now();
                    }
                    assert!(!cluster.status("/f").unwrap().completed, "nobody can read half of it");
                },
                |file| {
                    if goes_back {
                        file.write_all_at(b"the head comes last", 5).unwrap();
                    }
                },
            );
            if goes_back {
                bytes[5..24].copy_from_slice(b"the head comes last");
            }
            assert!(cluster.get("/f") == bytes);
            assert_eq!(cluster.names("/"), ["f"]);
        }
    });
}

#[test]
fn changes_in_place_are_a_new_version_at_close_and_at_fsync() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let mut bytes = pattern(5_000_000, 4);
        cluster.put("/f", &bytes);
        let inode = fs::metadata(cluster.at("f")).unwrap().ino();
        let file = OpenOptions::new().read(true).write(true).open(cluster.at("f")).unwrap();
        file.write_all_at(b"in the middle", 4_194_300).unwrap();
        assert!(cluster.get("/f") == bytes, "not before it is synced or closed");
        bytes[4_194_300..4_194_313].copy_from_slice(b"in the middle");
        file.sync_all().unwrap();
        assert!(cluster.get("/f") == bytes);
        let mut piece = [0; 13];
        file.read_exact_at(&mut piece, 4_194_300).unwrap();
        assert_eq!(&piece, b"in the middle");
        file.set_len(100).unwrap();
        drop(file);
        assert!(cluster.get("/f") == bytes[..100]);
        let mut file = OpenOptions::new().append(true).open(cluster.at("f")).unwrap();
        file.write_all(b"more").unwrap();
        drop(file);
        bytes.truncate(100);
        bytes.extend(b"more");
        assert!(cluster.get("/f") == bytes);
        fs::write(cluster.at("f"), "short").unwrap();
        assert_eq!(cluster.get("/f"), b"short");
        run("truncate -s 10 f", cluster.root());
        assert_eq!(cluster.get("/f"), b"short\0\0\0\0\0");
        assert_eq!(fs::read(cluster.at("f")).unwrap(), b"short\0\0\0\0\0");
        assert_ne!(inode, 0);
        assert_eq!(cluster.names("/"), ["f"], "nothing stays beside it");
    });
}

#[test]
fn a_file_that_is_passed_through_can_be_written_while_it_is_read() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let bytes = pattern(1_000_000, 5);
        cluster.put("/f", &bytes);
        let reader = File::open(cluster.at("f")).unwrap();
        let file = OpenOptions::new().write(true).open(cluster.at("f")).unwrap();
        file.write_all_at(b"xyz", 0).unwrap();
        drop(file);
        assert_eq!(cluster.get("/f")[..3], *b"xyz");
        assert_eq!(fs::read(cluster.at("f")).unwrap()[..3], *b"xyz");
        let mut piece = [0; 3];
        reader.read_exact_at(&mut piece, 0).unwrap();
        assert_eq!(piece, bytes[..3], "who read it goes on with what he opened");
    });
}

#[test]
fn who_has_a_file_open_sees_what_others_write_on_the_same_mount() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        // Two blocks: nothing is passed through.
        let mut bytes = pattern(6_000_000, 7);
        cluster.put("/f", &bytes);
        let reader = File::open(cluster.at("f")).unwrap();
        let mut piece = vec![0; 1000];
        reader.read_exact_at(&mut piece, 0).unwrap();
        let writer = OpenOptions::new().write(true).open(cluster.at("f")).unwrap();
        writer.write_all_at(b"one", 5_000_000).unwrap();
        reader.read_exact_at(&mut piece[..3], 5_000_000).unwrap();
        assert_eq!(&piece[..3], b"one");
        drop(writer);
        fs::write(cluster.at("g"), "").unwrap();
        bytes[5_000_000..5_000_003].copy_from_slice(b"one");
        let mut all = vec![0; bytes.len()];
        reader.read_exact_at(&mut all, 0).unwrap();
        assert!(all == bytes);
    });
}

#[test]
fn a_file_without_a_name_is_read_and_written_until_it_is_closed() {
    bounded(|| {
        for passthrough in [true, false] {
            let Some(cluster) = start(Wanted { passthrough, ..Wanted::default() }) else { return };
            let bytes = pattern(6_000_000, 6);
            cluster.put("/read", &bytes);
            let mut read = File::open(cluster.at("read")).unwrap();
            let mut write = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(cluster.at("write"))
                .unwrap();
            write.write_all(b"first").unwrap();
            fs::remove_file(cluster.at("read")).unwrap();
            fs::remove_file(cluster.at("write")).unwrap();
            assert_eq!(fs::read_dir(cluster.root()).unwrap().count(), 0);
            assert_eq!(errno(File::open(cluster.at("read"))), libc::ENOENT);
            let mut all = Vec::new();
            read.read_to_end(&mut all).unwrap();
            assert!(all == bytes);
            write.write_all(b" second").unwrap();
            write.seek(SeekFrom::Start(0)).unwrap();
            let mut all = String::new();
            write.read_to_string(&mut all).unwrap();
            assert_eq!(all, "first second");
            assert_eq!(write.metadata().unwrap().nlink(), 0);
            // The same names again, meanwhile.
            fs::write(cluster.at("write"), "other").unwrap();
            drop((read, write));
            assert_eq!(cluster.get("/write"), b"other");
            // The last close is answered before the hidden name is gone.
            while cluster.names("/") != ["write"] {
                std::thread::yield_now();
            }
        }
    });
}

#[test]
fn names_change_as_posix_says() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let at = |name: &str| cluster.at(name);
        fs::write(at("a"), "a").unwrap();
        fs::write(at("b"), "b").unwrap();
        fs::rename(at("a"), at("b")).unwrap();
        assert_eq!(cluster.names("/"), ["b"]);
        assert_eq!(fs::read(at("b")).unwrap(), b"a");
        fs::create_dir(at("d")).unwrap();
        fs::create_dir(at("e")).unwrap();
        fs::write(at("d/f"), "f").unwrap();
        assert_eq!(errno(fs::remove_dir(at("d"))), libc::ENOTEMPTY);
        assert_eq!(errno(fs::create_dir(at("d"))), libc::EEXIST);
        assert_eq!(errno(fs::rename(at("d"), at("d/below"))), libc::EINVAL);
        assert_eq!(errno(fs::rename(at("e"), at("d"))), libc::ENOTEMPTY);
        fs::rename(at("d"), at("e")).unwrap();
        assert_eq!(fs::read(at("e/f")).unwrap(), b"f");
        assert_eq!(errno(fs::rename(at("b"), at("e"))), libc::EISDIR);
        assert_eq!(errno(fs::rename(at("e"), at("b"))), libc::ENOTDIR);
        let (from, to) = (at("b"), at("e/f"));
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        let cwd = rustix::fs::CWD;
        assert_eq!(
            rustix::fs::renameat_with(cwd, &from, cwd, &to, flags),
            Err(rustix::io::Errno::EXIST)
        );
        fs::rename(from, to).unwrap();
        assert_eq!(fs::read(at("e/f")).unwrap(), b"a");
        fs::remove_file(at("e/f")).unwrap();
        fs::remove_dir(at("e")).unwrap();
        assert_eq!(fs::read_dir(cluster.root()).unwrap().count(), 0);
    });
}

fn programs(cluster: &Cluster) {
    let root = cluster.root();
    run(
        "mkdir src && cd src && for i in 1 2 3 4 5 6 7 8 9; do head -c ${i}000 /dev/zero | tr '\\0' $i > f$i; done; \
         mkdir sub && cp f9 sub/ && chmod 755 f1 && touch -d @1000000000 f2",
        root,
    );
    run("tar cf a.tar src && mkdir out && tar xpf a.tar -C out && diff -r src out/src", root);
    assert_eq!(
        run("stat -c '%Y %a' out/src/f2 out/src/f1", root).lines().next().unwrap(),
        "1000000000 644"
    );
    run(
        "git init -q repo && cd repo && git config user.email a@b && git config user.name a && cp ../src/f* . \
         && git add . && git commit -qm one && echo more >> f1 && git commit -qam two && git gc -q && git fsck \
         && cd .. && git clone -q repo copy && cd copy && git log --oneline | wc -l | grep -qx 2 && git status --short | wc -l | grep -qx 0",
        root,
    );
    run(
        "sqlite3 db 'create table t(a integer primary key, b text); insert into t(b) values (1),(2),(3);' \
         && sqlite3 db 'update t set b=b*2; delete from t where a=1;' \
         && sqlite3 db 'select group_concat(b) from t; pragma integrity_check' | tr '\\n' ' ' | grep -qx '4,6 ok '",
        root,
    );
}

#[test]
fn tar_git_and_sqlite_work() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        programs(&cluster);
    });
}
