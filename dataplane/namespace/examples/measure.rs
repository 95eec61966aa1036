//! Prints what the tree costs: bytes per file, changes and reads a second, a listing, a checkpoint
//! and a restore. `cargo run --release -p alluxio-namespace --example measure -- [files [directory]]`
//!
//! With a directory, the tree lies in a file in it instead of the heap; run it under a limit of
//! memory (a control group) to see what a tree costs that is larger.
//!
//! With `ALLUXIO_MEASURE_QUOTA` set, the root has a quota, so everything is counted against it.
//!
//! Files have names of 20 characters, one block, and all attributes; 1000 to a directory.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use alluxio_host::TableMemory;
use alluxio_namespace::{
    CompleteFile, Context, CreateDirectory, CreateFile, Delete, Format, Foundation, Namespace,
    Outcome, Policy, Request, Restorer, SetQuota,
};
use alluxio_types::{
    AlluxioPath, Entry, Fingerprint, Identity, InodeId, JournalSeq, MountOptions, PersistenceState,
    UnixMillis,
};
use std::error::Error;
use std::path::PathBuf;
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

/// Indexes of all files in batches; in order, or each far from the one before.
fn batches(files: u64, scattered: bool) -> impl Iterator<Item = Vec<AlluxioPath>> {
    // Coprime with every number that does not have it as a factor.
    const STRIDE: u64 = 1_000_000_007;
    let place = move |at: u64| if scattered { at.wrapping_mul(STRIDE) % files } else { at };
    (0..files).step_by(IN_FLIGHT).map(move |first| {
        let some = first..(first + IN_FLIGHT as u64).min(files);
        some.filter_map(|at| file(place(at)).ok()).collect()
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let files: u64 = args.next().map_or(Ok(200_000), |text| text.parse())?;
    let dir = args.next().map(PathBuf::from);
    let foundation = || -> Result<Foundation, Box<dyn Error>> {
        let memory = dir.as_deref().map_or(Ok(TableMemory::heap()), TableMemory::in_dir)?;
        Ok(Foundation { memory, hash_seed: 1 })
    };
    let base = foundation()?;
    let mut bench = Bench {
        namespace: Arc::new(Namespace::on(&base)),
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
    if std::env::var_os("ALLUXIO_MEASURE_QUOTA").is_some() {
        let (bytes, inodes) = (Some(Some(u64::MAX)), Some(Some(u64::MAX)));
        let quota = SetQuota { path: AlluxioPath::root(), bytes, inodes };
        bench.change(&quota.into(), 1)?;
    }
    let resident = resident_bytes();
    write(&mut bench, files)?;
    let stats = bench.namespace.stats();
    let resident = resident_bytes().saturating_sub(resident);
    println!("tables          {:8.1} bytes/file", stats.memory_bytes as f64 / files as f64);
    println!("resident growth {:8.1} bytes/file", resident as f64 / files as f64);
    println!("in a file       {:?}", base.memory);
    read(&bench, files)?;
    restart(&bench, &foundation()?)?;
    let mut delete = Duration::ZERO;
    for some in batches(files, false) {
        let started = Instant::now();
        for path in some {
            let delete = Delete {
                path,
                recursive: false,
                alluxio_only: false,
                delete_mount_points: false,
                expected: None,
            };
            bench.change(&delete.into(), 3)?;
        }
        delete += started.elapsed();
    }
    println!("delete          {:8.0} /s", files as f64 / delete.as_secs_f64());
    Ok(())
}

fn write(bench: &mut Bench, files: u64) -> Result<(), Box<dyn Error>> {
    for at in 0..files.div_ceil(FILES_PER_DIRECTORY) {
        let mkdir = CreateDirectory { recursive: true, ..CreateDirectory::new(directory(at)?) };
        bench.change(&mkdir.into(), 1)?;
    }
    let (mut create, mut complete) = (Duration::ZERO, Duration::ZERO);
    let mut now = 1_700_000_000_000u64;
    for some in batches(files, false) {
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
                replaces: None,
                id,
                length: 1 << 20,
                persistence: PersistenceState::Persisted,
                fingerprint: Fingerprint(format!("object;len=1048576;etag={hash:016x}{hash:016x}")),
                attributes: Default::default(),
            };
            bench.change(&done.into(), now)?;
        }
        complete += started.elapsed();
    }
    println!("create          {:8.0} /s (plan + apply)", files as f64 / create.as_secs_f64());
    println!("complete        {:8.0} /s", files as f64 / complete.as_secs_f64());
    Ok(())
}

fn read(bench: &Bench, files: u64) -> Result<(), Box<dyn Error>> {
    let context = bench.context(2);
    let (mut status, mut resolve) = (Duration::ZERO, Duration::ZERO);
    for some in batches(files, true) {
        let started = Instant::now();
        for path in &some {
            bench.namespace.status(path, &context)?;
        }
        status += started.elapsed();
        let started = Instant::now();
        for path in &some {
            bench.namespace.resolve(path, &context)?;
        }
        resolve += started.elapsed();
    }
    println!("status          {:8.0} /s, scattered", files as f64 / status.as_secs_f64());
    println!("resolve         {:8.0} /s, just looked at", files as f64 / resolve.as_secs_f64());
    let started = Instant::now();
    let mut listed = 0;
    for at in 0..files.div_ceil(FILES_PER_DIRECTORY).min(10) {
        listed +=
            bench.namespace.list(&directory(at)?, None, 10_000, &context)?.value.entries.len();
    }
    let ms = started.elapsed().as_secs_f64() * 1e3;
    println!("list            {ms:8.2} ms for {listed} entries");
    Ok(())
}

fn restart(bench: &Bench, foundation: &Foundation) -> Result<(), Box<dyn Error>> {
    let mut checkpoint = bench.namespace.begin_checkpoint()?;
    let mut restorer = Restorer::on(foundation);
    let (mut copy, mut push, mut longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut records = 0;
    loop {
        let started = Instant::now();
        let some = checkpoint.step(512);
        let step = started.elapsed();
        (copy, longest) = (copy + step, longest.max(step));
        if some.is_empty() {
            break;
        }
        let started = Instant::now();
        some.iter().for_each(|record| restorer.push(record));
        push += started.elapsed();
        records += some.len();
    }
    let started = Instant::now();
    let restored = restorer.finish(checkpoint.seq());
    push += started.elapsed();
    println!("checkpoint      {:8.0} ms, longest step {longest:?}", copy.as_millis());
    println!("restore         {:8.0} ms", push.as_millis());
    println!("restored tables {:8.1} bytes/inode", restored.memory_bytes() as f64 / records as f64);
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
