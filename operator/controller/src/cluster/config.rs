//! The configuration of each role, as the process reads it (`alluxio-site.properties`), checked by the same code
//! that the process checks it with. A wrong key does not leave the operator.

use super::names::{Component, Names};
use crate::desired;
use alluxio_config::{Config, properties};
use alluxio_operator_api::cluster::worker::{Evictor, Level, TieredStore};
use alluxio_operator_api::cluster::{AlluxioClusterSpec, Coordination, JournalType};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where a container finds its configuration.
pub const CONF_DIR: &str = "/etc/alluxio";
/// Where a container may write.
pub const WORK_DIR: &str = "/var/lib/alluxio";
/// What is mounted at `/` when nobody says otherwise: an empty folder.
pub const ROOT_DIR: &str = "/var/lib/alluxio-root";
/// The volume of a master's journal, or checkpoints.
pub const JOURNAL_DIR: &str = "/journal";
/// In it: a fresh volume has things of its file system in its root, and the journal's folder is for nothing else.
const JOURNAL_FOLDER: &str = "/journal/alluxio";
/// Certificates for etcd.
pub const ETCD_TLS_DIR: &str = "/secrets/etcd-tls";
/// User and password for etcd.
pub const ETCD_AUTH_DIR: &str = "/secrets/etcd-auth";
/// Below it lie the directories of tiers.
pub const TIERS_DIR: &str = "/tiers";
/// The worker's socket, in the worker and in every container that reads by it.
pub const SOCKET_DIR: &str = "/run/alluxio-worker";
/// Port of the agent's metrics.
pub const FUSE_WEB_PORT: u16 = 49999;
/// Where agents and keepers meet on a node, as the chart's keeper and CSI driver know it.
pub const NODE_DIR: &str = "/run/alluxio";
/// Where sessions of the agent lie on a node: the same path there and in the CSI driver's pod.
pub const SESSIONS_DIR: &str = "/var/lib/alluxio/fuse";
/// Masters that others look for at least, so that a cluster grows from one to three without restarting workers.
const MASTERS_LOOKED_FOR: i32 = 3;
/// Client port of etcd.
pub const ETCD_PORT: u16 = 2379;

/// A role's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The file.
    pub text: String,
    /// Of the file; part of the name of its ConfigMap, so that pods of two configurations stand side by side.
    pub hash: String,
}

/// All of a cluster's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configs {
    /// Of the masters.
    pub master: Rendered,
    /// Of the workers: of those without an override (empty name), and of each override.
    pub workers: BTreeMap<String, Rendered>,
    /// Of the agents.
    pub fuse: Rendered,
    /// For programs of users.
    pub client: Rendered,
}

/// What is wrong with properties, for people: one line each.
pub type Faults = Vec<String>;

/// Pairs that the operator sets, over which the user's go (`defaults`) or not (`fixed`).
struct Pairs {
    defaults: BTreeMap<String, String>,
    fixed: BTreeMap<String, String>,
}

impl Pairs {
    fn new() -> Self {
        Pairs { defaults: BTreeMap::new(), fixed: BTreeMap::new() }
    }

    fn default(&mut self, key: &str, value: impl ToString) {
        self.defaults.insert(key.to_owned(), value.to_string());
    }

    fn fix(&mut self, key: &str, value: impl ToString) {
        self.fixed.insert(key.to_owned(), value.to_string());
    }

    /// The file; the later of `users` win. `check` is what the process itself does at its start.
    fn render(
        self,
        field: &str,
        users: &[&BTreeMap<String, String>],
        check: impl Fn(&Config) -> Result<(), alluxio_config::ConfigError>,
        faults: &mut Faults,
    ) -> Rendered {
        let mut all = self.defaults;
        for (key, value) in users.iter().flat_map(|map| map.iter()) {
            let name = Config::canonical_name(key).unwrap_or_else(|| key.clone());
            if self.fixed.contains_key(&name) {
                faults.push(format!(
                    "{field}: {key} is set by the operator; leave it out, there is a field for it"
                ));
                continue;
            }
            all.insert(name, value.clone());
        }
        all.extend(self.fixed);
        match Config::of(all.iter().map(|(key, value)| (key.as_str(), value.as_str()))) {
            Ok(config) => {
                if let Err(error) = check(&config) {
                    faults.push(format!("{field}: {error}"));
                }
            }
            Err(error) => faults.push(format!("{field}: {error}")),
        }
        let mut text = String::from("# Written by the operator; changes are undone.\n");
        for (key, value) in &all {
            text.push_str(&properties::write_line(key, value));
            text.push('\n');
        }
        let hash = desired::hash(&Value::from(text.as_str()))[..8].to_owned();
        Rendered { text, hash }
    }
}

