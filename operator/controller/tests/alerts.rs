//! Alerts, evaluated by `promtool` (Debian's package prometheus) over series that tell a story each: they fire when somebody
//! should come, and not otherwise.

use alluxio_operator_controller::monitoring::Scope;
use alluxio_operator_controller::monitoring::alerts::{CLUSTER, RELEASE, groups};
use serde_json::{Value, json};
use std::process::Command;

/// What happens to one alert.
struct Story {
    alert: &'static str,
    what: &'static str,
    /// Series with their values from minute 0 on, one a minute, as promtool writes them. `OF` are the scope's labels.
    series: &'static [(&'static str, &'static str)],
    /// When it is looked at, in minutes.
    at: u32,
    /// For how many label sets it fires then.
    fires: u32,
}

const fn story(
    alert: &'static str,
    what: &'static str,
    series: &'static [(&'static str, &'static str)],
    at: u32,
    fires: u32,
) -> Story {
    Story { alert, what, series, at, fires }
}

const STORIES: &[Story] = &[
    story(
        "AlluxioNoPrimary",
        "one serves",
        &[("alluxio_master_primary{OF,pod=\"m-0\"}", "1x9")],
        9,
        0,
    ),
    story(
        "AlluxioNoPrimary",
        "all are standbys",
        &[
            ("alluxio_master_primary{OF,pod=\"m-0\"}", "1x2 0x9"),
            ("alluxio_master_primary{OF,pod=\"m-1\"}", "0x11"),
        ],
        9,
        1,
    ),
    story(
        "AlluxioNoPrimary",
        "nobody is there, and another cluster is",
        &[("alluxio_master_primary{namespace=\"cache\",alluxio_cluster=\"other\"}", "1x9")],
        9,
        1,
    ),
    story(
        "AlluxioSeveralPrimaries",
        "two for long",
        &[
            ("alluxio_master_primary{OF,pod=\"m-0\"}", "1x9"),
            ("alluxio_master_primary{OF,pod=\"m-1\"}", "1x9"),
        ],
        9,
        1,
    ),
    story(
        "AlluxioSeveralPrimaries",
        "a fail-over between two scrapes",
        &[
            ("alluxio_master_primary{OF,pod=\"m-0\"}", "1x4 0x9"),
            ("alluxio_master_primary{OF,pod=\"m-1\"}", "0x3 1x9"),
        ],
        9,
        0,
    ),
    story(
        "AlluxioStandbyMissing",
        "three masters, one standby",
        &[
            ("alluxio_master_primary{OF,pod=\"m-0\"}", "1x9"),
            ("alluxio_master_primary{OF,pod=\"m-1\"}", "0x9"),
            ("alluxio_master_primary{OF,pod=\"m-2\"}", "0x9"),
            ("alluxio_master_standbys{OF,pod=\"m-0\"}", "1x9"),
            ("alluxio_master_standbys{OF,pod=\"m-1\"}", "0x9"),
        ],
        9,
        1,
    ),
    story(
        "AlluxioStandbyMissing",
        "one master needs none",
        &[
            ("alluxio_master_primary{OF,pod=\"m-0\"}", "1x9"),
            ("alluxio_master_standbys{OF,pod=\"m-0\"}", "0x9"),
        ],
        9,
        0,
    ),
    story(
        "AlluxioWorkersLost",
        "only an old primary still says so",
        &[
            ("alluxio_master_primary{OF,instance=\"a\"}", "0x9"),
            ("alluxio_master_workers_lost{OF,instance=\"a\"}", "2x9"),
            ("alluxio_master_primary{OF,instance=\"b\"}", "1x9"),
            ("alluxio_master_workers_lost{OF,instance=\"b\"}", "0x9"),
        ],
        9,
        0,
    ),
    story(
        "AlluxioWorkersLost",
        "the primary misses one",
        &[
            ("alluxio_master_primary{OF,instance=\"b\"}", "1x9"),
            ("alluxio_master_workers_lost{OF,instance=\"b\"}", "1x9"),
        ],
        9,
        1,
    ),
    story(
        "AlluxioCheckpointLags",
        "three periods without one",
        &[
            ("alluxio_master_journal_committed_entries{OF,pod=\"m-0\"}", "7000000x30"),
            ("alluxio_master_journal_checkpoint_entries{OF,pod=\"m-0\"}", "0x30"),
        ],
        20,
        1,
    ),
    story(
        "AlluxioUnderStoreErrors",
        "the store refuses; files that are gone are no error",
        &[
            ("alluxio_worker_fetch_errors_total{OF,pod=\"w\",code=\"UNAUTHENTICATED\"}", "0+60x30"),
            ("alluxio_worker_fetch_errors_total{OF,pod=\"w\",code=\"NOT_FOUND\"}", "0+60x30"),
        ],
        20,
        1,
    ),
    story(
        "AlluxioCacheThrashes",
        "all is replaced in an hour",
        &[
            ("alluxio_worker_blocks_evicted_total{OF,pod=\"w\"}", "0+10x120"),
            ("alluxio_worker_stored_blocks{OF,pod=\"w\"}", "500x120"),
        ],
        110,
        1,
    ),
    story(
        "AlluxioCacheThrashes",
        "a full cache that lives",
        &[
            ("alluxio_worker_blocks_evicted_total{OF,pod=\"w\"}", "0+1x120"),
            ("alluxio_worker_stored_blocks{OF,pod=\"w\"}", "500x120"),
        ],
        110,
        0,
    ),
    story(
        "AlluxioNoKeeper",
        "none",
        &[("alluxio_fuse_keeper_connections{OF,node=\"n\"}", "0x9")],
        5,
        1,
    ),
    story(
        "AlluxioKeeperMissing",
        "one",
        &[("alluxio_fuse_keeper_connections{OF,node=\"n\"}", "1x20")],
        15,
        1,
    ),
    story(
        "AlluxioKeeperMissing",
        "both",
        &[("alluxio_fuse_keeper_connections{OF,node=\"n\"}", "2x20")],
        15,
        0,
    ),
    story(
        "AlluxioSessionsRemounted",
        "a new agent begins with it",
        &[("alluxio_fuse_remounted_sessions_total{OF,pod=\"new\"}", "_x3 2x9")],
        6,
        1,
    ),
    story(
        "AlluxioSessionsRemounted",
        "that was long ago",
        &[("alluxio_fuse_remounted_sessions_total{OF,pod=\"old\"}", "2x40")],
        30,
        0,
    ),
    story(
        "AlluxioPodRestartsOften",
        "it dies every few minutes",
        &[("process_start_time_seconds{OF,pod=\"w\"}", "0x3 300x3 600x3 900x3 1200x3")],
        15,
        1,
    ),
];

