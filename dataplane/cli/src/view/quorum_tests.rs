use super::*;
use alluxio_client::{ClientError, MasterAddress};
use alluxio_types::{Code, UnixMillis};

fn state(host: &str, role: MasterRole, applied: u64, lag: u64) -> MasterState {
    MasterState {
        address: MasterAddress { host: host.into(), rpc_port: 19998, web_port: 19999 },
        role,
        term: 17,
        applied_seq: applied,
        lag,
        checkpoint: Some(CheckpointFacts {
            seq: 1200,
            created: UnixMillis(1_795_244_709_042),
            length_bytes: 3 << 20,
        }),
        version: "0.1.0".into(),
    }
}

fn member(name: &str, healthy: bool, leader: bool) -> EtcdMember {
    EtcdMember {
        name: name.into(),
        id: "8e9e05c52164694d".into(),
        client_urls: vec![format!("http://{name}:2379")],
        healthy,
        leader,
        learner: false,
        version: if healthy { "3.5.17".into() } else { String::new() },
        db_bytes: if healthy { 2 << 20 } else { 0 },
        raft_term: 4,
        raft_index: 900,
        problems: if healthy { Vec::new() } else { vec!["etcd did not answer".into()] },
    }
}

fn answer(state: MasterState, etcd: Vec<EtcdMember>) -> MasterAnswer {
    let view = QuorumView {
        states: vec![state.clone()],
        leader: "m1:19998".into(),
        leader_term: 17,
        journal_type: "ETCD".into(),
        cluster_name: "blue".into(),
        etcd,
        itself: Some(state.clone()),
    };
    MasterAnswer { address: state.address.to_string(), view: Ok(view) }
}

fn silent(address: &str) -> MasterAnswer {
    let refused = ClientError::Refused { code: Code::Unavailable, message: "no answer".into() };
    MasterAnswer { address: address.into(), view: Err(refused) }
}

fn dates() -> DateFormat {
    DateFormat::utc("MM-dd-yyyy HH:mm:ss:SSS")
}

#[test]
fn the_masters_and_etcd_stand_in_two_tables() {
    let etcd = vec![member("e1", true, true), member("e2", false, false)];
    let quorum = Quorum::of(&[
        answer(state("m1", MasterRole::Primary, 1300, 0), etcd),
        answer(state("m2", MasterRole::Standby, 1298, 2), Vec::new()),
        silent("m3:19998"),
    ]);
    let want = "\
Journal domain : MASTER
Journal type   : ETCD
Cluster name   : blue
Quorum size    : 3
Quorum leader  : m1:19998
Term           : 17

STATE        ROLE     SERVER ADDRESS  TERM  LAG  LAST ENTRY  LAST CHECKPOINT
AVAILABLE    PRIMARY  m1:19998        17    0    1300        entry 1200, 11-21-2026 07:05:09:042, 3.00MB
AVAILABLE    STANDBY  m2:19998        17    2    1298        entry 1200, 11-21-2026 07:05:09:042, 3.00MB
UNAVAILABLE  -        m3:19998        -     -    -           no answer

etcd members   : 2
STATE        ROLE    NAME  ID                ENDPOINTS       VERSION  DB SIZE  RAFT TERM  RAFT INDEX
AVAILABLE    LEADER  e1    8e9e05c52164694d  http://e1:2379  3.5.17   2.00MB   4          900
UNAVAILABLE  -       e2    -                 http://e2:2379  -        -        -          -
etcd e2: etcd did not answer";
    assert_eq!(quorum.lines(&dates()).join("\n"), want);
    let json = quorum.json();
    assert_eq!(json["leader"], "m1:19998");
    assert_eq!(json["masters"][1]["lagEntries"], 2);
    assert_eq!(json["masters"][2]["state"], "UNAVAILABLE");
    assert_eq!(json["masters"][0]["lastCheckpoint"]["bytes"], 3 << 20);
    assert_eq!(json["etcd"][1]["state"], "UNAVAILABLE");
}

#[test]
fn a_primary_that_cannot_prove_itself_is_no_leader() {
    let quorum = Quorum::of(&[
        answer(state("m1", MasterRole::Suspended, 1300, 0), Vec::new()),
        answer(state("m2", MasterRole::Standby, 1300, 0), Vec::new()),
    ]);
    let lines = quorum.lines(&dates());
    assert!(lines.contains(&"Quorum leader  : m1:19998 (does not serve)".to_owned()), "{lines:?}");
    assert_eq!(quorum.json()["leader"], Value::Null);
    assert!(quorum.is_known());
    assert!(!Quorum::of(&[silent("m1:1")]).is_known());
}

#[test]
fn a_master_that_is_asked_under_two_names_is_counted_once() {
    let mut second = answer(state("m1", MasterRole::Primary, 5, 0), Vec::new());
    second.address = "10.0.0.1:19998".into();
    let quorum = Quorum::of(&[answer(state("m1", MasterRole::Primary, 5, 0), Vec::new()), second]);
    assert!(quorum.lines(&dates()).contains(&"Quorum size    : 1".to_owned()));
}
