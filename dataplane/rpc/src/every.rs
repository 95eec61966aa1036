//! Calls to one master after the other, whatever its role: for those who want to know how each is.

use crate::error::RpcError;
use crate::primary::{CallerChannel, HostPort, Primary};
use std::future::Future;
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::{Response, Status};

impl Primary {
    /// Asks the master at `address`, once, and waits no longer than `limit`.
    ///
    /// **Errors**: [`RpcError::Refused`] with the server's words; `Unreachable`.
    pub async fn ask<T, F, Fut>(
        &self,
        address: &HostPort,
        limit: Duration,
        call: F,
    ) -> Result<T, RpcError>
    where
        F: FnOnce(CallerChannel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let channel =
            InterceptedService::new(self.channel_to(address)?.into(), self.caller().clone());
        let unreachable = |last: String| RpcError::Unreachable {
            target: address.to_string(),
            seconds: limit.as_secs(),
            last,
        };
        match tokio::time::timeout(limit, call(channel)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) if status.metadata().contains_key(alluxio_proto::status::CODE_KEY) => {
                Err(RpcError::from_status(&status))
            }
            Ok(Err(status)) => Err(unreachable(status.message().to_owned())),
            Err(_) => Err(unreachable(format!("no answer within {} ms", limit.as_millis()))),
        }
    }
}
