//! The bytes of versions 1 and 2, for ever. A change here is a new version of the protocol.

use alluxio_datapath::codec::encode;
use alluxio_datapath::frame::{DataHead, Frame};
use alluxio_datapath::message::{FailedPart, Hello, OpenBlock, OpenUfs, Targets, Welcome};
use alluxio_datapath::{ReadRequest, Refusal, UfsDone, UfsSource};
use alluxio_types::{
    BlockId, BlockRange, Code, Fingerprint, Mode, MountId, ReadType, WorkerAddress, WorkerId,
};

fn frames() -> Vec<Frame> {
    let block = BlockId(0x0102_0304_0506_0708);
    vec![
        Frame::Hello(Hello { version: 1, cluster_id: "c".into(), user: "ann".into() }),
        Frame::Read(ReadRequest {
            block,
            block_length: 100,
            range: BlockRange { start: 1, end: 99 },
            want_fd: true,
            read_type: ReadType::CachePromote,
            cache_whole_block: true,
            passive_source: Some(WorkerAddress {
                host: "h".into(),
                rpc_port: 1,
                data_port: 2,
                web_port: 3,
                domain_socket_path: "/s".into(),
            }),
            source: Some(UfsSource {
                mount: MountId(1),
                ufs_path: "/u".into(),
                offset_in_file: 5,
                file_length: 105,
                fingerprint: Fingerprint("f".into()),
            }),
        }),
        Frame::Release { lease: 9 },
        Frame::Cancel,
        Frame::ReportCorrupt { block, offset: 65_536 },
        Frame::OpenUfs(OpenUfs {
            mount: MountId(1),
            ufs_path: "/u".into(),
            overwrite: true,
            owner: "o".into(),
            group: "g".into(),
            mode: Mode(0o644),
        }),
        Frame::OpenBlock(OpenBlock {
            block,
            reserve_bytes: 64,
            tier: -1,
            want_fd: true,
            pinned: false,
        }),
        Frame::Grow { additional_bytes: 7 },
        Frame::UfsAppendFromBlock { block, range: BlockRange { start: 1, end: 2 } },
        Frame::CommitBlock { length: 65_537, chunk_crcs: vec![1, 2] },
        Frame::AbortBlock,
        Frame::FinishUfs { length: 3 },
        Frame::AbortUfs,
        Frame::EndSession,
        Frame::Data(DataHead {
            targets: Targets { block: true, ufs: true },
            offset: 65_535,
            length: 2,
            crcs: vec![0xA, 0xB],
        }),
        Frame::Welcome(Welcome { version: 1, cluster_id: "c".into(), worker: WorkerId(7) }),
        Frame::Opened { lease: 9, length: 100 },
        Frame::End { cut_short: true },
        Frame::Error { part: FailedPart::Ufs, refusal: Refusal::new(Code::Stale, "m") },
        Frame::BlockOpened { granted_bytes: 64, has_fd: true },
        Frame::Granted { granted_bytes: 71 },
        Frame::Done,
        Frame::UfsDone(UfsDone { fingerprint: Fingerprint("f".into()), length: 3 }),
        // Version 2.
        Frame::Present { token: vec![1, 2, 3] },
    ]
}

#[test]
fn the_bytes_of_every_frame_are_as_they_were() {
    let mut text = String::new();
    for frame in frames() {
        let mut bytes = Vec::new();
        encode(0x11, &frame, &mut bytes).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("{} {hex}\n", frame.kind().name()));
    }
    let expected = include_str!("golden.txt");
    assert!(text == expected, "the frames are now:\n{text}");
}
