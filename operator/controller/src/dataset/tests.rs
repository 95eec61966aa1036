//! A small Dataset, for the tests of all steps.

use super::names::Names;
use super::options::{ReadSecret, Secrets};
use super::resolve::Place;
use super::secret::SecretText;
use crate::cluster::admin::Target;
use alluxio_operator_api::Dataset;
use alluxio_operator_api::reference::NamespacedRef;

/// The smallest one that a user of S3 writes.
pub(crate) const SAMPLE: &str = r#"
{
  "apiVersion": "alluxio.dev/v1alpha1",
  "kind": "Dataset",
  "metadata": {"name": "images", "namespace": "team", "uid": "5a1e0000-0000-4000-8000-000000000001", "generation": 1},
  "spec": {
    "clusterRef": {"name": "demo", "namespace": "cache"},
    "mounts": [{
      "name": "data", "uri": "s3://images/train",
      "s3": {"endpoint": "http://minio:9000", "pathStyle": true},
      "credentials": {"secretRef": {"name": "s3",
        "keys": {"s3a.accessKeyId": "access", "s3a.secretKey": "secret"}}}
    }]
  }
}
"#;

pub(crate) fn dataset() -> Dataset {
    serde_json::from_str(SAMPLE).unwrap()
}

pub(crate) fn names() -> Names {
    Names::of(&dataset()).unwrap()
}

pub(crate) fn place() -> Place {
    Place {
        cluster: NamespacedRef { name: "demo".into(), namespace: Some("cache".into()) },
        cluster_uid: "0f8fad5b-d9cb-469f-a165-70867728950e".into(),
        cluster_id: Some("id".into()),
        target: Target { properties: String::new() },
        serves: true,
        directory: "/datasets/team/images".into(),
        source_mounted: None,
    }
}

pub(crate) fn secret(version: &str, pairs: &[(&str, &str)]) -> Secrets {
    let values = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Some(SecretText::new((*value).to_owned()))));
    let read = ReadSecret { version: version.to_owned(), values: values.collect() };
    [("s3".to_owned(), Some(read))].into()
}
