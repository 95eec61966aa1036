//! What is made of the Helm chart and kept in the repository: its README, its copy of the kinds, and
//! manifests for who has no Helm.

use crate::run::{project, say};
use alluxio_e2e_kube::programs;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CHART: &str = "charts/alluxio";
/// The namespace of the manifests; with Helm, it is what the user says.
const NAMESPACE: &str = "alluxio-system";

/// `cargo xtask manifests [--check]`: writes them, or only says which would change.
pub(crate) fn manifests(args: &[String]) -> Result<()> {
    let check = args.iter().any(|arg| arg == "--check");
    if let Some(unknown) = args.iter().find(|arg| *arg != "--check") {
        bail!("{unknown}: only --check is known");
    }
    let project = project();
    // First what the chart itself is made of: the rest is rendered from it.
    let mut stale = update(&project, chart_files(&project)?, check)?;
    stale.extend(leftovers(&project, check)?);
    stale.extend(update(&project, rendered(&project)?, check)?);
    if !stale.is_empty() {
        bail!("not as the chart says: {}; run `cargo xtask manifests`", stale.join(", "));
    }
    say(if check { "manifests: as the chart says" } else { "manifests: written" });
    Ok(())
}

/// Contents by path below the project.
type Files = BTreeMap<PathBuf, String>;

fn chart_files(project: &Path) -> Result<Files> {
    let mut files = Files::new();
    for (name, text) in kinds(project)? {
        files.insert(Path::new(CHART).join("files/crds").join(name), text);
    }
    let values = fs::read_to_string(project.join(CHART).join("values.yaml"))?;
    files.insert(Path::new(CHART).join("README.md"), readme(&values));
    Ok(files)
}

/// The kinds, as the operator's API writes them.
fn kinds(project: &Path) -> Result<BTreeMap<String, String>> {
    let mut kinds = BTreeMap::new();
    let Ok(items) = fs::read_dir(project.join("crds")) else { return Ok(kinds) };
    for item in items {
        let path = item?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            kinds.insert(name, fs::read_to_string(path)?);
        }
    }
    Ok(kinds)
}

