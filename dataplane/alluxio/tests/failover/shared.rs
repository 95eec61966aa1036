//! The journal in a bucket: of one master, and of two that are elected in etcd.

use crate::load::Load;
use crate::{Prober, SERVED_WITHIN, alone, primary, rounds, wait_for_standbys};
use alluxio_client::blocking::FileSystem;
use alluxio_client::options::{CreateDirectoryOptions, GetStatusOptions};
use alluxio_host::Host;
use alluxio_testkit::{Masters, Network, ProcessCluster};
use alluxio_testservers::{Minio, Proxy, minio};
use alluxio_types::AlluxioPath;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// What a master is told of the bucket at `endpoint`.
fn properties(endpoint: &str) -> Vec<(&'static str, String)> {
    let folder = format!("s3://{}/blue/journal", Minio::BUCKET);
    vec![
        ("alluxio.master.journal.type", "UFS".to_owned()),
        ("alluxio.master.journal.folder", folder),
        ("alluxio.master.journal.ufs.option.alluxio.underfs.s3.endpoint", endpoint.to_owned()),
        ("alluxio.master.journal.ufs.option.s3a.accessKeyId", minio::ACCESS_KEY.to_owned()),
        ("alluxio.master.journal.ufs.option.s3a.secretKey", minio::SECRET_KEY.to_owned()),
        ("alluxio.master.journal.checkpoint.period.entries", "500".to_owned()),
    ]
}

fn pairs<'a>(properties: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    properties.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

/// Nothing that a process wrote or was called with shows the secret.
fn assert_no_secret_in(logs: &[std::path::PathBuf]) {
    for log in logs {
        let text = std::fs::read_to_string(log).unwrap();
        assert!(!text.is_empty() && !text.contains(minio::SECRET_KEY), "{}", log.display());
    }
}

#[test]
fn masters_that_share_a_bucket_lose_nothing_when_the_primary_is_killed() {
    let _alone = alone();
    let kills = rounds(4);
    let server = Minio::start();
    let mut all = properties(&server.endpoint());
    all.push(("alluxio.etcd.leader.lease", "2s".to_owned()));
    let binary = Path::new(env!("CARGO_BIN_EXE_alluxio"));
    let mut masters = Masters::start(binary, (1, 2), Network::Direct, &pairs(&all)).unwrap();
    let load = Load::start(&masters, kills);
    let mut prober = Prober::new(&masters);
    for round in 0..kills {
        load.recorder().wait_for(200 + 130 * round as usize, SERVED_WITHIN);
        let victim = primary(&masters);
        let killed = Instant::now();
        masters.kill(victim).unwrap();
        prober.first_change_since(killed);
        assert_eq!(primary(&masters), 1 - victim);
        masters.start_master(victim).unwrap();
        wait_for_standbys(&masters, 1);
    }
    prober.finish("kill -9 of the primary, journal in a bucket");
    (0..2).for_each(|number| masters.kill(number).unwrap());
    (0..2).for_each(|number| masters.start_master(number).unwrap());
    let calls = load.check(masters.client().unwrap());
    println!("{kills} kills, {calls} answers explained");
    let logs = (0..2).map(|number| masters.dir().join(format!("master-{number}.log")));
    assert_no_secret_in(&logs.collect::<Vec<_>>());
}

fn make(fs: &FileSystem, path: &AlluxioPath) -> bool {
    fs.create_directory(path, &CreateDirectoryOptions::default()).is_ok()
}

fn client(cluster: &ProcessCluster) -> FileSystem {
    FileSystem::connect(cluster.config().unwrap().client().unwrap(), Host::real()).unwrap()
}

#[test]
fn a_single_master_with_its_journal_in_a_bucket_survives_kills() {
    let _alone = alone();
    let server = Minio::start();
    let all = properties(&server.endpoint());
    let binary = Path::new(env!("CARGO_BIN_EXE_alluxio"));
    let mut cluster = ProcessCluster::start(binary, &pairs(&all)).unwrap();
    let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (fs, stop, made) = (client(&cluster), stop.clone(), made.clone());
            std::thread::spawn(move || {
                let mut acknowledged = Vec::new();
                for next in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let path = AlluxioPath::parse(&format!("/c{number}-{next}")).unwrap();
                    if make(&fs, &path) {
                        made.fetch_add(1, Ordering::SeqCst);
                        acknowledged.push(path);
                    }
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..rounds(3) {
        let before = made.load(Ordering::SeqCst);
        alluxio_testservers::eventually("changes", SERVED_WITHIN, || {
            made.load(Ordering::SeqCst) > before + 300
        });
        cluster.kill_master().unwrap();
        cluster.start_master().unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let fs = client(&cluster);
    let mut found = 0;
    for client in clients {
        for path in client.join().unwrap() {
            fs.get_status(&path, &GetStatusOptions::default()).unwrap();
            found += 1;
        }
    }
    assert!(found > 900, "{found}");
    assert_no_secret_in(&[cluster.dir().join("logs/master.log")]);
}

#[test]
fn a_bucket_that_cannot_be_reached_makes_changes_wait_and_no_longer() {
    let _alone = alone();
    let server = Minio::start();
    let proxy = Proxy::to(server.endpoint().strip_prefix("http://").unwrap());
    let all = properties(&format!("http://{}", proxy.address()));
    let binary = Path::new(env!("CARGO_BIN_EXE_alluxio"));
    let cluster = ProcessCluster::start(binary, &pairs(&all)).unwrap();
    let fs = Arc::new(client(&cluster));
    let path = |name: &str| AlluxioPath::parse(name).unwrap();
    assert!(make(&fs, &path("/before")));
    proxy.partition();
    let (told, outcome) = mpsc::channel();
    let waiting = fs.clone();
    std::thread::spawn(move || {
        let _ = told.send(make(&waiting, &path("/meanwhile")));
    });
    let early = outcome.recv_timeout(Duration::from_secs(5));
    assert!(early.is_err(), "acknowledged, and nowhere durable");
    proxy.reset();
    proxy.heal();
    let healed = Instant::now();
    assert!(outcome.recv_timeout(SERVED_WITHIN).unwrap());
    println!("changes went on {:.2?} after the bucket came back", healed.elapsed());
    let log = cluster.dir().join("logs/master.log");
    for line in
        ["the journal's store does not answer, changes wait", "answers again, changes go on"]
    {
        // Lines are written beside the work.
        alluxio_testservers::eventually(line, SERVED_WITHIN, || {
            std::fs::read_to_string(&log).unwrap().contains(line)
        });
    }
    for name in ["/before", "/meanwhile"] {
        fs.get_status(&path(name), &GetStatusOptions::default()).unwrap();
    }
}
