//! Merging the sources, substituting `${…}`, checking every value.

use crate::error::{ConfigError, Fault};
use crate::general::{self, GeneralConfig};
use crate::machine::Machine;
use crate::reader::Reader;
use crate::source::{SiteFile, Source, Sources};
use crate::spec::{KeySpec, Roles};
use crate::{
    ClientConfig, CsiConfig, FuseConfig, MASK, MasterConfig, WorkerConfig, client, csi, fuse,
    legacy, master, properties, registry, source, ufs, value, worker,
};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Name of the site file.
pub const SITE_FILE_NAME: &str = "alluxio-site.properties";

/// One key's value.
#[derive(Clone)]
pub struct Setting {
    /// The value with `${…}` filled in, otherwise as written.
    pub value: String,
    /// The value in the form that readers parse.
    pub(crate) normal: String,
    /// Who set it.
    pub source: Source,
    /// Whether it must not be printed.
    pub credential: bool,
}

impl Setting {
    /// Whether somebody set it.
    pub fn is_set(&self) -> bool {
        self.source != Source::Default
    }

    /// The value, or `******` for a credential.
    pub fn shown(&self) -> &str {
        if self.credential && !self.value.is_empty() { MASK } else { &self.value }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({})", self.shown(), self.source)
    }
}

/// Something a person should know that does not stop the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The key, as written.
    pub key: String,
    /// What is odd about it, with its place.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// A loaded configuration: every key has a value of its type, or none.
#[derive(Debug, Clone)]
pub struct Config {
    settings: BTreeMap<String, Setting>,
    warnings: Vec<Warning>,
    machine: Machine,
    site_file: Option<PathBuf>,
    searched: Vec<PathBuf>,
    sources: Sources,
}

/// A value before substitution.
struct Raw {
    text: String,
    source: Source,
    spec: &'static KeySpec,
}

/// What merging collects.
#[derive(Default)]
struct Merge {
    raw: BTreeMap<String, Raw>,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

impl Config {
    /// Merges and checks. Warnings are kept in [`Config::warnings`].
    ///
    /// **Errors**: all faults of all sources at once.
    pub fn load(sources: Sources) -> Result<Config, ConfigError> {
        let mut merge = Merge::default();
        for spec in registry::all().filter(|spec| !spec.is_template()) {
            if let Some(default) = spec.default {
                merge.put(spec.name.to_owned(), spec, default.to_owned(), Source::Default);
            }
        }
        let (site_file, searched) = read_site_file(&sources, &mut merge);
        merge_environment(&sources, &mut merge);
        for (key, text) in &sources.arguments {
            merge.set(key, text, Source::Argument);
        }
        for (key, text) in &sources.runtime {
            merge.set(key, text, Source::Runtime);
        }
        let settings = resolve(&mut merge, &sources.machine);
        if !merge.faults.is_empty() {
            return Err(ConfigError { faults: merge.faults });
        }
        let machine = sources.machine.clone();
        let warnings = merge.warnings;
        Ok(Config { settings, warnings, machine, site_file, searched, sources })
    }

    /// Only defaults and these values; for tests and for what the program itself decides.
    ///
    /// **Errors**: as [`Config::load`].
    pub fn of<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Config, ConfigError> {
        Config::load(Sources::none().with_runtime(pairs))
    }

    /// The same sources, and these values on top.
    ///
    /// **Errors**: as [`Config::load`].
    pub fn with<K: Into<String>, V: Into<String>>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Config, ConfigError> {
        Config::load(self.sources.clone().with_runtime(pairs))
    }

    /// The master's section.
    ///
    /// **Errors**: what is missing or contradicts itself, all at once.
    pub fn master(&self) -> Result<MasterConfig, ConfigError> {
        self.section(master::section)
    }

    /// The worker's section.
    ///
    /// **Errors**: as [`Config::master`].
    pub fn worker(&self) -> Result<WorkerConfig, ConfigError> {
        self.section(worker::section)
    }

