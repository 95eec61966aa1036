//! Against a real HDFS.

use crate::conformance::{Fixture, refused};
use crate::error::Error;
use crate::registry::{UfsSettings, UnderFsRegistry};
use crate::under_fs::UnderFs;
use alluxio_testservers::Hdfs;
use alluxio_types::MountOptions;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// One cluster for all tests of this process.
pub(crate) fn server() -> &'static Hdfs {
    static SERVER: OnceLock<Hdfs> = OnceLock::new();
    SERVER.get_or_init(Hdfs::start)
}

fn open(root: &str, options: &[(&str, &str)]) -> Arc<dyn UnderFs> {
    let pairs = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let options = MountOptions(BTreeMap::from_iter(pairs));
    UnderFsRegistry::new(UfsSettings::default()).open(root, &options).unwrap()
}

/// A new directory of the cluster, by the protocol of `base`.
pub(crate) async fn fixture_at(base: &str) -> Fixture {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let fixture = Fixture::new(open(&format!("{base}/test-{number}"), &[]));
    fixture.mkdir("").await;
    Fixture { many_entries: 250, ..fixture }
}

async fn fixture() -> Fixture {
    fixture_at(&server().uri()).await
}

crate::conformance_tests!(fixture);

#[tokio::test]
async fn another_user_is_refused_what_the_mode_forbids() {
    let fixture = fixture().await;
    fixture.put("mine", "x").await;
    let wanted =
        crate::UfsAttributes { mode: Some(alluxio_types::Mode(0o600)), ..Default::default() };
    fixture.ufs.set_attributes(&fixture.path("mine"), &wanted).await.unwrap();
    let other = open(fixture.ufs.root(), &[("alluxio.underfs.hdfs.user", "somebody")]);
    let read = other.read_range(&fixture.path("mine"), 0, 1, &Default::default()).await;
    refused("reading another user's file", read, |error| {
        matches!(error, Error::PermissionDenied { .. })
    });
}

#[tokio::test]
async fn a_name_service_survives_the_loss_of_its_active_name_node() {
    let (mut cluster, dir) =
        tokio::task::spawn_blocking(|| (Hdfs::start_ha(), tempfile::tempdir().unwrap()))
            .await
            .unwrap();
    let files = cluster.write_configuration("twins", dir.path());
    let ufs = open("hdfs://twins/d", &[("alluxio.underfs.hdfs.configuration", &files)]);
    let fixture = Fixture::new(ufs);
    fixture.mkdir("").await;
    let version = fixture.put("a", "before").await.fingerprint;
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.fail_over();
        cluster
    })
    .await
    .unwrap();
    assert_eq!(fixture.read_version("a", 0, 6, &version).await.unwrap(), b"before");
    fixture.put("b", "after").await;
    assert_eq!(fixture.names("", false).await, ["a", "b"]);
    drop(cluster);
}

#[tokio::test]
async fn a_configuration_file_that_is_missing_is_named() {
    let options = [("alluxio.underfs.hdfs.configuration".to_owned(), "/no/such.xml".to_owned())];
    let registry = UnderFsRegistry::new(UfsSettings::default());
    let options = MountOptions(BTreeMap::from(options));
    let Err(error) = registry.open("hdfs://nn/d", &options) else { panic!("opened") };
    assert!(error.to_string().contains("/no/such.xml"), "{error}");
}
