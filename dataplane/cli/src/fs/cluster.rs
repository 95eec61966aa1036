//! `masterInfo`, `leader`, `getCapacityBytes`, `getUsedBytes`.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use crate::view;
use alluxio_client::{Capacity, ClientError};
use serde_json::json;

fn failed(error: ClientError) -> CliError {
    CliError::cluster("cannot ask the master", &error)
}

async fn room(session: &Session) -> Result<Capacity, CliError> {
    session.fs()?.capacity().await.map_err(failed)
}

/// `getCapacityBytes`
pub(crate) async fn capacity(session: &Session, screen: &Screen) -> Result<(), CliError> {
    let bytes = room(session).await?.capacity_bytes;
    screen.either(|| json!({"capacityBytes": bytes}), || format!("Capacity Bytes: {bytes}"))
}

/// `getUsedBytes`
pub(crate) async fn used(session: &Session, screen: &Screen) -> Result<(), CliError> {
    let bytes = room(session).await?.used_bytes;
    screen.either(|| json!({"usedBytes": bytes}), || format!("Used Bytes: {bytes}"))
}

/// `leader`
pub(crate) async fn leader(session: &Session, screen: &Screen) -> Result<(), CliError> {
    let info = session.fs()?.master_info().await.map_err(failed)?;
    let host = info.leader.host;
    screen.either(|| json!({"leader": host}), || host.clone())
}

/// `masterInfo`
pub(crate) async fn master_info(session: &Session, screen: &Screen) -> Result<(), CliError> {
    let info = session.fs()?.master_info().await.map_err(failed)?;
    if screen.json {
        return screen.value(&view::cluster::master_json(&info));
    }
    screen.lines(view::cluster::master_info(&info, &session.dates()?))
}
