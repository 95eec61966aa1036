//! Facts of one path.

use super::{Fixture, refused};
use crate::error::Error;
use crate::facts::DIRECTORY_FINGERPRINT;

/// The mount's own directory.
pub async fn the_root_is_a_directory(fixture: &Fixture) {
    let facts = fixture.facts("").await;
    assert!(facts.is_directory());
    assert_eq!(facts.length, 0);
    assert!(fixture.exists("").await);
    assert!(fixture.names("", false).await.is_empty());
}

/// Neither an error of its own nor something made up.
pub async fn a_missing_path_is_not_found(fixture: &Fixture) {
    refused("a missing file", fixture.ufs.status(&fixture.path("no")).await, Error::is_not_found);
    let deep = fixture.ufs.status(&fixture.path("no/such/file")).await;
    refused("a missing file below a missing directory", deep, Error::is_not_found);
    assert!(!fixture.exists("no").await);
}

/// Length, time, version.
pub async fn a_file_tells_its_length_and_version(fixture: &Fixture) {
    fixture.put("a", "hello").await;
    let facts = fixture.facts("a").await;
    assert!(!facts.is_directory());
    assert_eq!(facts.length, 5);
    assert!(!facts.fingerprint.is_empty());
    assert!(facts.modified.is_some_and(|time| time.0 > 1_500_000_000_000), "{:?}", facts.modified);
    assert_eq!(facts, fixture.facts("a").await);
    fixture.mkdir("d").await;
    assert_eq!(fixture.facts("d").await.fingerprint.0, DIRECTORY_FINGERPRINT);
}

/// `dir/` is `dir`.
pub async fn a_trailing_slash_means_nothing(fixture: &Fixture) {
    fixture.put("d/a", "x").await;
    assert!(fixture.facts("d/").await.is_directory());
    assert_eq!(fixture.facts("d//a").await.length, 1);
    assert_eq!(fixture.names("d/", false).await, ["a"]);
}

/// Only the mount's own tree.
pub async fn paths_outside_of_the_mount_are_refused(fixture: &Fixture) {
    let outside = |error: &Error| matches!(error, Error::OutsideMount { .. });
    for path in [fixture.path("../x"), format!("{}x", fixture.ufs.root()), "nowhere".into()] {
        refused(&path, fixture.ufs.status(&path).await, outside);
        refused(&path, fixture.ufs.delete_file(&path).await, outside);
    }
}

/// A file is a leaf.
pub async fn nothing_is_below_a_file(fixture: &Fixture) {
    fixture.put("f", "x").await;
    let below = fixture.ufs.status(&fixture.path("f/x")).await;
    refused("status below a file", below, |error| {
        matches!(error, Error::NotFound { .. } | Error::NotADirectory { .. })
    });
}

/// Known or not, but no error.
pub async fn room_in_the_store_can_be_asked(fixture: &Fixture) {
    let space = fixture.ufs.space().await.unwrap_or_else(|error| panic!("space: {error}"));
    assert!(space.is_none_or(|space| space.used_bytes <= space.total_bytes), "{space:?}");
}
