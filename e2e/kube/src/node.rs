//! What is written for one node before it starts.

use crate::components::Settings;
use crate::images::PAUSE;
use anyhow::Result;
use serde_json::{Value, json};
use std::fs;

/// Folders of which every node has its own. Others, such as `/usr`, are the machine's, seen by all.
pub(crate) const FOLDERS: &[&str] = &[
    "/etc/cni",
    "/mnt",
    "/opt/cni",
    "/srv",
    "/var/lib/alluxio",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log",
];

/// Where Debian has the CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The first three numbers of the network that joins control plane and nodes.
pub(crate) const NETWORK: &str = "10.200.0";

/// Networks of pods: node N has `10.244.N.0/24`.
pub(crate) const PODS: &str = "10.244";

/// The name of a node.
pub fn name(number: usize) -> String {
    format!("node{number}")
}

/// Its address.
pub fn address(number: usize) -> String {
    format!("{NETWORK}.{}", 10 + number)
}

/// The network of its pods.
pub(crate) fn pods(number: usize) -> String {
    format!("{PODS}.{number}.0/24")
}

/// Writes the settings of a node's programs into `STATE/NODE`.
pub(crate) fn write_settings(settings: &Settings, number: usize, cgroup: &str) -> Result<()> {
    let (name, address) = (name(number), address(number));
    let dir = settings.dir().join(&name);
    fs::create_dir_all(&dir)?;
    let dns = format!("{NETWORK}.1");
    fs::write(dir.join("hosts"), format!("127.0.0.1 localhost\n{address} {name}\n"))?;
    fs::write(dir.join("resolv.conf"), format!("nameserver {dns}\n"))?;
    fs::write(dir.join("containerd.toml"), containerd())?;
    let network = json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni-addresses",
                    "ranges": [[{"subnet": pods(number)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    fs::write(dir.join("network.conflist"), network.to_string())?;
    // JSON is YAML.
    let kubelet = kubelet(settings, &name, cgroup);
    fs::write(dir.join("kubelet.json"), kubelet.to_string())?;
    let proxy = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": settings.kubeconfig("system:kube-proxy")},
        "hostnameOverride": name,
        "mode": "nftables",
        "clusterCIDR": format!("{PODS}.0.0/16"),
        // Nothing is set that belongs to the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    });
    fs::write(dir.join("proxy.json"), proxy.to_string())?;
    Ok(())
}

fn kubelet(settings: &Settings, name: &str, cgroup: &str) -> Value {
    let dir = settings.dir().join(name);
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}/{name}"),
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDomain": "cluster.local",
        "clusterDNS": [format!("{NETWORK}.1")],
        "resolvConf": dir.join("resolv.conf"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": settings.authority().certificate()},
        },
        "authorization": {"mode": "Webhook"},
        // The machine's disk is shared with everything else: only a full one evicts pods.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        // Images come by import only: what was removed would not come back.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": false,
        // Tests wait for these.
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
        "volumeStatsAggPeriod": "10s",
        "maxPods": 60,
    })
}

fn containerd() -> String {
    format!(
        "\
version = 2
root = \"/var/lib/containerd\"
state = \"/run/containerd\"
disabled_plugins = [
  \"io.containerd.internal.v1.opt\",
  \"io.containerd.snapshotter.v1.aufs\",
  \"io.containerd.snapshotter.v1.btrfs\",
  \"io.containerd.snapshotter.v1.devmapper\",
  \"io.containerd.snapshotter.v1.zfs\",
  \"io.containerd.tracing.processor.v1.otlp\",
]
[grpc]
address = \"/run/containerd/containerd.sock\"
[plugins.\"io.containerd.grpc.v1.cri\"]
sandbox_image = \"{PAUSE}\"
# Root in a sandbox may lack the right to lower it, and no container would start.
restrict_oom_score_adj = true
[plugins.\"io.containerd.grpc.v1.cri\".containerd]
snapshotter = \"overlayfs\"
[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]
runtime_type = \"io.containerd.runc.v2\"
[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins.\"io.containerd.grpc.v1.cri\".cni]
bin_dir = \"{CNI_PLUGINS}\"
conf_dir = \"/etc/cni/net.d\"
"
    )
}
