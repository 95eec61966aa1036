//! Talking to an agent.

use crate::sys;
use alluxio_proto::v1::agent as proto;
use proto::fuse_agent_client::FuseAgentClient;
use rustix::process::Pid;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// How long a connection may take: it is on this machine.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// A client of the agent that listens at `socket`.
///
/// **Errors**: that nobody does.
pub async fn connect(socket: &Path) -> Result<FuseAgentClient<Channel>, tonic::transport::Error> {
    let endpoint = Endpoint::try_from(format!("unix://{}", socket.display()))?;
    let channel = endpoint.connect_timeout(CONNECT_WITHIN).connect().await?;
    Ok(FuseAgentClient::new(channel))
}

/// Has the agent leave its mounts to us, and end.
pub(super) async fn hand_over(socket: &Path) -> Result<(), Status> {
    let client = connect(socket).await;
    let mut client = client.map_err(|error| Status::unavailable(error.to_string()))?;
    client.hand_over(proto::HandOverRequest {}).await?;
    Ok(())
}

/// The process that listens at a socket, if it lives in our own namespace of processes.
pub(super) fn process_of(socket: &Path) -> Option<Pid> {
    let stream = UnixStream::connect(socket).ok()?;
    let peer = Pid::from_raw(sys::peer(stream.as_fd()).ok()?.process?)?;
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/pid")).ok();
    let theirs = namespace(&peer.as_raw_nonzero().to_string())?;
    (Some(theirs) == namespace("self") && peer != rustix::process::getpid()).then_some(peer)
}
