//! The gRPC services: messages in, operations of [`crate::core::Core`], messages out.

pub mod block;
pub mod fs;
pub mod meta;
pub mod peer;
pub(crate) mod quorum;
pub mod worker;

use crate::error::MasterError;
use crate::ops::create::interval_of;
use crate::sync::{Freshness, LoadType};
use alluxio_proto::status::status;
use alluxio_proto::v1::fs as pb;
use alluxio_rpc::UserName;
use alluxio_types::{AlluxioPath, Code};
use tonic::{Request, Status};

/// Who makes the call: put there by `alluxio_rpc::auth::identify`.
fn user<T>(request: &Request<T>) -> Result<String, Status> {
    request
        .extensions()
        .get::<UserName>()
        .map(|user| user.0.clone())
        .ok_or_else(|| status(Code::Unauthenticated, "the call does not say who makes it"))
}

fn path(text: &str) -> Result<AlluxioPath, MasterError> {
    Ok(AlluxioPath::parse(text)?)
}

fn freshness(options: Option<pb::SyncOptions>) -> Freshness {
    let Some(options) = options else { return Freshness::ANY };
    let load = match options.load_type() {
        pb::LoadType::Once => LoadType::Once,
        pb::LoadType::Never => LoadType::Never,
        pb::LoadType::Always => LoadType::Always,
    };
    Freshness { sync_interval: options.sync_interval_ms.and_then(interval_of), load }
}
