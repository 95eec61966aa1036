//! The command line: `alluxio fuse mount|unmount|stat|agent`.

use crate::agent;
use crate::agent::command::Remote;
use crate::fs::{AlluxioFs, Settings};
use crate::mount::{self, Unmount};
use crate::options::{Commit, MountOptions};
use crate::session::{Connection, Session, Wish};
use alluxio_client::{FileSystem as Client, GetStatusOptions};
use alluxio_config::{Config, FuseConfig, Roles, Sources};
use alluxio_host::Host;
use alluxio_telemetry::{LogTarget, trace};
use alluxio_types::AlluxioPath;
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Variable with log directives that win over the configured level.
const LOG_VARIABLE: &str = "ALLUXIO_LOG";
/// What a mount says to who started it, once it can be used.
const READY: &str = "ready";
/// How often a process that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Show the namespace as a file system of this machine.
#[derive(Debug, Parser)]
#[command(name = "alluxio fuse", bin_name = "alluxio fuse")]
struct Fuse {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Mount a path of the namespace at a directory
    Mount(MountArgs),
    /// Take a mount away
    #[command(visible_alias = "umount")]
    Unmount(UnmountArgs),
    /// Show what is mounted on this machine
    Stat,
    /// Serve all mounts of this machine in one process that can be replaced while they are used
    ///
    /// Needs alluxio.fuse.agent.socket, and alluxio.fuse.keeper.sockets for mounts that outlive it.
    Agent,
}

#[derive(Debug, Args)]
struct MountArgs {
    /// Path of the namespace; configured by alluxio.fuse.mount.alluxio.path
    path: Option<String>,
    /// An empty directory; configured by alluxio.fuse.mount.point
    mount_point: Option<PathBuf>,
    /// Options, such as ro,attr_timeout=5
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
    /// Stay here until it is unmounted, and log here
    #[arg(short, long)]
    foreground: bool,
    /// In a process of its own, also where an agent runs
    #[arg(long)]
    no_agent: bool,
    /// Say on standard output when it can be used
    #[arg(long, hide = true)]
    report: bool,
}

#[derive(Debug, Args)]
struct UnmountArgs {
    /// Where it is mounted; configured by alluxio.fuse.mount.point
    mount_point: Option<PathBuf>,
    /// Fail what is under way, also when the server hangs or is gone, wherever else it is mounted too
    #[arg(short, long, conflicts_with = "lazy")]
    force: bool,
    /// Take the name away now, the rest when nobody uses it any more
    #[arg(short, long)]
    lazy: bool,
    /// Do it in this process, which may hang
    #[arg(long, hide = true)]
    here: bool,
}

/// A failure, in words for people.
type Outcome = Result<(), String>;

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Runs `alluxio fuse ARGUMENTS`. Returns the exit code.
#[expect(clippy::print_stderr, reason = "the last word of a program that failed")]
pub fn run(arguments: &[String], environment: BTreeMap<String, String>) -> ExitCode {
    let (arguments, overrides) = alluxio_config::source::split_arguments(arguments.iter().cloned());
    let line = std::iter::once("alluxio fuse".to_owned()).chain(arguments);
    let fuse = match Fuse::try_parse_from(line) {
        Ok(fuse) => fuse,
        Err(error) => {
            // Help is no failure; clap knows where each text goes.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(255) } else { ExitCode::SUCCESS };
        }
    };
    let log = environment.get(LOG_VARIABLE).cloned();
    let load = || {
        let environment = environment.iter().filter(|(name, _)| *name != LOG_VARIABLE);
        let environment = environment.map(|(name, value)| (name.clone(), value.clone()));
        let sources = Sources::process(environment).for_roles(Roles::CLIENT);
        Config::load(sources.with_arguments(overrides.clone())).map_err(words)
    };
    let outcome = match fuse.what {
        What::Mount(args) if args.foreground => load().and_then(|config| serve(&args, config, log)),
        What::Mount(args) => load().and_then(|config| mount(&args, &config, &overrides)),
        What::Unmount(args) if args.here => unmount_here(&args),
        What::Unmount(args) => load().and_then(|config| unmount(&args, &config)),
        What::Stat => stat(load),
        What::Agent => load().and_then(|config| agent::command::serve(config, log.as_deref())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("alluxio fuse: {message}");
            ExitCode::from(255)
        }
    }
}

#[expect(clippy::print_stdout, reason = "what this program is asked for")]
fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}