/// Endpoints of etcd; empty without one.
pub fn etcd_endpoints(names: &Names, coordination: Option<&Coordination>) -> Vec<String> {
    let Some(coordination) = coordination else { return Vec::new() };
    match (&coordination.etcd.external, &coordination.etcd.managed) {
        (Some(external), _) => external.endpoints.clone(),
        (None, Some(managed)) => (0..managed.replicas)
            .map(|ordinal| {
                format!("http://{}:{ETCD_PORT}", names.pod_host(Component::Etcd, ordinal))
            })
            .collect(),
        (None, None) => Vec::new(),
    }
}

/// Name below which the cluster's keys lie in etcd.
pub fn etcd_cluster_name(names: &Names, coordination: Option<&Coordination>) -> String {
    let given = coordination
        .and_then(|coordination| coordination.etcd.external.as_ref())
        .and_then(|external| external.cluster_name.clone());
    given.unwrap_or_else(|| format!("{}.{}", names.namespace, names.cluster))
}

/// `host:port` of masters, those that there will be among them.
pub fn master_addresses(names: &Names, spec: &AlluxioClusterSpec, at_least: i32) -> Vec<String> {
    let port = spec.master.ports.rpc;
    (0..spec.master.replicas.max(at_least))
        .map(|ordinal| format!("{}:{port}", names.pod_host(Component::Master, ordinal)))
        .collect()
}

/// Renders and checks everything.
///
/// **Errors**: every fault of every role, as lines for people.
pub fn render(names: &Names, spec: &AlluxioClusterSpec) -> Result<Configs, Faults> {
    let mut faults = Faults::new();
    let master = master(names, spec).render(
        "spec.master.properties",
        &[&spec.properties, &spec.master.properties],
        |config| config.master().map(drop),
        &mut faults,
    );
    let mut workers = BTreeMap::new();
    let mut add = |name: &str, store: &TieredStore, faults: &mut Faults| {
        let rendered = worker(names, spec, store).render(
            "spec.worker.properties",
            &[&spec.properties, &spec.worker.properties],
            |config| config.worker().map(drop),
            faults,
        );
        workers.insert(name.to_owned(), rendered);
    };
    add("", &spec.worker.tiered_store, &mut faults);
    for over in &spec.worker.node_overrides {
        add(
            &over.name,
            over.tiered_store.as_ref().unwrap_or(&spec.worker.tiered_store),
            &mut faults,
        );
    }
    let fuse = fuse(names, spec).render(
        "spec.fuse.properties",
        &[&spec.properties, &spec.fuse.properties],
        |config| config.fuse().map(drop),
        &mut faults,
    );
    let client = client(names, spec).render(
        "spec.properties",
        &[&spec.properties],
        |config| config.client().map(drop),
        &mut faults,
    );
    faults.sort();
    faults.dedup();
    match faults.is_empty() {
        true => Ok(Configs { master, workers, fuse, client }),
        false => Err(faults),
    }
}

fn common(spec: &AlluxioClusterSpec) -> Pairs {
    let mut pairs = Pairs::new();
    pairs.fix("alluxio.work.dir", WORK_DIR);
    // Whatever user a container has: the roles are one party, the cluster's superuser.
    pairs.default("alluxio.security.login.username", "root");
    pairs.fix("alluxio.log.level", spec.logging.level);
    pairs.fix("alluxio.log.format", spec.logging.format);
    pairs
}

