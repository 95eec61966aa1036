//! What a user can say about a volume: attributes of a volume (`volumeAttributes`), parameters of a StorageClass.
//! Pure. A key that nobody knows is refused: a slip of the pen must not become a volume with other properties.

use crate::CsiError;
use crate::session::SessionSpec;
use alluxio_types::{AlluxioPath, parse_duration};
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys that the kubelet and Kubernetes' sidecars add. Tokens of pods are among them: never printed.
const ADDED_BY_KUBERNETES: &[&str] = &["csi.storage.k8s.io/", "storage.kubernetes.io/"];
/// Told by the kubelet: the volume stands in the pod itself.
const EPHEMERAL: &str = "csi.storage.k8s.io/ephemeral";
/// Before options of the mount.
const FUSE: &str = "fuse.";
/// Who a volume belongs to, in the words of the operator. They keep sessions apart and change nothing else.
const LABELS: &[&str] =
    &["cluster", "clusterNamespace", "clusterUID", "dataset", "datasetNamespace", "datasetUID"];

/// Text by name, as the CSI has it.
pub type Words = BTreeMap<String, String>;

/// What a pod gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A directory of the namespace, as a file system.
    #[default]
    Fuse,
    /// The folder of the worker's socket, for programs with a client of their own.
    ShortCircuit,
}

/// How old what a volume shows may be, compared with the under store and with other clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// What is known is believed.
    Never,
    /// Whoever opens a file sees it as it is.
    OnOpen,
    /// What was looked at within this time is believed.
    Interval(Duration),
}

/// What `Interval` means without a number.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long the kernel may believe names and attributes where `open` has to see what is there, in seconds. Without
/// it, each `stat` would be a call; `open` asks again in any case.
const ON_OPEN_VALID: &str = "1";

impl Consistency {
    fn read(text: &str) -> Result<Self, CsiError> {
        let (mode, interval) = match text.split_once('=') {
            Some((mode, interval)) => (mode, Some(interval)),
            None => (text, None),
        };
        match (mode, interval) {
            ("Never", None) => Ok(Consistency::Never),
            ("OnOpen", None) => Ok(Consistency::OnOpen),
            ("Interval", None) => Ok(Consistency::Interval(INTERVAL)),
            ("Interval", Some(text)) => {
                let interval = parse_duration(text).filter(|interval| !interval.is_zero());
                let why = "an interval is a time above 0, as in Interval=30s";
                interval
                    .map(Consistency::Interval)
                    .ok_or_else(|| CsiError::invalid("consistency", why))
            }
            _ => {
                let why = "it is Never, OnOpen, Interval or Interval=<time>";
                Err(CsiError::invalid("consistency", why))
            }
        }
    }

    /// As options of the mount.
    fn options(self) -> Vec<String> {
        let sync = |value: String| format!("alluxio.user.file.metadata.sync.interval={value}");
        let valid = |seconds: &str| {
            ["attr_timeout", "entry_timeout"].map(|option| format!("{option}={seconds}"))
        };
        match self {
            Consistency::Never => vec![sync("-1".into())],
            Consistency::OnOpen => {
                let mut options = vec![sync("0".into())];
                options.extend(valid(ON_OPEN_VALID));
                options
            }
            Consistency::Interval(interval) => {
                let mut options = vec![sync(format!("{}ms", interval.as_millis().max(1)))];
                options.extend(valid(&interval.as_secs_f64().min(MOST_VALID).to_string()));
                options
            }
        }
    }
}

/// Longest time that a mount takes for names and attributes, in seconds.
const MOST_VALID: f64 = 1e9;

/// What a volume's context says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeAttributes {
    /// What the pod gets.
    pub mode: Mode,
    /// The directory that is the volume.
    pub path: AlluxioPath,
    /// The directory in the volume that pods see; empty for all of it.
    pub sub_path: String,
    /// Nobody writes.
    pub read_only: bool,
    /// It stands in the pod itself.
    pub ephemeral: bool,
    /// How old what it shows may be; as configured without.
    pub consistency: Option<Consistency>,
    /// Masters to ask first; those of the agent without.
    pub masters: Vec<String>,
    /// Options of the mount, in order of their names.
    pub options: Vec<String>,
    /// Names that keep it apart from others, joined.
    pub owner: String,
}

