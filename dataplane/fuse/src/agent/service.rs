//! The agent in the words of its protobuf service.

use super::{Agent, AgentError, Shown};
use alluxio_proto::status::status_of;
use alluxio_proto::v1::agent as proto;
use proto::fuse_agent_server::FuseAgent;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// See the module.
pub(crate) struct Service {
    agent: Agent,
    /// Told when the agent has left everything to another one.
    left: Arc<watch::Sender<bool>>,
}

impl Service {
    pub(crate) fn new(agent: Agent, left: Arc<watch::Sender<bool>>) -> Self {
        Service { agent, left }
    }
}

fn status(error: AgentError) -> Status {
    tracing::debug!(%error, "a call is refused");
    status_of(&error)
}

fn session(shown: Shown) -> proto::Session {
    let state = match &shown.reason {
        None => proto::SessionState::Serving,
        Some(_) => proto::SessionState::Dead,
    };
    let record = shown.record;
    proto::Session {
        key: shown.key.to_string(),
        spec: Some(proto::SessionSpec { path: record.path, options: record.options }),
        mount_point: shown.mount_point.display().to_string(),
        device: record.device,
        state: state.into(),
        reason: shown.reason.unwrap_or_default(),
        resumed: record.resumed,
        resumed_ms: record.resumed_ms,
    }
}

#[tonic::async_trait]
impl FuseAgent for Service {
    async fn open_session(
        &self,
        request: Request<proto::OpenSessionRequest>,
    ) -> Result<Response<proto::Session>, Status> {
        let request = request.into_inner();
        let key = request.key.parse().map_err(|error| status(AgentError::Key(error)))?;
        let spec = request.spec.unwrap_or_default();
        // A caller that goes away does not leave half of a session behind.
        let agent = self.agent.clone();
        let opened = tokio::spawn(async move { agent.open(key, &spec.path, &spec.options).await });
        let opened = opened.await.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(session(opened.map_err(status)?)))
    }

    async fn close_session(
        &self,
        request: Request<proto::CloseSessionRequest>,
    ) -> Result<Response<proto::CloseSessionReply>, Status> {
        let request = request.into_inner();
        let key = request.key.parse().map_err(|error| status(AgentError::Key(error)))?;
        let agent = self.agent.clone();
        let closed = tokio::spawn(async move { agent.close(&key, request.lazy).await });
        let closed = closed.await.map_err(|error| Status::internal(error.to_string()))?;
        closed.map_err(status)?;
        Ok(Response::new(proto::CloseSessionReply {}))
    }

    async fn list_sessions(
        &self,
        _request: Request<proto::ListSessionsRequest>,
    ) -> Result<Response<proto::ListSessionsReply>, Status> {
        let sessions = self.agent.list().into_iter().map(session).collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Response::new(proto::ListSessionsReply { sessions, version }))
    }

    async fn hand_over(
        &self,
        _request: Request<proto::HandOverRequest>,
    ) -> Result<Response<proto::HandOverReply>, Status> {
        tracing::info!("another agent takes over");
        let (agent, left) = (self.agent.clone(), self.left.clone());
        let gone = tokio::spawn(async move {
            agent.leave().await;
            left.send_replace(true);
        });
        gone.await.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(proto::HandOverReply {}))
    }
}
