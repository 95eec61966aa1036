//! New files.

use super::{Fixture, pattern, refused};
use crate::error::Error;
use crate::under_fs::{CreateOptions, UfsWriter};
use bytes::Bytes;

async fn begin(fixture: &Fixture, relative: &str) -> Box<dyn UfsWriter> {
    let writer = fixture.ufs.create(&fixture.path(relative), CreateOptions::default()).await;
    writer.unwrap_or_else(|error| panic!("create {relative}: {error}"))
}

async fn send(writer: &mut Box<dyn UfsWriter>, bytes: impl Into<Bytes>) {
    writer.write(bytes.into()).await.unwrap_or_else(|error| panic!("write: {error}"));
}

/// Half a file is no file.
pub async fn nothing_is_visible_before_finish(fixture: &Fixture) {
    fixture.put("d/old", "old").await;
    for name in ["d/new", "d/old"] {
        let mut writer = begin(fixture, name).await;
        send(&mut writer, pattern(9 * 1024 * 1024, 5)).await;
        assert!(!fixture.exists("d/new").await);
        assert_eq!(fixture.names("d", false).await, ["old"]);
        assert_eq!(fixture.names("", true).await, ["d", "d/old"]);
        assert_eq!(fixture.read("d/old", 0, 3).await, Ok(b"old".to_vec()));
        writer.abort().await.unwrap_or_else(|error| panic!("abort: {error}"));
    }
}

/// Not even a name.
pub async fn an_aborted_or_dropped_writer_leaves_nothing(fixture: &Fixture) {
    for length in [0, 10, 9 * 1024 * 1024] {
        let mut writer = begin(fixture, "d/a").await;
        send(&mut writer, pattern(length, 6)).await;
        writer.abort().await.unwrap_or_else(|error| panic!("abort: {error}"));
        let mut writer = begin(fixture, "d/b").await;
        send(&mut writer, pattern(length, 6)).await;
        drop(writer);
        assert!(fixture.names("d", false).await.is_empty());
    }
    fixture.put("d/a", "x").await;
    assert_eq!(fixture.names("d", false).await, ["a"]);
}

/// The master stores them without a second look.
pub async fn finish_tells_the_facts_that_status_tells(fixture: &Fixture) {
    for length in [0, 1, 9 * 1024 * 1024] {
        let told = fixture.put("a", pattern(length, 7)).await;
        let there = fixture.facts("a").await;
        assert_eq!((told.length, told.kind), (length as u64, there.kind));
        assert_eq!(told.fingerprint, there.fingerprint);
    }
}

/// The last writer wins, whole.
pub async fn a_second_write_replaces_the_first(fixture: &Fixture) {
    let first = fixture.put("a", pattern(1000, 8)).await;
    let second = fixture.put("a", "short").await;
    assert_ne!(first.fingerprint, second.fingerprint);
    assert_eq!(fixture.facts("a").await.length, 5);
    assert_eq!(fixture.read("a", 0, 5).await, Ok(b"short".to_vec()));
}

/// Length alone is no version.
pub async fn a_rewrite_of_the_same_length_is_another_version(fixture: &Fixture) {
    let mut seen = Vec::new();
    for text in ["one", "two", "six"] {
        let told = fixture.put("a", text).await.fingerprint;
        assert_eq!(fixture.facts("a").await.fingerprint, told);
        assert!(!seen.contains(&told), "{told:?} again");
        seen.push(told);
    }
}

/// Breadcrumbs, where the store needs them.
pub async fn parents_are_made_and_stay(fixture: &Fixture) {
    fixture.put("x/y/z/file", "x").await;
    assert!(fixture.facts("x/y").await.is_directory());
    let deleted = fixture.ufs.delete_file(&fixture.path("x/y/z/file")).await;
    deleted.unwrap_or_else(|error| panic!("delete: {error}"));
    assert!(fixture.facts("x/y/z").await.is_directory());
    assert_eq!(fixture.names("", true).await, ["x", "x/y", "x/y/z"]);
}

/// Files and directories do not change into each other.
pub async fn a_directory_is_not_overwritten_and_a_file_is_no_parent(fixture: &Fixture) {
    fixture.mkdir("d").await;
    fixture.put("e/x", "x").await;
    for name in ["d", "e"] {
        let over = fixture.ufs.create(&fixture.path(name), CreateOptions::default()).await;
        refused("creating over a directory", over.map(drop), |error| {
            matches!(error, Error::IsADirectory { .. })
        });
    }
    fixture.put("f", "x").await;
    for name in ["f/below", "f/far/below"] {
        let below = fixture.ufs.create(&fixture.path(name), CreateOptions::default()).await;
        refused("creating below a file", below.map(drop), |error| {
            matches!(error, Error::NotADirectory { .. })
        });
    }
    assert_eq!(fixture.read("f", 0, 1).await, Ok(b"x".to_vec()));
}

/// As they come from a client.
pub async fn many_small_pieces_make_one_file(fixture: &Fixture) {
    let bytes = pattern(300_000, 9);
    let mut writer = begin(fixture, "a").await;
    for piece in bytes.chunks(777) {
        send(&mut writer, piece.to_vec()).await;
    }
    send(&mut writer, "").await;
    let facts = writer.finish().await.unwrap_or_else(|error| panic!("finish: {error}"));
    assert_eq!(facts.length, 300_000);
    assert!(fixture.read("a", 0, 300_000).await.is_ok_and(|got| got == bytes));
}