    /// The client's section.
    ///
    /// **Errors**: as [`Config::master`].
    pub fn client(&self) -> Result<ClientConfig, ConfigError> {
        self.section(client::section)
    }

    /// The section of mounts through the kernel.
    ///
    /// **Errors**: as [`Config::master`].
    pub fn fuse(&self) -> Result<FuseConfig, ConfigError> {
        self.section(fuse::section)
    }

    /// The section of the CSI driver.
    ///
    /// **Errors**: as [`Config::master`].
    pub fn csi(&self) -> Result<CsiConfig, ConfigError> {
        self.section(csi::section)
    }

    /// What every process needs.
    ///
    /// **Errors**: as [`Config::master`].
    pub fn general(&self) -> Result<GeneralConfig, ConfigError> {
        self.section(general::section)
    }

    fn section<T>(&self, read: impl Fn(&mut Reader<'_>) -> T) -> Result<T, ConfigError> {
        let mut reader = Reader::new(self);
        let section = read(&mut reader);
        let faults = reader.into_faults();
        if faults.is_empty() { Ok(section) } else { Err(ConfigError { faults }) }
    }

    /// The value of a key, by any of its names; `None` when there is none.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.get(&registry::find(key)?.name)
    }

    /// Whether a key of that name can be set.
    pub fn is_known(key: &str) -> bool {
        registry::find(key).is_some() || !key.starts_with("alluxio.") && ufs::is_option(key)
    }

    /// The name that an alias stands for, or the name itself; `None` for a key that is not known.
    pub fn canonical_name(key: &str) -> Option<String> {
        registry::find(key).map(|found| found.name)
    }

    /// The known key that looks most like `key`.
    pub fn nearest(key: &str) -> Option<String> {
        registry::nearest(key)
    }

    /// Who set a key; `None` for a key without a value.
    pub fn source_of(&self, key: &str) -> Option<&Source> {
        self.get(key).map(|setting| &setting.source)
    }

    /// All keys with a value, by canonical name.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    /// What is odd, and does not stop anything.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The site file that was read, if any.
    pub fn site_file(&self) -> Option<&Path> {
        self.site_file.as_deref()
    }

    /// Facts of the machine that defaults came from.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Everything that somebody set, as a site file that loads to the same values. Credentials are
    /// in it: the caller keeps the file private.
    pub fn to_properties(&self) -> String {
        let mut out = String::new();
        for (name, setting) in self.settings.iter().filter(|(_, setting)| setting.is_set()) {
            out.push_str(&properties::write_line(name, &setting.value));
            out.push('\n');
        }
        out
    }

    pub(crate) fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    pub(crate) fn normal(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|setting| setting.normal.as_str())
    }

    pub(crate) fn settings_below(&self, prefix: &str) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, setting)| (name.as_str(), setting))
    }

    pub(crate) fn place_of(&self, name: &str) -> String {
        self.settings.get(name).map_or_else(|| "default".to_owned(), |s| s.source.place())
    }

    pub(crate) fn site_hint(&self) -> String {
        match self.site_file.as_ref().or(self.searched.first()) {
            Some(path) => path.display().to_string(),
            None => SITE_FILE_NAME.to_owned(),
        }
    }
}

impl Merge {
    fn put(&mut self, name: String, spec: &'static KeySpec, text: String, source: Source) {
        self.raw.insert(name, Raw { text, source, spec });
    }

    /// Takes one value under whatever name it was written.
    fn set(&mut self, key: &str, text: &str, source: Source) {
        match registry::find(key) {
            Some(found) => {
                if found.spec.roles == Roles::NONE {
                    let message = format!("has no effect here ({})", source.place());
                    self.warnings.push(Warning { key: key.to_owned(), message });
                }
                self.put(found.name, found.spec, text.to_owned(), source);
            }
            None if key.starts_with("alluxio.") => self.faults.push(Fault::UnknownKey {
                key: key.to_owned(),
                source_name: source.place(),
                nearest: registry::nearest(key),
            }),
            None => {
                let hint = registry::nearest(key)
                    .map(|name| format!(", did you mean {name}?"))
                    .unwrap_or_default();
                let message = format!("is not a key of ours ({}){hint}", source.place());
                self.warnings.push(Warning { key: key.to_owned(), message });
                self.put(key.to_owned(), legacy::foreign(key), text.to_owned(), source);
            }
        }
    }
}

