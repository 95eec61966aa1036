//! One descriptor of a connection.

use crate::abi::{Notice, OUT_HEADER_BYTES, out_header};
use rustix::io::Errno as Os;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A descriptor of `/dev/fuse`: the one that was mounted, or a clone. What is read from one must be answered
/// on it.
#[derive(Debug)]
pub(crate) struct Channel {
    fd: OwnedFd,
}

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// A request of so many bytes.
    Request(usize),
    /// Nothing this time.
    Again,
    /// The file system is unmounted, or the connection was given up.
    Ended,
}

/// What came of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The kernel has it.
    Taken,
    /// Nobody waits for it any more.
    NotWanted,
    /// The kernel refuses it.
    Refused(Os),
}

impl Channel {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Channel { fd }
    }

    /// Waits for a request.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<Read> {
        match rustix::io::read(&self.fd, into) {
            Ok(0) => Ok(Read::Ended),
            Ok(count) => Ok(Read::Request(count)),
            // ENOENT: the request was interrupted while it was being read.
            Err(Os::INTR | Os::AGAIN | Os::NOENT) => Ok(Read::Again),
            Err(Os::NODEV | Os::CONNABORTED | Os::NOTCONN) => Ok(Read::Ended),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn answer(&self, unique: u64, error: i32, body: &[u8]) -> Answer {
        let header = out_header(OUT_HEADER_BYTES + body.len(), -error, unique);
        // One write is one reply: the kernel takes it whole or not at all.
        match rustix::io::writev(&self.fd, &[IoSlice::new(&header), IoSlice::new(body)]) {
            Ok(_) => Answer::Taken,
            Err(Os::NOENT | Os::NODEV | Os::CONNABORTED) => Answer::NotWanted,
            Err(error) => Answer::Refused(error),
        }
    }

    /// Tells the kernel something.
    pub(crate) fn notify(&self, notice: &Notice) -> io::Result<()> {
        rustix::io::write(&self.fd, &notice.bytes())?;
        Ok(())
    }

    /// Whether the file system is unmounted, or the connection was given up.
    pub(crate) fn is_dead(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut asked = [PollFd::new(&self.fd, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut asked, Some(&at_once)), Ok(1..))
            && asked[0].revents().contains(PollFlags::ERR)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
