//! Programs that people run on file systems.

use crate::cluster::{Cluster, Wanted, run, start};
use crate::guard::bounded;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

fn on_a_mount(test: impl FnOnce(&Cluster) + Send + 'static) {
    bounded(|| {
        let Some(cluster) = start(Wanted::default()) else { return };
        test(&cluster);
    });
}

#[test]
fn rsync_copies_all_that_it_knows_and_finds_nothing_to_do_then() {
    on_a_mount(|cluster| {
        let local = tempfile::tempdir().unwrap();
        run(
            "mkdir -p src/sub/empty && head -c 300000 /dev/urandom > src/a && echo b > src/sub/b && ln -s ../a src/sub/l \
             && chmod 4751 src/a && chmod 2775 src/sub && touch -d @1000000000 src/a src/sub/b && chown 71001:72001 src/sub/b \
             && setfattr -n user.tag -v of-b src/sub/b",
            local.path(),
        );
        let to = format!("{}/", cluster.root().display());
        run(&format!("rsync -aX src {to}"), local.path());
        let again = run(&format!("rsync -aXi --checksum src {to}"), local.path());
        assert_eq!(again, "", "rsync sees no difference");
        run(&format!("diff -r src {to}src"), local.path());
        // And back, and after a change of a part.
        run("printf x | dd of=src/a bs=1 seek=1000 conv=notrunc status=none", cluster.root());
        run(&format!("rsync -aX --inplace {to}src/ src/ && diff -r src {to}src"), local.path());
        run("rsync -a --delete --exclude=sub src/sub/ src2/ && test ! -e src2/a", cluster.root());
    });
}

#[test]
fn a_program_is_built_with_make_and_runs() {
    on_a_mount(|cluster| {
        run(
            r#"mkdir c && cd c && for i in 1 2 3 4 5 6 7 8; do echo "int f$i(void) { return $i; }" > f$i.c; done
            echo 'int f1(void); int f8(void); int main(void) { return f1() + f8() - 9; }' > main.c
            printf 'OBJ = main.o f1.o f2.o f3.o f4.o f5.o f6.o f7.o f8.o\nall: program lib.a\nprogram: $(OBJ)\n\t$(CC) -o $@ $^\nlib.a: $(OBJ)\n\tar rcs $@ $^\n' > Makefile
            make -j4 all >/dev/null && ./program && make -q all && touch f3.c && ! make -q all && make all >/dev/null && ./program
            ar t lib.a | wc -l | grep -qx 9"#,
            cluster.root(),
        );
    });
}

