//! The work itself: loading, evicting, backing up, by calls to masters and workers. No pods are made for it.
//!
//! All of it can be begun again at any moment: what is cached already is skipped, what is gone already stays so.

use super::runner::Sink;
use crate::cluster::admin::Target;
use crate::dataset::admin::{DatasetAdmin, FileFact, Refused};
use crate::dataset::names;
use alluxio_types::Code;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// Files that are taken out of the cache at once, where that goes one by one.
const EVICT_AT_ONCE: usize = 16;
/// How often a backup is asked after.
const BACKUP_LOOK: Duration = Duration::from_secs(2);

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Files of a Dataset are brought into the cache.
    Load {
        /// The Dataset's name.
        dataset: String,
        /// Paths in it.
        paths: Vec<String>,
        /// Only names, sizes and times.
        metadata_only: bool,
        /// Files at once.
        parallelism: usize,
    },
    /// Files of a Dataset leave the cache.
    Evict {
        /// The Dataset's name.
        dataset: String,
        /// Paths in it.
        paths: Vec<String>,
        /// Pinned ones, too.
        forced: bool,
    },
    /// The namespace of a cluster is written into a file.
    Backup {
        /// The cluster's name.
        cluster: String,
        /// Where to; empty for the configured place.
        directory: String,
    },
}

/// Where it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// How the masters are reached.
    pub target: Target,
    /// The directory of the Dataset; empty for work on a whole cluster.
    pub directory: String,
    /// Work of one lane is done one after the other.
    pub lane: String,
}

/// Does it.
///
/// **Errors**: what ended it. Files that failed one by one are in the report only.
pub async fn carry_out(
    work: Work,
    site: Site,
    admin: Arc<dyn DatasetAdmin>,
    sink: Sink,
) -> Result<(), Refused> {
    let doer = Doer { site, admin, sink, backup_look: BACKUP_LOOK };
    match work {
        Work::Load { paths, metadata_only, parallelism, .. } => {
            doer.load(&paths, metadata_only, parallelism.max(1)).await
        }
        Work::Evict { paths, forced, .. } => doer.evict(&paths, forced).await,
        Work::Backup { directory, .. } => doer.back_up(&directory).await,
    }
}

/// Paths without those that lie below others: nothing is done, or counted, twice.
fn outermost(paths: &[String]) -> Vec<&String> {
    let inside =
        |path: &str, other: &str| path != other && (other == "/" || names::is_below(path, other));
    let mut kept: Vec<&String> = Vec::new();
    for path in paths {
        if !paths.iter().any(|other| inside(path, other)) && !kept.contains(&path) {
            kept.push(path);
        }
    }
    kept
}

struct Doer {
    site: Site,
    admin: Arc<dyn DatasetAdmin>,
    sink: Sink,
    /// How often a backup is asked after.
    backup_look: Duration,
}

impl Doer {
    fn places(&self, paths: &[String]) -> Vec<String> {
        outermost(paths).iter().map(|path| names::below(&self.site.directory, path)).collect()
    }

