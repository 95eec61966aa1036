//! Options of a mount: which names a store knows, which of them are secrets, and how foreign text
//! is cleaned of secrets before it reaches an error or a log.

use crate::error::{Error, Result};
use crate::location::Location;
use alluxio_config::ufs::canonical_options;
use alluxio_types::{MountOptions, parse_duration};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One option that a store knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// The name in the configuration reference. A name that ends with `*` stands for all that begin
    /// like it.
    pub(crate) name: &'static str,
    /// Other names for the same.
    pub(crate) aliases: &'static [&'static str],
    /// Whether its value is a credential.
    pub(crate) secret: bool,
}

/// An option whose value may be shown.
pub(crate) const fn plain(name: &'static str, aliases: &'static [&'static str]) -> Known {
    Known { name, aliases, secret: false }
}

/// An option whose value is a credential.
pub(crate) const fn secret(name: &'static str, aliases: &'static [&'static str]) -> Known {
    Known { name, aliases, secret: true }
}

impl Known {
    fn answers_to(&self, name: &str) -> bool {
        self.name.strip_suffix('*').map_or(self.name == name, |stem| name.starts_with(stem))
            || self.aliases.contains(&name)
    }
}

/// Names that mean something to every store, or did in Alluxio on the JVM and are harmless here.
const COMMON: &[Known] = &[
    plain("alluxio.underfs.allow.set.owner.failure", &[]),
    plain("alluxio.underfs.listing.length", &[]),
    plain("alluxio.underfs.version", &[]),
    plain("alluxio.underfs.strict.version.match.enabled", &[]),
    plain("alluxio.underfs.cleanup.*", &[]),
    plain("alluxio.underfs.io.threads", &[]),
    plain("alluxio.underfs.object.store.*", &[]),
    plain("alluxio.underfs.persistence.async.temp.dir", &[]),
];

/// The options of one mount, checked, with the process's defaults behind them.
#[derive(Clone)]
pub(crate) struct Options {
    uri: String,
    /// Canonical name (or, for `*` names, the full name) to value.
    values: BTreeMap<String, String>,
    redactor: Redactor,
}

impl Options {
    /// Checks `mount` against what the store `known`s. Defaults may hold anything: they are the
    /// whole configuration file.
    ///
    /// **Errors**: `UnknownOption`.
    pub(crate) fn resolve(
        location: &Location,
        mount: &MountOptions,
        defaults: &MountOptions,
        known: &[Known],
    ) -> Result<Self> {
        let all = || known.iter().chain(COMMON);
        let mount = MountOptions(canonical_options(mount.0.clone()));
        let defaults = canonical_options(defaults.0.clone());
        for name in mount.0.keys() {
            if !all().any(|option| option.answers_to(name)) {
                return Err(Error::UnknownOption {
                    uri: location.as_str().to_owned(),
                    name: name.clone(),
                    nearest: nearest(name, all()),
                });
            }
        }
        let mut values = BTreeMap::new();
        let mut redactor = Redactor::default();
        // The mount's own come last and win.
        for (name, value) in defaults.iter().chain(&mount.0) {
            let Some(option) = all().find(|option| option.answers_to(name)) else { continue };
            if option.secret {
                redactor.hide(value);
            }
            let canonical = if option.name.ends_with('*') { name } else { option.name };
            values.insert(canonical.to_owned(), value.clone());
        }
        Ok(Options { uri: location.as_str().to_owned(), values, redactor })
    }

    /// The value of `name`; an empty value counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A switch; off when not set.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(self.invalid(name, "write true or false")),
        }
    }

    /// A number of at least `least`.
    pub(crate) fn number(&self, name: &str, least: u64) -> Result<Option<u64>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(self.invalid(name, &format!("write a number of at least {least}"))),
        }
    }

    /// A length of time, more than none.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match parse_duration(text) {
            Some(time) if !time.is_zero() => Ok(Some(time)),
            _ => Err(self.invalid(name, "write a time such as 30s or 5min")),
        }
    }

    /// A value that must be there.
    pub(crate) fn required(&self, name: &'static str, why: &'static str) -> Result<&str> {
        let missing = || Error::MissingOption { uri: self.uri.clone(), name, why };
        self.get(name).ok_or_else(missing)
    }

    /// The error for a value that makes no sense.
    pub(crate) fn invalid(&self, name: &str, want: &str) -> Error {
        Error::InvalidOption { uri: self.uri.clone(), name: name.to_owned(), want: want.to_owned() }
    }

    /// Names that begin with `stem`, and their values.
    pub(crate) fn starting_with<'a>(
        &'a self,
        stem: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let below = self.values.range(stem.to_owned()..);
        below
            .take_while(move |(name, _)| name.starts_with(stem))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What cleans text of this mount's secrets.
    pub(crate) fn redactor(&self) -> Redactor {
        self.redactor.clone()
    }
}

