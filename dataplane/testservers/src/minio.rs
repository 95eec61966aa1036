//! An S3 server.

use crate::cache;
use crate::process::{Server, free_port};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
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
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /minio/health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.contains(" 200 OK"))
    };
    ask().unwrap_or(false)
}
