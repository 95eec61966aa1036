//! Random steps with kills between and inside of them, compared with what files in memory say.
//! `FUSE_DRAFTS_STEPS` and `FUSE_DRAFTS_SEED` make it longer and another.

use crate::kernel::{Answer, Open, World, created, word};
use alluxio_fuse::options::Commit;
use std::collections::BTreeMap;
use std::time::Duration;

/// Steps of a run that nobody asked to be longer.
const STEPS: u64 = 300;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

/// What a file must hold.
#[derive(Default)]
struct Wanted {
    bytes: Vec<u8>,
    /// What others must see, once there is such a thing.
    committed: Option<Vec<u8>>,
    open: Option<Open>,
    node: u64,
}

struct Model {
    world: World,
    commit: Commit,
    dice: Dice,
    files: BTreeMap<&'static str, Wanted>,
    done: Vec<String>,
}

impl Model {
    /// The answer to a request; perhaps some processes die on the way there.
    fn answer(&mut self, unique: u64) -> Answer {
        while self.dice.below(6) == 0 {
            std::thread::sleep(Duration::from_micros(self.dice.below(3000)));
            self.done.push("killed".into());
            self.world.restart();
        }
        self.world.answer(unique)
    }

    fn step(&mut self) {
        let name = NAMES[self.dice.below(4) as usize];
        let kind = self.dice.below(12);
        self.done.push(format!("{kind} {name}"));
        let Some(file) = self.files.get(name) else { return self.create(name) };
        let (open, node, length) = (file.open, file.node, file.bytes.len() as u64);
        match (kind, open) {
            (0..=3, Some(open)) => self.write(name, open, length),
            (4, _) => {
                let to = self.dice.below(length + 1000);
                self.on_node(name, |world, node| world.ask_set_length(node, to));
                let file = self.files.get_mut(name).unwrap();
                file.bytes.resize(to as usize, 0);
                if open.is_none() {
                    file.committed = Some(file.bytes.clone());
                }
            }
            (5, Some(open)) => {
                let unique = self.world.ask_fsync(open);
                self.answer(unique).unwrap();
                self.is_committed(name);
            }
            (6 | 7, Some(open)) => {
                let unique = self.world.ask_flush(open);
                self.answer(unique).unwrap();
                if self.commit == Commit::Close {
                    self.is_committed(name);
                }
                let unique = self.world.ask_release(open);
                self.answer(unique).unwrap();
                self.files.get_mut(name).unwrap().open = None;
            }
            (8, None) => {
                self.world.unlink(name);
                self.world.forget(node);
                self.files.remove(name);
            }
            (9, None) => self.rename(name),
            (_, Some(open)) => {
                let at = self.dice.below(length + 10);
                let found = self.world.read(open, at, 50_000);
                let end = length.min(at + 50_000) as usize;
                let wanted = self.files[name].bytes.get(at as usize..end).unwrap_or(&[]);
                assert!(found == wanted, "{name} at {at}: {:?}", self.done);
            }
            (_, None) => {
                let opened = self.on_node(name, |world, node| world.ask_open(node, libc::O_RDWR));
                let file = self.files.get_mut(name).unwrap();
                file.open = Some(Open { node: file.node, handle: word(&opened, 0) });
            }
        }
        let Some(file) = self.files.get_mut(name) else { return };
        let found = self.world.lookup(name);
        if file.open.is_some() {
            assert_eq!(found, Ok(file.node), "{name}: {:?}", self.done);
        }
        let before = std::mem::replace(&mut file.node, found.unwrap());
        if before != file.node {
            self.world.forget(before);
        }
        let file = &self.files[name];
        assert_eq!(self.world.length(file.node), file.bytes.len() as u64, "{:?}", self.done);
    }

