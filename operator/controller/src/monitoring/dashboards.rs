//! Dashboards: which panels there are, and what each of them asks.

/// A dashboard.
#[derive(Debug, Clone, Copy)]
pub struct Dashboard {
    /// Short, for names of files and objects.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// Whose series it shows.
    pub about: About,
    /// Its panels, from left to right.
    pub panels: &'static [Panel],
}

/// What a dashboard is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// One cluster.
    Cluster,
    /// The operator.
    Operator,
}

/// A panel.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    /// What it is called.
    pub title: &'static str,
    /// What it looks like.
    pub look: Look,
    /// Grafana's name of the unit.
    pub unit: &'static str,
    /// Expressions, and what each series is called. `SCOPE` stands for the choice of series.
    pub queries: &'static [(&'static str, &'static str)],
}

/// What a panel looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// One large number.
    Number,
    /// Lines over time.
    Lines,
    /// Areas on top of each other.
    Areas,
}

type Queries = &'static [(&'static str, &'static str)];

const fn panel(title: &'static str, look: Look, unit: &'static str, queries: Queries) -> Panel {
    Panel { title, look, unit, queries }
}

const fn number(title: &'static str, unit: &'static str, queries: Queries) -> Panel {
    panel(title, Look::Number, unit, queries)
}

const fn lines(title: &'static str, unit: &'static str, queries: Queries) -> Panel {
    panel(title, Look::Lines, unit, queries)
}

const fn areas(title: &'static str, unit: &'static str, queries: Queries) -> Panel {
    panel(title, Look::Areas, unit, queries)
}

/// All of them.
pub const ALL: &[Dashboard] = &[OVERVIEW, MASTERS, WORKERS, FUSE, OPERATOR];

const OVERVIEW: Dashboard = Dashboard {
    name: "overview",
    title: "Alluxio / Overview",
    about: About::Cluster,
    panels: &[
        number("Primaries", "none", &[("sum(alluxio_master_primary{SCOPE})", "")]),
        number(
            "Live workers",
            "none",
            &[(
                "max(alluxio_master_workers_live{SCOPE} and on (instance) alluxio_master_primary{SCOPE} == 1)",
                "",
            )],
        ),
        number(
            "Lost workers",
            "none",
            &[(
                "max(alluxio_master_workers_lost{SCOPE} and on (instance) alluxio_master_primary{SCOPE} == 1)",
                "",
            )],
        ),
        number(
            "Files and directories",
            "short",
            &[("max(alluxio_master_namespace_inodes{SCOPE})", "")],
        ),
        number("Room in tiers", "bytes", &[("sum(alluxio_worker_capacity_bytes{SCOPE})", "")]),
        number(
            "Hits in the cache",
            "percentunit",
            &[(
                "sum(rate(alluxio_worker_read_requests_total{SCOPE,source=\"cache\"}[$__rate_interval])) / sum(rate(alluxio_worker_read_requests_total{SCOPE}[$__rate_interval]))",
                "",
            )],
        ),
        areas(
            "Cached, by tier",
            "bytes",
            &[("sum by (tier) (alluxio_worker_used_bytes{SCOPE})", "{{tier}}")],
        ),
        lines(
            "Tiers in use",
            "percentunit",
            &[(
                "sum by (tier) (alluxio_worker_used_bytes{SCOPE}) / sum by (tier) (alluxio_worker_capacity_bytes{SCOPE})",
                "{{tier}}",
            )],
        ),
        areas(
            "Reads, by where the bytes were",
            "Bps",
            &[(
                "sum by (source) (rate(alluxio_worker_read_bytes_total{SCOPE}[$__rate_interval]))",
                "{{source}}",
            )],
        ),
        lines(
            "Written, and sent to under stores",
            "Bps",
            &[
                (
                    "sum(rate(alluxio_worker_written_bytes_total{SCOPE}[$__rate_interval]))",
                    "written",
                ),
                (
                    "sum(rate(alluxio_worker_uploaded_bytes_total{SCOPE}[$__rate_interval]))",
                    "to under stores",
                ),
            ],
        ),
        areas(
            "Fetched into the cache, by source",
            "Bps",
            &[(
                "sum by (source) (rate(alluxio_worker_fetched_bytes_total{SCOPE}[$__rate_interval]))",
                "{{source}}",
            )],
        ),
        lines(
            "Calls of masters",
            "reqps",
            &[(
                "sum by (op) (rate(alluxio_master_rpc_requests_total{SCOPE}[$__rate_interval]))",
                "{{op}}",
            )],
        ),
        lines(
            "Time of calls of masters",
            "s",
            &[
                (
                    "histogram_quantile(0.5, sum by (le) (rate(alluxio_master_rpc_duration_seconds_bucket{SCOPE}[$__rate_interval])))",
                    "half of them",
                ),
                (
                    "histogram_quantile(0.99, sum by (le) (rate(alluxio_master_rpc_duration_seconds_bucket{SCOPE}[$__rate_interval])))",
                    "99 of 100",
                ),
            ],
        ),
        areas(
            "Memory",
            "bytes",
            &[("sum by (component) (process_resident_memory_bytes{SCOPE})", "{{component}}")],
        ),
        areas(
            "Processors",
            "none",
            &[(
                "sum by (component) (rate(process_cpu_seconds_total{SCOPE}[$__rate_interval]))",
                "{{component}}",
            )],
        ),
    ],
};

