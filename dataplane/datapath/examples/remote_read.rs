//! Measures a remote read of one stream beside raw loopback transfers of the same file, in turns,
//! and prints the ratio to the best of them, round by round.
//!
//! On a machine that is busy with other things, the processor time per GiB is the steadier figure.
//!
//! `cargo run --release --example remote_read -- [DIR [MIB [ROUNDS]]]`; DIR should be on the kind
//! of file system that a tier is on (a tmpfs).

#![expect(clippy::print_stdout, reason = "its output is the measurement")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

mod support;

use alluxio_datapath::client::{DataClient, Reading, Target};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;
use support::{STEP, client, make_block, median, runtime, serve, whole};

#[derive(Clone, Copy)]
enum Raw {
    Copy,
    Mapping,
    Sendfile,
}

/// One raw transfer; seconds.
fn raw(kind: Raw, path: &Path, length: u64, buffer: &mut [u8]) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let path = path.to_owned();
    let sender = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let file = File::open(&path).unwrap();
        match kind {
            Raw::Copy => {
                let mut buffer = vec![0; STEP];
                let mut at = 0;
                while at < length {
                    let count = file.read_at(&mut buffer, at).unwrap();
                    socket.write_all(&buffer[..count]).unwrap();
                    at += count as u64;
                }
            }
            Raw::Mapping => {
                // A private copy of the pages' addresses is what a kept mapping amounts to.
                #[expect(unsafe_code, reason = "the file is this program's own")]
                // SAFETY: nobody changes the file while the program runs.
                let map = unsafe { memmap2::Mmap::map(&file).unwrap() };
                for piece in map.chunks(STEP) {
                    socket.write_all(piece).unwrap();
                }
            }
            Raw::Sendfile => {
                let mut at = 0;
                while at < length {
                    let count = (length - at).min(STEP as u64) as usize;
                    rustix::fs::sendfile(&socket, &file, Some(&mut at), count).unwrap();
                }
            }
        }
    });
    let mut socket = TcpStream::connect(address).unwrap();
    let started = Instant::now();
    let mut done = 0;
    while done < length {
        let count = socket.read(buffer).unwrap();
        assert!(count > 0);
        done += count as u64;
    }
    let spent = started.elapsed().as_secs_f64();
    sender.join().unwrap();
    spent
}

async fn ours(client: DataClient, target: Target, length: u64) -> f64 {
    let mut buffer = vec![0; STEP];
    let started = Instant::now();
    let Reading::Stream(mut stream) = client.read(&target, whole(length, false)).await.unwrap()
    else {
        panic!("no stream")
    };
    let mut done = 0;
    while done < length {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0);
        done += count as u64;
    }
    stream.finish().await.unwrap();
    started.elapsed().as_secs_f64()
}

/// Seconds that all threads of this process have spent on a processor.
fn processor_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "/dev/shm".into());
    let mib: u64 = args.next().map_or(128, |text| text.parse().unwrap());
    // A fourth argument restricts the measurement to one way, for a profiler.
    let rounds: usize = args.next().map_or(21, |text| text.parse().unwrap());
    let only: Option<usize> = args.next().map(|text| text.parse().unwrap());
    let length = mib << 20;
    let folder = tempfile::tempdir_in(dir).unwrap();
    let path = folder.path().join("block");
    let crcs = make_block(&path, length);
    let server_runtime = runtime();
    let (server, target, _) = server_runtime.block_on(serve(&path, length, crcs));
    let client_runtime = runtime();
    let client = client();
    let mut buffer = vec![0; STEP];
    let names = ["copy+write", "mapping+write", "sendfile", "ours"];
    let mut speeds: [Vec<f64>; 4] = Default::default();
    let mut costs: [Vec<f64>; 4] = Default::default();
    for round in 0..=rounds {
        let gib = length as f64 / f64::from(1 << 30);
        let mut now = [0.0; 4];
        let mut cost = [0.0; 4];
        for (i, (now, cost)) in now.iter_mut().zip(&mut cost).enumerate() {
            if only.is_some_and(|only| only != i) {
                continue;
            }
            let before = processor_seconds();
            let seconds = match i {
                0 => raw(Raw::Copy, &path, length, &mut buffer),
                1 => raw(Raw::Mapping, &path, length, &mut buffer),
                2 => raw(Raw::Sendfile, &path, length, &mut buffer),
                _ => {
                    // In a task of its own: a future that is driven by `block_on` is woken through
                    // another thread at every step.
                    let read = ours(client.clone(), target.clone(), length);
                    client_runtime.block_on(client_runtime.spawn(read)).unwrap()
                }
            };
            *cost = (processor_seconds() - before) / gib;
            *now = gib / seconds;
        }
        // The first round warms everything up.
        if round > 0 {
            for i in 0..4 {
                speeds[i].push(now[i]);
                costs[i].push(cost[i]);
            }
        }
    }
    let medians: Vec<f64> = speeds.iter().map(|speed| median(&mut speed.clone())).collect();
    for ((name, speed), cost) in names.iter().zip(&medians).zip(&mut costs) {
        let cost = median(cost);
        println!("{name:14} {speed:6.2} GiB/s {cost:6.3} processor seconds per GiB");
    }
    let best = (0..3).max_by(|a, b| medians[*a].total_cmp(&medians[*b])).unwrap();
    let rounds_of_both = speeds[3].iter().zip(&speeds[best]);
    let mut ratios: Vec<f64> = rounds_of_both.map(|(ours, raw)| ours / raw).collect();
    let ratio = median(&mut ratios);
    let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
    println!("ours / {}: {ratio:.2} ({low:.2} to {high:.2}, {rounds} rounds)", names[best]);
    server_runtime.block_on(server.stop(std::time::Duration::from_secs(1)));
}
