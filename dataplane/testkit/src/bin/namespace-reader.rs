//! A client for the tests of short circuit in other containers: reads one file, from within whatever
//! namespaces and user it is started in, and says how that went.
//!
//!     namespace-reader SITE_FILE SOCKET_DIRECTORY RELAY PATH PASSES
//!
//! The master is reached through a Unix socket, `RELAY`: there need be no network at all.

use alluxio_client::{FileReader, FileSystem, OpenFileOptions};
use alluxio_host::Host;
use alluxio_host::net::{Connection, Listener, Net, NetFuture};
use alluxio_testkit::local::config_of;
use alluxio_types::AlluxioPath;
use anyhow::{Context, ensure};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::UnixStream;

/// Reaches everything through one Unix socket.
struct Relayed(PathBuf);

impl Net for Relayed {
    fn connect(&self, _host: &str, _port: u16) -> NetFuture<Connection> {
        let socket = self.0.clone();
        Box::pin(async move { Ok(Box::new(UnixStream::connect(socket).await?) as Connection) })
    }

    fn listen(&self, _host: &str, _port: u16) -> NetFuture<Box<dyn Listener>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// Uses every byte of the file where it is; returns a value that depends on all of them.
async fn read(reader: &FileReader) -> anyhow::Result<u64> {
    let (mut at, mut sum) = (0, 0);
    loop {
        let bytes = reader.read_at_bytes(at, 64 << 20).await?;
        if bytes.is_empty() {
            return Ok(sum);
        }
        let (words, rest) = bytes.as_chunks::<8>();
        sum ^= words.iter().fold(0, |sum, word| sum ^ u64::from_le_bytes(*word));
        sum ^= rest.iter().fold(0, |sum, byte| sum ^ u64::from(*byte));
        at += bytes.len() as u64;
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the test reads it")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [site, sockets, relay, path, passes] = arguments.as_slice() else {
        anyhow::bail!("five arguments are needed, not {arguments:?}");
    };
    let config = config_of(site.as_ref())?.with([
        // As in a container: another name, and the directory at another place.
        ("alluxio.user.hostname", "container"),
        ("alluxio.worker.data.server.domain.socket.address", sockets.as_str()),
        ("alluxio.worker.data.server.domain.socket.as.uuid", "true"),
    ])?;
    let host = Host { net: Arc::new(Relayed(relay.into())), ..Host::real() };
    let fs = FileSystem::connect(config.client()?, host)?;
    let path = AlluxioPath::parse(path)?;
    let reader = fs.open_file(&path, &OpenFileOptions::default()).await?;
    // Opens and maps the blocks; does not count.
    let expected = read(&reader).await?;
    let mut byte = [0];
    let in_place = reader.try_read_at(&mut byte, 0)?.is_some();
    let mut best = 0_f64;
    for _ in 0..passes.parse::<u32>().context("passes")? {
        let started = Instant::now();
        ensure!(read(&reader).await? == expected, "two passes read different bytes");
        best = best.max(reader.length() as f64 / started.elapsed().as_secs_f64());
    }
    let fallbacks: u64 = fs.short_circuit_fallbacks().iter().map(|(_, count)| count).sum();
    println!(
        "{}",
        serde_json::json!({
            "in_place": in_place,
            "bytes_per_second": best,
            "sum": expected,
            "fallbacks": fallbacks,
        })
    );
    Ok(())
}
