//! Identifiers. Each is a newtype over a sized integer, so that no id is ever confused with a
//! count or with an id of another kind.
//!
//! **Shape** of inode and block ids (Alluxio's layout): the high 40 bits are a *container*, the low
//! 24 bits a *sequence*. A file and its blocks share one container; an inode's own id carries the
//! sequence of all ones, block `i` carries sequence `i`. Block ids are therefore derived, never
//! stored.

use std::fmt;

/// Number of low bits that hold the sequence within a container.
pub const SEQUENCE_BITS: u32 = 24;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;
/// Largest number of blocks of one file: one sequence value is taken by the inode's own id.
pub const BLOCKS_PER_FILE_MAX: u64 = SEQUENCE_MASK;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id!(
    /// Id of a file or directory, unique for the life of a cluster. Never reused: a file that is
    /// replaced (also one that changed in the UFS) gets a new id, so its blocks get new ids too.
    InodeId
);
id!(
    /// Id of one block of one file.
    BlockId
);
id!(
    /// Id of a worker, chosen at random by the worker when its storage is formatted and kept there.
    WorkerId
);
id!(
    /// Id of a mount point. The root mount is 1.
    MountId
);
id!(
    /// Position of an entry in the journal; the first entry is 1, so 0 means "nothing yet".
    JournalSeq
);
id!(
    /// Reign of one primary. Grows with every election; appends under an older term are refused.
    Term
);

/// A client's name for one change that it wants, kept over all tries: 128 random bits. The master
/// remembers the answers of the last ones, so that a repeated try is answered as the first was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u128);

impl OperationId {
    /// Reads 32 hexadecimal digits; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digits.then(|| u128::from_str_radix(text, 16).ok().map(OperationId)).flatten()
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationId({self})")
    }
}

impl InodeId {
    /// The root directory of the namespace.
    pub const ROOT: InodeId = InodeId::from_container(0);

    /// The id of the inode that owns `container`.
    pub const fn from_container(container: u64) -> Self {
        InodeId((container << SEQUENCE_BITS) | SEQUENCE_MASK)
    }

    /// The container that this inode shares with its blocks.
    pub const fn container(self) -> u64 {
        self.0 >> SEQUENCE_BITS
    }

    /// The id of this file's block number `index` (0-based). `index` must be below
    /// [`BLOCKS_PER_FILE_MAX`].
    pub const fn block(self, index: u64) -> BlockId {
        debug_assert!(index < BLOCKS_PER_FILE_MAX);
        BlockId((self.container() << SEQUENCE_BITS) | (index & SEQUENCE_MASK))
    }

    /// Whether the sequence bits are those of an inode, as opposed to those of a block.
    pub const fn is_well_formed(self) -> bool {
        self.0 & SEQUENCE_MASK == SEQUENCE_MASK
    }
}

impl BlockId {
    /// The file that this block belongs to.
    pub const fn inode(self) -> InodeId {
        InodeId(self.0 | SEQUENCE_MASK)
    }

    /// 0-based position of the block in its file.
    pub const fn index(self) -> u64 {
        self.0 & SEQUENCE_MASK
    }
}

impl JournalSeq {
    /// The position after this one.
    pub const fn next(self) -> Self {
        JournalSeq(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_ids_are_32_digits_and_nothing_else() {
        let id = OperationId(0xfeed << 100 | 7);
        assert_eq!(OperationId::parse(&id.to_string()), Some(id));
        for bad in ["", "7", "+0000000000000000000000000000007", &"g".repeat(32), &"0".repeat(33)] {
            assert_eq!(OperationId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn block_ids_lead_back_to_their_file() {
        let file = InodeId::from_container(77);
        for index in [0, 1, 4095, BLOCKS_PER_FILE_MAX - 1] {
            let block = file.block(index);
            assert_eq!(block.inode(), file);
            assert_eq!(block.index(), index);
        }
        assert!(file.is_well_formed());
        assert!(!InodeId(file.block(3).0).is_well_formed());
    }
}
