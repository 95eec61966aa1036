//! Against a small web server that lies on command.

use super::*;
use crate::conformance::{Fixture, drain, refused};
use crate::registry::UnderFsRegistry;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server has and does.
#[derive(Default)]
struct Site {
    /// Path to entity tag and body. A path that ends with a slash is an index page.
    files: BTreeMap<String, (String, String)>,
    /// Answers everything with this status first, that many times.
    failures: (u16, usize),
    ignores_ranges: bool,
    wants: Option<String>,
}

type Shared = Arc<Mutex<Site>>;

async fn serve(site: Shared) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, site.clone()));
        }
    });
    format!("http://{address}/d")
}

async fn answer(mut stream: TcpStream, site: Shared) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        request.push(byte[0]);
    }
    let response = respond(&String::from_utf8(request).unwrap(), &site);
    let _ = stream.write_all(response.as_bytes()).await;
}

fn respond(request: &str, site: &Shared) -> String {
    let mut site = site.lock().unwrap();
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let value = |name: &str| {
        let line = request.lines().find(|line| line.to_lowercase().starts_with(name))?;
        Some(line.split_once(": ")?.1.to_owned())
    };
    let plain = |status: u16| {
        format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    };
    if site.failures.1 > 0 {
        site.failures.1 -= 1;
        return plain(site.failures.0);
    }
    if site.wants.is_some() && value("authorization") != site.wants {
        return plain(401);
    }
    let Some((tag, body)) = site.files.get(path).cloned() else { return plain(404) };
    if value("if-match").is_some_and(|wanted| wanted != tag) {
        return plain(412);
    }
    let kind = if path.ends_with('/') { "text/html" } else { "text/plain" };
    let mut head = format!("etag: {tag}\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    let (mut status, mut body) = (200, body);
    if let Some(range) = value("range").filter(|_| !site.ignores_ranges) {
        let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        head.push_str(&format!("content-range: bytes {from}-{to}/{}\r\n", body.len()));
        body = body[from..=to].to_owned();
        status = 206;
    }
    let length = body.len();
    let body = if method == "HEAD" { String::new() } else { body };
    format!("HTTP/1.1 {status} X\r\n{head}content-length: {length}\r\n\r\n{body}")
}

fn site(files: &[(&str, &str)]) -> Shared {
    let files = files
        .iter()
        .map(|(path, body)| ((*path).to_owned(), ("\"v1\"".to_owned(), (*body).to_owned())));
    Arc::new(Mutex::new(Site { files: files.collect(), ..Site::default() }))
}

async fn fixture_with(site: &Shared, options: &[(&str, &str)]) -> Fixture {
    let root = serve(site.clone()).await;
    let pairs = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let options = MountOptions(BTreeMap::from_iter(pairs));
    let ufs = UnderFsRegistry::new(UfsSettings::default()).open(&root, &options).unwrap();
    Fixture::new(ufs)
}

const INDEX: &str = "<title>Index of /d</title><a href=\"../\">../</a>\
    <a href=\"a%20b\">a b</a><a href=\"gone\">gone</a><a href=\"sub/\">sub/</a>";
const SUB: &str = "<title>Index of /d/sub</title><a href=\"c\">c</a>";

#[tokio::test]
async fn a_tree_of_index_pages_is_listed() {
    let site = site(&[("/d/", INDEX), ("/d/a%20b", "hello"), ("/d/sub/", SUB), ("/d/sub/c", "x")]);
    let fixture = fixture_with(&site, &[]).await;
    assert!(fixture.facts("").await.is_directory());
    assert_eq!(fixture.names("", false).await, ["a b", "sub"]);
    assert_eq!(fixture.names("", true).await, ["a b", "sub", "sub/c"]);
    assert!(fixture.facts("sub").await.is_directory());
    assert!(!fixture.exists("gone").await);
    let entries = fixture.list("", false).await.unwrap();
    assert_eq!(entries[0].facts, fixture.facts("a b").await);
    refused("listing a file", fixture.list("a b", false).await, |error| {
        matches!(error, Error::NotADirectory { .. })
    });
}

#[tokio::test]
async fn ranges_come_back_even_from_a_server_that_has_none() {
    for ignores_ranges in [false, true] {
        let site = site(&[("/d/f", "0123456789")]);
        site.lock().unwrap().ignores_ranges = ignores_ranges;
        let fixture = fixture_with(&site, &[]).await;
        let version = fixture.facts("f").await.fingerprint;
        for (from, length, want) in [(0, 10, "0123456789"), (3, 4, "3456"), (9, 1, "9"), (5, 0, "")]
        {
            let got = fixture.read_version("f", from, length, &version).await;
            assert_eq!(got.as_deref(), Ok(want.as_bytes()));
        }
        refused("reading beyond the end", fixture.read("f", 9, 2).await, |error| {
            matches!(error, Error::OutOfRange { .. })
        });
    }
}

#[tokio::test]
async fn another_version_is_refused_before_and_after_the_bytes() {
    let site = site(&[("/d/f", "old")]);
    let fixture = fixture_with(&site, &[]).await;
    let old = fixture.facts("f").await.fingerprint;
    let path = fixture.path("f");
    let replace = |tag: &str, text: &str| {
        let file = (tag.to_owned(), text.to_owned());
        site.lock().unwrap().files.insert("/d/f".to_owned(), file);
    };
    let stream = fixture.ufs.read_range(&path, 0, 3, &old).await.unwrap();
    replace("\"v2\"", "new");
    refused("a read during a change", drain(stream).await, Error::is_changed);
    refused("an old version", fixture.read_version("f", 0, 3, &old).await, Error::is_changed);
    assert_eq!(fixture.read("f", 0, 3).await.unwrap(), b"new");
}

#[tokio::test]
async fn a_server_that_fails_for_a_moment_is_asked_again() {
    let site = site(&[("/d/f", "x")]);
    site.lock().unwrap().failures = (503, 2);
    let fixture = fixture_with(&site, &[]).await;
    assert_eq!(fixture.facts("f").await.length, 1);
}

#[tokio::test]
async fn credentials_are_sent_and_a_refusal_names_the_options() {
    let site = site(&[("/d/f", "x")]);
    site.lock().unwrap().wants = Some("Basic YW5uOmh1c2gtaHVzaA==".to_owned());
    let without = fixture_with(&site, &[]).await;
    let error = without.ufs.status(&without.path("f")).await.unwrap_err();
    assert!(error.to_string().contains("alluxio.underfs.web.username"), "{error}");
    let options =
        [("alluxio.underfs.web.username", "ann"), ("alluxio.underfs.web.password", "hush-hush")];
    let with = fixture_with(&site, &options).await;
    assert_eq!(with.facts("f").await.length, 1);
}

#[tokio::test]
async fn nothing_is_ever_written() {
    let site = site(&[("/d/f", "x")]);
    let fixture = fixture_with(&site, &[]).await;
    let path = fixture.path("f");
    let read_only = |error: &Error| matches!(error, Error::ReadOnly { .. });
    let created = fixture.ufs.create(&path, CreateOptions::default()).await;
    refused("create", created.map(drop), read_only);
    refused("delete", fixture.ufs.delete_file(&path).await, read_only);
    let mkdir = fixture.ufs.mkdir(&fixture.path("new"), MkdirOptions::recursive()).await;
    refused("mkdir", mkdir, read_only);
    assert!(!fixture.ufs.capabilities().writable);
}
