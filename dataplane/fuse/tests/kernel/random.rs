//! Random operations on a few files, compared with what files in memory say (the idea of fsx). They are done by a
//! process of their own: one that maps files of a mount that it serves itself can wait for itself for ever.
//!
//! `FUSE_RANDOM_OPERATIONS` and `FUSE_RANDOM_SEED` make it longer and another.
#![expect(
    clippy::print_stdout,
    reason = "the checker speaks to its test, and says how fast it was"
)]

use crate::cluster::{Cluster, Wanted, start_with};
use crate::guard::bounded_for;
use crate::sys::map;
use rustix::fs::{FallocateFlags, fallocate};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Operations of a run that nobody asked to be longer.
const OPERATIONS: u64 = 40_000;
/// Longest file, in bytes: several blocks.
const LENGTH_MAX: u64 = 150_000;
/// Names that files may have.
const NAMES: u64 = 3;
/// Operations that are told of when something differs.
const REMEMBERED: usize = 60;

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        // Runs of one byte are as good as others for telling where they belong, and cost little.
        let mut bytes = vec![0; count as usize];
        for run in bytes.chunks_mut(64) {
            run.fill(self.next() as u8);
        }
        bytes
    }
}

/// A file that is there.
#[derive(Default)]
struct Model {
    /// What it must hold.
    bytes: Vec<u8>,
    open: Option<Rc<File>>,
}

impl Model {
    fn resize(&mut self, to: u64) {
        self.bytes.resize(to as usize, 0);
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        let (at, end) = (at as usize, at as usize + bytes.len());
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[at..end].copy_from_slice(bytes);
    }

    fn part(&self, at: u64, count: u64) -> &[u8] {
        let length = self.bytes.len() as u64;
        &self.bytes[at.min(length) as usize..(at + count).min(length) as usize]
    }
}

struct Checker {
    root: PathBuf,
    dice: Dice,
    files: [Model; NAMES as usize],
    done: VecDeque<String>,
}

impl Checker {
    fn path(&self, which: usize) -> PathBuf {
        self.root.join(format!("f{which}"))
    }

    /// Opens the file if need be; there always is one with that name.
    fn open(&mut self, which: usize) -> Rc<File> {
        let path = self.path(which);
        let open = || {
            let options =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            Rc::new(options.unwrap())
        };
        self.files[which].open.get_or_insert_with(open).clone()
    }

    fn step(&mut self) {
        let which = self.dice.below(NAMES) as usize;
        let length = self.files[which].bytes.len() as u64;
        let most = if self.dice.below(8) == 0 { 70_000 } else { 600 };
        let count = 1 + self.dice.below(most);
        let at = self.dice.below(length + 5000).min(LENGTH_MAX - count);
        let kind = self.dice.below(1000);
        if self.done.len() == REMEMBERED {
            self.done.pop_front();
        }
        self.done.push_back(format!("{kind}: f{which} at {at} for {count}, length {length}"));
        match kind {
            0..=299 => self.write(which, at, count),
            300..=649 => {
                let mut bytes = vec![0; count as usize];
                let got = self.open(which).read_at(&mut bytes, at).unwrap();
                self.same(&bytes[..got], self.files[which].part(at, count));
            }
            650..=729 => self.read_mapped(which, at, count),
            730..=789 => self.write_mapped(which, at, count),
            790..=848 => self.write(which, length.min(LENGTH_MAX - count), count),
            849 => self.append(which, count),
            850..=889 => {
                let to = at.min(LENGTH_MAX / 2);
                self.open(which).set_len(to).unwrap();
                self.files[which].resize(to);
            }
            890..=929 => self.punch(which, at, count),
            930..=949 => {
                let file = self.open(which);
                fallocate(&file, FallocateFlags::empty(), at, count).unwrap();
                self.files[which].resize(length.max(at + count));
            }
            // Each of these makes a version of a file, and takes as long as hundreds of the others.
            950 => self.open(which).sync_all().unwrap(),
            951..=952 => self.files[which].open = None,
            953 if self.dice.below(2) == 0 => self.rename(which),
            954 if self.dice.below(2) == 0 => self.remove(which),
            955 if self.dice.below(4) == 0 => self.look_elsewhere(which),
            _ => {}
        }
        let facts = self.open(which).metadata().unwrap();
        assert_eq!(facts.len(), self.files[which].bytes.len() as u64, "{:#?}", self.done);
    }

    fn write(&mut self, which: usize, at: u64, count: u64) {
        let bytes = self.dice.bytes(count);
        self.open(which).write_all_at(&bytes, at).unwrap();
        self.files[which].put(at, &bytes);
    }

    fn append(&mut self, which: usize, count: u64) {
        if self.files[which].bytes.len() as u64 + count > LENGTH_MAX {
            return;
        }
        let bytes = self.dice.bytes(count);
        self.open(which);
        let mut file = OpenOptions::new().append(true).open(self.path(which)).unwrap();
        file.write_all(&bytes).unwrap();
        self.files[which].bytes.extend(bytes);
    }

