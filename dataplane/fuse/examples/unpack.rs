//! Unpacks a tar of many small files on a mount of a small cluster, and says how many files a second that
//! are. `unpack [FILES] [OPTION...]` (such as `commit=background`); needs root. What fsync costs in the folder of the cluster is
//! printed beside it: durable metadata cannot be faster than one of them for each file.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people who measure")]

use alluxio_fuse::fs::{AlluxioFs, Settings};
use alluxio_fuse::mount::{self, Options, Unmount};
use alluxio_fuse::options::MountOptions;
use alluxio_fuse::session::{Connection, Wish};
use alluxio_host::Host;
use alluxio_testkit::LocalCluster;
use alluxio_types::AlluxioPath;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files in one directory.
const PER_DIRECTORY: usize = 100;
/// Bytes of a file.
const FILE_BYTES: usize = 4096;

fn run(line: &str, directory: &Path) -> Duration {
    let begun = Instant::now();
    let status = Command::new("sh").args(["-ec", line]).current_dir(directory).status().unwrap();
    assert!(status.success(), "{line}");
    begun.elapsed()
}

fn make_tar(files: usize, folder: &Path) {
    for number in 0..files {
        let directory = folder.join(format!("src/d{}", number / PER_DIRECTORY));
        std::fs::create_dir_all(&directory).unwrap();
        let bytes = vec![number as u8; FILE_BYTES];
        std::fs::write(directory.join(format!("f{number}")), bytes).unwrap();
    }
    run("tar cf a.tar src && rm -rf src", folder);
}

/// Median time of a small append and fdatasync.
fn sync_time(folder: &Path) -> Duration {
    let mut file = std::fs::File::create(folder.join("sync")).unwrap();
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            file.write_all(&[1; 200]).unwrap();
            let begun = Instant::now();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let files: usize = arguments.next().map_or(5000, |count| count.parse().unwrap());
    let mut options = MountOptions::default();
    options.take(&arguments.collect::<Vec<_>>()).unwrap();
    let commit = options.commit.unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let cluster = runtime.block_on(LocalCluster::with(1, options.properties)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    make_tar(files, folder.path());
    let point = folder.path().join("mount");
    std::fs::create_dir(&point).unwrap();
    let device = mount::mount(&point, &Options::default()).unwrap().device;
    let mut connection = Connection::begin(device, &Wish::default()).unwrap();
    connection.add_clones(2).unwrap();
    let settings = Settings {
        root: AlluxioPath::root(),
        attr_valid: Duration::from_secs(600),
        entry_valid: Duration::from_secs(600),
        passthrough: true,
        staging: folder.path().join("staging"),
        commit,
    };
    let inside = runtime.enter();
    let config = cluster.config().client().unwrap();
    let fs = AlluxioFs::new(config, Host::real(), connection.control(), settings).unwrap();
    drop(inside);
    let finished = fs.clone();
    let session = connection.run(Arc::new(fs), 8).unwrap();
    println!("fdatasync {:?}", sync_time(cluster.dir()));
    for round in 0..3 {
        let line = format!("mkdir r{round} && tar xf ../a.tar -C r{round}");
        let took = run(&line, &point);
        let begun = Instant::now();
        runtime.block_on(finished.finish());
        let rest = begun.elapsed();
        let rate = files as f64 / took.as_secs_f64();
        println!("{files} files in {took:?}: {rate:.0}/s; durable {rest:?} later");
    }
    runtime.block_on(finished.finish());
    let counts = session.counters().counts();
    println!("{counts:?}");
    mount::unmount(&point, Unmount::Lazy).unwrap();
    session.wait();
    runtime.block_on(cluster.stop());
}
