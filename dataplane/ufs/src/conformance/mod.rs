//! What every store must do, as tests. Each implementation runs all of them with
//! [`conformance_tests!`](crate::conformance_tests), on a fresh and empty root per test.

pub mod attributes;
pub mod delete;
pub mod exclusive;
pub mod list;
pub mod mkdir;
pub mod read;
pub mod rename;
pub mod status;
pub mod write;

use crate::error::{Error, Result};
use crate::facts::{UfsEntry, UfsFacts};
use crate::under_fs::{ByteStream, CreateOptions, MkdirOptions, UnderFs};
use alluxio_types::Fingerprint;
use bytes::Bytes;
use futures::TryStreamExt;
use std::any::Any;
use std::sync::Arc;

/// A store with an empty root, and what must live as long as it.
pub struct Fixture {
    /// The store.
    pub ufs: Arc<dyn UnderFs>,
    /// How many files a listing must cross pages with.
    pub many_entries: usize,
    /// Temporary directory or server handle.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl Fixture {
    /// A fixture without anything to keep.
    pub fn new(ufs: Arc<dyn UnderFs>) -> Self {
        Fixture { ufs, many_entries: 1100, guard: Box::new(()) }
    }

    /// The URI of `relative` in the store.
    pub fn path(&self, relative: &str) -> String {
        alluxio_types::mount::join_uri(self.ufs.root(), relative)
    }

    /// Writes a file.
    pub async fn put(&self, relative: &str, bytes: impl Into<Bytes>) -> UfsFacts {
        let mut writer = self
            .ufs
            .create(&self.path(relative), CreateOptions::default())
            .await
            .unwrap_or_else(|error| panic!("create {relative}: {error}"));
        writer
            .write(bytes.into())
            .await
            .unwrap_or_else(|error| panic!("write {relative}: {error}"));
        writer.finish().await.unwrap_or_else(|error| panic!("finish {relative}: {error}"))
    }

    /// Makes a directory with its parents.
    pub async fn mkdir(&self, relative: &str) {
        let made = self.ufs.mkdir(&self.path(relative), MkdirOptions::recursive()).await;
        made.unwrap_or_else(|error| panic!("mkdir {relative}: {error}"));
    }

    /// Facts of what must be there.
    pub async fn facts(&self, relative: &str) -> UfsFacts {
        let facts = self.ufs.status(&self.path(relative)).await;
        facts.unwrap_or_else(|error| panic!("status of {relative}: {error}"))
    }

    /// Whether something is there.
    pub async fn exists(&self, relative: &str) -> bool {
        let exists = self.ufs.exists(&self.path(relative)).await;
        exists.unwrap_or_else(|error| panic!("exists {relative}: {error}"))
    }

    /// A listing, sorted by name.
    pub async fn list(&self, relative: &str, recursive: bool) -> Result<Vec<UfsEntry>> {
        let stream = self.ufs.list(&self.path(relative), recursive).await?;
        let batches: Vec<Vec<UfsEntry>> = stream.try_collect().await?;
        assert!(batches.iter().all(|batch| !batch.is_empty()), "an empty batch");
        let mut entries: Vec<UfsEntry> = batches.into_iter().flatten().collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The names of a listing, sorted.
    pub async fn names(&self, relative: &str, recursive: bool) -> Vec<String> {
        let entries = self.list(relative, recursive).await;
        let entries = entries.unwrap_or_else(|error| panic!("list {relative}: {error}"));
        entries.into_iter().map(|entry| entry.name).collect()
    }

    /// Reads a range of any version.
    pub async fn read(&self, relative: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.read_version(relative, offset, length, &Fingerprint::default()).await
    }

    /// Reads a range of one version.
    pub async fn read_version(
        &self,
        relative: &str,
        offset: u64,
        length: u64,
        expected: &Fingerprint,
    ) -> Result<Vec<u8>> {
        let path = self.path(relative);
        drain(self.ufs.read_range(&path, offset, length, expected).await?).await
    }
}

/// All bytes of a stream.
pub async fn drain(stream: ByteStream) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat())
}

/// Bytes that differ at every offset a test may confuse.
pub fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Fails unless `result` is the error that `matches` accepts.
pub(crate) fn refused<T>(what: &str, result: Result<T>, matches: impl Fn(&Error) -> bool) {
    match result {
        Ok(_) => panic!("{what} was allowed"),
        Err(error) => assert!(matches(&error), "{what} gave the wrong error: {error:?}"),
    }
}

/// One test per rule of the suite: `conformance_tests!(fixture);` where `fixture` is an
/// `async fn() -> Fixture`.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:path) => {
        $crate::conformance_tests!(@module $fixture, status:
            the_root_is_a_directory
            a_missing_path_is_not_found
            a_file_tells_its_length_and_version
            a_trailing_slash_means_nothing
            paths_outside_of_the_mount_are_refused
            nothing_is_below_a_file
            room_in_the_store_can_be_asked
        );
        $crate::conformance_tests!(@module $fixture, list:
            a_listing_tells_the_same_facts_as_status
            an_empty_directory_lists_nothing_and_stays
            a_file_or_a_missing_name_cannot_be_listed
            a_recursive_listing_shows_every_depth
            a_long_listing_shows_each_name_once
            odd_names_come_back_unchanged
            a_name_that_begins_like_another_is_not_below_it
        );
        $crate::conformance_tests!(@module $fixture, read:
            every_range_comes_back
            an_empty_file_reads_as_nothing
            bytes_beyond_the_end_are_refused
            another_version_is_refused
            a_large_file_streams
            a_rewrite_during_a_read_never_mixes_versions
            a_directory_or_a_missing_file_cannot_be_read
            a_small_file_is_read_at_once
        );
        $crate::conformance_tests!(@module $fixture, write:
            nothing_is_visible_before_finish
            an_aborted_or_dropped_writer_leaves_nothing
            finish_tells_the_facts_that_status_tells
            a_second_write_replaces_the_first
            a_rewrite_of_the_same_length_is_another_version
            parents_are_made_and_stay
            a_directory_is_not_overwritten_and_a_file_is_no_parent
            many_small_pieces_make_one_file
        );
        $crate::conformance_tests!(@module $fixture, exclusive:
            a_name_that_is_taken_is_not_taken_again
            of_many_who_want_a_name_one_gets_it
        );
        $crate::conformance_tests!(@module $fixture, mkdir:
            missing_parents_are_made_only_on_request
            an_existing_directory_is_no_error
            a_file_is_in_the_way
        );
        $crate::conformance_tests!(@module $fixture, delete:
            a_deleted_file_is_gone
            a_directory_must_be_empty_or_deleted_with_its_content
            the_wrong_kind_is_refused
            the_root_is_never_deleted
            a_name_that_begins_like_another_survives
        );
        $crate::conformance_tests!(@module $fixture, rename:
            a_file_moves_with_its_bytes
            a_directory_moves_with_all_below
            nothing_is_replaced
            a_missing_source_or_target_parent_is_refused
            a_directory_never_moves_into_itself
            the_wrong_kind_is_refused_by_rename
        );
        $crate::conformance_tests!(@module $fixture, attributes:
            a_mode_is_kept_or_refused
        );
    };
    (@module $fixture:path, $module:ident: $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let fixture = $fixture().await;
                $crate::conformance::$module::$name(&fixture).await;
            }
        )+
    };
}
