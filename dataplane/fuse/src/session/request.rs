//! A request and its reply.

use super::Counters;
use super::buffers::Buffer;
use super::channel::{Answer, Channel};
use super::life::Life;
use super::wait::Wait;
use crate::abi::{Header, Malformed, Operation, UNIQUE_RESEND, parse};
use crate::errno::Errno;
use std::sync::Arc;

/// A request in its buffer.
#[derive(Debug)]
pub struct Request {
    buffer: Buffer,
    length: usize,
}

impl Request {
    pub(crate) fn new(buffer: Buffer, length: usize) -> Self {
        Request { buffer, length }
    }

    /// What is wanted.
    ///
    /// **Errors**: [`Malformed`].
    pub fn parse(&self) -> Result<(Header, Operation<'_>), Malformed> {
        parse(&self.buffer[..self.length])
    }

    /// Its memory, for building a long reply in: resident, and at least as long as the longest read.
    pub fn into_buffer(self) -> Buffer {
        self.buffer
    }
}

/// The duty to answer a request. Dropped without an answer, it says `EIO`, unless the session is left to
/// another process, which gets the request again.
#[derive(Debug)]
pub struct Reply {
    channel: Arc<Channel>,
    unique: u64,
    counters: Arc<Counters>,
    life: Arc<Life>,
    open: bool,
}

impl Reply {
    pub(crate) fn new(
        channel: Arc<Channel>,
        unique: u64,
        counters: Arc<Counters>,
        life: Arc<Life>,
    ) -> Self {
        life.owe();
        Reply { channel, unique, counters, life, open: true }
    }

    /// Number of the request. Those that the kernel gives out again have
    /// [`crate::abi::UNIQUE_RESEND`] set.
    pub fn unique(&self) -> u64 {
        self.unique
    }

    /// Whether the kernel gives the request out again: a server before us may have carried it out.
    pub fn is_resent(&self) -> bool {
        self.unique & UNIQUE_RESEND != 0
    }

    /// Whether this thread, which has read the request, may wait for what answers it: `None` when it has to read
    /// on.
    pub fn try_wait(&self) -> Option<Wait> {
        Wait::try_begin(&self.life)
    }

    /// Success, with a body that is resident or was just written.
    pub fn ok(mut self, body: &[u8]) {
        self.send(0, body);
    }

    /// Failure.
    pub fn error(mut self, errno: Errno) {
        self.send(errno.number(), &[]);
    }

    /// Either.
    pub fn send_result<B: AsRef<[u8]>>(self, result: Result<B, Errno>) {
        match result {
            Ok(body) => self.ok(body.as_ref()),
            Err(errno) => self.error(errno),
        }
    }

    /// `true` when the kernel took it, so that what it tells of is known there now.
    fn send(&mut self, error: i32, body: &[u8]) {
        self.open = false;
        self.life.paid();
        self.counters.answered(error);
        match self.channel.answer(self.unique, error, body) {
            Answer::Taken => {}
            Answer::NotWanted => self.counters.not_wanted(),
            Answer::Refused(reason) => {
                tracing::error!(unique = self.unique, %reason, "the kernel refuses a reply");
                if error == 0 {
                    // Whoever waits must not wait for ever.
                    self.channel.answer(self.unique, Errno::IO.number(), &[]);
                }
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.open && self.life.is_left() {
            self.open = false;
            self.life.paid();
        } else if self.open {
            self.send(Errno::IO.number(), &[]);
        }
    }
}
