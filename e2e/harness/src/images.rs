//! Our images, built for a test.

use crate::cluster::{Cluster, KUBECONFIG};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Builds an image (`alluxio`, `alluxio-operator`) as `cargo xtask images --profile dev` does, once in
/// this process for each tag, gives it to every node of the cluster, and says by which name pods use it.
///
/// On somebody's cluster nothing is built: `ALLUXIO_E2E_IMAGE` and `ALLUXIO_E2E_OPERATOR_IMAGE` name what is in its registry.
///
/// **Errors**: when it can't be built or imported; on somebody's cluster, when the variable is missing.
pub fn provide(cluster: &Cluster, name: &str, tag: &str) -> Result<String> {
    if cluster.nodes().is_err() {
        let variable = match name {
            "alluxio" => "ALLUXIO_E2E_IMAGE",
            _ => "ALLUXIO_E2E_OPERATOR_IMAGE",
        };
        return std::env::var(variable).with_context(|| {
            format!("on the cluster of {KUBECONFIG}, {variable} must name the image {name}")
        });
    }
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let reference = format!("localhost/{name}:{tag}");
    // Held while it is built: who comes second uses what the first one has built.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let archive = match built.get(&reference) {
        Some(archive) => archive.clone(),
        None => build(name, tag)?,
    };
    built.insert(reference.clone(), archive.clone());
    drop(built);
    cluster.load_image(&archive)?;
    Ok(reference)
}

fn build(name: &str, tag: &str) -> Result<PathBuf> {
    // One folder for each tag, beside what cargo builds: the next run writes the same one.
    let tests = std::env::current_exe()?;
    let debug = tests.ancestors().find(|dir| dir.ends_with("debug"));
    let target = debug.and_then(Path::parent).context("tests lie below the target folder")?;
    let out = target.join("images").join(tag);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["run", "--quiet", "--package", "xtask", "--", "images", "--profile", "dev"])
        .args(["--tag", tag, "--out"])
        .arg(&out)
        .arg(name)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target);
    let output = command.output().context("cargo")?;
    let archive = out.join(format!("{name}.tar"));
    if !output.status.success() || !archive.exists() {
        bail!("the image {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(archive)
}
