//! `kill -9` of the master, over and over, while clients create, rename and delete: every change
//! that was acknowledged is there afterwards, and none is half done. One of the clients writes through:
//! what it has in the under store is what it has here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_client::ClientError;
use alluxio_client::blocking::FileSystem;
use alluxio_client::options::{
    CreateDirectoryOptions, CreateFileOptions, DeleteOptions, GetStatusOptions, ListStatusOptions,
};
use alluxio_host::{Entropy, SeededEntropy};
use alluxio_testkit::{ProcessCluster, is_outage};
use alluxio_types::{AlluxioPath, Code, Coded, FileStatus, WriteType};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Unless the variable below says otherwise, as `cargo xtask soak` does.
const KILLS: u64 = 50;
const KILLS_VARIABLE: &str = "ALLUXIO_TEST_KILLS";
/// Longest time from a kill to the next served change, on a loaded machine.
const SERVED_WITHIN: Duration = Duration::from_secs(60);
/// The last one writes through.
const CLIENTS: u64 = 4;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Directory,
    /// Complete.
    File,
    /// Created, and not complete.
    OpenFile,
}

fn thing(status: &FileStatus) -> Thing {
    match (status.is_directory(), status.completed) {
        (true, _) => Thing::Directory,
        (false, true) => Thing::File,
        (false, false) => Thing::OpenFile,
    }
}

/// One client with a directory of its own, and what must be in it.
struct Load {
    fs: FileSystem,
    base: String,
    write_type: WriteType,
    entropy: SeededEntropy,
    /// Below `base`, by name: everything acknowledged, nothing else.
    model: BTreeMap<String, Thing>,
    next: u64,
    acknowledged: Sender<()>,
    unknown: u64,
}

impl Load {
    fn path(&self, name: &str) -> AlluxioPath {
        AlluxioPath::parse(&format!("{}/{name}", self.base)).unwrap()
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("n{}", self.next)
    }

    /// What is at a path now; asks until a master answers.
    fn look(&self, name: &str) -> Option<Thing> {
        let options = GetStatusOptions { without_blocks: true, ..Default::default() };
        let start = Instant::now();
        while start.elapsed() < SERVED_WITHIN {
            match self.fs.get_status(&self.path(name), &options) {
                Ok(status) => return Some(thing(&status)),
                Err(error) if error.code() == Code::NotFound => return None,
                Err(error) => assert!(is_outage(&error), "{name}: {error}"),
            }
        }
        panic!("{name}: no master answers");
    }

    fn any(&self, wanted: impl Fn(&str, Thing) -> bool) -> Option<String> {
        let names: Vec<&String> = self
            .model
            .iter()
            .filter(|(name, thing)| wanted(name, **thing))
            .map(|(name, _)| name)
            .collect();
        let index = self.entropy.below(names.len() as u64) as usize;
        names.get(index).map(|name| (*name).clone())
    }

    /// One change. When its outcome is unknown, what is there decides, and it must be all or nothing.
    fn step(&mut self) {
        match self.entropy.below(6) {
            0 => self.create_tree(),
            1 | 2 => self.create_file(),
            3 => self.rename(),
            _ => self.delete(),
        }
    }

    /// A directory in a directory in a directory: one call, one change.
    fn create_tree(&mut self) {
        let top = self.fresh();
        let names = [top.clone(), format!("{top}/a"), format!("{top}/a/b")];
        let options = CreateDirectoryOptions { recursive: true, ..Default::default() };
        let outcome = self.fs.create_directory(&self.path(&names[2]), &options);
        let there = self.settle(outcome.map(|_| ()), &|load| {
            let found = names.each_ref().map(|name| load.look(name));
            assert!(found == [None; 3] || found == [Some(Thing::Directory); 3], "{found:?}");
            found[0].is_some()
        });
        if there {
            self.model.extend(names.map(|name| (name, Thing::Directory)));
        }
    }

    /// Two changes: the file, and its end. Between them it is open, and that may survive.
    fn create_file(&mut self) {
        let parent = self.any(|_, thing| thing == Thing::Directory);
        let fresh = self.fresh();
        let name = parent.map_or(fresh.clone(), |parent| format!("{parent}/{fresh}"));
        let path = self.path(&name);
        let options = CreateFileOptions { write_type: Some(self.write_type), ..Default::default() };
        let outcome = self.fs.create_file(&path, &options);
        match outcome.and_then(|writer| writer.close()) {
            Ok(status) => {
                assert_eq!(thing(&status), Thing::File);
                self.told();
                self.model.insert(name, Thing::File);
            }
            Err(error) => {
                assert!(is_outage(&error), "{name}: {error}");
                self.unknown += 1;
                if let Some(found) = self.look(&name) {
                    assert_ne!(found, Thing::Directory);
                    self.model.insert(name, found);
                }
            }
        }
    }

