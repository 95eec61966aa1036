//! House rules that no compiler checks: who may depend on whom, how long a file or a function may
//! get, words that may not stand in the code. Also runs as a test.

mod functions;

use crate::run::{project, say};
use anyhow::{Context, Result, bail};
use functions::Functions;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines.
const FILE_LINES_MAX: usize = 800;

/// Floors of the house, lowest first. A crate may use crates of lower floors, and on its own floor
/// only what [`SAME_FLOOR`] lists.
const FLOORS: &[(u32, &[&str])] = &[
    (0, &["types", "host"]),
    (1, &["config", "proto", "telemetry", "etcd"]),
    (2, &["namespace", "journal", "election", "blockstore", "datapath", "ufs"]),
    (3, &["rpc", "client", "operator-api"]),
    (4, &["master", "worker", "cli", "fuse", "csi", "python"]),
    (5, &["node", "bench", "operator-controller"]),
    (6, &["alluxio", "operator", "operator-plugin"]),
];

/// Crates beside the data plane's, whose names are not those of their folders.
const OPERATOR: &[(&str, &str)] = &[
    ("api", "operator-api"),
    ("controller", "operator-controller"),
    ("bin", "operator"),
    ("plugin", "operator-plugin"),
];

/// Arrows within a floor, and the one upward exception of a library.
const SAME_FLOOR: &[(&str, &str)] =
    &[("host", "types"), ("proto", "types"), ("telemetry", "config"), ("client", "rpc")];

/// Crates that exist for tests and tools only: they may use anything, and nothing that ships may
/// use them except under `[dev-dependencies]`.
const BESIDE: &[&str] = &["history", "testkit", "testservers", "sim", "xtask"];

/// Words that may not stand in code that ships, and what to do instead.
const BANNED: &[(&str, &str)] = &[
    (concat!("todo", "!("), "build it, or answer Unimplemented"),
    (concat!("unimplemented", "!("), "build it, or answer Unimplemented"),
    (concat!("dbg", "!("), "use tracing"),
    (concat!("FIX", "ME"), "fix it, or open an issue"),
    (concat!("XX", "X:"), "say what is meant"),
    (concat!("#[", "ignore"), "assert today's behaviour and say why"),
];

/// Checks everything and reports all that is wrong.
pub(crate) fn tidy() -> Result<()> {
    let (faults, functions) = faults(&project())?;
    say(&format!("tidy: {}", functions.summary()));
    if faults.is_empty() {
        say("tidy: all rules hold");
        return Ok(());
    }
    bail!("{} faults\n{}", faults.len(), faults.join("\n"));
}

