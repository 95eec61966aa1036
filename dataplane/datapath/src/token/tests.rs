use super::*;
use crate::message::UfsSource;
use alluxio_types::{BlockRange, Mode, ReadType};

const HOUR: u64 = 3_600_000;
const NOW: UnixMillis = UnixMillis(10 * HOUR);
const MIB: u64 = 1 << 20;

fn key(id: u64) -> TokenKey {
    TokenKey { id, secret: [id as u8; SECRET_BYTES], expires: UnixMillis(u64::MAX) }
}

fn source(path: &str, offset_in_file: u64) -> UfsSource {
    UfsSource {
        mount: MountId(1),
        ufs_path: path.into(),
        offset_in_file,
        file_length: 5 * MIB,
        fingerprint: Fingerprint("v1".into()),
    }
}

/// A file of two blocks of 2 MiB and one of 1 MiB, in the under store.
fn token() -> BlockToken {
    BlockToken {
        key: 1,
        expires: UnixMillis(NOW.0 + HOUR),
        writes: false,
        file: InodeId::from_container(9),
        block_size_bytes: 2 * MIB,
        length: 5 * MIB,
        source: Some(source_of(MountId(1), "/ufs/f", &Fingerprint("v1".into()))),
        user: "ann".into(),
    }
}

fn request(index: u64, block_length: u64, source: Option<UfsSource>) -> ReadRequest {
    ReadRequest {
        block: InodeId::from_container(9).block(index),
        block_length,
        range: BlockRange { start: 0, end: 1 },
        want_fd: true,
        read_type: ReadType::Cache,
        cache_whole_block: true,
        passive_source: None,
        source,
    }
}

#[test]
fn what_is_signed_is_read_back() {
    for token in [token(), BlockToken { source: None, writes: true, ..token() }] {
        let bytes = token.sign(&key(1), "c");
        assert!(bytes.len() <= TOKEN_BYTES_MAX);
        assert_eq!(BlockToken::key_of(&bytes), Ok(1));
        assert_eq!(BlockToken::verify(&bytes, &key(1), "c", NOW), Ok(token));
    }
}

#[test]
fn no_bit_can_be_changed() {
    let bytes = token().sign(&key(1), "c");
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(BlockToken::verify(&changed, &key(1), "c", NOW), Err(TokenError::Forged));
    }
    for end in 0..bytes.len() {
        assert!(BlockToken::verify(&bytes[..end], &key(1), "c", NOW).is_err());
    }
    assert_eq!(BlockToken::verify(&bytes, &key(2), "c", NOW), Err(TokenError::Forged));
    assert_eq!(BlockToken::verify(&bytes, &key(1), "d", NOW), Err(TokenError::Forged));
}

#[test]
fn time_ends_it_with_a_margin_for_clocks() {
    let bytes = token().sign(&key(1), "c");
    let expires = token().expires;
    let margin = CLOCK_SKEW.as_millis() as u64;
    let at = |now| BlockToken::verify(&bytes, &key(1), "c", UnixMillis(now));
    assert!(at(expires.0 + margin).is_ok());
    assert_eq!(at(expires.0 + margin + 1), Err(TokenError::Expired { expired: expires }));
}

#[test]
fn it_opens_the_blocks_of_its_file_and_nothing_else() {
    let token = token();
    let here = || Some(source("/ufs/f", 0));
    assert_eq!(token.allows_read("ann", &request(0, 2 * MIB, here())), Ok(()));
    assert_eq!(token.allows_read("ann", &request(2, MIB, Some(source("/ufs/f", 4 * MIB)))), Ok(()));
    assert_eq!(token.allows_read("ann", &request(0, 2 * MIB, None)), Ok(()));

    let refused = |request: ReadRequest| token.allows_read("ann", &request).is_err();
    // Another file's blocks; blocks and lengths that it does not have.
    let other =
        ReadRequest { block: InodeId::from_container(8).block(0), ..request(0, 2 * MIB, None) };
    assert!(refused(other));
    assert!(refused(request(3, MIB, None)));
    assert!(refused(request(0, MIB, None)));
    // Somebody else's file of the under store, another version, another place in the file.
    assert!(refused(request(0, 2 * MIB, Some(source("/ufs/secret", 0)))));
    let newer = UfsSource { fingerprint: Fingerprint("v2".into()), ..source("/ufs/f", 0) };
    assert!(refused(request(0, 2 * MIB, Some(newer))));
    assert!(refused(request(1, 2 * MIB, here())));
    // Who is not ann, and who writes.
    let error = token.allows_read("bob", &request(0, 2 * MIB, None)).unwrap_err();
    assert_eq!(error, TokenError::OtherUser { user: "bob".into() });
    assert!(token.allows_block("ann", token.file.block(0)).is_err());
}

#[test]
fn a_writers_token_writes_its_file() {
    let written = source_of(MountId(1), "/ufs/f", &Fingerprint::default());
    let token = BlockToken { writes: true, length: 0, source: Some(written), ..token() };
    assert_eq!(token.allows_block("ann", token.file.block(7)), Ok(()));
    assert!(token.allows_block("ann", InodeId::from_container(8).block(0)).is_err());
    let open = |path: &str| OpenUfs {
        mount: MountId(1),
        ufs_path: path.into(),
        overwrite: true,
        owner: String::new(),
        group: String::new(),
        mode: Mode(0o644),
    };
    assert_eq!(token.allows_ufs("ann", &open("/ufs/f")), Ok(()));
    assert!(token.allows_ufs("ann", &open("/ufs/g")).is_err());
    assert!(token.allows_read("ann", &request(0, 2 * MIB, None)).is_err());
}

#[test]
fn a_copying_worker_gets_one_block() {
    let block = InodeId::from_container(9).block(3);
    let token = BlockToken::copying(block, 77, "root", 1, NOW);
    assert_eq!(token.allows_read("root", &request(3, 77, None)), Ok(()));
    assert!(token.allows_read("root", &request(2, 78, None)).is_err());
    assert!(token.allows_read("root", &request(3, 77, Some(source("/ufs/f", 0)))).is_err());
}
