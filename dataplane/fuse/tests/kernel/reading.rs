//! What other clients wrote is read through the kernel.

use crate::cluster::{Wanted, pattern, run, start};
use crate::guard::bounded;
use alluxio_fuse::options::Commit;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::time::Duration;

const PLAIN: Wanted =
    Wanted { valid: Duration::from_secs(60), passthrough: false, commit: Commit::Close };
/// Names and attributes are asked for each time.
const FRESH: Wanted = Wanted { valid: Duration::ZERO, passthrough: true, commit: Commit::Close };

#[test]
fn every_way_of_reading_gives_the_same_bytes() {
    bounded(|| {
        for wanted in [Wanted::default(), PLAIN] {
            let Some(cluster) = start(wanted) else { return };
            // One block, several blocks, none.
            for (name, length) in [("one", 3_000_001), ("many", 9_000_007), ("none", 0)] {
                let bytes = pattern(length, length as u64);
                cluster.put(&format!("/{name}"), &bytes);
                let path = cluster.at(name);
                assert_eq!(fs::metadata(&path).unwrap().len(), length as u64);
                assert!(fs::read(&path).unwrap() == bytes, "{name}: read");
                let copy = run(&format!("cp {name} /proc/self/fd/1"), cluster.root());
                assert_eq!(copy.len(), String::from_utf8_lossy(&bytes).len(), "{name}: cp");
                let sums = run(
                    &format!(
                        "md5sum < {name}; cat {name} | md5sum; dd if={name} bs=777 status=none | md5sum"
                    ),
                    cluster.root(),
                );
                let sums: BTreeSet<&str> = sums.lines().collect();
                assert_eq!(sums.len(), 1, "{name}: {sums:?}");
                let file = File::open(&path).unwrap();
                let mut piece = vec![0; 5000];
                for at in [0, 1, 4095, 2_999_000, 4_194_000, 8_999_999] {
                    let count = file.read_at(&mut piece, at as u64).unwrap();
                    let end = (at + 5000).min(length);
                    assert!(piece[..count] == *bytes.get(at..end).unwrap_or(&[]), "{name} at {at}");
                }
                if length > 0 {
                    let map = mapped(&file, length);
                    assert!(map == bytes, "{name}: mmap");
                }
            }
        }
    });
}

/// The file's bytes through a shared mapping of another program.
fn mapped(file: &File, length: usize) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    let code = format!(
        "import mmap,sys,os\nfd=os.open('/proc/{}/fd/{}',os.O_RDONLY)\nm=mmap.mmap(fd,{length},mmap.MAP_SHARED,mmap.PROT_READ)\nsys.stdout.buffer.write(m[:])",
        std::process::id(),
        file.as_raw_fd()
    );
    let output = std::process::Command::new("python3").args(["-c", &code]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_block_of_this_host_is_read_past_us() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let bytes = pattern(2_000_000, 1);
        cluster.put("/f", &bytes);
        assert!(fs::read(cluster.at("f")).unwrap() == bytes);
        if cluster.count("read") > 0 {
            // Kernels before 6.9; then it went through us, and was right.
            return;
        }
        // A second open while the first is there, and one after it: all the same way.
        let first = File::open(cluster.at("f")).unwrap();
        assert!(fs::read(cluster.at("f")).unwrap() == bytes);
        drop(first);
        assert!(fs::read(cluster.at("f")).unwrap() == bytes);
        assert_eq!(cluster.count("read"), 0);
        // Two blocks: through us.
        cluster.put("/g", &pattern(5_000_000, 2));
        fs::read(cluster.at("g")).unwrap();
        assert!(cluster.count("read") > 0);
    });
}

#[test]
fn a_file_that_others_replace_is_seen_anew_when_it_is_opened() {
    bounded(|| {
        for passthrough in [true, false] {
            let Some(cluster) = start(Wanted { passthrough, ..Wanted::default() }) else { return };
            let (old, new) = (pattern(100_000, 1), pattern(200_000, 2));
            cluster.put("/f", &old);
            let held = File::open(cluster.at("f")).unwrap();
            assert!(fs::read(cluster.at("f")).unwrap() == old);
            cluster.put("/f", &new);
            // The kernel may believe attributes for a minute; opening looks.
            assert!(fs::read(cluster.at("f")).unwrap() == new);
            // Who had it open reads what he opened: it is in memory here.
            let mut bytes = vec![0; old.len()];
            held.read_exact_at(&mut bytes, 0).unwrap();
            assert!(bytes == old);
        }
    });
}

