//! Keys of block tokens, and the tokens themselves.
//!
//! Keys live in memory only: a primary makes one when it begins and another one each
//! `alluxio.security.block.token.key.update.interval`, and keeps the one before until its last token is over.
//! Workers get them when they register, and ask when a token is of a key that they do not know, so a key
//! may be used as soon as it is made. After a fail-over workers know the keys of both primaries: what the old
//! one let clients do stays good, except at a worker that restarted since, which refuses it; then, as
//! whenever a token is refused, the client asks for a new one. So nothing secret is ever written down.

use crate::core::{Call, Core};
use crate::error::MasterError;
use alluxio_config::BlockTokenConfig;
use alluxio_datapath::token::{BlockToken, CLOCK_SKEW, SECRET_BYTES, TokenKey};
use alluxio_host::Entropy;
use alluxio_types::{Access, AlluxioPath, InodeId, UnixMillis};
use std::sync::{Mutex, PoisonError};

/// The keys of one primary.
pub(crate) struct BlockKeys {
    config: BlockTokenConfig,
    /// Newest first; with the time until when each signs.
    keys: Mutex<Vec<(UnixMillis, TokenKey)>>,
}

/// A token, and how long it is good for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) token: Vec<u8>,
    pub(crate) lifetime_ms: u64,
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl BlockKeys {
    pub(crate) fn new(config: BlockTokenConfig) -> Self {
        BlockKeys { config, keys: Mutex::default() }
    }

    /// All keys that tokens may be of, newest first; a new one is made when that is due.
    pub(crate) fn all(&self, now: UnixMillis, entropy: &dyn Entropy) -> Vec<TokenKey> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not keep a key for ever: its time has an end on both sides.
        let interval = millis(self.config.key_update_interval);
        let signs = |until: UnixMillis| now < until && until.0 - now.0 <= interval;
        if !keys.first().is_some_and(|(until, _)| signs(*until)) {
            let until = UnixMillis(now.0.saturating_add(interval));
            let last_token = until.0.saturating_add(millis(self.config.lifetime));
            let mut secret = [0; SECRET_BYTES];
            for part in secret.chunks_exact_mut(8) {
                part.copy_from_slice(&entropy.next_u64().to_le_bytes());
            }
            let expires = UnixMillis(last_token.saturating_add(millis(CLOCK_SKEW)));
            keys.insert(0, (until, TokenKey { id: entropy.next_u64(), secret, expires }));
        }
        keys.retain(|(_, key)| key.expires > now);
        keys.iter().map(|(_, key)| key.clone()).collect()
    }
}

impl Core {
    /// The keys, for workers; none when there are no tokens.
    pub(crate) fn token_keys(&self) -> Vec<TokenKey> {
        let now = self.host.clock.now();
        let keys = self.block_keys.as_ref();
        keys.map(|keys| keys.all(now, &*self.host.entropy)).unwrap_or_default()
    }

    /// Lets a caller open the blocks of a file; `None` when there are no tokens.
    ///
    /// **Errors**: `PermissionDenied`, `Incomplete` for reading what is not complete, `AlreadyCompleted` for
    /// writing what is.
    pub(crate) async fn block_token(
        &self,
        file: InodeId,
        write: bool,
        call: &Call,
    ) -> Result<Option<Issued>, MasterError> {
        let Some(keys) = &self.block_keys else { return Ok(None) };
        let status = self.status_by_id(file).await?;
        let path = AlluxioPath::parse(&status.path)?;
        // Who makes a file writes it, whatever mode it gives it.
        let own = write && !status.completed && status.owner == call.who.user;
        if !own {
            let access = if write { Access::WRITE } else { Access::READ };
            let allowed = self.namespace.check_access(&path, access, &self.context(call));
            self.release(allowed).await?;
        }
        if write == status.completed {
            return Err(MasterError::TokenOutOfPlace {
                path: status.path,
                completed: status.completed,
            });
        }
        let all = keys.all(call.now, &*self.host.entropy);
        let Some(key) = all.first() else { return Ok(None) };
        let lifetime_ms = millis(keys.config.lifetime);
        let expires = UnixMillis(call.now.0.saturating_add(lifetime_ms));
        let user = &call.who.user;
        let token = match write {
            true => BlockToken::writing(&status, user, key.id, expires),
            false => BlockToken::reading(&status, user, key.id, expires),
        };
        let cluster = self.namespace.cluster_id().unwrap_or_default();
        Ok(Some(Issued { token: token.sign(key, &cluster), lifetime_ms }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_host::SeededEntropy;
    use std::time::Duration;

    #[test]
    fn a_key_signs_for_its_interval_and_is_known_until_its_last_token_is_over() {
        let hour = 3_600_000;
        let config = BlockTokenConfig {
            lifetime: Duration::from_millis(hour),
            key_update_interval: Duration::from_millis(10 * hour),
        };
        let (keys, entropy) = (BlockKeys::new(config), SeededEntropy::new(1));
        let ids = |now: u64| -> Vec<u64> {
            keys.all(UnixMillis(now), &entropy).iter().map(|key| key.id).collect()
        };
        let start = 1_000 * hour;
        let first = ids(start);
        assert_eq!(first.len(), 1);
        assert_eq!(ids(start + 10 * hour - 1), first);
        let both = ids(start + 10 * hour);
        assert_eq!((both.len(), both[1]), (2, first[0]));
        assert_eq!(
            ids(start + 11 * hour).len(),
            2,
            "a token of the last moment is good for an hour"
        );
        assert_eq!(ids(start + 11 * hour + 31_000), both[..1]);
        // A clock that is set back makes a new key; what was signed stays good.
        assert_eq!(ids(start - 500 * hour)[1..], both[..1]);
    }
}