    /// As users know it: the path in the Dataset.
    fn shown<'a>(&self, path: &'a str) -> &'a str {
        names::within(&self.site.directory, path)
    }

    async fn load(
        &self,
        paths: &[String],
        metadata_only: bool,
        parallelism: usize,
    ) -> Result<(), Refused> {
        let target = &self.site.target;
        let places = self.places(paths);
        for place in &places {
            self.admin.load_metadata(target, place).await?;
        }
        for place in &places {
            let mut files = self.admin.files(target, place).await?;
            while let Some(file) = files.next().await {
                let file = file?;
                self.sink.tell(|report| {
                    report.files_total += 1;
                    report.bytes_total += if metadata_only { 0 } else { file.length };
                    report.files_done += u64::from(metadata_only);
                });
            }
        }
        if metadata_only {
            return Ok(());
        }
        for place in &places {
            let files = self.admin.files(target, place).await?;
            let loads = files.map(|file| self.load_one(file));
            let mut loads = loads.buffer_unordered(parallelism);
            while let Some(loaded) = loads.next().await {
                loaded?;
            }
        }
        Ok(())
    }

    async fn load_one(&self, file: Result<FileFact, Refused>) -> Result<(), Refused> {
        let file = file?;
        if file.cached_percent < 100
            && file.length > 0
            && let Err(error) = self.admin.load_file(&self.site.target, &file.path).await
        {
            // A file that was removed meanwhile need not be loaded.
            if error.code != Code::NotFound {
                self.sink.failed(self.shown(&file.path), &error.message);
                return Ok(());
            }
        }
        self.sink.tell(|report| {
            report.files_done += 1;
            report.bytes_done += file.length;
        });
        Ok(())
    }

    async fn evict(&self, paths: &[String], forced: bool) -> Result<(), Refused> {
        for place in self.places(paths) {
            match self.admin.free(&self.site.target, &place, forced).await {
                Ok(files) => self.sink.tell(|report| {
                    report.files_done += files;
                    report.files_total += files;
                }),
                // Some files have to stay: the others leave one by one.
                Err(error) if error.code == Code::FailedPrecondition => {
                    self.evict_one_by_one(&place, forced).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn evict_one_by_one(&self, place: &str, forced: bool) -> Result<(), Refused> {
        let files = self.admin.files(&self.site.target, place).await?;
        let frees = files.map(|file| async move {
            let file = file?;
            if file.cached_percent == 0 || !file.persisted {
                return Ok(());
            }
            match self.admin.free(&self.site.target, &file.path, forced).await {
                Ok(files) => self.sink.tell(|report| {
                    report.files_done += files;
                    report.files_total += files;
                }),
                // Pinned, or removed meanwhile.
                Err(error) if matches!(error.code, Code::FailedPrecondition | Code::NotFound) => {}
                Err(error) => self.sink.failed(self.shown(&file.path), &error.message),
            }
            Ok::<(), Refused>(())
        });
        let mut frees = frees.buffer_unordered(EVICT_AT_ONCE);
        while let Some(freed) = frees.next().await {
            freed?;
        }
        Ok(())
    }

    async fn back_up(&self, directory: &str) -> Result<(), Refused> {
        let target = &self.site.target;
        let mut backup = self.admin.backup(target, directory).await?;
        loop {
            self.sink.tell(|report| report.backup = Some(backup.clone()));
            if let Some(why) = backup.error {
                return Err(Refused { code: Code::Internal, message: why });
            }
            if backup.done {
                return Ok(());
            }
            tokio::time::sleep(self.backup_look).await;
            backup = self.admin.backup_status(target, &backup.id).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::played::Played;

    fn site() -> Site {
        Site {
            target: Target { properties: String::new() },
            directory: "/datasets/team/images".into(),
            lane: "l".into(),
        }
    }

    fn load(paths: &[&str]) -> Work {
        Work::Load {
            dataset: "images".into(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            metadata_only: false,
            parallelism: 4,
        }
    }

    async fn run(work: Work, played: &Arc<Played>) -> (Sink, Result<(), Refused>) {
        let sink = Sink::default();
        let done = carry_out(work, site(), played.clone(), sink.clone()).await;
        (sink, done)
    }

    #[test]
    fn nothing_is_done_twice() {
        let of = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            outermost(&paths).into_iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(of(&["/a", "/", "/b"]), ["/"]);
        assert_eq!(of(&["/a/b", "/a", "/ab", "/a"]), ["/a", "/ab"]);
    }

    #[tokio::test]
    async fn a_load_skips_what_is_cached_and_goes_on_after_failures() {
        let played = Arc::new(Played::default());
        for (name, cached, broken) in [("a", 100, false), ("b", 0, false), ("c", 50, true)] {
            played.file(&format!("/datasets/team/images/{name}"), 10, cached, true);
            if broken {
                played.break_file(&format!("/datasets/team/images/{name}"));
            }
        }
        let (sink, done) = run(load(&["/"]), &played).await;
        assert_eq!(done, Ok(()));
        let report = sink.report();
        assert_eq!((report.files_done, report.files_total), (2, 3));
        assert_eq!((report.bytes_done, report.bytes_total), (20, 30));
        assert_eq!((report.failure_count, report.failures[0].0.as_str()), (1, "/c"));
        assert_eq!(played.loads(), ["/datasets/team/images/b", "/datasets/team/images/c"]);
        // Begun again, it only does what is left.
        played.mend();
        let (sink, _) = run(load(&["/", "/a"]), &played).await;
        assert_eq!((sink.report().files_done, sink.report().failure_count), (3, 0));
        assert_eq!(played.loads().last().unwrap(), "/datasets/team/images/c");
        assert_eq!(played.loads().len(), 3);
    }

    #[tokio::test]
    async fn an_eviction_leaves_what_no_store_has() {
        let played = Arc::new(Played::default());
        played.file("/datasets/team/images/kept", 10, 100, false);
        played.file("/datasets/team/images/gone", 10, 100, true);
        let work = Work::Evict { dataset: "images".into(), paths: vec!["/".into()], forced: false };
        let (sink, done) = run(work, &played).await;
        assert_eq!((done, sink.report().files_done), (Ok(()), 1));
        assert_eq!(played.cached("/datasets/team/images/kept"), 100);
        assert_eq!(played.cached("/datasets/team/images/gone"), 0);
    }

    #[tokio::test]
    async fn a_backup_is_followed_to_its_end() {
        let doer = Doer {
            site: site(),
            admin: Arc::new(Played::default()),
            sink: Sink::default(),
            backup_look: Duration::ZERO,
        };
        doer.back_up("s3://b/backups").await.unwrap();
        let backup = doer.sink.report().backup.unwrap();
        assert_eq!((backup.uri.as_str(), backup.entries), ("s3://b/backups/backup-1", 7));
    }
}