/// Reads the site file. Where it is searched can itself be set by `-D` and by the environment.
fn read_site_file(sources: &Sources, merge: &mut Merge) -> (Option<PathBuf>, Vec<PathBuf>) {
    let (path, searched) = match &sources.site_file {
        SiteFile::None => return (None, Vec::new()),
        SiteFile::At(path) => (Some(path.clone()), vec![path.clone()]),
        SiteFile::Search => {
            let searched = search_path(sources);
            (searched.iter().find(|path| path.is_file()).cloned(), searched)
        }
    };
    let Some(path) = path else { return (None, searched) };
    match std::fs::read_to_string(&path) {
        Err(error) => {
            merge.faults.push(Fault::Unreadable { path: path.clone(), reason: error.to_string() });
        }
        Ok(text) => {
            let (found, bad) = properties::parse(&text);
            for bad in bad {
                let (line, reason) = (bad.line, bad.reason);
                merge.faults.push(Fault::BadLine { path: path.clone(), line, reason });
            }
            for property in found {
                let source = Source::Site { path: path.clone(), line: property.line };
                merge.set(&property.key, &property.value, source);
            }
        }
    }
    (Some(path), searched)
}

/// Candidates for the site file in the order in which they are tried.
fn search_path(sources: &Sources) -> Vec<PathBuf> {
    let only = Sources { site_file: SiteFile::None, ..sources.clone() };
    // Other values are checked later; only those that lead to the file count here.
    let leading = [&general::HOME, &general::CONF_DIR, &general::SITE_CONF_DIR];
    let mut merge = Merge::default();
    for spec in leading {
        let default = spec.default.unwrap_or_default().to_owned();
        merge.put(spec.name.to_owned(), spec, default, Source::Default);
    }
    let mut all = Merge::default();
    merge_environment(&only, &mut all);
    for (key, text) in only.arguments.iter().chain(&only.runtime) {
        all.set(key, text, Source::Argument);
    }
    for spec in leading {
        if let Some(raw) = all.raw.remove(spec.name) {
            merge.raw.insert(spec.name.to_owned(), raw);
        }
    }
    let settings = resolve(&mut merge, &sources.machine);
    let folders = settings.get(general::SITE_CONF_DIR.name).map(|s| s.normal.clone());
    value::split_list(&folders.unwrap_or_default())
        .into_iter()
        .map(|folder| Path::new(&folder).join(SITE_FILE_NAME))
        .collect()
}

/// Old variables whose names do not follow from a key, with the keys they set.
const OLD_VARIABLES: [(&str, &str); 4] = [
    ("ALLUXIO_UNDERFS_ADDRESS", "alluxio.master.mount.table.root.ufs"),
    ("ALLUXIO_RAM_FOLDER", "alluxio.worker.tieredstore.level0.dirs.path"),
    ("ALLUXIO_WORKER_MEMORY_SIZE", "alluxio.worker.ramdisk.size"),
    ("ALLUXIO_MASTER_ADDRESS", "alluxio.master.hostname"),
];

