//! The API of the operator: the kinds that users write, group `alluxio.dev`, version `v1alpha1`.
//!
//! Every field is typed, documented, defaulted and checked here, and by the API server alone: what OpenAPI
//! and CEL can say needs no program of ours to be refused. Defaults stand in the schema, so the operator never
//! writes a specification. The YAML in `crds/` is made of these types (`cargo xtask crds`).
//!
//! It knows types, rules and pure functions of them. It never speaks to an API server, and no process is
//! configured here: that is `operator/controller`.
//!
//! A field is here only if the operator can carry out what it says. What was left out of the first version, and
//! why, stands in `operator/docs/API.md`. A rule may be loosened in a later version, never tightened.
//!
//! Reading order: [`cluster`], [`dataset`], [`operation`], [`condition`], then the words they are made of:
//! [`size`], [`period`], [`reference`], [`pod`], [`storage`]; last [`schema`], which turns it all into YAML.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function of its own")]

pub mod cluster;
pub mod condition;
pub mod dataset;
pub mod operation;
pub mod period;
pub mod pod;
pub mod reference;
pub mod schema;
pub mod size;
pub mod storage;

mod closed;
#[cfg(test)]
mod phase_tests;
mod rules;

pub use cluster::{AlluxioCluster, AlluxioClusterSpec, AlluxioClusterStatus};
pub use condition::{ConditionStatus, Finding, Reason};
pub use dataset::{Dataset, DatasetSpec, DatasetStatus};
pub use operation::{DataEvict, DataLoad, MetadataBackup};
pub use period::Period;
pub use size::Size;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schema::SchemaError;

/// The group of all kinds.
pub const GROUP: &str = "alluxio.dev";
/// The version that is stored.
pub const VERSION: &str = "v1alpha1";

/// A definition, ready to be installed.
#[derive(Debug, Clone)]
pub struct Definition {
    /// `plural.group`, as the API server knows it.
    pub name: String,
    /// For programs.
    pub crd: CustomResourceDefinition,
    /// For `kubectl apply`.
    pub yaml: String,
}

/// All kinds, in the order in which they are read.
///
/// **Errors**: never; the tests make all of them.
pub fn definitions() -> Result<Vec<Definition>, SchemaError> {
    fn one<K: CustomResourceExt>() -> Result<Definition, SchemaError> {
        Ok(Definition {
            name: K::crd_name().to_owned(),
            crd: schema::typed_definition::<K>()?,
            yaml: schema::yaml::<K>()?,
        })
    }
    Ok(vec![
        one::<AlluxioCluster>()?,
        one::<Dataset>()?,
        one::<DataLoad>()?,
        one::<DataEvict>()?,
        one::<MetadataBackup>()?,
    ])
}
