//! The command line on a master and two workers as processes: a large file is copied in, and `cat`
//! gives the same bytes through a worker that holds it, through one that does not, and while each
//! of them is killed in the middle of the read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_testkit::ProcessCluster;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;

/// Size of the file, unless the variable below says otherwise: 16 blocks and a bit.
const FILE_BYTES: u64 = (64 << 20) + 4321;
/// How `cargo xtask soak` asks for more.
const FILE_BYTES_VARIABLE: &str = "ALLUXIO_TEST_FILE_BYTES";
const PIECE: usize = 1 << 20;

fn file_bytes() -> u64 {
    std::env::var(FILE_BYTES_VARIABLE).map_or(FILE_BYTES, |text| text.parse().unwrap())
}

/// Piece `index` of the file: xorshift64*, seeded by its number.
fn fill(index: u64, piece: &mut [u8]) {
    let mut state = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for word in piece.chunks_mut(8) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bytes = state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes();
        word.copy_from_slice(&bytes[..word.len()]);
    }
}

fn pieces() -> impl Iterator<Item = (u64, Vec<u8>)> {
    let total = file_bytes();
    (0..total.div_ceil(PIECE as u64)).map(move |index| {
        let length = (total - index * PIECE as u64).min(PIECE as u64);
        let mut piece = vec![0; length as usize];
        fill(index, &mut piece);
        (index, piece)
    })
}

fn generate(path: &Path) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    pieces().for_each(|(_, piece)| file.write_all(&piece).unwrap());
    file.flush().unwrap();
}

fn assert_is_the_file(from: impl Read, what: &str, mut at_piece: impl FnMut(u64)) {
    let mut from = BufReader::with_capacity(PIECE, from);
    let mut found = vec![0; PIECE];
    for (index, piece) in pieces() {
        at_piece(index);
        let found = &mut found[..piece.len()];
        from.read_exact(found).unwrap_or_else(|error| panic!("{what}: piece {index}: {error}"));
        assert!(*found == piece[..], "{what}: piece {index} is other bytes");
    }
    assert_eq!(from.read(&mut found).unwrap(), 0, "{what}: bytes beyond the end");
}

/// `alluxio fs cat`; `at_piece` runs before each piece that is taken off the pipe.
fn cat(
    cluster: &mut ProcessCluster,
    what: &str,
    mut at_piece: impl FnMut(&mut ProcessCluster, u64),
) {
    let mut command = cluster.command(&["fs", "cat", "/big"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    assert_is_the_file(out, what, |index| at_piece(cluster, index));
    assert!(child.wait().unwrap().success(), "{what}");
}

fn run(cluster: &ProcessCluster, arguments: &[&str]) {
    let output = cluster.alluxio(arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_large_file_reads_the_same_whichever_worker_is_killed_meanwhile() {
    let room = format!("{}MB", file_bytes() * 2 / (1 << 20));
    let properties = [
        ("alluxio.user.block.size.bytes.default", "4MB"),
        ("alluxio.worker.ramdisk.size", room.as_str()),
        ("alluxio.worker.block.heartbeat.interval", "100ms"),
        ("alluxio.master.worker.connect.wait.time", "0"),
    ];
    let binary = Path::new(env!("CARGO_BIN_EXE_alluxio"));
    let mut cluster = ProcessCluster::start(binary, &properties).unwrap();
    let middle = file_bytes() / PIECE as u64 / 2;
    let original = cluster.dir().join("original");
    generate(&original);
    cluster.start_worker(1).unwrap();
    let through = "-Dalluxio.user.file.writetype.default=CACHE_THROUGH";
    run(&cluster, &["fs", through, "copyFromLocal", original.to_str().unwrap(), "/big"]);
    let behind = File::open(cluster.root_ufs().join("big")).unwrap();
    assert_is_the_file(behind, "the copy in the under store", |_| ());

    cat(&mut cluster, "through the worker that holds it", |_, _| ());
    cluster.start_worker(2).unwrap();
    cat(&mut cluster, "the worker that holds it is killed", |cluster, piece| {
        if piece == middle {
            cluster.kill_worker(1).unwrap();
        }
    });
    run(&cluster, &["fs", "free", "/big"]);
    cat(&mut cluster, "through a worker that has nothing", |_, _| ());
    cluster.start_worker(1).unwrap();
    cat(&mut cluster, "the other one is killed", |cluster, piece| {
        if piece == middle {
            cluster.kill_worker(2).unwrap();
        }
    });
    cluster.start_worker(2).unwrap();
    run(&cluster, &["fs", "free", "/big"]);
    cat(&mut cluster, "one after the other is killed while it is fetched", |cluster, piece| {
        if piece == middle / 2 {
            cluster.kill_worker(1).unwrap();
        } else if piece == middle {
            cluster.start_worker(1).unwrap();
        } else if piece == middle / 2 * 3 {
            cluster.kill_worker(2).unwrap();
        }
    });
}
