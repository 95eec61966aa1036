use super::*;
use crate::{CheckpointInfo, StateDigest};
use alluxio_host::{Fault, FaultKind, ManualClock, MemoryDisk, Operation, SeededEntropy};
use alluxio_types::{CheckpointRecord, Coded, Entry, InodeId, MountId, UnixMillis};
use proptest::prelude::*;
use std::path::Path;

const FOLDER: &str = "/var/journal";
/// Small files, so that a short workload has many of them.
const SEGMENT_BYTES: u64 = 1024;

fn host(disk: &MemoryDisk) -> Host {
    Host {
        clock: Arc::new(ManualClock::at(UnixMillis(1_700_000_000_000))),
        entropy: Arc::new(SeededEntropy::new(1)),
        disk: Arc::new(disk.clone()),
        ..Host::real()
    }
}

/// The entry that the tests write at a position: it can be told from every other.
fn entry(seq: u64) -> Entry {
    match seq % 3 {
        0 => Entry::Unmount { id: MountId(seq) },
        1 => Entry::Delete { id: InodeId(seq), modified: UnixMillis(seq) },
        _ => Entry::Rename {
            id: InodeId(seq),
            parent: InodeId(1),
            name: "n".repeat(seq as usize % 90),
            modified: UnixMillis(seq),
        },
    }
}

fn batch(first: u64, count: u64) -> EntryBatch {
    let mut batch = EntryBatch::new(JournalSeq(first));
    (first..first + count).for_each(|seq| {
        batch.push(&entry(seq));
    });
    batch
}

/// Checks, while it is loaded, that a journal holds what the tests write and nothing else.
#[derive(Default)]
struct Checker {
    checkpoint: Option<u64>,
    last: u64,
}

impl Replay for Checker {
    fn restart(&mut self) {
        *self = Checker::default();
    }

    fn checkpoint(&mut self, record: &CheckpointRecord) {
        let &CheckpointRecord::NextContainer(at) = record else { panic!("{record:?}") };
        assert!(self.checkpoint.is_none_or(|known| known == at));
        (self.checkpoint, self.last) = (Some(at), at);
    }

    fn entry(&mut self, seq: JournalSeq, found: Entry) {
        self.last += 1;
        assert_eq!(seq.0, self.last);
        assert_eq!(found, entry(seq.0));
    }
}

fn open(disk: &MemoryDisk) -> Result<FolderLog, JournalError> {
    FolderLog::open(&host(disk), Path::new(FOLDER), SEGMENT_BYTES)
}

fn load(log: &mut FolderLog) -> Result<Recovered, JournalError> {
    let mut checker = Checker::default();
    let recovered = log.load(&mut checker)?;
    assert_eq!(recovered.last.0, checker.last);
    assert_eq!(recovered.checkpoint.as_ref().map(|info| info.at.0), checker.checkpoint);
    Ok(recovered)
}

fn checkpoint(log: &FolderLog, at: u64) -> Result<CheckpointInfo, JournalError> {
    let mut sink = log.begin_checkpoint(JournalSeq(at))?;
    for _ in 0..20 {
        sink.put(&CheckpointRecord::NextContainer(at))?;
    }
    sink.finish(StateDigest { kind: 1, hash: at * 7 })
}

/// A random run of a master: format, appends, checkpoints, truncations. `committed` is what a client
/// was told, `appended` what may be there.
fn run(
    disk: &MemoryDisk,
    seed: u64,
    committed: &mut u64,
    appended: &mut u64,
) -> Result<(), JournalError> {
    format(&host(disk), Path::new(FOLDER), "cluster-a")?;
    let mut log = open(disk)?;
    load(&mut log)?;
    log.fence(Term(1))?;
    work(&mut log, seed, committed, appended)
}