fn merge_environment(sources: &Sources, merge: &mut Merge) {
    for (variable, text) in &sources.environment {
        if !variable.starts_with("ALLUXIO_") || variable.ends_with("_JAVA_OPTS") || text.is_empty()
        {
            continue;
        }
        let source = Source::Environment { variable: variable.clone() };
        let old = OLD_VARIABLES.iter().find(|(old, _)| old == variable);
        // Unknown variables are not ours to judge: Kubernetes adds many for a service "alluxio".
        if let Some((_, key)) = old {
            merge.set(key, text, source);
        } else if let Some(found) = registry::find_by_environment(variable) {
            merge.set(&found.name, text, source);
        }
    }
    for variable in java_opts(sources.roles) {
        let Some(options) = sources.environment.get(variable) else { continue };
        for pair in options.split_whitespace().filter_map(|word| word.strip_prefix("-D")) {
            let (key, text) = source::split_pair(pair);
            let text = text.trim_matches(['"', '\'']);
            // Options for Java itself (-Dlog4j…) come with these variables; only ours count.
            if key.starts_with("alluxio.") || ufs::is_option(&key) {
                merge.set(&key, text, Source::Environment { variable: variable.to_owned() });
            }
        }
    }
}

/// Variables with `-D` options for a process of these roles, the most specific last.
fn java_opts(roles: Roles) -> Vec<&'static str> {
    let specific = [
        (Roles::MASTER, "ALLUXIO_MASTER_JAVA_OPTS"),
        (Roles::WORKER, "ALLUXIO_WORKER_JAVA_OPTS"),
        (Roles::CLIENT, "ALLUXIO_USER_JAVA_OPTS"),
    ];
    let specific = specific.into_iter().filter(|(role, _)| role.intersects(roles));
    std::iter::once("ALLUXIO_JAVA_OPTS").chain(specific.map(|(_, name)| name)).collect()
}

/// Substitutes and checks everything.
fn resolve(merge: &mut Merge, machine: &Machine) -> BTreeMap<String, Setting> {
    let mut done: BTreeMap<String, Setting> = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, raw) in &merge.raw {
        let mut chain = vec![name.clone()];
        let text = match substitute(&merge.raw, machine, name, &mut chain) {
            Ok(text) => text,
            Err(fault) => {
                // Every key on a cycle would report it; the first in order of name is enough.
                let seen =
                    matches!(&fault, Fault::Cycle { chain } if chain.iter().min() != Some(name));
                if !seen {
                    faults.push(fault);
                }
                continue;
            }
        };
        let credential = raw.spec.credential || ufs::is_credential(name);
        match value::normalize(&raw.spec.kind, &text) {
            Some(normal) => {
                let source = raw.source.clone();
                done.insert(name.clone(), Setting { value: text, normal, source, credential });
            }
            None => faults.push(Fault::BadValue {
                key: name.clone(),
                value: if credential { MASK.to_owned() } else { text },
                source_name: raw.source.place(),
                expected: raw.spec.kind.to_string(),
            }),
        }
    }
    merge.faults.append(&mut faults);
    done
}

/// The value of `name` with every `${…}` replaced; `chain` holds the keys on the way here.
fn substitute(
    raw: &BTreeMap<String, Raw>,
    machine: &Machine,
    name: &str,
    chain: &mut Vec<String>,
) -> Result<String, Fault> {
    let Some(entry) = raw.get(name) else { return Ok(String::new()) };
    let mut out = String::new();
    let mut rest = entry.text.as_str();
    while let Some(start) = rest.find("${") {
        let Some(end) = rest[start..].find('}').map(|at| start + at) else { break };
        out.push_str(&rest[..start]);
        let reference = &rest[start + 2..end];
        rest = &rest[end + 1..];
        match reference {
            "user.home" => out.push_str(&machine.home),
            "user.name" => out.push_str(&machine.user),
            "user.dir" => out.push_str(&machine.directory),
            _ => {
                let target = registry::find(reference).map_or(reference.to_owned(), |f| f.name);
                if !raw.contains_key(&target) {
                    return Err(Fault::Unresolved {
                        key: name.to_owned(),
                        source_name: entry.source.place(),
                        reference: reference.to_owned(),
                    });
                }
                let cycle = chain.iter().position(|key| *key == target);
                chain.push(target.clone());
                if let Some(start) = cycle {
                    return Err(Fault::Cycle { chain: chain[start..].to_vec() });
                }
                out.push_str(&substitute(raw, machine, &target, chain)?);
                chain.pop();
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
