use super::*;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..40).prop_map(|c| c.into_iter().collect())
}

fn address() -> impl Strategy<Value = WorkerAddress> {
    (text(), any::<[u16; 3]>(), text()).prop_map(|(host, ports, domain_socket_path)| {
        let [rpc_port, data_port, web_port] = ports;
        WorkerAddress { host, rpc_port, data_port, web_port, domain_socket_path }
    })
}

fn source() -> impl Strategy<Value = UfsSource> {
    (any::<[u64; 3]>(), text(), text()).prop_map(|(n, ufs_path, print)| UfsSource {
        mount: MountId(n[0]),
        ufs_path,
        offset_in_file: n[1],
        file_length: n[2],
        fingerprint: Fingerprint(print),
    })
}

fn read() -> impl Strategy<Value = Frame> {
    let options = (proptest::option::of(address()), proptest::option::of(source()));
    (any::<u64>(), any::<[u64; 3]>(), any::<[bool; 2]>(), 0usize..3, options).prop_map(
        |(block, mut n, bits, read_type, (passive_source, source))| {
            n.sort_unstable();
            Frame::Read(ReadRequest {
                block: BlockId(block),
                block_length: n[2],
                range: BlockRange { start: n[0], end: n[1] },
                want_fd: bits[0],
                read_type: ReadType::ALL[read_type],
                cache_whole_block: bits[1],
                passive_source,
                source,
            })
        },
    )
}

fn data() -> impl Strategy<Value = Frame> {
    (0..u64::MAX / 2, 1..=DATA_BYTES_MAX as u32, any::<[bool; 2]>()).prop_map(
        |(offset, length, to)| {
            let count = piece_count(offset, length.into()) as u32;
            let targets = Targets { block: to[0], ufs: to[1] };
            Frame::Data(DataHead { targets, offset, length, crcs: (0..count).collect() })
        },
    )
}

fn command() -> impl Strategy<Value = Frame> {
    let n = any::<[u64; 3]>();
    let bits = any::<[bool; 2]>();
    (n, bits, text(), any::<i32>(), any::<u16>(), 0usize..24, 0u8..13).prop_map(
        |(mut n, bits, text, tier, small, code, which)| {
            n.sort_unstable();
            let block = BlockId(n[0]);
            match which {
                0 => Frame::Hello(Hello { version: small, cluster_id: text.clone(), user: text }),
                1 => Frame::OpenUfs(OpenUfs {
                    mount: MountId(n[0]),
                    ufs_path: text.clone(),
                    overwrite: bits[0],
                    owner: text.clone(),
                    group: text,
                    mode: Mode(small),
                }),
                2 => Frame::OpenBlock(OpenBlock {
                    block,
                    reserve_bytes: n[1],
                    tier,
                    want_fd: bits[0],
                    pinned: bits[1],
                }),
                3 => Frame::UfsAppendFromBlock {
                    block,
                    range: BlockRange { start: n[1], end: n[2] },
                },
                4 => {
                    Frame::CommitBlock { length: n[0], chunk_crcs: (0..u32::from(small)).collect() }
                }
                5 => Frame::Error {
                    part: [FailedPart::Request, FailedPart::Block, FailedPart::Ufs][code % 3],
                    refusal: Refusal::new(Code::ALL[code], text),
                },
                6 => Frame::BlockOpened { granted_bytes: n[0], has_fd: bits[0] },
                7 => Frame::UfsDone(UfsDone { fingerprint: Fingerprint(text), length: n[0] }),
                8 => Frame::Opened { lease: small.into(), length: n[0] },
                9 => Frame::End { cut_short: bits[0] },
                10 => Frame::Welcome(Welcome {
                    version: small,
                    cluster_id: text,
                    worker: WorkerId(n[0]),
                }),
                11 => Frame::Present { token: text.into_bytes().into_iter().take(1024).collect() },
                _ => Frame::ReportCorrupt { block, offset: n[1] },
            }
        },
    )
}

