//! Keys and section of the CSI driver (`alluxio csi`).

use crate::reader::Reader;
use crate::spec::{Kind, Roles, keys};
use crate::{etcd, worker};
use std::path::PathBuf;
use std::time::Duration;

const CLIENT: Roles = Roles::CLIENT;

keys! {
    /// Socket that the CSI driver serves on. The variable `CSI_ENDPOINT` and `--endpoint` win over it.
    ENDPOINT = "alluxio.csi.endpoint", Kind::Text, default: Some("unix:///csi/csi.sock"),
        roles: CLIENT;
    /// The same socket, as the kubelet sees it.
    KUBELET_ENDPOINT = "alluxio.csi.kubelet.endpoint", Kind::Text,
        default: Some("/var/lib/kubelet/plugins/csi.alluxio.dev/csi.sock"), roles: CLIENT;
    /// Folder in which the kubelet looks for drivers; empty where another process registers this one.
    REGISTRATION_DIR = "alluxio.csi.registration.dir", Kind::Text,
        default: Some("/var/lib/kubelet/plugins_registry"), roles: CLIENT;
    /// Name of this node in the words of Kubernetes; without one, the machine's host name.
    NODE_ID = "alluxio.csi.node.id", Kind::Text, roles: CLIENT;
    /// Folder in which the driver writes what each of its mounts is for. It must outlive the driver, and need
    /// not outlive the machine.
    STATE_DIR = "alluxio.csi.state.dir", Kind::Text, default: Some("${alluxio.work.dir}/csi"),
        roles: CLIENT;
    /// Socket on which the node service holds mounts, too, as a keeper does. Without one it holds none. Agents
    /// need it in `alluxio.fuse.keeper.sockets`.
    KEEPER_SOCKET = "alluxio.csi.keeper.socket", Kind::Text, roles: CLIENT;
    /// How long it holds a mount that no agent serves. Then programs that wait for it get errors, and can be killed. The
    /// keepers beside it have the same time in `--alone-seconds`.
    KEEPER_ALONE_TIMEOUT = "alluxio.csi.keeper.alone.timeout", Kind::time(1000), default: Some("5min"),
        roles: CLIENT;
    /// What volumes that stand in a pod may show: this path of the namespace and what is below it. Empty
    /// for nothing.
    EPHEMERAL_PATH = "alluxio.csi.ephemeral.path", Kind::Text, default: Some("/"), roles: CLIENT;
    /// Address that the driver's web server listens on.
    WEB_BIND_HOST = "alluxio.csi.web.bind.host", Kind::Text, default: Some("0.0.0.0"),
        roles: CLIENT;
    /// Port of the driver's web server: metrics, health.
    WEB_PORT = "alluxio.csi.web.port", Kind::Port, default: Some("30010"), roles: CLIENT;
}

/// How the CSI driver runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsiConfig {
    /// Socket that it serves on.
    pub endpoint: String,
    /// The same, as the kubelet sees it.
    pub kubelet_endpoint: String,
    /// Where the kubelet looks for drivers.
    pub registration_dir: Option<PathBuf>,
    /// Name of this node.
    pub node_id: String,
    /// Folder of what each mount is for.
    pub state_dir: PathBuf,
    /// Socket on which the node service is a keeper.
    pub keeper_socket: Option<PathBuf>,
    /// How long it holds a mount that no agent serves.
    pub keeper_alone_timeout: Duration,
    /// What volumes that stand in a pod may show.
    pub ephemeral_path: Option<String>,
    /// Address of the web server.
    pub web_bind_host: String,
    /// Port of the web server.
    pub web_port: u16,
    /// Name of the cluster.
    pub cluster_name: String,
    /// Folder of the sockets of this machine's workers.
    pub worker_sockets: Option<PathBuf>,
}

pub(crate) fn section(r: &mut Reader<'_>) -> CsiConfig {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let socket = r.set_text(&worker::DOMAIN_SOCKET).and_then(some).map(PathBuf::from);
    let worker_sockets = match r.bool(&worker::DOMAIN_SOCKET_AS_UUID) {
        true => socket,
        false => socket.and_then(|socket| socket.parent().map(PathBuf::from)),
    };
    CsiConfig {
        endpoint: r.text(&ENDPOINT),
        kubelet_endpoint: r.text(&KUBELET_ENDPOINT),
        registration_dir: some(r.text(&REGISTRATION_DIR)).map(PathBuf::from),
        node_id: r.text_or(&NODE_ID, |machine| machine.hostname.clone()),
        state_dir: r.path(&STATE_DIR),
        keeper_socket: r.set_text(&KEEPER_SOCKET).and_then(some).map(PathBuf::from),
        keeper_alone_timeout: r.duration(&KEEPER_ALONE_TIMEOUT),
        ephemeral_path: some(r.text(&EPHEMERAL_PATH)),
        web_bind_host: r.text(&WEB_BIND_HOST),
        web_port: r.port(&WEB_PORT),
        cluster_name: r.text(&etcd::CLUSTER_NAME),
        worker_sockets,
    }
}
