//! Alerts: what somebody should be called for, and what to do then.

use super::Scope;
use serde_json::{Value, json};

/// How soon somebody has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Now: files cannot be read or written, or soon will not be.
    Critical,
    /// In working hours.
    Warning,
}

/// One alert.
#[derive(Debug, Clone, Copy)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// It fires while this gives something. `SCOPE` stands for the choice of series.
    pub expression: &'static str,
    /// For how long it has to hold, in minutes.
    pub minutes: u32,
    /// How urgent it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub summary: &'static str,
    /// What that means, and what to do.
    pub description: &'static str,
}

use Severity::{Critical, Warning};

/// Those of one cluster.
pub const CLUSTER: &[Alert] = &[
    Alert {
        name: "AlluxioNoPrimary",
        expression: "absent(alluxio_master_primary{SCOPE} == 1)",
        minutes: 1,
        severity: Critical,
        summary: "No master serves",
        description: "Every call for metadata waits or fails; files that are open go on. See which masters run \
            (kubectl get pods -l app.kubernetes.io/component=master) and what they log. With etcd: are most of its \
            members ready? Without it: does the master's volume have room, and does the log name a broken journal? \
            `alluxio fsadmin journal quorum info` in a master's pod shows every master's role and lag.",
    },
    Alert {
        name: "AlluxioSeveralPrimaries",
        expression: "sum(alluxio_master_primary{SCOPE}) > 1",
        minutes: 2,
        severity: Critical,
        summary: "{{ $value }} masters take themselves for the primary",
        description: "Only the one of the highest term can write: the journal refuses the others. One of them has lost \
            its connection to etcd and does not know. Compare alluxio_master_term_number, and delete the pod with the \
            lower term.",
    },
    Alert {
        name: "AlluxioPodDown",
        expression: "up{SCOPE} == 0",
        minutes: 3,
        severity: Warning,
        summary: "{{ $labels.component }} {{ $labels.pod }} on {{ $labels.node }} does not answer",
        description: "Prometheus gets no metrics of it. kubectl describe pod says whether it runs and why not; if it \
            does, its port may be shut by a NetworkPolicy. Masters and workers that are left take over; on a node \
            without an agent, volumes serve nothing new until it is back.",
    },
    Alert {
        name: "AlluxioPodRestartsOften",
        expression: "changes(process_start_time_seconds{SCOPE}[30m]) > 2",
        minutes: 0,
        severity: Warning,
        summary: "{{ $labels.component }} {{ $labels.pod }} has started {{ $value }} times in half an hour",
        description: "kubectl logs --previous says what it died of; kubectl describe pod shows OOMKilled when its \
            memory limit is too low: for masters it grows with the files (alluxio_master_namespace_bytes).",
    },
    Alert {
        name: "AlluxioDescriptorsRunOut",
        expression: "process_open_fds{SCOPE} / process_max_fds{SCOPE} > 0.8",
        minutes: 10,
        severity: Warning,
        summary: "{{ $labels.component }} {{ $labels.pod }} uses {{ $value | humanizePercentage }} of its file descriptors",
        description: "At the limit new connections and files are refused. Raise the limit of the container runtime, \
            or find out who keeps so many files or connections open (alluxio_worker_data_connections, \
            alluxio_worker_held_leases).",
    },
    Alert {
        name: "AlluxioStandbyMissing",
        expression: "max(alluxio_master_standbys{SCOPE}) < count(alluxio_master_primary{SCOPE}) - 1",
        minutes: 5,
        severity: Warning,
        summary: "A master does not follow the primary",
        description: "If the primary fails now, fewer masters can take over. `alluxio fsadmin journal quorum info` \
            shows which one it is; its log says why it cannot follow. A standby that is broken is mended by deleting \
            its pod, and if need be its claim: it fetches the newest checkpoint.",
    },
    Alert {
        name: "AlluxioStandbyLags",
        expression: "alluxio_master_journal_lag_entries{SCOPE} > 10000",
        minutes: 5,
        severity: Warning,
        summary: "{{ $labels.pod }} is {{ $value }} journal entries behind the primary",
        description: "A fail-over to it takes longer. It has too little processor time or a slow disk: compare its \
            resources with the primary's.",
    },
    Alert {
        name: "AlluxioCheckpointLags",
        // Three times the default of alluxio.master.journal.checkpoint.period.entries.
        expression: "alluxio_master_journal_committed_entries{SCOPE} - alluxio_master_journal_checkpoint_entries{SCOPE} > 6e6",
        minutes: 15,
        severity: Warning,
        summary: "{{ $value }} journal entries are in no checkpoint",
        description: "A start has to read them all, and the journal grows. Does the log name a failed checkpoint? Is \
            there room on the volume for a second one? `alluxio fsadmin journal checkpoint` writes one now.",
    },
    Alert {
        name: "AlluxioPrimaryChangesOften",
        expression: "sum(increase(alluxio_master_elections_total{SCOPE}[1h])) > 3",
        minutes: 0,
        severity: Warning,
        summary: "The primary has changed {{ $value }} times in an hour",
        description: "Masters lose their lease: etcd is slow or its nodes are (see AlluxioEtcdSlowDisk), or masters \
            get no processor time. Look for `the term is lost` in their logs.",
    },
    Alert {
        name: "AlluxioJournalFailed",
        expression: "increase(alluxio_master_journal_failures_total{SCOPE}[15m]) > 0",
        minutes: 0,
        severity: Critical,
        summary: "{{ $labels.pod }} could not write its journal",
        description: "The master ends and starts again rather than serve what is not durable. Its log names the error \
            of the disk or of etcd. Nothing that was acknowledged is lost; do not format anything.",
    },
    Alert {
        name: "AlluxioJournalDiskFull",
        expression: "increase(alluxio_master_journal_stalls_total{SCOPE}[5m]) > 0",
        minutes: 1,
        severity: Critical,
        summary: "The volume of {{ $labels.pod }} is full, and changes wait for room",
        description: "Reads go on, writes wait. Enlarge the claim (spec.master.journal.storage), or run `alluxio \
            fsadmin journal checkpoint` once a little room is there: segments before a checkpoint are removed.",
    },
    Alert {
        name: "AlluxioJournalSlow",
        expression: "histogram_quantile(0.99, sum by (pod, le) (rate(alluxio_master_journal_flush_seconds_bucket{SCOPE}[10m]))) > 0.5",
        minutes: 10,
        severity: Warning,
        summary: "Commits of {{ $labels.pod }} take {{ $value | humanizeDuration }}",
        description: "Every create, rename and delete waits for a commit. The disk of the journal, or etcd's, is slow or \
            shared with something that is: give it a faster storage class.",
    },
    Alert {
        name: "AlluxioNoWorkers",
        expression: "(alluxio_master_workers_live{SCOPE} and on (instance) alluxio_master_primary{SCOPE} == 1) < 1",
        minutes: 2,
        severity: Critical,
        summary: "No worker is registered",
        description: "Nothing can be read or written but metadata. kubectl get pods -l \
            app.kubernetes.io/component=worker: if they run, do they reach the primary (their log says what they \
            wait for)? If none is wanted: does any node match spec.worker.nodeSelector?",
    },
    Alert {
        name: "AlluxioWorkersLost",
        expression: "(alluxio_master_workers_lost{SCOPE} and on (instance) alluxio_master_primary{SCOPE} == 1) > 0",
        minutes: 5,
        severity: Warning,
        summary: "{{ $value }} workers fell silent",
        description: "What only they held and no under store has cannot be read until they are back; the rest is \
            fetched again. `alluxio fsadmin report capacity --lost` names them. They come back by themselves with their \
            nodes, and bring their cache.",
    },
    Alert {
        name: "AlluxioWorkerCutOff",
        expression: "sum by (pod, node) (rate(alluxio_worker_heartbeats_total{SCOPE,outcome=\"failed\"}[5m])) > sum by (pod, node) (rate(alluxio_worker_heartbeats_total{SCOPE,outcome=\"ok\"}[5m]))",
        minutes: 5,
        severity: Warning,
        summary: "Worker {{ $labels.pod }} on {{ $labels.node }} hardly reaches the master",
        description: "It will be taken for lost. Its log names the error: look at DNS, the network between the two \
            nodes, and whether the primary is overloaded.",
    },
    Alert {
        name: "AlluxioStorageDirLost",
        expression: "alluxio_worker_lost_dirs{SCOPE} > 0",
        minutes: 1,
        severity: Critical,
        summary: "Worker {{ $labels.pod }} on {{ $labels.node }} has {{ $value }} storage directories out of service",
        description: "The disk gives errors or is gone; what it held is fetched again. Its log names the directory. \
            Replace the disk and restart the worker's pod.",
    },
    Alert {
        name: "AlluxioBlocksLost",
        expression: "increase(alluxio_worker_blocks_lost_total{SCOPE}[15m]) > 0",
        minutes: 0,
        severity: Warning,
        summary: "Worker {{ $labels.pod }} lost {{ $value }} blocks with a directory",
        description: "Files that are in an under store are read from there. Files that were written to the cache alone \
            (MUST_CACHE, or not yet persisted) may be gone.",
    },
    Alert {
        name: "AlluxioBlocksCorrupt",
        expression: "increase(alluxio_worker_blocks_corrupt_total{SCOPE}[1h]) > 0",
        minutes: 0,
        severity: Warning,
        summary: "Worker {{ $labels.pod }} on {{ $labels.node }} dropped {{ $value }} blocks whose checksums failed",
        description: "Nobody was given wrong data; the blocks are fetched again. A disk or memory of that node is bad: \
            check dmesg and SMART, and drain the node if it goes on.",
    },
    Alert {
        name: "AlluxioCacheFull",
        expression: "rate(alluxio_worker_space_requests_refused_total{SCOPE}[5m]) > 0",
        minutes: 5,
        severity: Critical,
        summary: "Worker {{ $labels.pod }} has no room, and may evict nothing",
        description: "Writes to it fail. What it holds is pinned, or not persisted yet: `alluxio fs pin` less, persist \
            files (`alluxio fs persist`), or give the tiers more room (spec.worker.tieredStore).",
    },
    Alert {
        name: "AlluxioCacheThrashes",
        expression: "sum(increase(alluxio_worker_blocks_evicted_total{SCOPE}[1h])) > sum(alluxio_worker_stored_blocks{SCOPE})",
        minutes: 30,
        severity: Warning,
        summary: "All that is cached is replaced within an hour",
        description: "What is read does not fit into the cache, so it is fetched again and again. Add workers or room, \
            pin what matters, or let scans read with NO_CACHE.",
    },
    Alert {
        name: "AlluxioUnderStoreErrors",
        expression: "sum by (code) (rate(alluxio_worker_fetch_errors_total{SCOPE,code!~\"NOT_FOUND|CANCELLED\"}[10m])) > 0.1",
        minutes: 5,
        severity: Warning,
        summary: "Workers cannot fetch blocks: {{ $labels.code }}, {{ $value }} a second",
        description: "PERMISSION_DENIED or UNAUTHENTICATED: the credentials of a mount expired or were changed; see the \
            Dataset's conditions and its Secret. UNAVAILABLE or DEADLINE_EXCEEDED: the store, or the way to it. \
            RESOURCE_EXHAUSTED: the store throttles. The workers' logs name the mount.",
    },
    Alert {
        name: "AlluxioMetadataSyncFails",
        expression: "sum(rate(alluxio_master_metadata_sync_failures_total{SCOPE}[10m])) > 0.1 * sum(rate(alluxio_master_metadata_syncs_total{SCOPE}[10m]))",
        minutes: 10,
        severity: Warning,
        summary: "A tenth of all comparisons with under stores fail",
        description: "Listings may be old, and new files are not seen. The primary's log names the mount and the \
            error: mostly credentials, or a store that throttles or is away.",
    },
    Alert {
        name: "AlluxioMasterErrors",
        expression: "sum by (op) (rate(alluxio_master_rpc_requests_total{SCOPE,code=~\"INTERNAL|DATA_LOSS|UNIMPLEMENTED|RESOURCE_EXHAUSTED\"}[10m])) > 0.05",
        minutes: 10,
        severity: Warning,
        summary: "Calls of {{ $labels.op }} fail in the master",
        description: "RESOURCE_EXHAUSTED: more clients than the master can serve; see its processor time and \
            alluxio_master_writer_queue_entries. INTERNAL and DATA_LOSS are faults: keep the primary's log and report \
            them (kubectl alluxio diagnose).",
    },
    Alert {
        name: "AlluxioNoKeeper",
        expression: "alluxio_fuse_keeper_connections{SCOPE} == 0",
        minutes: 2,
        severity: Critical,
        summary: "Nobody but the agent holds the mounts of {{ $labels.node }}",
        description: "If the agent ends now, pods on the node lose their volumes. Neither the keeper \
            (DaemonSet …-fuse-keeper) nor the CSI driver (…-csi-node) of the chart runs there, or they use another \
            directory than the agent (csi.runDir).",
    },
    Alert {
        name: "AlluxioKeeperMissing",
        expression: "alluxio_fuse_keeper_connections{SCOPE} == 1",
        minutes: 10,
        severity: Warning,
        summary: "One of two keepers of the mounts of {{ $labels.node }} is missing",
        description: "Mounts survive the agent's end, and not that of the agent and the other keeper at once. See the \
            pods …-fuse-keeper and …-csi-node of the chart on that node.",
    },
    Alert {
        name: "AlluxioSessionsDead",
        expression: "alluxio_fuse_known_sessions{SCOPE,state=\"dead\"} > 0",
        minutes: 2,
        severity: Critical,
        summary: "{{ $value }} sessions on {{ $labels.node }} are served by nobody",
        description: "Pods with these volumes wait or get errors. The agent's log says why it cannot serve them; deleting \
            the agent's pod starts another that tries again, without harm to the sessions that work.",
    },
    Alert {
        name: "AlluxioSessionsRemounted",
        // A counter of a new process that is not 0 when it is first seen has grown, too.
        expression: "alluxio_fuse_remounted_sessions_total{SCOPE} - (alluxio_fuse_remounted_sessions_total{SCOPE} offset 15m or alluxio_fuse_remounted_sessions_total{SCOPE} * 0) > 0",
        minutes: 0,
        severity: Warning,
        summary: "{{ $value }} sessions on {{ $labels.node }} were mounted anew",
        description: "Agent and keepers were gone at once, so files that pods had open gave errors. Programs that do not \
            open them again have to be restarted. Find out what ended all three: memory of the node, an upgrade of the \
            chart and of the cluster at one time, kubectl delete by label.",
    },
    Alert {
        name: "AlluxioEtcdNoLeader",
        expression: "etcd_server_has_leader{SCOPE} == 0",
        minutes: 1,
        severity: Critical,
        summary: "etcd member {{ $labels.pod }} has no leader",
        description: "Without a majority of etcd no master can be elected or write. See which members run \
            (kubectl get pods -l app.kubernetes.io/component=etcd), and whether they reach each other. Do not delete \
            claims of members while there is no majority.",
    },
    Alert {
        name: "AlluxioEtcdNearlyFull",
        expression: "etcd_mvcc_db_total_size_in_bytes{SCOPE} / etcd_server_quota_backend_bytes{SCOPE} > 0.8",
        minutes: 10,
        severity: Critical,
        summary: "etcd member {{ $labels.pod }} uses {{ $value | humanizePercentage }} of its space",
        description: "At its limit etcd refuses writes, and with it the masters. Masters that lag or whose checkpoints \
            fail keep the journal long: see AlluxioCheckpointLags. Then defragment (etcdctl defrag), one member at a \
            time.",
    },
    Alert {
        name: "AlluxioEtcdSlowDisk",
        expression: "histogram_quantile(0.99, sum by (pod, le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket{SCOPE}[10m]))) > 0.25",
        minutes: 10,
        severity: Warning,
        summary: "etcd member {{ $labels.pod }} waits {{ $value | humanizeDuration }} for its disk",
        description: "Leases time out, and the primary changes. Give etcd a disk of its own: a faster storage class, \
            another node.",
    },
];

