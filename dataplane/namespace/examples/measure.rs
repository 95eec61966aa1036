//! Prints what the tree costs: bytes per file, changes and reads a second, a listing, a checkpoint
//! and a restore. `cargo run --release -p alluxio-namespace --example measure -- [files]`
//!
//! Files have names of 20 characters, one block, and all attributes; 1000 to a directory.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use alluxio_namespace::{
    CompleteFile, Context, CreateDirectory, CreateFile, Delete, Format, Namespace, Outcome, Policy,
    Request, Restorer,
};
use alluxio_types::{
    AlluxioPath, Entry, Fingerprint, Identity, InodeId, JournalSeq, MountOptions, PersistenceState,
    UnixMillis,
};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FILES_PER_DIRECTORY: u64 = 1000;
/// Files that are written at one time.
const IN_FLIGHT: usize = 64;

struct Bench {
    namespace: Arc<Namespace>,
    who: Identity,
    policy: Policy,
    seq: JournalSeq,
}

impl Bench {
    fn context(&self, now: u64) -> Context<'_> {
        Context { now: UnixMillis(now), who: &self.who, policy: &self.policy }
    }

    fn change(&mut self, request: &Request, now: u64) -> Result<Option<InodeId>, Box<dyn Error>> {
        let mut plan = self.namespace.plan(request, &self.context(now))?;
        let entry = match plan.entries.len() {
            0 => return Ok(None),
            1 => plan.entries.remove(0),
            _ => Entry::Group(plan.entries),
        };
        self.seq = self.seq.next();
        self.namespace.apply(self.seq, &entry);
        Ok(match plan.outcome {
            Outcome::Inode { id, .. } => Some(id),
            Outcome::Done | Outcome::Mounted(_) | Outcome::Loaded(_) => None,
        })
    }
}

/// Resident memory of this process in bytes, where the system tells it.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

fn directory(at: u64) -> Result<AlluxioPath, Box<dyn Error>> {
    Ok(AlluxioPath::parse(&format!("/data/d{at:05}"))?)
}

fn file(at: u64) -> Result<AlluxioPath, Box<dyn Error>> {
    // 20 characters, not in order of creation.
    let name = format!("part-{:015}", at.wrapping_mul(7_919) % 1_000_003);
    Ok(directory(at / FILES_PER_DIRECTORY)?.join(&name)?)
}

fn per_second(count: u64, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

fn main() -> Result<(), Box<dyn Error>> {
    let files: u64 = std::env::args().nth(1).map_or(Ok(200_000), |text| text.parse())?;
    let mut bench = Bench {
        namespace: Arc::new(Namespace::new()),
        who: Identity::new("root", ["wheel".to_owned()]),
        policy: Policy::default(),
        seq: JournalSeq(0),
    };
    let format = Format {
        cluster_id: "bench".into(),
        ufs_uri: "/ufs".into(),
        read_only: false,
        shared: false,
        options: MountOptions::default(),
        root_mode: None,
    };
    bench.change(&format.into(), 1)?;
    let paths: Vec<AlluxioPath> = (0..files).map(file).collect::<Result<_, _>>()?;
    let resident = resident_bytes();
    write(&mut bench, files, &paths)?;
    let stats = bench.namespace.stats();
    let resident = resident_bytes().saturating_sub(resident);
    println!("tables          {:8.1} bytes/file", stats.memory_bytes as f64 / files as f64);
    println!("resident growth {:8.1} bytes/file", resident as f64 / files as f64);
    read(&bench, &paths)?;
    restart(&bench)?;
    let started = Instant::now();
    for path in &paths {
        let delete = Delete {
            path: path.clone(),
            recursive: false,
            alluxio_only: false,
            delete_mount_points: false,
            expected: None,
        };
        bench.change(&delete.into(), 3)?;
    }
    println!("delete          {:8.0} /s", per_second(files, started));
    Ok(())
}

fn write(bench: &mut Bench, files: u64, paths: &[AlluxioPath]) -> Result<(), Box<dyn Error>> {
    for at in 0..files.div_ceil(FILES_PER_DIRECTORY) {
        let mkdir = CreateDirectory { recursive: true, ..CreateDirectory::new(directory(at)?) };
        bench.change(&mkdir.into(), 1)?;
    }
    let (mut create, mut complete) = (Duration::ZERO, Duration::ZERO);
    let mut now = 1_700_000_000_000u64;
    for some in paths.chunks(IN_FLIGHT) {
        let started = Instant::now();
        let mut ids = Vec::with_capacity(some.len());
        for path in some {
            let id = bench.change(&CreateFile::new(path.clone()).into(), now)?;
            ids.push(id.ok_or("a create has an inode")?);
        }
        create += started.elapsed();
        let started = Instant::now();
        for id in ids {
            now += 1;
            let hash = now.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let done = CompleteFile {
                id,
                length: 1 << 20,
                persistence: PersistenceState::Persisted,
                fingerprint: Fingerprint(format!("object;len=1048576;etag={hash:016x}{hash:016x}")),
            };
            bench.change(&done.into(), now)?;
        }
        complete += started.elapsed();
    }
    println!("create          {:8.0} /s (plan + apply)", files as f64 / create.as_secs_f64());
    println!("complete        {:8.0} /s", files as f64 / complete.as_secs_f64());
    Ok(())
}

fn read(bench: &Bench, paths: &[AlluxioPath]) -> Result<(), Box<dyn Error>> {
    let context = bench.context(2);
    let started = Instant::now();
    for path in paths {
        bench.namespace.status(path, &context)?;
    }
    println!("status          {:8.0} /s", per_second(paths.len() as u64, started));
    let started = Instant::now();
    for path in paths {
        bench.namespace.resolve(path, &context)?;
    }
    println!("resolve         {:8.0} /s", per_second(paths.len() as u64, started));
    let started = Instant::now();
    let mut listed = 0;
    for at in 0..(paths.len() as u64).div_ceil(FILES_PER_DIRECTORY).min(10) {
        listed +=
            bench.namespace.list(&directory(at)?, None, 10_000, &context)?.value.entries.len();
    }
    let ms = started.elapsed().as_secs_f64() * 1e3;
    println!("list            {ms:8.2} ms for {listed} entries");
    Ok(())
}

fn restart(bench: &Bench) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let mut checkpoint = bench.namespace.begin_checkpoint()?;
    let (mut entries, mut longest) = (Vec::new(), Duration::ZERO);
    loop {
        let step = Instant::now();
        let some = checkpoint.step(512);
        longest = longest.max(step.elapsed());
        if some.is_empty() {
            break;
        }
        entries.extend(some);
    }
    println!("checkpoint      {:8.0} ms, longest step {longest:?}", started.elapsed().as_millis());
    let started = Instant::now();
    let mut restorer = Restorer::new();
    entries.iter().for_each(|entry| restorer.push(entry));
    let restored = restorer.finish(checkpoint.seq());
    println!("restore         {:8.0} ms", started.elapsed().as_millis());
    println!(
        "restored tables {:8.1} bytes/inode",
        restored.memory_bytes() as f64 / entries.len() as f64
    );
    let mut restored = Bench {
        namespace: Arc::new(restored),
        who: bench.who.clone(),
        policy: bench.policy.clone(),
        seq: checkpoint.seq(),
    };
    let started = Instant::now();
    let all = Delete {
        path: AlluxioPath::parse("/data")?,
        recursive: true,
        alluxio_only: false,
        delete_mount_points: false,
        expected: None,
    };
    restored.change(&all.into(), 4)?;
    println!("delete the tree {:8.0} ms", started.elapsed().as_millis());
    Ok(())
}
