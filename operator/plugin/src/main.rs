//! `kubectl alluxio`: what a person wants to know of the clusters and Datasets of a Kubernetes. kubectl finds the program
//! `kubectl-alluxio` on the PATH.
//!
//! - [`status`]: all of them at a glance, and what is wrong.
//! - [`top`]: what workers hold and do ([`samples`] reads their metrics).
//! - [`diagnose`]: all that helps to find a fault, as one archive, without secrets ([`redact`]).
//! - [`completion`]: for shells and for kubectl.
//!
//! It only reads, with the rights of whoever runs it, and keeps nothing but the archive.

mod completion;
mod diagnose;
mod near;
mod redact;
mod samples;
mod status;
mod table;
mod top;

use clap::{Args, CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of every error, as of `alluxio`.
const EXIT_ERROR: u8 = 255;
/// Exit code when the reader of our output went away: what a shell shows for SIGPIPE.
const EXIT_PIPE: u8 = 141;
/// Exit code of `status` when something is not as wanted.
const EXIT_UNWELL: u8 = 1;

/// Looks after Alluxio on Kubernetes
#[derive(Debug, Parser)]
#[command(name = "kubectl-alluxio", bin_name = "kubectl alluxio", version)]
struct Plugin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show clusters and Datasets at a glance, and what is wrong; exit code 1 if something is
    Status(status::StatusArguments),
    /// Show what workers hold, how often reads hit the cache, and how much they move; until Ctrl-C
    Top(top::TopArguments),
    /// Collect objects, events, logs and reports into an archive, without secrets
    Diagnose(diagnose::DiagnoseArguments),
    /// Print a completion script for a shell, or `kubectl` for the program `kubectl_complete-alluxio`
    Completion {
        /// bash, zsh, fish, elvish, powershell or kubectl
        shell: completion::For,
    },
    /// Complete words, as kubectl asks for it
    #[command(name = "__complete", hide = true)]
    Complete {
        /// What was typed; the last one is not complete
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// Which Kubernetes, and where in it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// Namespace; that of the context without it
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The kubeconfig; that of kubectl without it
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

fn main() -> ExitCode {
    let plugin = match Plugin::try_parse() {
        Ok(plugin) => plugin,
        Err(error) => {
            // Help is no mistake.
            let code = if error.use_stderr() { EXIT_ERROR } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(plugin.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_closed_pipe(&error) => ExitCode::from(EXIT_PIPE),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "kubectl alluxio: {error:#}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(command: Command) -> anyhow::Result<u8> {
    let mut out = std::io::stdout().lock();
    match &command {
        Command::Completion { shell } => {
            completion::script(*shell, &mut Plugin::command(), &mut out)?;
            return Ok(0);
        }
        Command::Complete { words } => {
            completion::complete(&Plugin::command(), words, &mut out)?;
            return Ok(0);
        }
        Command::Status(_) | Command::Top(_) | Command::Diagnose(_) => {}
    }
    // Before any connection is made; another library may have been faster with the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let well = runtime.block_on(async {
        match command {
            Command::Status(arguments) => status::run(arguments, &mut out).await,
            Command::Top(arguments) => top::run(arguments, &mut out).await.map(|()| true),
            Command::Diagnose(arguments) => diagnose::run(arguments, &mut out).await.map(|()| true),
            Command::Completion { .. } | Command::Complete { .. } => Ok(true),
        }
    })?;
    out.flush()?;
    Ok(if well { 0 } else { EXIT_UNWELL })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Plugin::command().debug_assert();
    }
}
