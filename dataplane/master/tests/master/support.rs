//! What all tests of masters need: one that runs, and somebody who asks it.

use alluxio_config::{Config, MasterConfig};
use alluxio_election::{Candidate, Elector, FixedElector};
use alluxio_host::Host;
use alluxio_journal::{EntryBatch, FolderJournal, FolderOptions, JournalStore};
use alluxio_master::recover::recover;
use alluxio_master::{Deps, Handle, OpenJournal, OpenedJournal, StartError};
use alluxio_namespace::Foundation;
use alluxio_proto::v1::common::WriteType;
use alluxio_proto::v1::fs as pb;
use alluxio_proto::v1::fs::file_system_master_client::FileSystemMasterClient;
use alluxio_rpc::primary::{CallerChannel, channel};
use alluxio_rpc::{Caller, HostPort, Primary, RetryPolicy};
use alluxio_types::{
    Entry, FileKind, Fingerprint, InodeId, InodeRecord, Mode, OperationId, PersistenceState, Term,
    TtlAction, UnixMillis,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;

/// The user that runs the tests is the superuser.
pub(crate) const SUPERUSER: &str = "root";
/// Far more than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One call of the primary; of the file system's service unless another one is named.
macro_rules! ask {
    ($primary:expr, $method:ident, $request:expr) => {
        ask!($primary, FileSystemMasterClient, $method, $request)
    };
    ($primary:expr, $client:ident, $method:ident, $request:expr) => {
        $primary
            .call(alluxio_rpc::Repeat::Harmful, |channel| {
                let request = $request;
                async move { $client::new(channel).$method(request).await }
            })
            .await
    };
}

/// The configuration of a master with its journal and its root under store in `dir`.
pub(crate) fn config(dir: &Path, extra: &[(&str, String)]) -> MasterConfig {
    let text = |path: &str| dir.join(path).to_str().unwrap().to_owned();
    let mut pairs = vec![
        ("alluxio.master.hostname", "127.0.0.1".to_owned()),
        ("alluxio.master.bind.host", "127.0.0.1".to_owned()),
        ("alluxio.master.web.bind.host", "127.0.0.1".to_owned()),
        ("alluxio.master.rpc.port", "0".to_owned()),
        ("alluxio.master.web.port", "0".to_owned()),
        ("alluxio.master.journal.folder", text("journal")),
        ("alluxio.master.mount.table.root.ufs", text("ufs")),
    ];
    pairs.extend(extra.iter().cloned());
    Config::of(pairs).unwrap().master().unwrap()
}

/// Makes `dir/journal` an empty journal.
pub(crate) fn format_in(dir: &Path) {
    alluxio_journal::folder::format(&Host::real(), &dir.join("journal"), "cluster-1").unwrap();
}

/// How a master opens the journal in `dir`.
pub(crate) fn folder_journal(dir: &Path, host: &Host) -> OpenJournal {
    let (options, host) = (FolderOptions::new(dir.join("journal")), host.clone());
    Arc::new(move || {
        let store = FolderJournal::open(options.clone(), &host, Arc::new(()))?;
        let cluster_id = store.facts().cluster_id.clone();
        Ok(OpenedJournal { store: Arc::new(store), cluster_id })
    })
}

/// Starts a master on a journal of its own in `dir`, which is formatted.
pub(crate) async fn start(dir: &Path, extra: &[(&str, String)]) -> Result<Handle, StartError> {
    let host = Host::real();
    let journal = folder_journal(dir, &host);
    let clock = host.clock.clone();
    start_as(config(dir, extra), host, |itself| {
        (journal, Arc::new(FixedElector::new(itself, clock)) as Arc<dyn Elector>)
    })
    .await
}

/// Starts a master whose journal and elector depend on who it is: its id is its RPC address.
pub(crate) async fn start_as(
    config: MasterConfig,
    host: Host,
    parts: impl FnOnce(Candidate) -> (OpenJournal, Arc<dyn Elector>),
) -> Result<Handle, StartError> {
    let listener = alluxio_master::bind(&host.net, &config).await?;
    let rpc_address = listener.address().to_string();
    let itself = Candidate { id: rpc_address.clone(), rpc_address };
    let (journal, elector) = parts(itself.clone());
    let deps = Deps {
        journal,
        elector,
        itself,
        metrics: alluxio_telemetry::Metrics::new("master"),
        log: alluxio_telemetry::LogControl::none(),
        properties: Vec::new(),
        user: SUPERUSER.into(),
        host,
        config,
    };
    alluxio_master::start(listener, deps).await
}

/// Where a master listens.
pub(crate) fn address(master: &Handle) -> HostPort {
    HostPort { host: "127.0.0.1".into(), port: master.rpc_address().port() }
}

/// A client of one master, which tries once.
pub(crate) fn as_user(master: &Handle, user: &str) -> Primary {
    let caller = Caller::new(user).unwrap();
    Primary::new(vec![address(master)], caller, RetryPolicy::once(), Host::real()).unwrap()
}

/// A client that knows the masters in that order, and tries for as long as it takes.
pub(crate) fn client<'a>(masters: impl IntoIterator<Item = &'a Handle>) -> Primary {
    let addresses = masters.into_iter().map(address).collect();
    let policy = RetryPolicy { total: PATIENCE, ..RetryPolicy::default() };
    Primary::new(addresses, Caller::new(SUPERUSER).unwrap(), policy, Host::real()).unwrap()
}

