//! A namespace for one test.

use crate::wait::{LIMIT, wait_for};
use alluxio_e2e_kube::control_plane::kubectl;
use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A namespace that goes away with its owner, with all that is in it.
pub struct Namespace {
    name: String,
    client: Client,
    kubeconfig: PathBuf,
    /// Whether [`Namespace::end`] has removed it.
    gone: bool,
}

impl Namespace {
    /// Makes one whose name begins with `e2e-` and `purpose`.
    ///
    /// **Errors**: what the API server says.
    pub async fn create(client: &Client, kubeconfig: &Path, purpose: &str) -> Result<Namespace> {
        let generate = format!("e2e-{purpose}-");
        let wanted = v1::Namespace {
            metadata: ObjectMeta { generate_name: Some(generate), ..ObjectMeta::default() },
            ..v1::Namespace::default()
        };
        let api: Api<v1::Namespace> = Api::all(client.clone());
        let made = api.create(&PostParams::default(), &wanted).await?;
        let name = made.metadata.name.context("the API server names what it makes")?;
        let kubeconfig = kubeconfig.to_owned();
        Ok(Namespace { name, client: client.clone(), kubeconfig, gone: false })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The objects of one kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Applies manifests, in YAML, to this namespace; again for changes.
    ///
    /// **Errors**: what the API server says.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        let mut file = tempfile::NamedTempFile::new()?;
        std::io::Write::write_all(&mut file, manifests.as_bytes())?;
        let path = file.path().display().to_string();
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &path])
    }

    /// kubectl in this namespace: `exec`, `logs`, …
    ///
    /// **Errors**: with what it said, when it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&self.kubeconfig, &[&["--namespace", &self.name], arguments].concat())
    }

    /// Waits until `condition` holds for the object, and gives it.
    ///
    /// **Errors**: after `limit`, with the object, and this namespace's pods and events.
    pub async fn wait<K>(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        condition: impl Fn(&K) -> bool,
    ) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K: Clone + Debug + Send + DeserializeOwned + Serialize + 'static,
        K::DynamicType: Default,
    {
        let api = self.api::<K>();
        let found =
            wait_for(&api, name, what, limit, |object: Option<&K>| object.is_some_and(&condition));
        let found = found.await.with_context(|| self.surroundings())?;
        found.context("the condition held for an object")
    }

    /// Waits until the object is gone.
    ///
    /// **Errors**: after `limit`, with the object, and this namespace's pods and events.
    pub async fn wait_until_gone<K>(&self, name: &str, limit: Duration) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K: Clone + Debug + Send + DeserializeOwned + Serialize + 'static,
        K::DynamicType: Default,
    {
        let api = self.api::<K>();
        let found = wait_for(&api, name, "its end", limit, |object: Option<&K>| object.is_none());
        found.await.with_context(|| self.surroundings())?;
        Ok(())
    }

    /// Waits until the pod is ready.
    ///
    /// **Errors**: as [`Namespace::wait`].
    pub async fn wait_until_ready(&self, pod: &str) -> Result<v1::Pod> {
        self.wait(pod, "the pod to be ready", LIMIT, is_ready).await
    }

    /// What is in it, for people: pods, claims, events, and the last words of containers that ended.
    pub fn surroundings(&self) -> String {
        let ask = |arguments: &[&str]| {
            self.kubectl(arguments).unwrap_or_else(|error| format!("{error:#}\n"))
        };
        let pods = ask(&["get", "pods,persistentvolumeclaims", "-o", "wide"]);
        let waiting = ask(&[
            "get",
            "pods",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name}{\": \"}{.status.containerStatuses[*].state}{\"\\n\"}{end}",
        ]);
        let events = ask(&["get", "events", "--sort-by=.lastTimestamp"]);
        let restarted = ask(&[
            "get",
            "pods",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name}{\" \"}{.status.containerStatuses[*].restartCount}{\"\\n\"}{end}",
        ]);
        let words: String = restarted
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, counts)| counts.split(' ').any(|count| count != "0"))
            .map(|(pod, _)| format!("{pod}:\n{}\n", ask(&["logs", pod, "--previous", "--tail=8"])))
            .collect();
        let name = &self.name;
        format!(
            "namespace {name}:\n{pods}\ncontainers:\n{waiting}\nevents:\n{events}\nlast words:\n{words}"
        )
    }

    /// Removes it and waits until everything in it has ended.
    ///
    /// **Errors**: after `limit`, with what the namespace waits for.
    pub async fn end(mut self, limit: Duration) -> Result<()> {
        let api: Api<v1::Namespace> = Api::all(self.client.clone());
        api.delete(&self.name, &DeleteParams::default()).await?;
        self.gone = true;
        wait_for(&api, &self.name, "its end", limit, |namespace: Option<&v1::Namespace>| {
            namespace.is_none()
        })
        .await?;
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A test that failed: what it left goes away by itself, unless the whole cluster does before.
        if !self.gone {
            let arguments = ["delete", "namespace", self.name.as_str(), "--wait=false"];
            let _ = kubectl(&self.kubeconfig, &arguments);
        }
    }
}

/// Whether a pod has the condition Ready.
pub fn is_ready(pod: &v1::Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}
