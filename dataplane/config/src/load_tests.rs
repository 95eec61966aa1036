//! What loading does, as sentences.

use super::*;
use crate::{Allocator, Annotator, HostPort, JournalKind, LocationPolicy};
use alluxio_types::{AlluxioPath, ReadType, WriteType};
use proptest::prelude::*;
use std::time::Duration;

fn faults(result: Result<impl Sized, ConfigError>) -> Vec<String> {
    match result {
        Ok(_) => panic!("there should be faults"),
        Err(error) => error.faults.iter().map(ToString::to_string).collect(),
    }
}

fn env(pairs: &[(&str, &str)]) -> Sources {
    let mut sources = Sources::none();
    sources.environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    sources
}

#[test]
fn the_last_source_wins_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(SITE_FILE_NAME);
    std::fs::write(&file, "alluxio.master.hostname=file\nalluxio.master.rpc.port=1\n").unwrap();
    let sources =
        || env(&[("ALLUXIO_MASTER_HOSTNAME", "env")]).with_site_file(SiteFile::At(file.clone()));
    let config = Config::load(sources()).unwrap();
    assert_eq!(config.get("alluxio.master.hostname").unwrap().value, "env");
    assert_eq!(
        config.source_of("alluxio.master.hostname").unwrap().to_string(),
        "SYSTEM_PROPERTY (ALLUXIO_MASTER_HOSTNAME)"
    );
    assert_eq!(
        config.source_of("alluxio.master.rpc.port").unwrap().to_string(),
        format!("SITE_PROPERTY ({})", file.display())
    );
    assert_eq!(config.source_of("alluxio.master.web.port"), Some(&Source::Default));
    let argument = [("alluxio.master.hostname".to_owned(), "arg".to_owned())];
    let config = Config::load(sources().with_arguments(argument)).unwrap();
    assert_eq!(config.get("alluxio.master.hostname").unwrap().value, "arg");
}

#[test]
fn the_site_file_is_found_by_conf_dir_then_home_then_dot_alluxio() {
    let dir = tempfile::tempdir().unwrap();
    let put = |folder: &str, host: &str| {
        let folder = dir.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("alluxio.master.hostname={host}\n");
        std::fs::write(folder.join(SITE_FILE_NAME), text).unwrap();
        folder.display().to_string()
    };
    let host = |sources: Sources| {
        let config = Config::load(sources.with_site_file(SiteFile::Search)).unwrap();
        config.get("alluxio.master.hostname").map(|s| s.value.clone())
    };
    let dot = put("me/.alluxio", "dot");
    let home = put("home/conf", "home").replace("/conf", "");
    let conf = put("elsewhere", "conf");
    let with = |pairs: &[(&str, &str)]| {
        let mut sources = env(pairs);
        sources.machine.home = dot.replace("/.alluxio", "");
        sources
    };
    let both = [("ALLUXIO_HOME", home.as_str()), ("ALLUXIO_CONF_DIR", conf.as_str())];
    assert_eq!(host(with(&both)).as_deref(), Some("conf"));
    assert_eq!(host(with(&both[..1])).as_deref(), Some("home"));
    assert_eq!(host(with(&[("ALLUXIO_HOME", "/nowhere")])).as_deref(), Some("dot"));
}

#[test]
fn java_options_of_the_role_are_read_and_other_roles_are_not() {
    let pairs = [
        ("ALLUXIO_JAVA_OPTS", "-Xmx4g -Dalluxio.master.hostname=m -Dlog4j.debug=1"),
        ("ALLUXIO_WORKER_JAVA_OPTS", "-Dalluxio.worker.rpc.port=7"),
    ];
    let config = Config::load(env(&pairs).for_roles(Roles::WORKER)).unwrap();
    assert_eq!(config.worker().unwrap().rpc_port, 7);
    let config = Config::load(env(&pairs).for_roles(Roles::MASTER)).unwrap();
    assert_eq!(config.worker().unwrap().rpc_port, 29999);
    assert_eq!(config.master().unwrap().hostname, "m");
}