/// Writes a wheel by hand: a package is a zip with a record of itself.
const WHEEL: &str = r#"
import zipfile, hashlib, base64
files = {"tiny/__init__.py": "def answer():\n    return 42\n",
         "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
         "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
record = ""
for name, text in files.items():
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    record += f"{name},sha256={digest},{len(text)}\n"
files["tiny-1.0.dist-info/RECORD"] = record + "tiny-1.0.dist-info/RECORD,,\n"
with zipfile.ZipFile("tiny-1.0-py3-none-any.whl", "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
"#;

#[test]
fn pip_installs_a_package_that_can_be_used() {
    on_a_mount(|cluster| {
        fs::write(cluster.at("wheel.py"), WHEEL).unwrap();
        run(
            "python3 wheel.py && python3 -m venv --without-pip env && python3 -m pip install -q --no-index --no-deps \
             --disable-pip-version-check --root-user-action=ignore --target env/packages tiny-1.0-py3-none-any.whl \
             && PYTHONPATH=env/packages env/bin/python -c 'import tiny; assert tiny.answer() == 42' \
             && python3 -m pip install -q --no-index --no-deps --disable-pip-version-check --root-user-action=ignore \
             --upgrade --target env/packages tiny-1.0-py3-none-any.whl && find env/packages -name '*.pyc' | grep -q tiny",
            cluster.root(),
        );
    });
}

#[test]
fn a_repository_is_cloned_checked_and_checked_out_again() {
    on_a_mount(|cluster| {
        run(
            "git init -q -b main repo && cd repo && git config user.email a@b && git config user.name a \
             && for d in a b c; do mkdir $d; for i in 1 2 3 4 5 6 7 8 9; do head -c $((i * 3000)) /dev/urandom > $d/$i; done; done \
             && ln -s a/1 link && chmod 755 a/1 && git add . && git commit -qm one && git checkout -qb other \
             && rm -r b && echo more >> a/2 && git commit -qam two && git checkout -q main && test -f b/1 && git gc -q \
             && git fsck --strict && cd .. && git clone -q --no-hardlinks repo copy && cd copy && git fsck --strict \
             && test $(readlink link) = a/1 && test -x a/1 && test -z \"$(git status --porcelain)\" && diff -r --exclude=.git . ../repo \
             && git checkout -q other && test ! -e b && git worktree add -q ../tree main && test -f ../tree/b/9",
            cluster.root(),
        );
    });
}

#[test]
fn a_database_is_sound_after_transactions_and_a_kill() {
    on_a_mount(|cluster| {
        let script = "pragma journal_mode=delete; create table t(a integer primary key, b blob);\n".to_owned()
            + &"begin; insert into t(b) select randomblob(900) from generate_series(1,50); update t set b=randomblob(500) where a%7=0; commit;\n".repeat(8);
        fs::write(cluster.at("script"), script).unwrap();
        run(
            "sqlite3 db < script >/dev/null && sqlite3 db 'pragma integrity_check; select count(*) from t' | tr '\\n' ' ' | grep -qx 'ok 400 '",
            cluster.root(),
        );
        // Killed within a transaction: the next one finds its journal and rolls it back.
        let mut child = Command::new("sqlite3")
            .arg("db")
            .current_dir(cluster.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input
            .write_all(b"pragma cache_size=1; begin; delete from t; insert into t(b) values(randomblob(90000)); select 'here';\n")
            .unwrap();
        let mut said = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        drop(input);
        run(
            "sqlite3 db 'pragma integrity_check; select count(*) from t' | tr '\\n' ' ' | grep -qx 'ok 400 '",
            cluster.root(),
        );
    });
}

#[test]
fn fio_reads_what_it_has_written() {
    on_a_mount(|cluster| {
        let has = Command::new("fio").arg("--version").output().is_ok();
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(has || !ci, "fio is missing: cargo xtask test --install-only");
        if !has {
            return;
        }
        let common = "--thread --verify=crc32c --verify_fatal=1 --do_verify=1 --group_reporting --minimal --output=/dev/null";
        for job in [
            "--name=sequential --rw=write --bs=128k --size=12m",
            "--name=random --rw=randwrite --bs=4k --size=3m --fsync=100",
            "--name=mixed --rw=randrw --bsrange=512-32k --size=3m --numjobs=2",
            "--name=direct --rw=randwrite --bs=4k --size=1m --direct=1",
            "--name=mapped --rw=randwrite --bs=4k --size=2m --ioengine=mmap",
            "--name=trimmed --rw=randwrite --bs=4k --size=2m --fallocate=native",
        ] {
            run(&format!("fio {job} {common}"), cluster.root());
        }
    });
}

#[test]
fn locks_hold_between_processes_of_this_machine() {
    on_a_mount(|cluster| {
        fs::write(cluster.at("f"), "x").unwrap();
        run(
            "exec 9>>f && flock -x 9 && ! flock -n f true && flock -u 9 && flock -n f true",
            cluster.root(),
        );
        let script = "import fcntl, os, sys\n\
             f = open('f', 'r+')\n\
             fcntl.lockf(f, fcntl.LOCK_EX, 10, 0)\n\
             def other(start):\n\
             \x20   pid = os.fork()\n\
             \x20   if pid == 0:\n\
             \x20       g = open('f', 'r+')\n\
             \x20       try: fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, start)\n\
             \x20       except BlockingIOError: os._exit(1)\n\
             \x20       os._exit(0)\n\
             \x20   return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n\
             sys.exit(not (other(5) == 1 and other(10) == 0))\n";
        fs::write(cluster.at("lock.py"), script).unwrap();
        run("python3 lock.py", cluster.root());
    });
}

#[test]
fn direct_io_is_accepted_for_reading_and_writing() {
    on_a_mount(|cluster| {
        let bytes = crate::cluster::pattern(1 << 20, 9);
        cluster.put("/f", &bytes);
        run("dd if=f of=g bs=64k iflag=direct oflag=direct status=none && cmp f g", cluster.root());
        // Beside a reader that goes the other way.
        let plain = fs::File::open(cluster.at("f")).unwrap();
        run("dd if=f bs=64k iflag=direct status=none | cmp - g", cluster.root());
        let mut first = [0; 100];
        plain.read_exact_at(&mut first, 0).unwrap();
        assert_eq!(first, bytes[..100]);
    });
}

#[test]
fn the_umask_and_the_group_of_the_process_count() {
    on_a_mount(|cluster| {
        run(
            "chmod 777 . && setpriv --reuid 71001 --regid 72005 --groups 72006 sh -ec 'umask 027; echo > f; mkdir d; chgrp 72006 d' \
             && stat -c '%a %u %g' f d | tr '\\n' ' ' | grep -qx '640 71001 72005 750 71001 72006 '",
            cluster.root(),
        );
        // Somebody who is in the directory's group only besides his own, as with fsGroup of a pod.
        run(
            "mkdir shared && chown 0:72007 shared && chmod 2775 shared \
             && setpriv --reuid 71002 --regid 72002 --groups 72007 sh -ec 'echo mine > shared/f; mkdir shared/d' \
             && stat -c '%a %u %g' shared/f shared/d | tr '\\n' ' ' | grep -qx '644 71002 72007 2755 71002 72007 '",
            cluster.root(),
        );
    });
}

#[test]
fn holes_are_where_they_were_made() {
    on_a_mount(|cluster| {
        use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(cluster.at("f"));
        let mut file = file.unwrap();
        file.write_all(&vec![7; 1 << 20]).unwrap();
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&file, punch, 65_536, 131_072).unwrap();
        assert_eq!(seek(&file, SeekFrom::Hole(0)), Ok(65_536));
        assert_eq!(seek(&file, SeekFrom::Data(65_536)), Ok(196_608));
        assert_eq!(seek(&file, SeekFrom::Data(1 << 20)), Err(rustix::io::Errno::NXIO));
        fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 4 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
        fallocate(&file, FallocateFlags::empty(), 0, 2 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 2 << 20);
        let collapse = fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 0, 4096);
        assert_eq!(collapse, Err(rustix::io::Errno::OPNOTSUPP));
        drop(file);
        let mut wanted = vec![7; 1 << 20];
        wanted[65_536..196_608].fill(0);
        wanted.resize(2 << 20, 0);
        assert!(cluster.get("/f") == wanted);
        let read = fs::File::open(cluster.at("f")).unwrap();
        assert_eq!(
            seek(&read, SeekFrom::Hole(5)),
            Ok(2 << 20),
            "a file that is only read has none"
        );
        assert_eq!(seek(&read, SeekFrom::Data(5)), Ok(5));
        let error = fallocate(&read, FallocateFlags::empty(), 0, 1);
        assert_eq!(error, Err(rustix::io::Errno::BADF));
    });
}

#[test]
fn what_has_no_bytes_and_no_names_cannot_be_made() {
    on_a_mount(|cluster| {
        for line in [
            "mkfifo f",
            "mknod f c 1 3",
            "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('f')\"",
        ] {
            run(&format!("! {line} 2>error && grep -q 'not permitted' error"), cluster.root());
        }
        assert!(!cluster.at("f").exists());
    });
}
