//! An S3 server in the cluster.

use crate::images;
use alluxio_e2e_harness::{Cluster, Namespace};
use anyhow::Result;

const NAME: &str = "s3";
/// Of the server's user. Tests that look for leaks of credentials look for these.
pub const ACCESS_KEY: &str = "canary-access-key";
/// See [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "canary-secret-key";
/// The bucket that is there.
pub const BUCKET: &str = "data";
/// The Secret with the credentials, under the names of the store's options: a Dataset's `secretRef`.
pub const SECRET: &str = "s3-credentials";

/// A pod and a Service in a namespace, with one empty bucket. Its data goes with the pod.
#[derive(Debug, Clone)]
pub struct S3 {
    /// Where pods of the cluster reach it.
    pub endpoint: String,
}

impl S3 {
    /// Starts it on a node and waits until it serves. It makes the Secret [`SECRET`], too.
    ///
    /// **Errors**: when the image can't be made, or the pod does not get ready.
    pub async fn start(cluster: &Cluster, namespace: &Namespace, node: &str) -> Result<S3> {
        images::s3(cluster)?;
        images::application(cluster)?;
        let (server, application) = (images::S3, images::APPLICATION);
        namespace.apply(&format!(
            "
apiVersion: v1
kind: Secret
metadata: {{name: {SECRET}}}
stringData: {{s3a.accessKeyId: {ACCESS_KEY}, s3a.secretKey: {SECRET_KEY}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {NAME}}}
spec: {{selector: {{app: {NAME}}}, ports: [{{port: 9000}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {NAME}, labels: {{app: {NAME}}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsUser: 1000, fsGroup: 1000}}
  initContainers:
  # On a single drive, a bucket is a folder.
  - {{name: bucket, image: {application}, args: [make-folder, /data/{BUCKET}], volumeMounts: &mounts [{{name: data, mountPath: /data}}]}}
  containers:
  - name: server
    image: {server}
    args: [server, --quiet, --address=:9000, /data]
    env:
    - {{name: MINIO_ROOT_USER, valueFrom: {{secretKeyRef: {{name: {SECRET}, key: s3a.accessKeyId}}}}}}
    - {{name: MINIO_ROOT_PASSWORD, valueFrom: {{secretKeyRef: {{name: {SECRET}, key: s3a.secretKey}}}}}}
    - {{name: MINIO_BROWSER, value: \"off\"}}
    - {{name: MINIO_UPDATE, value: \"off\"}}
    readinessProbe: {{httpGet: {{path: /minio/health/ready, port: 9000}}, periodSeconds: 1}}
    volumeMounts: *mounts
  volumes:
  - {{name: data, emptyDir: {{}}}}
"
        ))?;
        namespace.wait_until_ready(NAME).await?;
        Ok(S3 { endpoint: format!("http://{NAME}.{}.svc:9000", namespace.name()) })
    }
}