fn faults(project: &Path) -> Result<(Vec<String>, Functions)> {
    let mut faults = Vec::new();
    let mut functions = Functions::default();
    check_floors(project, &mut faults)?;
    let mut files = Vec::new();
    for dir in ["dataplane", "operator", "e2e"] {
        collect(&project.join(dir), &mut files)?;
    }
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let name = file.strip_prefix(project).unwrap_or(&file).display().to_string();
        check_file(&name, &text, &mut faults);
        functions.add_file(&name, &text);
    }
    // No list, no exceptions.
    let list = fs::read_to_string(project.join(functions::LIST)).unwrap_or_default();
    functions.check(&list, &mut faults);
    Ok((faults, functions))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(items) = fs::read_dir(dir) else { return Ok(()) };
    for item in items {
        let path = item?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target" && name != "fuzz") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

fn check_floors(project: &Path, faults: &mut Vec<String>) -> Result<()> {
    let floor_of: BTreeMap<&str, u32> = FLOORS
        .iter()
        .flat_map(|(floor, names)| names.iter().map(move |name| (*name, *floor)))
        .collect();
    for (folder, user, text) in manifests(project)? {
        let Some(floor) = floor_of.get(user.as_str()) else {
            faults.push(format!("{folder}: it has no floor in xtask's table"));
            continue;
        };
        for used in shipped_dependencies(&text) {
            let allowed = floor_of.get(used.as_str()).is_some_and(|other| other < floor)
                || SAME_FLOOR.contains(&(user.as_str(), used.as_str()));
            if !allowed {
                faults
                    .push(format!("{folder}: it may not depend on {used}; arrows go down a floor"));
            }
        }
    }
    Ok(())
}

/// Folder, name without the prefix and manifest of every crate that ships.
fn manifests(project: &Path) -> Result<Vec<(String, String, String)>> {
    let mut found = Vec::new();
    for half in ["dataplane", "operator"] {
        let Ok(items) = fs::read_dir(project.join(half)) else { continue };
        for item in items {
            let item = item?;
            let Ok(text) = fs::read_to_string(item.path().join("Cargo.toml")) else { continue };
            let folder = item.file_name().to_string_lossy().into_owned();
            let operator = OPERATOR.iter().find(|(name, _)| half == "operator" && *name == folder);
            let name = operator.map_or(folder.as_str(), |(_, name)| name).to_owned();
            if !BESIDE.contains(&name.as_str()) && name != "fuzz" {
                found.push((format!("{half}/{folder}"), name, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Names, without the prefix, of our crates under `[dependencies]`.
fn shipped_dependencies(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]"
            && let Some(rest) = line.strip_prefix("alluxio-")
        {
            names.extend(rest.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    names
}

fn check_file(name: &str, text: &str, faults: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        faults.push(format!("{name}: {lines} lines; split it by operation below {FILE_LINES_MAX}"));
    }
    if !text.trim_start().starts_with("//!") && !is_test(name) {
        faults.push(format!("{name}: it does not begin by saying what it is for (//!)"));
    }
    let mut before = "";
    for (number, line) in text.lines().enumerate() {
        for (word, instead) in BANNED {
            if line.contains(word) && !name.ends_with("xtask/src/tidy.rs") {
                faults.push(format!("{name}:{}: {word} — {instead}", number + 1));
            }
        }
        if line.trim_start().starts_with("#[cfg(test)]") || text_is_test(name) {
            break;
        }
        if line.contains(".unwrap()") && !before.trim_start().starts_with("//") {
            faults.push(format!(
                "{name}:{}: unwrap without a proof in a comment above; use a typed error or expect",
                number + 1
            ));
        }
        before = line;
    }
}

fn is_test(name: &str) -> bool {
    text_is_test(name) || name.contains("/examples/")
}

fn text_is_test(name: &str) -> bool {
    name.contains("/tests/")
        || name.ends_with("tests.rs")
        || name.contains("/examples/")
        || BESIDE.iter().any(|beside| name.contains(&format!("/{beside}/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        assert_eq!(faults(&project()).unwrap().0, Vec::<String>::new());
    }

    #[test]
    fn the_operator_has_floors_too() {
        let dir = tempfile::tempdir().unwrap();
        for (folder, uses) in
            [("api", "alluxio-rpc"), ("bin", "alluxio-operator-api"), ("web", "alluxio-types")]
        {
            let krate = dir.path().join("operator").join(folder);
            fs::create_dir_all(&krate).unwrap();
            let manifest = format!("[dependencies]\n{uses}.workspace = true\n");
            fs::write(krate.join("Cargo.toml"), manifest).unwrap();
        }
        assert_eq!(
            faults(dir.path()).unwrap().0,
            [
                "operator/api: it may not depend on rpc; arrows go down a floor",
                "operator/web: it has no floor in xtask's table",
            ]
        );
    }

    #[test]
    fn an_upward_arrow_and_a_long_file_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let krate = dir.path().join("dataplane/types");
        fs::create_dir_all(krate.join("src")).unwrap();
        let manifest = "[dependencies]\nalluxio-master.workspace = true\n[dev-dependencies]\n\
                        alluxio-testkit.workspace = true\n";
        fs::write(krate.join("Cargo.toml"), manifest).unwrap();
        let long = format!("//! Long.\n{}", "//\n".repeat(FILE_LINES_MAX));
        fs::write(krate.join("src/lib.rs"), long).unwrap();
        let found = faults(dir.path()).unwrap().0;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("may not depend on master"));
        assert!(found[1].contains("801 lines"));
    }
}
