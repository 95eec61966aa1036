//! Metadata: durable creates, statuses one by one and in batches, listings.

use crate::cluster::Cluster;
use crate::command::Shared;
use crate::limits::group_commit;
use crate::measure::{Series, Unit};
use alluxio_client::{CreateDirectoryOptions, DeleteOptions, FileSystem};
use alluxio_proto::v1::common::WriteType;
use alluxio_proto::v1::fs::CreateFileRequest;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_proto::v1::meta as pb;
use alluxio_proto::v1::meta::meta_master_client::MetaMasterClient;
use alluxio_proto::v1::meta::meta_master_server::{MetaMaster, MetaMasterServer};
use alluxio_rpc::Repeat;
use alluxio_types::AlluxioPath;
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::time::Instant;
use tonic::{Request, Response, Status};

/// Calls that are under way at once.
const IN_FLIGHT: usize = 64;
/// Paths of one batched status call.
const BATCH: usize = 1000;

fn base() -> Result<AlluxioPath> {
    Ok(AlluxioPath::parse(&format!("/alluxio-bench-{}", std::process::id()))?)
}

/// Runs `calls` calls with `in_flight` at once; calls per second.
async fn flood<F, Fut>(in_flight: usize, calls: usize, call: F) -> Result<f64>
where
    F: Fn(usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let call = Arc::new(call);
    let started = Instant::now();
    let mut tasks = Vec::with_capacity(in_flight);
    for first in 0..in_flight {
        let call = call.clone();
        tasks.push(tokio::spawn(async move {
            for index in (first..calls).step_by(in_flight) {
                call(index).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(calls as f64 / started.elapsed().as_secs_f64())
}

/// A server that answers at once with nothing: what a call costs without us.
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
}

/// A channel to an [`Empty`] server in a process of its own would be fairer still; in this one, it
/// shares the cores with its client just as the cluster's process does.
async fn empty_server() -> Result<MetaMasterClient<tonic::transport::Channel>> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder()
        .add_service(MetaMasterServer::new(Empty))
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?;
    Ok(MetaMasterClient::new(endpoint.tcp_nodelay(true).connect().await?))
}

/// Creates and statuses.
pub(crate) async fn metadata(shared: &Shared) -> Result<()> {
    let cluster = Cluster::find_or_start(&shared.environment, 256 << 20).await?;
    let calls = shared.files;
    shared.note(&format!("{calls} calls a round, {IN_FLIGHT} at once, to {}", cluster.describe()));
    let fs = Arc::new(cluster.connect()?);
    let base = base()?;
    let mut create =
        Series::new("metadata", "create, durable", Unit::OpsPerSecond, "group fdatasync");
    let mut status =
        Series::new("metadata", "getStatus, unary", Unit::OpsPerSecond, "empty tonic call");
    let mut batched = Series::new("metadata", "getStatus, batched", Unit::OpsPerSecond, "");
    let empty = empty_server().await?;
    let scratch = tempfile::tempdir()?;
    for round in 0..shared.rounds {
        let directory = base.join(&format!("round-{round}"))?;
        let options = CreateDirectoryOptions { recursive: true, ..Default::default() };
        fs.create_directory(&directory, &options).await?;
        create.round(
            creates(&cluster, &directory, calls).await?,
            group_commit(scratch.path(), IN_FLIGHT, calls / IN_FLIGHT)?,
        );
        let limit = {
            let empty = empty.clone();
            flood(IN_FLIGHT, calls, move |_| {
                let mut empty = empty.clone();
                async move {
                    empty.checkpoint(pb::CheckpointRequest {}).await?;
                    Ok(())
                }
            })
        };
        status.round(statuses(&fs, &directory, calls).await?, limit.await?);
        batched.alone(in_batches(&fs, &directory, calls).await?);
    }
    remove(&fs, &base).await?;
    for series in [create, status, batched] {
        series.report(shared);
    }
    Ok(())
}

/// Bare creates: no worker is asked for a block, nothing is completed.
async fn creates(cluster: &Cluster, directory: &AlluxioPath, calls: usize) -> Result<f64> {
    let primary = Arc::new(cluster.primary()?);
    let directory = directory.clone();
    flood(IN_FLIGHT, calls, move |index| {
        let (primary, directory) = (primary.clone(), directory.clone());
        async move {
            let request = CreateFileRequest {
                path: directory.join(&format!("file-{index:010}"))?.to_string(),
                block_size_bytes: 64 << 20,
                write_type: WriteType::MustCache.into(),
                ..Default::default()
            };
            let call = |channel| {
                let request = request.clone();
                async move { FileSystemMasterClient::new(channel).create_file(request).await }
            };
            primary.call(Repeat::Harmful, call).await?;
            Ok(())
        }
    })
    .await
}

async fn statuses(fs: &Arc<FileSystem>, directory: &AlluxioPath, calls: usize) -> Result<f64> {
    let (fs, directory) = (fs.clone(), directory.clone());
    flood(IN_FLIGHT, calls, move |index| {
        let (fs, directory) = (fs.clone(), directory.clone());
        async move {
            let path = directory.join(&format!("file-{index:010}"))?;
            fs.get_status(&path, &Default::default()).await?;
            Ok(())
        }
    })
    .await
}

async fn in_batches(fs: &Arc<FileSystem>, directory: &AlluxioPath, calls: usize) -> Result<f64> {
    let paths: Vec<AlluxioPath> = (0..calls)
        .map(|index| directory.join(&format!("file-{index:010}")))
        .collect::<Result<_, _>>()?;
    let started = Instant::now();
    for batch in paths.chunks(BATCH) {
        for status in fs.get_statuses(batch, &Default::default()).await? {
            status?;
        }
    }
    Ok(calls as f64 / started.elapsed().as_secs_f64())
}

/// Listing a directory of 10 000 files.
pub(crate) async fn list(shared: &Shared) -> Result<()> {
    const ENTRIES: usize = 10_000;
    let cluster = Cluster::find_or_start(&shared.environment, 256 << 20).await?;
    shared.note(&format!("listing {ENTRIES} files of {}", cluster.describe()));
    let fs = Arc::new(cluster.connect()?);
    let base = base()?;
    fs.create_directory(&base, &Default::default()).await?;
    creates(&cluster, &base, ENTRIES).await?;
    let mut series = Series::new("list", "10 000 entries", Unit::Seconds, "");
    for round in 0..=shared.rounds {
        let started = Instant::now();
        let found = fs.list_status(&base, &Default::default()).await?;
        ensure!(found.len() == ENTRIES, "{} of {ENTRIES} entries", found.len());
        if round > 0 {
            series.alone(started.elapsed().as_secs_f64());
        }
    }
    remove(&fs, &base).await?;
    series.report(shared);
    Ok(())
}

async fn remove(fs: &FileSystem, base: &AlluxioPath) -> Result<()> {
    let options = DeleteOptions { recursive: true, unchecked: Some(true), ..Default::default() };
    fs.delete(base, &options).await?;
    Ok(())
}
