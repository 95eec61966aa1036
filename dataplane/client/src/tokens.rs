//! Block tokens of this client: asked for when a worker wants them, kept while they are good.

use crate::error::ClientError;
use crate::fs::Inner;
use alluxio_types::{Code, Coded, InodeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A token as workers take it.
pub(crate) type Token = Arc<[u8]>;

/// Tokens kept at once, about 200 bytes each; beyond it all are forgotten and asked for again.
const TOKENS_MAX: usize = 10_000;
/// A token is not used for the last part of its life, so that it does not end on the way.
const SPARE: Duration = Duration::from_secs(10);

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Reading a complete file.
    Read,
    /// Writing a new one.
    Write,
}

/// How long a master is believed that there are no tokens.
const OFF_FOR: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Known {
    /// Until when there are no tokens in this cluster, as its master said (monotonic).
    off_until: Duration,
    /// With the time until when each is used (monotonic).
    tokens: HashMap<(InodeId, Purpose), (Token, Duration)>,
}

/// The tokens.
#[derive(Default)]
pub(crate) struct Tokens {
    known: Mutex<Known>,
}

impl Tokens {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A token for a file; `None` when none is needed, or none to be had now: then the worker says what is
    /// missing.
    pub(crate) async fn token(&self, file: InodeId, purpose: Purpose) -> Option<Token> {
        let now = self.host.clock.monotonic();
        {
            let known = self.tokens.lock();
            if now < known.off_until {
                return None;
            }
            // A writer asks once for each worker that it writes to, and then is surely understood.
            let kept = known.tokens.get(&(file, purpose)).filter(|_| purpose == Purpose::Read);
            if let Some((token, _)) = kept.filter(|(_, until)| *until > now) {
                return Some(token.clone());
            }
        }
        self.new_token(file, purpose).await.unwrap_or_else(|error| {
            tracing::debug!(inode = file.0, %error, "the master gives no block token");
            None
        })
    }

    /// A new token, after a worker refused: it expired, or is of a key that the worker forgot. `None` when
    /// that cannot have been the reason.
    ///
    /// **Errors**: that the caller has no right, in the master's words.
    pub(crate) async fn renewed_token(
        &self,
        file: InodeId,
        purpose: Purpose,
    ) -> Result<Option<Token>, ClientError> {
        self.tokens.lock().tokens.remove(&(file, purpose));
        self.new_token(file, purpose).await
    }

    async fn new_token(
        &self,
        file: InodeId,
        purpose: Purpose,
    ) -> Result<Option<Token>, ClientError> {
        let asked = self.host.clock.monotonic();
        let answer = self.master.block_token(file, purpose == Purpose::Write).await;
        let (token, lifetime) = match answer {
            // A master of an earlier version.
            Err(error) if error.code() == Code::Unimplemented => (Vec::new(), Duration::ZERO),
            other => other?,
        };
        let mut known = self.tokens.lock();
        if token.is_empty() {
            known.off_until = asked.saturating_add(OFF_FOR);
            return Ok(None);
        }
        known.off_until = Duration::ZERO;
        if known.tokens.len() >= TOKENS_MAX {
            known.tokens.clear();
        }
        let token: Token = token.into();
        // Counted from before the question: clocks of master and client need not agree.
        let until = asked.saturating_add(lifetime.saturating_sub(SPARE.min(lifetime / 2)));
        known.tokens.insert((file, purpose), (token.clone(), until));
        Ok(Some(token))
    }
}