/// Removes secrets from text. The one place for it: whatever a store or a library says goes through
/// here before it becomes part of an error or a log line.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    secrets: Vec<String>,
}

/// Shorter values are no secrets worth the name, and would blank out innocent text.
const SECRET_CHARS_MIN: usize = 4;
/// Longer messages of stores (whole HTML pages) are cut.
const DETAIL_CHARS_MAX: usize = 300;

impl Redactor {
    /// Hides `value` from now on.
    pub(crate) fn hide(&mut self, value: &str) {
        let value = value.trim();
        if value.chars().count() >= SECRET_CHARS_MIN {
            self.secrets.push(value.to_owned());
        }
    }

    /// `text` in one line, without secrets, not too long.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut out = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for secret in &self.secrets {
            if out.contains(secret.as_str()) {
                out = out.replace(secret.as_str(), "******");
            }
        }
        if let Some((cut, _)) = out.char_indices().nth(DETAIL_CHARS_MAX) {
            out.truncate(cut);
            out.push('…');
        }
        out
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

/// The known name that a slip of the finger turns into `name`.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a Known>) -> Option<String> {
    // A third of the letters wrong is another word, not a slip.
    let limit = (name.len() / 3).clamp(2, 12);
    let names = known.flat_map(|option| {
        std::iter::once(option.name.trim_end_matches('*')).chain(option.aliases.iter().copied())
    });
    let name = name.to_ascii_lowercase();
    names
        .map(|candidate| (distance(&name, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Edits (insert, delete, replace one letter) from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replace = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] = &[
        plain("alluxio.underfs.s3.endpoint", &[]),
        secret("s3a.secretKey", &["aws.secretKey"]),
        secret("fs.azure.account.key.*", &[]),
    ];

    fn resolve(mount: &[(&str, &str)], defaults: &[(&str, &str)]) -> Result<Options> {
        let map = |pairs: &[(&str, &str)]| {
            MountOptions(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
        };
        let location = Location::parse("s3://bucket/dir").unwrap();
        Options::resolve(&location, &map(mount), &map(defaults), KNOWN)
    }

    #[test]
    fn an_unknown_option_is_refused_with_the_nearest_name() {
        let Err(error) = resolve(&[("s3a.secretkye", "hush-hush")], &[]) else { panic!() };
        let message = error.to_string();
        assert!(message.contains("\"s3a.secretkye\""), "{message}");
        assert!(message.contains("did you mean \"s3a.secretKey\"?"), "{message}");
        assert!(!message.contains("hush-hush"), "{message}");
        let Err(error) = resolve(&[("colour", "red")], &[]) else { panic!() };
        assert!(!error.to_string().contains("did you mean"), "{error}");
        assert!(resolve(&[], &[("alluxio.master.hostname", "x")]).is_ok());
    }

    #[test]
    fn the_mount_wins_over_the_defaults_under_any_alias() {
        let options = resolve(&[("s3a.secretKey", "mine")], &[("aws.secretKey", "all")]).unwrap();
        assert_eq!(options.get("s3a.secretKey"), Some("mine"));
        let options = resolve(&[("fs.azure.account.key.acct", "k")], &[]).unwrap();
        let found: Vec<_> = options.starting_with("fs.azure.account.key.").collect();
        assert_eq!(found, [("fs.azure.account.key.acct", "k")]);
    }

    #[test]
    fn foreign_text_loses_every_secret_of_the_mount() {
        let options =
            resolve(&[("s3a.secretKey", " top-secret\n")], &[("fs.azure.account.key.a", "other")]);
        let redactor = options.unwrap().redactor();
        let text = "signing with top-secret\n failed,\tother=top-secret";
        assert_eq!(redactor.clean(text), "signing with ****** failed, ******=******");
        assert!(!format!("{redactor:?}").contains("top"));
        assert!(redactor.clean(&"x".repeat(10_000)).len() < 400);
    }
}