#[test]
fn variables_that_kubernetes_adds_do_no_harm() {
    let config = Config::load(env(&[
        ("ALLUXIO_WORKER_PORT", "tcp://10.0.0.1:29999"),
        ("ALLUXIO_MASTER_0_SERVICE_HOST", "10.0.0.1"),
    ]))
    .unwrap();
    assert_eq!(config.get("alluxio.worker.rpc.port").unwrap().value, "29999");
}

#[test]
fn all_faults_are_reported_at_once() {
    let got = faults(Config::of([
        ("alluxio.master.hostnam", "x"),
        ("alluxio.master.rpc.port", "99999"),
        ("alluxio.user.block.size.bytes.default", "big"),
        ("alluxio.work.dir", "${alluxio.nowhere}"),
    ]));
    assert_eq!(
        got[0],
        "unknown key alluxio.master.hostnam (set by the program), did you mean \
         alluxio.master.hostname?"
    );
    let all = got.join("\n");
    assert!(all.contains("alluxio.master.rpc.port=99999 (set by the program): expected a port"));
    assert!(all.contains("alluxio.user.block.size.bytes.default=big"));
    assert!(all.contains("${alluxio.nowhere}, which has no value"));
}

#[test]
fn substitution_follows_references_and_finds_circles() {
    let config = Config::of([
        ("alluxio.home", "${user.home}/a"),
        ("alluxio.master.journal.folder", "${alluxio.work.dir}/j-${user.name}"),
    ])
    .unwrap();
    assert_eq!(config.master().unwrap().journal.folder, "/home/tester/a/j-tester");
    let got = faults(Config::of([
        ("alluxio.home", "${alluxio.work.dir}"),
        ("alluxio.work.dir", "${alluxio.home}"),
    ]));
    assert!(
        got.contains(
            &"circular substitution: alluxio.home -> alluxio.work.dir -> alluxio.home".to_owned()
        ),
        "{got:?}"
    );
    // Only once, however many keys lead into the circle.
    assert_eq!(got.iter().filter(|fault| fault.starts_with("circular")).count(), 1, "{got:?}");
}

#[test]
fn meaningless_keys_warn_and_foreign_ones_too() {
    let config = Config::of([
        ("alluxio.zookeeper.enabled", "false"),
        ("alluxio.proxy.s3.writetype", "CACHE_THROUGH"),
        ("log4j.rootLogger", "INFO"),
    ])
    .unwrap();
    let warned: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warned,
        [
            "alluxio.zookeeper.enabled: has no effect here (set by the program)",
            "alluxio.proxy.s3.writetype: has no effect here (set by the program)",
            "log4j.rootLogger: is not a key of ours (set by the program)",
        ]
    );
}

#[test]
fn no_legacy_family_swallows_a_slip_in_a_key_that_counts() {
    for spec in registry::implemented().filter(|spec| !spec.is_template()) {
        let slip = format!("{}x", spec.name);
        if slip.starts_with("alluxio.") && spec.name != general::LOCALITY_ORDER.name {
            let found = registry::find(&slip).map(|found| found.spec.name);
            assert_eq!(found, None, "{slip}");
        }
    }
}

#[test]
fn the_daily_backup_has_a_time_of_day() {
    let with = |time: &str| {
        let pairs = [
            ("alluxio.master.hostname", "m"),
            ("alluxio.master.daily.backup.enabled", "true"),
            ("alluxio.master.daily.backup.time", time),
        ];
        Config::of(pairs).unwrap().master()
    };
    let daily = with("23:59").unwrap().backup.daily.unwrap();
    assert_eq!((daily.at, daily.files_retained), (Duration::from_secs(86_340), 3));
    for time in ["24:00", "5", "05:60", "noon"] {
        let error = with(time).unwrap_err().to_string();
        assert!(error.contains("hours and minutes in UTC"), "{time}: {error}");
    }
}

