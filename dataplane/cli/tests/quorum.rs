//! Commands for several masters, against three masters and a real etcd.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod said;

use alluxio_config::Config;
use alluxio_node::format::format_master;
use alluxio_node::{Process, start_master};
use alluxio_testservers::Etcd;
use said::say;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Who runs the masters, and the commands.
const USER: &str = "root";

/// Three masters of this process; `None` where one was stopped.
struct Masters {
    dir: tempfile::TempDir,
    etcd: Etcd,
    masters: Vec<Option<alluxio_master::Handle>>,
}

fn config(dir: &Path, etcd: &Etcd, number: usize) -> Config {
    let show = |sub: &str| dir.join(sub).display().to_string();
    let work = format!("m{number}");
    std::fs::create_dir_all(dir.join(&work)).unwrap();
    Config::of([
        ("alluxio.work.dir", show(&work)),
        ("alluxio.master.journal.type", "ETCD".to_owned()),
        ("alluxio.master.journal.folder", show(&format!("{work}/journal"))),
        ("alluxio.etcd.endpoints", etcd.endpoints().join(",")),
        ("alluxio.cluster.name", "quorum".to_owned()),
        ("alluxio.master.mount.table.root.ufs", show("ufs")),
        ("alluxio.security.login.username", USER.to_owned()),
        ("alluxio.master.hostname", "127.0.0.1".to_owned()),
        ("alluxio.master.bind.host", "127.0.0.1".to_owned()),
        ("alluxio.master.web.bind.host", "127.0.0.1".to_owned()),
        ("alluxio.master.rpc.port", "0".to_owned()),
        ("alluxio.master.web.port", "0".to_owned()),
    ])
    .unwrap()
}

impl Masters {
    async fn start() -> Self {
        let etcd = tokio::task::spawn_blocking(|| Etcd::start(3)).await.unwrap();
        let mut cluster = Masters { dir: tempfile::tempdir().unwrap(), etcd, masters: Vec::new() };
        for number in 0..3 {
            let process = Process::embedded(config(cluster.dir.path(), &cluster.etcd, number));
            if number == 0 {
                let first = process.clone();
                tokio::task::spawn_blocking(move || format_master(&first)).await.unwrap().unwrap();
            }
            cluster.masters.push(Some(start_master(&process).await.unwrap()));
        }
        cluster
    }

    fn addresses(&self) -> Vec<String> {
        let up = self.masters.iter().flatten();
        up.map(|master| master.rpc_address().to_string()).collect()
    }

    fn index_of(&self, address: &str) -> usize {
        let at = |master: &Option<alluxio_master::Handle>| {
            master.as_ref().is_some_and(|m| m.rpc_address().to_string() == address)
        };
        self.masters.iter().position(at).unwrap()
    }

    async fn stop_one(&mut self, index: usize) {
        self.masters[index].take().unwrap().stop(Duration::from_secs(5)).await;
    }

    async fn stop(mut self) {
        for index in 0..3 {
            if self.masters[index].is_some() {
                self.stop_one(index).await;
            }
        }
    }
}

/// Runs a command of a user who knows `masters`; its exit code, standard output and standard error.
async fn alluxio(masters: &[String], line: &str) -> (u8, String, String) {
    let nowhere = tempfile::tempdir().unwrap();
    let mut arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
    arguments.push(format!("-Dalluxio.security.login.username={USER}"));
    if !masters.is_empty() {
        arguments.push(format!("-Dalluxio.master.rpc.addresses={}", masters.join(",")));
    }
    let said = say(arguments, nowhere.path()).await;
    let (code, err) = (said.code, said.err.clone());
    (code, said.text(), err)
}

async fn ok(masters: &[String], line: &str) -> String {
    let (code, out, err) = alluxio(masters, line).await;
    assert_eq!(code, 0, "{line}: {err}");
    out
}

async fn info(masters: &[String]) -> Value {
    serde_json::from_str(&ok(masters, "--json fsadmin journal quorum info").await).unwrap()
}

