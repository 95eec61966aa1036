//! Block tokens: what a master lets a client do to the blocks of one file, in a form that workers can check
//! without asking (`WIRE.md` §8). Pure: the time is an argument, randomness comes from the caller.
//!
//! A token names the file, not one block: a block's id contains its file's, so one token opens all of them.
//! It also says what the file is made of (block size, length) and where it is in the under store, because a
//! worker fetches what it is told to: else a token for one's own file would read everybody's.

use crate::message::{OpenUfs, ReadRequest};
use alluxio_types::{BlockId, Code, Coded, FileStatus, Fingerprint, InodeId, MountId, UnixMillis};
use aws_lc_rs::{digest, hmac};
use std::fmt;
use std::time::Duration;

/// Bytes of a key's secret: as many as the hash has.
pub const SECRET_BYTES: usize = 32;
/// Most bytes of a token: a user name of any sensible length fits.
pub const TOKEN_BYTES_MAX: usize = 1024;
/// How far clocks of masters and workers may be apart.
pub const CLOCK_SKEW: Duration = Duration::from_secs(30);

/// Kind and version of what is signed: no other use of a key can be mistaken for a token.
const PURPOSE: &[u8] = b"alluxio block token 1\0";
const MAC_BYTES: usize = 32;
/// Bytes of a token without its user name.
const FIXED_BYTES: usize = 8 + 8 + 1 + 8 + 8 + 8 + 1 + SOURCE_BYTES + 2 + MAC_BYTES;
const SOURCE_BYTES: usize = 16;

/// A key that masters sign with and workers check with.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// Which one; random, so that those of different masters differ.
    pub id: u64,
    /// What nobody else knows.
    pub secret: [u8; SECRET_BYTES],
    /// Until when tokens may be of it.
    pub expires: UnixMillis,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a token does not open what is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("a block token is needed: ask the master for one")]
    Missing,
    /// It is no token.
    #[error("the block token makes no sense")]
    Malformed,
    /// It is of a key that is not known, or not any more.
    #[error("the block token is of an unknown key {key:016x}")]
    UnknownKey {
        /// Which.
        key: u64,
    },
    /// It was not made by who has the key, or not for this cluster, or was changed.
    #[error("the block token is not genuine")]
    Forged,
    /// Its time is over.
    #[error("the block token expired at {expired}")]
    Expired {
        /// When.
        expired: UnixMillis,
    },
    /// It is another user's.
    #[error("the block token is not of user {user}")]
    OtherUser {
        /// Who presented it.
        user: String,
    },
    /// It is for something else.
    #[error("the block token does not allow {what}")]
    NotAllowed {
        /// What was asked for.
        what: &'static str,
    },
}

impl Coded for TokenError {
    fn code(&self) -> Code {
        Code::PermissionDenied
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockToken {
    /// The key that it is signed with.
    pub key: u64,
    /// Until when it opens anything; what was opened stays open.
    pub expires: UnixMillis,
    /// Whether it is for writing the file; otherwise for reading it.
    pub writes: bool,
    /// The file.
    pub file: InodeId,
    /// Bytes of every block of it but the last.
    pub block_size_bytes: u64,
    /// Its length in bytes; 0 while it is written.
    pub length: u64,
    /// Which file of the under store it is, and in which version; `None` when the worker may not look there.
    pub source: Option<[u8; SOURCE_BYTES]>,
    /// Who may use it.
    pub user: String,
}

/// A file of the under store, in a version, as a token names it.
pub fn source_of(mount: MountId, path: &str, version: &Fingerprint) -> [u8; SOURCE_BYTES] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&mount.0.to_le_bytes());
    context.update(&(path.len() as u64).to_le_bytes());
    context.update(path.as_bytes());
    context.update(version.0.as_bytes());
    let hash = context.finish();
    let mut source = [0; SOURCE_BYTES];
    source.copy_from_slice(&hash.as_ref()[..SOURCE_BYTES]);
    source
}

impl BlockToken {
    /// For reading a complete file.
    pub fn reading(status: &FileStatus, user: &str, key: u64, expires: UnixMillis) -> Self {
        let in_store = !status.fingerprint.is_empty();
        let source = source_of(status.mount_id, &status.ufs_path, &status.fingerprint);
        BlockToken {
            key,
            expires,
            writes: false,
            file: status.id,
            block_size_bytes: status.block_size_bytes,
            length: status.length,
            source: in_store.then_some(source),
            user: user.to_owned(),
        }
    }

    /// For writing a new file.
    pub fn writing(status: &FileStatus, user: &str, key: u64, expires: UnixMillis) -> Self {
        let nothing_yet = Fingerprint::default();
        BlockToken {
            writes: true,
            length: 0,
            source: Some(source_of(status.mount_id, &status.ufs_path, &nothing_yet)),
            ..BlockToken::reading(status, user, key, expires)
        }
    }

    /// For a worker that copies one block of another worker, and nothing else.
    pub fn copying(block: BlockId, length: u64, user: &str, key: u64, expires: UnixMillis) -> Self {
        BlockToken {
            key,
            expires,
            writes: false,
            file: block.inode(),
            // A file in which the block is the last one, and whole.
            block_size_bytes: length,
            length: length.saturating_mul(block.index() + 1),
            source: None,
            user: user.to_owned(),
        }
    }

