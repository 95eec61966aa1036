//! `fsadmin journal …`: checkpoints, the quorum, and who is the primary.

use crate::connect::Session;
use crate::error::CliError;
use crate::missing;
use crate::screen::Screen;
use crate::view::quorum::Quorum;
use serde_json::json;
use std::time::Duration;

/// How long the new primary may take until it serves. Another master takes over when it does not.
const TRANSFER_LIMIT: Duration = Duration::from_secs(10);
/// How often the cluster is asked who is the primary.
const TRANSFER_LOOK: Duration = Duration::from_millis(100);

/// Journal commands.
#[derive(Debug, Clone, clap::Subcommand)]
#[command(rename_all = "camelCase")]
pub enum Journal {
    /// Write a checkpoint now
    Checkpoint,
    /// Look at the masters and at etcd
    #[command(subcommand, arg_required_else_help = true)]
    Quorum(QuorumCommand),
    /// Hand the primacy to a standby
    Transfer {
        /// The standby, as `journal quorum info` shows it
        #[arg(value_name = "HOST:PORT")]
        master: String,
    },
}

/// Quorum commands.
#[derive(Debug, Clone, clap::Subcommand)]
#[command(rename_all = "camelCase")]
pub enum QuorumCommand {
    /// Show the masters and the members of etcd: role, state, lag, last checkpoint
    Info {
        /// Whose journal; there is only MASTER
        #[arg(long, default_value = "MASTER")]
        domain: String,
    },
    /// Hand the primacy to a standby
    Elect {
        /// The standby, as `info` shows it
        #[arg(long, value_name = "HOST:PORT")]
        address: String,
    },
    /// Forget a master
    #[command(hide = true)]
    Remove(missing::Anything),
}

impl Journal {
    /// Carries it out.
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        match self {
            Journal::Checkpoint => checkpoint(session, screen).await,
            Journal::Quorum(QuorumCommand::Info { domain }) => info(session, screen, domain).await,
            Journal::Quorum(QuorumCommand::Elect { address })
            | Journal::Transfer { master: address } => transfer(session, screen, address).await,
            Journal::Quorum(QuorumCommand::Remove(_)) => Err(missing::unimplemented(
                "fsadmin journal quorum remove",
                "a master that stays away is not in anybody's way; members of etcd are removed with \
                 'etcdctl member remove'",
            )),
        }
    }
}

async fn checkpoint(session: &Session, screen: &Screen) -> Result<(), CliError> {
    let (seq, host) = session
        .fs()?
        .checkpoint()
        .await
        .map_err(|error| CliError::cluster("the checkpoint was not written", &error))?;
    screen.either(
        || json!({"op": "checkpoint", "master": host, "sequence": seq}),
        || format!("Successfully took a checkpoint on master {host}"),
    )
}

async fn info(session: &Session, screen: &Screen, domain: &str) -> Result<(), CliError> {
    if !domain.eq_ignore_ascii_case("MASTER") {
        return Err(CliError::BadArgument {
            what: "domain",
            value: domain.to_owned(),
            expected: "MASTER, the only one with a journal".to_owned(),
        });
    }
    let answers = session.fs()?.quorum().await;
    let quorum = Quorum::of(&answers);
    if !quorum.is_known() {
        let first = answers.into_iter().find_map(|answer| answer.view.err());
        let Some(error) = first else { return Err(CliError::Unavailable("no master".into())) };
        return Err(CliError::cluster("no master answers", &error));
    }
    if screen.json {
        return screen.value(&quorum.json());
    }
    screen.lines(quorum.lines(&session.dates()?))
}

/// Asks for the change and waits until the heir serves.
async fn transfer(session: &Session, screen: &Screen, heir: &str) -> Result<(), CliError> {
    let fs = session.fs()?;
    let failed =
        |error| CliError::cluster(format!("Leadership was not transferred to {heir}"), &error);
    let before = fs.master_info().await.map_err(failed)?;
    if before.leader.to_string() == heir {
        return done(screen, heir, before.term);
    }
    fs.transfer(heir).await.map_err(failed)?;
    let mut primary = before.leader.to_string();
    let waited = tokio::time::timeout(TRANSFER_LIMIT, async {
        loop {
            // In between there is no primary, and each question waits for one.
            if let Ok(now) = fs.master_info().await
                && now.term > before.term
            {
                primary = now.leader.to_string();
                return now.term;
            }
            tokio::time::sleep(TRANSFER_LOOK).await;
        }
    });
    match waited.await {
        Ok(term) if primary == heir => done(screen, heir, term),
        Ok(_) => Err(CliError::Refused {
            message: format!("Leadership was not transferred to {heir}: {primary} was faster"),
        }),
        Err(_) => Err(CliError::Unavailable(format!(
            "Leadership was not transferred to {heir}: no master serves after {} s; see 'fsadmin \
             journal quorum info'",
            TRANSFER_LIMIT.as_secs()
        ))),
    }
}

fn done(screen: &Screen, heir: &str, term: u64) -> Result<(), CliError> {
    screen.either(
        || json!({"op": "transfer", "master": heir, "term": term}),
        || format!("Transferred leadership to server: {heir}"),
    )
}
