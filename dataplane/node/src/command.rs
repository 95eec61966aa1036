//! The subcommands of the binary that are roles, or prepare for one.

use crate::csi::{self, CsiServices};
use crate::local::{self, LocalOptions, Ports};
use crate::process::Invocation;
use crate::{NodeError, Process, format, master, secondary, signals, worker};
use alluxio_config::source::split_arguments;
use alluxio_config::{Config, Roles};
use alluxio_telemetry::LogTarget;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One of them.
#[derive(Debug, Clone)]
pub enum Command {
    /// `master`: runs a master until it is told to stop.
    Master,
    /// `secondary-master`: writes checkpoints for a single master until it is told to stop.
    SecondaryMaster,
    /// `worker`: runs a worker until it is told to stop.
    Worker,
    /// `local start`: runs a whole cluster until it is told to stop.
    LocalStart {
        /// What it is; without a folder, `~/.alluxio/local`.
        options: LocalOptions,
    },
    /// `csi`: runs the CSI driver until it is told to stop.
    Csi {
        /// Which of its services.
        services: CsiServices,
        /// Its socket, in place of the configured one.
        endpoint: Option<String>,
    },
    /// Work on a path for the CSI driver, in a process that may hang.
    PathWork {
        /// What the driver wrote.
        words: String,
    },
    /// `format`: `formatMaster` and `formatWorker`.
    Format {
        /// Nothing, if the journal was formatted before.
        if_new: bool,
    },
    /// `formatMaster`, `formatJournal`: makes the journal empty.
    FormatMaster {
        /// Unless it was formatted before.
        if_new: bool,
    },
    /// `formatWorker`: removes what a worker stored.
    FormatWorker {
        /// And its directories, when nothing else is in them.
        leave: bool,
        /// Does not end before it is told to.
        wait: bool,
    },
    /// `--help` behind one of them.
    Help {
        /// What to print.
        text: String,
    },
}

/// The names that [`parse`] takes, each with one line for lists of commands.
pub const SUMMARIES: [(&str, &str); 12] = [
    ("master", "Run a master until it is told to stop"),
    ("secondary-master", "Write checkpoints for a single master until it is told to stop"),
    ("secondary_master", "The same as secondary-master"),
    ("worker", "Run a worker until it is told to stop"),
    ("csi", "Run the CSI driver of Kubernetes: alluxio csi node|controller|all"),
    ("local", "Run a whole cluster in one process: alluxio local start"),
    ("format", "Make the journal and this machine's worker storage empty"),
    ("formatMaster", "Make the journal empty"),
    ("formatMasters", "The same as formatMaster"),
    ("formatJournal", "The same as formatMaster"),
    ("formatWorker", "Remove what a worker stored on this machine"),
    ("formatWorkers", "The same as formatWorker"),
];

const LEAVE_OPTIONS: &str = "  -r             remove the directories, too, and those of sockets, when nothing else is in them\n  \
    -w             then wait until told to stop, as pods of a DaemonSet have to\n";
const FORMAT_OPTION: &str = "  -s             do nothing when the journal was formatted before\n";

const LOCAL_USAGE: &str = "\
Usage: alluxio local start [--dir DIR] [--ports auto|configured] [--workers N] [--ufs URI] [-Dkey=value]…
  Runs a master and workers in this process, on addresses of this machine only, until SIGTERM or SIGINT.
  --dir DIR      folder of the cluster, made when missing (default ~/.alluxio/local)
  --ports auto   free ports instead of 19998 and so on
  --workers N    number of workers (default 1)
  --ufs URI      root under store of a new cluster (default DIR/underFSStorage)";

const CSI_USAGE: &str = "\
Usage: alluxio csi node|controller|all [--endpoint unix:///path] [-Dkey=value]…
  Runs the CSI driver until SIGTERM or SIGINT: the service of a node (which needs root and a FUSE agent), that
  of the cluster, or both. Mounts outlive it.
  --endpoint     socket to serve on (default alluxio.csi.endpoint, or $CSI_ENDPOINT)";

/// Behind `alluxio csi`: work on a path, for the driver itself.
pub const PATH_WORK: &str = "path-work";

