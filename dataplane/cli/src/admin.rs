//! `alluxio fsadmin …`

use crate::backup::Backup;
use crate::connect::Session;
use crate::error::CliError;
use crate::fs::mounts;
use crate::journal::Journal;
use crate::missing::{Anything, Missing, unimplemented};
use crate::screen::Screen;
use crate::view::{self, cluster, json};
use alluxio_client::ClientError;
use alluxio_types::{WorkerInfo, WorkerState};
use serde_json::json as object;

/// Commands for operators.
#[derive(Debug, Clone, clap::Subcommand)]
#[command(rename_all = "camelCase")]
pub enum AdminCommand {
    /// Report on the cluster
    Report {
        #[command(subcommand)]
        /// What; the summary when not given
        what: Option<Report>,
    },
    /// Write the whole namespace to a file, while the master serves
    Backup(Backup),
    /// Look after the journal
    #[command(subcommand, arg_required_else_help = true)]
    Journal(Journal),
    /// Show a block and the file it belongs to
    GetBlockInfo {
        /// Id of the block
        id: u64,
    },
    /// What Alluxio has besides
    #[command(flatten)]
    Missing(Missing),
}

/// What to report.
#[derive(Debug, Clone, clap::Subcommand)]
#[command(rename_all = "camelCase")]
pub enum Report {
    /// Master, workers and capacity in a few lines
    Summary,
    /// Capacity and use of every worker
    Capacity {
        /// Only workers that are live
        #[arg(long, conflicts_with_all = ["lost", "workers"])]
        live: bool,
        /// Only workers that are lost
        #[arg(long, conflicts_with = "workers")]
        lost: bool,
        /// Only workers on these hosts
        #[arg(long, value_name = "HOST", value_delimiter = ',')]
        workers: Vec<String>,
    },
    /// Mounted under stores
    Ufs,
    /// What the primary master counts
    Metrics,
    /// Jobs
    #[command(hide = true)]
    Jobservice(Anything),
    /// Proxies
    #[command(hide = true)]
    Proxy(Anything),
}

fn failed(error: ClientError) -> CliError {
    CliError::cluster("cannot ask the master", &error)
}

impl AdminCommand {
    /// Carries it out.
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        match self {
            AdminCommand::Report { what: None | Some(Report::Summary) } => {
                summary(session, screen).await
            }
            AdminCommand::Report { what: Some(Report::Capacity { live, lost, workers }) } => {
                let which = Which::new(*live, *lost, workers);
                capacity(session, screen, which).await
            }
            AdminCommand::Report { what: Some(Report::Ufs) } => {
                if !screen.json {
                    screen.line("Alluxio under storage system information:")?;
                }
                mounts::list(session, screen).await
            }
            AdminCommand::Report { what: Some(Report::Metrics) } => metrics(session, screen).await,
            AdminCommand::Report { what: Some(Report::Jobservice(_)) } => Err(unimplemented(
                "fsadmin report jobservice",
                "there is no job service; masters and workers do its work",
            )),
            AdminCommand::Report { what: Some(Report::Proxy(_)) } => {
                Err(unimplemented("fsadmin report proxy", "proxies do not register"))
            }
            AdminCommand::Journal(journal) => journal.run(session, screen).await,
            AdminCommand::Backup(backup) => backup.run(session, screen).await,
            AdminCommand::Missing(missing) => Err(missing.refuse()),
            AdminCommand::GetBlockInfo { id } => block_info(session, screen, *id).await,
        }
    }
}

async fn summary(session: &Session, screen: &Screen) -> Result<(), CliError> {
    let fs = session.fs()?;
    let master = fs.master_info().await.map_err(failed)?;
    let workers = fs.workers(true).await.map_err(failed)?;
    if screen.json {
        let mut value = cluster::master_json(&master);
        let live = workers.iter().filter(|worker| worker.state == WorkerState::Live);
        value["liveWorkers"] = object!(live.clone().count());
        value["lostWorkers"] = object!(workers.len() - live.clone().count());
        value["capacityBytes"] = object!(live.clone().map(WorkerInfo::capacity_bytes).sum::<u64>());
        value["usedBytes"] = object!(live.map(WorkerInfo::used_bytes).sum::<u64>());
        return screen.value(&value);
    }
    screen.lines(cluster::summary(&master, &workers, &session.dates()?))
}

async fn metrics(session: &Session, screen: &Screen) -> Result<(), CliError> {
    let metrics = session.fs()?.metrics().await.map_err(failed)?;
    if screen.json {
        return metrics.iter().try_for_each(|metric| screen.value(&view::metrics::json(metric)));
    }
    screen.lines(view::metrics::lines(&metrics))
}

/// Whose capacity is reported.
enum Which<'a> {
    All,
    Live,
    Lost,
    Hosts(&'a [String]),
}

impl<'a> Which<'a> {
    fn new(live: bool, lost: bool, hosts: &'a [String]) -> Self {
        match (live, lost) {
            (true, _) => Which::Live,
            (_, true) => Which::Lost,
            _ if !hosts.is_empty() => Which::Hosts(hosts),
            _ => Which::All,
        }
    }

    fn has(&self, worker: &WorkerInfo) -> bool {
        match self {
            Which::All => true,
            Which::Live => worker.state == WorkerState::Live,
            Which::Lost => worker.state == WorkerState::Lost,
            Which::Hosts(hosts) => hosts.contains(&worker.address.host),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Which::All => "all workers",
            Which::Live => "live workers",
            Which::Lost => "lost workers",
            Which::Hosts(_) => "specified workers",
        }
    }
}

async fn capacity(session: &Session, screen: &Screen, which: Which<'_>) -> Result<(), CliError> {
    let fs = session.fs()?;
    let mut workers = fs.workers(true).await.map_err(failed)?;
    workers.retain(|worker| which.has(worker));
    if let Which::Hosts(hosts) = &which {
        let absent = |host: &&String| !workers.iter().any(|w| w.address.host == **host);
        if let Some(host) = hosts.iter().find(absent) {
            return Err(CliError::Refused {
                message: format!("no worker on {host}: 'fsadmin report capacity' lists all"),
            });
        }
    }
    if screen.json {
        return workers.iter().try_for_each(|worker| screen.value(&json::worker(worker)));
    }
    let now = fs.master_info().await.map_err(failed)?.now;
    screen.lines(cluster::capacity(&workers, which.name(), now))
}

async fn block_info(session: &Session, screen: &Screen, id: u64) -> Result<(), CliError> {
    let found = session.fs()?.get_block_info(alluxio_types::BlockId(id)).await;
    let (info, path) = found.map_err(|error| CliError::cluster(format!("block {id}"), &error))?;
    let hosts: Vec<&str> = info.locations.iter().map(|at| at.address.host.as_str()).collect();
    screen.either(
        || {
            object!({
                "blockId": id, "length": info.length, "offset": info.offset,
                "path": path, "hosts": hosts,
            })
        },
        || {
            format!(
                "BlockInfo{{id={id}, length={}, locations=[{}]}}\nThis block belongs to file \
                 {{path={path}}}",
                info.length,
                hosts.join(", ")
            )
        },
    )
}
