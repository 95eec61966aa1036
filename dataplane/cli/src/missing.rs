//! Commands of Alluxio that this one does not have: they say so, and what to do instead.

use crate::error::CliError;

/// Whatever stands behind such a command.
#[derive(Debug, Clone, clap::Args)]
pub struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<String>,
}

/// Commands of `fsadmin` that are not there.
#[derive(Debug, Clone, clap::Subcommand)]
#[command(rename_all = "camelCase")]
pub enum Missing {
    /// Let a worker go in order
    #[command(hide = true)]
    DecommissionWorker(Anything),
    /// Take a worker in again
    #[command(hide = true)]
    EnableWorker(Anything),
    /// Look for mistakes
    #[command(hide = true)]
    Doctor(Anything),
    /// Set metrics to zero
    #[command(hide = true)]
    Metrics(Anything),
    /// Defaults for paths
    #[command(hide = true)]
    PathConf(Anything),
    /// Who waits for the state
    #[command(hide = true)]
    Statelock(Anything),
    /// Keep all away from an under store
    #[command(hide = true)]
    Ufs(Anything),
    /// Change a running server
    #[command(hide = true)]
    UpdateConf(Anything),
}

impl Missing {
    /// Why it is not there, and the way out.
    pub(crate) fn refuse(&self) -> CliError {
        let (name, instead) = match self {
            Missing::DecommissionWorker(_) => (
                "decommissionWorker",
                "stop the worker: what it alone had cached is read from the under store again",
            ),
            Missing::EnableWorker(_) => ("enableWorker", "start the worker"),
            Missing::Doctor(_) => (
                "doctor",
                "'alluxio validateConf' checks this machine's configuration, 'alluxio getConf \
                 --master' shows the primary's",
            ),
            Missing::Metrics(_) => (
                "metrics clear",
                "counters only grow, as those who collect them expect; see 'fsadmin report metrics'",
            ),
            Missing::PathConf(_) => {
                ("pathConf", "set the key in alluxio-site.properties, or with -D for one command")
            }
            Missing::Statelock(_) => ("statelock", "no lock is held over the state of a master"),
            Missing::Ufs(_) => (
                "ufs",
                "'fs updateMount --readonly PATH' keeps writers out; it replaces all options, so name \
                 them again with --option",
            ),
            Missing::UpdateConf(_) => {
                ("updateConf", "change alluxio-site.properties and restart the server")
            }
        };
        unimplemented(&format!("fsadmin {name}"), instead)
    }
}

/// `command` is not there; `instead` says what to do.
pub(crate) fn unimplemented(command: &str, instead: &str) -> CliError {
    CliError::Unimplemented { message: format!("{command} is not implemented: {instead}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::{Code, Coded};

    #[test]
    fn a_missing_command_says_what_to_do_instead() {
        let error = Missing::Ufs(Anything { words: Vec::new() }).refuse();
        assert_eq!(error.code(), Code::Unimplemented);
        assert_eq!(
            error.to_string(),
            "fsadmin ufs is not implemented: 'fs updateMount --readonly PATH' keeps writers out; it \
             replaces all options, so name them again with --option"
        );
    }
}
