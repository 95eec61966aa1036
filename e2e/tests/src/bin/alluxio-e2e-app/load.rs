//! Work on a volume for a while: four threads that read, open, write and list, and compare what they get with what
//! must be there. All that takes a second or fails is told at once, with the time.

use crate::say;
use alluxio_e2e_tests::app::Seen;
use alluxio_e2e_tests::pattern;
use anyhow::{Context, Result, bail};
use rustix::fs::{Advice, fadvise};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What takes so long is told.
const STALL: Duration = Duration::from_secs(1);
/// So many errors are kept for the last line.
const ERRORS_KEPT: usize = 10;
/// Pause after an error: a volume that is gone must not fill the log.
const ERROR_PAUSE: Duration = Duration::from_millis(200);
/// Bytes of one read at a random place.
const PIECE: u64 = 64 << 10;
/// Files that the writer has at one time.
const WRITTEN: u64 = 8;

#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// The folder; it has files with known bytes
    folder: PathBuf,
    /// For how long
    #[arg(long)]
    seconds: u64,
    /// End as soon as this path is there
    #[arg(long)]
    stop: Option<PathBuf>,
    /// Write into this folder; nothing is written without
    #[arg(long)]
    write: Option<PathBuf>,
    /// Pause between two operations of a thread, in milliseconds
    #[arg(long, default_value_t = 5)]
    pause_ms: u64,
}

/// A file with known bytes.
struct Known {
    path: PathBuf,
    number: u64,
    bytes: u64,
}

impl Load {
    /// Whether nothing went wrong.
    pub(crate) fn run(&self) -> Result<bool> {
        let files = self.known_files()?;
        if files.is_empty() {
            bail!("{}: there are no files with known bytes", self.folder.display());
        }
        let seen = Mutex::new(Seen::default());
        let until = Instant::now() + Duration::from_secs(self.seconds);
        let thread = |kind| Thread { load: self, until, kind, seen: &seen, drawn: 1 };
        let (read, open, list, write) =
            (thread("read"), thread("open"), thread("list"), thread("write"));
        std::thread::scope(|scope| {
            scope.spawn(|| read.read(&files));
            scope.spawn(|| open.open(&files));
            scope.spawn(|| list.list(&files));
            if let Some(folder) = &self.write {
                scope.spawn(|| write.write(folder));
            }
        });
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        say(&serde_json::to_string(&seen)?);
        Ok(seen.errors == 0)
    }

    fn known_files(&self) -> Result<Vec<Known>> {
        let mut files = Vec::new();
        let place = || self.folder.display().to_string();
        for item in fs::read_dir(&self.folder).with_context(place)? {
            let item = item.with_context(place)?;
            let Some(number) = item.file_name().to_str().and_then(pattern::number) else {
                continue;
            };
            let bytes = item.metadata().with_context(place)?.len();
            files.push(Known { path: item.path(), number, bytes });
        }
        files.sort_by_key(|file| file.number);
        Ok(files)
    }
}

struct Thread<'a> {
    load: &'a Load,
    until: Instant,
    kind: &'static str,
    seen: &'a Mutex<Seen>,
    /// State of the draws.
    drawn: u64,
}

