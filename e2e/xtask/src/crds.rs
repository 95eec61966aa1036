//! What the operator's program writes of itself and is kept in the repository: the definitions of its kinds, and the
//! chart's rules and dashboards. Made of Rust types and tables, and never by hand.

use crate::run::{project, say};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Files that a command of the operator writes into a folder.
struct Golden {
    /// The folder, below the project.
    folder: &'static str,
    /// The command, which is told a folder to write into.
    command: &'static [&'static str],
}

const GOLDEN: &[Golden] = &[
    Golden { folder: "crds", command: &["crd"] },
    Golden {
        folder: "charts/alluxio/files/monitoring",
        // The chart puts the release's in its place.
        command: &["monitoring", "--namespace", "@NAMESPACE@"],
    },
];

/// Writes them, or with `--check` says how they differ.
pub(crate) fn crds(args: &[String]) -> Result<()> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("usage: cargo xtask crds [--check]"),
    };
    let mut all = Vec::new();
    for golden in GOLDEN {
        let folder = project().join(golden.folder);
        let made = make(golden, &project().join("target/golden"))?;
        let faults = differences(golden.folder, &made, &read(&folder)?);
        if faults.is_empty() {
            say(&format!("{}: all {} files are as the code says", golden.folder, made.len()));
        } else if !check {
            write(&folder, &made)?;
            say(&format!("{}: wrote\n{}", golden.folder, faults.join("\n")));
        }
        all.extend(faults);
    }
    if check && !all.is_empty() {
        bail!("{}\nrun `cargo xtask crds`", all.join("\n"));
    }
    Ok(())
}

fn write(folder: &Path, made: &BTreeMap<String, String>) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in made {
        fs::write(folder.join(name), text).with_context(|| name.clone())?;
    }
    for name in read(folder)?.keys().filter(|name| !made.contains_key(*name)) {
        fs::remove_file(folder.join(name)).with_context(|| name.clone())?;
    }
    Ok(())
}

/// What the operator writes, by file name.
fn make(golden: &Golden, dir: &Path) -> Result<BTreeMap<String, String>> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args(["run", "--quiet", "--package", "alluxio-operator", "--"])
        .args(golden.command)
        .arg("--output")
        .arg(dir)
        .current_dir(project())
        .status()
        .context("cannot run cargo")?;
    if !done.success() {
        bail!("`alluxio-operator {}` failed", golden.command.join(" "));
    }
    read(dir)
}

fn read(dir: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let Ok(items) = fs::read_dir(dir) else { return Ok(files) };
    for item in items {
        let path = item?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, fs::read_to_string(&path)?);
    }
    Ok(files)
}

fn differences(
    folder: &str,
    made: &BTreeMap<String, String>,
    golden: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, text) in made {
        match golden.get(name) {
            None => faults.push(format!("{folder}/{name}: missing")),
            Some(old) if old != text => {
                let line = 1 + text.lines().zip(old.lines()).take_while(|(a, b)| a == b).count();
                faults.push(format!("{folder}/{name}: differs from line {line} on"));
            }
            Some(_) => {}
        }
    }
    let gone = golden.keys().filter(|name| !made.contains_key(*name));
    faults.extend(gone.map(|name| format!("{folder}/{name}: nothing makes it")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_with_its_line() {
        let files = |items: &[(&str, &str)]| {
            items.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect()
        };
        let made = files(&[("a.yaml", "1\n2\n3\n"), ("b.yaml", "1\n"), ("c.yaml", "1\n")]);
        let golden = files(&[("a.yaml", "1\n2\n4\n"), ("c.yaml", "1\n"), ("d.yaml", "")]);
        assert_eq!(
            differences("crds", &made, &golden),
            [
                "crds/a.yaml: differs from line 3 on",
                "crds/b.yaml: missing",
                "crds/d.yaml: nothing makes it",
            ]
        );
    }
}