const MASTERS: Dashboard = Dashboard {
    name: "masters",
    title: "Alluxio / Masters and journal",
    about: About::Cluster,
    panels: &[
        lines("Primary", "none", &[("alluxio_master_primary{SCOPE}", "{{pod}}")]),
        lines("Term", "none", &[("alluxio_master_term_number{SCOPE}", "{{pod}}")]),
        lines(
            "Standbys, and elections in an hour",
            "none",
            &[
                ("max(alluxio_master_standbys{SCOPE})", "standbys"),
                ("sum(increase(alluxio_master_elections_total{SCOPE}[1h]))", "elections"),
            ],
        ),
        lines(
            "Journal entries",
            "wps",
            &[(
                "rate(alluxio_master_journal_flushed_entries_total{SCOPE}[$__rate_interval])",
                "{{pod}}",
            )],
        ),
        lines(
            "Journal bytes",
            "Bps",
            &[(
                "rate(alluxio_master_journal_flushed_bytes_total{SCOPE}[$__rate_interval])",
                "{{pod}}",
            )],
        ),
        lines(
            "Time of a commit",
            "s",
            &[
                (
                    "histogram_quantile(0.5, sum by (le) (rate(alluxio_master_journal_flush_seconds_bucket{SCOPE}[$__rate_interval])))",
                    "half of them",
                ),
                (
                    "histogram_quantile(0.99, sum by (le) (rate(alluxio_master_journal_flush_seconds_bucket{SCOPE}[$__rate_interval])))",
                    "99 of 100",
                ),
            ],
        ),
        lines(
            "Behind the primary",
            "none",
            &[("alluxio_master_journal_lag_entries{SCOPE}", "{{pod}}")],
        ),
        lines(
            "Entries in no checkpoint",
            "short",
            &[(
                "alluxio_master_journal_committed_entries{SCOPE} - alluxio_master_journal_checkpoint_entries{SCOPE}",
                "{{pod}}",
            )],
        ),
        lines(
            "Checkpoint",
            "bytes",
            &[("alluxio_master_journal_checkpoint_bytes{SCOPE}", "{{pod}}")],
        ),
        lines(
            "Queues",
            "none",
            &[
                ("alluxio_master_writer_queue_entries{SCOPE}", "changes, {{pod}}"),
                ("alluxio_master_journal_queue_entries{SCOPE}", "entries, {{pod}}"),
            ],
        ),
        lines(
            "Trouble with the journal",
            "none",
            &[
                (
                    "increase(alluxio_master_journal_queue_full_total{SCOPE}[5m])",
                    "queue full, {{pod}}",
                ),
                ("increase(alluxio_master_journal_stalls_total{SCOPE}[5m])", "disk full, {{pod}}"),
                ("increase(alluxio_master_journal_failures_total{SCOPE}[5m])", "failed, {{pod}}"),
            ],
        ),
        lines(
            "Refused calls",
            "reqps",
            &[(
                "sum by (op, code) (rate(alluxio_master_rpc_requests_total{SCOPE,code!=\"OK\"}[$__rate_interval]))",
                "{{op}} {{code}}",
            )],
        ),
        lines(
            "Time of calls, 99 of 100",
            "s",
            &[(
                "histogram_quantile(0.99, sum by (op, le) (rate(alluxio_master_rpc_duration_seconds_bucket{SCOPE}[$__rate_interval])))",
                "{{op}}",
            )],
        ),
        lines(
            "Comparisons with under stores",
            "ops",
            &[
                ("sum(rate(alluxio_master_metadata_syncs_total{SCOPE}[$__rate_interval]))", "all"),
                (
                    "sum(rate(alluxio_master_metadata_sync_failures_total{SCOPE}[$__rate_interval]))",
                    "failed",
                ),
            ],
        ),
        lines("Namespace", "bytes", &[("alluxio_master_namespace_bytes{SCOPE}", "{{pod}}")]),
        lines(
            "Copies of blocks",
            "short",
            &[("max(alluxio_master_block_replicas{SCOPE})", "copies")],
        ),
        lines(
            "Memory",
            "bytes",
            &[("process_resident_memory_bytes{SCOPE,component=\"master\"}", "{{pod}}")],
        ),
        lines(
            "Processors",
            "none",
            &[(
                "rate(process_cpu_seconds_total{SCOPE,component=\"master\"}[$__rate_interval])",
                "{{pod}}",
            )],
        ),
        lines("etcd has a leader", "none", &[("etcd_server_has_leader{SCOPE}", "{{pod}}")]),
        lines(
            "etcd's database",
            "bytes",
            &[("etcd_mvcc_db_total_size_in_bytes{SCOPE}", "{{pod}}")],
        ),
        lines(
            "etcd waits for its disk, 99 of 100",
            "s",
            &[(
                "histogram_quantile(0.99, sum by (pod, le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket{SCOPE}[$__rate_interval])))",
                "{{pod}}",
            )],
        ),
    ],
};