    /// A whole subtree moves at once.
    fn rename(&mut self) {
        let Some(from) = self.any(|name, _| !name.contains('/')) else { return };
        let to = self.fresh();
        let outcome = self.fs.rename(&self.path(&from), &self.path(&to));
        let kind = self.model[&from];
        let moved = self.settle(outcome, &|load| {
            let found = (load.look(&from), load.look(&to));
            assert!(found == (Some(kind), None) || found == (None, Some(kind)), "{found:?}");
            found.1.is_some()
        });
        if moved {
            let below = format!("{from}/");
            let old: Vec<String> = self.model.keys().cloned().collect();
            for name in old.into_iter().filter(|name| *name == from || name.starts_with(&below)) {
                let thing = self.model.remove(&name).unwrap();
                self.model.insert(format!("{to}{}", &name[from.len()..]), thing);
            }
        }
    }

    /// A whole subtree goes at once.
    fn delete(&mut self) {
        // Small trees stay small, and the namespace too.
        if self.model.len() < 8 {
            return;
        }
        let Some(name) = self.any(|name, _| !name.contains('/')) else { return };
        let below = format!("{name}/");
        let gone: Vec<String> = self
            .model
            .keys()
            .filter(|other| **other == name || other.starts_with(&below))
            .cloned()
            .collect();
        let options = DeleteOptions { recursive: true, ..Default::default() };
        let outcome = self.fs.delete(&self.path(&name), &options);
        let deleted = self.settle(outcome.map(|_| ()), &|load| {
            let left = gone.iter().filter(|name| load.look(name).is_some()).count();
            assert!(left == 0 || left == gone.len(), "{left} of {} are left", gone.len());
            left == 0
        });
        if deleted {
            self.model.retain(|other, _| !gone.contains(other));
        }
    }

    /// Whether a change happened: because it was acknowledged, or because `found` says so.
    fn settle(&mut self, outcome: Result<(), ClientError>, found: &dyn Fn(&Load) -> bool) -> bool {
        match outcome {
            Ok(()) => {
                self.told();
                true
            }
            Err(error) => {
                assert!(is_outage(&error), "{}: {error}", self.base);
                self.unknown += 1;
                found(self)
            }
        }
    }

    fn told(&self) {
        // Nobody listens after the last kill.
        let _ = self.acknowledged.send(());
    }

    /// Everything below `base` is what the model says.
    fn verify(&self) {
        let base = AlluxioPath::parse(&self.base).unwrap();
        let options = ListStatusOptions { recursive: true, ..Default::default() };
        let listed = self.fs.list_status(&base, &options).unwrap();
        let found: BTreeMap<String, Thing> = listed
            .iter()
            .map(|status| (status.path[self.base.len() + 1..].to_owned(), thing(status)))
            .collect();
        assert_eq!(found, self.model, "{}", self.base);
    }

    /// Below `ufs` are the complete files of the model, and no others.
    fn verify_ufs(&self, ufs: &Path) {
        let mut found = BTreeSet::new();
        let mut open = vec![ufs.join(&self.base[1..])];
        while let Some(directory) = open.pop() {
            // A directory without files may be in Alluxio alone.
            for item in std::fs::read_dir(&directory).into_iter().flatten() {
                let path = item.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(ufs.join(&self.base[1..])).unwrap();
                    found.insert(name.to_str().unwrap().to_owned());
                }
            }
        }
        let of = |wanted| {
            let these = self.model.iter().filter(move |(_, thing)| **thing == wanted);
            these.map(|(name, _)| name.clone()).collect::<BTreeSet<String>>()
        };
        let (complete, open) = (of(Thing::File), of(Thing::OpenFile));
        let lacking: Vec<_> = complete.difference(&found).collect();
        assert!(lacking.is_empty(), "{lacking:?} are not in the under store of {}", self.base);
        // The end of a write that nobody acknowledged may be in the store alone.
        let surplus: Vec<_> =
            found.difference(&complete).filter(|name| !open.contains(*name)).collect();
        assert!(surplus.is_empty(), "{surplus:?} are left in the under store of {}", self.base);
    }
}

fn client(cluster: &ProcessCluster) -> FileSystem {
    let config = cluster.config().unwrap().client().unwrap();
    FileSystem::connect(config, alluxio_host::Host::real()).unwrap()
}

fn wait_for(acknowledged: &Receiver<()>, count: u64) {
    for _ in 0..count {
        acknowledged.recv_timeout(SERVED_WITHIN).expect("changes go on after a kill");
    }
}