    /// Its bytes, signed.
    pub fn sign(&self, key: &TokenKey, cluster: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_BYTES + self.user.len());
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.expires.0.to_le_bytes());
        out.push(self.writes.into());
        for number in [self.file.0, self.block_size_bytes, self.length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(self.source.is_some().into());
        out.extend_from_slice(&self.source.unwrap_or_default());
        // A longer name makes a token that nobody takes: it names another length than it has.
        out.extend_from_slice(&(self.user.len() as u16).to_le_bytes());
        out.extend_from_slice(self.user.as_bytes());
        let mac = hmac::sign(&hmac_key(key), &signed(cluster, &out));
        out.extend_from_slice(mac.as_ref());
        out
    }

    /// The key that a token claims to be of.
    ///
    /// **Errors**: `Malformed`.
    pub fn key_of(bytes: &[u8]) -> Result<u64, TokenError> {
        let id = bytes.first_chunk::<8>().ok_or(TokenError::Malformed)?;
        Ok(u64::from_le_bytes(*id))
    }

    /// Reads a token that `key` made for `cluster`, and whose time is not over.
    ///
    /// **Errors**: `Malformed`, `Forged`, `Expired`.
    pub fn verify(
        bytes: &[u8],
        key: &TokenKey,
        cluster: &str,
        now: UnixMillis,
    ) -> Result<BlockToken, TokenError> {
        let at = bytes.len().checked_sub(MAC_BYTES).ok_or(TokenError::Malformed)?;
        let (said, mac) = bytes.split_at(at);
        hmac::verify(&hmac_key(key), &signed(cluster, said), mac)
            .map_err(|_| TokenError::Forged)?;
        let token = read(said).ok_or(TokenError::Malformed)?;
        let margin = u64::try_from(CLOCK_SKEW.as_millis()).unwrap_or(u64::MAX);
        if now.0 > token.expires.0.saturating_add(margin) {
            return Err(TokenError::Expired { expired: token.expires });
        }
        Ok(token)
    }

    /// Whether it lets `user` read what is asked for.
    ///
    /// **Errors**: `OtherUser`, `NotAllowed`.
    pub fn allows_read(&self, user: &str, request: &ReadRequest) -> Result<(), TokenError> {
        self.is_for(user, request.block, false)?;
        let offset = self.block_size_bytes.checked_mul(request.block.index());
        let offset = offset.filter(|offset| *offset < self.length);
        let Some(offset) = offset else {
            return Err(TokenError::NotAllowed { what: "blocks that the file does not have" });
        };
        if request.block_length != self.block_size_bytes.min(self.length - offset) {
            return Err(TokenError::NotAllowed { what: "another length of the block" });
        }
        let Some(source) = &request.source else { return Ok(()) };
        let named = source_of(source.mount, &source.ufs_path, &source.fingerprint);
        if self.source != Some(named)
            || source.offset_in_file != offset
            || source.file_length != self.length
        {
            return Err(TokenError::NotAllowed { what: "another file of the under store" });
        }
        Ok(())
    }

    /// Whether it lets `user` write a block.
    ///
    /// **Errors**: `OtherUser`, `NotAllowed`.
    pub fn allows_block(&self, user: &str, block: BlockId) -> Result<(), TokenError> {
        self.is_for(user, block, true)
    }

    /// Whether it lets `user` write the file into the under store.
    ///
    /// **Errors**: `OtherUser`, `NotAllowed`.
    pub fn allows_ufs(&self, user: &str, request: &OpenUfs) -> Result<(), TokenError> {
        self.is_for(user, self.file.block(0), true)?;
        let named = source_of(request.mount, &request.ufs_path, &Fingerprint::default());
        match self.source == Some(named) {
            true => Ok(()),
            false => Err(TokenError::NotAllowed { what: "another file of the under store" }),
        }
    }

    fn is_for(&self, user: &str, block: BlockId, writing: bool) -> Result<(), TokenError> {
        if self.user != user {
            return Err(TokenError::OtherUser { user: user.to_owned() });
        }
        if self.file != block.inode() {
            return Err(TokenError::NotAllowed { what: "blocks of another file" });
        }
        match (writing, self.writes) {
            (true, false) => Err(TokenError::NotAllowed { what: "writing" }),
            (false, true) => Err(TokenError::NotAllowed { what: "reading" }),
            _ => Ok(()),
        }
    }
}

fn hmac_key(key: &TokenKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &key.secret)
}

/// What the signature is over.
fn signed(cluster: &str, said: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(PURPOSE.len() + 8 + cluster.len() + said.len());
    all.extend_from_slice(PURPOSE);
    all.extend_from_slice(&(cluster.len() as u64).to_le_bytes());
    all.extend_from_slice(cluster.as_bytes());
    all.extend_from_slice(said);
    all
}

fn read(said: &[u8]) -> Option<BlockToken> {
    let mut rest = said;
    let mut take = |count: usize| {
        let (now, later) = rest.split_at_checked(count)?;
        rest = later;
        Some(now)
    };
    let mut number = || Some(u64::from_le_bytes(take(8)?.try_into().ok()?));
    let (key, expires) = (number()?, number()?);
    let writes = take(1)?[0] == 1;
    let mut number = || Some(u64::from_le_bytes(take(8)?.try_into().ok()?));
    let (file, block_size_bytes, length) = (number()?, number()?, number()?);
    let has_source = take(1)?[0] == 1;
    let source = take(SOURCE_BYTES)?.try_into().ok()?;
    let name = u16::from_le_bytes(take(2)?.try_into().ok()?);
    let user = str::from_utf8(take(name.into())?).ok()?.to_owned();
    rest.is_empty().then_some(BlockToken {
        key,
        expires: UnixMillis(expires),
        writes,
        file: InodeId(file),
        block_size_bytes,
        length,
        source: has_source.then_some(source),
        user,
    })
}

#[cfg(test)]
mod tests;