/// Those of what the chart installs: the operator and the CSI driver.
pub const RELEASE: &[Alert] = &[
    Alert {
        name: "AlluxioOperatorAway",
        expression: "absent(alluxio_operator_leads{SCOPE} == 1)",
        minutes: 5,
        severity: Critical,
        summary: "No operator is at work",
        description: "Clusters and volumes go on; changes, upgrades and repairs wait. See the pods of the operator and \
            their logs: do they reach the API server, and who holds the Lease (kubectl get lease)?",
    },
    Alert {
        name: "AlluxioOperatorReconcileFails",
        expression: "sum by (controller) (rate(alluxio_operator_reconciles_total{SCOPE,outcome=\"failed\"}[10m])) > 0.5 * sum by (controller) (rate(alluxio_operator_reconciles_total{SCOPE}[10m]))",
        minutes: 15,
        severity: Warning,
        summary: "Most reconciles of the controller {{ $labels.controller }} fail",
        description: "The operator's log names the object and the error: an admission webhook that refuses, a quota, a \
            name that is taken, missing rights. The object's conditions (kubectl describe) say the same.",
    },
    Alert {
        name: "AlluxioOperatorRefused",
        expression: "sum by (method, code) (rate(alluxio_operator_api_requests_total{SCOPE,code=~\"0|401|403|429|5..\"}[10m])) > 0.05",
        minutes: 10,
        severity: Warning,
        summary: "The API server answers the operator with {{ $labels.code }}",
        description: "403: the roles of the chart were changed, or spec asks for what they do not cover. 429: the API \
            server is overloaded. 0 and 5xx: it does not answer.",
    },
    Alert {
        name: "AlluxioClusterNotReady",
        expression: "alluxio_operator_objects{SCOPE,kind=\"AlluxioCluster\",phase=~\"Pending|Provisioning|Degraded|Failed\"} > 0",
        minutes: 15,
        severity: Warning,
        summary: "{{ $value }} AlluxioClusters are {{ $labels.phase }}",
        description: "kubectl get ac -A shows which; kubectl describe ac NAME says what they lack, as does \
            `kubectl alluxio status`.",
    },
    Alert {
        name: "AlluxioDatasetNotReady",
        expression: "alluxio_operator_objects{SCOPE,kind=\"Dataset\",phase=~\"Pending|Failed|Degraded\"} > 0",
        minutes: 15,
        severity: Warning,
        summary: "{{ $value }} Datasets are {{ $labels.phase }}",
        description: "kubectl describe ads NAME says why: mostly a Secret that is missing or refused by the store.",
    },
    Alert {
        name: "AlluxioCsiDriverDown",
        expression: "up{SCOPE,component=\"csi-node\"} == 0",
        minutes: 3,
        severity: Critical,
        summary: "The CSI driver on {{ $labels.node }} does not answer",
        description: "Pods with volumes cannot start there; those that run go on. See the pod …-csi-node on that node.",
    },
    Alert {
        name: "AlluxioVolumesBroken",
        expression: "alluxio_csi_volume_unhealthy{SCOPE} > 0",
        minutes: 3,
        severity: Critical,
        summary: "{{ $value }} mounts of volumes on {{ $labels.node }} cannot be used",
        description: "Their sessions are dead, and the driver could not bind others in their place: is the cluster's agent \
            (…-fuse) running on that node? See its log and the driver's. A pod whose volume stays broken has to be \
            deleted.",
    },
    Alert {
        name: "AlluxioVolumesRebound",
        expression: "increase(alluxio_csi_mounts_rebound_total{SCOPE}[15m]) > 0",
        minutes: 0,
        severity: Warning,
        summary: "{{ $value }} mounts of volumes on {{ $labels.node }} were bound to new sessions",
        description: "New opens work; files that were open before give errors until the program opens them again.",
    },
    Alert {
        name: "AlluxioVolumeCallsFail",
        expression: "sum by (rpc, code) (rate(alluxio_csi_operation_duration_seconds_count{SCOPE,code!~\"Ok|Aborted\"}[10m])) > 0.01",
        minutes: 10,
        severity: Warning,
        summary: "{{ $labels.rpc }} of volumes fails with {{ $labels.code }}",
        description: "Pods wait for their volumes. kubectl describe pod shows the driver's message, the driver's log every \
            call that failed. FailedPrecondition: no agent of the cluster on that node. NotFound: the Dataset's \
            directory is gone. InvalidArgument: an option of the volume.",
    },
];

