//! `crds/*.yaml`: the definitions of the operator's kinds, made of their Rust types and never by hand.

use crate::run::{project, say};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes them, or with `--check` says how they differ.
pub(crate) fn crds(args: &[String]) -> Result<()> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("usage: cargo xtask crds [--check]"),
    };
    let golden = project().join("crds");
    let made = make(&project().join("target/crds"))?;
    let faults = differences(&made, &read(&golden)?);
    if faults.is_empty() {
        say(&format!("crds: all {} files are as the types say", made.len()));
        return Ok(());
    }
    if check {
        bail!("{}\nrun `cargo xtask crds`", faults.join("\n"));
    }
    fs::create_dir_all(&golden)?;
    for (name, text) in &made {
        fs::write(golden.join(name), text).with_context(|| name.clone())?;
    }
    for name in read(&golden)?.keys().filter(|name| !made.contains_key(*name)) {
        fs::remove_file(golden.join(name)).with_context(|| name.clone())?;
    }
    say(&format!("crds: wrote\n{}", faults.join("\n")));
    Ok(())
}

/// What the operator says its kinds are, by file name.
fn make(dir: &Path) -> Result<BTreeMap<String, String>> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args(["run", "--quiet", "--package", "alluxio-operator", "--", "crd", "--output"])
        .arg(dir)
        .current_dir(project())
        .status()
        .context("cannot run cargo")?;
    if !done.success() {
        bail!("`alluxio-operator crd` failed");
    }
    read(dir)
}

fn read(dir: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let Ok(items) = fs::read_dir(dir) else { return Ok(files) };
    for item in items {
        let path = item?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(files)
}

fn differences(made: &BTreeMap<String, String>, golden: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, text) in made {
        match golden.get(name) {
            None => faults.push(format!("crds/{name}: missing")),
            Some(old) if old != text => {
                let line = 1 + text.lines().zip(old.lines()).take_while(|(a, b)| a == b).count();
                faults.push(format!("crds/{name}: differs from line {line} on"));
            }
            Some(_) => {}
        }
    }
    let gone = golden.keys().filter(|name| !made.contains_key(*name));
    faults.extend(gone.map(|name| format!("crds/{name}: no kind has it")));
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
            differences(&made, &golden),
            [
                "crds/a.yaml: differs from line 3 on",
                "crds/b.yaml: missing",
                "crds/d.yaml: no kind has it",
            ]
        );
    }
}