#[test]
fn ten_thousand_names_are_listed_once_each_with_their_attributes() {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        let wanted: BTreeSet<String> = (0..10_000).map(|n| format!("name-{n:05}")).collect();
        cluster.block_on(async {
            use futures_of_creates::create_all;
            create_all(&cluster.client, "/d", &wanted).await;
        });
        let listed: Vec<String> = fs::read_dir(cluster.at("d"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(listed.len(), wanted.len());
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), wanted);
        let long = run("ls -l d | grep -c name-", cluster.root());
        assert_eq!(long.trim(), "10000");
        // Going back to a cookie gives what followed it before, though names before it are gone.
        let code = "import os,ctypes\n\
            libc=ctypes.CDLL(None,use_errno=True)\n\
            libc.opendir.restype=ctypes.c_void_p\n\
            class D(ctypes.Structure): _fields_=[('i',ctypes.c_uint64),('o',ctypes.c_int64),('l',ctypes.c_ushort),('t',ctypes.c_ubyte),('n',ctypes.c_char*256)]\n\
            libc.readdir.restype=ctypes.POINTER(D)\n\
            d=ctypes.c_void_p(libc.opendir(b'd'))\n\
            seen=[]\n\
            for _ in range(3000):\n\
            \x20e=libc.readdir(d).contents; seen.append((e.o,e.n))\n\
            libc.seekdir(d,ctypes.c_long(seen[1000][0]))\n\
            again=[libc.readdir(d).contents.n for _ in range(5)]\n\
            assert again==[n for _,n in seen[1001:1006]],(again,seen[1001:1006])\n\
            d2=ctypes.c_void_p(libc.opendir(b'd'))\n\
            libc.seekdir(d2,ctypes.c_long(seen[2000][0]))\n\
            again=[libc.readdir(d2).contents.n for _ in range(5)]\n\
            assert again==[n for _,n in seen[2001:2006]],(again,seen[2001:2006])\n";
        fs::write(cluster.running.as_ref().unwrap().dir().join("cookies.py"), code).unwrap();
        let script = cluster.running.as_ref().unwrap().dir().join("cookies.py");
        run(&format!("python3 {}", script.display()), cluster.root());
        // Names go while their directory is read.
        run("mkdir e && cd e && seq 1 700 | xargs touch && cd .. && rm -r e", cluster.root());
        assert_eq!(cluster.names("/"), ["d"]);
    });
}

mod futures_of_creates {
    use alluxio_client::FileSystem;
    use alluxio_types::AlluxioPath;
    use std::collections::BTreeSet;

    /// Empty files, many at a time.
    pub(super) async fn create_all(client: &FileSystem, directory: &str, names: &BTreeSet<String>) {
        let directory = AlluxioPath::parse(directory).unwrap();
        client.create_directory(&directory, &Default::default()).await.unwrap();
        let names: Vec<&String> = names.iter().collect();
        let mut tasks = tokio::task::JoinSet::new();
        for some in names.chunks(200) {
            let (client, directory) = (client.clone(), directory.clone());
            let some: Vec<String> = some.iter().map(|name| (*name).clone()).collect();
            tasks.spawn(async move {
                for name in some {
                    let path = directory.join(&name).unwrap();
                    let writer = client.create_file(&path, &Default::default()).await.unwrap();
                    writer.close().await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    }
}

#[test]
fn attributes_are_those_of_the_namespace() {
    bounded(|| {
        let Some(cluster) = start(FRESH) else { return };
        cluster.put("/d-file", b"12345");
        run(
            "mkdir d && chmod 750 d && touch -d @1234567890 d-file && chmod 604 d-file",
            cluster.root(),
        );
        let facts = fs::metadata(cluster.at("d-file")).unwrap();
        assert_eq!(
            (facts.len(), facts.mtime(), facts.permissions().mode() & 0o7777),
            (5, 1_234_567_890, 0o604)
        );
        let seen = cluster.status("/d-file").unwrap();
        assert_eq!((seen.mode.0, seen.modified.0), (0o604, 1_234_567_890_000));
        assert_eq!(cluster.status("/d").unwrap().mode.0, 0o750);
        assert_eq!(facts.ino(), seen.id.container() + 2);
        assert_eq!(facts.uid(), rustix::process::geteuid().as_raw());
        let room = rustix::fs::statfs(cluster.root()).unwrap();
        assert_eq!(room.f_blocks * room.f_bsize as u64, 512 << 20);
        let error = fs::metadata(cluster.at("none")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    });
}
