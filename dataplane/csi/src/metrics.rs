//! What the driver counts.

use crate::CsiError;
use crate::error::status;
use alluxio_telemetry::Metrics;
use prometheus::{HistogramVec, IntCounter, IntGauge};
use tokio::time::Instant;
use tonic::{Code, Response, Status};

/// The driver's metrics. Cloning is cheap and shares them.
#[derive(Clone)]
pub struct CsiMetrics {
    seconds: HistogramVec,
    /// Places that show what they should.
    pub(crate) healthy: IntGauge,
    /// Places whose session is dead, and not bound anew yet.
    pub(crate) unhealthy: IntGauge,
    /// Places that were bound anew.
    pub(crate) rebound: IntCounter,
}

impl CsiMetrics {
    /// Registers them; `metrics` is of role `csi`.
    ///
    /// **Errors**: when they are registered already.
    pub fn register(metrics: &Metrics) -> Result<Self, prometheus::Error> {
        Ok(CsiMetrics {
            seconds: metrics.seconds_by(
                "operation_duration_seconds",
                "Time of a call of the CSI, by call and outcome",
                &["rpc", "code"],
            )?,
            healthy: metrics.gauge("volume_healthy", "Mounts of volumes that can be used")?,
            unhealthy: metrics
                .gauge("volume_unhealthy", "Mounts of volumes that cannot be used")?,
            rebound: metrics.counter(
                "mounts_rebound_total",
                "Mounts of volumes that were bound to a new session in the place of a dead one",
            )?,
        })
    }

    /// Carries out a call to its end, also when the caller hangs up: what was begun on this machine must not be left
    /// half done. Failures are logged here, and nowhere else; nothing of the request is.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        rpc: &'static str,
        work: impl Future<Output = Result<T, CsiError>> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let metrics = self.clone();
        let task = tokio::spawn(async move {
            let begun = Instant::now();
            let outcome = work.await.map_err(|error| status(&error));
            let code = outcome.as_ref().map_or_else(Status::code, |_| Code::Ok);
            let seconds = begun.elapsed().as_secs_f64();
            metrics.seconds.with_label_values(&[rpc, &format!("{code:?}")]).observe(seconds);
            if let Err(status) = &outcome {
                tracing::warn!(rpc, ?code, error = status.message(), "a call failed");
            }
            outcome
        });
        match task.await {
            Ok(outcome) => outcome.map(Response::new),
            Err(lost) => Err(status(&CsiError::Lost { why: lost.to_string() })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_are_counted_by_outcome_under_good_names() {
        let metrics = Metrics::new("csi");
        let csi = CsiMetrics::register(&metrics).unwrap();
        csi.call("Probe", async { Ok(1) }).await.unwrap();
        let failed = csi.call::<()>("Probe", async { Err(CsiError::Busy { id: "v".into() }) });
        assert_eq!(failed.await.unwrap_err().code(), Code::Aborted);
        let text = metrics.text();
        for code in ["Ok", "Aborted"] {
            let line = format!(
                "alluxio_csi_operation_duration_seconds_count{{code=\"{code}\",rpc=\"Probe\"}} 1"
            );
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.contains("alluxio_csi_volume_healthy 0"));
        assert_eq!(metrics.bad_names(), []);
    }
}
