//! Channels to peers other than the master (workers), kept by address.

use crate::auth::Caller;
use crate::error::RpcError;
use crate::primary::{CallerChannel, HostPort, channel};
use alluxio_host::Net;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

/// Most channels kept. A cluster larger than this still works, the oldest are rebuilt.
const CHANNELS_MAX: usize = 4096;

/// Lazily connected channels, one per address.
pub struct Peers {
    net: Arc<dyn Net>,
    caller: Caller,
    channels: Mutex<HashMap<HostPort, Channel>>,
}

impl Peers {
    /// None yet.
    pub fn new(net: Arc<dyn Net>, caller: Caller) -> Self {
        Peers { net, caller, channels: Mutex::new(HashMap::new()) }
    }

    /// A channel to `address` that says who calls.
    ///
    /// **Errors**: [`RpcError::BadAddress`].
    pub fn channel(&self, address: &HostPort) -> Result<CallerChannel, RpcError> {
        let mut channels = self.channels.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Some(known) = channels.get(address) {
            return Ok(InterceptedService::new(known.clone().into(), self.caller.clone()));
        }
        if channels.len() >= CHANNELS_MAX {
            channels.clear();
        }
        let fresh = channel(&self.net, address)?;
        channels.insert(address.clone(), fresh.clone());
        Ok(InterceptedService::new(fresh.into(), self.caller.clone()))
    }
}
