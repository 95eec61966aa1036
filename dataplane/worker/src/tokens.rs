//! Checks block tokens, with the master's keys.

use crate::core::Core;
use crate::error::WorkerError;
use alluxio_datapath::Peer;
use alluxio_datapath::token::{BlockToken, SECRET_BYTES, TokenError, TokenKey};
use alluxio_proto::v1::block as pb;
use alluxio_proto::v1::block::block_master_worker_client::BlockMasterWorkerClient;
use alluxio_rpc::{Primary, Repeat};
use alluxio_types::{BlockId, UnixMillis};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// Least time between two questions to the master for keys: whoever makes up numbers of keys must not
/// make it busy. Who comes in between waits for the next one.
const ASK_PAUSE: Duration = Duration::from_secs(1);
/// How long a client waits for the answer; then its token is of an unknown key, and it tries again.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// How long a token lasts that a worker makes for itself, to copy a block of another one.
const COPY_MS: u64 = 600_000;

/// Keys of block tokens.
pub(crate) struct Tokens {
    master: Arc<Primary>,
    keys: RwLock<BTreeMap<u64, TokenKey>>,
    /// The newest one.
    newest: RwLock<Option<u64>>,
    /// When the master was asked last (monotonic); held while it is asked.
    asked: AsyncMutex<Option<Duration>>,
}

impl Tokens {
    pub(crate) fn new(master: Arc<Primary>) -> Self {
        Tokens {
            master,
            keys: RwLock::default(),
            newest: RwLock::default(),
            asked: AsyncMutex::default(),
        }
    }

    /// Takes keys of a master in, beside those that are known: another primary's stay good.
    pub(crate) fn learn(&self, told: Vec<pb::BlockKey>, now: UnixMillis) {
        let read = |key: pb::BlockKey| {
            let secret: [u8; SECRET_BYTES] = key.secret.as_ref().try_into().ok()?;
            Some(TokenKey { id: key.id, secret, expires: UnixMillis(key.expires_ms) })
        };
        let told: Vec<TokenKey> = told.into_iter().filter_map(read).collect();
        if let Some(first) = told.first() {
            *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Some(first.id);
        }
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, key| key.expires > now);
        keys.extend(told.into_iter().map(|key| (key.id, key)));
    }

    fn key(&self, id: u64) -> Option<TokenKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The key, asked for if it is new here.
    async fn key_or_ask(&self, core: &Core, id: u64) -> Option<TokenKey> {
        if let Some(key) = self.key(id) {
            return Some(key);
        }
        let arrived = core.host.clock.monotonic();
        let mut asked = self.asked.lock().await;
        // Who waited for the lock may find what the other one learned.
        if let Some(key) = self.key(id) {
            return Some(key);
        }
        if let Some(at) = *asked {
            if at >= arrived {
                return None;
            }
            // A key made since the last question is a good one: all who wait share the next answer.
            let since = core.host.clock.monotonic().saturating_sub(at);
            tokio::time::sleep(ASK_PAUSE.saturating_sub(since)).await;
        }
        *asked = Some(core.host.clock.monotonic());
        let call = self.master.call(Repeat::Harmless, |channel| async move {
            BlockMasterWorkerClient::new(channel).get_block_keys(pb::GetBlockKeysRequest {}).await
        });
        match tokio::time::timeout(ASK_WITHIN, call).await {
            Ok(Ok(reply)) => self.learn(reply.keys, core.host.clock.now()),
            Ok(Err(error)) => tracing::warn!(%error, "the master gives no keys of block tokens"),
            Err(_) => tracing::warn!("the master gives no keys of block tokens in time"),
        }
        self.key(id)
    }

    /// A token for copying a block of another worker.
    pub(crate) fn for_copy(&self, core: &Core, block: BlockId, length: u64) -> Option<Arc<[u8]>> {
        let newest = (*self.newest.read().unwrap_or_else(PoisonError::into_inner))?;
        let key = self.key(newest)?;
        let expires = UnixMillis(core.host.clock.now().0.saturating_add(COPY_MS));
        let user = &core.config.security.login_user;
        let token = BlockToken::copying(block, length, user, key.id, expires);
        Some(token.sign(&key, core.cluster.get()).into())
    }
}

impl Core {
    /// The token that a client presented; `None` when nobody needs any.
    ///
    /// **Errors**: `Token`.
    pub(crate) async fn token(&self, peer: &Peer) -> Result<Option<BlockToken>, WorkerError> {
        let Some(tokens) = &self.tokens else { return Ok(None) };
        let bytes = peer.token.as_deref().ok_or(TokenError::Missing)?;
        let id = BlockToken::key_of(bytes)?;
        let key = tokens.key_or_ask(self, id).await;
        let key = key.ok_or(TokenError::UnknownKey { key: id })?;
        let now = self.host.clock.now();
        Ok(Some(BlockToken::verify(bytes, &key, self.cluster.get(), now)?))
    }

    /// With block tokens, control calls are for the user that workers run as: they name files of the under
    /// store freely.
    ///
    /// **Errors**: `NotForUser`.
    pub(crate) fn check_control(&self, user: &str) -> Result<(), WorkerError> {
        match self.tokens.is_none() || user == self.config.security.login_user {
            true => Ok(()),
            false => Err(WorkerError::NotForUser { user: user.to_owned() }),
        }
    }
}
