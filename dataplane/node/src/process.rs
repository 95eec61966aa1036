//! What every role of a process shares: configuration, machine, log.

use crate::NodeError;
use alluxio_config::{Config, GeneralConfig, Roles, Sources};
use alluxio_host::Host;
use alluxio_telemetry::{LogControl, LogTarget, trace};
use std::collections::BTreeMap;

/// Variable with log directives that win over the configured level.
pub const LOG_VARIABLE: &str = "ALLUXIO_LOG";

/// How a process was called.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// `-Dkey=value` of its command line.
    pub definitions: Vec<(String, String)>,
}

impl Invocation {
    /// The configuration's sources, the site file that is found included.
    pub fn sources(&self, roles: Roles) -> Sources {
        let environment: BTreeMap<_, _> =
            self.environment.clone().into_iter().filter(|(name, _)| name != LOG_VARIABLE).collect();
        Sources::process(environment).with_arguments(self.definitions.clone()).for_roles(roles)
    }

    /// Log directives of the environment.
    pub fn log_directives(&self) -> Option<&str> {
        self.environment.get(LOG_VARIABLE).map(String::as_str)
    }
}

/// What every role of a process shares. Cloning is cheap enough for once per role.
#[derive(Clone)]
pub struct Process {
    /// The merged configuration.
    pub config: Config,
    /// The machine.
    pub host: Host,
    /// The log.
    pub log: LogControl,
}

impl Process {
    /// A process without a log of its own, for tests and embedded clusters.
    pub fn embedded(config: Config) -> Self {
        Process { config, host: Host::real(), log: LogControl::none() }
    }

    /// Loads the configuration and installs the log: once per process, by `main`.
    ///
    /// **Errors**: `Config`, `Trace`.
    pub fn set_up(
        invocation: &Invocation,
        config: Config,
        target: LogTarget,
    ) -> Result<Self, NodeError> {
        let general = config.general()?;
        let log = trace::install(&general, target, invocation.log_directives())?;
        for warning in config.warnings() {
            tracing::warn!(%warning, "configuration");
        }
        Ok(Process { config, host: Host::real(), log })
    }

    /// What every role needs.
    ///
    /// **Errors**: `Config`.
    pub fn general(&self) -> Result<GeneralConfig, NodeError> {
        Ok(self.config.general()?)
    }

    /// The same process with other values on top.
    ///
    /// **Errors**: `Config`.
    pub fn with(
        &self,
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, NodeError> {
        Ok(Process { config: self.config.with(pairs)?, ..self.clone() })
    }
}
