//! Path arguments: `/path`, `alluxio://host:port/path`, `file:///path`, with `*` wildcards.

use crate::error::CliError;
use alluxio_config::HostPort;
use alluxio_types::AlluxioPath;
use std::path::PathBuf;

const SCHEME: &str = "alluxio://";
const FILE_SCHEME: &str = "file://";

/// What to write in place of `zk@…` and `ebj@…`.
const NO_LOGICAL_NAMES: &str = "masters are not found through ZooKeeper or by logical names; write \
    alluxio://HOST1:19998,HOST2:19998/PATH, or only /PATH and set alluxio.master.rpc.addresses or \
    alluxio.etcd.endpoints";

/// A path in the namespace, perhaps with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Masters named in the URI; empty for the configured ones.
    pub masters: Vec<HostPort>,
    /// The path; `*` in a component stands for any letters.
    pub path: AlluxioPath,
}

/// Either side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the namespace.
    Alluxio(AlluxioPath),
    /// On this machine.
    Local(PathBuf),
}

/// Reads `/path` or `alluxio://authority/path`.
///
/// **Errors**: `BadUri` for other schemes and for an authority that is not `host:port`; `Refused` for
/// ZooKeeper's; `BadPath`.
pub fn parse(text: &str) -> Result<Target, CliError> {
    let Some(rest) = text.strip_prefix(SCHEME) else {
        if text.contains("://") {
            return Err(CliError::BadUri { uri: text.to_owned() });
        }
        return Ok(Target { masters: Vec::new(), path: path(text)? });
    };
    let (authority, rest) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if authority.starts_with("zk@") || authority.starts_with("ebj@") {
        return Err(CliError::Refused { message: format!("{text:?}: {NO_LOGICAL_NAMES}") });
    }
    let masters = authority
        .split([',', ';', '+'])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_err(|_| CliError::BadUri { uri: text.to_owned() }))
        .collect::<Result<_, _>>()?;
    Ok(Target { masters, path: path(rest)? })
}

fn path(text: &str) -> Result<AlluxioPath, CliError> {
    AlluxioPath::parse(text).map_err(|source| CliError::BadPath { text: text.to_owned(), source })
}

/// Reads one side of `cp`: `file://` is this machine, everything else the namespace.
///
/// **Errors**: as [`parse`].
pub fn place(text: &str) -> Result<Place, CliError> {
    match local(text) {
        Some(path) => Ok(Place::Local(path)),
        None => Ok(Place::Alluxio(parse(text)?.path)),
    }
}

/// The local path of a `file:` URI.
pub fn local(text: &str) -> Option<PathBuf> {
    let rest = text.strip_prefix(FILE_SCHEME).or_else(|| text.strip_prefix("file:"))?;
    Some(PathBuf::from(rest))
}

/// The local path of an argument that can only be local, with or without `file://`.
pub fn local_or_plain(text: &str) -> PathBuf {
    local(text).unwrap_or_else(|| PathBuf::from(text))
}

/// The masters that a command line names in its URIs.
///
/// **Errors**: `BadUri` for a malformed authority; `Refused` when two arguments name different
/// clusters.
pub fn masters_of(arguments: &[String]) -> Result<Vec<HostPort>, CliError> {
    let mut found: Option<(&String, Vec<HostPort>)> = None;
    for argument in arguments.iter().filter(|argument| argument.starts_with(SCHEME)) {
        let masters = parse(argument)?.masters;
        if masters.is_empty() {
            continue;
        }
        match &found {
            Some((first, known)) if *known != masters => {
                return Err(CliError::Refused {
                    message: format!(
                        "{first} and {argument} name different clusters: use one at a time"
                    ),
                });
            }
            _ => found = Some((argument, masters)),
        }
    }
    Ok(found.map(|(_, masters)| masters).unwrap_or_default())
}

/// Whether a path or name has wildcards.
pub fn is_pattern(text: &str) -> bool {
    text.contains('*')
}

/// Whether `name` fits `pattern`, in which `*` stands for any letters, also none.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uris_name_masters_or_leave_them_open() {
        let plain = parse("/a/../b").unwrap();
        assert_eq!((plain.masters.len(), plain.path.as_str()), (0, "/b"));
        let one = parse("alluxio://m:19998/a").unwrap();
        assert_eq!(one.masters, [HostPort::new("m", 19998)]);
        let many = parse("alluxio://a:1,b:2;c:3/x/*").unwrap();
        assert_eq!((many.masters.len(), many.path.as_str()), (3, "/x/*"));
        assert_eq!(parse("alluxio:///a").unwrap().masters, []);
        assert_eq!(parse("alluxio://m:1").unwrap().path, AlluxioPath::root());
    }

    #[test]
    fn other_schemes_and_relative_paths_are_refused_by_name() {
        for text in ["s3://b/a", "alluxio://m/a", "alluxio://m:x/a"] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(text), "{message}");
        }
        assert!(parse("a/b").unwrap_err().to_string().contains("a/b"));
    }

    #[test]
    fn uris_of_zookeeper_say_what_to_write_instead() {
        for text in ["alluxio://zk@z1:2181,z2:2181/a", "alluxio://ebj@cluster/a"] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains("alluxio://HOST1:19998,HOST2:19998/PATH"), "{message}");
        }
    }

    #[test]
    fn one_command_talks_to_one_cluster() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let same = words(&["ls", "alluxio://m:1/a", "/b", "alluxio://m:1/c"]);
        assert_eq!(masters_of(&same).unwrap(), [HostPort::new("m", 1)]);
        let two = words(&["cp", "alluxio://m:1/a", "alluxio://n:1/c"]);
        assert!(masters_of(&two).is_err());
    }

    #[test]
    fn local_files_are_told_by_their_scheme() {
        assert_eq!(place("file:///tmp/a").unwrap(), Place::Local("/tmp/a".into()));
        assert_eq!(place("/tmp/a").unwrap(), Place::Alluxio(AlluxioPath::parse("/tmp/a").unwrap()));
        assert_eq!(local_or_plain("rel/a"), PathBuf::from("rel/a"));
    }

    #[test]
    fn stars_match_any_letters() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "axxbyyc", true),
            ("ab*ba", "aba", false),
            ("a", "ab", false),
            ("*.txt", "a.txtx", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_fits_the_pattern_it_was_made_from(parts in prop::collection::vec("[ab]{0,3}", 1..5),
                                                    fills in prop::collection::vec("[abc]{0,3}", 4)) {
            let pattern = parts.join("*");
            let mut name = parts[0].clone();
            for (part, fill) in parts[1..].iter().zip(&fills) {
                name += fill;
                name += part;
            }
            prop_assert!(matches(&pattern, &name));
        }
    }
}
