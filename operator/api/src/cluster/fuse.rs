//! What shows files to pods: on each node an agent, and a keeper that holds its mounts while it is replaced.

use crate::closed::words;
use crate::pod::PodSettings;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What shows files to pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fuse {
    /// Whether the agents run. A node has the agent of one cluster only.
    #[serde(default = "Fuse::default_enabled")]
    pub enabled: bool,
    /// How agents are replaced.
    #[serde(default)]
    pub update: FuseUpdate,
    /// Properties of Alluxio for agents only. They win over those of the cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::properties")]
    pub properties: BTreeMap<String, String>,
    /// The agents' pods.
    #[serde(flatten)]
    pub pods: PodSettings,
}

impl Fuse {
    fn default_enabled() -> bool {
        true
    }
}

impl Default for Fuse {
    fn default() -> Self {
        Fuse {
            enabled: Self::default_enabled(),
            update: FuseUpdate::default(),
            properties: BTreeMap::new(),
            pods: PodSettings::default(),
        }
    }
}

/// How agents are replaced. Files that pods have open stay open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FuseUpdate {
    /// Smooth: one after the other, each handing its mounts to the next one. Manual: when somebody deletes the pod.
    #[serde(default)]
    pub policy: FuseUpdatePolicy,
    /// Nodes at once with policy Smooth: a number, or a percentage of the nodes.
    #[serde(default = "FuseUpdate::default_max_unavailable")]
    #[schemars(schema_with = "crate::schema::number_or_percent")]
    pub max_unavailable: IntOrString,
}

impl FuseUpdate {
    fn default_max_unavailable() -> IntOrString {
        IntOrString::String("10%".to_owned())
    }
}

impl Default for FuseUpdate {
    fn default() -> Self {
        FuseUpdate {
            policy: FuseUpdatePolicy::Smooth,
            max_unavailable: Self::default_max_unavailable(),
        }
    }
}

words! {
    /// How agents are replaced.
    #[derive(Default)]
    FuseUpdatePolicy {
        /// By the operator.
        #[default]
        Smooth,
        /// By who deletes the pods.
        Manual,
    }
}
