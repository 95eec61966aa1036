//! Work that is done once, or by a schedule: loading, evicting, backing up. What these kinds have in common.
//!
//! Reading order: this file, [`load`], [`evict`], [`backup`], [`phase`].

pub mod backup;
pub mod evict;
pub mod load;
pub mod phase;

pub use backup::{MetadataBackup, MetadataBackupSpec, MetadataBackupStatus};
pub use evict::{DataEvict, DataEvictSpec};
pub use load::{DataLoad, DataLoadSpec};
pub use phase::OperationPhase;

use crate::closed::words;
use crate::condition::ConditionType;
use crate::period::Period;
use crate::reference::LocalRef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use kube::core::Rule;
use serde::{Deserialize, Serialize};

/// What can be said of every operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationSettings {
    /// When it is done, again and again. Each time is an object of its own, which is owned by this one and is named after
    /// it. Without a schedule it is done once, at once. A run is left out while the one before is not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// How often a run is tried again after it failed; it goes on with what is left.
    #[serde(default = "OperationSettings::default_backoff_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub backoff_limit: i32,
    /// A run that takes longer has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_deadline: Option<Period>,
    /// The object of a finished run is deleted after this time; never when not given. It can still be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_after_finished: Option<Period>,
    /// Whether no run begins, and one that has begun pauses. It can be changed at any time.
    #[serde(default)]
    pub suspend: bool,
}

impl OperationSettings {
    fn default_backoff_limit() -> i32 {
        3
    }
}

impl Default for OperationSettings {
    fn default() -> Self {
        OperationSettings {
            schedule: None,
            backoff_limit: Self::default_backoff_limit(),
            active_deadline: None,
            ttl_after_finished: None,
            suspend: false,
        }
    }
}

/// When something is done, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Minute, hour, day of the month, month, day of the week, in UTC, as in a CronJob: `30 2 * * *`; or @hourly, @daily,
    /// @weekly, @monthly, @yearly.
    #[schemars(
        length(max = 100),
        regex(
            pattern = r"^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|[0-9*/,-]+ [0-9*/,-]+ [0-9*/,?-]+ [0-9A-Za-z*/,-]+ [0-9A-Za-z*/,?-]+)$"
        )
    )]
    pub cron: String,
    /// Finished runs that went well and whose objects are kept.
    #[serde(default = "Schedule::default_successful_history_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub successful_history_limit: i32,
    /// Finished runs that failed and whose objects are kept.
    #[serde(default = "Schedule::default_failed_history_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub failed_history_limit: i32,
}

impl Schedule {
    fn default_successful_history_limit() -> i32 {
        3
    }

    fn default_failed_history_limit() -> i32 {
        1
    }
}

/// What was begun stays what it is. The fields of [`OperationSettings`] that may change are not among these.
pub(crate) fn settings_stay() -> Rule {
    Rule::new(
        "has(self.schedule) == has(oldSelf.schedule) && self.backoffLimit == oldSelf.backoffLimit \
         && has(self.activeDeadline) == has(oldSelf.activeDeadline) \
         && (!has(self.activeDeadline) || self.activeDeadline == oldSelf.activeDeadline)",
    )
    .message(
        "of an operation only suspend, ttlAfterFinished and what is in schedule can change; make another one",
    )
}

/// Paths of a Dataset.
pub(crate) fn all_paths() -> Vec<String> {
    vec!["/".to_owned()]
}

/// Rule for the items of a list of paths.
pub(crate) fn paths_rule() -> Rule {
    Rule::new(
        "self.all(p, p == '/' || (p.startsWith('/') && !p.endsWith('/') && !p.contains('//') \
         && !p.matches('/[.][.]?(/|$)')))",
    )
    .message("paths must be absolute, without '//', '.' and '..', and without '/' at the end")
}

/// What the operator tells of an operation on data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationStatus {
    /// How it goes.
    #[serde(flatten)]
    pub run: RunStatus,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Files that failed, the first 20 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub failures: Vec<PathFailure>,
    /// How many failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_count: Option<i64>,
}

/// How an operation goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStatus {
    /// The generation of the object that the rest was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The conditions in one word. For people: programs look at the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<OperationPhase>,
    /// What is true of the operation, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// When the first try began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// How often it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// With a schedule: when a run last began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// With a schedule: when a run last went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// With a schedule: when the next run begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// With a schedule: the run that is not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<LocalRef>,
}

/// How far an operation is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Files that are done.
    #[serde(default)]
    pub files_done: i64,
    /// Files in all, as far as they are known.
    #[serde(default)]
    pub files_total: i64,
    /// Bytes that are done.
    #[serde(default)]
    pub bytes_done: i64,
    /// Bytes in all, as far as they are known.
    #[serde(default)]
    pub bytes_total: i64,
    /// The share of the bytes that is done, as a text for the table: `57%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<String>,
    /// Bytes in a second, lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_second: Option<i64>,
    /// Seconds that are left at that rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<i64>,
}

/// A file that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathFailure {
    /// Its path in the Dataset.
    #[schemars(length(max = 4096))]
    pub path: String,
    /// Why.
    #[schemars(length(max = 1024))]
    pub message: String,
}

words! {
    /// What can be true of an operation.
    OperationCondition {
        /// What it refers to is there and ready.
        Accepted,
        /// It waits for the next time of its schedule.
        Scheduled,
        /// It is at work.
        Running,
        /// It was suspended.
        Suspended,
        /// All of it was done.
        Complete,
        /// It was given up.
        Failed,
    }
}

impl ConditionType for OperationCondition {
    fn type_name(self) -> &'static str {
        self.name()
    }
}
