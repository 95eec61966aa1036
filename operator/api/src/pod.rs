//! What can be said of the pods of a component.

use crate::closed::words;
use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the pods of a component run, and what they get.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Resources of the component's container. What a memory tier holds is added to its memory by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels of the nodes that the pods may run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::labels")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub tolerations: Vec<Toleration>,
    /// A part of a PodTemplateSpec that is merged over the pods that the operator makes, as `kubectl patch` would
    /// (strategic merge). The component's container has the name of the component. Kubernetes checks the result
    /// before anything is replaced; what it refuses is told by the condition SpecValid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::anything")]
    pub pod_overrides: Option<serde_json::Value>,
}

/// Requests and limits of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler reserves, by resource: `cpu`, `memory`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::amounts")]
    pub requests: BTreeMap<String, Quantity>,
    /// What the container may use at most, by resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::amounts")]
    pub limits: BTreeMap<String, Quantity>,
}

impl From<Resources> for ResourceRequirements {
    fn from(ours: Resources) -> Self {
        let some = |map: BTreeMap<String, Quantity>| (!map.is_empty()).then_some(map);
        ResourceRequirements {
            requests: some(ours.requests),
            limits: some(ours.limits),
            claims: None,
        }
    }
}

/// An image, or parts of its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.tag) && has(self.digest))")
    .message("an image has a tag or a digest, not both"))]
pub struct Image {
    /// Registry and repository; the operator's default when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = r"^[a-z0-9]([a-z0-9._:/-]*[a-z0-9])?$")
    )]
    pub repository: Option<String>,
    /// Tag; the version when neither tag nor digest are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    pub tag: Option<String>,
    /// Digest, which names the image's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[a-f0-9]{64}$"))]
    pub digest: Option<String>,
    /// When nodes fetch it; Kubernetes' own rule when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// Secrets with credentials of the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pull_secrets: Vec<crate::reference::LocalRef>,
}

words! {
    /// When nodes fetch an image.
    PullPolicy {
        /// Each time a container starts.
        Always,
        /// When the node does not have it.
        IfNotPresent,
        /// Never: it is on the node already.
        Never,
    }
}