impl VolumeAttributes {
    /// Reads a volume's context.
    ///
    /// **Errors**: `Invalid`, which names the key; never a value of Kubernetes' own keys.
    pub fn read(context: &Words) -> Result<Self, CsiError> {
        let mut read = VolumeAttributes {
            mode: Mode::Fuse,
            path: AlluxioPath::root(),
            sub_path: String::new(),
            read_only: false,
            ephemeral: false,
            consistency: None,
            masters: Vec::new(),
            options: Vec::new(),
            owner: String::new(),
        };
        for (key, value) in context {
            read.take(key, value)?;
        }
        if read.mode == Mode::ShortCircuit && !read.sub_path.is_empty() {
            return Err(CsiError::invalid("subPath", "a folder of sockets has none"));
        }
        Ok(read)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), CsiError> {
        match key {
            "path" => self.path = path(key, value)?,
            "subPath" => self.sub_path = sub_path(value)?,
            "readOnly" => self.read_only = boolean(key, value)?,
            "mode" => {
                self.mode = match value {
                    "fuse" => Mode::Fuse,
                    "short-circuit" => Mode::ShortCircuit,
                    _ => return Err(CsiError::invalid(key, "it is fuse or short-circuit")),
                }
            }
            "consistency" => self.consistency = Some(Consistency::read(value)?),
            "masters" => self.masters = masters(value)?,
            "quotaBytes" => {
                let _: u64 = value.parse().map_err(|_| CsiError::invalid(key, "it is a number"))?;
            }
            EPHEMERAL => self.ephemeral = value == "true",
            key if LABELS.contains(&key) => self.owner.push_str(&format!("{key}={value}\n")),
            key if key.starts_with(FUSE) => self.options.extend(fuse_option(key, value)?),
            key if added_by_kubernetes(key) => {}
            _ => {
                return Err(unknown(
                    key,
                    "path, subPath, readOnly, mode, consistency, masters, quotaBytes",
                ));
            }
        }
        Ok(())
    }

    /// The session that shows it: with the options of the capability, and `ro` where nobody writes.
    pub fn session(&self, mount_flags: &[String], read_only: bool) -> SessionSpec {
        let mut options = self.consistency.map(Consistency::options).unwrap_or_default();
        options.extend(
            (!self.masters.is_empty()).then(|| format!("masters={}", self.masters.join(";"))),
        );
        // What stands as an option says it more exactly.
        options.extend(self.options.iter().cloned());
        options.extend(mount_flags.iter().filter(|word| !word.is_empty()).cloned());
        // The last word counts, so nothing before it can undo it.
        options.extend((read_only || self.read_only).then(|| "ro".to_owned()));
        SessionSpec { path: self.path.as_str().to_owned(), options }
    }
}

/// What becomes of a volume's directory when the volume is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// It goes, with all that is in it.
    Delete,
    /// It gets another name beside the old one.
    Archive,
    /// It stays.
    Retain,
}

impl OnDelete {
    /// As users write it.
    pub const fn name(self) -> &'static str {
        match self {
            OnDelete::Delete => "Delete",
            OnDelete::Archive => "Archive",
            OnDelete::Retain => "Retain",
        }
    }

    /// What users wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        [OnDelete::Delete, OnDelete::Archive, OnDelete::Retain]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// What a StorageClass says, for one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassParameters {
    /// The directory that becomes the volume.
    pub path: AlluxioPath,
    /// What becomes of it.
    pub on_delete: OnDelete,
    /// What the volume's context says of it, besides its path.
    pub context: Words,
}

/// Where a volume lies below the base path when the StorageClass does not say.
const PATTERN: &str = "${pv.name}";

impl ClassParameters {
    /// Reads the parameters for the volume `name`.
    ///
    /// **Errors**: `Invalid`, which names the key.
    pub fn read(name: &str, parameters: &Words) -> Result<Self, CsiError> {
        let mut base = AlluxioPath::root();
        let (mut pattern, mut on_delete, mut context) = (PATTERN, OnDelete::Delete, Words::new());
        for (key, value) in parameters {
            match key.as_str() {
                "path" => base = path(key, value)?,
                "pathPattern" => pattern = value,
                "onDelete" => {
                    on_delete = OnDelete::from_name(value)
                        .ok_or_else(|| CsiError::invalid(key, "it is Delete, Archive or Retain"))?;
                }
                // What a volume may say of itself, all volumes of a class may.
                "consistency" | "masters" => {
                    context.insert(key.clone(), value.clone());
                }
                key if LABELS.contains(&key) => {
                    context.insert(key.to_owned(), value.clone());
                }
                key if key.starts_with(FUSE) => {
                    fuse_option(key, value)?;
                    context.insert(key.to_owned(), value.clone());
                }
                key if added_by_kubernetes(key) => {}
                key => {
                    return Err(unknown(key, "path, pathPattern, onDelete, consistency, masters"));
                }
            }
        }
        let mut path = base;
        for word in filled(pattern, name, parameters)?.split('/').filter(|word| !word.is_empty()) {
            path =
                path.join(word).map_err(|why| CsiError::invalid("pathPattern", why.to_string()))?;
        }
        if path.is_root() {
            return Err(CsiError::invalid("pathPattern", "a volume cannot be the whole namespace"));
        }
        Ok(ClassParameters { path, on_delete, context })
    }
}