/// Splits a command line into one of these commands and how it was called; `None` when it is none of
/// them. `arguments` are without the program's name.
///
/// **Errors**: `Usage`, which names what is wrong and what is possible.
pub fn parse(
    arguments: &[String],
    environment: BTreeMap<String, String>,
) -> Result<Option<(Command, Invocation)>, NodeError> {
    let (words, definitions) = split_arguments(arguments.to_vec());
    let Some((name, rest)) = words.split_first() else { return Ok(None) };
    let Some((_, about)) = SUMMARIES.iter().find(|(known, _)| known == name) else {
        return Ok(None);
    };
    let invocation = Invocation { environment, definitions };
    if rest.iter().any(|word| word == "--help" || word == "-h") {
        let text = match name.as_str() {
            "local" => format!("{LOCAL_USAGE}\n"),
            "csi" => format!("{CSI_USAGE}\n"),
            _ if formats_journal(name) => {
                format!("Usage: alluxio {name} [-s] [-Dkey=value]…\n  {about}\n{FORMAT_OPTION}")
            }
            _ if formats_worker(name) => format!(
                "Usage: alluxio {name} [-r] [-w] [-Dkey=value]…\n  {about}\n{LEAVE_OPTIONS}"
            ),
            _ => format!("Usage: alluxio {name} [-Dkey=value]…\n  {about}\n"),
        };
        return Ok(Some((Command::Help { text }, invocation)));
    }
    if name == "local" {
        let options = parse_local(rest, &invocation)?;
        return Ok(Some((Command::LocalStart { options }, invocation)));
    }
    if name == "csi" {
        return Ok(Some((parse_csi(rest)?, invocation)));
    }
    let known: &[&str] = match name.as_str() {
        _ if formats_journal(name) => &["-s"],
        _ if formats_worker(name) => &["-r", "-w"],
        _ => &[],
    };
    if let Some(unknown) = rest.iter().find(|word| !known.contains(&word.as_str())) {
        let takes = match known {
            [] => "no argument".to_owned(),
            known => known.join(" and "),
        };
        return Err(usage(format!("alluxio {name} takes {takes}, got {unknown}")));
    }
    let given = |option: &str| rest.iter().any(|word| word == option);
    let if_new = given("-s");
    let command = match name.as_str() {
        "master" => Command::Master,
        "secondary-master" | "secondary_master" => Command::SecondaryMaster,
        "worker" => Command::Worker,
        "format" => Command::Format { if_new },
        _ if formats_worker(name) => {
            Command::FormatWorker { leave: given("-r"), wait: given("-w") }
        }
        _ => Command::FormatMaster { if_new },
    };
    Ok(Some((command, invocation)))
}

/// Whether a command makes the journal empty.
fn formats_journal(name: &str) -> bool {
    name.starts_with("format") && !formats_worker(name)
}

/// Whether it is about what a worker stored, and nothing else.
fn formats_worker(name: &str) -> bool {
    name.starts_with("formatWorker")
}

fn usage(message: impl Into<String>) -> NodeError {
    NodeError::Usage { message: message.into() }
}

fn parse_csi(words: &[String]) -> Result<Command, NodeError> {
    let wrong = |what: String| usage(format!("{what}\n{CSI_USAGE}"));
    let (services, rest) = match words {
        [first, words] if first == PATH_WORK => {
            return Ok(Command::PathWork { words: words.clone() });
        }
        [first, rest @ ..] => match first.as_str() {
            "node" => (CsiServices::Node, rest),
            "controller" => (CsiServices::Controller, rest),
            "all" => (CsiServices::All, rest),
            other => return Err(wrong(format!("{other} is no service of alluxio csi"))),
        },
        [] => return Err(wrong("alluxio csi needs a service".into())),
    };
    let endpoint = match rest {
        [] => None,
        [option, value] if option == "--endpoint" => Some(value.clone()),
        [option] if option.starts_with("--endpoint=") => {
            option.split_once('=').map(|(_, value)| value.to_owned())
        }
        [option, ..] => return Err(wrong(format!("alluxio csi does not understand {option}"))),
    };
    Ok(Command::Csi { services, endpoint })
}

