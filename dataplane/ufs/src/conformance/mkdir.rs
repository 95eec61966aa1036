//! New directories.

use super::{Fixture, refused};
use crate::error::Error;
use crate::under_fs::MkdirOptions;

/// `mkdir` and `mkdir -p`.
pub async fn missing_parents_are_made_only_on_request(fixture: &Fixture) {
    let alone = fixture.ufs.mkdir(&fixture.path("a/b/c"), MkdirOptions::default()).await;
    refused("mkdir without a parent", alone, Error::is_not_found);
    assert!(!fixture.exists("a").await);
    fixture.mkdir("a/b/c").await;
    assert_eq!(fixture.names("", true).await, ["a", "a/b", "a/b/c"]);
    let made = fixture.ufs.mkdir(&fixture.path("a/d"), MkdirOptions::default()).await;
    assert_eq!(made, Ok(()));
    assert_eq!(fixture.names("a", false).await, ["b", "d"]);
}

/// Twice is once; the root is always there.
pub async fn an_existing_directory_is_no_error(fixture: &Fixture) {
    fixture.put("d/a", "x").await;
    fixture.mkdir("d").await;
    fixture.mkdir("d").await;
    fixture.mkdir("").await;
    let plain = fixture.ufs.mkdir(&fixture.path("d"), MkdirOptions::default()).await;
    assert_eq!(plain, Ok(()));
    assert_eq!(fixture.names("", true).await, ["d", "d/a"]);
}

/// And stays what it is.
pub async fn a_file_is_in_the_way(fixture: &Fixture) {
    fixture.put("f", "x").await;
    let over = fixture.ufs.mkdir(&fixture.path("f"), MkdirOptions::recursive()).await;
    refused("mkdir over a file", over, |error| matches!(error, Error::AlreadyExists { .. }));
    let below = fixture.ufs.mkdir(&fixture.path("f/a/b"), MkdirOptions::recursive()).await;
    refused("mkdir below a file", below, |error| matches!(error, Error::NotADirectory { .. }));
    assert_eq!(fixture.facts("f").await.length, 1);
}
