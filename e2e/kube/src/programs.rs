//! The programs of a cluster: where they are, and how they are built.

use alluxio_testservers::cache;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The version of Kubernetes; the same stands in `cluster/go.mod`.
pub const KUBERNETES_VERSION: &str = "v1.34.4";

/// What the one program of Kubernetes can be called as.
const COMPONENTS: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
];

/// Debian's packages that a cluster with nodes needs, each with a program or file of it.
pub const PACKAGES: &[(&str, &str)] = &[
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/usr/bin/socat", "socat"),
    ("/usr/bin/openssl", "openssl"),
    ("/bin/busybox", "busybox-static"),
    ("/sbin/ip", "iproute2"),
    ("/usr/bin/unshare", "util-linux"),
];

/// The sources of one group of programs. They are part of this program, so that it always knows
/// which build is the right one.
struct Module {
    name: &'static str,
    sources: &'static [(&'static str, &'static str)],
}

const CLUSTER: Module = Module {
    name: "cluster",
    sources: &[
        ("go.mod", include_str!("../cluster/go.mod")),
        ("go.sum", include_str!("../cluster/go.sum")),
        ("main.go", include_str!("../cluster/main.go")),
        ("version", KUBERNETES_VERSION),
    ],
};

const ADDONS: Module = Module {
    name: "addons",
    sources: &[
        ("go.mod", include_str!("../addons/go.mod")),
        ("go.sum", include_str!("../addons/go.sum")),
        ("main.go", include_str!("../addons/main.go")),
    ],
};

const PAUSE: Module =
    Module { name: "pause", sources: &[("pause.c", include_str!("../images/pause.c"))] };

impl Module {
    /// Where its programs are: a folder for each state of the sources.
    fn folder(&self) -> PathBuf {
        let mut hash = Sha256::new();
        for (name, text) in self.sources {
            // The lengths keep the end of one from being the beginning of the next.
            hash.update(format!("{name} {} ", text.len()));
            hash.update(text);
        }
        let key: String = hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        home().join(format!("{}-{key}", self.name))
    }
}

/// Where all of this lies: `~/.cache/alluxio/kube`.
pub fn home() -> PathBuf {
    cache::root().join("kube")
}

/// A component of Kubernetes, etcd or kubectl.
pub fn component(name: &str) -> PathBuf {
    CLUSTER.folder().join(name)
}

/// CoreDNS.
pub fn coredns() -> PathBuf {
    ADDONS.folder().join("coredns")
}

/// Helm.
pub fn helm() -> PathBuf {
    ADDONS.folder().join("helm")
}

/// The first process of every pod, node and cluster.
pub fn pause() -> PathBuf {
    PAUSE.folder().join("pause")
}

/// Whether everything is built.
pub fn are_built() -> bool {
    let all = [component("kube"), coredns(), helm(), pause()];
    all.iter().all(|program| program.exists())
}

/// Says what to do, unless `path` is there.
///
/// **Errors**: when it is not.
pub fn require(path: PathBuf) -> Result<PathBuf> {
    if !path.exists() {
        bail!(
            "{} is missing: run `cargo xtask kube build` (about 7 minutes, once)",
            path.display()
        );
    }
    Ok(path)
}

/// The packages that are not there.
pub fn missing_packages() -> Vec<&'static str> {
    let missing = PACKAGES.iter().filter(|(file, _)| !Path::new(file).exists());
    missing.map(|(_, package)| *package).collect()
}

/// Builds what is missing, with low priority, and removes older builds. `say` is told what happens.
///
/// **Errors**: without a Go compiler, a network, or a C compiler, and when a build fails.
pub fn build(say: &dyn Fn(&str)) -> Result<()> {
    let go_cache = home().join("go-build");
    build_kubernetes(&go_cache, say).context("Kubernetes for the tests")?;
    build_addons(&go_cache, say).context("CoreDNS and helm for the tests")?;
    build_pause(say).context("the image of pods' first process")?;
    // Gigabytes, and of no use until a version changes.
    if go_cache.exists() {
        fs::remove_dir_all(&go_cache)?;
    }
    remove_older_builds()
}

fn build_kubernetes(go_cache: &Path, say: &dyn Fn(&str)) -> Result<()> {
    if component("kube").exists() {
        return Ok(());
    }
    say(&format!("building etcd and Kubernetes {KUBERNETES_VERSION}: about 6 minutes, once"));
    let minor = KUBERNETES_VERSION.split('.').nth(1).unwrap_or_default();
    // Without these the components call themselves v0.0.0, and charts that ask for a version are refused.
    let version = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {version}.gitVersion={KUBERNETES_VERSION} -X {version}.gitMajor=1 \
         -X {version}.gitMinor={minor} -X {version}.gitTreeState=clean"
    );
    let folder = CLUSTER.folder();
    fs::create_dir_all(&folder)?;
    for name in COMPONENTS {
        let link = folder.join(name);
        if !link.is_symlink() {
            symlink("kube", link)?;
        }
    }
    go_build("cluster", ".", &flags, &component("kube"), go_cache, say)
}

fn build_addons(go_cache: &Path, say: &dyn Fn(&str)) -> Result<()> {
    for (program, package) in [(coredns(), "."), (helm(), "helm.sh/helm/v3/cmd/helm")] {
        if !program.exists() {
            fs::create_dir_all(ADDONS.folder())?;
            go_build("addons", package, "-s -w", &program, go_cache, say)?;
        }
    }
    Ok(())
}

fn go_build(
    module: &str,
    package: &str,
    flags: &str,
    program: &Path,
    go_cache: &Path,
    say: &dyn Fn(&str),
) -> Result<()> {
    let start = Instant::now();
    // Under another name first: a build that was interrupted must not look like the program.
    let unfinished = program.with_extension("unfinished");
    let mut go = Command::new("nice");
    go.args(["-n", "10", "go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly"])
        .args(["-ldflags", flags, "-o"])
        .arg(&unfinished)
        .arg(package)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(module))
        .env("GOFLAGS", "")
        .env("GOCACHE", go_cache)
        // Static programs: they run in images that hold nothing else.
        .env("CGO_ENABLED", "0");
    run(&mut go)?;
    fs::rename(unfinished, program)?;
    say(&format!("built {} in {} s", program.display(), start.elapsed().as_secs()));
    Ok(())
}

fn build_pause(say: &dyn Fn(&str)) -> Result<()> {
    let program = pause();
    if program.exists() {
        return Ok(());
    }
    fs::create_dir_all(PAUSE.folder())?;
    let unfinished = program.with_extension("unfinished");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/pause.c");
    run(Command::new("cc").args(["-Os", "-s", "-static", "-o"]).arg(&unfinished).arg(source))?;
    fs::rename(unfinished, &program)?;
    say(&format!("built {}", program.display()));
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}

fn remove_older_builds() -> Result<()> {
    let modules = [CLUSTER, ADDONS, PAUSE];
    for item in fs::read_dir(home())? {
        let path = item?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let build = modules.iter().any(|module| name.starts_with(&format!("{}-", module.name)));
        if build && modules.iter().all(|module| module.folder() != path) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_source_is_another_folder() {
        let one = Module { name: "m", sources: &[("a", "1"), ("b", "2")] };
        let two = Module { name: "m", sources: &[("a", "12"), ("b", "")] };
        assert_ne!(one.folder(), two.folder());
        assert_eq!(one.folder(), Module { ..one }.folder());
    }

    #[test]
    fn the_version_is_that_of_the_module() {
        let line = format!("k8s.io/kubernetes {KUBERNETES_VERSION}\n");
        assert!(CLUSTER.sources[0].1.contains(&line));
    }
}