const WORKERS: Dashboard = Dashboard {
    name: "workers",
    title: "Alluxio / Workers and tiers",
    about: About::Cluster,
    panels: &[
        lines(
            "Tiers in use",
            "percentunit",
            &[(
                "sum by (node, tier) (alluxio_worker_used_bytes{SCOPE}) / sum by (node, tier) (alluxio_worker_capacity_bytes{SCOPE})",
                "{{node}} {{tier}}",
            )],
        ),
        areas(
            "Cached",
            "bytes",
            &[("sum by (node) (alluxio_worker_used_bytes{SCOPE})", "{{node}}")],
        ),
        lines(
            "Blocks",
            "short",
            &[("sum by (node) (alluxio_worker_stored_blocks{SCOPE})", "{{node}}")],
        ),
        areas(
            "Reads",
            "Bps",
            &[(
                "sum by (node) (rate(alluxio_worker_read_bytes_total{SCOPE}[$__rate_interval]))",
                "{{node}}",
            )],
        ),
        lines(
            "Hits in the cache",
            "percentunit",
            &[(
                "sum by (node) (rate(alluxio_worker_read_requests_total{SCOPE,source=\"cache\"}[$__rate_interval])) / sum by (node) (rate(alluxio_worker_read_requests_total{SCOPE}[$__rate_interval]))",
                "{{node}}",
            )],
        ),
        lines(
            "Reads by descriptor, and by bytes",
            "reqps",
            &[
                (
                    "sum(rate(alluxio_worker_requests_lent_total{SCOPE}[$__rate_interval]))",
                    "descriptor",
                ),
                (
                    "sum(rate(alluxio_worker_requests_streamed_total{SCOPE}[$__rate_interval]))",
                    "bytes",
                ),
            ],
        ),
        areas(
            "Fetched",
            "Bps",
            &[(
                "sum by (node, source) (rate(alluxio_worker_fetched_bytes_total{SCOPE}[$__rate_interval]))",
                "{{node}} from {{source}}",
            )],
        ),
        lines(
            "Failed fetches",
            "ops",
            &[(
                "sum by (code) (rate(alluxio_worker_fetch_errors_total{SCOPE}[$__rate_interval]))",
                "{{code}}",
            )],
        ),
        areas(
            "Written",
            "Bps",
            &[(
                "sum by (node) (rate(alluxio_worker_written_bytes_total{SCOPE}[$__rate_interval]))",
                "{{node}}",
            )],
        ),
        lines(
            "To under stores",
            "Bps",
            &[(
                "sum by (node) (rate(alluxio_worker_uploaded_bytes_total{SCOPE}[$__rate_interval]))",
                "{{node}}",
            )],
        ),
        lines(
            "Blocks evicted and moved",
            "ops",
            &[
                (
                    "sum(rate(alluxio_worker_blocks_evicted_total{SCOPE}[$__rate_interval]))",
                    "evicted",
                ),
                (
                    "sum(rate(alluxio_worker_blocks_demoted_total{SCOPE}[$__rate_interval]))",
                    "to a lower tier",
                ),
                (
                    "sum(rate(alluxio_worker_blocks_promoted_total{SCOPE}[$__rate_interval]))",
                    "to a higher tier",
                ),
            ],
        ),
        lines(
            "Refused for want of room",
            "ops",
            &[(
                "sum by (node) (rate(alluxio_worker_space_requests_refused_total{SCOPE}[$__rate_interval]))",
                "{{node}}",
            )],
        ),
        lines(
            "Waiting",
            "none",
            &[
                ("sum(alluxio_worker_cache_queue_entries{SCOPE})", "to be cached"),
                ("sum(alluxio_worker_blocks_in_flight{SCOPE})", "on their way"),
            ],
        ),
        lines(
            "Connections and leases",
            "none",
            &[
                ("sum(alluxio_worker_data_connections{SCOPE})", "connections"),
                ("sum(alluxio_worker_held_leases{SCOPE})", "leases"),
            ],
        ),
        lines(
            "Network",
            "Bps",
            &[
                (
                    "sum by (node) (rate(alluxio_worker_sent_bytes_total{SCOPE}[$__rate_interval]))",
                    "{{node}} sends",
                ),
                (
                    "sum by (node) (rate(alluxio_worker_received_bytes_total{SCOPE}[$__rate_interval]))",
                    "{{node}} receives",
                ),
            ],
        ),
        lines(
            "Blocks lost, corrupt, or vanished, in an hour",
            "none",
            &[
                ("sum(increase(alluxio_worker_blocks_lost_total{SCOPE}[1h]))", "lost"),
                ("sum(increase(alluxio_worker_blocks_corrupt_total{SCOPE}[1h]))", "corrupt"),
                ("sum(increase(alluxio_worker_blocks_vanished_total{SCOPE}[1h]))", "vanished"),
            ],
        ),
        lines(
            "Directories out of service",
            "none",
            &[("alluxio_worker_lost_dirs{SCOPE}", "{{node}}")],
        ),
        lines(
            "Heartbeats",
            "ops",
            &[(
                "sum by (outcome) (rate(alluxio_worker_heartbeats_total{SCOPE}[$__rate_interval]))",
                "{{outcome}}",
            )],
        ),
        lines(
            "Memory",
            "bytes",
            &[("process_resident_memory_bytes{SCOPE,component=\"worker\"}", "{{node}}")],
        ),
        lines(
            "Processors",
            "none",
            &[(
                "rate(process_cpu_seconds_total{SCOPE,component=\"worker\"}[$__rate_interval])",
                "{{node}}",
            )],
        ),
    ],
};