#[test]
fn the_defaults_are_those_of_the_mission() {
    let config = Config::of([("alluxio.master.hostname", "m")]).unwrap();
    let client = config.client().unwrap();
    assert_eq!(client.write_type, WriteType::MustCache);
    assert_eq!(client.read_type, ReadType::CachePromote);
    assert_eq!(client.block_size_bytes, 64 << 20);
    assert_eq!(client.masters, [HostPort::new("m", 19998)]);
    assert_eq!(client.sync_interval, None);
    assert_eq!(client.replication.max, None);
    assert_eq!(client.policies.copy_from_local, LocationPolicy::RoundRobin);
    assert!(client.cache_partially_read_block && client.metadata_cache.is_none());
    let master = config.master().unwrap();
    assert_eq!(master.journal.kind, JournalKind::Folder);
    assert_eq!((master.journal.init_from_backup, master.backup.daily), (None, None));
    assert_eq!(master.backup.directory, "/alluxio_backups");
    assert_eq!(master.root_mount.ufs_uri, "/opt/alluxio/underFSStorage");
    assert!(master.root_mount.shared && !master.root_mount.read_only);
    assert_eq!(master.worker_timeout, Duration::from_secs(300));
    assert_eq!(master.security.umask, alluxio_types::Mode(0o022));
    let worker = config.worker().unwrap();
    assert_eq!(worker.allocator, Allocator::MaxFree);
    assert_eq!(worker.annotator, Annotator::Lru);
    assert_eq!(worker.tiers.len(), 1);
    assert_eq!(worker.tiers[0].alias.0, "MEM");
    assert_eq!(worker.tiers[0].dirs[0].quota_bytes, 2 << 30);
}

#[test]
fn a_client_without_a_master_is_told_what_to_do() {
    let config = Config::of::<&str, &str>([]).unwrap();
    let got = faults(config.client());
    assert_eq!(got.len(), 1);
    assert!(got[0].starts_with("no value for alluxio.master.hostname: say where the master is"));
    assert!(config.master().is_ok(), "a master knows its own name");
}

#[test]
fn a_worker_on_loopback_is_on_the_machine_of_its_clients() {
    let hostname = |pairs: &[(&str, &str)]| {
        let mut sources = Sources::none().with_runtime(pairs.iter().copied());
        sources.machine.hostname = "laptop".into();
        let host = [("alluxio.master.hostname", "m")];
        Config::load(sources.with_runtime(host)).unwrap().client().unwrap().hostname
    };
    assert_eq!(hostname(&[]), "laptop");
    assert_eq!(hostname(&[("alluxio.worker.hostname", "w1")]), "laptop");
    assert_eq!(hostname(&[("alluxio.worker.hostname", "127.0.0.1")]), "127.0.0.1");
    let both = [("alluxio.worker.hostname", "127.0.0.1"), ("alluxio.user.hostname", "me")];
    assert_eq!(hostname(&both), "me");
}

#[test]
fn tiers_take_lists_and_share_the_last_quota() {
    let config = Config::of([
        ("alluxio.master.hostname", "m"),
        ("alluxio.worker.tieredstore.levels", "2"),
        ("alluxio.worker.tieredstore.level0.dirs.path", "/m1, /m2,/m3"),
        ("alluxio.worker.tieredstore.level0.dirs.quota", "1GB,2GB"),
        ("alluxio.worker.tieredstore.level1.dirs.path", "/ssd"),
        ("alluxio.worker.tieredstore.level1.dirs.quota", "10GB"),
        ("alluxio.worker.tieredstore.level1.watermark.high.ratio", "0.5"),
        ("alluxio.worker.allocator.class", "alluxio.worker.block.allocator.RoundRobinAllocator"),
        ("alluxio.worker.evictor.class", "alluxio.worker.block.evictor.LRFUEvictor"),
    ])
    .unwrap();
    let worker = config.worker().unwrap();
    let quotas: Vec<u64> = worker.tiers[0].dirs.iter().map(|dir| dir.quota_bytes >> 30).collect();
    assert_eq!(quotas, [1, 2, 2]);
    assert_eq!(worker.tiers[1].alias.0, "SSD");
    assert_eq!(worker.tiers[1].dirs[0].medium.0, "SSD");
    assert_eq!((worker.tiers[1].high_watermark, worker.tiers[1].low_watermark), (0.5, 0.5));
    assert_eq!(worker.allocator, Allocator::RoundRobin);
    assert_eq!(worker.annotator, Annotator::Lrfu { step: 0.25, attenuation: 2.0 });
}