/// Groups of rules, as a PrometheusRule and a file of rules have them.
pub fn groups(alerts: &[Alert], scope: &Scope) -> Value {
    let rules: Vec<Value> = alerts.iter().map(|alert| rule(alert, scope)).collect();
    json!([{"name": "alluxio", "rules": rules}])
}

fn rule(alert: &Alert, scope: &Scope) -> Value {
    let mut labels = scope.labels();
    labels["severity"] = Value::from(match alert.severity {
        Critical => "critical",
        Warning => "warning",
    });
    let mut rule = json!({
        "alert": alert.name,
        "expr": scope.of(alert.expression),
        "labels": labels,
        "annotations": {"summary": alert.summary, "description": alert.description},
    });
    if alert.minutes > 0 {
        rule["for"] = Value::from(format!("{}m", alert.minutes));
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_alert_has_a_name_of_its_own_and_says_what_to_do() {
        let mut names = BTreeSet::new();
        for alert in CLUSTER.iter().chain(RELEASE) {
            assert!(
                alert.name.starts_with("Alluxio") && names.insert(alert.name),
                "{}",
                alert.name
            );
            assert!(alert.description.len() > 80, "{}: {}", alert.name, alert.description);
            assert!(!alert.description.contains("  "), "{}: {}", alert.name, alert.description);
            assert!(alert.summary.len() < 120 && !alert.summary.ends_with('.'), "{}", alert.name);
        }
    }

    #[test]
    fn a_rule_says_whose_it_is() {
        let scope = Scope::Cluster { namespace: "cache".into(), name: "demo".into() };
        let groups = groups(CLUSTER, &scope);
        let rule = &groups[0]["rules"][0];
        assert_eq!(
            rule["expr"],
            "absent(alluxio_master_primary{namespace=\"cache\",alluxio_cluster=\"demo\"} == 1)"
        );
        assert_eq!(rule["for"], "1m");
        assert_eq!(rule["labels"]["alluxio_cluster"], "demo");
        assert_eq!(rule["labels"]["severity"], "critical");
    }
}