fn decode_all(bytes: &[u8]) -> Result<(u32, Frame), ProtocolError> {
    let raw: &[u8; HEADER_BYTES] = bytes[..HEADER_BYTES].try_into().unwrap();
    let header = Header::parse(raw)?;
    let frame = decode(raw, &header, &bytes[HEADER_BYTES..])?;
    Ok((header.id, frame))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_is_read_back(id in any::<u32>(), frame in prop_oneof![read(), data(), command()]) {
        let mut bytes = Vec::new();
        encode(id, &frame, &mut bytes).unwrap();
        prop_assert_eq!(decode_all(&bytes).unwrap(), (id, frame));
    }

    #[test]
    fn a_changed_bit_is_never_read_as_a_frame(
        frame in prop_oneof![read(), data(), command()], at in any::<usize>(), bit in 0..8u8,
    ) {
        let mut bytes = Vec::new();
        encode(7, &frame, &mut bytes).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(decode_all(&bytes).is_err());
    }

    #[test]
    fn any_bytes_end_in_a_value_or_an_error(
        mut bytes in proptest::collection::vec(any::<u8>(), HEADER_BYTES..200), kind in 0..Kind::ALL.len(),
    ) {
        // A valid checksum, so that the fields themselves are reached.
        bytes[0] = Kind::ALL[kind] as u8;
        bytes[2..4].fill(0);
        let crc = header_crc(&bytes[..16], &bytes[HEADER_BYTES..]);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        if let Ok((id, frame)) = decode_all(&bytes) {
            let mut again = Vec::new();
            encode(id, &frame, &mut again).unwrap();
            prop_assert_eq!(&again[HEADER_BYTES..], &bytes[HEADER_BYTES..]);
        }
    }
}

#[test]
fn lengths_beyond_the_limits_are_refused_before_allocation() {
    let mut bytes = Vec::new();
    encode(1, &Frame::Done, &mut bytes).unwrap();
    let mut header: [u8; HEADER_BYTES] = bytes[..].try_into().unwrap();
    header[8..12].copy_from_slice(&(META_BYTES_MAX + 1).to_le_bytes());
    assert!(matches!(Header::parse(&header), Err(ProtocolError::TooLong { part: "meta", .. })));
    header[8..12].copy_from_slice(&0u32.to_le_bytes());
    header[12..16].copy_from_slice(&1u32.to_le_bytes());
    assert!(matches!(Header::parse(&header), Err(ProtocolError::TooLong { part: "payload", .. })));
    header[0] = Kind::Data as u8;
    header[12..16].copy_from_slice(&(DATA_BYTES_MAX as u32 + 1).to_le_bytes());
    assert!(matches!(Header::parse(&header), Err(ProtocolError::TooLong { part: "payload", .. })));
}

#[test]
fn texts_too_long_are_refused_and_messages_are_cut() {
    let long = "ü".repeat(TEXT_BYTES_MAX);
    let mut out = vec![9];
    let hello = Hello { version: 1, cluster_id: String::new(), user: long.clone() };
    assert!(encode(1, &Frame::Hello(hello), &mut out).is_err());
    assert_eq!(out, [9], "nothing is appended by a frame that does not fit");

    let refusal = Refusal::new(Code::Stale, long);
    out.clear();
    encode(1, &Frame::Error { part: FailedPart::Request, refusal }, &mut out).unwrap();
    let (_, frame) = decode_all(&out).unwrap();
    let Frame::Error { refusal, .. } = frame else { panic!("{frame:?}") };
    assert_eq!(refusal.code, Code::Stale);
    assert_eq!(refusal.message.len(), TEXT_BYTES_MAX);
}

#[test]
fn codes_have_numbers_of_their_own() {
    for code in Code::ALL {
        assert_eq!(code_from_number(code_number(code)), Some(code));
    }
    assert_eq!(code_from_number(0), None);
}
