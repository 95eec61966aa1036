//! Who mounts: the seam between volumes and what serves them, and the agent of this node behind it.

use crate::CsiError;
use crate::session::{SessionKey, SessionSpec};
use crate::socket;
use alluxio_proto::status::code_of;
use alluxio_proto::v1::agent;
use alluxio_proto::v1::agent::fuse_agent_client::FuseAgentClient;
use alluxio_types::Code;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::Request;
use tonic::transport::Channel;

/// A session, as whoever mounts it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Its name.
    pub key: SessionKey,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Its device, as the kernel's table has it. Another one means that it was mounted anew.
    pub device: String,
    /// Why it does not serve; `None` when it does.
    pub dead: Option<String>,
}

/// Opens and closes sessions.
///
/// An implementation MUST find an open session again by its key, also after a restart of this process; MUST
/// mount a dead one anew, at the same place; and MUST NOT wait for the server of a session in [`Mounter::list`].
#[async_trait::async_trait]
pub trait Mounter: Send + Sync + 'static {
    /// Opens the session, or finds it. **Errors**: `Agent`. **Cancel safety**: may have been opened.
    async fn open(&self, key: &SessionKey, spec: &SessionSpec) -> Result<SessionView, CsiError>;

    /// Closes a session; one that is not there is fine. Programs that have files of it open keep them.
    ///
    /// **Errors**: `Agent`. **Cancel safety**: may have been closed.
    async fn close(&self, key: &SessionKey) -> Result<(), CsiError>;

    /// All sessions, within a second. **Errors**: `Agent`.
    async fn list(&self) -> Result<Vec<SessionView>, CsiError>;
}

/// How long a session may take to be opened: the agent may be about to be replaced.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How long closing may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(20);
/// How long a list may take; a probe waits for it, and a probe takes less than a second.
const LIST_LIMIT: Duration = Duration::from_millis(900);

/// The FUSE agent of this node, behind its socket.
pub struct AgentMounter {
    agent: FuseAgentClient<Channel>,
}

impl AgentMounter {
    /// Connects when it is needed, and again when the agent was replaced.
    pub fn new(socket: &Path) -> Self {
        AgentMounter { agent: FuseAgentClient::new(socket::channel(socket)) }
    }
}

fn within<T>(limit: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

/// Gives up when the agent does, or when nobody answers in time.
async fn answer<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, CsiError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => {
            let message = status.message().to_owned();
            Err(CsiError::Agent { code: code_of(&status), message })
        }
        Err(_) => {
            let message = format!("no answer within {limit:?}");
            Err(CsiError::Agent { code: Code::DeadlineExceeded, message })
        }
    }
}

#[async_trait::async_trait]
impl Mounter for AgentMounter {
    async fn open(&self, key: &SessionKey, spec: &SessionSpec) -> Result<SessionView, CsiError> {
        let spec = agent::SessionSpec { path: spec.path.clone(), options: spec.options.clone() };
        let message = agent::OpenSessionRequest { key: key.as_str().to_owned(), spec: Some(spec) };
        let mut agent = self.agent.clone();
        answer(OPEN_LIMIT, agent.open_session(within(OPEN_LIMIT, message))).await.map(view)
    }

    async fn close(&self, key: &SessionKey) -> Result<(), CsiError> {
        let message = agent::CloseSessionRequest { key: key.as_str().to_owned(), lazy: true };
        let mut agent = self.agent.clone();
        answer(CLOSE_LIMIT, agent.close_session(within(CLOSE_LIMIT, message))).await.map(|_| ())
    }

    async fn list(&self) -> Result<Vec<SessionView>, CsiError> {
        let mut agent = self.agent.clone();
        let message = agent::ListSessionsRequest {};
        let listed = answer(LIST_LIMIT, agent.list_sessions(within(LIST_LIMIT, message))).await?;
        Ok(listed.sessions.into_iter().map(view).collect())
    }
}

fn view(session: agent::Session) -> SessionView {
    let serves = session.state() == agent::SessionState::Serving;
    SessionView {
        dead: (!serves).then_some(session.reason),
        key: SessionKey::known(session.key),
        mount_point: PathBuf::from(session.mount_point),
        device: session.device,
    }
}