#[test]
fn contradictions_in_a_section_are_all_named() {
    let config = Config::of([
        ("alluxio.master.hostname", "m"),
        ("alluxio.worker.tieredstore.levels", "2"),
        ("alluxio.worker.tieredstore.level0.dirs.quota", "1GB,2GB"),
        ("alluxio.worker.tieredstore.level0.watermark.high.ratio", "0.5"),
        ("alluxio.worker.tieredstore.level0.watermark.low.ratio", "0.6"),
        ("alluxio.worker.data.server.domain.socket.address", "relative"),
    ])
    .unwrap();
    let got = faults(config.worker()).join("\n");
    for part in [
        "dirs.quota has 2 values for 1 directories",
        "level0.watermark.low.ratio=0.6 must not be above",
        "no value for alluxio.worker.tieredstore.level1.dirs.path",
        "domain.socket.address=relative (set by the program): expected an absolute path",
    ] {
        assert!(got.contains(part), "{part} is not in\n{got}");
    }
}

#[test]
fn mounts_of_the_table_come_with_their_options() {
    let config = Config::of([
        ("alluxio.master.mount.table.lake.alluxio", "/lake"),
        ("alluxio.master.mount.table.lake.ufs", "s3://bucket"),
        ("alluxio.master.mount.table.lake.readonly", "TRUE"),
        ("alluxio.master.mount.table.lake.option.aws.secretKey", "hush"),
        ("alluxio.master.mount.table.root.option.alluxio.underfs.hdfs.user", "bob"),
        ("s3a.accessKeyId", "key"),
    ])
    .unwrap();
    let master = config.master().unwrap();
    let mount = &master.mounts[0];
    assert_eq!(mount.path, AlluxioPath::parse("/lake").unwrap());
    assert!(mount.read_only && !mount.shared);
    assert_eq!(mount.options.0["s3a.secretKey"], "hush");
    assert_eq!(master.root_mount.options.0["alluxio.underfs.hdfs.user"], "bob");
    assert_eq!(master.ufs_options.0["s3a.accessKeyId"], "key");
    for key in ["alluxio.master.mount.table.lake.option.aws.secretKey", "s3a.accessKeyId"] {
        assert_eq!(config.get(key).unwrap().shown(), MASK);
    }
    assert!(!format!("{config:?}{master:?}").contains("hush"), "secrets are not printed");
    let got =
        faults(Config::of([("alluxio.master.mount.table.x.ufs", "s3://b")]).unwrap().master());
    assert!(got[0].contains("needs both"));
}

#[test]
fn the_raft_journal_is_refused_with_the_way_out() {
    let config = Config::of([("alluxio.master.journal.type", "embedded")]).unwrap();
    let got = faults(config.master());
    assert!(got[0].starts_with("alluxio.master.journal.type=EMBEDDED (set by the program) is not"));
    assert!(got[0].contains("write UFS"));
}

