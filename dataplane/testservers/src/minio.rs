//! An S3 server.

use crate::cache;
use crate::process::{Server, free_port, web_page};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// Its user and password: it is open to this machine's loopback only.
pub const ACCESS_KEY: &str = "test-access-key";
/// See [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "test-secret-key";

/// A MinIO server with one bucket.
pub struct Minio {
    port: u16,
    _server: Server,
}

impl Minio {
    /// The bucket that is there.
    pub const BUCKET: &'static str = "test-bucket";

    /// Starts a server and waits until it serves.
    ///
    /// **Panics** when it is not installed, or does not start.
    pub fn start() -> Minio {
        let program = cache::require(cache::minio(), "MinIO");
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        // On a single drive, a bucket is a directory.
        let data = dir.path().join("data");
        std::fs::create_dir_all(data.join(Self::BUCKET)).expect("a new directory takes another");
        let port = free_port();
        let mut command = Server::supervised(&program);
        command
            .arg("server")
            .arg("--quiet")
            .arg("--address")
            .arg(format!("127.0.0.1:{port}"))
            .arg("--console-address")
            .arg("127.0.0.1:0")
            .arg("--config-dir")
            .arg(dir.path().join("config"))
            .arg(&data)
            .env("MINIO_ROOT_USER", ACCESS_KEY)
            .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off");
        let mut server = Server::start(command, dir);
        server.wait_until(|_| is_ready(port).then_some(()));
        Minio { port, _server: server }
    }

    /// Where it serves.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn is_ready(port: u16) -> bool {
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let answer = web_page(address, "/minio/health/ready", Duration::from_secs(5));
    answer.is_ok_and(|answer| answer.contains(" 200 OK"))
}