/// What is mounted where, after configuration and command line.
fn place(args: &MountArgs, config: &FuseConfig) -> Result<(AlluxioPath, PathBuf), String> {
    let path = args.path.as_deref().unwrap_or(&config.alluxio_path);
    let path = path
        .strip_prefix("alluxio://")
        .map_or(path, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    let path = AlluxioPath::parse(path).map_err(words)?;
    Ok((path, args.mount_point.clone().unwrap_or_else(|| config.mount_point.clone())))
}

/// Mounts and serves in this process.
fn serve(args: &MountArgs, config: Config, log: Option<String>) -> Outcome {
    if args.report {
        // Who started us may end, and its terminal with it.
        let _ = rustix::process::setsid();
    }
    let outcome = serve_reporting(args, config, log);
    if let (true, Err(message)) = (args.report, &outcome) {
        say(&format!("error {}", message.replace('\n', " ")));
    }
    outcome
}

fn serve_reporting(args: &MountArgs, config: Config, log: Option<String>) -> Outcome {
    let fuse = config.fuse().map_err(words)?;
    let mut options = MountOptions::default();
    options.take(&fuse.options).map_err(words)?;
    options.take(&args.options).map_err(words)?;
    let config = config.with(options.properties.clone()).map_err(words)?;
    let general = config.general().map_err(words)?;
    trace::install(&general, LogTarget::Terminal, log.as_deref()).map_err(words)?;
    let (root, point) = place(args, &fuse)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(words)?;
    let serving = Serving { config, fuse, options, root };
    let outcome = runtime.block_on(serving.run(&point, || {
        if args.report {
            say(READY);
        }
    }));
    runtime.shutdown_background();
    outcome
}

/// A mount that is about to be.
struct Serving {
    config: Config,
    fuse: FuseConfig,
    options: MountOptions,
    root: AlluxioPath,
}

impl Serving {
    async fn run(mut self, point: &Path, ready: impl FnOnce()) -> Outcome {
        let client_config = self.config.client().map_err(words)?;
        // A cluster that does not answer is no reason to leave a mount behind that hangs.
        let client = Client::connect(client_config.clone(), Host::real()).map_err(words)?;
        let status = client.get_status(&self.root, &GetStatusOptions::default()).await;
        let status = status.map_err(|error| format!("{} cannot be mounted: {error}", self.root))?;
        if !status.is_directory() {
            return Err(format!("{} is not a directory", self.root));
        }
        std::fs::create_dir_all(&self.fuse.staging).map_err(|error| {
            format!("alluxio.fuse.staging.dir {}: {error}", self.fuse.staging.display())
        })?;
        self.options.mount.source = format!("alluxio:{}", self.root).replace(',', "_");
        let mounted = mount::mount(point, &self.options.mount).map_err(words)?;
        let path = mounted.path.clone();
        let (session, fs) = match self.start(mounted, client_config) {
            Ok(started) => started,
            Err(error) => {
                let _ = mount::unmount(&path, Unmount::Force);
                return Err(error);
            }
        };
        tracing::info!(path = %path.display(), root = %self.root, "mounted");
        ready();
        let counters = session.counters();
        let mut ended = tokio::task::spawn_blocking(move || session.wait());
        if wait_for_end(&mut ended).await {
            mount::unmount(&path, Unmount::Lazy).map_err(words)?;
            // Files that are open keep it alive; they are given up when they take too long.
            if tokio::time::timeout(self.fuse.umount_timeout, &mut ended).await.is_err() {
                tracing::warn!(path = %path.display(), "given up with files open");
            }
        }
        fs.finish().await;
        let counts = counters.counts();
        tracing::info!(path = %path.display(), ?counts, "unmounted");
        Ok(())
    }

    fn start(
        &self,
        mounted: crate::Mounted,
        client: alluxio_config::ClientConfig,
    ) -> Result<(Session, AlluxioFs), String> {
        let mut wish = Wish { passthrough: self.fuse.passthrough, ..Wish::default() };
        wish.max_background = self.options.max_background.unwrap_or(wish.max_background);
        let mut connection = Connection::begin(mounted.device, &wish).map_err(words)?;
        if let Some(row) = mount::row_of(&mounted.path) {
            mount::read_ahead(&row.device);
        }
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let threads = self.options.threads.unwrap_or(processors.clamp(2, 8));
        connection.add_clones(threads).map_err(words)?;
        let settings = Settings {
            root: self.root.clone(),
            attr_valid: self.options.attr_valid,
            entry_valid: self.options.entry_valid,
            passthrough: connection.negotiated().has(crate::abi::feature::PASSTHROUGH),
            staging: self.fuse.staging.clone(),
            commit: match self.options.commit {
                Some(commit) => commit,
                None => Commit::from_name(&self.fuse.commit).unwrap_or_default(),
            },
        };
        let fs = AlluxioFs::new(client, Host::real(), connection.control(), settings);
        let fs = fs.map_err(words)?;
        let session = connection.run(Arc::new(fs.clone()), 4 * threads).map_err(words)?;
        Ok((session, fs))
    }
}

/// Waits for a signal (`true`), or until somebody has unmounted (`false`).
async fn wait_for_end(ended: &mut tokio::task::JoinHandle<()>) -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return false };
    tokio::select! {
        biased;
        _ = ended => false,
        _ = terminate.recv() => true,
        _ = tokio::signal::ctrl_c() => true,
    }
}

