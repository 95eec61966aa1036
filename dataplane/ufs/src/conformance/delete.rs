//! Deletion.

use super::{Fixture, refused};
use crate::error::Error;

/// And only it.
pub async fn a_deleted_file_is_gone(fixture: &Fixture) {
    fixture.put("a", "x").await;
    fixture.put("b", "x").await;
    assert_eq!(fixture.ufs.delete_file(&fixture.path("a")).await, Ok(()));
    assert!(!fixture.exists("a").await);
    assert_eq!(fixture.names("", false).await, ["b"]);
    let again = fixture.ufs.delete_file(&fixture.path("a")).await;
    refused("deleting twice", again, Error::is_not_found);
}

/// `rmdir` and `rm -r`.
pub async fn a_directory_must_be_empty_or_deleted_with_its_content(fixture: &Fixture) {
    fixture.put("d/a", "x").await;
    fixture.put("d/e/b", "x").await;
    fixture.mkdir("d/e/f").await;
    let full = fixture.ufs.delete_dir(&fixture.path("d"), false).await;
    refused("deleting a full directory", full, |error| matches!(error, Error::NotEmpty { .. }));
    assert_eq!(fixture.names("d", true).await.len(), 4);
    assert_eq!(fixture.ufs.delete_dir(&fixture.path("d/e/f"), false).await, Ok(()));
    assert_eq!(fixture.names("d", true).await, ["a", "e", "e/b"]);
    assert_eq!(fixture.ufs.delete_dir(&fixture.path("d"), true).await, Ok(()));
    assert!(!fixture.exists("d").await);
    assert!(!fixture.exists("d/e/b").await);
    assert!(fixture.names("", true).await.is_empty());
    let again = fixture.ufs.delete_dir(&fixture.path("d"), true).await;
    refused("deleting twice", again, Error::is_not_found);
}

/// A directory is not a file.
pub async fn the_wrong_kind_is_refused(fixture: &Fixture) {
    fixture.put("f", "x").await;
    fixture.put("d/a", "x").await;
    fixture.mkdir("empty").await;
    for name in ["d", "empty"] {
        let directory = fixture.ufs.delete_file(&fixture.path(name)).await;
        refused("delete_file of a directory", directory, |error| {
            matches!(error, Error::IsADirectory { .. })
        });
    }
    for recursive in [false, true] {
        let file = fixture.ufs.delete_dir(&fixture.path("f"), recursive).await;
        refused("delete_dir of a file", file, |error| matches!(error, Error::NotADirectory { .. }));
    }
    assert_eq!(fixture.names("", true).await, ["d", "d/a", "empty", "f"]);
}

/// Whatever it holds.
pub async fn the_root_is_never_deleted(fixture: &Fixture) {
    fixture.put("a", "x").await;
    let root = fixture.ufs.delete_dir(fixture.ufs.root(), true).await;
    refused("deleting the root", root, |error| matches!(error, Error::InvalidUri { .. }));
    assert_eq!(fixture.names("", false).await, ["a"]);
}

/// A prefix is not a parent.
pub async fn a_name_that_begins_like_another_survives(fixture: &Fixture) {
    for name in ["d/x", "d-1/x", "d.txt", "d0"] {
        fixture.put(name, "x").await;
    }
    assert_eq!(fixture.ufs.delete_dir(&fixture.path("d"), true).await, Ok(()));
    assert_eq!(fixture.names("", false).await, ["d-1", "d.txt", "d0"]);
}
