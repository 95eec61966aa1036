//! Dumps of real folders.

use crate::screen::capture;
use crate::{Invocation, run};
use alluxio_host::Host;
use alluxio_journal::folder::{FolderLog, format};
use alluxio_journal::{EntryBatch, Replay};
use alluxio_types::{CheckpointRecord, Entry, JournalSeq, MountId, Term, UnixMillis};
use std::fs;
use std::path::Path;

struct Nothing;

impl Replay for Nothing {
    fn restart(&mut self) {}
    fn checkpoint(&mut self, _: &CheckpointRecord) {}
    fn entry(&mut self, _: JournalSeq, _: Entry) {}
}

/// Entries 1 to 9, three to a group, and a checkpoint at 3.
fn sample(folder: &Path) {
    format(&Host::real(), folder, "a-cluster").unwrap();
    let mut log = FolderLog::open(&Host::real(), folder, 1 << 20).unwrap();
    log.load(&mut Nothing).unwrap();
    log.fence(Term(2)).unwrap();
    for first in [1, 4, 7] {
        let mut batch = EntryBatch::new(JournalSeq(first));
        for seq in first..first + 3 {
            batch.push(&Entry::Unmount { id: MountId(seq) });
        }
        log.write_group(&[(Term(2), batch)]).unwrap();
        if first == 1 {
            let mut sink = log.begin_checkpoint(JournalSeq(3)).unwrap();
            let formatted = UnixMillis(5);
            sink.put(&CheckpointRecord::Cluster { cluster_id: "a-cluster".into(), formatted })
                .unwrap();
            sink.finish(alluxio_journal::StateDigest { kind: 1, hash: 0xAB }).unwrap();
        }
    }
}

async fn alluxio(words: &[&str]) -> (u8, String, String) {
    let (screen, out, err) = capture::screen();
    let code = run(Invocation {
        arguments: words.iter().map(|word| (*word).to_owned()).collect(),
        environment: Vec::new(),
        screen,
        version: "1".into(),
        revision: String::new(),
        others: Vec::new(),
    })
    .await;
    (code, out.text(), err.text())
}

#[tokio::test]
async fn a_dump_is_a_folder_with_a_line_for_each_entry_and_a_file_for_each_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, dump) = (dir.path().join("journal"), dir.path().join("dump"));
    sample(&journal);
    let (input, output) = (journal.to_str().unwrap(), dump.to_str().unwrap());
    let words =
        ["readJournal", "-start", "2", "-end", "8", "-inputDir", input, "-outputDir", output];
    let (code, out, err) = alluxio(&words).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("Dumped 7 entries and 1 checkpoints (1 items) of "), "{out}");
    let edits = fs::read_to_string(dump.join("edits.txt")).unwrap();
    let lines: Vec<&str> = edits.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "2 term=2 Unmount mountId=2");
    assert_eq!(lines.len(), 7);
    assert!(edits.starts_with("# Journal clusterId=\"a-cluster\""), "{edits}");
    let items = fs::read_to_string(dump.join("checkpoints/checkpoint-3.txt")).unwrap();
    assert!(items.contains("Cluster clusterId=\"a-cluster\" formattedMs=5"), "{items}");
    assert!(items.contains("stateHash=\"00000000000000ab\""), "{items}");
    // A second dump does not overwrite the first.
    let (code, _, err) = alluxio(&words).await;
    assert!(code == 255 && err.contains("edits.txt"), "{err}");
}

#[tokio::test]
async fn json_goes_to_standard_output_and_damage_gives_a_code_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let file = dir.path().join(format!("segment-{:020}", 1));
    let mut bytes = fs::read(&file).unwrap();
    bytes[64 + 32] ^= 1;
    fs::write(&file, bytes).unwrap();
    let input = dir.path().to_str().unwrap();
    let (code, out, err) = alluxio(&["readJournal", "--json", "-inputDir", input]).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("is damaged at byte 64"), "{err}");
    let objects: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sequences: Vec<u64> =
        objects.iter().filter_map(|object| object["sequence"].as_u64()).collect();
    // The checkpoint's, then the entries behind the damaged one.
    assert_eq!(sequences, [3, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(objects.iter().any(|object| object["type"] == "Damage"));
}

#[tokio::test]
async fn a_folder_without_a_journal_leaves_no_dump() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("none"), dir.path().join("dump"));
    let words = ["readJournal", "-inputDir", input.to_str().unwrap(), "-outputDir"];
    let (code, _, err) = alluxio(&[&words[..], &[output.to_str().unwrap()]].concat()).await;
    assert!(code == 255 && err.contains("is not formatted"), "{err}");
    assert!(!output.exists());
}