fn parse_local(words: &[String], invocation: &Invocation) -> Result<LocalOptions, NodeError> {
    let wrong = |what: String| usage(format!("{what}\n{LOCAL_USAGE}"));
    let mut words = words.iter();
    match words.next().map(String::as_str) {
        Some("start") => {}
        Some(other) => {
            return Err(wrong(format!("{other} is an unknown command of alluxio local")));
        }
        None => return Err(wrong("alluxio local needs a command".into())),
    }
    let (mut dir, mut ports, mut workers, mut ufs) = (None, Ports::Configured, 1, None);
    while let Some(word) = words.next() {
        let (option, inline) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| words.next().cloned())
                .ok_or_else(|| wrong(format!("{option} needs a value")))
        };
        match option {
            "--dir" => dir = Some(PathBuf::from(value()?)),
            "--ufs" => ufs = Some(value()?),
            "--ports" => {
                ports = match value()?.as_str() {
                    "auto" => Ports::Auto,
                    "configured" => Ports::Configured,
                    other => {
                        return Err(wrong(format!("--ports is auto or configured, not {other}")));
                    }
                }
            }
            "--workers" => {
                let text = value()?;
                workers = text
                    .parse()
                    .ok()
                    .filter(|n| (1..=64).contains(n))
                    .ok_or_else(|| wrong(format!("--workers is 1 to 64, not {text}")))?;
            }
            other => return Err(wrong(format!("unknown option {other}"))),
        }
    }
    let dir = match dir {
        Some(dir) => dir,
        None => local::default_dir(invocation)?,
    };
    Ok(LocalOptions { dir, ports, workers, ufs })
}

impl Command {
    fn roles(&self) -> Roles {
        match self {
            Command::Master | Command::SecondaryMaster | Command::FormatMaster { .. } => {
                Roles::MASTER
            }
            Command::Worker | Command::FormatWorker { .. } => Roles::WORKER,
            Command::Csi { .. } => Roles::CLIENT,
            Command::LocalStart { .. }
            | Command::Format { .. }
            | Command::PathWork { .. }
            | Command::Help { .. } => Roles::SERVERS,
        }
    }

    /// Carries it out; `say` gets lines for standard output.
    ///
    /// **Errors**: see [`NodeError`]; one message for people.
    pub async fn run(
        self,
        invocation: &Invocation,
        say: impl Fn(&str) + Send + Sync,
    ) -> Result<(), NodeError> {
        match &self {
            Command::LocalStart { options } => return local::run(invocation, options, say).await,
            Command::Help { text } => {
                say(text);
                return Ok(());
            }
            Command::PathWork { words } => {
                // No configuration and no log: it is run often, and says one line.
                let line = alluxio_csi::paths::run_child(words).map_err(usage)?;
                say(&(line + "\n"));
                return Ok(());
            }
            _ => {}
        }
        let config = Config::load(invocation.sources(self.roles()))?;
        let target = match self {
            Command::Master | Command::SecondaryMaster | Command::Worker | Command::Csi { .. } => {
                LogTarget::Server
            }
            _ => LogTarget::Terminal,
        };
        let process = Process::set_up(invocation, config, target)?;
        match self {
            Command::Master => return master::run(&process).await,
            Command::SecondaryMaster => return secondary::run(&process).await,
            Command::Worker => return worker::run(&process).await,
            Command::Csi { services, endpoint } => {
                return csi::run(&process, invocation, services, endpoint).await;
            }
            Command::LocalStart { .. } | Command::PathWork { .. } | Command::Help { .. } => {}
            Command::FormatMaster { if_new } => {
                format_master(&process, if_new, &say)?;
            }
            Command::FormatWorker { leave, wait } => {
                let stop = signals::stop_requested()?;
                format_worker(&process, &say)?;
                if leave {
                    for dir in format::leave_worker(&process)? {
                        say(&format!("Removed {}\n", dir.display()));
                    }
                }
                if wait {
                    stop.await;
                }
            }
            Command::Format { if_new } => {
                // The journal is what tells whether anything was formatted before.
                if format_master(&process, if_new, &say)? {
                    format_worker(&process, &say)?;
                }
            }
        }
        Ok(())
    }
}

