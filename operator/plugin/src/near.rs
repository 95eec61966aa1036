//! The Kubernetes that the user means, and questions that all commands ask it.

use crate::Where;
use alluxio_operator_api::AlluxioCluster;
use anyhow::{Context, Result, bail};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource, ResourceExt};
use serde_json::Value;
use std::fmt::Debug;
use std::time::Duration;

/// How long any one question may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Items of one page of a list.
const PAGE: u32 = 500;

/// A client, and the namespaces that are meant.
pub(crate) struct Near {
    pub(crate) client: Client,
    /// `None`: all.
    pub(crate) namespace: Option<String>,
    /// Arguments by which kubectl finds the same Kubernetes.
    pub(crate) kubectl: Vec<String>,
}

impl Near {
    /// Connects as kubectl would.
    ///
    /// **Errors**: when there is no such configuration. The API server is not asked yet.
    pub(crate) async fn connect(place: &Where) -> Result<Near> {
        let options =
            KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match (&place.kubeconfig, &place.context) {
            (Some(file), _) => {
                let file = Kubeconfig::read_from(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                Config::from_custom_kubeconfig(file, &options).await?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await?,
            (None, None) => Config::infer().await?,
        };
        config.read_timeout = Some(PATIENCE);
        config.connect_timeout = Some(PATIENCE);
        let namespace = match place.all_namespaces {
            true => None,
            false => Some(place.namespace.clone().unwrap_or(config.default_namespace.clone())),
        };
        let mut kubectl = Vec::new();
        kubectl
            .extend(place.kubeconfig.iter().map(|file| format!("--kubeconfig={}", file.display())));
        kubectl.extend(place.context.iter().map(|name| format!("--context={name}")));
        Ok(Near { client: Client::try_from(config)?, namespace, kubectl })
    }

    /// Objects of a kind in the namespaces that are meant, in order of namespace and name.
    ///
    /// **Errors**: what the API server says; for kinds that it does not have, what to do.
    pub(crate) async fn list<K>(&self) -> Result<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut params = ListParams::default().limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = match api.list(&params).await {
                Err(kube::Error::Api(status)) if status.code == 404 => bail!(
                    "this Kubernetes has no {}: install the chart first (helm install alluxio charts/alluxio)",
                    K::plural(&())
                ),
                page => page.with_context(|| format!("list {}", K::plural(&())))?,
            };
            all.extend(page.items);
            let Some(more) = page.metadata.continue_.filter(|token| !token.is_empty()) else {
                break;
            };
            params = params.continue_token(&more);
        }
        all.sort_by_key(|object: &K| (object.namespace(), object.name_any()));
        Ok(all)
    }

    /// The clusters that are meant, or the one of that name.
    ///
    /// **Errors**: when there is none.
    pub(crate) async fn clusters(&self, name: Option<&str>) -> Result<Vec<AlluxioCluster>> {
        let mut clusters = self.list::<AlluxioCluster>().await?;
        if let Some(name) = name {
            clusters.retain(|cluster| cluster.name_any() == name);
        }
        if clusters.is_empty() {
            let what = name.map(|name| format!(" {name}")).unwrap_or_default();
            match &self.namespace {
                Some(namespace) => {
                    bail!(
                        "no AlluxioCluster{what} in the namespace {namespace}; -A looks in all of them"
                    )
                }
                None => bail!("no AlluxioCluster{what} in any namespace"),
            }
        }
        Ok(clusters)
    }

    /// Pods of one part of a cluster.
    ///
    /// **Errors**: what the API server says.
    pub(crate) async fn pods(
        &self,
        cluster: &AlluxioCluster,
        component: Option<&str>,
    ) -> Result<Vec<Pod>> {
        let namespace = cluster.namespace().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let mut labels = format!("alluxio.dev/cluster-uid={}", cluster.uid().unwrap_or_default());
        if let Some(component) = component {
            labels += &format!(",app.kubernetes.io/component={component}");
        }
        let mut pods =
            api.list(&ListParams::default().labels(&labels)).await.context("list pods")?.items;
        pods.sort_by_key(|pod| pod.name_any());
        Ok(pods)
    }

    /// Any path of the API server, as text.
    ///
    /// **Errors**: what it says.
    pub(crate) async fn text(&self, path: &str) -> Result<String> {
        let request = http::Request::get(path).body(Vec::new())?;
        self.client.request_text(request).await.with_context(|| path.to_owned())
    }

    /// The same as JSON.
    ///
    /// **Errors**: as [`Near::text`].
    pub(crate) async fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_str(&self.text(path).await?).with_context(|| path.to_owned())
    }

    /// The metrics of a pod, through the API server.
    ///
    /// **Errors**: when it shows none, or the user has no right to `pods/proxy`.
    pub(crate) async fn metrics(&self, pod: &Pod) -> Result<String> {
        let name = pod.name_any();
        let port = web_port(pod).with_context(|| format!("pod {name} has no port for metrics"))?;
        let namespace = pod.namespace().unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/metrics");
        self.text(&path).await
    }
}

/// The port of a pod where its metrics are.
pub(crate) fn web_port(pod: &Pod) -> Option<i32> {
    let containers = &pod.spec.as_ref()?.containers;
    let mut ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
    let shows = |name: Option<&str>| matches!(name, Some("web" | "metrics"));
    ports.find(|port| shows(port.name.as_deref())).map(|port| port.container_port)
}
