//! Listings.

use super::{Fixture, refused};
use crate::error::Error;
use futures::StreamExt;

/// Metadata sync compares the two, so they must agree to the letter.
pub async fn a_listing_tells_the_same_facts_as_status(fixture: &Fixture) {
    fixture.put("d/a", "hello").await;
    fixture.put("d/empty", "").await;
    fixture.mkdir("d/sub/deep").await;
    let entries = fixture.list("d", false).await.unwrap_or_else(|error| panic!("list: {error}"));
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["a", "empty", "sub"]);
    for entry in &entries {
        let facts = fixture.facts(&format!("d/{}", entry.name)).await;
        assert_eq!(entry.facts.kind, facts.kind, "{}", entry.name);
        assert_eq!(entry.facts.length, facts.length, "{}", entry.name);
        assert_eq!(entry.facts.fingerprint, facts.fingerprint, "{}", entry.name);
        assert_eq!(entry.facts.mode, facts.mode, "{}", entry.name);
        assert_eq!(entry.facts.owner, facts.owner, "{}", entry.name);
    }
}

/// Directories do not depend on their files.
pub async fn an_empty_directory_lists_nothing_and_stays(fixture: &Fixture) {
    fixture.mkdir("d").await;
    assert!(fixture.names("d", false).await.is_empty());
    assert!(fixture.names("d", true).await.is_empty());
    assert_eq!(fixture.names("", false).await, ["d"]);
    assert!(fixture.facts("d").await.is_directory());
}

/// Two different errors.
pub async fn a_file_or_a_missing_name_cannot_be_listed(fixture: &Fixture) {
    fixture.put("f", "x").await;
    let file = fixture.list("f", false).await;
    refused("listing a file", file, |error| matches!(error, Error::NotADirectory { .. }));
    refused("listing nothing", fixture.list("no", false).await, Error::is_not_found);
    refused("listing nothing", fixture.list("no", true).await, Error::is_not_found);
}

/// Directories too, with their whole relative names.
pub async fn a_recursive_listing_shows_every_depth(fixture: &Fixture) {
    for name in ["top", "d/a", "d/e/b", "d/e/f/c"] {
        fixture.put(name, "x").await;
    }
    fixture.mkdir("d/empty").await;
    let below = ["a", "e", "e/b", "e/f", "e/f/c", "empty"];
    assert_eq!(fixture.names("d", true).await, below);
    let entries = fixture.list("", true).await.unwrap_or_else(|error| panic!("list: {error}"));
    let directories: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.facts.is_directory())
        .map(|entry| entry.name.as_str())
        .collect();
    assert_eq!(directories, ["d", "d/e", "d/e/f", "d/empty"]);
    assert_eq!(entries.len(), 8);
}

/// More than one page of the store.
pub async fn a_long_listing_shows_each_name_once(fixture: &Fixture) {
    let names: Vec<String> = (0..fixture.many_entries).map(|i| format!("file-{i:05}")).collect();
    futures::stream::iter(&names)
        .for_each_concurrent(16, |name| async move {
            fixture.put(&format!("many/{name}"), "x").await;
        })
        .await;
    assert_eq!(fixture.names("many", false).await, names);
    assert_eq!(fixture.names("", true).await.len(), names.len() + 1);
}

/// No escaping shows, none is applied twice.
pub async fn odd_names_come_back_unchanged(fixture: &Fixture) {
    let mut names = vec![
        "a b",
        "a%20b",
        "a%b",
        "a+b",
        "a#b",
        "a?b=c&d",
        "semi;x=y",
        "quo'te",
        "ünï·cödé",
        "~tilde",
        "[x]{y}",
        "dollar$",
        "at@",
        "comma,",
        "-dash",
        ".hidden",
    ];
    names.sort_unstable();
    for name in &names {
        let path = format!("odd/{name}");
        fixture.put(&path, *name).await;
        assert_eq!(fixture.facts(&path).await.length, name.len() as u64, "{name}");
        let bytes = fixture.read(&path, 0, name.len() as u64).await;
        assert_eq!(bytes.as_deref(), Ok(name.as_bytes()), "{name}");
    }
    assert_eq!(fixture.names("odd", false).await, names);
    for name in &names {
        let path = fixture.path(&format!("odd/{name}"));
        fixture.ufs.delete_file(&path).await.unwrap_or_else(|error| panic!("delete: {error}"));
    }
    fixture.mkdir("odd/di r%20/x#y").await;
    assert_eq!(fixture.names("odd", true).await, ["di r%20", "di r%20/x#y"]);
}

/// A prefix is not a parent.
pub async fn a_name_that_begins_like_another_is_not_below_it(fixture: &Fixture) {
    for name in ["d/x", "d-1/x", "d.txt", "d0"] {
        fixture.put(name, "x").await;
    }
    assert_eq!(fixture.names("d", true).await, ["x"]);
    assert_eq!(fixture.names("", false).await, ["d", "d-1", "d.txt", "d0"]);
}