const FUSE: Dashboard = Dashboard {
    name: "volumes",
    title: "Alluxio / Mounts and volumes",
    about: About::Cluster,
    panels: &[
        lines(
            "Sessions",
            "none",
            &[("sum by (node, state) (alluxio_fuse_known_sessions{SCOPE})", "{{node}} {{state}}")],
        ),
        lines("Keepers", "none", &[("alluxio_fuse_keeper_connections{SCOPE}", "{{node}}")]),
        lines(
            "Sessions taken over, and mounted anew, in an hour",
            "none",
            &[
                ("sum(increase(alluxio_fuse_resumed_sessions_total{SCOPE}[1h]))", "taken over"),
                ("sum(increase(alluxio_fuse_remounted_sessions_total{SCOPE}[1h]))", "mounted anew"),
            ],
        ),
        lines(
            "Requests of kernels",
            "reqps",
            &[(
                "sum by (op) (rate(alluxio_fuse_requests_total{SCOPE}[$__rate_interval]))",
                "{{op}}",
            )],
        ),
        lines(
            "Replies that are errors",
            "reqps",
            &[(
                "sum by (node) (rate(alluxio_fuse_errors_total{SCOPE}[$__rate_interval]))",
                "{{node}}",
            )],
        ),
        lines(
            "Opens that kernels read by themselves",
            "ops",
            &[(
                "sum by (node) (rate(alluxio_fuse_passthrough_files_total{SCOPE}[$__rate_interval]))",
                "{{node}}",
            )],
        ),
        lines(
            "Given out again, or wanted no more",
            "reqps",
            &[
                ("sum(rate(alluxio_fuse_resent_requests_total{SCOPE}[$__rate_interval]))", "again"),
                (
                    "sum(rate(alluxio_fuse_unwanted_requests_total{SCOPE}[$__rate_interval]))",
                    "no more",
                ),
            ],
        ),
        lines(
            "Seconds that sessions waited for an agent, in an hour",
            "s",
            &[(
                "sum by (node) (increase(alluxio_fuse_stall_duration_seconds_sum{SCOPE}[1h]))",
                "{{node}}",
            )],
        ),
        lines(
            "Memory of agents",
            "bytes",
            &[("process_resident_memory_bytes{SCOPE,component=\"fuse-agent\"}", "{{node}}")],
        ),
        lines(
            "Processors of agents",
            "none",
            &[(
                "rate(process_cpu_seconds_total{SCOPE,component=\"fuse-agent\"}[$__rate_interval])",
                "{{node}}",
            )],
        ),
    ],
};

