//! What programs do on the mount, in processes of their own, and how they tell what they saw.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "so programs tell what they saw")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a program is told: `kind seed mount stop-file`, one a line.
const VARIABLE: &str = "ALLUXIO_TEST_FUSE_PROGRAM";
/// The name of the test that runs a program.
const ENTRY: &str = "a_program_that_uses_the_mount";
/// What a program says when it has opened its file and taken its name away.
pub(crate) const BEGUN: &str = "program has begun";
/// What takes longer is a stall, and is told.
const STALL: Duration = Duration::from_millis(20);
/// Lengths of the files in `/data`: two of one block, two of several, with blocks of 1 MiB.
pub(crate) const FILES: [usize; 4] = [512 << 10, (700 << 10) + 123, (6 << 20) + 4321, 3 << 20];
/// Length of the files in `/doomed`: several blocks, so that they are read through the agent.
pub(crate) const DOOMED_BYTES: usize = (2 << 20) + 77;
/// Names in `/many`.
pub(crate) const NAMES: usize = 150;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads at random positions of files that stay open, and of files that are opened again.
    Read,
    /// The same through `mmap`.
    Map,
    /// Lists a directory, and looks at what is in it.
    List,
    /// Makes, renames, changes and removes files and directories: each change must happen once.
    Change,
    /// Reads a file that it has unlinked after it had opened it.
    Unlinked,
    /// Writes files, in pieces, over each other and anew, and reads them back.
    Write,
    /// Reads whole files, each opened anew.
    Whole,
    /// Reads everything once, and ends.
    Once,
}

/// An operation that took long: when it began, in ms since 1970, and how long.
pub(crate) type Stall = (u64, u64);

/// What a program has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) operations: u64,
    pub(crate) stalls: Vec<Stall>,
}

/// The bytes of a file, from an offset on: each word of eight tells its file and position.
pub(crate) fn content(file: usize, offset: usize, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 16);
    let mut word = offset as u64 / 8;
    while bytes.len() < length + offset % 8 {
        let mut mixed = (word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((file as u64) << 56);
        mixed ^= mixed >> 31;
        bytes.extend(mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes());
        word += 1;
    }
    bytes.drain(..offset % 8);
    bytes.truncate(length);
    bytes
}

pub(crate) fn name(number: usize) -> String {
    format!("name-{number:05}")
}

/// Starts a program.
pub(crate) fn start(kind: Kind, seed: u64, mount: &Path, stop: &Path, out: File) -> Child {
    let told = format!("{kind:?}\n{seed}\n{}\n{}", mount.display(), stop.display());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", ENTRY, "--nocapture"])
        .env(VARIABLE, told)
        .stdin(Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .spawn()
        .unwrap()
}

/// What a program that has ended well has said.
pub(crate) fn read(text: &str) -> Option<Seen> {
    let line = text.lines().find_map(|line| line.split_once("program: ")).map(|(_, line)| line)?;
    let mut words = line.split(' ');
    let operations = words.next()?.parse().ok()?;
    let stalls = words.filter_map(|word| {
        let (at, long) = word.split_once('+')?;
        Some((at.parse().ok()?, long.parse().ok()?))
    });
    Some(Seen { operations, stalls: stalls.collect() })
}

struct Program {
    mount: PathBuf,
    stop: PathBuf,
    state: u64,
    seen: Seen,
}

pub(crate) fn run_if_asked() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let told: Vec<&str> = told.lines().collect();
    let mut program = Program {
        mount: told[2].into(),
        stop: told[3].into(),
        state: told[1].parse::<u64>().unwrap().wrapping_mul(0x9e37_79b9) | 1,
        seen: Seen { operations: 0, stalls: Vec::new() },
    };
    let outcome = match told[0] {
        "Read" => program.read_files(),
        "Map" => program.map_files(),
        "List" => program.list(),
        "Change" => program.change(told[1]),
        "Unlinked" => program.unlinked(told[1]),
        "Write" => program.write(told[1]),
        "Whole" => program.read_whole(),
        "Once" => program.once(),
        other => panic!("{other}"),
    };
    if let Err(error) = outcome {
        panic!("a program saw {error} ({:?})", error.raw_os_error());
    }
    let stalls: String =
        program.seen.stalls.iter().map(|(at, long)| format!(" {at}+{long}")).collect();
    println!("program: {}{stalls}", program.seen.operations);
}

