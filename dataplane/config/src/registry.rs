//! Finding a key by the name that somebody wrote.

use crate::spec::KeySpec;
use crate::{client, csi, etcd, fuse, general, legacy, master, metastore, security, ufs, worker};

/// All keys in the order of the reference, legacy ones last.
pub(crate) fn all() -> impl Iterator<Item = &'static KeySpec> {
    implemented().chain(legacy::KEYS.iter())
}

/// All keys that some role reads.
pub(crate) fn implemented() -> impl Iterator<Item = &'static KeySpec> {
    [
        general::KEYS,
        security::KEYS,
        master::KEYS,
        metastore::KEYS,
        etcd::KEYS,
        worker::KEYS,
        client::KEYS,
        fuse::KEYS,
        csi::KEYS,
        ufs::KEYS,
    ]
    .into_iter()
    .flatten()
}

/// A key and its canonical name, with placeholders filled in.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) spec: &'static KeySpec,
    pub(crate) name: String,
}

/// The key with that name or alias; exact names win over templates.
pub(crate) fn find(name: &str) -> Option<Found> {
    let exact = all().find(|spec| spec.name == name || spec.aliases.contains(&name));
    if let Some(spec) = exact {
        return Some(Found { spec, name: spec.name.to_owned() });
    }
    let parts: Vec<&str> = name.split('.').collect();
    all()
        .filter(|spec| spec.is_template())
        .find(|spec| matches(&spec.name.split('.').collect::<Vec<_>>(), &parts))
        .map(|spec| Found { spec, name: name.to_owned() })
}

fn matches(pattern: &[&str], parts: &[&str]) -> bool {
    match (pattern.split_first(), parts.split_first()) {
        (Some((&"<rest>", _)), Some(_)) => parts.iter().all(|part| !part.is_empty()),
        (Some((&"<name>", pattern)), Some((part, parts))) => {
            !part.is_empty() && matches(pattern, parts)
        }
        (Some((want, pattern)), Some((part, parts))) => {
            let same = match want.strip_suffix("<N>") {
                Some(prefix) => part.strip_prefix(prefix).is_some_and(is_number),
                None => want == part,
            };
            same && matches(pattern, parts)
        }
        (None, None) => true,
        _ => false,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The key that an environment variable sets: `ALLUXIO_WORKER_TIEREDSTORE_LEVEL0_ALIAS`. Aliases do
/// not count: Kubernetes injects variables such as `ALLUXIO_WORKER_PORT=tcp://…` on its own.
pub(crate) fn find_by_environment(variable: &str) -> Option<Found> {
    let exact = all().find(|spec| !spec.is_template() && spec.env_name() == variable);
    if let Some(spec) = exact {
        return Some(Found { spec, name: spec.name.to_owned() });
    }
    let tokens: Vec<&str> = variable.split('_').collect();
    all().filter(|spec| spec.is_template()).find_map(|spec| {
        let name = fill(&spec.name.split('.').collect::<Vec<_>>(), &tokens)?;
        Some(Found { spec, name })
    })
}

/// The key that a template becomes for a variable whose name has these tokens. What stands for
/// `<rest>` must be an option of an under store, since the case of its letters is lost.
fn fill(pattern: &[&str], tokens: &[&str]) -> Option<String> {
    let (Some((want, pattern)), Some((token, rest))) =
        (pattern.split_first(), tokens.split_first())
    else {
        return None;
    };
    let part = match want.strip_suffix("<N>") {
        _ if *want == "<rest>" => {
            let variable = tokens.join("_");
            return Some(ufs::KEYS.iter().find(|key| key.env_name() == variable)?.name.to_owned());
        }
        _ if *want == "<name>" && !token.is_empty() => token.to_lowercase(),
        Some(prefix) if token.strip_prefix(&prefix.to_uppercase()).is_some_and(is_number) => {
            token.to_lowercase()
        }
        _ if want.to_uppercase() == *token => (*want).to_owned(),
        _ => return None,
    };
    if pattern.is_empty() && rest.is_empty() {
        return Some(part);
    }
    Some(format!("{part}.{}", fill(pattern, rest)?))
}

/// The known key that looks most like `name`, if one is close enough to be meant.
pub(crate) fn nearest(name: &str) -> Option<String> {
    // A third of the letters wrong is another word, not a slip.
    let limit = (name.len() / 3).clamp(2, 12);
    all()
        .filter(|spec| !spec.name.contains("<rest>"))
        .flat_map(|spec| spec.aliases.iter().copied().chain([spec.name]))
        .map(|known| (distance(name, known), known))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, known)| (*distance, known.len()))
        .map(|(_, known)| known.to_owned())
}

/// Letters to insert, remove or replace to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_declared_once_and_its_default_is_valid() {
        let mut seen = BTreeSet::new();
        for spec in all() {
            assert!(seen.insert(spec.name), "{} is declared twice", spec.name);
            for alias in spec.aliases {
                assert!(seen.insert(alias), "{alias} is declared twice");
            }
            if let Some(default) = spec.default.filter(|default| !default.contains("${")) {
                let ok = crate::value::normalize(&spec.kind, default).is_some();
                assert!(ok, "default of {} is not {}", spec.name, spec.kind);
            }
        }
    }

    #[test]
    fn templates_match_by_component() {
        for (name, spec) in [
            ("alluxio.worker.tieredstore.level3.dirs.path", worker::TIER_PATHS),
            ("alluxio.master.mount.table.s3.option.s3a.accessKeyId", master::MOUNT_OPTION),
            ("alluxio.locality.rack", general::LOCALITY),
            ("alluxio.underfs.address", master::ROOT_UFS),
        ] {
            assert_eq!(find(name).expect(name).spec.name, spec.name);
        }
        assert!(find("alluxio.worker.tieredstore.levelx.dirs.path").is_none());
        assert!(find("alluxio.locality.").is_none());
    }

    #[test]
    fn environment_names_lead_to_keys() {
        for (variable, key) in [
            ("ALLUXIO_MASTER_HOSTNAME", "alluxio.master.hostname"),
            (
                "ALLUXIO_WORKER_TIEREDSTORE_LEVEL0_DIRS_PATH",
                "alluxio.worker.tieredstore.level0.dirs.path",
            ),
            (
                "ALLUXIO_MASTER_MOUNT_TABLE_ROOT_OPTION_S3A_ACCESSKEYID",
                "alluxio.master.mount.table.root.option.s3a.accessKeyId",
            ),
            ("ALLUXIO_MASTER_MOUNT_TABLE_DATA_UFS", "alluxio.master.mount.table.data.ufs"),
        ] {
            assert_eq!(find_by_environment(variable).map(|f| f.name).as_deref(), Some(key));
        }
        assert!(find_by_environment("ALLUXIO_WORKER_PORT").is_none());
    }

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        assert_eq!(nearest("alluxio.master.hostnam").as_deref(), Some("alluxio.master.hostname"));
        assert_eq!(nearest("alluxio.something.else.entirely.of.a.different.shape"), None);
    }
}
