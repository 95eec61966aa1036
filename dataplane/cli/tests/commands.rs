//! Commands against a real cluster in this process.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod said;

use alluxio_testkit::LocalCluster;
use said::{Said, say};
use std::fs;
use std::path::Path;
use std::time::Duration;

impl Said {
    /// Standard output of a command that must have worked.
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.text()
    }

    /// Standard error of a command that must have failed with Alluxio's −1.
    fn refused(self) -> String {
        assert_eq!(self.code, 255, "{}", String::from_utf8_lossy(&self.out));
        self.err
    }
}

struct Shell {
    cluster: LocalCluster,
    files: tempfile::TempDir,
}

impl Shell {
    async fn start() -> Self {
        let cluster = LocalCluster::start().await.unwrap();
        Shell { cluster, files: tempfile::tempdir().unwrap() }
    }

    async fn run(&self, words: &[&str]) -> Said {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        say(words, &self.cluster.roles().conf_dir()).await
    }

    async fn fs(&self, line: &str) -> Said {
        let words: Vec<&str> = std::iter::once("fs").chain(line.split(' ')).collect();
        self.run(&words).await
    }

    /// Asks again until the answer ends so: what workers do is known with their next heartbeat.
    async fn until(&self, line: &str, end: &str) {
        let mut last = String::new();
        let asked = async {
            while !last.ends_with(end) {
                last = self.fs(line).await.ok();
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), asked).await.is_ok();
        assert!(in_time, "{line} still says {last}");
    }

