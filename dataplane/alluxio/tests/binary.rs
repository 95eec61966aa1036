//! The binary and its scripts as a user calls them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn alluxio(arguments: &[&str], conf: Option<&Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alluxio"));
    clean(&mut command, conf);
    command.args(arguments).stdin(Stdio::null());
    command
}

fn clean(command: &mut Command, conf: Option<&Path>) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ALLUXIO_")) {
        command.env_remove(name);
    }
    if let Some(conf) = conf {
        command.env("ALLUXIO_CONF_DIR", conf);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn terminate(running: &mut Running) {
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(running.0.wait().unwrap().success());
}

#[test]
fn a_local_cluster_says_when_it_serves_and_is_reached_by_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cluster");
    let arguments =
        ["local", "start", "--ports", "auto", "--workers", "2", "--dir", folder.to_str().unwrap()];
    let start = || {
        let mut child =
            alluxio(&arguments, None).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        assert!(lines.next().unwrap().unwrap().contains("master"));
        Running(child)
    };
    let mut running = start();
    let conf = folder.join("conf");
    let fs = |arguments: &[&str]| -> Output {
        let all: Vec<&str> = ["fs"].iter().chain(arguments).copied().collect();
        alluxio(&all, Some(&conf)).output().unwrap()
    };
    assert!(fs(&["mkdir", "/from/a/shell"]).status.success());
    let listed = fs(&["ls", "-R", "/"]);
    assert!(text(&listed.stdout).contains("/from/a/shell"), "{}", text(&listed.stdout));
    terminate(&mut running);
    assert!(!fs(&["-Dalluxio.user.rpc.retry.max.duration=0", "ls", "/"]).status.success());
    let mut running = start();
    assert!(fs(&["test", "-d", "/from/a/shell"]).status.success());
    terminate(&mut running);
}

#[test]
fn a_master_without_a_journal_ends_with_one_line_that_names_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let work = format!("-Dalluxio.work.dir={}", dir.path().display());
    let ended = alluxio(&["master", &work], Some(dir.path())).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = text(&ended.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("/journal is not formatted: run `alluxio formatMaster`"), "{said}");
    let formatted = alluxio(&["formatMaster", &work], Some(dir.path())).output().unwrap();
    assert!(formatted.status.success(), "{}", text(&formatted.stderr));
    assert!(text(&formatted.stdout).starts_with("Formatted the journal in "));
    let ended =
        alluxio(&["master", &work, "-Dalluxio.master.rpc.prot=1"], Some(dir.path())).output();
    let said = text(&ended.unwrap().stderr);
    assert!(said.contains("alluxio.master.rpc.prot") && said.contains("rpc.port"), "{said}");
}

/// Ports that were free a moment ago: scripts need to know them before a role starts.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[test]
fn the_scripts_start_wait_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("conf");
    let tier = dir.path().join("tier");
    std::fs::create_dir(&conf).unwrap();
    let [rpc, web, worker_rpc, worker_data, worker_web] = free_ports();
    let work = dir.path().display();
    let properties = format!(
        "alluxio.work.dir={work}\nalluxio.conf.dir={}\n\
         alluxio.master.hostname=127.0.0.1\nalluxio.worker.hostname=127.0.0.1\n\
         alluxio.master.bind.host=127.0.0.1\nalluxio.worker.bind.host=127.0.0.1\n\
         alluxio.master.web.bind.host=127.0.0.1\nalluxio.worker.web.bind.host=127.0.0.1\n\
         alluxio.master.rpc.port={rpc}\nalluxio.master.web.port={web}\n\
         alluxio.worker.rpc.port={worker_rpc}\nalluxio.worker.data.port={worker_data}\n\
         alluxio.worker.web.port={worker_web}\n\
         alluxio.worker.ramdisk.size=64MB\n\
         alluxio.worker.tieredstore.level0.dirs.path={}\n",
        conf.display(),
        tier.display()
    );
    std::fs::write(conf.join("alluxio-site.properties"), properties).unwrap();
    let script = |name: &str, arguments: &[&str]| -> Output {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
        let mut command = Command::new(path);
        clean(&mut command, Some(&conf));
        // Files, not pipes: the roles in the background would keep a pipe open.
        let out = dir.path().join("out");
        let file = std::fs::File::create(&out).unwrap();
        command.env("ALLUXIO_BIN", env!("CARGO_BIN_EXE_alluxio")).args(arguments);
        command.stdout(file.try_clone().unwrap()).stderr(file).stdin(Stdio::null());
        let status = command.status().unwrap();
        Output { status, stdout: std::fs::read(out).unwrap(), stderr: Vec::new() }
    };
    let refused = script("alluxio-start.sh", &["master"]);
    assert!(!refused.status.success());
    assert!(text(&refused.stdout).contains("not formatted"), "{}", text(&refused.stdout));

    let started = script("alluxio-start.sh", &["-f", "local", "NoMount"]);
    let said = text(&started.stdout);
    let stop = StopLocal(&script);
    assert!(started.status.success(), "{said}");
    assert!(said.contains("The master serves") && said.contains("The worker serves"), "{said}");
    let listed = alluxio(&["fs", "ls", "/"], Some(&conf)).output().unwrap();
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let kept = script("alluxio-start.sh", &["-N", "master"]);
    assert!(text(&kept.stdout).contains("runs already"), "{}", text(&kept.stdout));
    let again = script("alluxio-start.sh", &["restart_worker"]);
    assert!(text(&again.stdout).contains("The worker runs"), "{}", text(&again.stdout));
    let stopped = script("alluxio-stop.sh", &["local"]);
    let said = text(&stopped.stdout);
    assert!(said.contains("Stopped the worker") && said.contains("Stopped the master"), "{said}");
    let nothing = script("alluxio-stop.sh", &["local"]);
    assert!(text(&nothing.stdout).contains("No master runs here"), "{}", text(&nothing.stdout));
    drop(stop);
    for wrong in [&["-x", "local"][..], &["everything"], &[]] {
        assert_eq!(script("alluxio-start.sh", wrong).status.code(), Some(1), "{wrong:?}");
    }
}

/// Leaves no process behind, whatever the test says.
struct StopLocal<'a, F: Fn(&str, &[&str]) -> Output>(&'a F);

impl<F: Fn(&str, &[&str]) -> Output> Drop for StopLocal<'_, F> {
    fn drop(&mut self) {
        (self.0)("alluxio-stop.sh", &["local"]);
    }
}
