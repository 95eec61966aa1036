//! The images `alluxio` and `alluxio-operator`, as OCI archives: no daemon, no base image, the same
//! bytes from the same commit.

mod contents;
mod program;
mod sbom;

use crate::run::{option, project, say, target_dir};
use alluxio_oci::{Arch, Compression, Image, write};
use anyhow::{Context, Result, bail};
use program::Profile;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const USAGE: &str = "\
usage: cargo xtask images [OPTIONS] [IMAGE...]

Writes IMAGE.tar (an OCI archive) and IMAGE.spdx.json (what is in it) for `alluxio` and `alluxio-operator`.

  --profile release|dev  release: static programs, compressed (default); dev: as `cargo build` makes
                         them, with their libraries, for tests on this machine
  --tag TAG              the version, or `dev`
  --registry PREFIX      what stands before the name: `localhost` unless given
  --out DIR              where to; `target/images` in the cache unless given

Into a cluster of `cargo xtask kube`: `cargo xtask kube import FILE`. Into a registry, with skopeo:
`skopeo copy --all oci-archive:FILE docker://REGISTRY/alluxio:TAG`.
";

/// What an image is made of.
struct Kind {
    /// Its name, its package's, and its program's.
    name: &'static str,
    about: &'static str,
    fill: fn(&mut alluxio_oci::Layer) -> Result<()>,
    user: &'static str,
    folder: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "alluxio",
        about: "Alluxio: masters, workers, mounts, the CSI driver and the command line",
        fill: contents::data_plane,
        user: "1000:1000",
        folder: contents::HOME,
    },
    Kind {
        name: "alluxio-operator",
        about: "The operator of Alluxio for Kubernetes",
        fill: contents::operator,
        user: "65532:65532",
        folder: "/",
    },
];

/// `cargo xtask images`.
pub(crate) fn images(args: &[String]) -> Result<()> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        say(USAGE);
        return Ok(());
    }
    let mut names = args.to_vec();
    let profile = match option(&mut names, "--profile")?.as_deref() {
        None | Some("release") => Profile::Release,
        Some("dev") => Profile::Dev,
        Some(other) => bail!("--profile {other}: release and dev are known"),
    };
    let metadata = metadata()?;
    let version = version(&metadata)?;
    let tag = option(&mut names, "--tag")?.unwrap_or_else(|| match profile {
        Profile::Release => version.clone(),
        Profile::Dev => "dev".to_owned(),
    });
    let registry = option(&mut names, "--registry")?.unwrap_or_else(|| "localhost".to_owned());
    let out = option(&mut names, "--out")?.map(PathBuf::from);
    let out = out.unwrap_or_else(|| target_dir().join("images"));
    if let Some(unknown) = names.iter().find(|name| KINDS.iter().all(|kind| kind.name != **name)) {
        bail!("{unknown}: there is no such image or option\n\n{USAGE}");
    }
    fs::create_dir_all(&out)?;
    for kind in KINDS {
        let wanted = names.is_empty() || names.iter().any(|name| name == kind.name);
        if !wanted {
            continue;
        }
        if sbom::package(&metadata, kind.name).is_none() {
            say(&format!("{}: this project has no such package yet, no image is made", kind.name));
            continue;
        }
        let reference = format!("{registry}/{}:{tag}", kind.name);
        make(kind, profile, &reference, &metadata, &out)?;
    }
    Ok(())
}

fn make(
    kind: &Kind,
    profile: Profile,
    reference: &str,
    metadata: &Value,
    out: &Path,
) -> Result<()> {
    let labels = labels(kind, &version(metadata)?)?;
    let created = labels[CREATED].clone();
    let sbom = sbom::spdx(metadata, kind.name, &created)?;
    let mut images = Vec::new();
    for arch in program::arches(profile) {
        let program = program::build(kind.name, profile, arch)?;
        let mut layer = contents::base()?;
        (kind.fill)(&mut layer)?;
        layer.copy(&format!("/usr/bin/{}", kind.name), 0o755, &program)?;
        layer.text(
            &format!("/usr/share/doc/{}/sbom.spdx.json", kind.name),
            0o644,
            sbom.as_bytes(),
        )?;
        layer.copy(
            &format!("/usr/share/doc/{}/LICENSE", kind.name),
            0o644,
            &project().join("LICENSE"),
        )?;
        if profile == Profile::Dev {
            layer.libraries(&program)?;
        }
        let config = alluxio_oci::Config {
            entrypoint: vec![format!("/usr/bin/{}", kind.name)],
            environment: vec!["PATH=/usr/bin".to_owned(), format!("HOME={}", kind.folder)],
            user: kind.user.to_owned(),
            folder: kind.folder.to_owned(),
            labels: labels.clone(),
            created: created.clone(),
            ..alluxio_oci::Config::default()
        };
        images.push(Image { arch, layer, config });
    }
    let compression = match profile {
        Profile::Release => Compression::Gzip,
        Profile::Dev => Compression::None,
    };
    fs::write(out.join(format!("{}.spdx.json", kind.name)), &sbom)?;
    let path = out.join(format!("{}.tar", kind.name));
    // Under another name first: half an archive must not look like one.
    let unfinished = path.with_extension("unfinished");
    let digest = write(&images, reference, compression, File::create(&unfinished)?)?;
    fs::rename(&unfinished, &path)?;
    let length = fs::metadata(&path)?.len() / (1 << 20);
    let arches: Vec<&str> = images.iter().map(|image| image.arch.name()).collect();
    let arches = arches.join(", ");
    say(&format!("{reference} ({arches}): {} ({length} MiB), {digest}", path.display()));
    Ok(())
}

const CREATED: &str = "org.opencontainers.image.created";

/// The usual labels. The time is the commit's, so that the same commit gives the same bytes.
fn labels(kind: &Kind, version: &str) -> Result<BTreeMap<String, String>> {
    let revision = git(&["rev-parse", "HEAD"])?;
    let dirty = if git(&["status", "--porcelain"])?.is_empty() { "" } else { "-dirty" };
    let created = git(&["show", "-s", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"])?;
    let labels = [
        (CREATED, created),
        ("org.opencontainers.image.title", kind.name.to_owned()),
        ("org.opencontainers.image.description", kind.about.to_owned()),
        ("org.opencontainers.image.licenses", "Apache-2.0".to_owned()),
        ("org.opencontainers.image.version", version.to_owned()),
        ("org.opencontainers.image.revision", format!("{revision}{dirty}")),
    ];
    Ok(labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn git(arguments: &[&str]) -> Result<String> {
    let output =
        Command::new("git").args(arguments).env("TZ", "UTC").current_dir(project()).output();
    let output = output.context("git is needed: images tell their commit")?;
    if !output.status.success() {
        bail!("git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn metadata() -> Result<Value> {
    let mut cargo = crate::run::cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform"]);
    let output = cargo.arg(program::target(Arch::Amd64)).output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn version(metadata: &Value) -> Result<String> {
    let package = sbom::package(metadata, "alluxio").context("the package alluxio")?;
    Ok(package["version"].as_str().unwrap_or_default().to_owned())
}
