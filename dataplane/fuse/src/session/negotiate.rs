//! What both sides agree on when a connection begins; pure.

use super::SessionError;
use crate::abi::{Init, MINOR_MAX, MINOR_MIN, feature, init_reply};

/// What a server would like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Longest write, and longest read, in bytes; whole pages.
    pub max_write: u32,
    /// Longest read ahead, in bytes.
    pub max_readahead: u32,
    /// Requests that nobody waits for (reads ahead, releases) at the same time.
    pub max_background: u16,
    /// Whether files may be passed through.
    pub passthrough: bool,
}

impl Default for Wish {
    /// 1 MiB is what the kernel carries in one request; 64 in the background are 8 files that are read
    /// ahead by 1 MiB in requests of 128 KiB.
    fn default() -> Self {
        Wish { max_write: 1 << 20, max_readahead: 1 << 20, max_background: 64, passthrough: true }
    }
}

/// Always asked for, if the kernel can.
const WANTED: u64 = feature::ASYNC_READ
    | feature::ATOMIC_O_TRUNC
    | feature::BIG_WRITES
    | feature::DO_READDIRPLUS
    | feature::READDIRPLUS_AUTO
    | feature::ASYNC_DIO
    | feature::PARALLEL_DIROPS
    | feature::MAX_PAGES
    | feature::CACHE_SYMLINKS
    | feature::HANDLE_KILLPRIV_V2
    | feature::INIT_EXT
    | feature::HAS_RESEND;

/// What was agreed on. Small, and all that a process needs besides the descriptors to go on with a
/// connection that another one began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// Minor version of protocol 7.
    pub minor: u32,
    /// See [`crate::abi::feature`].
    pub features: u64,
    /// Longest read ahead, in bytes.
    pub max_readahead: u32,
    /// Longest write, in bytes.
    pub max_write: u32,
    /// Requests in the background.
    pub max_background: u16,
    /// File systems that may lie between a passed-through file and its device.
    pub stack_depth: u32,
}

/// First byte of the saved form; grows with its shape.
const STATE_VERSION: u8 = 1;
const STATE_BYTES: usize = 27;

impl Negotiated {
    /// Decides on the first request.
    ///
    /// **Errors**: `TooOld`.
    pub fn agree(init: &Init, wish: &Wish) -> Result<Self, SessionError> {
        if init.major != 7 || init.minor < MINOR_MIN {
            return Err(SessionError::TooOld { major: init.major, minor: init.minor });
        }
        let passthrough = if wish.passthrough { feature::PASSTHROUGH } else { 0 };
        let features = init.features & (WANTED | passthrough);
        Ok(Negotiated {
            minor: init.minor.min(MINOR_MAX),
            features,
            max_readahead: init.max_readahead.max(wish.max_readahead),
            max_write: wish.max_write,
            max_background: wish.max_background,
            stack_depth: u32::from(features & feature::PASSTHROUGH != 0),
        })
    }

    /// Whether all of `features` were agreed on.
    pub fn has(&self, features: u64) -> bool {
        self.features & features == features
    }

    pub(crate) fn reply(&self) -> Vec<u8> {
        init_reply(
            self.minor,
            self.features,
            self.max_readahead,
            self.max_write,
            self.max_background,
            self.stack_depth,
        )
    }

    /// Bytes of a buffer that takes every request: a write with its headers is the longest.
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.max_write as usize + 4096
    }

    /// For whom goes on with the connection.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![STATE_VERSION];
        bytes.extend(self.minor.to_le_bytes());
        bytes.extend(self.features.to_le_bytes());
        bytes.extend(self.max_readahead.to_le_bytes());
        bytes.extend(self.max_write.to_le_bytes());
        bytes.extend(self.max_background.to_le_bytes());
        bytes.extend(self.stack_depth.to_le_bytes());
        bytes
    }

    /// What [`Negotiated::to_bytes`] has made.
    ///
    /// **Errors**: `BadState`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SessionError> {
        let bad = |why| SessionError::BadState { why };
        let (version, rest) = bytes.split_first().ok_or(bad("it is empty"))?;
        if *version != STATE_VERSION {
            return Err(bad("it is of another version"));
        }
        if bytes.len() != STATE_BYTES {
            return Err(bad("it has another length"));
        }
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&rest[at..at + 4]);
            u32::from_le_bytes(word)
        };
        Ok(Negotiated {
            minor: word(0),
            features: u64::from(word(4)) | u64::from(word(8)) << 32,
            max_readahead: word(12),
            max_write: word(16),
            max_background: u16::from_le_bytes([rest[20], rest[21]]),
            stack_depth: word(22),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_agreed_on_that_the_kernel_cannot_and_never_a_timeout() {
        let mut init = Init { major: 7, minor: 45, max_readahead: 131_072, features: u64::MAX };
        let agreed = Negotiated::agree(&init, &Wish::default()).unwrap();
        assert!(agreed.has(feature::PASSTHROUGH | feature::HAS_RESEND));
        assert_eq!(agreed.features & feature::REQUEST_TIMEOUT, 0);
        init.features = feature::ASYNC_READ;
        let agreed = Negotiated::agree(&init, &Wish::default()).unwrap();
        assert_eq!((agreed.features, agreed.stack_depth), (feature::ASYNC_READ, 0));
        init.minor = 30;
        let old = Negotiated::agree(&init, &Wish::default()).unwrap_err();
        assert!(old.to_string().contains("7.30"), "{old}");
    }

    proptest! {
        #[test]
        fn what_is_saved_comes_back(
            minor: u32, features: u64, max_readahead: u32, max_write: u32, max_background: u16,
            stack_depth: u32, cut in 0usize..27,
        ) {
            let agreed =
                Negotiated { minor, features, max_readahead, max_write, max_background, stack_depth };
            let bytes = agreed.to_bytes();
            prop_assert_eq!(Negotiated::from_bytes(&bytes).unwrap(), agreed);
            prop_assert!(Negotiated::from_bytes(&bytes[..cut]).is_err());
        }
    }
}
