//! Metadata: durable creates, statuses one by one and in batches, listings.

use crate::cluster::Cluster;
use crate::command::Shared;
use crate::empty::EmptyServer;
use crate::limits::group_commit;
use crate::measure::{Series, Target, Unit};
use alluxio_client::{CreateDirectoryOptions, DeleteOptions, FileSystem, ListStatusOptions};
use alluxio_proto::v1::common::WriteType;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_proto::v1::fs::{BlockWritten, CompleteFileRequest, CreateFileRequest};
use alluxio_proto::v1::meta as pb;
use alluxio_rpc::Repeat;
use alluxio_types::AlluxioPath;
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::time::Instant;

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

/// Creates and statuses.
pub(crate) async fn metadata(shared: &Shared) -> Result<()> {
    let cluster = Cluster::find_or_start(shared, 256 << 20).await?;
    let calls = shared.files;
    shared.note(&format!("{calls} calls a round, {IN_FLIGHT} at once, to {}", cluster.describe()));
    let fs = Arc::new(cluster.connect()?);
    let base = base()?;
    let mut create =
        Series::new("metadata", "create, durable", Unit::OpsPerSecond, "group fdatasync")
            .target(Target::AtLeast(20_000.0));
    let mut status =
        Series::new("metadata", "getStatus, unary", Unit::OpsPerSecond, "empty tonic call")
            .target(Target::Ratio(0.85));
    let mut batched = Series::new("metadata", "getStatus, batched", Unit::OpsPerSecond, "")
        .target(Target::AtLeast(200_000.0));
    let server = EmptyServer::start()?;
    let empty = server.connect().await?;
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

/// Creates and completes files of one block each, which `worker` is said to hold.
pub(crate) async fn cached_files(
    cluster: &Cluster,
    worker: u64,
    directory: &AlluxioPath,
    files: usize,
) -> Result<()> {
    let primary = Arc::new(cluster.primary()?);
    let directory = directory.clone();
    flood(IN_FLIGHT, files, move |index| {
        let (primary, directory) = (primary.clone(), directory.clone());
        async move {
            let create = CreateFileRequest {
                path: directory.join(&format!("file-{index:010}"))?.to_string(),
                block_size_bytes: 64 << 20,
                write_type: WriteType::MustCache.into(),
                ..Default::default()
            };
            let call = |channel| {
                let create = create.clone();
                async move { FileSystemMasterClient::new(channel).create_file(create).await }
            };
            let created = primary.call(Repeat::Harmful, call).await?;
            let id = created.status.map(|status| status.id).unwrap_or_default();
            let blocks = vec![BlockWritten { worker_id: worker, ..Default::default() }];
            let complete =
                CompleteFileRequest { id, length: 1 << 20, blocks, ..Default::default() };
            let call = |channel| {
                let complete = complete.clone();
                async move { FileSystemMasterClient::new(channel).complete_file(complete).await }
            };
            primary.call(Repeat::Harmful, call).await?;
            Ok(())
        }
    })
    .await?;
    Ok(())
}

/// Listing a directory of 10 000 files.
pub(crate) async fn list(shared: &Shared) -> Result<()> {
    const ENTRIES: usize = 10_000;
    let cluster = Cluster::find_or_start(shared, 256 << 20).await?;
    shared.note(&format!("listing {ENTRIES} files of {}", cluster.describe()));
    let fs = Arc::new(cluster.connect()?);
    let base = base()?;
    fs.create_directory(&base, &Default::default()).await?;
    let worker = fs.workers(false).await?.first().map_or(0, |worker| worker.id.0);
    cached_files(&cluster, worker, &base, ENTRIES).await?;
    let series =
        |variant| Series::new("list", variant, Unit::Seconds, "").target(Target::AtMost(0.010));
    let mut variants =
        [(true, series("10 000 entries")), (false, series("10 000 entries, locations"))];
    for round in 0..=shared.rounds {
        for (without_blocks, series) in &mut variants {
            let options =
                ListStatusOptions { without_blocks: *without_blocks, ..Default::default() };
            let started = Instant::now();
            let found = fs.list_status(&base, &options).await?;
            let took = started.elapsed().as_secs_f64();
            ensure!(found.len() == ENTRIES, "{} of {ENTRIES} entries", found.len());
            // The first round warms up both processes.
            if round > 0 {
                series.alone(took);
            }
        }
    }
    remove(&fs, &base).await?;
    for (_, series) in variants {
        series.report(shared);
    }
    Ok(())
}

pub(crate) async fn remove(fs: &FileSystem, base: &AlluxioPath) -> Result<()> {
    let options = DeleteOptions { recursive: true, unchecked: Some(true), ..Default::default() };
    fs.delete(base, &options).await?;
    Ok(())
}