fn master(names: &Names, spec: &AlluxioClusterSpec) -> Pairs {
    let mut pairs = common(spec);
    let master = &spec.master;
    pairs.default("alluxio.master.mount.table.root.ufs", ROOT_DIR);
    // Directories above Datasets, and the records of volumes, are made below it, in the journal alone: a mount for
    // reading would refuse even these.
    pairs.default("alluxio.master.mount.table.root.readonly", false);
    // A worker whose node is gone says nothing; five minutes are an age for who waits for its blocks.
    pairs.default("alluxio.master.worker.timeout", "1min");
    pairs.fix("alluxio.master.rpc.port", master.ports.rpc);
    pairs.fix("alluxio.master.web.port", master.ports.web);
    pairs.fix("alluxio.master.journal.folder", JOURNAL_FOLDER);
    match master.journal.type_ {
        JournalType::Folder => pairs.fix("alluxio.master.journal.type", "UFS"),
        JournalType::Etcd => {
            pairs.fix("alluxio.master.journal.type", "ETCD");
            let addresses = master_addresses(names, spec, 1);
            pairs.fix("alluxio.master.rpc.addresses", addresses.join(","));
        }
    }
    if let Some(uri) = master.journal.restore_from.as_ref().and_then(|from| from.uri.as_ref()) {
        pairs.fix("alluxio.master.journal.init.from.backup", uri);
    }
    if let Some(coordination) = &spec.coordination {
        etcd(&mut pairs, names, coordination);
    }
    pairs
}

fn etcd(pairs: &mut Pairs, names: &Names, coordination: &Coordination) {
    pairs.fix("alluxio.etcd.endpoints", etcd_endpoints(names, Some(coordination)).join(","));
    pairs.fix("alluxio.cluster.name", etcd_cluster_name(names, Some(coordination)));
    pairs.fix("alluxio.etcd.leader.lease", format!("{}s", coordination.lease_seconds));
    let Some(external) = &coordination.etcd.external else { return };
    if let Some(tls) = &external.tls {
        pairs.fix("alluxio.etcd.tls.enabled", true);
        pairs.default("alluxio.etcd.tls.ca.cert", format!("{ETCD_TLS_DIR}/ca.crt"));
        if let Some(name) = &tls.server_name {
            pairs.fix("alluxio.etcd.tls.server.name", name);
        }
    }
    if external.auth_secret_ref.is_some() {
        pairs.fix("alluxio.etcd.password.file", format!("{ETCD_AUTH_DIR}/password"));
    }
}

/// How anybody finds the masters.
fn masters(pairs: &mut Pairs, names: &Names, spec: &AlluxioClusterSpec) {
    let at_least = match spec.master.journal.type_ {
        JournalType::Folder => 1,
        JournalType::Etcd => MASTERS_LOOKED_FOR,
    };
    let addresses = master_addresses(names, spec, at_least);
    pairs.fix("alluxio.master.rpc.addresses", addresses.join(","));
}

/// Paths of a level's directories in the container, with their quotas in bytes.
pub fn tier_dirs(names: &Names, number: usize, level: &Level) -> Vec<(String, u64)> {
    let bytes = |size: &alluxio_operator_api::Size| size.bytes().unwrap_or(0);
    match &level.host_path {
        Some(dirs) => dirs
            .dirs
            .iter()
            .enumerate()
            .map(|(index, dir)| {
                let folder = names.cache_folder();
                (format!("{TIERS_DIR}/{number}-{index}/{folder}"), bytes(&dir.quota))
            })
            .collect(),
        None => {
            let quota =
                level.memory.as_ref().or(level.empty_dir.as_ref()).map(|quota| &quota.quota);
            let claim = level.volume_claim_template.as_ref().map(|claim| &claim.size);
            // A file system has needs of its own.
            let claimed = claim.map(|size| bytes(size) / 100 * 95);
            let quota = quota.map(bytes).or(claimed).unwrap_or(0);
            vec![(format!("{TIERS_DIR}/{number}-0"), quota)]
        }
    }
}

