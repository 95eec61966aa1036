//! A connection that is agreed on: begun by us, or by a process before us.

use super::SessionError;
use super::channel::{Channel, Read};
use super::negotiate::{Negotiated, Wish};
use crate::abi::{Notice, Operation, feature, parse};
use crate::errno::Errno;
use crate::sys;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The kernel's limit that ends connections whose server is slow; 0 is none.
const TIMEOUT_SYSCTL: &str = "/proc/sys/fs/fuse/default_request_timeout";
/// Longest first request, in bytes, with room for what newer kernels add.
const INIT_BYTES_MAX: usize = 1 << 20;

/// The descriptors of a connection and what was agreed on.
#[derive(Debug)]
pub struct Connection {
    pub(super) main: Arc<Channel>,
    pub(super) clones: Vec<Arc<Channel>>,
    pub(super) negotiated: Negotiated,
}

/// How the server before us ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// In the middle of whatever it did.
    Killed,
    /// After it had answered all that it had read.
    InOrder,
}

impl Connection {
    /// Begins a connection on a descriptor that was just mounted.
    ///
    /// **Errors**: `TooOld`; `Device` when the mount is gone already.
    pub fn begin(main: OwnedFd, wish: &Wish) -> Result<Self, SessionError> {
        Self::begin_saving(main, wish, |_| ())
    }

    /// The same; `save` is called with what will have been agreed on before the kernel is told, so that a
    /// process that comes later can know it. A descriptor that another process has begun with and not saved
    /// anything of begins here too.
    ///
    /// **Errors**: as [`Connection::begin`].
    pub fn begin_saving(
        main: OwnedFd,
        wish: &Wish,
        save: impl FnOnce(&Negotiated),
    ) -> Result<Self, SessionError> {
        warn_of_timeout();
        let main = Channel::new(main);
        // Somebody may have read the first request and ended. Kernels that cannot resend, and those that
        // have nothing to resend, are no worse off.
        let _ = main.notify(&Notice::Resend);
        let mut buffer = vec![0; INIT_BYTES_MAX];
        let length = loop {
            let read = main.read(&mut buffer);
            match read.map_err(SessionError::device("reading the first request"))? {
                Read::Request(length) => break length,
                Read::Again => {}
                Read::Ended => return Err(SessionError::Dead),
            }
        };
        let Ok((header, Operation::Init(init))) = parse(&buffer[..length]) else {
            return Err(SessionError::NotInit);
        };
        let negotiated = match Negotiated::agree(&init, wish) {
            Ok(negotiated) => negotiated,
            Err(error) => {
                main.answer(header.unique, libc::EPROTO, &[]);
                return Err(error);
            }
        };
        save(&negotiated);
        main.answer(header.unique, 0, &negotiated.reply());
        tracing::debug!(?init, ?negotiated, "connected to the kernel");
        Ok(Connection { main: Arc::new(main), clones: Vec::new(), negotiated })
    }

    /// Goes on with a connection whose server is gone: all its descriptors, and what was agreed on. The
    /// kernel gives out again what that server had read and not answered.
    ///
    /// The old server MUST be gone, to its last thread: what it still reads after this would be lost.
    ///
    /// **Errors**: `Dead`; `NoResend` on kernels before 6.9.
    pub fn adopt(
        main: OwnedFd,
        clones: Vec<OwnedFd>,
        negotiated: Negotiated,
    ) -> Result<Self, SessionError> {
        Self::adopt_from(main, clones, negotiated, Before::Killed)
    }

    /// The same, after a server whose end is known.
    ///
    /// **Errors**: `Dead`; `NoResend` on kernels before 6.9, unless it ended in order.
    pub fn adopt_from(
        main: OwnedFd,
        clones: Vec<OwnedFd>,
        negotiated: Negotiated,
        before: Before,
    ) -> Result<Self, SessionError> {
        warn_of_timeout();
        let connection = Connection {
            main: Arc::new(Channel::new(main)),
            clones: clones.into_iter().map(|fd| Arc::new(Channel::new(fd))).collect(),
            negotiated,
        };
        if connection.main.is_dead() {
            return Err(SessionError::Dead);
        }
        match negotiated.has(feature::HAS_RESEND) {
            true => {
                let resent = connection.main.notify(&Notice::Resend);
                resent
                    .map_err(SessionError::device("asking the kernel for unanswered requests"))?;
            }
            false if before == Before::InOrder => {}
            false => return Err(SessionError::NoResend),
        }
        Ok(connection)
    }

    /// Makes clones until there are `count`. They must be handed to whoever keeps the connection alive
    /// before anything is read from them.
    ///
    /// **Errors**: `Device`.
    pub fn add_clones(&mut self, count: usize) -> Result<(), SessionError> {
        while self.clones.len() < count {
            let clone = sys::clone_channel(self.main.fd());
            let clone = clone.map_err(SessionError::device("cloning the connection"))?;
            self.clones.push(Arc::new(Channel::new(clone)));
        }
        Ok(())
    }

    /// The descriptors, the mounted one first, for whoever keeps them.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(&self.main).chain(&self.clones).map(|channel| channel.fd())
    }

    /// What was agreed on.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// What one may tell the kernel of this connection.
    pub fn control(&self) -> Control {
        Control { main: self.main.clone() }
    }
}

/// What a file system may ask of the kernel besides answering. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    main: Arc<Channel>,
}

impl Control {
    /// Attributes of a node are old; with `pages`, what the kernel has of its bytes too. Waits for reads
    /// of those pages that are under way: call it where they can still be answered.
    pub fn forget_node(&self, node: u64, pages: bool) {
        let pages_from = pages.then_some(0);
        self.tell(&Notice::Node { node, pages_from });
    }

    /// A name is old.
    pub fn forget_name(&self, parent: u64, name: &str) {
        self.tell(&Notice::Name { parent, name: name.to_owned() });
    }

    fn tell(&self, notice: &Notice) {
        // ENOENT: the kernel does not know it, so there is nothing to forget.
        if let Err(error) = self.main.notify(notice)
            && error.raw_os_error() != Some(libc::ENOENT)
        {
            tracing::debug!(?notice, %error, "the kernel does not take a notice");
        }
    }

    /// Makes a file known for passthrough.
    ///
    /// **Errors**: as the kernel says; `EPERM` without the privilege to mount.
    pub fn open_backing(&self, file: BorrowedFd<'_>) -> Result<u32, Errno> {
        sys::backing_open(self.main.fd(), file).map_err(|error| Errno::of_io(&error))
    }

    /// Ends it. Handles that are open go on.
    pub fn close_backing(&self, id: u32) {
        if let Err(error) = sys::backing_close(self.main.fd(), id) {
            tracing::warn!(id, %error, "a backing file cannot be closed");
        }
    }
}

fn warn_of_timeout() {
    let text = std::fs::read_to_string(TIMEOUT_SYSCTL).unwrap_or_default();
    if text.trim().parse().is_ok_and(|seconds: u64| seconds > 0) {
        tracing::warn!(
            "fs.fuse.default_request_timeout is {} s: the kernel gives up a mount whose server does not \
             answer for so long, a restart of ours included; set it to 0",
            text.trim()
        );
    }
}