/// Calls of one master and of no other, all tries of one change.
pub(crate) fn tries_of(master: &Handle, operation: u128) -> FileSystemMasterClient<CallerChannel> {
    let caller = Caller::new(SUPERUSER).unwrap().for_operation(OperationId(operation));
    let channel = channel(&Host::real().net, &address(master)).unwrap();
    FileSystemMasterClient::new(InterceptedService::new(channel.into(), caller))
}

/// What makes a file that lies with the workers only.
pub(crate) fn file(path: &str) -> pb::CreateFileRequest {
    pb::CreateFileRequest {
        path: path.into(),
        recursive: true,
        block_size_bytes: 1 << 20,
        write_type: WriteType::MustCache as i32,
        ..Default::default()
    }
}

/// Waits for what no event tells.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Fills the journal in `dir`, which is formatted, with so many files, without asking a master for each.
pub(crate) async fn populate(dir: &Path, files: u64) {
    start(dir, &[]).await.unwrap().stop(Duration::from_secs(5)).await;
    let options = FolderOptions::new(dir.join("journal"));
    let journal = FolderJournal::open(options, &Host::real(), Arc::new(())).unwrap();
    let (_, recovered) = recover(&journal, &Foundation::default()).unwrap();
    let term = Term(recovered.term.0 + 1);
    journal.fence(term).unwrap();
    let id = |number: u64| InodeId(((1 << 20) + number) << 24 | 0xFF_FFFF);
    let mut batch = EntryBatch::new(recovered.last.next());
    let (mut directory, mut made) = (InodeId::ROOT, 0);
    for number in 0..files {
        if number % FILES_IN_DIRECTORY == 0 {
            directory = id(made);
            batch.push(&inode(directory, InodeId::ROOT, format!("bulk-{number}"), true));
            made += 1;
        }
        batch.push(&inode(id(made), directory, format!("file-{number:012}"), false));
        made += 1;
        if batch.len() > 2000 || number + 1 == files {
            batch.push(&Entry::ReserveContainers { next: (1 << 20) + made });
            let last = batch.last();
            let full = std::mem::replace(&mut batch, EntryBatch::new(last.next()));
            journal.append(term, full).await.unwrap();
        }
    }
    journal.close().unwrap();
}

/// Files in each directory that [`populate`] makes.
const FILES_IN_DIRECTORY: u64 = 1000;

fn inode(id: InodeId, parent: InodeId, name: String, is_directory: bool) -> Entry {
    let at = UnixMillis(1_750_000_000_000);
    Entry::Create(Box::new(InodeRecord {
        id,
        parent,
        name,
        kind: if is_directory { FileKind::Directory } else { FileKind::File },
        owner: SUPERUSER.into(),
        group: SUPERUSER.into(),
        mode: Mode(0o755),
        created: at,
        modified: at,
        accessed: at,
        length: if is_directory { 0 } else { 1 << 20 },
        block_size_bytes: if is_directory { 0 } else { 64 << 20 },
        completed: true,
        pinned: false,
        persistence: PersistenceState::NotPersisted,
        fingerprint: Fingerprint::default(),
        ttl_ms: None,
        ttl_action: TtlAction::Free,
        replication_min: 0,
        replication_max: None,
        children_loaded: is_directory,
        xattr: Default::default(),
        target: String::new(),
        quota: alluxio_types::Quota::default(),
    }))
}