impl Thread<'_> {
    fn goes_on(&self) -> bool {
        std::thread::sleep(Duration::from_millis(self.load.pause_ms));
        let stopped = self.load.stop.as_ref().is_some_and(|stop| stop.exists());
        !stopped && Instant::now() < self.until
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.drawn ^= self.drawn << 13;
        self.drawn ^= self.drawn >> 7;
        self.drawn ^= self.drawn << 17;
        self.drawn % below.max(1)
    }

    /// Does one thing and notes what came of it.
    fn one(&self, what: &Path, work: impl FnOnce() -> io::Result<()>) {
        let (began, at_ms) = (Instant::now(), now_ms());
        let outcome = work();
        let long = began.elapsed();
        let long_ms = u64::try_from(long.as_millis()).unwrap_or(u64::MAX);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen.operations.entry(self.kind.to_owned()).or_default() += 1;
        let longest = seen.longest_ms.entry(self.kind.to_owned()).or_default();
        *longest = (*longest).max(long_ms);
        if long >= STALL {
            seen.stalls.push((self.kind.to_owned(), at_ms, long_ms));
            say(&format!("{at_ms}: {} of {} took {long_ms} ms", self.kind, what.display()));
        }
        if let Err(error) = outcome {
            seen.errors += 1;
            let line = format!(
                "{at_ms}: {} of {} failed after {long_ms} ms: {error} (errno {:?})",
                self.kind,
                what.display(),
                error.raw_os_error()
            );
            say(&line);
            if seen.first_errors.len() < ERRORS_KEPT {
                seen.first_errors.push(line);
            }
            drop(seen);
            std::thread::sleep(ERROR_PAUSE);
        }
    }

    /// Random places of a file that stays open.
    fn read(mut self, files: &[Known]) {
        let mut open: Option<(File, &Known)> = None;
        while self.goes_on() {
            if open.is_none() || self.draw(100) == 0 {
                let Some(known) = files.get(self.draw(files.len() as u64) as usize) else { return };
                self.one(&known.path, || {
                    open = Some((File::open(&known.path)?, known));
                    Ok(())
                });
            }
            let Some((file, known)) = &open else { continue };
            let from = self.draw(known.bytes);
            let length = PIECE.min(known.bytes - from) as usize;
            let mut piece = vec![0; length];
            self.one(&known.path, || {
                forget(file)?;
                file.read_exact_at(&mut piece, from)?;
                compare(known.number, from, &piece)
            });
        }
    }

    /// Whole files, each opened anew.
    fn open(mut self, files: &[Known]) {
        while self.goes_on() {
            let Some(known) = files.get(self.draw(files.len() as u64) as usize) else { return };
            self.one(&known.path, || {
                let mut file = File::open(&known.path)?;
                forget(&file)?;
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                if bytes.len() as u64 != known.bytes {
                    return Err(io::Error::other(format!("{} bytes", bytes.len())));
                }
                compare(known.number, 0, &bytes)
            });
        }
    }

    fn list(self, files: &[Known]) {
        let folder = &self.load.folder;
        while self.goes_on() {
            self.one(folder, || {
                let mut found = 0;
                for item in fs::read_dir(folder)? {
                    let item = item?;
                    found +=
                        usize::from(pattern::number(&item.file_name().to_string_lossy()).is_some());
                }
                if found != files.len() {
                    return Err(io::Error::other(format!("{found} files of {}", files.len())));
                }
                let metadata = fs::metadata(&files[0].path)?;
                if metadata.len() != files[0].bytes {
                    return Err(io::Error::other(format!("{} bytes", metadata.len())));
                }
                Ok(())
            });
        }
    }

    /// New files, read back, renamed, removed.
    fn write(mut self, folder: &Path) {
        let mut number = 0;
        while self.goes_on() {
            number += 1;
            let path = folder.join(pattern::name(number));
            let bytes = 1 + self.draw(256 << 10) as usize;
            self.one(&path, || {
                let unfinished = path.with_extension("unfinished");
                let mut file = File::create(&unfinished)?;
                file.write_all(&pattern::content(number, 0, bytes))?;
                file.sync_all()?;
                drop(file);
                fs::rename(&unfinished, &path)?;
                let file = File::open(&path)?;
                forget(&file)?;
                let mut back = vec![0; bytes];
                file.read_exact_at(&mut back, 0)?;
                compare(number, 0, &back)?;
                match number.checked_sub(WRITTEN) {
                    Some(old) if old > 0 => fs::remove_file(folder.join(pattern::name(old))),
                    _ => Ok(()),
                }
            });
        }
    }
}

/// Drops what the kernel has of the file, so that the volume is asked.
fn forget(file: &File) -> io::Result<()> {
    Ok(fadvise(file, 0, None, Advice::DontNeed)?)
}

fn compare(number: u64, from: u64, bytes: &[u8]) -> io::Result<()> {
    let wanted = pattern::content(number, from, bytes.len());
    match bytes.iter().zip(&wanted).position(|(got, wanted)| got != wanted) {
        None => Ok(()),
        Some(at) => Err(io::Error::other(format!("wrong bytes from {} on", from + at as u64))),
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