    fn local(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.files.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).take(len).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_in_and_comes_back_unchanged() {
    let shell = Shell::start().await;
    let bytes = pattern(1_500_001);
    shell.write("d/big", &bytes);
    shell.write("d/empty", b"");
    shell.write("d/sub/small", b"hello");
    let small_blocks = "-Dalluxio.user.block.size.bytes.default=256KB";
    let source = shell.local("d");
    shell.run(&["fs", "copyFromLocal", &source, "/d", small_blocks]).await.ok();
    let refusal = shell.fs(&format!("copyFromLocal {source}/big /d/big")).await.refused();
    assert!(refusal.starts_with("/d/big already exists"), "{refusal}");
    assert!(shell.fs("cat /d/big").await.out == bytes);
    assert_eq!(shell.fs("head -c 3 /d/sub/small").await.out, b"hel");
    assert_eq!(shell.fs("tail -c 2 /d/sub/small").await.out, b"lo");
    let sum = shell.fs("checksum /d/sub/small").await.ok();
    assert_eq!(sum, "md5sum: 5d41402abc4b2a76b9719d911017c592\n");
    let listed = shell.fs("ls -R /d").await.ok();
    let ends: Vec<&str> = listed.lines().map(|line| &line[line.len() - 12..]).collect();
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(ends.iter().any(|end| end.ends_with("100% /d/big")), "cached fully: {listed}");
    let stat = shell.fs("stat -f %z-%b /d/big").await.ok();
    assert_eq!(stat, "1500001-6\n");
    for path in ["/d/empty", "/d/sub"] {
        let id = shell.fs(&format!("stat -f %i {path}")).await.ok();
        let by_id = shell.fs(&format!("stat --file-id -f %N {}", id.trim())).await.ok();
        assert_eq!(by_id.trim(), path.rsplit('/').next().unwrap());
    }
    assert!(shell.fs("stat --file-id 77").await.refused().starts_with("stat 77: "));
    let back = shell.local("back");
    shell.fs(&format!("copyToLocal /d {back}")).await.ok();
    for name in ["big", "empty", "sub/small"] {
        let path = Path::new(&source).join(name);
        assert!(
            fs::read(path).unwrap() == fs::read(Path::new(&back).join(name)).unwrap(),
            "{name}"
        );
    }
    let left: Vec<_> = fs::read_dir(&back).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "nothing temporary is left: {left:?}");
    shell.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_within_keep_what_they_are_told_to_keep() {
    let shell = Shell::start().await;
    let file = shell.write("f", b"bytes");
    shell.fs("mkdir /a/sub").await.ok();
    shell.fs(&format!("copyFromLocal {file} /a/sub/f")).await.ok();
    shell.fs("chmod -R 750 /a").await.ok();
    shell.fs("chown -R bob:staff /a/sub").await.ok();
    assert!(shell.fs("cp /a /b").await.refused().contains("use -R"));
    shell.fs("cp -R -p /a /b").await.ok();
    let attributes = "stat -f %u:%g /b/sub/f /b/sub";
    assert_eq!(shell.fs(attributes).await.ok(), "bob:staff\nbob:staff\n");
    assert!(shell.fs("ls -d /b/sub").await.ok().starts_with("drwxr-x---"));
    assert!(shell.fs("cp -R /a /a/sub/inner").await.refused().contains("inside the source"));
    shell.fs("chmod u-x,o+r /b/sub/f").await.ok();
    assert!(shell.fs("ls /b/sub").await.ok().starts_with("-rw-r-xr--"));
    shell.fs(&format!("cp /b/sub/f file://{}", shell.local("out"))).await.ok();
    assert_eq!(fs::read(shell.local("out")).unwrap(), b"bytes");
    assert_eq!(shell.fs("cat /b/sub/f").await.out, b"bytes");
    shell.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_stand_for_what_fits_and_failures_are_counted() {
    let shell = Shell::start().await;
    shell.fs("touch /p/a1 /p/a2 /p/b1 /q/a3").await.ok();
    let names = |text: String| -> Vec<String> {
        text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(shell.fs("ls /p/a*").await.ok()), ["/p/a1", "/p/a2"]);
    assert_eq!(names(shell.fs("ls /*/a*").await.ok()), ["/p/a1", "/p/a2", "/q/a3"]);
    assert!(shell.fs("rm /p/z*").await.refused().contains("/p/z*: no path fits"));
    let said = shell.fs("rm /p/a1 /none /p/b1 /nor").await.refused();
    assert!(said.contains("/none does not exist") && said.ends_with("2 of 4 failed\n"), "{said}");
    assert!(shell.fs("rm /p").await.refused().contains("use -R"));
    shell.fs("mv /p/a2 /q/").await.ok();
    assert_eq!(names(shell.fs("ls /q").await.ok()), ["/q/a2", "/q/a3"]);
    shell.fs("rm -R /p /q").await.ok();
    for (flag, code) in [("-e", 1), ("-d", 1)] {
        assert_eq!(shell.fs(&format!("test {flag} /p")).await.code, code);
    }
    assert_eq!(shell.fs("test -d /").await.code, 0);
    shell.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_copies_are_persisted_freed_and_loaded_again() {
    let shell = Shell::start().await;
    let file = shell.write("f", &pattern(100_000));
    shell.fs(&format!("copyFromLocal {file} /f")).await.ok();
    assert!(shell.fs("ls /f").await.ok().contains("NOT_PERSISTED"));
    let refusal = shell.fs("free /f").await.refused();
    assert!(refusal.starts_with("free /f: "), "{refusal}");
    assert_eq!(shell.fs("persist /f").await.ok(), "(1/1) Successfully persisted file: /f\n");
    assert_eq!(fs::read(shell.cluster.root_ufs().join("f")).unwrap(), pattern(100_000));
    shell.fs("free /f").await.ok();
    shell.until("getUsedBytes", "Used Bytes: 0\n").await;
    assert!(shell.fs("cat /f").await.out == pattern(100_000), "it comes from the under store now");
    shell.fs("load /f").await.ok();
    shell.until("ls /f", " 100% /f\n").await;
    shell.fs("pin /f").await.ok();
    assert!(shell.fs("ls -p /").await.ok().ends_with(" /f\n"));
    shell.fs("setTtl --action FREE /f 1h").await.ok();
    shell.fs("setReplication --min 1 --max 2 /f").await.ok();
    let stat = shell.fs("stat /f").await.ok();
    for part in ["pinned=true", "ttl=3600000, ttlAction=FREE", "replicationMin=1, replicationMax=2"]
    {
        assert!(stat.contains(part), "{part}: {stat}");
    }
    shell.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_mounted_listed_read_and_unmounted() {
    let shell = Shell::start().await;
    shell.write("store/x", b"from the store");
    let store = shell.local("store");
    shell.fs(&format!("mount --readonly /m {store}")).await.ok();
    assert_eq!(shell.fs("cat /m/x").await.out, b"from the store");
    assert!(shell.fs("touch /m/y").await.refused().starts_with("touch /m/y: "));
    let mounts = shell.fs("mount").await.ok();
    assert!(mounts.contains(" on /m ") && mounts.contains(", read-only, not shared,"), "{mounts}");
    shell.fs("umount /m").await.ok();
    assert_eq!(shell.fs("test -e /m/x").await.code, 1);
    assert_eq!(fs::read(Path::new(&store).join("x")).unwrap(), b"from the store");
    shell.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_from_the_store_are_told_and_taken_over_on_request() {
    let shell = Shell::start().await;
    let root = shell.cluster.root_ufs();
    fs::create_dir_all(root.join("d/sub")).unwrap();
    for name in ["d/gone", "d/other", "d/same", "d/sub/gone"] {
        fs::write(root.join(name), name).unwrap();
    }
    let source = shell.write("x", b"x");
    shell.fs("loadMetadata -R /d").await.ok();
    shell.fs(&format!("copyFromLocal {source} /d/cached")).await.ok();
    let same = "/d is consistent with the under storage system.\n";
    assert_eq!(shell.fs("checkConsistency /d").await.ok(), same);
    fs::remove_file(root.join("d/gone")).unwrap();
    fs::remove_file(root.join("d/sub/gone")).unwrap();
    fs::write(root.join("d/other"), "changed since").unwrap();
    let told = "The following files are inconsistent:\n/d/gone\n/d/other\n/d/sub/gone\n";
    assert_eq!(shell.fs("checkConsistency /d").await.ok(), told);
    assert_eq!(shell.fs("checkConsistency /d").await.ok(), told, "nothing was repaired");
    let file = shell.fs("checkConsistency /d/other").await.ok();
    assert_eq!(file, "The following files are inconsistent:\n/d/other\n");
    let repaired = shell.fs("checkConsistency -r /d").await.ok();
    assert!(repaired.starts_with("/d: repaired 3 "), "{repaired}");
    assert_eq!(shell.fs("checkConsistency /d").await.ok(), same);
    shell.fs("checkConsistency /nowhere").await.refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_reports_and_tests_itself() {
    let shell = Shell::start().await;
    let summary = shell.run(&["fsadmin", "report"]).await.ok();
    assert!(summary.contains("    Live Workers: 1\n"), "{summary}");
    let capacity = shell.run(&["fsadmin", "report", "capacity", "-live", "--json"]).await.ok();
    assert!(capacity.contains("\"state\":\"LIVE\""), "{capacity}");
    let done = shell.run(&["fsadmin", "journal", "checkpoint"]).await.ok();
    assert!(done.starts_with("Successfully took a checkpoint on master "), "{done}");
    let tests = shell.run(&["runTests"]).await.ok();
    assert_eq!(tests.matches("Passed the test!").count(), 18, "{tests}");
    let folder = shell.run(&["getConf", "--master", "alluxio.master.journal.folder"]).await.ok();
    assert!(folder.contains("journal"), "{folder}");
    let leader = shell.fs("leader").await.ok();
    assert_eq!(leader, "127.0.0.1\n");
    shell.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_set_shown_kept_and_cleared() {
    let shell = Shell::start().await;
    let file = shell.write("f", &[7; 600]);
    shell.fs("mkdir /v/sub").await.ok();
    assert!(shell.fs("quota set /v").await.err.contains("--space"), "a bound has to be named");
    let set = shell.fs("quota set --space 1KB --names 4 /v").await.ok();
    assert_eq!(set, "Set the quota of /v\n");
    let through = "-Dalluxio.user.file.writetype.default=CACHE_THROUGH";
    shell.run(&["fs", "copyFromLocal", &file, "/v/sub/f", through]).await.ok();
    let refused = shell.run(&["fs", "copyFromLocal", &file, "/v/sub/g", through]).await.refused();
    let wanted = "the quota of directory /v is exceeded: 1024 bytes may be there, 600 are";
    assert!(refused.contains(wanted), "{refused}");
    let store = shell.cluster.root_ufs().join("v/sub");
    assert!(store.join("f").exists() && !store.join("g").exists(), "the store was not asked");
    let told = shell.fs("quota get /v/sub").await.ok();
    let words: Vec<&str> = told.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words, ["4", "1", "1024", "424", "/v"], "{told}");
    shell.fs("mkdir /v/d").await.ok();
    assert!(shell.fs("mkdir /v/e").await.refused().contains("files and directories"));
    shell.fs("quota clear --names /v").await.ok();
    shell.fs("mkdir /v/e").await.ok();
    let json = shell.fs("quota get /v --json").await.ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["quotaBytes"], &json["quotaInodes"]), (&1024.into(), &().into()));
    assert_eq!((&json["usedBytes"], &json["usedInodes"]), (&600.into(), &5.into()));
    shell.fs("quota clear /v").await.ok();
    let told = shell.fs("quota get /v").await.ok();
    assert!(told.contains("none") && told.contains("inf"), "{told}");
    let ann = "-Dalluxio.security.login.username=ann";
    let refused = shell.run(&["fs", "quota", "set", "--space", "1", "/v", ann]).await.refused();
    assert!(refused.contains("not the superuser"), "{refused}");
    assert!(shell.fs("quota set --space much /v").await.err.contains("expected a number of bytes"));
    assert!(shell.fs("quota set --space 1 /v/sub/f").await.refused().contains("not a directory"));
    shell.cluster.stop().await;
}
