//! How fast an under store streams, beside plain system calls on the same bytes:
//! `cargo run --release -p alluxio-ufs --example speed -- URI [NAME=VALUE …]`.
//!
//! Writes one file of 512 MiB below the URI, reads it five times in blocks of 64 MiB, and removes it.

use alluxio_types::MountOptions;
use alluxio_types::mount::join_uri;
use alluxio_ufs::{CreateOptions, UfsSettings, UnderFsRegistry};
use bytes::Bytes;
use futures::StreamExt;
use std::io::Read;
use std::time::Instant;

const FILE_BYTES: u64 = 512 << 20;
const BLOCK_BYTES: u64 = 64 << 20;
const PIECE_BYTES: usize = 1 << 20;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let uri = args.next().ok_or("usage: speed URI [NAME=VALUE …]")?;
    let options = args.filter_map(|arg| {
        arg.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    });
    let options = MountOptions(options.collect());
    let ufs = UnderFsRegistry::new(UfsSettings::default()).open(&uri, &options)?;
    let path = join_uri(ufs.root(), "alluxio-speed");
    let piece = Bytes::from(vec![7; PIECE_BYTES]);

    let start = Instant::now();
    let how = CreateOptions { length_hint: Some(FILE_BYTES), ..CreateOptions::default() };
    let mut writer = ufs.create(&path, how).await?;
    for _ in 0..FILE_BYTES / PIECE_BYTES as u64 {
        writer.write(piece.clone()).await?;
    }
    let version = writer.finish().await?.fingerprint;
    say("write", start);

    for _ in 0..ROUNDS {
        let start = Instant::now();
        for block in 0..FILE_BYTES / BLOCK_BYTES {
            let offset = block * BLOCK_BYTES;
            let mut stream = ufs.read_range(&path, offset, BLOCK_BYTES, &version).await?;
            while let Some(piece) = stream.next().await {
                std::hint::black_box(piece?);
            }
        }
        say("read", start);
        if let Ok(mut file) = std::fs::File::open(&path) {
            let start = Instant::now();
            let mut buffer = vec![0; PIECE_BYTES];
            while file.read(&mut buffer)? > 0 {}
            say("plain read", start);
        }
    }
    ufs.delete_file(&path).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn say(what: &str, start: Instant) {
    let rate = FILE_BYTES as f64 / start.elapsed().as_secs_f64() / f64::from(1 << 30);
    println!("{what:<12}{rate:>8.2} GiB/s");
}
