//! Installs the servers that tests talk to, from package registries, into the user's cache.

use crate::run::{has, run, say};
use alluxio_e2e_kube::programs;
use alluxio_testservers::cache;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Oldest Go that builds the S3 server and etcd.
const GO_MINOR_MIN: u32 = 24;

/// Installs what is missing.
pub(crate) fn install() -> Result<()> {
    // The compiler, not only the machine: the tests start HDFS from its source file.
    need("javac", "openjdk-17-jdk-headless").context("HDFS of the tests")?;
    // Programs that work on a mount.
    for program in ["fio", "rsync", "sqlite3", "git", "make"] {
        need(program, program).context("programs that the tests run on a mount")?;
    }
    // Without the exporter that the package recommends.
    need("promtool", "prometheus --no-install-recommends").context("Prometheus of the tests")?;
    need("setfattr", "attr").context("programs that the tests run on a mount")?;
    if !cache::minio().exists() {
        install_minio().context("MinIO, the S3 server of the tests")?;
    }
    if !cache::etcd().exists() {
        install_etcd().context("etcd of the tests")?;
    }
    if !cache::csi_sanity().exists() {
        install_csi_sanity().context("csi-sanity, the tests of CSI drivers")?;
    }
    if !cache::hdfs_mark().exists() {
        install_hdfs().context("HDFS of the tests")?;
    }
    install_kube()
}

/// A Kubernetes for the tests: programs into the cache, and the packages of its nodes, which only root
/// can start.
pub(crate) fn install_kube() -> Result<()> {
    let missing = programs::missing_packages();
    if !missing.is_empty() && is_root() {
        install_packages(&missing).context("containerd and its like, for Kubernetes")?;
    }
    if !programs::are_built() {
        need("go", "golang-go")?;
        check_go()?;
        programs::build(&say)?;
    }
    Ok(())
}

/// Sees to it that `program` is there: installed as root, named for everybody else.
fn need(program: &str, package: &str) -> Result<()> {
    if has(program) {
        return Ok(());
    }
    say(&format!("{program} is missing"));
    install_packages(&[package])
}

/// Installs packages as root; names them for everybody else.
fn install_packages(packages: &[&str]) -> Result<()> {
    let packages = packages.join(" ");
    let hint =
        format!("install {packages} (Debian: `apt-get install {packages}`) and run this again");
    if !is_root() || !has("apt-get") {
        bail!("programs are missing; {hint}");
    }
    say(&format!("installing {packages}"));
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq"]);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run(install.args(packages.split(' '))).context(hint)
}

fn is_root() -> bool {
    std::env::var("USER").is_ok_and(|user| user == "root")
        || fs::metadata("/root").is_ok_and(|_| fs::read_dir("/root").is_ok())
}

/// A distribution's Go may be too old to fetch a newer one by itself.
fn check_go() -> Result<()> {
    let output = Command::new("go").args(["env", "GOVERSION"]).output()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let minor = version.strip_prefix("go1.").and_then(|rest| rest.split('.').next()?.parse().ok());
    if minor.is_some_and(|minor: u32| minor < GO_MINOR_MIN) {
        bail!(
            "{version} is too old, 1.{GO_MINOR_MIN} is needed: install it from https://go.dev/dl"
        );
    }
    Ok(())
}

fn install_minio() -> Result<()> {
    let module = format!("github.com/minio/minio@{}", cache::MINIO_VERSION);
    install_module("MinIO", &module, &cache::minio())
}

fn install_csi_sanity() -> Result<()> {
    let version = cache::CSI_SANITY_VERSION;
    let module = format!("github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity@{version}");
    install_module("csi-sanity", &module, &cache::csi_sanity())
}

/// Builds a program out of a Go module.
fn install_module(what: &str, module: &str, program: &Path) -> Result<()> {
    need("go", "golang-go")?;
    check_go()?;
    let dir = program.parent().context("the program lies in a folder")?;
    say(&format!("building {what} ({module}) into {} (once)", dir.display()));
    fs::create_dir_all(dir)?;
    run(Command::new("go")
        .args(["install", "-trimpath", "-ldflags=-s -w", module])
        .env("GOBIN", dir)
        .env("GOFLAGS", "")
        // A static program: no C compiler is needed.
        .env("CGO_ENABLED", "0"))
}

fn install_etcd() -> Result<()> {
    need("go", "golang-go")?;
    check_go()?;
    let program = cache::etcd();
    let dir = program.parent().context("the program lies in a folder")?;
    say(&format!("building etcd {} into {} (once)", cache::ETCD_VERSION, dir.display()));
    fs::create_dir_all(dir)?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dataplane/testservers/etcd");
    // Under another name first: a build that was interrupted must not look like the program.
    let unfinished = dir.join("etcd.tmp");
    run(Command::new("go")
        .args(["build", "-trimpath", "-mod=readonly", "-ldflags=-s -w", "-o"])
        .arg(&unfinished)
        .arg(".")
        .current_dir(source)
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0"))?;
    Ok(fs::rename(unfinished, program)?)
}

fn install_hdfs() -> Result<()> {
    need("mvn", "maven")?;
    let jars = cache::hdfs_jars();
    say(&format!("fetching HDFS {} into {} (once)", cache::HADOOP_VERSION, jars.display()));
    fs::create_dir_all(&jars)?;
    let pom =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dataplane/testservers/hdfs/pom.xml");
    run(Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", jars.display())))?;
    fs::write(cache::hdfs_mark(), "")?;
    Ok(())
}
