//! Every journal on the suite of the trait.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod stage;

use alluxio_host::Host;
use alluxio_journal::conformance::{Stage, StageFuture, run};
use alluxio_journal::folder::format;
use alluxio_journal::{FolderJournal, FolderOptions, JournalStore};
use alluxio_types::Term;
use std::path::PathBuf;
use std::sync::Arc;

struct InFolder {
    path: PathBuf,
}

impl Stage for InFolder {
    fn open(&self) -> StageFuture<'_, Arc<dyn JournalStore>> {
        Box::pin(async {
            let mut options = FolderOptions::new(&self.path);
            options.segment_bytes = 4096;
            let journal = FolderJournal::open(options, &Host::real(), Arc::new(())).unwrap();
            Arc::new(journal) as Arc<dyn JournalStore>
        })
    }

    fn elect(&self, last: Term) -> StageFuture<'_, Term> {
        Box::pin(async move { Term(last.0 + 1) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_in_a_folder_conforms() {
    let dir = tempfile::tempdir().unwrap();
    format(&Host::real(), dir.path(), "cluster-1").unwrap();
    run(&InFolder { path: dir.path().to_owned() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_in_etcd_conforms() {
    let servers = alluxio_testservers::Etcd::start(1);
    let stage = stage::InEtcd::format(servers.endpoints(), "conformance").await;
    run(&stage).await;
}
