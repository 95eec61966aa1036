//! The process of an agent.

use super::metrics::Tally;
use super::service::Service;
use super::{Agent, AgentError, lock, unmounting};
use alluxio_config::Config;
use alluxio_host::Host;
use alluxio_proto::v1::agent::fuse_agent_server::FuseAgentServer;
use alluxio_telemetry::{AdminServer, LogControl, Metrics, Readiness};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

/// How often counters are brought to the metrics.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// How long a call that is under way may take when the agent ends; it has left its mounts by then.
const CALLS_END_WITHIN: Duration = Duration::from_millis(500);

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> AgentError {
    move |source| AgentError::Io { path: path.to_owned(), source }
}

/// Serves until it is told to stop, or another agent takes over. The process must end then.
///
/// **Errors**: why it does not start.
pub async fn run(config: Config, log: LogControl) -> Result<(), AgentError> {
    crate::limits::raise_descriptors();
    let fuse = config.fuse()?;
    let socket = fuse.agent_socket.clone().ok_or(AgentError::NoSocket)?;
    // From now on, so that a signal that comes early is not lost.
    let stop = stop_requested().map_err(io(&socket))?;
    for folder in socket.parent().into_iter().chain([fuse.sessions_dir.as_path()]) {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
    }
    let dir = fuse.sessions_dir.canonicalize().map_err(io(&fuse.sessions_dir))?;
    let _lock = lock::take(&dir.join("agent.lock"), &socket, fuse.agent_drain).await?;
    let host = Host::real();
    let metrics = Metrics::new("fuse");
    let tally = Tally::new(&metrics).map_err(|error| AgentError::Internal(error.to_string()))?;
    let program = unmounting::own_program();
    let agent = Agent::start(config, fuse.clone(), host.clone(), dir, program, tally).await?;
    let readiness = Readiness::waiting_for(&["agent"]);
    let admin = AdminServer { metrics, readiness: readiness.clone(), log };
    let admin = admin.start(&host.net, &fuse.web_bind_host, fuse.web_port, axum::Router::new());
    let admin = admin.await?;
    let measures = agent.clone();
    tokio::spawn(async move {
        loop {
            measures.measure().await;
            tokio::time::sleep(MEASURE_EVERY).await;
        }
    });
    let incoming = UnixListenerStream::new(listen(&socket).map_err(io(&socket))?);
    let (left, mut gone) = watch::channel(false);
    let left = Arc::new(left);
    let service = FuseAgentServer::new(Service::new(agent.clone(), left.clone()));
    readiness.ready("agent");
    tracing::info!(socket = %socket.display(), web = %admin.address(), "fuse agent is ready");
    let (ended, calls_end) = tokio::sync::oneshot::channel::<()>();
    let trusted = incoming.filter(|peer| peer.as_ref().map_or(true, is_trusted));
    let server =
        Server::builder().add_service(service).serve_with_incoming_shutdown(trusted, async {
            // A dropped sender ends it too.
            let _ = calls_end.await;
        });
    let server = tokio::spawn(server);
    tokio::select! {
        signal = stop => {
            tracing::info!(signal, "the agent ends");
            agent.leave().await;
        }
        _ = gone.wait_for(|left| *left) => tracing::info!("the agent has given way"),
    }
    let _ = ended.send(());
    // Whoever handed over gets its answer.
    let _ = tokio::time::timeout(CALLS_END_WITHIN, server).await;
    Ok(())
}

/// Root, and whoever runs us.
fn is_trusted(peer: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    peer.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == ours)
}

/// Listens in place of the agent before us: nobody ever finds no socket there.
fn listen(socket: &Path) -> std::io::Result<UnixListener> {
    let mut name = socket.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside: PathBuf = socket.with_file_name(name);
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&beside, socket)?;
    Ok(listener)
}

fn stop_requested() -> std::io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
