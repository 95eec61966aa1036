//! What a call costs without us: a server that answers at once with nothing, in a process of its own
//! like the master that it is compared with.

use alluxio_proto::v1::meta as pb;
use alluxio_proto::v1::meta::meta_master_client::MetaMasterClient;
use alluxio_proto::v1::meta::meta_master_server::{MetaMaster, MetaMasterServer};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use tonic::{Request, Response, Status};

struct Empty;

#[tonic::async_trait]
impl MetaMaster for Empty {
    async fn get_master_info(
        &self,
        _: Request<pb::GetMasterInfoRequest>,
    ) -> Result<Response<pb::GetMasterInfoResponse>, Status> {
        Ok(Response::new(pb::GetMasterInfoResponse::default()))
    }

    async fn checkpoint(
        &self,
        _: Request<pb::CheckpointRequest>,
    ) -> Result<Response<pb::CheckpointResponse>, Status> {
        Ok(Response::new(pb::CheckpointResponse::default()))
    }

    async fn get_configuration(
        &self,
        _: Request<pb::GetConfigurationRequest>,
    ) -> Result<Response<pb::GetConfigurationResponse>, Status> {
        Ok(Response::new(pb::GetConfigurationResponse::default()))
    }

    async fn backup(
        &self,
        _: Request<pb::BackupRequest>,
    ) -> Result<Response<pb::BackupStatus>, Status> {
        Ok(Response::new(pb::BackupStatus::default()))
    }

    async fn get_backup_status(
        &self,
        _: Request<pb::GetBackupStatusRequest>,
    ) -> Result<Response<pb::BackupStatus>, Status> {
        Ok(Response::new(pb::BackupStatus::default()))
    }

    async fn transfer(
        &self,
        _: Request<pb::TransferRequest>,
    ) -> Result<Response<pb::TransferResponse>, Status> {
        Ok(Response::new(pb::TransferResponse::default()))
    }

    async fn get_quorum(
        &self,
        _: Request<pb::GetQuorumRequest>,
    ) -> Result<Response<pb::GetQuorumResponse>, Status> {
        Ok(Response::new(pb::GetQuorumResponse::default()))
    }

    type WatchPrimaryStream = tokio_stream::Empty<Result<pb::PrimarySighting, Status>>;

    async fn watch_primary(
        &self,
        _: Request<pb::WatchPrimaryRequest>,
    ) -> Result<Response<Self::WatchPrimaryStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn get_metrics(
        &self,
        _: Request<pb::GetMetricsRequest>,
    ) -> Result<Response<pb::GetMetricsResponse>, Status> {
        Ok(Response::new(pb::GetMetricsResponse::default()))
    }
}

/// Serves until the process is ended; prints its address first.
pub(crate) async fn serve() -> Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder()
        .add_service(MetaMasterServer::new(Empty))
        .serve_with_incoming(incoming);
    Ok(server.await?)
}

/// The process; it ends with this value.
pub(crate) struct EmptyServer {
    child: Child,
    address: String,
}

impl EmptyServer {
    /// Starts it.
    pub(crate) fn start() -> Result<Self> {
        let program = std::env::current_exe().context("this program's own path")?;
        let mut child = Command::new(program)
            .args(["bench", "empty-server"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start an empty server")?;
        let mut address = String::new();
        let stdout = child.stdout.take().context("the server's output")?;
        BufReader::new(stdout).read_line(&mut address)?;
        Ok(EmptyServer { child, address: address.trim().to_owned() })
    }

    /// A client of it.
    pub(crate) async fn connect(&self) -> Result<MetaMasterClient<tonic::transport::Channel>> {
        let uri = format!("http://{}", self.address);
        let endpoint = tonic::transport::Endpoint::from_shared(uri)?;
        Ok(MetaMasterClient::new(endpoint.tcp_nodelay(true).connect().await?))
    }
}

impl Drop for EmptyServer {
    fn drop(&mut self) {
        // Nothing in it must survive.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