fn work(
    log: &mut FolderLog,
    seed: u64,
    committed: &mut u64,
    appended: &mut u64,
) -> Result<(), JournalError> {
    use alluxio_host::Entropy;
    let entropy = SeededEntropy::new(seed);
    for _ in 0..25 {
        let term = log.term();
        let mut group = Vec::new();
        let mut next = log.next().0;
        for _ in 0..=entropy.below(3) {
            let count = 1 + entropy.below(6);
            group.push((term, batch(next, count)));
            next += count;
        }
        *appended = next - 1;
        log.write_group(&group)?;
        *committed = *appended;
        match entropy.below(6) {
            0 => assert_eq!(checkpoint(log, *committed)?.at.0, *committed),
            1 => assert!(log.truncate()?.checkpoints < 10),
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn what_was_written_is_loaded_over_many_files_and_terms() {
    let disk = MemoryDisk::new(1);
    let (mut committed, mut appended) = (0, 0);
    run(&disk, 7, &mut committed, &mut appended).unwrap();
    for term in 2..6 {
        let mut log = open(&disk).unwrap();
        let recovered = load(&mut log).unwrap();
        assert_eq!(recovered.last.0, committed);
        assert_eq!((recovered.torn_bytes, recovered.term), (0, Term(term - 1)));
        log.fence(Term(term)).unwrap();
        assert!(matches!(log.fence(Term(term - 1)), Err(JournalError::Fenced { .. })));
        work(&mut log, term, &mut committed, &mut appended).unwrap();
    }
}

#[test]
fn a_crash_at_any_disk_call_loses_nothing_that_was_committed() {
    for seed in 0..4 {
        let calls = {
            let disk = MemoryDisk::new(seed);
            run(&disk, seed, &mut 0, &mut 0).unwrap();
            disk.calls()
        };
        assert!(calls > 100, "the workload must use the disk");
        for call in 1..=calls {
            crash_at(seed, call);
        }
    }
}

fn crash_at(seed: u64, call: u64) {
    let disk = MemoryDisk::new(seed * 10_000 + call);
    disk.end_power_at(call);
    let (mut committed, mut appended) = (0, 0);
    let ended = run(&disk, seed, &mut committed, &mut appended);
    assert!(ended.is_err(), "the power ended at call {call}");
    disk.crash();
    let mut log = match open(&disk) {
        Ok(log) => log,
        Err(JournalError::NotFormatted { .. }) if committed == 0 => {
            format(&host(&disk), Path::new(FOLDER), "cluster-a").unwrap();
            return;
        }
        Err(error) => panic!("seed {seed} call {call}: {error}"),
    };
    let recovered =
        load(&mut log).unwrap_or_else(|error| panic!("seed {seed} call {call}: {error}"));
    let last = recovered.last.0;
    assert!(
        (committed..=appended).contains(&last),
        "seed {seed} call {call}: committed {committed}, recovered {last}, appended {appended}"
    );
    // Life goes on, and a second crash right away takes nothing back.
    log.fence(Term(2)).unwrap();
    log.write_group(&[(Term(2), batch(last + 1, 3))]).unwrap();
    disk.crash();
    let mut log = open(&disk).unwrap();
    let again = load(&mut log).unwrap_or_else(|error| panic!("seed {seed} call {call}: {error}"));
    assert_eq!((again.last.0, again.term), (last + 3, Term(2)), "seed {seed} call {call}");
}

/// The process dies at any disk call, the machine runs on; the next process appends, and then the
/// power goes. What the dead one left (half a record, a name that is not synced) must not take the
/// new entries along.
#[test]
fn a_kill_at_any_disk_call_and_a_later_power_cut_lose_nothing_that_was_committed() {
    for seed in 0..2 {
        let calls = {
            let disk = MemoryDisk::new(seed);
            run(&disk, seed, &mut 0, &mut 0).unwrap();
            disk.calls()
        };
        for call in 1..=calls {
            kill_at(seed, call);
        }
    }
}

fn kill_at(seed: u64, call: u64) {
    let disk = MemoryDisk::new(seed * 10_000 + call);
    disk.end_power_at(call);
    let (mut committed, mut appended) = (0, 0);
    let ended = run(&disk, seed, &mut committed, &mut appended);
    assert!(ended.is_err(), "the process ended at call {call}");
    let disk = disk.fork(call);
    let mut log = match open(&disk) {
        Ok(log) => log,
        Err(JournalError::NotFormatted { .. }) if committed == 0 => return,
        Err(error) => panic!("seed {seed} call {call}: {error}"),
    };
    let last = load(&mut log).unwrap().last.0;
    assert!((committed..=appended).contains(&last), "seed {seed} call {call}");
    log.fence(Term(2)).unwrap();
    log.write_group(&[(Term(2), batch(last + 1, 3))]).unwrap();
    disk.crash();
    let mut log = open(&disk).unwrap();
    let again = load(&mut log).unwrap_or_else(|error| panic!("seed {seed} call {call}: {error}"));
    assert_eq!((again.last.0, again.term), (last + 3, Term(2)), "seed {seed} call {call}");
}

#[test]
fn entries_that_a_failed_sync_left_readable_are_made_durable_by_the_next_start() {
    for seed in 0..50 {
        let disk = MemoryDisk::new(seed);
        format(&host(&disk), Path::new(FOLDER), "cluster-a").unwrap();
        let mut log = open(&disk).unwrap();
        load(&mut log).unwrap();
        log.fence(Term(1)).unwrap();
        log.write_group(&[(Term(1), batch(1, 3))]).unwrap();
        disk.inject(Fault::new(FaultKind::Io).on(Operation::Sync));
        let error = log.write_group(&[(Term(1), batch(4, 9))]).unwrap_err();
        assert!(matches!(error, JournalError::Io { action: "sync", .. }), "{error}");
        drop(log);
        // The process starts again, the machine does not.
        let mut log = open(&disk).unwrap();
        let seen = load(&mut log).unwrap().last;
        log.fence(Term(2)).unwrap();
        drop(log);
        disk.crash();
        assert!(load(&mut open(&disk).unwrap()).unwrap().last >= seen, "seed {seed}");
    }
}

/// A journal with several files and two checkpoints, and its last position.
fn sample() -> (MemoryDisk, u64) {
    let disk = MemoryDisk::new(2);
    format(&host(&disk), Path::new(FOLDER), "cluster-a").unwrap();
    let mut log = open(&disk).unwrap();
    load(&mut log).unwrap();
    log.fence(Term(1)).unwrap();
    for round in 0..12 {
        let next = log.next().0;
        log.write_group(&[(Term(1), batch(next, 2)), (Term(1), batch(next + 2, 3))]).unwrap();
        if round == 4 || round == 8 {
            checkpoint(&log, next + 4).unwrap();
        }
    }
    let last = log.next().0 - 1;
    assert!(host(&disk).disk.list(Path::new(FOLDER)).unwrap().len() >= 6);
    (disk, last)
}

#[test]
fn no_flipped_bit_ever_yields_a_wrong_entry() {
    let (disk, last) = sample();
    let (mut refused, mut cut, mut passed_over) = (0u32, 0u32, 0u32);
    for name in host(&disk).disk.list(Path::new(FOLDER)).unwrap() {
        let path = Path::new(FOLDER).join(&name);
        let bits = host(&disk).disk.facts(&path).unwrap().length * 8;
        for bit in 0..bits {
            // Zeros ahead of the writing are long and all alike.
            if bit > 6000 * 8 && bit % 997 != 0 {
                continue;
            }
            let fork = disk.fork(bit);
            fork.flip_bit(&path, bit).unwrap();
            match open(&fork).and_then(|mut log| load(&mut log)) {
                Ok(recovered) if recovered.last.0 == last => {
                    passed_over += recovered.damaged_checkpoints;
                }
                Ok(recovered) => {
                    assert!(recovered.torn_bytes > 0, "{name} bit {bit}");
                    assert!(recovered.last.0 >= last - 5, "{name} bit {bit}: only the last group");
                    cut += 1;
                }
                Err(error) => {
                    assert!(
                        matches!(
                            error,
                            JournalError::Corrupt { .. } | JournalError::NotFormatted { .. }
                        ),
                        "{name} bit {bit}: {error}"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1000 && cut > 1000 && passed_over > 1000, "{refused} {cut} {passed_over}");
}

#[test]
fn damage_in_the_middle_is_refused_with_file_offset_and_a_way_out() {
    let (disk, _) = sample();
    disk.remove_all_checkpoints();
    let path = Path::new(FOLDER).join("segment-00000000000000000001");
    disk.flip_bit(&path, 8 * 100).unwrap();
    let error = open(&disk).and_then(|mut log| load(&mut log)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("segment-00000000000000000001") && text.contains("at byte 64"), "{text}");
    assert!(text.contains("alluxio readJournal -inputDir /var/journal"), "{text}");
    assert_eq!(error.code(), alluxio_types::Code::DataLoss);
}

trait Sabotage {
    fn remove_all_checkpoints(&self);
}

impl Sabotage for MemoryDisk {
    fn remove_all_checkpoints(&self) {
        use alluxio_host::Disk;
        for name in self.list(Path::new(FOLDER)).unwrap() {
            if name.starts_with("checkpoint-") {
                self.remove_file(&Path::new(FOLDER).join(name)).unwrap();
            }
        }
    }
}

#[test]
fn a_missing_file_is_a_gap() {
    use alluxio_host::Disk;
    let (disk, _) = sample();
    disk.remove_all_checkpoints();
    let names = disk.list(Path::new(FOLDER)).unwrap();
    let segments: Vec<_> = names.iter().filter(|name| name.starts_with("segment-")).collect();
    let fork = disk.fork(1);
    fork.remove_file(&Path::new(FOLDER).join(segments[1])).unwrap();
    let error = open(&fork).and_then(|mut log| load(&mut log)).unwrap_err();
    assert!(matches!(error, JournalError::Gap { .. }), "{error}");
    disk.remove_file(&Path::new(FOLDER).join(segments[0])).unwrap();
    let error = open(&disk).and_then(|mut log| load(&mut log)).unwrap_err();
    assert!(matches!(error, JournalError::Gap { from: JournalSeq(1), .. }), "{error}");
}

#[test]
fn truncation_keeps_two_checkpoints_and_the_log_after_the_older_one() {
    let (disk, last) = sample();
    let log = open(&disk).unwrap();
    let removed = log.truncate().unwrap();
    assert!(removed.segments > 0);
    assert_eq!(removed.checkpoints, 0);
    drop(log);
    // The newest checkpoint rots away: the older one and the log behind it give everything.
    let newest = {
        use alluxio_host::Disk;
        let names = disk.list(Path::new(FOLDER)).unwrap();
        names.into_iter().rfind(|name| name.starts_with("checkpoint-")).unwrap()
    };
    let path = Path::new(FOLDER).join(newest);
    disk.flip_bit(&path, 8 * 90).unwrap();
    let mut log = open(&disk).unwrap();
    let recovered = load(&mut log).unwrap();
    assert_eq!((recovered.last.0, recovered.damaged_checkpoints), (last, 1));
    drop(log);
    // Without any checkpoint, what was truncated is missing, and that is said.
    disk.remove_all_checkpoints();
    let error = load(&mut open(&disk).unwrap()).unwrap_err();
    assert!(matches!(error, JournalError::Gap { .. }), "{error}");
}

#[test]
fn folders_that_are_not_ours_are_refused_and_say_what_to_do() {
    use alluxio_host::{Disk, OpenMode};
    let disk = MemoryDisk::new(1);
    let refused = |disk: &MemoryDisk| open(disk).err().unwrap();
    let text = refused(&disk).to_string();
    assert!(text.contains("/var/journal is not formatted: run `alluxio formatMaster`"), "{text}");
    disk.create_dir_all(Path::new(FOLDER)).unwrap();
    assert!(matches!(refused(&disk), JournalError::NotFormatted { .. }));

    let foreign = Path::new(FOLDER).join("thesis.doc");
    disk.open(&foreign, OpenMode::CreateNew).unwrap();
    let error = format(&host(&disk), Path::new(FOLDER), "a").unwrap_err();
    assert!(error.to_string().contains("thesis.doc"), "{error}");
    assert_eq!(disk.list(Path::new(FOLDER)).unwrap(), ["thesis.doc"]);
    disk.remove_file(&foreign).unwrap();

    format(&host(&disk), Path::new(FOLDER), "cluster-a").unwrap();
    let held = open(&disk).unwrap();
    let text = refused(&disk).to_string();
    assert_eq!(text, "journal /var/journal is in use by another master");
    let error = format(&host(&disk), Path::new(FOLDER), "b").unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }));
    drop(held);

    // A file of another cluster among ours.
    let other = MemoryDisk::new(2);
    format(&host(&other), Path::new(FOLDER), "cluster-b").unwrap();
    let segment = Path::new(FOLDER).join("segment-00000000000000000001");
    let source = other.open(&segment, OpenMode::Read).unwrap();
    let mut bytes = vec![0; source.length().unwrap() as usize];
    source.read_exact_at(&mut bytes, 0).unwrap();
    disk.open(&segment, OpenMode::ReadWrite).unwrap().write_all_at(&bytes, 0).unwrap();
    let error = open(&disk).and_then(|mut log| load(&mut log)).unwrap_err();
    assert!(matches!(error, JournalError::Foreign { .. }), "{error}");

    // A later format.
    let version = Path::new(FOLDER).join("VERSION");
    let body = "alluxio-journal\nformat=9\n";
    let text = format!("{body}crc32c={:08x}\n", crate::record::crc32c(body.as_bytes()));
    disk.remove_file(&version).unwrap();
    let file = disk.open(&version, OpenMode::CreateNew).unwrap();
    file.write_all_at(text.as_bytes(), 0).unwrap();
    assert!(matches!(refused(&disk), JournalError::FormatVersion { found: 9, .. }));
}

#[test]
fn formatting_again_begins_an_empty_journal() {
    let (disk, _) = sample();
    format(&host(&disk), Path::new(FOLDER), "cluster-c").unwrap();
    assert_eq!(inspect(&host(&disk), Path::new(FOLDER)).unwrap().cluster_id, "cluster-c");
    let recovered = load(&mut open(&disk).unwrap()).unwrap();
    assert_eq!((recovered.last, recovered.entries), (JournalSeq(0), 0));
}

#[test]
fn a_dump_needs_no_lock() {
    let (disk, last) = sample();
    let _held = open(&disk).unwrap();
    let reader = FolderReader::open(&host(&disk), Path::new(FOLDER)).unwrap();
    let mut seen = 0;
    let torn = reader
        .entries(&mut |record| {
            seen += 1;
            assert_eq!(record.seq.0, seen);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((seen, torn), (last, 0));
    let checkpoints = reader.checkpoints().unwrap();
    assert_eq!(checkpoints.len(), 2);
    for (at, info) in checkpoints {
        let mut records = 0;
        let read = reader.checkpoint(at, &mut |_| records += 1).unwrap();
        assert_eq!(info.unwrap(), read);
        assert_eq!((read.records, records, read.state_hash.hash), (20, 20, at.0 * 7));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever bytes a file of the log holds, loading ends in order.
    #[test]
    fn garbage_in_place_of_a_file_is_never_a_panic(
        garbage in proptest::collection::vec(any::<u8>(), 0..300), at in 0u64..2000
    ) {
        use alluxio_host::{Disk, OpenMode};
        let (disk, last) = sample();
        for name in disk.list(Path::new(FOLDER)).unwrap() {
            let fork = disk.fork(1);
            let path = Path::new(FOLDER).join(&name);
            fork.open(&path, OpenMode::ReadWrite).unwrap().write_all_at(&garbage, at).unwrap();
            if let Ok(recovered) = open(&fork).and_then(|mut log| load(&mut log)) {
                prop_assert!(recovered.last.0 <= last);
            }
        }
    }
}
