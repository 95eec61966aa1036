use super::*;
use alluxio_types::{
    AlluxioPath, FileKind, Fingerprint, Mode, MountId, MountInfo, MountOptions, PersistenceState,
    TtlAction,
};
use alluxio_types::{CheckpointRecord, InodeId, InodeRecord, JournalSeq};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn inode(id: u64, name: String) -> CheckpointRecord {
    CheckpointRecord::Inode(Box::new(InodeRecord {
        id: InodeId(id),
        parent: InodeId(0xFF_FFFF),
        name,
        kind: FileKind::File,
        owner: "ann".into(),
        group: "staff".into(),
        mode: Mode(0o640),
        created: UnixMillis(1),
        modified: UnixMillis(2),
        accessed: UnixMillis(3),
        length: id * 10,
        block_size_bytes: 64 << 20,
        completed: true,
        pinned: false,
        persistence: PersistenceState::Persisted,
        fingerprint: Fingerprint("v1".into()),
        ttl_ms: Some(9),
        ttl_action: TtlAction::Free,
        replication_min: 1,
        replication_max: Some(3),
        children_loaded: false,
        xattr: Default::default(),
        target: String::new(),
        quota: alluxio_types::Quota::default(),
    }))
}

fn head() -> Vec<CheckpointRecord> {
    vec![
        CheckpointRecord::Cluster { cluster_id: "c-1".into(), formatted: UnixMillis(5) },
        CheckpointRecord::NextContainer(77),
        CheckpointRecord::Mount(MountInfo {
            id: MountId(1),
            path: AlluxioPath::root(),
            ufs_uri: "s3://b".into(),
            read_only: false,
            shared: true,
            options: MountOptions(BTreeMap::from([("s3a.accessKeyId".into(), "k".into())])),
        }),
    ]
}

/// `count` inodes behind the head, with names that do not compress well.
fn records(count: u64) -> Vec<CheckpointRecord> {
    let name = |id: u64| {
        let noise = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{noise:016x}{:016x}", noise.rotate_left(17).wrapping_mul(31))
    };
    head().into_iter().chain((1..=count).map(|id| inode(id, name(id)))).collect()
}

fn write(records: &[CheckpointRecord]) -> Vec<u8> {
    let seq = JournalSeq(4711);
    let mut writer = BackupWriter::new(Vec::new(), "c-1", seq, UnixMillis(9), "0.1.0").unwrap();
    for record in records {
        writer.put(record).unwrap();
    }
    let (bytes, items) = writer.finish(0xABCD, 1).unwrap();
    assert_eq!(items, records.len() as u64);
    bytes
}

type Read = (BackupHeader, BackupTrailer, Vec<CheckpointRecord>);

fn read(bytes: &[u8]) -> Result<Read, BackupError> {
    let mut found = Vec::new();
    let (header, trailer) = read_backup::<BackupError>("/b.gz", bytes, &mut |_, record| {
        found.push(record);
        Ok(())
    })?;
    Ok((header, trailer, found))
}

#[test]
fn what_is_written_is_read_over_many_parts() {
    for count in [0, 1, 30_000] {
        let records = records(count);
        let bytes = write(&records);
        let (header, trailer, found) = read(&bytes).unwrap();
        assert_eq!((header.sequence, header.cluster_id.as_str()), (JournalSeq(4711), "c-1"));
        assert_eq!((trailer.state_hash, trailer.items), (0xABCD, records.len() as u64));
        assert!(found == records);
    }
}

#[test]
fn every_cut_is_refused_with_the_place() {
    let bytes = write(&records(20_000));
    for cut in (1..bytes.len()).step_by(bytes.len() / 97).chain([bytes.len() - 1]) {
        match read(&bytes[..cut]) {
            Err(BackupError::Corrupt { file, offset, .. }) => {
                assert_eq!(file, "/b.gz");
                assert!(offset <= cut as u64, "cut at {cut}, offset {offset}");
            }
            Err(BackupError::Foreign { .. }) if cut < 2 => {}
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn damage_is_found_in_the_part_where_it_is() {
    let good = write(&records(20_000));
    // The flags, time and system in a member's header say nothing that is checked or used.
    for at in (20..good.len()).step_by(good.len() / 61) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        match read(&bad) {
            Err(BackupError::Corrupt { offset, .. }) => assert!(offset <= at as u64),
            Err(BackupError::Foreign { .. } | BackupError::Version { .. }) => {}
            Ok((header, _, found)) => {
                assert!(found == records(20_000), "byte {at} changed what is read");
                assert_eq!(header.sequence, JournalSeq(4711));
            }
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[test]
fn files_of_others_are_said_to_be_none_of_ours() {
    let mut java = GzEncoder(b"\x0a\x0b\x08\x01 entries of another program".repeat(9000));
    for (bytes, want) in [
        (Vec::new(), "it is empty"),
        (b"PK\x03\x04 some archive".to_vec(), "not a gzip file"),
        (java.take(), "is no backup of this program"),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    let mut newer = write(&[]);
    let header = BackupHeader {
        format: FORMAT + 1,
        cluster_id: String::new(),
        sequence: JournalSeq(1),
        created: UnixMillis(0),
        version: "9.9".into(),
    };
    let mut content = vec![KIND_HEADER];
    content.extend(alluxio_proto::convert::backup::encode_header(&header));
    newer.splice(.., GzEncoder(content).take());
    let error = read(&newer).unwrap_err().to_string();
    assert!(error.contains("format 2") && error.contains("version 9.9 or later"), "{error}");
}

/// One gzip member.
struct GzEncoder(Vec<u8>);

impl GzEncoder {
    fn take(&mut self) -> Vec<u8> {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&self.0).unwrap();
        encoder.finish().unwrap()
    }
}

#[test]
fn names_carry_day_and_moment_and_no_other_name_is_taken_for_ours() {
    let at = UnixMillis(1_795_244_709_042);
    assert_eq!(file_name(at), "alluxio-journal-2026-11-21-1795244709042.gz");
    assert_eq!(begun_at(&file_name(at)), Some(at));
    assert_eq!(file_name(UnixMillis(0)), "alluxio-journal-1970-01-01-0.gz");
    assert_eq!(
        file_name(UnixMillis(951_782_400_000)),
        "alluxio-journal-2000-02-29-951782400000.gz"
    );
    for other in [
        "alluxio-journal-2026-11-22-1795244709042.gz",
        "alluxio-backup-2026-11-21-1795244709042.gz",
        "alluxio-journal-2026-11-21-1795244709042.gz.tmp",
        "notes.gz",
    ] {
        assert_eq!(begun_at(other), None, "{other}");
    }
}

/// The file of format 1. When this fails, old backups can no longer be read.
#[test]
fn the_golden_file_is_read_for_ever() {
    let (header, trailer, found) = read(include_bytes!("../../golden/backup-1.gz")).unwrap();
    assert_eq!(
        header,
        BackupHeader {
            format: 1,
            cluster_id: "c-1".into(),
            sequence: JournalSeq(4711),
            created: UnixMillis(9),
            version: "0.1.0".into(),
        }
    );
    assert_eq!((trailer.items, trailer.state_hash, trailer.state_hash_kind), (5, 0xABCD, 1));
    assert!(found == records(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn garbage_is_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), at in 0usize..600) {
        let mut file = write(&records(3));
        let at = at.min(file.len());
        file.splice(at.., bytes);
        let _ = read(&file);
    }
}
