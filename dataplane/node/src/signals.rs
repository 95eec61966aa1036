//! Being told to stop.

use crate::NodeError;
use crate::error::at;
use tokio::signal::unix::{SignalKind, signal};

/// Ends with the signal's name when the process is told to stop. Listens from the call on: a signal
/// that comes before the future is polled is not lost.
///
/// **Errors**: when the system allows no handlers.
pub(crate) fn stop_requested() -> Result<impl Future<Output = &'static str>, NodeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(at("listen to", "SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(at("listen to", "SIGINT"))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
