//! Against a real S3 server.

use crate::conformance::{Fixture, pattern, refused};
use crate::error::Error;
use crate::registry::{UfsSettings, UnderFsRegistry};
use crate::under_fs::{CreateOptions, UnderFs};
use alluxio_testservers::minio::{ACCESS_KEY, Minio, SECRET_KEY};
use alluxio_types::MountOptions;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One server for all tests of this process.
fn server() -> &'static Minio {
    static SERVER: OnceLock<Minio> = OnceLock::new();
    SERVER.get_or_init(Minio::start)
}

fn options(more: &[(&str, &str)]) -> MountOptions {
    let endpoint = server().endpoint();
    let all = [
        ("alluxio.underfs.s3.endpoint", endpoint.as_str()),
        ("s3a.accessKeyId", ACCESS_KEY),
        ("s3a.secretKey", SECRET_KEY),
    ];
    let pairs = all.iter().chain(more);
    MountOptions(pairs.map(|(name, value)| ((*name).into(), (*value).into())).collect())
}

fn open(root: &str, more: &[(&str, &str)]) -> Arc<dyn UnderFs> {
    UnderFsRegistry::new(UfsSettings::default()).open(root, &options(more)).unwrap()
}

async fn fixture() -> Fixture {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let root = format!("s3://{}/test-{number}", Minio::BUCKET);
    // Small pages, so that a few hundred files cross them.
    let ufs = open(&root, &[("alluxio.underfs.listing.length", "100")]);
    Fixture { many_entries: 350, ..Fixture::new(ufs) }
}

crate::conformance_tests!(fixture);

#[tokio::test]
async fn a_missing_bucket_is_named_and_so_is_the_way_out() {
    let ufs = open("s3a://no-such-bucket/d", &[]);
    let error = ufs.status(ufs.root()).await.unwrap_err();
    let want = "s3a://no-such-bucket/d: there is no such bucket; create it, or correct the URI";
    assert_eq!(error.to_string(), want);
}

#[tokio::test]
async fn wrong_credentials_are_refused_without_being_shown() {
    let root = format!("s3://{}/d", Minio::BUCKET);
    for (name, value) in
        [("s3a.secretKey", "a-wrong-secret"), ("s3a.accessKeyId", "a-wrong-key-id")]
    {
        let ufs = open(&root, &[(name, value)]);
        let error = ufs.status(&root).await.unwrap_err();
        assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
        let shown = format!("{error} {error:?}");
        for secret in ["a-wrong-secret", "a-wrong-key-id", SECRET_KEY, ACCESS_KEY] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("s3a.accessKeyId and s3a.secretKey"), "{shown}");
    }
}

#[tokio::test]
async fn half_of_the_credentials_is_a_mistake() {
    let mut options = options(&[]);
    options.0.remove("s3a.secretKey");
    let registry = UnderFsRegistry::new(UfsSettings::default());
    let Err(error) = registry.open("s3://bucket/", &options) else { panic!("opened") };
    assert!(matches!(error, Error::MissingOption { name: "s3a.secretKey", .. }), "{error:?}");
}

#[tokio::test]
async fn old_names_of_the_credentials_work_too() {
    let mut old = options(&[("aws.accessKeyId", ACCESS_KEY), ("aws.secretKey", SECRET_KEY)]);
    old.0.remove("s3a.accessKeyId");
    old.0.remove("s3a.secretKey");
    let root = format!("s3n://{}", Minio::BUCKET);
    let ufs = UnderFsRegistry::new(UfsSettings::default()).open(&root, &old).unwrap();
    assert!(ufs.status(&root).await.unwrap().is_directory());
}