    fn read_mapped(&mut self, which: usize, at: u64, count: u64) {
        let file = self.open(which);
        let length = self.files[which].bytes.len();
        if length > 0 {
            let mapped = map(&file, length).unwrap();
            let (at, end) = ((at as usize).min(length), ((at + count) as usize).min(length));
            self.same(&mapped[at..end], self.files[which].part(at as u64, (end - at) as u64));
        }
    }

    fn write_mapped(&mut self, which: usize, at: u64, count: u64) {
        let file = self.open(which);
        let length = self.files[which].bytes.len();
        let (at, end) = ((at as usize).min(length), ((at + count) as usize).min(length));
        if at == end {
            return;
        }
        let bytes = self.dice.bytes((end - at) as u64);
        let mut mapped = map(&file, length).unwrap();
        mapped[at..end].copy_from_slice(&bytes);
        if self.dice.below(50) == 0 {
            mapped.flush().unwrap();
        }
        drop(mapped);
        self.files[which].put(at as u64, &bytes);
    }

    fn punch(&mut self, which: usize, at: u64, count: u64) {
        let file = self.open(which);
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&file, flags, at, count).unwrap();
        let zeros = vec![0; self.files[which].part(at, count).len()];
        self.files[which].put(at.min(self.files[which].bytes.len() as u64), &zeros);
    }

    /// Onto another name, whose file goes; a new one is made in the old place.
    fn rename(&mut self, which: usize) {
        let to = self.dice.below(NAMES) as usize;
        for name in [which, to] {
            self.open(name);
        }
        fs::rename(self.path(which), self.path(to)).unwrap();
        if to != which {
            self.files[to] = std::mem::take(&mut self.files[which]);
        }
    }

    /// The file goes on without its name until it is closed.
    fn remove(&mut self, which: usize) {
        let file = self.open(which);
        fs::remove_file(self.path(which)).unwrap();
        file.write_all_at(b"nobody finds it", 0).unwrap();
        let mut bytes = [0; 15];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"nobody finds it", "{:#?}", self.done);
        self.files[which] = Model::default();
    }

    /// Asks the process of the test what another client sees.
    fn look_elsewhere(&mut self, which: usize) {
        self.open(which).sync_all().unwrap();
        println!("{LOOK}{which}");
        let mut seen = String::new();
        std::io::stdin().read_line(&mut seen).unwrap();
        assert_eq!(seen.trim(), digest(&self.files[which].bytes), "{:#?}", self.done);
    }

    fn same(&self, found: &[u8], wanted: &[u8]) {
        if found == wanted {
            return;
        }
        let differs = found.iter().zip(wanted).position(|(a, b)| a != b);
        panic!(
            "differs at {differs:?}, {} of {} bytes; {:#?}",
            found.len(),
            wanted.len(),
            self.done
        );
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Where the checker finds the mount; set for its process only.
const ROOT: &str = "FUSE_RANDOM_ROOT";
/// What it says when it wants to know what another client sees of a file.
const LOOK: &str = "look at f";

/// Length and hash (FNV-1a).
fn digest(bytes: &[u8]) -> String {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    format!("{} {:x}", bytes.len(), bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix))
}

fn operations() -> u64 {
    number("FUSE_RANDOM_OPERATIONS").unwrap_or(OPERATIONS)
}

/// The process that is started by the test below; nothing to do for others.
#[test]
fn the_process_of_the_checker() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let seed = number("FUSE_RANDOM_SEED").unwrap_or(0x5eed);
    let files = std::array::from_fn(|_| Model::default());
    let dice = Dice(seed | 1);
    let mut checker = Checker { root: root.into(), dice, files, done: VecDeque::new() };
    let begun = Instant::now();
    for _ in 0..operations() {
        checker.step();
    }
    for which in 0..NAMES as usize {
        checker.look_elsewhere(which);
    }
    let rate = operations() as f64 / begun.elapsed().as_secs_f64();
    println!("{} operations, {rate:.0}/s, seed {seed}", operations());
}

/// Answers the checker until it ends.
fn serve(cluster: &Cluster, checker: &mut Child) {
    let mut answers = checker.stdin.take().unwrap();
    for line in BufReader::new(checker.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.strip_prefix(LOOK) {
            Some(which) => {
                let seen = digest(&cluster.get(&format!("/f{which}")));
                writeln!(answers, "{seen}").unwrap();
            }
            None => println!("{line}"),
        }
    }
}

#[test]
fn random_operations_do_what_files_do() {
    bounded_for(Duration::from_secs(100 + operations() / 400), || {
        let properties = [("alluxio.user.block.size.bytes.default", "64KB")];
        let Some(cluster) = start_with(Wanted::default(), &properties) else { return };
        let mut checker = Command::new(std::env::current_exe().unwrap())
            .args(["random::the_process_of_the_checker", "--exact", "--nocapture"])
            .env(ROOT, cluster.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        serve(&cluster, &mut checker);
        let served = if cluster.is_over() { "was given up" } else { "is still served" };
        let status = checker.wait().unwrap();
        assert!(status.success(), "{status}, see what the checker has said; the mount {served}");
    });
}
