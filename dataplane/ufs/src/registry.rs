//! From a URI and options to a store.

use crate::error::{Error, Result};
use crate::hdfs;
use crate::http;
use crate::local::LocalUfs;
use crate::location::Location;
use crate::memory::MemoryUfs;
use crate::object;
use crate::options::Options;
use crate::retry::Retries;
use crate::under_fs::UnderFs;
use crate::webhdfs;
use alluxio_host::{Clock, SystemClock};
use alluxio_types::MountOptions;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// First wait before a retry; it doubles, with jitter, up to [`RETRY_WAIT_MAX`].
const RETRY_WAIT_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a retry.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// What holds for all mounts of a process.
#[derive(Clone)]
pub struct UfsSettings {
    /// Options of the under stores from `alluxio-site.properties`, by the same names as a mount's
    /// own, which win.
    pub defaults: MountOptions,
    /// Deadline of one call, and of one step of a stream.
    pub operation_timeout: Duration,
    /// How often a call that may be repeated is tried again.
    pub retries_max: usize,
    /// Wall time of files in the memory store.
    pub clock: Arc<dyn Clock>,
}

impl Default for UfsSettings {
    fn default() -> Self {
        UfsSettings {
            defaults: MountOptions::default(),
            // `alluxio.underfs.s3.request.timeout`.
            operation_timeout: Duration::from_secs(60),
            // With backoff from 50 ms, doubling: about 3 s in all, what a restart of a store's
            // front end takes; longer outages are the caller's to report.
            retries_max: 6,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl UfsSettings {
    /// The rule for trying again of a mount with these options.
    ///
    /// **Errors**: `InvalidOption`.
    pub(crate) fn retries(&self, options: &Options) -> Result<Retries> {
        let times = match options.number("alluxio.underfs.s3.max.error.retry", 0)? {
            Some(times) => Some(times),
            None => options.number("alluxio.underfs.object.store.retry.max.num", 0)?,
        };
        let base = options.duration("alluxio.underfs.object.store.retry.base.sleep")?;
        let max = options.duration("alluxio.underfs.object.store.retry.max.sleep")?;
        let request = options.duration("alluxio.underfs.s3.request.timeout")?;
        let connection = options.duration("alluxio.underfs.web.connection.timeout")?;
        Ok(Retries {
            times_max: times.map_or(self.retries_max, |times| times as usize),
            wait_min: base.unwrap_or(RETRY_WAIT_MIN),
            wait_max: max.unwrap_or(RETRY_WAIT_MAX),
            deadline: request.or(connection).unwrap_or(self.operation_timeout),
        })
    }
}

/// Makes a store for a parsed URI.
pub type Factory = Arc<dyn Fn(&Location, &MountOptions) -> Result<Arc<dyn UnderFs>> + Send + Sync>;

/// Opens stores by the scheme of their URI.
#[derive(Clone)]
pub struct UnderFsRegistry {
    factories: BTreeMap<String, Factory>,
}

impl UnderFsRegistry {
    /// All stores of this crate.
    pub fn new(settings: UfsSettings) -> Self {
        let mut registry = UnderFsRegistry { factories: BTreeMap::new() };
        let clock = settings.clock.clone();
        registry.add(
            "memory",
            Arc::new(move |location, _options| {
                Ok(Arc::new(MemoryUfs::new(location.as_str(), clock.clone())?))
            }),
        );
        let defaults = settings.defaults.clone();
        registry.add(
            "file",
            Arc::new(move |location, options| {
                let options = Options::resolve(location, options, &defaults, &[])?;
                let tolerate = options.flag("alluxio.underfs.allow.set.owner.failure")?;
                Ok(Arc::new(LocalUfs::new(location.clone(), tolerate)))
            }),
        );
        let hdfs = settings.clone();
        registry
            .add("hdfs", Arc::new(move |location, options| hdfs::open(location, options, &hdfs)));
        for scheme in ["webhdfs", "swebhdfs"] {
            let settings = settings.clone();
            registry.add(
                scheme,
                Arc::new(move |location, options| webhdfs::open(location, options, &settings)),
            );
        }
        for scheme in ["http", "https"] {
            let settings = settings.clone();
            registry.add(
                scheme,
                Arc::new(move |location, options| http::open(location, options, &settings)),
            );
        }
        for scheme in object::SCHEMES {
            let settings = settings.clone();
            registry.add(
                scheme,
                Arc::new(move |location, options| object::open(location, options, &settings)),
            );
        }
        registry
    }

    /// Opens URIs with `scheme` by `factory` from now on, whatever opened them before: how tests
    /// bring in a store of their own.
    pub fn add(&mut self, scheme: &str, factory: Factory) {
        self.factories.insert(scheme.to_owned(), factory);
    }

    /// The store at `uri`. Checks URI and options, and opens no connection: call
    /// [`UnderFs::status`] on the root to see whether the store answers. Must be called inside a
    /// tokio runtime.
    ///
    /// **Errors**: `InvalidUri`, `UnsupportedScheme`, `UnknownOption`, `InvalidOption`,
    /// `MissingOption`.
    pub fn open(&self, uri: &str, options: &MountOptions) -> Result<Arc<dyn UnderFs>> {
        let location = Location::parse(uri)?;
        match self.factories.get(location.scheme()) {
            Some(factory) => factory(&location, options),
            None => {
                let known = self.schemes().collect::<Vec<_>>().join(", ");
                Err(Error::UnsupportedScheme { uri: location.as_str().to_owned(), known })
            }
        }
    }

    /// Schemes that [`UnderFsRegistry::open`] knows, sorted.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(uri: &str, options: &[(&str, &str)]) -> Result<Arc<dyn UnderFs>> {
        let pairs = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let options = MountOptions(BTreeMap::from_iter(pairs));
        UnderFsRegistry::new(UfsSettings::default()).open(uri, &options)
    }

    #[tokio::test]
    async fn every_scheme_opens_with_its_usual_options() {
        let azure = "core.windows.net";
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("/data", &[]),
            ("file:///data", &[]),
            ("s3://b/d", &[("s3a.accessKeyId", "id"), ("s3a.secretKey", "key")]),
            ("s3a://b", &[("alluxio.underfs.s3.region", "eu-west-1")]),
            ("gs://b/d", &[]),
            ("gs://b/d", &[("fs.gcs.accessKeyId", "id"), ("fs.gcs.secretAccessKey", "key")]),
            (
                &format!("abfss://c@acct.dfs.{azure}/d"),
                &[("fs.azure.account.key.acct.dfs.core.windows.net", "a2V5")],
            ),
            (
                &format!("wasbs://c@acct.blob.{azure}/d"),
                &[("fs.azure.account.key.acct.blob.core.windows.net", "a2V5")],
            ),
            ("oss://b/d", &[("fs.oss.endpoint", "oss-cn-hangzhou.aliyuncs.com")]),
            ("cosn://b/d", &[("fs.cos.region", "ap-beijing"), ("fs.cos.app.id", "12345")]),
            ("obs://b/d", &[("fs.obs.endpoint", "obs.cn-north-4.myhuaweicloud.com")]),
            (
                "swift://c/d",
                &[("fs.swift.auth.url", "https://s/v1/AUTH_a"), ("fs.swift.token", "token")],
            ),
            ("hdfs://nn:8020/d", &[("dfs.client.use.datanode.hostname", "true")]),
            ("webhdfs://nn:9870/d", &[("alluxio.underfs.hdfs.user", "ann")]),
            ("swebhdfs://nn:9871/d", &[]),
            ("https://host/d", &[("alluxio.underfs.web.titles", "Files of ")]),
            ("memory://m/d", &[]),
        ];
        for (uri, options) in cases {
            match open(uri, options) {
                Ok(ufs) => assert_eq!(ufs.root(), *uri),
                Err(error) => panic!("{uri}: {error}"),
            }
        }
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_named() {
        for (uri, options, want) in [
            ("ftp://host/d", &[][..], "known are abfs, abfss, cos,"),
            ("bucket/d", &[], "write an absolute path, or a URI such as"),
            ("oss://b/d", &[], "needs the option \"fs.oss.endpoint\""),
            ("abfs://acct/d", &[], "as in abfss://container@account.dfs.core.windows.net"),
            ("s3://b", &[("s3a.acessKeyId", "x")], "did you mean \"s3a.accessKeyId\"?"),
            ("/data", &[("s3a.accessKeyId", "x")], "unknown option \"s3a.accessKeyId\""),
            ("s3://b", &[("alluxio.underfs.s3.request.timeout", "soon")], "such as 30s or 5min"),
            ("s3://b", &[("alluxio.underfs.s3.list.objects.v1", "7")], "write true or false"),
        ] {
            let Err(error) = open(uri, options) else { panic!("{uri} was opened") };
            assert!(error.to_string().contains(want), "{uri}: {error}");
        }
    }

    #[tokio::test]
    async fn a_scheme_can_be_taken_over_by_a_test() {
        let mut registry = UnderFsRegistry::new(UfsSettings::default());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let memory = MemoryUfs::new("s3://bucket/d", clock).unwrap();
        let held = memory.clone();
        registry.add("s3", Arc::new(move |_, _| Ok(Arc::new(held.clone()))));
        let ufs = registry.open("s3://bucket/d", &MountOptions::default()).unwrap();
        ufs.mkdir("s3://bucket/d/x", crate::MkdirOptions::default()).await.unwrap();
        assert!(memory.exists("s3://bucket/d/x").await.unwrap());
    }
}