    /// Asks for something that is found by its name when its number is stale, as the kernel does.
    fn on_node(&mut self, name: &str, ask: impl Fn(&mut World, u64) -> u64) -> Vec<u8> {
        loop {
            let unique = ask(&mut self.world, self.files[name].node);
            match self.answer(unique) {
                Err(libc::ESTALE) => {
                    let found = self.world.lookup(name).unwrap();
                    let file = self.files.get_mut(name).unwrap();
                    assert_ne!(file.node, found, "{:?}", self.done);
                    let before = std::mem::replace(&mut file.node, found);
                    self.world.forget(before);
                }
                other => return other.unwrap(),
            }
        }
    }

    fn create(&mut self, name: &'static str) {
        assert_eq!(self.world.lookup(name), Err(libc::ENOENT), "{name}: {:?}", self.done);
        let unique = self.world.ask_create(name);
        let open = created(&self.answer(unique).unwrap());
        let file = Wanted { open: Some(open), node: open.node, ..Wanted::default() };
        self.files.insert(name, file);
    }

    fn write(&mut self, name: &str, open: Open, length: u64) {
        let at = self.dice.below(length + 2000).min(400_000);
        let count = 1 + self.dice.below(60_000);
        let bytes: Vec<u8> = (0..count).map(|_| self.dice.below(256) as u8).collect();
        let unique = self.world.ask_write(open, at, &bytes);
        self.answer(unique).unwrap();
        let file = self.files.get_mut(name).unwrap();
        let end = (at + count) as usize;
        file.bytes.resize(file.bytes.len().max(end), 0);
        file.bytes[at as usize..end].copy_from_slice(&bytes);
    }

    fn rename(&mut self, name: &'static str) {
        let to = NAMES[self.dice.below(4) as usize];
        if to == name || self.files.get(to).is_some_and(|file| file.open.is_some()) {
            return;
        }
        self.world.rename(name, to);
        let file = self.files.remove(name).unwrap();
        if let Some(gone) = self.files.insert(to, file) {
            self.world.forget(gone.node);
        }
    }

    /// What was written is what others read.
    fn is_committed(&mut self, name: &str) {
        let file = self.files.get_mut(name).unwrap();
        file.committed = Some(file.bytes.clone());
        self.check(name);
    }

    fn check(&self, name: &str) {
        if let Some(wanted) = &self.files[name].committed {
            let found = self.world.get(name).unwrap_or_default();
            assert!(&found == wanted, "{name}, {} bytes: {:?}", found.len(), self.done);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn random_steps(commit: Commit) {
    let seed = number("FUSE_DRAFTS_SEED").unwrap_or(0x5eed);
    let world = World::new(commit, &[]);
    let mut model =
        Model { world, commit, dice: Dice(seed | 1), files: BTreeMap::new(), done: Vec::new() };
    for _ in 0..number("FUSE_DRAFTS_STEPS").unwrap_or(STEPS) {
        model.step();
    }
    for name in NAMES {
        if let Some(open) = model.files.get(name).and_then(|file| file.open) {
            model.world.close(open);
        }
        // What was closed is there within a second, or two after a kill.
        if let Some(wanted) = model.files.get(name).map(|file| file.bytes.clone()) {
            model.world.until("a file is not committed", |world| {
                world.get(name).is_some_and(|found| found == wanted)
            });
        }
    }
    let aside = std::fs::read_dir(model.world.staging()).unwrap();
    let aside = aside.map(|name| name.unwrap().file_name().into_string().unwrap());
    assert_eq!(aside.filter(|name| name.starts_with("kept")).count(), 0, "{:?}", model.done);
    // Nothing stays beside them.
    let count = model.files.len();
    let done = model.done.join(" ");
    model.world.until(&format!("hidden files stay: {done}"), |world| world.names().len() == count);
}

#[test]
fn random_steps_do_what_files_do_however_often_the_process_is_killed() {
    random_steps(Commit::Close);
}

#[test]
fn they_do_so_too_when_nobody_waits_for_commits() {
    random_steps(Commit::Background);
}