const RELEASE_STORIES: &[Story] = &[
    story(
        "AlluxioOperatorAway",
        "only standbys",
        &[("alluxio_operator_leads{OF,pod=\"o\"}", "0x9")],
        9,
        1,
    ),
    story(
        "AlluxioOperatorAway",
        "one leads",
        &[("alluxio_operator_leads{OF,pod=\"o\"}", "1x9")],
        9,
        0,
    ),
    story(
        "AlluxioOperatorReconcileFails",
        "one controller's fail",
        &[
            (
                "alluxio_operator_reconciles_total{OF,controller=\"cluster\",outcome=\"failed\"}",
                "0+3x60",
            ),
            (
                "alluxio_operator_reconciles_total{OF,controller=\"cluster\",outcome=\"ok\"}",
                "0+1x60",
            ),
            (
                "alluxio_operator_reconciles_total{OF,controller=\"dataset\",outcome=\"failed\"}",
                "0+1x60",
            ),
            (
                "alluxio_operator_reconciles_total{OF,controller=\"dataset\",outcome=\"ok\"}",
                "0+9x60",
            ),
        ],
        40,
        1,
    ),
    story(
        "AlluxioClusterNotReady",
        "two phases are bad, one is not",
        &[
            ("alluxio_operator_objects{OF,kind=\"AlluxioCluster\",phase=\"Degraded\"}", "1x30"),
            ("alluxio_operator_objects{OF,kind=\"AlluxioCluster\",phase=\"Failed\"}", "2x30"),
            ("alluxio_operator_objects{OF,kind=\"AlluxioCluster\",phase=\"Ready\"}", "5x30"),
            ("alluxio_operator_objects{OF,kind=\"AlluxioCluster\",phase=\"Pending\"}", "0x30"),
        ],
        25,
        2,
    ),
];

fn test(story: &Story, scope: &Scope) -> Value {
    let series = story.series.iter().map(
        |(name, values)| json!({"series": name.replace("OF", &scope.matchers()), "values": values}),
    );
    let samples = match story.fires {
        0 => json!([]),
        number => json!([{"labels": "{}", "value": number}]),
    };
    json!({
        "name": format!("{}: {}", story.alert, story.what),
        "interval": "1m",
        "input_series": series.collect::<Vec<_>>(),
        "promql_expr_test": [{
            "expr": format!("count(ALERTS{{alertname=\"{}\",alertstate=\"firing\"}})", story.alert),
            "eval_time": format!("{}m", story.at),
            "exp_samples": samples,
        }],
    })
}

#[test]
fn alerts_fire_when_somebody_should_come() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Scope::Cluster { namespace: "cache".into(), name: "demo".into() };
    let release = Scope::Release { namespace: "alluxio-system".into() };
    let all = [(CLUSTER, cluster, STORIES), (RELEASE, release, RELEASE_STORIES)];
    for (number, (alerts, scope, stories)) in all.into_iter().enumerate() {
        let rules = dir.path().join(format!("rules-{number}.json"));
        std::fs::write(&rules, json!({"groups": groups(alerts, &scope)}).to_string()).unwrap();
        for story in stories {
            assert!(alerts.iter().any(|alert| alert.name == story.alert), "{}", story.alert);
        }
        let tests: Vec<Value> = stories.iter().map(|story| test(story, &scope)).collect();
        let tests = json!({"rule_files": [rules], "evaluation_interval": "1m", "tests": tests});
        let file = dir.path().join(format!("tests-{number}.json"));
        std::fs::write(&file, tests.to_string()).unwrap();
        for arguments in [["check", "rules"], ["test", "rules"]] {
            let of = if arguments[0] == "check" { &rules } else { &file };
            let output = Command::new("promtool").args(arguments).arg(of).output();
            let output = output.expect("promtool: `cargo xtask test --install-only`");
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
    }
}
