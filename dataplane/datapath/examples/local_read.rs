//! Measures the ways to read a block of this machine beside reading its file directly, in turns:
//! whole blocks in steps of 1 MiB, and 4 KiB at random places. Prints medians, and ratios to a
//! direct `pread` of the same round.
//!
//! `cargo run --release --example local_read -- [DIR [MIB [ROUNDS]]]`; run it on a tmpfs with 4 KiB
//! pages, on one mounted `huge=always`, and on a disk.

#![expect(clippy::print_stdout, reason = "its output is the measurement")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

mod support;

use alluxio_datapath::client::{LocalBlock, Reading};
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::Instant;
use support::{STEP, client, make_block, median, runtime, serve, whole};

/// Random reads per round.
const READS: u64 = 100_000;
const SMALL: usize = 4096;

/// Positions of random reads: the same for every way.
fn positions(length: u64) -> impl Iterator<Item = u64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..READS).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % (length - SMALL as u64)
    })
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).fold(0, |sum, word| sum ^ u64::from_ne_bytes(word.try_into().unwrap()))
}

struct Way {
    name: &'static str,
    run: fn(&File, &LocalBlock, &LocalBlock, u64, &mut [u8]),
}

/// `kept` was mapped long ago, `fresh` is opened for the round.
const WAYS: &[Way] = &[
    Way {
        name: "direct pread, 1 MiB",
        run: |file, _, _, length, buffer| {
            for at in (0..length).step_by(STEP) {
                file.read_exact_at(buffer, at).unwrap();
            }
        },
    },
    Way {
        name: "read_at, 1 MiB",
        run: |_, kept, _, length, buffer| {
            for at in (0..length).step_by(STEP) {
                black_box(kept.try_read_at(buffer, at).unwrap());
            }
        },
    },
    Way {
        name: "copy from kept mapping, 1 MiB",
        run: |_, kept, _, length, buffer| {
            for at in (0..length).step_by(STEP) {
                buffer.copy_from_slice(&kept.bytes_at(at, STEP).unwrap());
            }
        },
    },
    Way {
        name: "copy from fresh mapping, 1 MiB",
        run: |_, _, fresh, length, buffer| {
            for at in (0..length).step_by(STEP) {
                buffer.copy_from_slice(&fresh.bytes_at(at, STEP).unwrap());
            }
        },
    },
    Way {
        name: "zero-copy, kept, all bytes used",
        run: |_, kept, _, length, _| {
            for at in (0..length).step_by(STEP) {
                black_box(sum(&kept.bytes_at(at, STEP).unwrap()));
            }
        },
    },
    Way {
        name: "direct pread, all bytes used",
        run: |file, _, _, length, buffer| {
            for at in (0..length).step_by(STEP) {
                file.read_exact_at(buffer, at).unwrap();
                black_box(sum(buffer));
            }
        },
    },
    Way {
        name: "random: direct pread",
        run: |file, _, _, length, buffer| {
            for at in positions(length) {
                file.read_exact_at(&mut buffer[..SMALL], at).unwrap();
            }
        },
    },
    Way {
        name: "random: read_at",
        run: |_, kept, _, length, buffer| {
            for at in positions(length) {
                black_box(kept.try_read_at(&mut buffer[..SMALL], at).unwrap());
            }
        },
    },
];

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "/dev/shm".into());
    let mib: u64 = args.next().map_or(256, |text| text.parse().unwrap());
    let rounds: usize = args.next().map_or(15, |text| text.parse().unwrap());
    let length = mib << 20;
    let folder = tempfile::tempdir_in(dir).unwrap();
    let path = folder.path().join("block");
    let crcs = make_block(&path, length);
    let runtime = runtime();
    let (server, _, target) = runtime.block_on(serve(&path, length, crcs));
    let client = client();
    let open = || match runtime.block_on(client.read(&target, whole(length, true))).unwrap() {
        Reading::Local(local) => local,
        Reading::Stream(_) => panic!("no descriptor was lent"),
    };
    let file = File::open(&path).unwrap();
    let kept = open();
    let mut buffer = vec![0; STEP];
    let mut spent = vec![Vec::new(); WAYS.len()];
    for round in 0..=rounds {
        for (way, spent) in WAYS.iter().zip(&mut spent) {
            let fresh = open();
            let started = Instant::now();
            (way.run)(&file, &kept, &fresh, length, &mut buffer);
            // The first round warms everything up.
            if round > 0 {
                spent.push(started.elapsed().as_secs_f64());
            }
        }
    }
    let base = |i: usize| if WAYS[i].name.starts_with("random") { 6 } else { 0 };
    for (i, way) in WAYS.iter().enumerate() {
        let pairs = spent[base(i)].iter().zip(&spent[i]);
        let mut ratios: Vec<f64> = pairs.map(|(direct, this)| direct / this).collect();
        let ratio = median(&mut ratios);
        let seconds = median(&mut spent[i].clone());
        let (value, unit) = match base(i) {
            0 => (length as f64 / f64::from(1 << 30) / seconds, "GiB/s"),
            _ => (READS as f64 / seconds / 1e6, "million reads/s"),
        };
        println!("{:34} {value:6.2} {unit:16} {ratio:5.2} of direct", way.name);
    }
    let started = Instant::now();
    for _ in 0..10_000 {
        black_box(open());
    }
    println!("open and give back {:.1} us", started.elapsed().as_secs_f64() * 100.0);
    runtime.block_on(server.stop(std::time::Duration::from_secs(1)));
}
