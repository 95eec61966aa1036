//! `cargo xtask demo`: the whole product on one machine, in one command.
//!
//! It drives the real program, as a newcomer would by hand, and says each step.

use crate::run::{cargo, run, say, target_dir};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Sample files and their size: enough to be measured, small enough for a laptop.
const SAMPLE_FILES: usize = 4;
const SAMPLE_BYTES: usize = 128 << 20;
/// A file system in memory, where there is one, and the room that the tier takes there at most: the
/// files of the demo and the benchmark's.
const MEMORY: &str = "/dev/shm";
const TIER_BYTES: u64 = 1 << 30;
/// How long a role may take until it serves.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the demonstration; with `--exit` nothing is left behind.
pub(crate) fn demo(args: &[String]) -> Result<()> {
    let exit = match args {
        [] => false,
        [flag] if flag == "--exit" => true,
        [other, ..] => bail!("unknown option {other}; there is --exit only"),
    };
    say("building alluxio (the first build takes some minutes)");
    run(cargo().args(["build", "--release", "--quiet", "--package", "alluxio"]))?;
    let program = target_dir().join("release/alluxio");
    let dir = std::env::temp_dir().join(format!("alluxio-demo-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let tier = tier();
    let played = play(&program, &dir, tier.as_deref(), exit);
    if exit || played.is_err() {
        // What a failed demo leaves is in its messages; the folders hold sample data only.
        let _ = fs::remove_dir_all(&dir);
        let _ = tier.map(fs::remove_dir_all);
    }
    played
}

/// A new folder in memory for the blocks, where the machine has room for it.
fn tier() -> Option<PathBuf> {
    let free = Command::new("df").args(["--output=avail", "-B1", MEMORY]).output().ok()?;
    let free: u64 = String::from_utf8_lossy(&free.stdout).lines().nth(1)?.trim().parse().ok()?;
    let tier = Path::new(MEMORY).join(format!("alluxio-demo-{}", std::process::id()));
    (free > 2 * TIER_BYTES && fs::create_dir(&tier).is_ok()).then_some(tier)
}

fn play(program: &Path, dir: &Path, tier: Option<&Path>, exit: bool) -> Result<()> {
    step("1. sample data");
    let sample = dir.join("sample");
    generate(&sample)?;
    say(&format!("   {SAMPLE_FILES} files of {} MiB in {}", SAMPLE_BYTES >> 20, sample.display()));

    step("2. a cluster: master, worker and journal, on free ports of this machine");
    let mut cluster = Cluster::start(program, dir, tier)?;
    say(&format!("   serving; its folder is {}", cluster.home.display()));
    match tier {
        Some(tier) => say(&format!("   blocks are in memory, in {}", tier.display())),
        None => {
            say(&format!("   blocks are on disk: {MEMORY} has no room, so the table is the disk's"))
        }
    }

    step("3. mount the sample directory and look at it");
    cluster.alluxio(&["fs", "mount", "/sample", text(&sample)?])?;
    cluster.alluxio(&["fs", "ls", "/sample"])?;
    cluster.alluxio(&["fs", "copyFromLocal", text(&sample.join("part-0"))?, "/copied"])?;
    cluster.alluxio(&["fs", "ls", "/"])?;

    step("4. read it: cold, warm, without a copy, beside what this machine can do");
    let bench = ["bench", "read", "--size", "256MB", "--rounds", "3"];
    cluster.alluxio(&bench)?;
    let cat = cluster.output(&["fs", "cat", "/sample/part-1"])?;
    ensure!(cat == fs::read(sample.join("part-1"))?, "/sample/part-1 reads as other bytes");
    say("   /sample/part-1 read through the cache is equal to the file behind it");

    step("5. write through: acknowledged when the directory behind has it");
    let through = "-Dalluxio.user.file.writetype.default=CACHE_THROUGH";
    let source = sample.join("part-2");
    cluster.alluxio(&["fs", through, "copyFromLocal", text(&source)?, "/sample/written"])?;
    ensure!(fs::read(sample.join("written"))? == fs::read(&source)?, "the directory lacks it");
    say("   /sample/written is in the directory, byte for byte");

    step("6. kill -9 the cluster, start it again: nothing that was acknowledged is lost");
    cluster.alluxio(&["fs", "mkdir", "/survives/kill"])?;
    cluster.alluxio(&["fs", "touch", "/survives/kill/nine"])?;
    let before = cluster.output(&["fs", "ls", "-R", "/"])?;
    cluster.kill()?;
    cluster = Cluster::start(program, dir, tier)?;
    let after = cluster.output(&["fs", "ls", "-R", "/"])?;
    ensure!(names(&before) == names(&after), "names before and after the kill differ");
    say(&format!("   all {} names are there", names(&after).len()));
    cluster.alluxio(&["fs", "ls", "/survives/kill"])?;

    if exit {
        cluster.stop()?;
        step("done");
        return Ok(());
    }
    cluster.leave_running(program, &sample, tier);
    Ok(())
}

fn step(text: &str) {
    say(&format!("\n=== {text}"));
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}

/// Files of bytes that repeat only after a long while.
fn generate(sample: &Path) -> Result<()> {
    fs::create_dir_all(sample)?;
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for index in 0..SAMPLE_FILES {
        let mut bytes = Vec::with_capacity(SAMPLE_BYTES);
        while bytes.len() < SAMPLE_BYTES {
            // xorshift64: Marsaglia 2003.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        fs::write(sample.join(format!("part-{index}")), bytes)?;
    }
    Ok(())
}

/// The last column of every line of a listing.
fn names(listing: &[u8]) -> Vec<String> {
    let listing = String::from_utf8_lossy(listing);
    let last = |line: &str| line.split_whitespace().last().map(str::to_owned);
    listing.lines().filter_map(last).collect()
}

struct Cluster {
    program: PathBuf,
    home: PathBuf,
    child: Child,
}

impl Cluster {
    fn start(program: &Path, dir: &Path, tier: Option<&Path>) -> Result<Cluster> {
        let home = dir.join("cluster");
        // A file, not a pipe: the cluster may outlive us.
        let log = dir.join("cluster.log");
        let output = fs::File::options().create(true).append(true).open(&log)?;
        let seen = output.metadata()?.len();
        let in_memory = tier.into_iter().flat_map(|tier| {
            let path = format!("-Dalluxio.worker.tieredstore.level0.dirs.path={}", tier.display());
            [path, format!("-Dalluxio.worker.ramdisk.size={TIER_BYTES}")]
        });
        let mut child = Command::new(program)
            .args(["local", "start", "--ports", "auto", "--dir"])
            .arg(&home)
            .args(in_memory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        wait_until_ready(&log, seen, &mut child)?;
        Ok(Cluster { program: program.to_owned(), home, child })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).env("ALLUXIO_CONF_DIR", self.home.join("conf"));
        command
    }

    fn alluxio(&self, args: &[&str]) -> Result<()> {
        say(&format!("$ alluxio {}", args.join(" ")));
        let status = self.command(args).status()?;
        ensure!(status.success(), "alluxio {} failed ({status})", args.join(" "));
        Ok(())
    }

    fn output(&self, args: &[&str]) -> Result<Vec<u8>> {
        let output = self.command(args).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "alluxio {} failed ({})", args.join(" "), output.status);
        Ok(output.stdout)
    }

    fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        run(Command::new("kill").arg(self.child.id().to_string()))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the cluster ended with {status} when it was told to stop");
        Ok(())
    }

    fn leave_running(self, program: &Path, sample: &Path, tier: Option<&Path>) {
        step("the cluster keeps running; try next");
        let (program, home) = (program.display(), self.home.display());
        say(&format!(
            "  export ALLUXIO_CONF_DIR={home}/conf\n  alias alluxio={program}\n  \
             alluxio fs ls /sample\n  \
             echo hello > {sample}/new && \
             alluxio fs -Dalluxio.user.file.metadata.sync.interval=0 ls /sample\n  \
             alluxio fsadmin report\n  alluxio bench randread\n\nto end it: kill {pid}{and_remove}",
            sample = sample.display(),
            and_remove =
                tier.map(|tier| format!(" && rm -r {}", tier.display())).unwrap_or_default(),
            pid = self.child.id(),
        ));
    }
}

/// Waits until the log has the line that says "ready" behind its first `seen` bytes.
fn wait_until_ready(log: &Path, seen: u64, child: &mut Child) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let text = fs::read(log)?;
        let news = String::from_utf8_lossy(text.get(seen as usize..).unwrap_or_default());
        if news.lines().any(|line| line.starts_with("ready")) {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("the cluster ended with {status}; see {}", log.display());
        }
        if Instant::now() > deadline {
            bail!("the cluster is not ready after {START_TIMEOUT:?}; see {}", log.display());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
