//! An HDFS cluster: name nodes and data nodes in one JVM.

use crate::cache;
use crate::process::Server;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running cluster.
pub struct Hdfs {
    name_nodes: Vec<NameNode>,
    server: Server,
}

/// One name node.
#[derive(Debug, Clone, Copy)]
pub struct NameNode {
    /// Port of the native protocol.
    pub rpc_port: u16,
    /// Port of WebHDFS.
    pub http_port: u16,
}

impl Hdfs {
    /// One name node.
    pub fn start() -> Hdfs {
        Self::launch(1)
    }

    /// Two name nodes, the first one active.
    pub fn start_ha() -> Hdfs {
        Self::launch(2)
    }

    fn launch(name_nodes: usize) -> Hdfs {
        cache::require(cache::hdfs_mark(), "HDFS");
        let java = std::env::var_os("JAVA_HOME")
            .map_or_else(|| PathBuf::from("java"), |home| Path::new(&home).join("bin/java"));
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("hdfs/MiniHdfs.java");
        let mut command = Command::new(java);
        command
            // Small and quick to start; the tests hold megabytes, not gigabytes.
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .arg("-cp")
            .arg(cache::hdfs_jars().join("*"))
            .arg(main)
            .arg(dir.path().join("data"))
            .arg(name_nodes.to_string())
            .current_dir(dir.path());
        let mut server = Server::start(command, dir);
        let name_nodes = server.wait_until(|log| {
            let ready = log.lines().find_map(|line| line.strip_prefix("READY "))?;
            let ports: Option<Vec<u16>> = ready.split(' ').map(|port| port.parse().ok()).collect();
            let node = |pair: &[u16]| NameNode { rpc_port: pair[0], http_port: pair[1] };
            Some(ports?.chunks_exact(2).map(node).collect())
        });
        Hdfs { name_nodes, server }
    }

    /// The name nodes, in order.
    pub fn name_nodes(&self) -> &[NameNode] {
        &self.name_nodes
    }

    /// `hdfs://host:port` of the first name node.
    pub fn uri(&self) -> String {
        format!("hdfs://127.0.0.1:{}", self.name_nodes[0].rpc_port)
    }

    /// `webhdfs://host:port` of the first name node.
    pub fn web_uri(&self) -> String {
        format!("webhdfs://127.0.0.1:{}", self.name_nodes[0].http_port)
    }

    /// Makes the second name node the active one and waits for it.
    pub fn fail_over(&mut self) {
        self.server.send("failover");
        self.server.wait_until(|log| log.lines().any(|line| line == "FAILED OVER").then_some(()));
    }

    /// Writes `core-site.xml` and `hdfs-site.xml` that name all name nodes as the name service
    /// `service`, and returns their paths as `alluxio.underfs.hdfs.configuration` wants them.
    pub fn write_configuration(&self, service: &str, dir: &Path) -> String {
        let ids: Vec<String> = (0..self.name_nodes.len()).map(|i| format!("nn{i}")).collect();
        let mut properties = vec![
            ("dfs.nameservices".to_owned(), service.to_owned()),
            (format!("dfs.ha.namenodes.{service}"), ids.join(",")),
        ];
        for (id, node) in ids.iter().zip(&self.name_nodes) {
            let name = format!("dfs.namenode.rpc-address.{service}.{id}");
            properties.push((name, format!("127.0.0.1:{}", node.rpc_port)));
        }
        let core = vec![("fs.defaultFS".to_owned(), format!("hdfs://{service}"))];
        let files = [("core-site.xml", core), ("hdfs-site.xml", properties)];
        let paths = files.map(|(name, properties)| {
            let path = dir.join(name);
            std::fs::write(&path, site_xml(&properties)).expect("the test's directory is writable");
            path.display().to_string()
        });
        paths.join(":")
    }
}

fn site_xml(properties: &[(String, String)]) -> String {
    let lines: String = properties
        .iter()
        .map(|(name, value)| {
            format!("  <property><name>{name}</name><value>{value}</value></property>\n")
        })
        .collect();
    format!("<?xml version=\"1.0\"?>\n<configuration>\n{lines}</configuration>\n")
}
