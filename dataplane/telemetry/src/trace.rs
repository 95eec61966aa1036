//! The tracing subscriber of a process, and changing its level while it runs.

use alluxio_config::{GeneralConfig, LogFormat};
use std::sync::Arc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Who reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// A server's log: standard output, JSON unless configured otherwise.
    Server,
    /// Somebody at a terminal: standard error, text; standard output carries data.
    Terminal,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Directives that cannot be read.
    #[error(
        "log level {directives:?} is not a level (error, warn, info, debug, trace) or a list \
             like info,alluxio_master=debug"
    )]
    BadDirectives {
        /// What was given.
        directives: String,
    },
    /// Another subscriber is there already.
    #[error("logging is set up already")]
    AlreadyInstalled,
}

/// Changes the level while the process runs. Cloning is cheap.
#[derive(Clone)]
pub struct LogControl {
    inner: Option<Arc<reload::Handle<EnvFilter, Registry>>>,
}

impl LogControl {
    /// A control that controls nothing, for tests and embedded clusters.
    pub fn none() -> Self {
        LogControl { inner: None }
    }

    /// The directives in force; empty when there is nothing to control.
    pub fn directives(&self) -> String {
        let current = self
            .inner
            .as_ref()
            .and_then(|handle| handle.with_current(|filter: &EnvFilter| filter.to_string()).ok());
        current.unwrap_or_default()
    }

    /// Puts other directives in force: a level, or a list like `info,alluxio_master=debug`.
    ///
    /// **Errors**: `BadDirectives`; the old ones stay.
    pub fn set(&self, directives: &str) -> Result<(), TraceError> {
        let filter = parse(directives)?;
        if let Some(handle) = &self.inner {
            // It fails only when the subscriber is gone, and then there is no log to control.
            let _ = handle.reload(filter);
        }
        Ok(())
    }
}

/// Crates whose debug logs drown ours.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,tower=warn,reqwest=warn,rustls=warn";

fn parse(directives: &str) -> Result<EnvFilter, TraceError> {
    let bad = || TraceError::BadDirectives { directives: directives.to_owned() };
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in directives.split(',').map(str::trim) {
        // Without this, a misspelt level would silently be read as the name of a module.
        let level = directive.rsplit('=').next().unwrap_or_default();
        if !known.contains(&level.to_lowercase().as_str()) {
            return Err(bad());
        }
    }
    EnvFilter::try_new(format!("{QUIET},{directives}")).map_err(|_| bad())
}

/// Installs the subscriber. `directives` (from the environment variable `LOG`) win over the
/// configured level.
///
/// **Errors**: `BadDirectives`, `AlreadyInstalled`.
pub fn install(
    config: &GeneralConfig,
    target: LogTarget,
    directives: Option<&str>,
) -> Result<LogControl, TraceError> {
    let directives = directives.filter(|text| !text.is_empty()).unwrap_or(&config.log_level);
    let (filter, handle) = reload::Layer::new(parse(directives)?);
    let json = match config.log_format {
        LogFormat::Auto => target == LogTarget::Server,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match (target, json) {
        (LogTarget::Server, true) => {
            registry.with(fmt::layer().json().flatten_event(true)).try_init()
        }
        (LogTarget::Server, false) => registry.with(fmt::layer().with_ansi(false)).try_init(),
        (LogTarget::Terminal, true) => {
            let layer = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(layer).try_init()
        }
        (LogTarget::Terminal, false) => {
            let layer = fmt::layer().with_ansi(false).with_target(false);
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
    };
    installed.map_err(|_| TraceError::AlreadyInstalled)?;
    Ok(LogControl { inner: Some(Arc::new(handle)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_config::Config;

    #[test]
    fn the_level_can_be_changed_and_nonsense_is_refused() {
        let config = Config::of([("alluxio.log.level", "WARN")]).unwrap().general().unwrap();
        let control = install(&config, LogTarget::Terminal, None).unwrap();
        assert!(control.directives().ends_with("warn"), "{}", control.directives());
        control.set("info,alluxio_master=debug").unwrap();
        assert!(control.directives().contains("alluxio_master=debug"));
        assert!(matches!(control.set("loud"), Err(TraceError::BadDirectives { .. })));
        assert!(control.directives().contains("alluxio_master=debug"), "the old ones stay");
        assert!(install(&config, LogTarget::Terminal, None).is_err());
    }
}
