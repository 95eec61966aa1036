//! Renames.

use super::{Fixture, pattern, refused};
use crate::error::Error;

/// Same bytes, and the facts that are true then.
pub async fn a_file_moves_with_its_bytes(fixture: &Fixture) {
    let bytes = pattern(100_000, 10);
    fixture.put("a/old", bytes.clone()).await;
    fixture.mkdir("b").await;
    let told = fixture.ufs.rename_file(&fixture.path("a/old"), &fixture.path("b/new")).await;
    let told = told.unwrap_or_else(|error| panic!("rename: {error}"));
    assert!(!fixture.exists("a/old").await);
    assert!(fixture.facts("a").await.is_directory());
    assert_eq!(told.fingerprint, fixture.facts("b/new").await.fingerprint);
    assert_eq!(told.length, 100_000);
    let got = fixture.read_version("b/new", 0, 100_000, &told.fingerprint).await;
    assert!(got.is_ok_and(|got| got == bytes));
}

/// Empty directories included.
pub async fn a_directory_moves_with_all_below(fixture: &Fixture) {
    for name in ["d/a", "d/e/b", "d/e/f/c", "d2/x"] {
        fixture.put(name, name.to_owned()).await;
    }
    fixture.mkdir("d/empty").await;
    fixture.mkdir("target").await;
    let moved = fixture.ufs.rename_dir(&fixture.path("d"), &fixture.path("target/t")).await;
    assert_eq!(moved, Ok(()));
    assert!(!fixture.exists("d").await);
    let below = ["a", "e", "e/b", "e/f", "e/f/c", "empty"];
    assert_eq!(fixture.names("target/t", true).await, below);
    assert_eq!(fixture.read("target/t/e/b", 0, 5).await, Ok(b"d/e/b".to_vec()));
    assert_eq!(fixture.names("", false).await, ["d2", "target"]);
}

/// The master has decided that the target is free; if it is not, somebody else wrote it.
pub async fn nothing_is_replaced(fixture: &Fixture) {
    fixture.put("a", "a").await;
    fixture.put("b", "b").await;
    fixture.put("d/x", "x").await;
    fixture.mkdir("e").await;
    let exists = |error: &Error| matches!(error, Error::AlreadyExists { .. });
    for target in ["b", "e", "d"] {
        let renamed = fixture.ufs.rename_file(&fixture.path("a"), &fixture.path(target)).await;
        refused("renaming a file onto something", renamed, exists);
    }
    for target in ["b", "e"] {
        let renamed = fixture.ufs.rename_dir(&fixture.path("d"), &fixture.path(target)).await;
        refused("renaming a directory onto something", renamed, exists);
    }
    assert_eq!(fixture.names("", true).await, ["a", "b", "d", "d/x", "e"]);
    assert_eq!(fixture.read("b", 0, 1).await, Ok(b"b".to_vec()));
}

/// No parents are made on the way.
pub async fn a_missing_source_or_target_parent_is_refused(fixture: &Fixture) {
    fixture.put("a", "a").await;
    fixture.put("d/x", "x").await;
    let no_source = fixture.ufs.rename_file(&fixture.path("no"), &fixture.path("b")).await;
    refused("renaming nothing", no_source, Error::is_not_found);
    let no_source = fixture.ufs.rename_dir(&fixture.path("no"), &fixture.path("b")).await;
    refused("renaming nothing", no_source, Error::is_not_found);
    let no_parent = fixture.ufs.rename_file(&fixture.path("a"), &fixture.path("no/b")).await;
    refused("renaming into nothing", no_parent, Error::is_not_found);
    let no_parent = fixture.ufs.rename_dir(&fixture.path("d"), &fixture.path("no/b")).await;
    refused("renaming into nothing", no_parent, Error::is_not_found);
    assert_eq!(fixture.names("", true).await, ["a", "d", "d/x"]);
}

/// It would vanish.
pub async fn a_directory_never_moves_into_itself(fixture: &Fixture) {
    fixture.put("d/e/x", "x").await;
    for target in ["d/e/t", "d/t", "d"] {
        let moved = fixture.ufs.rename_dir(&fixture.path("d"), &fixture.path(target)).await;
        refused("moving a directory into itself", moved, |error| {
            matches!(error, Error::InvalidUri { .. })
        });
    }
    assert_eq!(fixture.names("", true).await, ["d", "d/e", "d/e/x"]);
}

/// A directory is not a file.
pub async fn the_wrong_kind_is_refused_by_rename(fixture: &Fixture) {
    fixture.put("f", "x").await;
    fixture.put("d/a", "x").await;
    let directory = fixture.ufs.rename_file(&fixture.path("d"), &fixture.path("t")).await;
    refused("rename_file of a directory", directory, |error| {
        matches!(error, Error::IsADirectory { .. })
    });
    let file = fixture.ufs.rename_dir(&fixture.path("f"), &fixture.path("t")).await;
    refused("rename_dir of a file", file, |error| matches!(error, Error::NotADirectory { .. }));
    assert_eq!(fixture.names("", true).await, ["d", "d/a", "f"]);
}