#[tokio::test]
async fn a_server_that_is_away_is_told_after_the_retries() {
    let port = alluxio_testservers::process::free_port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let settings = UfsSettings { retries_max: 1, ..UfsSettings::default() };
    let more = [("alluxio.underfs.s3.endpoint", endpoint.as_str())];
    let ufs = UnderFsRegistry::new(settings).open("s3://b/d", &options(&more)).unwrap();
    let error = ufs.status("s3://b/d/x").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_at_the_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let limit = Duration::from_millis(300);
    let settings = UfsSettings { operation_timeout: limit, ..UfsSettings::default() };
    let more = [("alluxio.underfs.s3.endpoint", endpoint.as_str())];
    let ufs = UnderFsRegistry::new(settings).open("s3://b/d", &options(&more)).unwrap();
    let error = ufs.status("s3://b/d/x").await.unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded { .. }), "{error:?}");
}

/// Puts an object by its key, with slashes and all, past the rules of the store.
async fn put_key(fixture: &Fixture, key: &str, bytes: &str) {
    let root = fixture.ufs.root().to_owned();
    let s3 = opendal::services::S3::default()
        .bucket(Minio::BUCKET)
        .root(root.strip_prefix("s3://test-bucket").unwrap())
        .endpoint(&server().endpoint())
        .region("us-east-1")
        .access_key_id(ACCESS_KEY)
        .secret_access_key(SECRET_KEY);
    let transport = opendal_http_transport_reqwest::ReqwestTransport::new(reqwest::Client::new());
    let context = opendal::OperationContext::new()
        .with_http_transport(opendal::HttpTransporter::new(transport));
    let operator = opendal::Operator::new(s3).unwrap().with_context(context);
    if key.ends_with('/') {
        operator.create_dir(key).await.unwrap();
    } else {
        operator.write(key, bytes.to_owned()).await.unwrap();
    }
}

#[tokio::test]
async fn a_tree_that_somebody_else_uploaded_has_its_directories() {
    let fixture = fixture().await;
    for key in ["a/b/c", "a/d", "e/f/g/h", "top"] {
        put_key(&fixture, key, "x").await;
    }
    assert_eq!(fixture.names("", false).await, ["a", "e", "top"]);
    assert!(fixture.facts("e/f").await.is_directory());
    let all = ["a", "a/b", "a/b/c", "a/d", "e", "e/f", "e/f/g", "e/f/g/h", "top"];
    assert_eq!(fixture.names("", true).await, all);
    // The last file of a directory takes nothing with it.
    fixture.ufs.delete_file(&fixture.path("e/f/g/h")).await.unwrap();
    assert!(fixture.facts("e/f/g").await.is_directory());
    fixture.ufs.rename_dir(&fixture.path("a"), &fixture.path("z")).await.unwrap();
    let all = ["e", "e/f", "e/f/g", "top", "z", "z/b", "z/b/c", "z/d"];
    assert_eq!(fixture.names("", true).await, all);
}

#[tokio::test]
async fn an_object_that_is_also_a_prefix_is_a_file() {
    let fixture = fixture().await;
    for key in ["both", "both-not", "other/x"] {
        put_key(&fixture, key, "file").await;
    }
    // MinIO keeps objects as files and cannot hold such a pair; a marker beside a file it can.
    put_key(&fixture, "both/", "").await;
    assert!(!fixture.facts("both").await.is_directory());
    for recursive in [false, true] {
        let names = fixture.names("", recursive).await;
        let both = names.iter().filter(|name| name.as_str() == "both").count();
        assert_eq!(both, 1, "{names:?}");
    }
}

