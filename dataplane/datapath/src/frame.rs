//! The frames of the protocol as values, and the fixed header before each of them.

use crate::error::Refusal;
use crate::message::{
    FailedPart, Hello, OpenBlock, OpenUfs, ReadRequest, Targets, UfsDone, Welcome,
};
use alluxio_types::{BlockId, BlockRange};

/// Bytes of the header of every frame.
pub const HEADER_BYTES: usize = 20;
/// Most bytes of the meta part of every frame but `CommitBlock`.
pub const META_BYTES_MAX: u32 = 64 * 1024;
/// Most bytes of the meta part of `CommitBlock`: 262,140 chunks, just short of 16 GiB.
pub const COMMIT_META_BYTES_MAX: u32 = 1024 * 1024;
/// Longest block that a writer with a descriptor can commit: what its checksums leave room for.
pub const COMMIT_CHUNKS_MAX: u64 = (COMMIT_META_BYTES_MAX as u64 - 12) / 4;

/// Flag of `End`: the stream was cut short by `Cancel`.
pub const FLAG_CUT_SHORT: u8 = 1;
/// Flag of `Data` in a session: the bytes go to the open block.
pub const FLAG_TO_BLOCK: u8 = 1;
/// Flag of `Data` in a session: the bytes go to the UFS file.
pub const FLAG_TO_UFS: u8 = 2;

macro_rules! kinds {
    ($($name:ident = $value:literal),+ $(,)?) => {
        /// What a frame is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names are those of WIRE.md section 3, and of Frame")]
        pub enum Kind { $($name = $value),+ }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),+];

            /// Name for messages.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$name => stringify!($name)),+ }
            }

            /// The kind with that number.
            pub fn from_number(number: u8) -> Option<Kind> {
                match number { $($value => Some(Kind::$name),)+ _ => None }
            }
        }
    };
}

kinds! {
    Hello = 1, Read = 2, Release = 3, Cancel = 4, ReportCorrupt = 5, Present = 6,
    OpenUfs = 16, OpenBlock = 17, Grow = 18, UfsAppendFromBlock = 19, CommitBlock = 20,
    AbortBlock = 21, FinishUfs = 22, AbortUfs = 23, EndSession = 24,
    Data = 32,
    Welcome = 64, Opened = 65, End = 66, Error = 67, BlockOpened = 68, Granted = 69, Done = 70,
    UfsDone = 71,
}

/// What stands before the payload of a `Data` frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataHead {
    /// Where the bytes go, in a session; both false in a read.
    pub targets: Targets,
    /// Position of the first byte.
    pub offset: u64,
    /// Bytes of the payload, `1..=DATA_BYTES_MAX`.
    pub length: u32,
    /// CRC-32C of each piece.
    pub crcs: Vec<u32>,
}

/// One frame, without the payload of `Data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// First frame of a client.
    Hello(Hello),
    /// Asks for bytes of a block.
    Read(ReadRequest),
    /// Gives a lease back.
    Release {
        /// Number from `Opened`.
        lease: u32,
    },
    /// Stops the stream of the read with the frame's id.
    Cancel,
    /// Bytes of a block failed their checksum.
    ReportCorrupt {
        /// Which block.
        block: BlockId,
        /// Where the bad piece starts.
        offset: u64,
    },
    /// A block token, by which the requests that follow are judged.
    Present {
        /// Its bytes.
        token: Vec<u8>,
    },
    /// Starts the UFS file of a session.
    OpenUfs(OpenUfs),
    /// Starts a block of a session.
    OpenBlock(OpenBlock),
    /// Sets aside more bytes for the open block.
    Grow {
        /// How many more.
        additional_bytes: u64,
    },
    /// Feeds the UFS file from what was written into the descriptor of the open block.
    UfsAppendFromBlock {
        /// The open block.
        block: BlockId,
        /// Which bytes.
        range: BlockRange,
    },
    /// Makes the open block visible.
    CommitBlock {
        /// Its length in bytes.
        length: u64,
        /// One per chunk; empty when the server has them.
        chunk_crcs: Vec<u32>,
    },
    /// Drops the open block.
    AbortBlock,
    /// Completes the UFS file.
    FinishUfs {
        /// Length that it must have.
        length: u64,
    },
    /// Drops the UFS file.
    AbortUfs,
    /// Ends a session in which nothing is open.
    EndSession,
    /// Bytes.
    Data(DataHead),
    /// Answer to `Hello`.
    Welcome(Welcome),
    /// A descriptor of the block is lent.
    Opened {
        /// Number for `Release`.
        lease: u32,
        /// Length of the block in bytes.
        length: u64,
    },
    /// A stream is complete.
    End {
        /// Whether `Cancel` cut it short.
        cut_short: bool,
    },
    /// A refusal or a failure.
    Error {
        /// What it belongs to.
        part: FailedPart,
        /// Why.
        refusal: Refusal,
    },
    /// Answer to `OpenBlock`.
    BlockOpened {
        /// Bytes set aside so far.
        granted_bytes: u64,
        /// Whether a descriptor rides on the frame.
        has_fd: bool,
    },
    /// Answer to `Grow`.
    Granted {
        /// Bytes set aside so far.
        granted_bytes: u64,
    },
    /// Answer to commands that have nothing to tell.
    Done,
    /// Answer to `FinishUfs`.
    UfsDone(UfsDone),
}

impl Frame {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Frame::Hello(_) => Kind::Hello,
            Frame::Read(_) => Kind::Read,
            Frame::Release { .. } => Kind::Release,
            Frame::Cancel => Kind::Cancel,
            Frame::ReportCorrupt { .. } => Kind::ReportCorrupt,
            Frame::Present { .. } => Kind::Present,
            Frame::OpenUfs(_) => Kind::OpenUfs,
            Frame::OpenBlock(_) => Kind::OpenBlock,
            Frame::Grow { .. } => Kind::Grow,
            Frame::UfsAppendFromBlock { .. } => Kind::UfsAppendFromBlock,
            Frame::CommitBlock { .. } => Kind::CommitBlock,
            Frame::AbortBlock => Kind::AbortBlock,
            Frame::FinishUfs { .. } => Kind::FinishUfs,
            Frame::AbortUfs => Kind::AbortUfs,
            Frame::EndSession => Kind::EndSession,
            Frame::Data(_) => Kind::Data,
            Frame::Welcome(_) => Kind::Welcome,
            Frame::Opened { .. } => Kind::Opened,
            Frame::End { .. } => Kind::End,
            Frame::Error { .. } => Kind::Error,
            Frame::BlockOpened { .. } => Kind::BlockOpened,
            Frame::Granted { .. } => Kind::Granted,
            Frame::Done => Kind::Done,
            Frame::UfsDone(_) => Kind::UfsDone,
        }
    }
}

/// The fixed part before each frame, its lengths checked against the limits of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// Bits of the kind.
    pub flags: u8,
    /// Request that it belongs to.
    pub id: u32,
    /// Bytes of the meta part.
    pub meta_len: u32,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// CRC-32C of the first 16 bytes and the meta part.
    pub crc: u32,
}
