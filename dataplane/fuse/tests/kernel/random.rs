//! Random operations on one file, compared with what a file in memory says (the idea of fsx).
//! `FUSE_RANDOM_OPERATIONS` and `FUSE_RANDOM_SEED` make it longer and another.

use crate::cluster::{Cluster, Wanted, start};
use crate::guard::bounded;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

/// Operations of a run that nobody asked to be longer.
const OPERATIONS: u64 = 1500;
/// Longest file, in bytes: several blocks.
const LENGTH_MAX: u64 = 9 << 20;

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
}

struct Checker<'a> {
    cluster: &'a Cluster,
    dice: Dice,
    /// What the file must hold.
    wanted: Vec<u8>,
    file: Option<File>,
    done: Vec<String>,
}

impl Checker<'_> {
    fn open(&mut self) -> &File {
        let path = self.cluster.at("f");
        self.file.get_or_insert_with(|| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .unwrap()
        })
    }

    fn step(&mut self) {
        let length = self.wanted.len() as u64;
        let at = self.dice.below(length + 10_000).min(LENGTH_MAX - 100_000);
        let most = if self.dice.below(4) == 0 { 100_000 } else { 500 };
        let count = 1 + self.dice.below(most);
        let kind = self.dice.below(20);
        self.done.push(format!("{kind} at {at} for {count}, length {length}"));
        match kind {
            0..=5 => {
                let dice = &mut self.dice;
                let bytes: Vec<u8> = (0..count).map(|_| dice.next() as u8).collect();
                self.open().write_all_at(&bytes, at).unwrap();
                let end = (at + count) as usize;
                self.wanted.resize(self.wanted.len().max(end), 0);
                self.wanted[at as usize..end].copy_from_slice(&bytes);
            }
            6..=12 => {
                let mut bytes = vec![0; count as usize];
                let got = self.open().read_at(&mut bytes, at).unwrap();
                let end = (at + count).min(length).max(at);
                let wanted = self.wanted.get(at as usize..end as usize).unwrap_or(&[]);
                self.compare(&bytes[..got], wanted);
            }
            13 => {
                let to = at.min(LENGTH_MAX / 2);
                self.open().set_len(to).unwrap();
                self.wanted.resize(to as usize, 0);
            }
            14 if length < LENGTH_MAX - 200_000 => {
                let bytes = vec![self.dice.next() as u8; count as usize];
                self.open();
                let mut file = OpenOptions::new().append(true).open(self.cluster.at("f")).unwrap();
                file.write_all(&bytes).unwrap();
                self.wanted.extend(bytes);
            }
            15 => self.open().sync_all().unwrap(),
            16..=18 => self.file = None,
            _ => {
                self.open().sync_all().unwrap();
                let seen = self.cluster.get("/f");
                self.compare(&seen, &self.wanted);
            }
        }
        let facts = self.open().metadata().unwrap();
        assert_eq!(facts.len(), self.wanted.len() as u64, "{:?}", self.done);
    }

    fn compare(&self, found: &[u8], wanted: &[u8]) {
        let differs = found.iter().zip(wanted).position(|(a, b)| a != b);
        assert!(
            differs.is_none() && found.len() == wanted.len(),
            "differs at {differs:?}, {} of {} bytes; {:?}",
            found.len(),
            wanted.len(),
            self.done
        );
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_operations_do_what_a_file_does() {
    bounded(|| {
        let seed = number("FUSE_RANDOM_SEED").unwrap_or(0x5eed);
        let operations = number("FUSE_RANDOM_OPERATIONS").unwrap_or(OPERATIONS);
        let Some(cluster) = start(Wanted::default()) else { return };
        let dice = Dice(seed | 1);
        let mut checker =
            Checker { cluster: &cluster, dice, wanted: Vec::new(), file: None, done: Vec::new() };
        for _ in 0..operations {
            checker.step();
        }
        drop(checker.file.take());
        let seen = cluster.get("/f");
        checker.compare(&seen, &checker.wanted);
    });
}