impl Program {
    fn random(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % below as u64) as usize
    }

    fn goes_on(&self) -> bool {
        !self.stop.exists()
    }

    /// Does one thing, and notes how long it took.
    fn timed<T>(&mut self, what: &str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let (at, begun) = (SystemTime::now(), Instant::now());
        let outcome = work();
        let long = begun.elapsed();
        self.seen.operations += 1;
        if long > STALL {
            let at = at.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
            self.seen.stalls.push((at, long.as_millis() as u64));
        }
        if let Err(error) = &outcome {
            eprintln!("{what} after {long:?}: {error}");
        }
        outcome
    }

    fn open(&mut self, number: usize) -> io::Result<File> {
        let path = self.mount.join(format!("data/f{number}"));
        self.timed(&format!("open {number}"), || File::open(path))
    }

    /// The kernel has nothing of the file any more, as far as it lets us say so.
    fn drop_pages(file: &File) {
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    }

    fn read_files(&mut self) -> io::Result<()> {
        let mut files = Vec::new();
        for number in 0..FILES.len() {
            files.push(self.open(number)?);
        }
        let mut buffer = vec![0; 64 << 10];
        while self.goes_on() {
            let number = self.random(FILES.len());
            if self.random(20) == 0 {
                files[number] = self.open(number)?;
            }
            let offset = self.random(FILES[number]);
            let length = buffer.len().min(FILES[number] - offset);
            let (file, part) = (&files[number], &mut buffer[..length]);
            Self::drop_pages(file);
            let what = format!("read {number} at {offset}");
            self.timed(&what, || file.read_exact_at(part, offset as u64))?;
            assert!(part == content(number, offset, length), "{what}: other bytes");
        }
        Ok(())
    }

    fn read_whole(&mut self) -> io::Result<()> {
        while self.goes_on() {
            let number = self.random(FILES.len());
            let mut file = self.open(number)?;
            Self::drop_pages(&file);
            let mut found = Vec::with_capacity(FILES[number]);
            self.timed(&format!("read all of {number}"), || file.read_to_end(&mut found))?;
            assert!(found == content(number, 0, FILES[number]), "{number}: other bytes");
        }
        Ok(())
    }

    fn map_files(&mut self) -> io::Result<()> {
        while self.goes_on() {
            let number = self.random(FILES.len());
            let file = self.open(number)?;
            Self::drop_pages(&file);
            let places: Vec<usize> = (0..16).map(|_| self.random(FILES[number] - 64)).collect();
            let map = map(&file)?;
            for place in places {
                let found = self.timed("touch a page", || Ok(map[place..place + 64].to_vec()))?;
                assert!(
                    found == content(number, place, 64),
                    "map {number} at {place}: other bytes"
                );
            }
        }
        Ok(())
    }

    fn list(&mut self) -> io::Result<()> {
        let wanted: BTreeSet<String> = (0..NAMES).map(name).collect();
        let many = self.mount.join("many");
        while self.goes_on() {
            let begun = self.timed("open a directory", || fs::read_dir(&many))?;
            let mut names = BTreeSet::new();
            for entry in begun {
                let entry = self.timed("read a directory", || entry)?;
                assert!(names.insert(entry.file_name().into_string().unwrap()), "a name twice");
            }
            assert_eq!(names, wanted);
            for _ in 0..20 {
                let path = many.join(name(self.random(NAMES)));
                let facts = self.timed("stat", || fs::metadata(path))?;
                assert!(facts.is_dir());
            }
            let error = fs::metadata(many.join("none")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        Ok(())
    }

    /// What must fail for a reason.
    fn refused<T>(
        &mut self,
        what: &str,
        wanted: io::ErrorKind,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<()> {
        match self.timed(what, || Ok(work()))? {
            Ok(_) => panic!("{what} must fail with {wanted:?}"),
            Err(error) if error.kind() == wanted => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn change(&mut self, seed: &str) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let own = self.mount.join(format!("changes-{seed}"));
        self.timed("mkdir", || fs::create_dir(&own))?;
        let at = |name: &str| own.join(name);
        let (d, e) = (at("d"), at("e"));
        let (f, g) = (d.join("f"), d.join("g"));
        while self.goes_on() {
            self.timed("mkdir d", || fs::create_dir(&d))?;
            self.refused("mkdir d again", io::ErrorKind::AlreadyExists, || fs::create_dir(&d))?;
            self.timed("mknod", || {
                let (kind, mode) = (rustix::fs::FileType::RegularFile, 0o644.into());
                Ok(rustix::fs::mknodat(rustix::fs::CWD, &f, kind, mode, 0)?)
            })?;
            let length = self.timed("stat f", || fs::metadata(&f))?.len();
            assert_eq!(length, 0);
            self.timed("rename f g", || fs::rename(&f, &g))?;
            self.refused("stat f", io::ErrorKind::NotFound, || fs::metadata(&f))?;
            let mode = fs::Permissions::from_mode(0o600);
            self.timed("chmod g", || fs::set_permissions(&g, mode))?;
            let found = self.timed("stat g", || fs::metadata(&g))?.permissions().mode();
            assert_eq!(found & 0o777, 0o600);
            self.refused("rmdir d", io::ErrorKind::DirectoryNotEmpty, || fs::remove_dir(&d))?;
            self.timed("unlink g", || fs::remove_file(&g))?;
            self.refused("unlink g again", io::ErrorKind::NotFound, || fs::remove_file(&g))?;
            self.timed("rename d e", || fs::rename(&d, &e))?;
            self.refused("rename d e again", io::ErrorKind::NotFound, || fs::rename(&d, &e))?;
            self.timed("rmdir e", || fs::remove_dir(&e))?;
        }
        self.timed("rmdir", || fs::remove_dir(&own))
    }

    fn unlinked(&mut self, seed: &str) -> io::Result<()> {
        let number: usize = seed.parse().unwrap();
        let path = self.mount.join(format!("doomed/{number}"));
        let file = self.timed("open", || File::open(&path))?;
        self.timed("unlink", || fs::remove_file(&path))?;
        println!("{BEGUN}");
        let mut buffer = vec![0; 64 << 10];
        while self.goes_on() {
            Self::drop_pages(&file);
            let offset = self.random(DOOMED_BYTES - buffer.len());
            self.timed("read", || file.read_exact_at(&mut buffer, offset as u64))?;
            assert!(buffer == content(number, offset, buffer.len()), "other bytes");
            self.refused("open again", io::ErrorKind::NotFound, || File::open(&path))?;
        }
        Ok(())
    }

    fn write(&mut self, seed: &str) -> io::Result<()> {
        let number: usize = seed.parse().unwrap();
        let own = self.mount.join(format!("writes-{seed}"));
        self.timed("mkdir", || fs::create_dir(&own))?;
        let (new, old) = (own.join("new"), own.join("old"));
        while self.goes_on() {
            let length = 1 + self.random(300_000);
            let wanted = content(number, 0, length);
            let file = self.timed("create", || {
                File::options().read(true).write(true).create_new(true).open(&new)
            })?;
            for (index, piece) in wanted.chunks(64 << 10).enumerate() {
                let offset = index as u64 * (64 << 10);
                self.timed("write", || file.write_all_at(piece, offset))?;
            }
            if self.random(2) == 0 {
                self.timed("fsync", || file.sync_all())?;
            }
            let mut found = vec![0; length];
            self.timed("read back", || file.read_exact_at(&mut found, 0))?;
            assert!(found == wanted, "other bytes while it is open");
            drop(file);
            self.timed("rename", || fs::rename(&new, &old))?;
            let found = self.timed("read", || fs::read(&old))?;
            assert!(found == wanted, "other bytes after it was closed");
        }
        self.timed("unlink", || match fs::remove_file(&old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })?;
        self.timed("rmdir", || fs::remove_dir(&own))
    }

    fn once(&mut self) -> io::Result<()> {
        for (number, length) in FILES.into_iter().enumerate() {
            let mut buffer = vec![0; length];
            let file = self.open(number)?;
            self.timed("read", || file.read_exact_at(&mut buffer, 0))?;
            assert!(buffer == content(number, 0, length), "{number}: other bytes");
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "a mapping of a file is only safe while nobody cuts the file")]
fn map(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: nobody changes the files of this test.
    unsafe { memmap2::Mmap::map(file) }
}