/// Copies of kinds that are no more.
fn leftovers(project: &Path, check: bool) -> Result<Vec<String>> {
    let kinds = kinds(project)?;
    let mut stale = Vec::new();
    let Ok(items) = fs::read_dir(project.join(CHART).join("files/crds")) else { return Ok(stale) };
    for item in items {
        let path = item?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !kinds.contains_key(&name) {
            if check {
                stale.push(format!("{CHART}/files/crds/{name}"));
            } else {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(stale)
}

fn rendered(project: &Path) -> Result<Files> {
    let text = helm_template(&project.join(CHART))?;
    let namespace = format!(
        "# Made of the chart in {CHART} by `cargo xtask manifests`. Do not edit.\n\
         apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n  labels:\n    \
         # Mounting needs privileges: the CSI driver's pods have them, the operator's have none.\n    \
         pod-security.kubernetes.io/enforce: privileged\n"
    );
    let path = PathBuf::from("manifests/install.yaml");
    Ok(Files::from([(path, format!("{namespace}{text}"))]))
}

fn helm_template(chart: &Path) -> Result<String> {
    let mut helm = Command::new(programs::require(programs::helm())?);
    helm.args(["template", "alluxio"]).arg(chart).args(["--namespace", NAMESPACE]);
    // It asks no cluster for its version.
    helm.args(["--kube-version", programs::KUBERNETES_VERSION]);
    let output = helm.output().context("helm")?;
    if !output.status.success() {
        bail!("helm template: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).context("helm prints UTF-8")?;
    // Helm has no part in these.
    let lines = text.lines().filter(|line| {
        !line.trim_start().starts_with("helm.sh/") && !line.starts_with("# Source: ")
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    Ok(text.replace(
        "app.kubernetes.io/managed-by: \"Helm\"",
        "app.kubernetes.io/managed-by: \"kubectl\"",
    ))
}

/// Writes what differs, or names it.
fn update(project: &Path, files: Files, check: bool) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for (path, text) in files {
        let file = project.join(&path);
        if fs::read_to_string(&file).is_ok_and(|there| there == text) {
            continue;
        }
        if check {
            stale.push(path.display().to_string());
            continue;
        }
        fs::create_dir_all(file.parent().context("files lie in folders")?)?;
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(stale)
}

/// The chart's README, from the comments of its values.
fn readme(values: &str) -> String {
    let mut text = String::from(
        "# Helm chart `alluxio`\n\n\
         Installs the operator with its kinds (`AlluxioCluster`, `Dataset`, …) and the CSI driver `csi.alluxio.dev`.\n\n\
         ```\n\
         helm install alluxio charts/alluxio --namespace alluxio-system --create-namespace\n\
         kubectl label namespace alluxio-system pod-security.kubernetes.io/enforce=privileged\n\
         ```\n\n\
         The label is needed where Pod Security is enforced: the CSI driver mounts, and so is privileged. The operator \
         runs under the level *restricted*.\n\n\
         *Upgrades.* `helm upgrade` brings the kinds up to date, too: they are templates, not in the folder `crds`. \
         With `crds.install=false` they are yours to apply (`kubectl apply --server-side -f crds/`). The keepers of \
         mounts (`…-fuse-keeper`) are not replaced by an upgrade, so that no mount is lost; a new version comes when \
         their pods are deleted, one node at a time.\n\n\
         *Uninstalling.* Delete clusters and datasets first, so that the operator cleans up: \
         `kubectl delete datasets,alluxioclusters --all -A`. Kinds stay (`crds.keep`), and with them what is left of \
         their objects.\n\n\
         *Images* come from `cargo xtask images`; name your registry in `image.repository` and \
         `operator.image.repository`.\n\n\
         ## Values\n\n| value | default | |\n|---|---|---|\n",
    );
    for Value { path, default, about } in documented(values) {
        text += &format!("| `{path}` | `{default}` | {about} |\n");
    }
    text += "\nMade of `values.yaml` by `cargo xtask manifests`.\n";
    text
}

#[derive(Debug, PartialEq, Eq)]
struct Value {
    path: String,
    default: String,
    about: String,
}

/// The values with a comment that begins with two dashes, in order.
fn documented(values: &str) -> Vec<Value> {
    let mut found = Vec::new();
    // Keys above the line, each with its indentation.
    let mut above: Vec<(usize, &str)> = Vec::new();
    let mut about: Option<&str> = None;
    let lines: Vec<&str> = values.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("# -- ") {
            about = Some(comment);
            continue;
        }
        let Some((key, default)) = line.split_once(':') else { continue };
        if line.starts_with('#') || line.starts_with('-') {
            continue;
        }
        above.retain(|(other, _)| *other < indent);
        above.push((indent, key));
        if let Some(about) = about.take() {
            let path = above.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
            let default = match default.trim() {
                "" => below(&lines[number + 1..], indent),
                inline => inline.to_owned(),
            };
            found.push(Value { path, default, about: about.to_owned() });
        }
    }
    found
}

/// A value that stands in the lines below its key.
fn below(lines: &[&str], indent: usize) -> String {
    let deeper = lines
        .iter()
        .take_while(|line| line.trim().is_empty() || line.len() - line.trim_start().len() > indent);
    let parts = deeper.map(|line| line.trim()).filter(|line| !line.is_empty());
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_the_chart_is_as_the_chart_says() {
        manifests(&["--check".to_owned()]).unwrap();
    }

    #[test]
    fn values_are_documented_with_their_paths() {
        let values = "# A chart.\na:\n  # -- First\n  b: 1\n  c: 2\nd:\n  e:\n    # -- Second\n    f:\n      - x\n      - y\n# -- Third\ng: {}\n";
        let found = documented(values);
        let of = |path: &str, default: &str, about: &str| Value {
            path: path.into(),
            default: default.into(),
            about: about.into(),
        };
        assert_eq!(
            found,
            [of("a.b", "1", "First"), of("d.e.f", "- x; - y", "Second"), of("g", "{}", "Third")]
        );
    }
}
