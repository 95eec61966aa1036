//! A journal in etcd, and the election that its writers need.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_election::{Candidate, Elector, EtcdElector, EtcdElectorOptions, Tenure};
use alluxio_etcd::{Etcd, EtcdSettings};
use alluxio_host::Host;
use alluxio_journal::conformance::{Stage, StageFuture};
use alluxio_journal::folder::QueueLimits;
use alluxio_journal::{EtcdJournal, EtcdJournalOptions, JournalError, JournalStore, etcd};
use alluxio_types::Term;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One master: its folder, its connection, its candidature.
pub(crate) struct InEtcd {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) etcd: Arc<Etcd>,
    pub(crate) name: String,
    pub(crate) backlog_bytes: u64,
    pub(crate) elector: EtcdElector,
    pub(crate) tenure: Mutex<Option<Tenure>>,
}

impl InEtcd {
    /// A master of a cluster that is formatted anew.
    pub(crate) async fn format(endpoints: Vec<String>, cluster: &str) -> InEtcd {
        let master = Self::join(endpoints, cluster, "m1");
        let folder = master.dir.path().join("journal");
        etcd::format(&master.etcd, &Host::real(), folder, "id-1").await.unwrap();
        master
    }

    /// A master that joins.
    pub(crate) fn join(endpoints: Vec<String>, cluster: &str, name: &str) -> InEtcd {
        let etcd = Arc::new(Etcd::new(&EtcdSettings::plain(endpoints, cluster)).unwrap());
        let candidate = Candidate { id: name.to_owned(), rpc_address: format!("{name}:19998") };
        let options = EtcdElectorOptions { lease: Duration::from_secs(20) };
        let clock = Host::real().clock;
        InEtcd {
            dir: tempfile::tempdir().unwrap(),
            elector: EtcdElector::start(etcd.clone(), candidate, clock, options),
            etcd,
            name: name.to_owned(),
            backlog_bytes: 0,
            tenure: Mutex::new(None),
        }
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<dyn JournalStore>, JournalError> {
        let options = EtcdJournalOptions {
            etcd: self.etcd.clone(),
            folder: self.dir.path().join("journal"),
            master: self.name.clone(),
            queue: QueueLimits::default(),
            backlog_bytes: self.backlog_bytes,
        };
        let journal = EtcdJournal::open(options, &Host::real(), Arc::new(())).await?;
        Ok(Arc::new(journal))
    }

    pub(crate) async fn resign(&self) {
        let held = self.tenure.lock().unwrap().take();
        if let Some(tenure) = held {
            self.elector.resign(&tenure).await.unwrap();
        }
    }
}

impl Stage for InEtcd {
    fn open(&self) -> StageFuture<'_, Arc<dyn JournalStore>> {
        Box::pin(async { self.try_open().await.unwrap() })
    }

    fn elect(&self, last: Term) -> StageFuture<'_, Term> {
        Box::pin(async move {
            self.resign().await;
            let tenure = self.elector.campaign(last).await.unwrap();
            let term = tenure.term();
            *self.tenure.lock().unwrap() = Some(tenure);
            term
        })
    }
}
