//! One store of a Dataset.

use crate::reference::Credentials;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A store, or a directory of it, at a path of the Dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.s3) || self.uri.matches('^s3[an]?://')")
    .message("s3 is for uris that begin with s3://, s3a:// or s3n://; use options for other stores"))]
pub struct Mount {
    /// Its name in this Dataset.
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Where the files are: `s3://bucket/directory`, `hdfs://name-node:8020/directory`, … A change mounts anew: what
    /// was cached is dropped.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^(s3|s3a|s3n|gs|abfs|abfss|wasb|wasbs|oss|cos|cosn|obs|swift|hdfs|webhdfs|swebhdfs|http|https|file)://[^ ]+$')")
        .message("uri must begin with s3://, s3a://, s3n://, gs://, abfs://, abfss://, wasb://, wasbs://, oss://, cos://, cosn://, obs://, swift://, hdfs://, webhdfs://, swebhdfs://, http://, https:// or file://"))]
    pub uri: String,
    /// Where it is shown in the Dataset; `/` when it is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new(crate::rules::CLEAN_PATH).message(crate::rules::CLEAN_PATH_MESSAGE))]
    pub path: Option<String>,
    /// Whether writing is refused.
    #[serde(default = "Mount::default_read_only")]
    pub read_only: bool,
    /// How an S3 store is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// Options of the store by Alluxio's names, as after `alluxio fs mount --option`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::properties")]
    pub options: BTreeMap<String, String>,
    /// Credentials of the store. Without them S3 is asked with what the workers' and masters' pods have by themselves
    /// (environment, instance role), other stores with none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

impl Mount {
    fn default_read_only() -> bool {
        true
    }

    /// Where it is shown in the Dataset.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or("/")
    }
}

/// How an S3 store is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3 {
    /// URL of a compatible store; Amazon's when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = r"^https?://[^ /?#@]+/?$"))]
    pub endpoint: Option<String>,
    /// Region of the bucket; it is asked for when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,
    /// Whether the bucket is part of the path, not of the host name. Most compatible stores need it.
    #[serde(default)]
    pub path_style: bool,
}