/// The pattern with the names of this volume in it.
fn filled(pattern: &str, name: &str, parameters: &Words) -> Result<String, CsiError> {
    let told = |key: &str| parameters.get(key).map(String::as_str);
    let mut text = String::new();
    let mut rest = pattern;
    while let Some((before, behind)) = rest.split_once("${") {
        let (variable, behind) = behind.split_once('}').unwrap_or((behind, ""));
        let value = match variable {
            "pv.name" => told("csi.storage.k8s.io/pv/name").or(Some(name)),
            "pvc.name" => told("csi.storage.k8s.io/pvc/name"),
            "pvc.namespace" => told("csi.storage.k8s.io/pvc/namespace"),
            _ => {
                let why = format!("{variable} is none of pv.name, pvc.name, pvc.namespace");
                return Err(CsiError::invalid("pathPattern", why));
            }
        };
        let value = value.ok_or_else(|| {
            let why =
                format!("{variable} is not told: the provisioner needs --extra-create-metadata");
            CsiError::invalid("pathPattern", why)
        })?;
        // One name, not a path: nobody may climb out of his own directory by the name of a claim.
        if value.contains('/') {
            return Err(CsiError::invalid("pathPattern", format!("{variable} has a slash in it")));
        }
        text.push_str(before);
        text.push_str(value);
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

fn added_by_kubernetes(key: &str) -> bool {
    ADDED_BY_KUBERNETES.iter().any(|prefix| key.starts_with(prefix))
}

fn unknown(key: &str, known: &str) -> CsiError {
    let why = format!("nobody knows it; there are {known}, fuse.<option>, {}", LABELS.join(", "));
    CsiError::invalid(key, why)
}

fn path(key: &str, value: &str) -> Result<AlluxioPath, CsiError> {
    AlluxioPath::parse(value).map_err(|why| CsiError::invalid(key, why.to_string()))
}

/// A path below the volume, in names that lead down only.
fn sub_path(value: &str) -> Result<String, CsiError> {
    let names: Vec<&str> = value.split('/').filter(|name| !name.is_empty()).collect();
    if value.starts_with('/') || names.iter().any(|name| *name == "." || *name == "..") {
        return Err(CsiError::invalid("subPath", "it is a path below the volume, without .."));
    }
    Ok(names.join("/"))
}

/// Addresses of masters.
fn masters(value: &str) -> Result<Vec<String>, CsiError> {
    let why = "it is a list of HOST:PORT, with commas between them";
    let address = |text: &str| {
        let text = text.trim();
        let (host, port) = text.rsplit_once(':')?;
        // A host has no letter that means something in an option of a mount.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let good = !host.is_empty()
            && host.chars().all(plain)
            && port.parse::<u16>().is_ok_and(|port| port > 0);
        good.then(|| text.to_owned())
    };
    let masters: Option<Vec<String>> = value.split(',').map(address).collect();
    masters.ok_or_else(|| CsiError::invalid("masters", why))
}

fn boolean(key: &str, value: &str) -> Result<bool, CsiError> {
    value.parse().map_err(|_| CsiError::invalid(key, "it is true or false"))
}

/// The word for `-o`; none for a flag that is switched off.
fn fuse_option(key: &str, value: &str) -> Result<Option<String>, CsiError> {
    let name = key.strip_prefix(FUSE).unwrap_or(key);
    if name.is_empty() || name.contains([',', '=']) || value.contains(',') {
        return Err(CsiError::invalid(key, "it is one option, without commas"));
    }
    Ok(match value {
        _ if name.starts_with("alluxio.") => Some(format!("{name}={value}")),
        "" | "true" => Some(name.to_owned()),
        "false" => None,
        _ => Some(format!("{name}={value}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pairs: &[(&str, &str)]) -> Words {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn attributes_become_a_session() {
        let read = VolumeAttributes::read(&words(&[
            ("path", "/data"),
            ("subPath", "a//b/"),
            ("fuse.attr_timeout", "5"),
            ("fuse.kernel_cache", "true"),
            ("fuse.allow_other", "false"),
            ("fuse.alluxio.user.file.writetype.default", "THROUGH"),
            ("csi.storage.k8s.io/pod.name", "p"),
            ("csi.storage.k8s.io/ephemeral", "true"),
        ]))
        .unwrap();
        assert_eq!((read.sub_path.as_str(), read.ephemeral), ("a/b", true));
        let spec = read.session(&["noatime".into(), "rw".into()], true);
        assert_eq!(spec.path, "/data");
        let wanted =
            "alluxio.user.file.writetype.default=THROUGH attr_timeout=5 kernel_cache noatime rw ro";
        assert_eq!(spec.options.join(" "), wanted);
    }

    #[test]
    fn consistency_and_masters_are_options_that_others_overrule() {
        let options = |pairs: &[(&str, &str)]| {
            VolumeAttributes::read(&words(pairs)).unwrap().session(&[], false).options.join(" ")
        };
        let sync = "alluxio.user.file.metadata.sync.interval";
        assert_eq!(options(&[("consistency", "Never")]), format!("{sync}=-1"));
        assert_eq!(
            options(&[("consistency", "OnOpen"), ("fuse.attr_timeout", "9")]),
            format!("{sync}=0 attr_timeout=1 entry_timeout=1 attr_timeout=9")
        );
        assert_eq!(
            options(&[("consistency", "Interval")]),
            format!("{sync}=60000ms attr_timeout=60 entry_timeout=60")
        );
        assert_eq!(
            options(&[("consistency", "Interval=1.5s")]),
            format!("{sync}=1500ms attr_timeout=1.5 entry_timeout=1.5")
        );
        assert_eq!(options(&[("masters", "m-0.m:19998, [::1]:2")]), "masters=m-0.m:19998;[::1]:2");
        // A StorageClass says it for its volumes.
        let class = words(&[("consistency", "OnOpen"), ("masters", "m:1")]);
        assert_eq!(ClassParameters::read("pv", &class).unwrap().context, class);
    }

    #[test]
    fn wrong_words_are_refused_by_name() {
        for (key, value) in [
            ("pth", "/a"),
            ("path", "a/../b"),
            ("subPath", "../x"),
            ("subPath", "/etc"),
            ("mode", "nfs"),
            ("readOnly", "yes"),
            ("quotaBytes", "1Gi"),
            ("consistency", "Event"),
            ("consistency", "onopen"),
            ("consistency", "Interval=0"),
            ("consistency", "Interval=often"),
            ("consistency", "Never=1s"),
            ("masters", ""),
            ("masters", "a"),
            ("masters", "a:0"),
            ("masters", "a:1,:2"),
            ("masters", "a;ro:1"),
            ("fuse.ro", "a,b"),
            ("fuse.", "x"),
        ] {
            let error = VolumeAttributes::read(&words(&[(key, value)])).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{key}: ")), "{error}");
        }
        let both = words(&[("mode", "short-circuit"), ("subPath", "x")]);
        assert!(VolumeAttributes::read(&both).is_err());
    }

    #[test]
    fn a_pattern_places_volumes_and_leads_nowhere_else() {
        let given = [
            ("path", "/volumes"),
            ("pathPattern", "${pvc.namespace}/${pvc.name}-${pv.name}"),
            ("csi.storage.k8s.io/pvc/name", "claim"),
            ("csi.storage.k8s.io/pvc/namespace", "team"),
            ("onDelete", "Archive"),
            ("fuse.attr_timeout", "1"),
            ("dataset", "d"),
        ];
        let read = ClassParameters::read("pv-1", &words(&given)).unwrap();
        assert_eq!(read.path.as_str(), "/volumes/team/claim-pv-1");
        assert_eq!(read.on_delete, OnDelete::Archive);
        assert_eq!(read.context, words(&[("fuse.attr_timeout", "1"), ("dataset", "d")]));
        let plain = ClassParameters::read("pv-1", &words(&[])).unwrap();
        assert_eq!((plain.path.as_str(), plain.on_delete), ("/pv-1", OnDelete::Delete));
        for (name, pairs) in [
            ("pv", words(&[("pathPattern", "${pvc.name}")])),
            ("pv", words(&[("pathPattern", "${secret}")])),
            ("pv", words(&[("pathPattern", "/")])),
            ("pv", words(&[("pathPattern", "../${pv.name}")])),
            ("a/b", words(&[])),
            ("..", words(&[])),
            ("pv", words(&[("onDelete", "Keep")])),
            ("pv", words(&[("fuse.ro", ","), ("path", "/a")])),
            ("pv", words(&[("nobody", "x")])),
        ] {
            assert!(ClassParameters::read(name, &pairs).is_err(), "{name} {pairs:?}");
        }
    }
}