const OPERATOR: Dashboard = Dashboard {
    name: "operator",
    title: "Alluxio / Operator and CSI driver",
    about: About::Operator,
    panels: &[
        number("At work", "none", &[("sum(alluxio_operator_leads{SCOPE})", "")]),
        number(
            "Clusters",
            "none",
            &[(
                "sum(max by (phase) (alluxio_operator_objects{SCOPE,kind=\"AlluxioCluster\"}))",
                "",
            )],
        ),
        number(
            "Datasets",
            "none",
            &[("sum(max by (phase) (alluxio_operator_objects{SCOPE,kind=\"Dataset\"}))", "")],
        ),
        areas(
            "Objects by phase",
            "none",
            &[("max by (kind, phase) (alluxio_operator_objects{SCOPE}) > 0", "{{kind}} {{phase}}")],
        ),
        lines(
            "Reconciles",
            "ops",
            &[(
                "sum by (controller, outcome) (rate(alluxio_operator_reconciles_total{SCOPE}[$__rate_interval]))",
                "{{controller}} {{outcome}}",
            )],
        ),
        lines(
            "Time of a reconcile, 99 of 100",
            "s",
            &[(
                "histogram_quantile(0.99, sum by (controller, le) (rate(alluxio_operator_reconcile_duration_seconds_bucket{SCOPE}[$__rate_interval])))",
                "{{controller}}",
            )],
        ),
        lines(
            "Writes",
            "wps",
            &[(
                "sum by (kind, verb) (rate(alluxio_operator_writes_total{SCOPE}[$__rate_interval]))",
                "{{verb}} {{kind}}",
            )],
        ),
        lines(
            "Requests to the API server",
            "reqps",
            &[(
                "sum by (method, code) (rate(alluxio_operator_api_requests_total{SCOPE}[$__rate_interval]))",
                "{{method}} {{code}}",
            )],
        ),
        lines(
            "Memory",
            "bytes",
            &[("process_resident_memory_bytes{SCOPE,component=~\"operator|csi-.*\"}", "{{pod}}")],
        ),
        lines(
            "Processors",
            "none",
            &[(
                "rate(process_cpu_seconds_total{SCOPE,component=~\"operator|csi-.*\"}[$__rate_interval])",
                "{{pod}}",
            )],
        ),
        lines(
            "Mounts of volumes",
            "none",
            &[
                ("sum by (node) (alluxio_csi_volume_healthy{SCOPE})", "{{node}}"),
                ("sum by (node) (alluxio_csi_volume_unhealthy{SCOPE})", "{{node}}, broken"),
            ],
        ),
        lines(
            "Mounts bound to new sessions, in an hour",
            "none",
            &[(
                "sum by (node) (increase(alluxio_csi_mounts_rebound_total{SCOPE}[1h]))",
                "{{node}}",
            )],
        ),
        lines(
            "Calls of the CSI",
            "reqps",
            &[(
                "sum by (rpc, code) (rate(alluxio_csi_operation_duration_seconds_count{SCOPE}[$__rate_interval]))",
                "{{rpc}} {{code}}",
            )],
        ),
        lines(
            "Time of calls of the CSI, 99 of 100",
            "s",
            &[(
                "histogram_quantile(0.99, sum by (rpc, le) (rate(alluxio_csi_operation_duration_seconds_bucket{SCOPE}[$__rate_interval])))",
                "{{rpc}}",
            )],
        ),
    ],
};
