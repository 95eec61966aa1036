//! Bytes.

use super::{Fixture, drain, pattern, refused};
use crate::error::Error;
use alluxio_types::Fingerprint;
use futures::StreamExt;

/// Ranges of all alignments.
pub async fn every_range_comes_back(fixture: &Fixture) {
    let bytes = pattern(200_001, 1);
    let facts = fixture.put("a", bytes.clone()).await;
    for (from, to) in [(0, 200_001), (0, 1), (1, 2), (65_535, 65_537), (199_999, 200_001), (7, 7)] {
        let length = to - from;
        let got = fixture.read_version("a", from as u64, length as u64, &facts.fingerprint).await;
        assert!(got.as_deref() == Ok(&bytes[from..to]), "{from}..{to}: {:?}", got.map(|b| b.len()));
    }
}

/// Zero bytes are bytes too.
pub async fn an_empty_file_reads_as_nothing(fixture: &Fixture) {
    let facts = fixture.put("empty", "").await;
    assert_eq!(facts.length, 0);
    assert_eq!(fixture.read_version("empty", 0, 0, &facts.fingerprint).await, Ok(vec![]));
}

/// Never fewer bytes than asked for without saying so.
pub async fn bytes_beyond_the_end_are_refused(fixture: &Fixture) {
    let facts = fixture.put("a", "hello").await;
    for (offset, length) in [(0, 6), (5, 1), (100, 1), (u64::MAX, 2)] {
        let got = fixture.read_version("a", offset, length, &facts.fingerprint).await;
        refused("reading beyond the end", got, |error| {
            matches!(error, Error::OutOfRange { .. } | Error::Changed { .. })
        });
    }
    assert_eq!(fixture.read("a", 5, 0).await, Ok(vec![]));
}

/// The promise that a cached block rests on.
pub async fn another_version_is_refused(fixture: &Fixture) {
    let old = fixture.put("a", "old").await.fingerprint;
    let new = fixture.put("a", "new").await.fingerprint;
    refused(
        "reading an old version",
        fixture.read_version("a", 0, 3, &old).await,
        Error::is_changed,
    );
    assert_eq!(fixture.read_version("a", 0, 3, &new).await, Ok(b"new".to_vec()));
    let garbage = Fingerprint("not a version".into());
    let got = fixture.read_version("a", 0, 3, &garbage).await;
    refused("reading a version that never was", got, Error::is_changed);
}

/// Several parts of an upload, several pieces of a stream.
pub async fn a_large_file_streams(fixture: &Fixture) {
    let bytes = pattern(13 * 1024 * 1024 + 17, 2);
    let facts = fixture.put("large", bytes.clone()).await;
    assert_eq!(facts.length, bytes.len() as u64);
    let path = fixture.path("large");
    let stream = fixture.ufs.read_range(&path, 3, facts.length - 3, &facts.fingerprint).await;
    let mut stream = stream.unwrap_or_else(|error| panic!("read: {error}"));
    let (mut at, mut pieces) = (3, 0);
    while let Some(piece) = stream.next().await {
        let piece = piece.unwrap_or_else(|error| panic!("at {at}: {error}"));
        assert!(piece[..] == bytes[at..at + piece.len()], "wrong bytes at {at}");
        at += piece.len();
        pieces += 1;
    }
    assert_eq!(at, bytes.len());
    assert!(pieces > 1, "it came in one piece, not as a stream");
}

/// Old bytes or an error, whatever the store does.
pub async fn a_rewrite_during_a_read_never_mixes_versions(fixture: &Fixture) {
    let (old, new) = (pattern(6 * 1024 * 1024, 3), pattern(6 * 1024 * 1024, 4));
    let version = fixture.put("a", old.clone()).await.fingerprint;
    let path = fixture.path("a");
    let stream = fixture.ufs.read_range(&path, 0, old.len() as u64, &version).await;
    let mut stream = stream.unwrap_or_else(|error| panic!("read: {error}"));
    let first = stream.next().await;
    fixture.put("a", new).await;
    let mut got = match first {
        Some(Ok(piece)) => piece.to_vec(),
        other => panic!("no first piece: {other:?}"),
    };
    match drain(stream).await {
        Ok(rest) => {
            got.extend(rest);
            assert!(got == old, "bytes of two versions");
        }
        Err(error) => assert!(error.is_changed(), "{error:?}"),
    }
    let again = fixture.read_version("a", 0, 1, &version).await;
    refused("reading the old version", again, Error::is_changed);
}

/// Two different errors.
pub async fn a_directory_or_a_missing_file_cannot_be_read(fixture: &Fixture) {
    fixture.mkdir("d").await;
    refused("reading a directory", fixture.read("d", 0, 0).await, |error| {
        matches!(error, Error::IsADirectory { .. })
    });
    refused("reading nothing", fixture.read("no", 0, 1).await, Error::is_not_found);
}

/// Journals read many small files, and ask for some that are not there yet.
pub async fn a_small_file_is_read_at_once(fixture: &Fixture) {
    let bytes = pattern(70_000, 12);
    fixture.put("d/a", bytes.clone()).await;
    fixture.put("empty", "").await;
    let whole =
        |name: &'static str| async move { fixture.ufs.read_whole(&fixture.path(name)).await };
    assert!(whole("d/a").await.is_ok_and(|got| got == bytes));
    assert!(whole("empty").await.is_ok_and(|got| got.is_empty()));
    refused("reading nothing", whole("d/no").await, Error::is_not_found);
    refused("reading a directory", whole("d").await, |error| {
        error.is_not_found() || matches!(error, Error::IsADirectory { .. })
    });
}