fn worker(names: &Names, spec: &AlluxioClusterSpec, store: &TieredStore) -> Pairs {
    let mut pairs = common(spec);
    masters(&mut pairs, names, spec);
    let worker = &spec.worker;
    pairs.fix("alluxio.worker.rpc.port", worker.ports.rpc);
    pairs.fix("alluxio.worker.data.port", worker.ports.data);
    pairs.fix("alluxio.worker.web.port", worker.ports.web);
    if worker.short_circuit.enabled {
        socket(&mut pairs);
    }
    pairs.fix("alluxio.worker.tieredstore.levels", store.levels.len());
    for (number, level) in store.levels.iter().enumerate() {
        let key = |name: &str| format!("alluxio.worker.tieredstore.level{number}.{name}");
        let dirs = tier_dirs(names, number, level);
        let join = |texts: Vec<String>| texts.join(",");
        pairs.fix(&key("alias"), &level.alias);
        pairs.fix(&key("dirs.path"), join(dirs.iter().map(|(path, _)| path.clone()).collect()));
        pairs.fix(
            &key("dirs.quota"),
            join(dirs.iter().map(|(_, quota)| quota.to_string()).collect()),
        );
        pairs.fix(&key("dirs.mediumtype"), join(vec![level.medium.to_string(); dirs.len()]));
        pairs.fix(&key("watermark.high.ratio"), percent(level.high_watermark_percent));
        pairs.fix(&key("watermark.low.ratio"), percent(level.low_watermark_percent));
    }
    let annotator = match store.evictor {
        Evictor::LRU => "alluxio.worker.block.annotator.LRUAnnotator",
        Evictor::LRFU => "alluxio.worker.block.annotator.LRFUAnnotator",
    };
    pairs.fix("alluxio.worker.block.annotator.class", annotator);
    pairs
}

fn percent(of_hundred: i32) -> String {
    format!("{}.{:02}", of_hundred / 100, of_hundred % 100)
}

fn socket(pairs: &mut Pairs) {
    pairs.fix("alluxio.worker.data.server.domain.socket.address", SOCKET_DIR);
    pairs.fix("alluxio.worker.data.server.domain.socket.as.uuid", true);
}

fn fuse(names: &Names, spec: &AlluxioClusterSpec) -> Pairs {
    let mut pairs = common(spec);
    masters(&mut pairs, names, spec);
    if spec.worker.short_circuit.enabled {
        socket(&mut pairs);
    }
    pairs.fix("alluxio.fuse.agent.socket", format!("{NODE_DIR}/agent.sock"));
    let keepers = format!("{NODE_DIR}/keeper.sock,{NODE_DIR}/csi-keeper.sock");
    pairs.fix("alluxio.fuse.keeper.sockets", keepers);
    pairs.fix("alluxio.fuse.sessions.dir", SESSIONS_DIR);
    pairs.fix("alluxio.fuse.web.port", FUSE_WEB_PORT);
    pairs
}

fn client(names: &Names, spec: &AlluxioClusterSpec) -> Pairs {
    let mut pairs = Pairs::new();
    masters(&mut pairs, names, spec);
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::{names, sample};

    #[test]
    fn the_smallest_cluster_has_a_configuration_that_every_role_takes() {
        let configs = render(&names(), &sample().spec).unwrap();
        let text = &configs.master.text;
        assert!(text.contains("alluxio.master.journal.type=ETCD"), "{text}");
        assert!(text.contains("alluxio.cluster.name=cache.demo"), "{text}");
        let worker = &configs.workers[""].text;
        assert!(
            worker.contains("alluxio.worker.tieredstore.level0.dirs.quota=8589934592"),
            "{worker}"
        );
        assert!(worker.contains("/tiers/1-0/alluxio-cache-demo"), "{worker}");
        assert!(configs.fuse.text.contains("alluxio.fuse.agent.socket=/run/alluxio/agent.sock"));
    }

    #[test]
    fn growing_to_three_masters_does_not_touch_workers() {
        let mut one = sample().spec;
        one.master.replicas = 1;
        let mut three = one.clone();
        three.master.replicas = 3;
        let (one, three) = (render(&names(), &one).unwrap(), render(&names(), &three).unwrap());
        assert_eq!(one.workers, three.workers);
        assert_eq!(one.fuse, three.fuse);
        assert_ne!(one.master, three.master);
    }

    #[test]
    fn wrong_and_reserved_properties_are_named() {
        let mut spec = sample().spec;
        spec.properties.insert("alluxio.user.block.size.bytes.defualt".into(), "64MB".into());
        spec.worker.properties.insert("alluxio.worker.rpc.port".into(), "1".into());
        let faults = render(&names(), &spec).unwrap_err().join("\n");
        assert!(faults.contains("alluxio.user.block.size.bytes.default"), "{faults}");
        assert!(faults.contains("alluxio.worker.rpc.port is set by the operator"), "{faults}");
    }

    #[test]
    fn a_percentage_is_a_ratio() {
        assert_eq!([percent(5), percent(70), percent(100)], ["0.05", "0.70", "1.00"]);
    }
}
