//! What an image's program is made of, in SPDX 2.3.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The package of this name in the project.
pub(crate) fn package<'a>(metadata: &'a Value, name: &str) -> Option<&'a Value> {
    let members = metadata["workspace_members"].as_array()?;
    packages(metadata)
        .find(|package| package["name"] == name && members.iter().any(|id| *id == package["id"]))
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

/// The document for the package `root`: every crate that is linked into it, with version, origin and licence.
pub(crate) fn spdx(metadata: &Value, root: &str, created: &str) -> Result<String> {
    let root = package(metadata, root).with_context(|| format!("there is no package {root}"))?;
    let by_id: BTreeMap<&str, &Value> =
        packages(metadata).map(|package| (text(package, "id"), package)).collect();
    let edges = linked(metadata, text(root, "id"));
    let mut ids: BTreeSet<&str> = BTreeSet::from([text(root, "id")]);
    ids.extend(edges.iter().map(|(_, to)| *to));
    let mut entries: Vec<Value> =
        ids.iter().filter_map(|id| by_id.get(id)).map(|package| entry(package)).collect();
    entries.sort_by_key(|entry| entry["SPDXID"].to_string());
    let name = |id: &str| by_id.get(id).map(|package| spdx_id(package)).unwrap_or_default();
    let mut relations: Vec<Value> =
        edges.iter().map(|(from, to)| relation(&name(from), "DEPENDS_ON", &name(to))).collect();
    relations.sort_by_key(ToString::to_string);
    relations.insert(0, relation("SPDXRef-DOCUMENT", "DESCRIBES", &spdx_id(root)));
    let (title, version) = (text(root, "name"), text(root, "version"));
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{title}-{version}"),
        // Unique for what it describes: the commit's time and the version.
        "documentNamespace": format!("https://alluxio.dev/spdx/{title}-{version}-{created}"),
        "creationInfo": { "created": created, "creators": ["Tool: cargo-xtask-images"] },
        "packages": entries,
        "relationships": relations,
    });
    Ok(format!("{document:#}\n"))
}

/// Who uses whom, from `root` on, for what ends in the program. Tests' and build scripts' crates don't.
fn linked<'a>(metadata: &'a Value, root: &'a str) -> BTreeSet<(&'a str, &'a str)> {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|node| (text(node, "id"), node))
        .collect();
    let mut edges = BTreeSet::new();
    let mut seen = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        let Some(uses) = nodes.get(id).and_then(|node| node["deps"].as_array()) else { continue };
        for used in uses {
            let kinds = used["dep_kinds"].as_array().into_iter().flatten();
            if !kinds.clone().any(|kind| kind["kind"].is_null()) {
                continue;
            }
            let to = text(used, "pkg");
            edges.insert((id, to));
            if seen.insert(to) {
                open.push(to);
            }
        }
    }
    edges
}

fn entry(package: &Value) -> Value {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let from_registry =
        package["source"].as_str().is_some_and(|source| source.starts_with("registry+"));
    let (location, references) = if from_registry {
        let purl = format!("pkg:cargo/{name}@{version}");
        let reference = json!({
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        });
        (format!("https://crates.io/crates/{name}/{version}"), json!([reference]))
    } else {
        ("NOASSERTION".to_owned(), json!([]))
    };
    // Cargo also knows the older way to write "or".
    let license = package["license"].as_str().map(|license| license.replace('/', " OR "));
    json!({
        "SPDXID": spdx_id(package),
        "name": name,
        "versionInfo": version,
        "downloadLocation": location,
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license.unwrap_or_else(|| "NOASSERTION".to_owned()),
        "copyrightText": "NOASSERTION",
        "externalRefs": references,
    })
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// Letters, digits, dots and dashes only.
fn spdx_id(package: &Value) -> String {
    let plain = format!("{}-{}", text(package, "name"), text(package, "version"));
    let allowed =
        |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    format!("SPDXRef-{}", plain.chars().map(allowed).collect::<String>())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Value {
        let package = |name: &str, source: Value| json!({"id": name, "name": name, "version": "1.0.0+a", "source": source, "license": "MIT/Apache-2.0"});
        let uses = |to: &str, kind: Value| json!({"pkg": to, "dep_kinds": [{"kind": kind}]});
        let registry = json!("registry+https://github.com/rust-lang/crates.io-index");
        json!({
            "workspace_members": ["program"],
            "packages": [
                package("program", Value::Null),
                package("linked", registry.clone()),
                package("deep", registry.clone()),
                package("built", registry.clone()),
                package("tested", registry),
            ],
            "resolve": {"nodes": [
                {"id": "program", "deps": [uses("linked", Value::Null), uses("tested", json!("dev"))]},
                {"id": "linked", "deps": [uses("deep", Value::Null), uses("built", json!("build"))]},
                {"id": "deep", "deps": []},
            ]},
        })
    }

    #[test]
    fn what_is_linked_is_listed_and_nothing_else() {
        let text = spdx(&metadata(), "program", "2026-01-01T00:00:00Z").unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let names: Vec<&str> = document["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| package["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["deep", "linked", "program"]);
        assert_eq!(document["packages"][0]["licenseDeclared"], "MIT OR Apache-2.0");
        assert_eq!(document["packages"][0]["SPDXID"], "SPDXRef-deep-1.0.0-a");
        assert_eq!(document["relationships"].as_array().unwrap().len(), 3);
        assert!(spdx(&metadata(), "linked", "").is_err(), "it is not ours");
    }
}
