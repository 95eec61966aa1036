//! From a command line to an exit code.

use crate::connect::Session;
use crate::error::CliError;
use crate::fs::FsCommand;
use crate::screen::Screen;
use crate::usage::{self, Verdict};
use crate::{admin, conf, read_journal, run_tests, target};
use alluxio_config::source::split_arguments;
use alluxio_config::{Config, ConfigError, Roles, Sources};
use clap::{CommandFactory, FromArgMatches};

/// Exit code after Ctrl-C: what a shell shows for SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// Everything that a run depends on.
pub struct Invocation {
    /// Words after the program's name, `-D` options included.
    pub arguments: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Where to write.
    pub screen: Screen,
    /// Version of the binary.
    pub version: String,
    /// Commit that it was built from; empty when unknown.
    pub revision: String,
    /// Commands that the binary has besides ours, for help and completion.
    pub others: Vec<clap::Command>,
}

/// The commands of this crate.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    name = "alluxio",
    disable_help_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    about = "A cache and one namespace for all your storage"
)]
struct Cli {
    /// Write data as JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
#[command(rename_all = "camelCase")]
enum Command {
    /// Work with files and directories
    #[command(subcommand, arg_required_else_help = true)]
    Fs(FsCommand),
    /// Look after the cluster
    #[command(subcommand, arg_required_else_help = true)]
    Fsadmin(admin::AdminCommand),
    /// Print configuration values
    GetConf(conf::GetConf),
    /// Check the configuration of this machine
    ValidateConf,
    /// Write and read files with all types of writes and reads
    #[command(visible_alias = "runTest")]
    RunTests(run_tests::RunTests),
    /// Dump a journal and its checkpoints in readable form; no master is asked
    ReadJournal(read_journal::ReadJournal),
    /// Print the version
    Version {
        /// Also the commit, cut to this many characters
        #[arg(short, long, value_name = "LENGTH", num_args = 0..=1, default_missing_value = "40")]
        revision: Option<usize>,
    },
    /// Print a completion script for a shell
    Completion {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Print a generated reference
    #[command(hide = true)]
    Reference {
        /// Which
        #[arg(value_enum)]
        what: Reference,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Reference {
    /// Configuration keys.
    Config,
    /// Commands and options.
    Cli,
}

/// The whole tree of commands, `others` included.
fn tree(others: &[clap::Command]) -> clap::Command {
    let mut root = Cli::command();
    for other in others {
        root = root.subcommand(other.clone());
    }
    with_long_help(root)
}

/// `-h` means "sizes for people" in many commands, so help is only `--help`, everywhere.
fn with_long_help(command: clap::Command) -> clap::Command {
    let help = clap::Arg::new("help").long("help").action(clap::ArgAction::Help).help("Print help");
    let names: Vec<String> =
        command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let mut command = command.disable_help_flag(true).arg(help);
    for name in names {
        command = command.mut_subcommand(name, with_long_help);
    }
    command
}

/// Runs a command and returns its exit code. Everything it has to say was said.
pub async fn run(invocation: Invocation) -> u8 {
    let screen = invocation.screen.clone();
    // Dropping the command undoes what is half done on this machine; servers see the session end.
    let result = tokio::select! {
        result = dispatch(invocation) => result,
        Ok(()) = tokio::signal::ctrl_c() => {
            screen.note("Interrupted: what was under way is given up, what was done stays done");
            Err(CliError::Code(EXIT_INTERRUPTED))
        }
    };
    let flushed = screen.flush();
    match result.and(flushed) {
        Ok(()) => 0,
        Err(error) => {
            if !error.is_silent() {
                screen.note(&error);
            }
            error.exit_code()
        }
    }
}

async fn dispatch(invocation: Invocation) -> Result<(), CliError> {
    let (words, overrides) = split_arguments(invocation.arguments.iter().cloned());
    let words: Vec<String> = words.iter().map(|word| long_option(word).to_owned()).collect();
    let mut screen = invocation.screen.clone();
    let root = tree(&invocation.others);
    let line = std::iter::once("alluxio".to_owned()).chain(words.iter().cloned());
    let parsed = root.clone().try_get_matches_from(line).and_then(|m| Cli::from_arg_matches(&m));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            return match usage::verdict(&error, &root, &words) {
                Verdict::Show(text) => screen.line(text.trim_end()),
                Verdict::Fail(error) => Err(error),
            };
        }
    };
    screen.json = cli.json;
    let sources = Sources::process(invocation.environment.iter().cloned())
        .for_roles(Roles::CLIENT)
        .with_arguments(overrides);
    let config = Config::load(sources);
    let masters = target::masters_of(&words)?;
    let session = |config: Result<Config, ConfigError>| -> Result<Session, CliError> {
        Ok(Session::new(config?, masters.clone()))
    };
    match cli.command {
        Command::Fs(command) => command.run(&session(config)?, &screen).await,
        Command::Fsadmin(command) => command.run(&session(config)?, &screen).await,
        Command::GetConf(command) => command.run(&session(config)?, &screen).await,
        Command::ValidateConf => conf::validate(&config, &screen),
        Command::RunTests(command) => command.run(&session(config)?, &screen).await,
        Command::ReadJournal(command) => command.run(&session(config)?, &screen),
        Command::Version { revision } => {
            let text = version(&invocation.version, &invocation.revision, revision);
            screen.either(|| serde_json::json!({"version": text}), || text.clone())
        }
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut root.clone(), "alluxio", &mut script);
            screen.bytes(&script)
        }
        Command::Reference { what: Reference::Config } => {
            screen.bytes(alluxio_config::reference::markdown().as_bytes())
        }
        Command::Reference { what: Reference::Cli } => screen.lines(commands(&root, "alluxio")),
    }
}

/// Alluxio's long options with a single dash.
fn long_option(word: &str) -> &str {
    match word {
        "-live" => "--live",
        "-lost" => "--lost",
        "-workers" => "--workers",
        "-decommissioned" => "--decommissioned",
        "-domain" => "--domain",
        "-address" => "--address",
        "-master" => "--master",
        "-start" => "--start",
        "-end" => "--end",
        "-inputDir" => "--inputDir",
        "-outputDir" => "--outputDir",
        other => other,
    }
}

fn version(version: &str, revision: &str, length: Option<usize>) -> String {
    match length {
        Some(length) if !revision.is_empty() => {
            let cut: String = revision.chars().take(length).collect();
            format!("{version}-{cut}")
        }
        _ => version.to_owned(),
    }
}

/// One Markdown line for every command.
fn commands(command: &clap::Command, prefix: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        let name = format!("{prefix} {}", inner.get_name());
        if inner.has_subcommands() {
            lines.extend(commands(inner, &name));
            continue;
        }
        let usage = inner.clone().bin_name(&name).render_usage().to_string();
        let about = inner.get_about().map(ToString::to_string).unwrap_or_default();
        lines.push(format!("- `{}`: {about}", usage.trim_start_matches("Usage: ")));
    }
    lines
}

#[cfg(test)]
#[path = "run_parsing_tests.rs"]
mod tests;