/// Has the agent mount, if there is one; else a process of its own.
fn mount(args: &MountArgs, config: &Config, overrides: &[(String, String)]) -> Outcome {
    let fuse = config.fuse().map_err(words)?;
    match Remote::find(&fuse)?.filter(|_| !args.no_agent) {
        None => detach(args, config, overrides),
        Some(agent) => {
            let (path, point) = place(args, &fuse)?;
            let set = overrides.iter().map(|(key, value)| format!("{key}={value}"));
            let options: Vec<String> = args.options.iter().cloned().chain(set).collect();
            say(&agent.mount(&path, &point, &options)?);
            Ok(())
        }
    }
}

/// Starts a process that mounts and serves, and waits until it can be used.
fn detach(args: &MountArgs, config: &Config, overrides: &[(String, String)]) -> Outcome {
    let (path, point) = place(args, &config.fuse().map_err(words)?)?;
    let logs = config.general().map_err(words)?.logs_dir;
    std::fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    let log = logs.join("fuse.log");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
    let file = file.map_err(|error| format!("{}: {error}", log.display()))?;
    let program = std::env::current_exe().map_err(words)?;
    let mut command = Command::new(program);
    command.args(["fuse", "mount", "--foreground", "--report"]);
    command.args(overrides.iter().map(|(key, value)| format!("-D{key}={value}")));
    command.args(args.options.iter().flat_map(|options| ["-o", options.as_str()]));
    command.arg("--").arg(path.as_str()).arg(&point);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
    let mut child = command.spawn().map_err(words)?;
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut said).map_err(words)?;
    }
    match said.trim().split_once(' ') {
        None if said.trim() == READY => {
            say(&format!("{path} is mounted at {} (process {})", point.display(), child.id()));
            Ok(())
        }
        Some(("error", message)) => Err(message.to_owned()),
        _ => Err(format!("the process of the mount ended; see {}", log.display())),
    }
}

/// The mount that a path means. The path itself is not touched: its server may be gone.
fn mounted_at(path: &Path) -> Result<PathBuf, String> {
    let rows = mount::table().map_err(words)?;
    let absolute = std::path::absolute(path).map_err(words)?;
    let plain = absolute.components().collect::<PathBuf>();
    let below = plain.parent().and_then(|parent| parent.canonicalize().ok());
    let below = below.zip(plain.file_name()).map(|(parent, name)| parent.join(name));
    let is_it = |row: &mount::TableRow| row.path == plain || Some(&row.path) == below.as_ref();
    match rows.into_iter().rev().find(is_it) {
        Some(row) => Ok(row.path),
        None => Err(mount::MountError::NotMounted { path: plain }.to_string()),
    }
}

fn unmount_here(args: &UnmountArgs) -> Outcome {
    let how = match (args.force, args.lazy) {
        (true, _) => Unmount::Force,
        (_, true) => Unmount::Lazy,
        _ => Unmount::Idle,
    };
    let path = args.mount_point.as_deref().ok_or("a mount point is needed")?;
    mount::unmount(path, how).map_err(words)
}

/// Unmounts in a process of its own, so that a server that hangs can hang only that.
fn unmount(args: &UnmountArgs, config: &Config) -> Outcome {
    let fuse = config.fuse().map_err(words)?;
    let path = mounted_at(args.mount_point.as_deref().unwrap_or(&fuse.mount_point))?;
    let device = mount::row_of(&path).map(|row| row.device);
    unmount_in_time(args, &path, &fuse)?;
    match (Remote::find(&fuse)?, device) {
        (Some(agent), Some(device)) => agent.release(&device, args.lazy || args.force),
        _ => Ok(()),
    }
}

fn unmount_in_time(args: &UnmountArgs, path: &Path, fuse: &FuseConfig) -> Outcome {
    let mut command = Command::new(std::env::current_exe().map_err(words)?);
    command.args(["fuse", "unmount", "--here"]);
    command.args(args.force.then_some("--force"));
    command.args(args.lazy.then_some("--lazy"));
    let mut child = command.arg("--").arg(path).stdin(Stdio::null()).spawn().map_err(words)?;
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(words)? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => return Err(format!("{} stays mounted", path.display())),
            None if begun.elapsed() > fuse.umount_timeout.max(Duration::from_millis(100)) => {
                let _ = child.kill();
                let path = path.display();
                return Err(format!("{path} is not unmounted in time; --force gives it up"));
            }
            None => std::thread::sleep(LOOK_EVERY),
        }
    }
}

fn stat(load: impl FnOnce() -> Result<Config, String>) -> Outcome {
    for row in mount::table().map_err(words)? {
        let waiting = row.device.split(':').nth(1).and_then(|minor| {
            let file = format!("/sys/fs/fuse/connections/{minor}/waiting");
            std::fs::read_to_string(file).ok()
        });
        let waiting = waiting.map(|count| format!(" waiting={}", count.trim())).unwrap_or_default();
        say(&format!("{} on {} ({}){waiting}", row.source, row.path.display(), row.options));
    }
    // What is mounted is shown whatever the configuration says.
    if let Ok(fuse) = load().and_then(|config| config.fuse().map_err(words))
        && let Some(agent) = Remote::find(&fuse)?
    {
        agent.lines()?.iter().for_each(|line| say(line));
    }
    Ok(())
}
