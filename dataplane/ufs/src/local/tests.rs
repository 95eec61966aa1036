use super::*;
use crate::conformance::{Fixture, refused};
use std::os::unix::fs::symlink;

async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let location = Location::parse(dir.path().to_str().unwrap()).unwrap();
    let ufs = Arc::new(LocalUfs::new(location, false));
    Fixture { guard: Box::new(dir), ..Fixture::new(ufs) }
}

crate::conformance_tests!(fixture);

#[tokio::test]
async fn links_below_the_root_are_followed_and_links_out_of_it_are_not() {
    let fixture = fixture().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    fixture.put("d/a", "inside").await;
    let root = fixture.ufs.root().to_owned();
    symlink("d/a", format!("{root}/relative")).unwrap();
    symlink(format!("{root}/d"), format!("{root}/absolute")).unwrap();
    symlink(outside.path(), format!("{root}/out")).unwrap();
    symlink("../..", format!("{root}/d/up")).unwrap();
    symlink("..", format!("{root}/d/loop")).unwrap();
    symlink("nowhere", format!("{root}/dangling")).unwrap();
    assert_eq!(fixture.read("relative", 0, 6).await.unwrap(), b"inside");
    assert_eq!(fixture.read("absolute/a", 0, 6).await.unwrap(), b"inside");
    let outside_error = |error: &Error| matches!(error, Error::OutsideMount { .. });
    refused("a read through a link", fixture.read("out/secret", 0, 6).await, outside_error);
    let write = fixture.ufs.create(&fixture.path("out/new"), CreateOptions::default()).await;
    refused("a write through a link", write.map(drop), outside_error);
    let delete = fixture.ufs.delete_file(&fixture.path("out/secret")).await;
    refused("a delete through a link", delete, outside_error);
    assert_eq!(fixture.names("", true).await, ["absolute", "absolute/a", "d", "d/a", "relative"]);
    fixture.ufs.delete_file(&fixture.path("relative")).await.unwrap();
    fixture.ufs.delete_dir(&fixture.path("absolute"), true).await.unwrap();
    assert_eq!(fixture.names("", true).await, ["d", "d/a"]);
    assert!(outside.path().join("secret").exists());
}

#[tokio::test]
async fn a_file_written_back_with_its_old_time_is_another_version() {
    let fixture = fixture().await;
    fixture.put("a", "old").await;
    let before = fixture.facts("a").await;
    let path = fixture.path("a");
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, "new").unwrap();
    std::fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    let after = fixture.facts("a").await;
    assert_eq!(before.modified, after.modified);
    assert_ne!(before.fingerprint, after.fingerprint);
}

#[tokio::test]
async fn pipes_are_neither_listed_nor_opened() {
    let fixture = fixture().await;
    let path = fixture.path("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path.as_str(), fifo, mode, 0).unwrap();
    assert!(fixture.names("", false).await.is_empty());
    refused("reading a pipe", fixture.read("pipe", 0, 0).await, |error| {
        matches!(error, Error::Unsupported { .. })
    });
}

#[tokio::test]
async fn a_missing_root_is_told_as_such_and_can_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let root = format!("{}/not/yet", dir.path().display());
    let ufs = LocalUfs::new(Location::parse(&root).unwrap(), false);
    refused("a missing root", ufs.status(&root).await, Error::is_not_found);
    ufs.mkdir(&root, MkdirOptions::recursive()).await.unwrap();
    assert!(ufs.status(&root).await.unwrap().is_directory());
}

#[tokio::test]
async fn a_directory_with_only_an_unfinished_file_counts_as_empty() {
    let fixture = fixture().await;
    fixture.mkdir("d").await;
    std::fs::write(fixture.path("d/.alluxio_ufs_tmp_0"), "left by a crash").unwrap();
    assert!(fixture.names("d", false).await.is_empty());
    assert_eq!(fixture.ufs.delete_dir(&fixture.path("d"), false).await, Ok(()));
}

#[tokio::test]
async fn an_old_unfinished_file_goes_with_the_next_listing_and_a_new_one_stays() {
    let fixture = fixture().await;
    let (old, new) = (".alluxio_ufs_tmp_old", ".alluxio_ufs_tmp_new");
    for name in [old, new] {
        std::fs::write(fixture.path(name), "half").unwrap();
    }
    let yesterday = std::time::SystemTime::now() - 2 * crate::under_fs::TEMP_AGE_MAX;
    let file = std::fs::File::options().append(true).open(fixture.path(old)).unwrap();
    file.set_modified(yesterday).unwrap();
    assert!(fixture.names("", false).await.is_empty());
    assert!(!std::fs::exists(fixture.path(old)).unwrap());
    assert!(std::fs::exists(fixture.path(new)).unwrap());
}