#[tokio::test]
async fn a_multipart_upload_is_one_version_and_may_be_replaced() {
    let fixture = fixture().await;
    let bytes = pattern(40 * 1024 * 1024, 11);
    let options = CreateOptions { length_hint: Some(bytes.len() as u64), ..Default::default() };
    let mut writer = fixture.ufs.create(&fixture.path("large"), options).await.unwrap();
    for piece in bytes.chunks(1024 * 1024) {
        writer.write(bytes::Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let facts = writer.finish().await.unwrap();
    assert_eq!(facts.fingerprint, fixture.facts("large").await.fingerprint);
    let range = fixture.read_version("large", 7, 30 * 1024 * 1024, &facts.fingerprint).await;
    assert!(range.unwrap() == bytes[7..7 + 30 * 1024 * 1024]);
    fixture.put("large", "small").await;
    let old = fixture.read_version("large", 0, 5, &facts.fingerprint).await;
    refused("reading the replaced version", old, Error::is_changed);
}

#[tokio::test]
async fn names_that_the_client_library_would_change_are_refused() {
    let fixture = fixture().await;
    let created = fixture.ufs.create(&fixture.path("d/x "), CreateOptions::default()).await;
    refused("a name with a space at its end", created.map(drop), |error| {
        matches!(error, Error::InvalidUri { .. })
    });
}

/// A server that answers with these responses in turn, and with the last one from then on.
async fn scripted(responses: &[String]) -> Arc<dyn UnderFs> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut responses: std::collections::VecDeque<String> = responses.to_vec().into();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 64 * 1024];
            let _ = stream.read(&mut request).await;
            let next = responses.front().cloned().unwrap_or_default();
            if responses.len() > 1 {
                responses.pop_front();
            }
            let _ = stream.write_all(next.as_bytes()).await;
        }
    });
    let settings = UfsSettings { retries_max: 2, ..UfsSettings::default() };
    let more = [
        ("alluxio.underfs.s3.endpoint", endpoint.as_str()),
        ("alluxio.underfs.object.store.retry.base.sleep", "1ms"),
        ("alluxio.underfs.object.store.retry.max.sleep", "2ms"),
    ];
    let mut options = options_without_server();
    options.0.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    UnderFsRegistry::new(settings).open("s3://b/d", &options).unwrap()
}

fn options_without_server() -> MountOptions {
    let pairs = [("s3a.accessKeyId", ACCESS_KEY), ("s3a.secretKey", SECRET_KEY)];
    MountOptions(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
}

fn response(status: &str, announced: usize, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\netag: \"e\"\r\ncontent-length: {announced}\r\n\
         content-range: bytes 0-9/10\r\nconnection: close\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_store_that_asks_to_slow_down_is_asked_again() {
    let slow = response("503 Slow Down", 0, "");
    let ufs = scripted(&[slow.clone(), slow, response("200 OK", 10, "")]).await;
    assert_eq!(ufs.status("s3://b/d/x").await.unwrap().length, 10);
}

#[tokio::test]
async fn a_store_that_fails_for_ever_is_told_as_such() {
    for (status, want) in [("503 Slow Down", "Busy"), ("500 Oops", "Unavailable")] {
        let ufs = scripted(&[response(status, 0, "")]).await;
        let error = ufs.status("s3://b/d/x").await.unwrap_err();
        assert!(error.is_temporary(), "{status}: {error:?} is not {want}");
    }
}

#[tokio::test]
async fn a_refusal_without_words_names_the_credentials() {
    let ufs = scripted(&[response("403 Forbidden", 0, "")]).await;
    let error = ufs.status("s3://b/d/x").await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("credentials"), "{error}");
}

#[tokio::test]
async fn bytes_that_stop_short_are_never_taken_for_the_whole() {
    let ufs = scripted(&[response("206 Partial Content", 10, "01234")]).await;
    let version = alluxio_types::Fingerprint("object;len=10;etag=e".into());
    let read = ufs.read_range("s3://b/d/x", 0, 10, &version).await;
    let read = match read {
        Ok(stream) => crate::conformance::drain(stream).await,
        Err(error) => Err(error),
    };
    refused("half an object", read, Error::is_temporary);
}

#[tokio::test]
async fn a_read_whose_connection_breaks_goes_on_from_there() {
    let cut = response("206 Partial Content", 10, "01234");
    let rest = response("206 Partial Content", 5, "56789");
    let ufs = scripted(&[cut, response("503 Slow Down", 0, ""), rest]).await;
    let version = alluxio_types::Fingerprint("object;len=10;etag=e".into());
    let stream = ufs.read_range("s3://b/d/x", 0, 10, &version).await.unwrap();
    assert_eq!(crate::conformance::drain(stream).await.unwrap(), b"0123456789");
}
