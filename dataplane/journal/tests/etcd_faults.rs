//! A journal in an etcd that fails, under primaries that are deposed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod stage;

use alluxio_election::Elector;
use alluxio_host::Host;
use alluxio_journal::conformance::{Checker, Stage, Writing, batch, blocking, load, soon};
use alluxio_journal::{Followed, JournalError, StateDigest, etcd};
use alluxio_testservers::{Etcd as Servers, Proxy};
use alluxio_types::JournalSeq;
use stage::InEtcd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What an error of the commits is about, through the layers that pass it on.
fn is_fenced(error: &JournalError) -> bool {
    match error {
        JournalError::Fenced { .. } => true,
        JournalError::Failed { cause } => is_fenced(cause),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_primary_cannot_append() {
    let servers = Servers::start(1);
    let one = InEtcd::format(servers.endpoints(), "c").await;
    let two = InEtcd::join(servers.endpoints(), "c", "m2");
    let (mut old, ..) = Writing::begin(&one).await;
    old.append(10).await;
    let leader = two.elector.leader().wait_for(Option::is_some).await.unwrap().clone().unwrap();
    two.elector.challenge(&leader).await.unwrap();
    let (mut new, recovered, _) = Writing::begin(&two).await;
    assert_eq!(recovered.last, JournalSeq(10));

    // It does not know yet, and etcd refuses all the same.
    old.journal.append(old.term, batch(11, 5)).await.unwrap();
    let failure = soon("a refusal", old.journal.commits().wait_for(JournalSeq(15))).await;
    assert!(is_fenced(&failure.unwrap_err()));
    let (journal, term) = (old.journal.clone(), old.term);
    let refused = blocking(&journal, move |journal| journal.fence(term)).await;
    assert!(matches!(refused, Err(JournalError::Fenced { .. })), "{refused:?}");
    assert!(blocking(&journal, |journal| journal.close()).await.is_err());
    drop((old, journal));

    new.append(3).await;
    let reader = one.open().await;
    let (recovered, _) = load(&reader).await.unwrap();
    assert_eq!((recovered.last, recovered.term), (JournalSeq(13), new.term));
}

/// Appends small batches until told to stop, as one who knows nothing of the faults.
async fn load_until(mut writing: Writing, stop: Arc<AtomicBool>) -> Writing {
    while !stop.load(Ordering::Relaxed) {
        writing.append(1 + writing.next % 4).await;
    }
    writing
}

async fn all_is_there(stage: &InEtcd, writing: Writing) {
    let last = writing.next - 1;
    writing.close().await;
    let journal = stage.open().await;
    let (recovered, _) = load(&journal).await.unwrap();
    assert_eq!(recovered.last.0, last, "what was acknowledged, and once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn lost_answers_lose_and_double_nothing() {
    let servers = Servers::start(1);
    let proxy = Proxy::to(&servers.endpoints()[0]);
    let stage = InEtcd::format(vec![proxy.address()], "c").await;
    let (writing, ..) = Writing::begin(&stage).await;
    let commits = writing.journal.commits();
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(load_until(writing, stop.clone()));
    for round in 0..6 {
        let before = commits.current();
        soon("a commit", commits.wait_for(JournalSeq(before.0 + 20))).await.unwrap();
        if round % 2 == 0 {
            // etcd gets the appends and its answers are lost, with the connection.
            proxy.cut_replies();
            tokio::time::sleep(Duration::from_millis(30)).await;
            proxy.reset();
        } else {
            // Nothing passes for longer than an append waits, and then all of it arrives.
            proxy.partition();
            tokio::time::sleep(Duration::from_millis(1700)).await;
        }
        proxy.heal();
    }
    stop.store(true, Ordering::Relaxed);
    let writing = soon("the last commit", load).await.unwrap();
    all_is_there(&stage, writing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_etcd_that_loses_members_and_its_majority_loses_no_entry() {
    let mut servers = Servers::start(3);
    let stage = InEtcd::format(servers.endpoints(), "c").await;
    let standby = InEtcd::join(servers.endpoints(), "c", "m2");
    let (writing, ..) = Writing::begin(&stage).await;
    let commits = writing.journal.commits();
    let follower = standby.open().await;
    load(&follower).await.unwrap();
    let mut follow = follower.clone().follow(JournalSeq(0));
    let stop = Arc::new(AtomicBool::new(false));
    let appends = tokio::spawn(load_until(writing, stop.clone()));
    for round in 0..3 {
        let before = commits.current();
        soon("a commit", commits.wait_for(JournalSeq(before.0 + 20))).await.unwrap();
        let leader = servers.leader();
        match round {
            0 => {
                servers.kill(leader);
                servers.restart(leader);
            }
            1 => {
                servers.pause(leader);
                let before = commits.current();
                soon("a commit", commits.wait_for(JournalSeq(before.0 + 20))).await.unwrap();
                servers.resume(leader);
            }
            _ => {
                let down = [leader, (leader + 1) % 3];
                down.iter().for_each(|member| servers.kill(*member));
                tokio::time::sleep(Duration::from_secs(2)).await;
                down.iter().for_each(|member| servers.restart(*member));
            }
        }
    }
    let before = commits.current();
    soon("a commit", commits.wait_for(JournalSeq(before.0 + 20))).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let writing = soon("the last commit", appends).await.unwrap();

    // The standby saw all of it, in order, whatever it has to ask again.
    let mut next = 1;
    while next < writing.next {
        match soon("the next entries", follow.next()).await {
            Ok(Followed::Entries(records)) => {
                for record in records.iter() {
                    assert_eq!(record.seq.0, next);
                    next += 1;
                }
            }
            Ok(Followed::Compacted { from }) => panic!("nothing was removed, not even {from}"),
            Err(error) => {
                assert!(matches!(error, JournalError::Etcd(_)), "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    all_is_there(&stage, writing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_behind_what_is_kept_takes_a_checkpoint_from_another_master() {
    let servers = Servers::start(1);
    let one = InEtcd::format(servers.endpoints(), "c").await;
    let two = InEtcd::join(servers.endpoints(), "c", "m2");
    let (mut writing, ..) = Writing::begin(&one).await;
    writing.append(10).await;
    let standby = two.open().await;
    load(&standby).await.unwrap();

    // It is up and has no checkpoint: nothing is removed that it needs.
    for _ in 0..2 {
        writing.append(10).await;
        writing.checkpoint().await;
    }
    let mut follow = standby.clone().follow(JournalSeq(0));
    assert!(matches!(follow.next().await, Ok(Followed::Entries(_))), "it can still follow");

    // It is away, and what it needs goes.
    drop((follow, standby));
    let InEtcd { dir, elector, .. } = two;
    drop(elector);
    let keys = one.etcd.keys().master("m2");
    let gone = one.etcd.read(Duration::from_secs(5), |mut client| {
        let key = keys.clone();
        async move { client.delete(key, None).await }
    });
    gone.await.unwrap();
    writing.append(10).await;
    let newest = writing.checkpoint().await;
    writing.append(3).await;

    let mut two = InEtcd::join(servers.endpoints(), "c", "m2");
    two.dir = dir;
    let standby = two.open().await;
    let refused = load(&standby).await;
    let Err(JournalError::CheckpointNeeded { holders, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(holders.contains("m1 at 40"), "{holders}");
    let mut follow = standby.clone().follow(JournalSeq(5));
    assert!(matches!(follow.next().await, Ok(Followed::Compacted { from: JournalSeq(6) })));

    let primary = writing.journal.clone();
    let install = blocking(&standby, move |standby| {
        let source = primary.open_checkpoint()?.unwrap();
        let mut install = standby.install_checkpoint(source.info())?;
        install.write(&source.read_at(0, usize::MAX)?)?;
        install.finish(&mut Checker::default())
    });
    assert_eq!(install.await.unwrap(), newest);
    let (recovered, _) = load(&standby).await.unwrap();
    assert_eq!((recovered.checkpoint.unwrap().at.0, recovered.last.0), (40, 43));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_of_another_cluster_and_one_in_use_are_refused() {
    let servers = Servers::start(1);
    let one = InEtcd::format(servers.endpoints(), "c").await;
    let elsewhere = InEtcd::join(servers.endpoints(), "other", "m1");
    let refused = elsewhere.try_open().await.err().unwrap();
    assert!(matches!(refused, JournalError::NotFormatted { .. }), "{refused}");
    let folder = |master: &InEtcd| master.dir.path().join("journal");
    let host = Host::real();
    etcd::format(&elsewhere.etcd, &host, folder(&elsewhere), "id-2").await.unwrap();

    // A master whose folder is that of another cluster.
    let mut lost = InEtcd::join(servers.endpoints(), "c", "m3");
    lost.dir = elsewhere.dir;
    let refused = lost.try_open().await.err().unwrap();
    assert!(matches!(refused, JournalError::Foreign { .. }), "{refused}");

    // All masters may be told to format: an empty journal stays the one it is.
    let two = InEtcd::join(servers.endpoints(), "c", "m2");
    let again = etcd::format(&two.etcd, &host, folder(&two), "id-9").await.unwrap();
    assert_eq!(again.cluster_id, "id-1");

    // A primary's journal is not wiped; a full one that nobody uses is.
    let (mut writing, ..) = Writing::begin(&one).await;
    writing.append(5).await;
    let refused = etcd::format(&two.etcd, &host, folder(&two), "id-9").await;
    assert!(matches!(refused, Err(JournalError::Locked { .. })), "{refused:?}");
    writing.close().await;
    one.resign().await;
    etcd::format(&two.etcd, &host, folder(&two), "id-9").await.unwrap();
    let refused = one.try_open().await.err().unwrap();
    assert!(matches!(refused, JournalError::Foreign { .. }), "{refused}");
    let (recovered, _) = load(&two.open().await).await.unwrap();
    assert_eq!(recovered.last, JournalSeq(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masters_that_begin_at_the_same_time_share_one_journal() {
    let servers = Servers::start(1);
    for round in 0..10 {
        let cluster = format!("c{round}");
        let masters =
            ["m1", "m2", "m3"].map(|name| InEtcd::join(servers.endpoints(), &cluster, name));
        let begin = masters.iter().zip(["a", "b", "c"]).map(|(master, id)| async move {
            let folder = master.dir.path().join("journal");
            etcd::format_if_new(&master.etcd, &Host::real(), folder, id).await.unwrap()
        });
        let made = futures::future::join_all(begin).await;
        assert!(made.iter().all(|facts| *facts == made[0]), "{made:?}");
        for master in &masters {
            drop(master.open().await);
        }
        // One that comes when entries are there takes nothing away.
        let (mut writing, ..) = Writing::begin(&masters[0]).await;
        writing.append(3).await;
        writing.close().await;
        masters[0].resign().await;
        let late = InEtcd::join(servers.endpoints(), &cluster, "m4");
        let folder = late.dir.path().join("journal");
        let found = etcd::format_if_new(&late.etcd, &Host::real(), folder, "d").await.unwrap();
        assert_eq!(found, made[0]);
        let (recovered, _) = load(&late.open().await).await.unwrap();
        assert_eq!(recovered.last, JournalSeq(3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_without_a_checkpoint_slows_down_and_then_waits_for_one() {
    let servers = Servers::start(1);
    let mut stage = InEtcd::format(servers.endpoints(), "c").await;
    stage.backlog_bytes = 64 << 10;
    let (mut writing, ..) = Writing::begin(&stage).await;
    assert!(!writing.journal.backlog().wants_checkpoint());
    while writing.journal.backlog().bytes < 70 << 10 {
        writing.append(50).await;
    }
    assert!(writing.journal.backlog().wants_checkpoint());
    // A single checkpoint frees nothing while no other master holds one.
    writing.checkpoint().await;
    while writing.journal.backlog().bytes < 128 << 10 {
        writing.append(50).await;
    }
    let next = writing.next;
    writing.journal.append(writing.term, batch(next, 1)).await.unwrap();
    let commits = writing.journal.commits();
    let committed = commits.wait_for(JournalSeq(next));
    assert!(tokio::time::timeout(Duration::from_millis(300), committed).await.is_err());
    writing.checkpoint().await;
    soon("the commit", commits.wait_for(JournalSeq(next))).await.unwrap();
    assert!(writing.journal.backlog().bytes < 100 << 10);
    writing.next += 1;
    all_is_there(&stage, writing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_restored_into_an_empty_journal_only() {
    let servers = Servers::start(1);
    let one = InEtcd::format(servers.endpoints(), "c").await;
    let restore = |journal: &dyn alluxio_journal::JournalStore| {
        let mut sink = journal.begin_restore(JournalSeq(40))?;
        sink.put(&alluxio_types::CheckpointRecord::NextContainer(40))?;
        sink.finish(StateDigest { kind: 1, hash: 40 })
    };
    let journal = one.open().await;
    assert!(blocking(&journal, restore).await.is_err(), "it is not loaded");
    load(&journal).await.unwrap();
    blocking(&journal, restore).await.unwrap();
    drop(journal);
    let (mut writing, recovered, checker) = Writing::begin(&one).await;
    assert_eq!((recovered.last.0, checker.checkpoint), (40, Some(40)));
    writing.append(3).await;
    all_is_there(&one, writing).await;
    let journal = one.open().await;
    load(&journal).await.unwrap();
    assert!(blocking(&journal, restore).await.is_err(), "it is not empty");

    // Who comes later needs what the first one has.
    let two = InEtcd::join(servers.endpoints(), "c", "m2");
    let refused = load(&two.open().await).await;
    assert!(matches!(refused, Err(JournalError::CheckpointNeeded { .. })), "{refused:?}");
}