#[test]
fn what_is_written_as_a_site_file_loads_to_the_same() {
    let first = Config::of([
        ("alluxio.master.hostname", "m"),
        ("alluxio.user.app.id", " odd = value: with\\slashes\nand lines"),
        ("alluxio.worker.tieredstore.level0.alias", "NVME"),
    ])
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(SITE_FILE_NAME);
    std::fs::write(&file, first.to_properties()).unwrap();
    let second = Config::load(Sources::none().with_site_file(SiteFile::At(file))).unwrap();
    let values = |config: &Config| -> Vec<(String, String)> {
        config.settings().map(|(k, s)| (k.to_owned(), s.value.clone())).collect()
    };
    assert_eq!(values(&first), values(&second));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn loading_never_panics_and_sections_neither(
        pairs in prop::collection::vec(
            (0usize..400, "[-0-9a-zA-Z.,:/${} ]{0,12}"), 0..8),
    ) {
        let keys: Vec<String> = registry::all()
            .map(|spec| spec.name.replace("<N>", "0").replace("<name>", "n").replace("<rest>", "r"))
            .collect();
        let pairs = pairs.into_iter().map(|(i, v)| (keys[i % keys.len()].clone(), v));
        if let Ok(config) = Config::of(pairs) {
            let _ = (config.master(), config.worker(), config.client(), config.general());
        }
    }
}

#[test]
fn a_journal_in_etcd_needs_etcd_and_never_shows_its_password() {
    let journal = ("alluxio.master.journal.type", "ETCD");
    let got = faults(Config::of([journal]).unwrap().master());
    assert!(got[0].contains("alluxio.etcd.endpoints"), "{got:?}");
    let settings = [
        journal,
        ("alluxio.etcd.endpoints", "e1:2379,e2:2379"),
        ("alluxio.cluster.name", "blue"),
        ("alluxio.etcd.username", "alluxio"),
        ("alluxio.etcd.password", "correct horse"),
        ("alluxio.etcd.tls.enabled", "true"),
        ("alluxio.etcd.tls.ca.cert", "/etc/ca.pem"),
    ];
    let master = Config::of(settings).unwrap().master().unwrap();
    assert_eq!(master.journal.kind, JournalKind::Etcd);
    assert!(!format!("{master:?}").contains("correct horse"));
    let etcd = master.etcd.unwrap();
    assert_eq!(etcd.endpoints, ["e1:2379", "e2:2379"]);
    assert_eq!(etcd.cluster_name, "blue");
    let password = crate::EtcdPassword::Text("correct horse".into());
    assert_eq!(etcd.user, Some(("alluxio".to_owned(), password)));
    assert_eq!(etcd.tls.unwrap().ca.unwrap().to_str(), Some("/etc/ca.pem"));
}

#[test]
fn settings_of_etcd_that_make_no_sense_are_all_refused() {
    let config = Config::of([
        ("alluxio.etcd.endpoints", "e1:2379"),
        ("alluxio.cluster.name", "a/b"),
        ("alluxio.etcd.username", "alluxio"),
        ("alluxio.etcd.tls.enabled", "true"),
        ("alluxio.etcd.tls.client.cert", "/etc/cert.pem"),
    ]);
    let got = faults(config.unwrap().master());
    assert_eq!(got.len(), 3, "{got:?}");
}

#[test]
fn the_tree_lies_in_memory_unless_a_file_is_asked_for() {
    use crate::MetastoreConfig;
    let of = |pairs: &[(&str, &str)]| {
        Config::load(env(pairs)).and_then(|config| config.master()).map(|master| master.metastore)
    };
    let hostname = ("ALLUXIO_MASTER_HOSTNAME", "m");
    assert_eq!(of(&[hostname]).unwrap(), MetastoreConfig::Heap);
    let file = of(&[
        hostname,
        ("ALLUXIO_MASTER_METASTORE", "ROCKS"),
        ("ALLUXIO_MASTER_METASTORE_DIR", "/meta"),
        ("ALLUXIO_MASTER_METASTORE_INODE_CACHE_MAX_SIZE", "1000"),
    ]);
    let expected = MetastoreConfig::File { dir: "/meta".into(), resident_bytes: Some(128_000) };
    assert_eq!(file.unwrap(), expected);
    let unknown = faults(of(&[hostname, ("ALLUXIO_MASTER_METASTORE", "REDB")]));
    assert!(unknown.iter().any(|fault| fault.contains("ROCKS")), "{unknown:?}");
}
