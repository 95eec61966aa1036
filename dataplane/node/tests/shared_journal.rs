//! The journal in folders of real stores: it conforms in each of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_host::Host;
use alluxio_journal::conformance::{Stage, StageFuture, run};
use alluxio_journal::folder::QueueLimits;
use alluxio_journal::shared::format;
use alluxio_journal::{JournalStore, SharedFolder, SharedJournal, SharedJournalOptions};
use alluxio_node::shared_folder::UfsFolder;
use alluxio_testservers::{Hdfs, Minio, minio};
use alluxio_types::{MountOptions, Term};
use alluxio_ufs::{UfsSettings, UnderFsRegistry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct InStore {
    folder: Arc<dyn SharedFolder>,
    term: AtomicU64,
}

impl InStore {
    async fn format(uri: &str, options: &[(&str, &str)]) -> InStore {
        let pairs = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let options = MountOptions(pairs.collect());
        let open = || UnderFsRegistry::new(UfsSettings::default()).open(uri, &options).unwrap();
        let folder: Arc<dyn SharedFolder> = Arc::new(UfsFolder::over(open(), open()));
        format(&folder, &Host::real(), "cluster-1").await.unwrap();
        InStore { folder, term: AtomicU64::new(0) }
    }
}

impl Stage for InStore {
    fn open(&self) -> StageFuture<'_, Arc<dyn JournalStore>> {
        Box::pin(async {
            let (folder, queue) = (self.folder.clone(), QueueLimits::default());
            let options = SharedJournalOptions { folder, queue };
            let journal = SharedJournal::open(options, &Host::real(), Arc::new(())).await.unwrap();
            Arc::new(journal) as Arc<dyn JournalStore>
        })
    }

    fn elect(&self, last: Term) -> StageFuture<'_, Term> {
        Box::pin(async move {
            self.term.fetch_max(last.0, Ordering::SeqCst);
            Term(self.term.fetch_add(1, Ordering::SeqCst) + 1)
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_in_a_bucket_conforms() {
    let server = tokio::task::spawn_blocking(Minio::start).await.unwrap();
    let endpoint = server.endpoint();
    let options = [
        ("alluxio.underfs.s3.endpoint", endpoint.as_str()),
        ("s3a.accessKeyId", minio::ACCESS_KEY),
        ("s3a.secretKey", minio::SECRET_KEY),
    ];
    run(&InStore::format(&format!("s3://{}/cluster/journal", Minio::BUCKET), &options).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_in_hdfs_conforms() {
    let server = tokio::task::spawn_blocking(Hdfs::start).await.unwrap();
    run(&InStore::format(&format!("{}/cluster/journal", server.uri()), &[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_in_a_mounted_folder_conforms() {
    let dir = tempfile::tempdir().unwrap();
    run(&InStore::format(dir.path().join("journal").to_str().unwrap(), &[]).await).await;
}