/// Ends the clients also when the test fails, which waits for them.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn kill_over_and_over(cluster: &mut ProcessCluster, kills: u64, acknowledged: &Receiver<()>) {
    let entropy = SeededEntropy::new(2026);
    for kill in 0..kills {
        // The next kill comes after so many acknowledged changes: any moment of a change's life.
        wait_for(acknowledged, 5 + entropy.below(60));
        // Every other kill hits a checkpoint on its way.
        let mut checkpoint = cluster.command(&["fsadmin", "journal", "checkpoint"]);
        let checkpoint = (kill % 2 == 0).then(|| checkpoint.spawn().unwrap());
        wait_for(acknowledged, entropy.below(30));
        cluster.kill_master().unwrap();
        while acknowledged.try_recv().is_ok() {}
        cluster.start_master().unwrap();
        if let Some(mut checkpoint) = checkpoint {
            // Its outcome is as unknown as that of any call in those moments.
            checkpoint.wait().unwrap();
        }
    }
}

/// So many names that their listing does not fit into what a connection holds in advance.
const NAMES: usize = 40_000;

#[test]
fn a_listing_goes_on_behind_its_last_name_when_the_master_is_killed() {
    let mut cluster = ProcessCluster::start(Path::new(env!("CARGO_BIN_EXE_alluxio")), &[]).unwrap();
    let folder = cluster.root_ufs().join("many");
    std::fs::create_dir(&folder).unwrap();
    let name = |number: usize| format!("a-name-that-makes-the-listing-long-{number:06}");
    for number in 0..NAMES {
        std::fs::File::create(folder.join(name(number))).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let inside = runtime.enter();
    let fs = cluster.client().unwrap();
    drop(inside);
    let path = AlluxioPath::parse("/many").unwrap();
    let options = ListStatusOptions { without_blocks: true, ..Default::default() };
    let mut listing = runtime.block_on(fs.iterate_status(&path, &options)).unwrap();
    let mut names = vec![runtime.block_on(listing.next()).unwrap().unwrap().name];
    cluster.kill_master().unwrap();
    cluster.start_master().unwrap();
    while let Some(status) = runtime.block_on(listing.next()).unwrap() {
        names.push(status.name);
    }
    assert!(names == (0..NAMES).map(name).collect::<Vec<_>>(), "{} names", names.len());
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_done() {
    let binary = Path::new(env!("CARGO_BIN_EXE_alluxio"));
    // Small segments: kills hit their rotation and truncation too.
    let properties = [
        ("alluxio.master.journal.log.size.bytes.max", "64KB"),
        ("alluxio.master.worker.connect.wait.time", "0"),
    ];
    let mut cluster = ProcessCluster::start(binary, &properties).unwrap();
    cluster.start_worker(1).unwrap();
    let (sender, acknowledged) = channel();
    let stop = AtomicBool::new(false);
    let kills = std::env::var(KILLS_VARIABLE).map_or(KILLS, |text| text.parse().unwrap());
    let loads: Vec<Load> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let mut load = Load {
                    fs: client(&cluster),
                    base: format!("/client-{number}"),
                    write_type: match number + 1 {
                        CLIENTS => WriteType::CacheThrough,
                        _ => WriteType::MustCache,
                    },
                    entropy: SeededEntropy::new(number),
                    model: BTreeMap::new(),
                    next: 0,
                    acknowledged: sender.clone(),
                    unknown: 0,
                };
                let base = AlluxioPath::parse(&load.base).unwrap();
                load.fs.create_directory(&base, &CreateDirectoryOptions::default()).unwrap();
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        load.step();
                    }
                    load
                })
            })
            .collect();
        drop(sender);
        let stopping = StopAtEnd(&stop);
        kill_over_and_over(&mut cluster, kills, &acknowledged);
        drop(stopping);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    loads.iter().for_each(Load::verify);
    // Once more from the disk alone, after an orderly stop.
    cluster.stop_master().unwrap();
    cluster.start_master().unwrap();
    loads.iter().for_each(Load::verify);
    loads[CLIENTS as usize - 1].verify_ufs(&cluster.root_ufs());
    let journal = std::fs::read_dir(cluster.dir().join("journal")).unwrap();
    let names = journal.map(|item| item.unwrap().file_name().into_string().unwrap());
    let checkpoints = names.filter(|name| name.starts_with("checkpoint-")).count();
    assert_eq!(checkpoints, 2, "the newest two are kept, and there were more");
    let changes: u64 = loads.iter().map(|load| load.next).sum();
    let unknown: u64 = loads.iter().map(|load| load.unknown).sum();
    println!("{kills} kills, {changes} new names, {unknown} changes whose reply was lost");
}
