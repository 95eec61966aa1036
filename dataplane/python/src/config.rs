//! Which cluster, and as whom.

use crate::error::SetupError;
use alluxio_config::source::SiteFile;
use alluxio_config::{ClientConfig, Config, HostPort, Roles, Sources};
use std::path::{Path, PathBuf};

/// The configuration of this process, as every program of Alluxio finds it, with `properties` on top.
///
/// `masters` are those of a URL (`host:port,host:port`) and stand in for the configured ones; `conf_dir` is
/// the folder of `alluxio-site.properties`, for who does not want it to be searched for.
pub(crate) fn load(
    properties: Vec<(String, String)>,
    masters: Option<&str>,
    conf_dir: Option<PathBuf>,
) -> Result<ClientConfig, SetupError> {
    let masters = masters.map(parse_masters).transpose()?.unwrap_or_default();
    // What is no text in UTF-8 is no property.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut sources =
        Sources::process(environment).for_roles(Roles::CLIENT).with_arguments(properties);
    if let Some(dir) = conf_dir {
        sources = sources.with_site_file(SiteFile::At(Path::join(&dir, "alluxio-site.properties")));
    }
    if let Some(first) = masters.first() {
        // A URL stands in for a configured host.
        sources = sources.with_runtime([("alluxio.master.hostname", first.host.clone())]);
    }
    let mut config = Config::load(sources)?.client()?;
    if !masters.is_empty() {
        config.masters = masters;
        // The configured etcd knows another cluster.
        config.etcd = None;
    }
    Ok(config)
}

fn parse_masters(text: &str) -> Result<Vec<HostPort>, SetupError> {
    text.split([',', ';', '+'])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_err(|_| SetupError::Masters { text: text.to_owned() }))
        .collect()
}