/// Asks again until the picture is as wanted: standbys report a few times a second.
async fn until(masters: &[String], wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let now = info(masters).await;
        if wanted(&now) {
            return now;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{now:#}");
    }
}

fn in_role<'a>(info: &'a Value, role: &str) -> Vec<&'a str> {
    let masters = info["masters"].as_array().unwrap().iter();
    masters.filter(|m| m["role"] == role).map(|m| m["address"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quorum_is_shown_handed_over_and_shown_again() {
    let mut cluster = Masters::start().await;
    let all = cluster.addresses();
    for directory in ["/a", "/b", "/c"] {
        ok(&all, &format!("fs mkdir {directory}")).await;
    }
    let caught_up =
        |info: &Value| {
            in_role(info, "STANDBY").len() == 2
                && info["masters"].as_array().unwrap().iter().all(|m| {
                    m["lagEntries"] == 0 && m["lastEntry"] == info["masters"][0]["lastEntry"]
                })
        };
    let before = until(&all, caught_up).await;
    let primary = before["leader"].as_str().unwrap().to_owned();
    assert_eq!(in_role(&before, "PRIMARY"), [primary.as_str()]);
    assert_eq!(before["clusterName"], "quorum");
    let etcd = before["etcd"].as_array().unwrap();
    assert_eq!(etcd.len(), 3);
    assert!(etcd.iter().all(|member| member["state"] == "AVAILABLE"), "{etcd:?}");
    assert_eq!(etcd.iter().filter(|member| member["role"] == "LEADER").count(), 1);

    // One address is enough to see all.
    let one = info(&all[..1]).await;
    assert_eq!(one["masters"].as_array().unwrap().len(), 3, "{one:#}");

    let said = ok(&all, "fsadmin journal checkpoint").await;
    assert_eq!(said, "Successfully took a checkpoint on master 127.0.0.1\n");
    let with_checkpoint = until(&all, |info| {
        info["masters"]
            .as_array()
            .unwrap()
            .iter()
            .all(|m| m["lastCheckpoint"]["bytes"].as_u64() > Some(0))
    })
    .await;
    for master in with_checkpoint["masters"].as_array().unwrap() {
        assert!(master["lastCheckpoint"]["timeMs"].as_u64() > Some(1_600_000_000_000), "{master}");
    }

    let heir = in_role(&before, "STANDBY")[0].to_owned();
    let said = ok(&all, &format!("fsadmin journal transfer {heir}")).await;
    assert_eq!(said, format!("Transferred leadership to server: {heir}\n"));
    let after = until(&all, |info| info["leader"] == heir.as_str()).await;
    assert!(after["term"].as_u64() > before["term"].as_u64());
    let text = ok(&all, "fs masterInfo").await;
    assert!(text.starts_with(&format!("Current leader master: {heir}\n")), "{text}");
    assert!(ok(&all, "fsadmin report").await.contains(" PRIMARY "), "{text}");
    let (code, _, err) = alluxio(&all, "fsadmin journal transfer nowhere:1").await;
    assert!(code == 255 && err.contains("nowhere:1") && err.contains(&all[0][..9]), "{err}");
    let elect = format!("fsadmin journal quorum elect -address {primary}");
    assert_eq!(ok(&all, &elect).await, format!("Transferred leadership to server: {primary}\n"));

    // A standby goes: it is shown as unavailable, with the reason.
    cluster.stop_one(cluster.index_of(&heir)).await;
    let less = until(&all, |info| in_role(info, "STANDBY").len() == 1).await;
    let gone = less["masters"].as_array().unwrap().iter().find(|m| m["state"] == "UNAVAILABLE");
    assert_eq!(gone.unwrap()["address"], heir.as_str());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_of_etcd_the_picture_is_still_there() {
    let mut cluster = Masters::start().await;
    let all = cluster.addresses();
    until(&all, |info| in_role(info, "STANDBY").len() == 2).await;
    cluster.etcd.kill(0);
    cluster.etcd.kill(1);
    // The member that is left needs a moment to see that it is alone.
    let dark = until(&all, |info| {
        let mut etcd = info["etcd"].as_array().unwrap().iter();
        !in_role(info, "SUSPENDED").is_empty() && etcd.all(|member| member["state"] != "AVAILABLE")
    })
    .await;
    assert_eq!(dark["leader"], Value::Null);
    assert_eq!(dark["masters"].as_array().unwrap().len(), 3);
    let text = ok(&all, "fsadmin journal quorum info").await;
    assert!(text.contains("(does not serve)"), "{text}");
    cluster.etcd.restart(0);
    cluster.etcd.restart(1);
    let light = until(&all, |info| in_role(info, "PRIMARY").len() == 1).await;
    assert_eq!(light["etcd"].as_array().unwrap().len(), 3);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_reported_and_missing_commands_say_so() {
    let cluster = alluxio_testkit::LocalCluster::start().await.unwrap();
    let master = vec![cluster.roles().master_addresses().0.to_string()];
    let text = ok(&master, "fsadmin report metrics").await;
    assert!(
        text.contains("alluxio_master_elections_total") && text.contains("(Type: GAUGE, Value: "),
        "{text}"
    );
    let text = ok(&master, "fsadmin journal quorum info").await;
    assert!(text.contains("Quorum size    : 1\n") && !text.contains("etcd"), "{text}");
    for line in
        ["fsadmin pathConf show /a", "fsadmin metrics clear --master", "fsadmin report proxy"]
    {
        let (code, _, err) = alluxio(&master, line).await;
        assert!(code == 255 && err.contains(" is not implemented: "), "{line}: {err}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_is_found_in_etcd_and_behind_an_address_that_never_answers() {
    let cluster = Masters::start().await;
    let all = cluster.addresses();
    // Nothing but etcd is configured.
    let etcd = cluster.etcd.endpoints().join(",");
    let found = ["alluxio.etcd.endpoints", "alluxio.cluster.name"];
    let options = format!("-D{}={etcd} -D{}=quorum", found[0], found[1]);
    let (code, out, err) = alluxio(&[], &format!("fs mkdir /found {options}")).await;
    assert_eq!((code, out.as_str()), (0, "Successfully created directory /found\n"), "{err}");
    let wrong = options.replace("=quorum", "=nobody");
    let began = Instant::now();
    let (code, _, err) = alluxio(&[], &format!("fs mkdir /lost {wrong}")).await;
    assert!(code == 255 && err.contains(&etcd) && err.contains("does not tell"), "{err}");
    assert!(began.elapsed() < Duration::from_secs(20));
    let refused = format!("{options} -Dalluxio.etcd.username=ann -Dalluxio.etcd.password=hush");
    let (code, _, err) = alluxio(&[], &format!("fs mkdir /lost {refused}")).await;
    assert!(code == 255 && err.contains("alluxio.etcd.username") && !err.contains("hush"), "{err}");

    // A master that is stopped takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut addresses = vec![silent.local_addr().unwrap().to_string()];
    addresses.extend(all);
    let began = Instant::now();
    ok(&addresses, "fs test -d /found").await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let uri = format!("alluxio://{}/found", addresses.join(","));
    let (code, _, err) = alluxio(&[], &format!("fs test -d {uri}")).await;
    assert_eq!(code, 0, "{err}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_starts_before_etcd_waits_for_it() {
    let mut etcd = tokio::task::spawn_blocking(|| Etcd::start(1)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let process = Process::embedded(config(dir.path(), &etcd, 0));
    let first = process.clone();
    tokio::task::spawn_blocking(move || format_master(&first)).await.unwrap().unwrap();
    etcd.kill(0);
    let mut starting = tokio::spawn(async move { start_master(&process).await });
    let early = tokio::time::timeout(Duration::from_secs(3), &mut starting).await;
    assert!(early.is_err(), "it neither serves nor fails while etcd is down");
    etcd.restart(0);
    let master = starting.await.unwrap().unwrap();
    let address = vec![master.rpc_address().to_string()];
    ok(&address, "fs mkdir /served").await;
    master.stop(Duration::from_secs(5)).await;
}
