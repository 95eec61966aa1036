//! What can still be read of a damaged folder.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use alluxio_host::{Host, RealDisk, SeededEntropy, SystemClock};
use alluxio_journal::folder::{Finding, FolderLog, format, salvage};
use alluxio_journal::{Damage, EntryBatch, JournalError, Replay, StateDigest};
use alluxio_types::{CheckpointRecord, Entry, JournalSeq, MountId, Term};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

struct Nothing;

impl Replay for Nothing {
    fn restart(&mut self) {}
    fn checkpoint(&mut self, _: &CheckpointRecord) {}
    fn entry(&mut self, _: JournalSeq, _: Entry) {}
}

fn host() -> Host {
    Host {
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SeededEntropy::new(7)),
        disk: Arc::new(RealDisk),
        ..Host::real()
    }
}

/// A journal with entries 1 to 60, three to a group, in several files, and a checkpoint at 30.
fn sample(folder: &Path) {
    format(&host(), folder, "a-cluster").unwrap();
    let mut log = FolderLog::open(&host(), folder, 600).unwrap();
    log.load(&mut Nothing).unwrap();
    log.fence(Term(2)).unwrap();
    for first in (1..=60).step_by(3) {
        let mut batch = EntryBatch::new(JournalSeq(first));
        (first..first + 3).for_each(|seq| {
            batch.push(&Entry::Unmount { id: MountId(seq) });
        });
        log.write_group(&[(Term(2), batch)]).unwrap();
        if first == 28 {
            let mut sink = log.begin_checkpoint(JournalSeq(30)).unwrap();
            (1..=40).for_each(|next| {
                sink.put(&CheckpointRecord::NextContainer(next)).unwrap();
            });
            sink.finish(StateDigest { kind: 1, hash: 77 }).unwrap();
        }
    }
}

#[derive(Default)]
struct Found {
    facts: u32,
    items: Vec<u64>,
    whole_checkpoints: u32,
    segments: Vec<std::path::PathBuf>,
    entries: Vec<u64>,
    torn: Vec<u64>,
    damage: Vec<String>,
}

fn look(folder: &Path) -> Found {
    let mut found = Found::default();
    salvage(&host(), folder, &mut |finding| {
        match finding {
            Finding::Facts(_) => found.facts += 1,
            Finding::Item(CheckpointRecord::NextContainer(next)) => found.items.push(*next),
            Finding::CheckpointEnd { records: 40, state_hash: 77 } => found.whole_checkpoints += 1,
            Finding::Segment { file, .. } => found.segments.push(file.to_owned()),
            Finding::Entry { seq, term: Term(2), entry: Ok(entry), .. } => {
                assert_eq!(*entry, Entry::Unmount { id: MountId(seq.0) });
                found.entries.push(seq.0);
            }
            Finding::Torn { bytes, .. } => found.torn.push(bytes),
            Finding::Damaged(error) => found.damage.push(error.to_string()),
            Finding::Checkpoint { .. } => {}
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

#[test]
fn a_sound_journal_is_shown_whole() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let found = look(dir.path());
    assert_eq!((found.facts, found.whole_checkpoints), (1, 1));
    assert_eq!(found.items, (1..=40).collect::<Vec<_>>());
    assert_eq!(found.entries, (1..=60).collect::<Vec<_>>());
    assert!(found.damage.is_empty() && found.torn.is_empty(), "{:?}", found.damage);
    assert!(found.segments.len() > 3);
}

#[test]
fn entries_behind_a_damaged_one_are_shown_and_the_damage_has_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let file = look(dir.path()).segments[1].clone();
    let mut bytes = fs::read(&file).unwrap();
    // The second record of the file: the first begins behind 64 bytes of header.
    let at = 64 + 40;
    bytes[at + 33] ^= 4;
    fs::write(&file, bytes).unwrap();
    let found = look(dir.path());
    assert_eq!(found.entries.len(), 59);
    assert!(found.damage[0].contains(&format!("{} is damaged at byte {at}", file.display())));
    // What was to come, and the one that was missed.
    assert_eq!(found.damage.len(), 2, "{:?}", found.damage);
}

#[test]
fn a_missing_file_a_lost_version_and_a_torn_end_are_all_named() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let segments = look(dir.path()).segments;
    fs::remove_file(&segments[2]).unwrap();
    fs::remove_file(dir.path().join("VERSION")).unwrap();
    let last = segments.last().unwrap();
    let mut bytes = fs::read(last).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end - 20] ^= 1;
    fs::write(last, bytes).unwrap();
    let found = look(dir.path());
    assert_eq!(found.facts, 0);
    assert!(found.damage[0].contains("is not formatted"), "{:?}", found.damage);
    assert!(found.damage[1].contains("misses entries"), "{:?}", found.damage);
    assert_eq!((found.damage.len(), found.torn.len()), (2, 1));
    assert!(found.entries.contains(&1) && found.entries.contains(&59));
    assert!(!found.entries.contains(&60));
}

#[test]
fn a_checkpoint_cut_short_is_shown_up_to_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let file = dir.path().join(format!("checkpoint-{:020}", 30));
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 10]).unwrap();
    let found = look(dir.path());
    assert_eq!((found.items.len(), found.whole_checkpoints), (40, 0));
    assert!(found.damage[0].contains(&file.display().to_string()), "{:?}", found.damage);
    assert!(found.damage[0].contains(&Damage::Checkpoint.to_string()));
}

#[test]
fn a_folder_without_a_journal_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none");
    for folder in [dir.path(), missing.as_path()] {
        let error = salvage(&host(), folder, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(error, JournalError::NotFormatted { .. }), "{error}");
    }
}