/// Returns whether it did anything.
fn format_master(process: &Process, if_new: bool, say: &impl Fn(&str)) -> Result<bool, NodeError> {
    if if_new && !format::format_master_if_new(process)? {
        say("The journal was formatted before, and is left as it is\n");
        return Ok(false);
    }
    if if_new {
        say("Formatted the journal\n");
        return Ok(true);
    }
    match format::format_master(process)? {
        Some(folder) => say(&format!("Formatted the journal in {}\n", folder.display())),
        None => say("The journal is NOOP: there is nothing to format\n"),
    }
    Ok(true)
}

fn format_worker(process: &Process, say: &impl Fn(&str)) -> Result<(), NodeError> {
    for dir in format::format_worker(process)? {
        say(&format!("Formatted the worker directory {}\n", dir.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<(Command, Invocation)>, NodeError> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words, BTreeMap::from([("HOME".to_owned(), "/home/ann".to_owned())]))
    }

    #[test]
    fn local_start_takes_its_options_in_both_forms() {
        let line = "local -Da.b=c start --dir /d --ports=auto --workers 3 --ufs=s3://b/x";
        let (command, invocation) = parsed(line).unwrap().unwrap();
        let Command::LocalStart { options } = command else { panic!("{command:?}") };
        assert_eq!(options.dir, PathBuf::from("/d"));
        assert_eq!((options.ports, options.workers), (Ports::Auto, 3));
        assert_eq!(options.ufs.as_deref(), Some("s3://b/x"));
        assert_eq!(invocation.definitions, [("a.b".to_owned(), "c".to_owned())]);
        let (command, _) = parsed("local start").unwrap().unwrap();
        let Command::LocalStart { options } = command else { panic!("{command:?}") };
        assert_eq!(options.dir, PathBuf::from("/home/ann/.alluxio/local"));
        assert_eq!((options.ports, options.workers), (Ports::Configured, 1));
    }

    #[test]
    fn the_driver_takes_its_services_and_its_socket() {
        for (line, wanted, socket) in [
            ("csi node", CsiServices::Node, None),
            ("csi controller --endpoint unix:///c", CsiServices::Controller, Some("unix:///c")),
            ("csi all --endpoint=/c", CsiServices::All, Some("/c")),
        ] {
            let (command, _) = parsed(line).unwrap().unwrap();
            let Command::Csi { services, endpoint } = command else { panic!("{command:?}") };
            assert_eq!((services, endpoint.as_deref()), (wanted, socket));
        }
    }

    #[test]
    fn wrong_words_are_named_and_others_are_left_to_the_command_line() {
        for (line, wanted) in [
            ("local", "needs a command"),
            ("local stat", "stat is an unknown command"),
            ("local start --workers 0", "--workers is 1 to 64, not 0"),
            ("local start --workers", "--workers needs a value"),
            ("local start --ports some", "auto or configured, not some"),
            ("local start --dri /x", "unknown option --dri"),
            ("master now", "takes no argument, got now"),
            ("csi", "needs a service"),
            ("csi agent", "agent is no service"),
            ("csi node --endpont x", "does not understand --endpont"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(wanted), "{line}: {error}");
        }
        for line in ["", "fs ls /", "--help", "version"] {
            assert!(parsed(line).unwrap().is_none(), "{line}");
        }
        for (line, spares) in [("format", false), ("format -s", true), ("formatMaster -s", true)] {
            let (command, _) = parsed(line).unwrap().unwrap();
            let (Command::Format { if_new } | Command::FormatMaster { if_new }) = command else {
                panic!("{command:?}")
            };
            assert_eq!(if_new, spares, "{line}");
        }
        assert!(parsed("formatWorker -s").is_err());
        for line in ["local --help", "local start -h", "master --help"] {
            let (command, _) = parsed(line).unwrap().unwrap();
            assert!(matches!(command, Command::Help { text } if text.starts_with("Usage: ")));
        }
    }
}
