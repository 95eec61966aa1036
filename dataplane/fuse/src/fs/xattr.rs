//! Extended attributes, as the namespace has them.
//!
//! `user.…` and `trusted.…` are shown and set; names without one of these before them, which other clients
//! may give, are not names to Linux. `security.…` and `system.…` are not supported, and that is answered
//! without a look at anything: `ls` stops asking then, and the kernel asks for `security.capability` before
//! the first write to a file.
//!
//! What the last look at a node has shown is believed for as long as its attributes are.

use super::lookup::STATUS;
use super::nodes::Heard;
use super::{AlluxioFs, Caller, Core, failed, text};
use crate::abi::{Operation, xattr_size_reply};
use crate::errno::Errno;
use crate::session::Reply;
use alluxio_client::SetAttributeOptions;
use alluxio_types::xattr::is_trusted;
use alluxio_types::{Code, Coded, FileStatus, XattrStrategy, XattrUpdate, Xattrs};
use std::ffi::OsStr;

const USER: &str = "user.";

/// Whether Linux knows such a name, and we keep it.
fn is_kept(name: &str) -> bool {
    name.starts_with(USER) || is_trusted(name)
}

/// A name that is kept; of others it is said once and for all that they are not supported.
pub(super) fn kept(name: &OsStr) -> Result<String, Errno> {
    let name = text(name).ok().filter(|name| is_kept(name));
    name.map(str::to_owned).ok_or(Errno::NOTSUP)
}

/// What `setxattr` was told.
fn strategy(flags: u32) -> XattrStrategy {
    match flags as i32 {
        flags if flags & libc::XATTR_CREATE != 0 => XattrStrategy::Create,
        flags if flags & libc::XATTR_REPLACE != 0 => XattrStrategy::Replace,
        _ => XattrStrategy::UnionReplace,
    }
}

/// A value, or how long it is for who has no room (`size` 0).
fn sized(value: &[u8], size: u32) -> Result<Vec<u8>, Errno> {
    let length = u32::try_from(value.len()).map_err(|_| Errno::TOOBIG)?;
    match size {
        0 => Ok(xattr_size_reply(length)),
        size if size < length => Err(Errno::RANGE),
        _ => Ok(value.to_vec()),
    }
}

/// The names that a caller may see, each with a NUL behind it.
fn names(xattr: &Xattrs, caller: Caller) -> Vec<u8> {
    let seen = |name: &str| is_kept(name) && (caller.uid == 0 || !is_trusted(name));
    let names = xattr.iter().map(|(name, _)| name).filter(|name| seen(name));
    names.flat_map(|name| name.bytes().chain([0])).collect()
}

impl Core {
    /// Remembers the extended attributes of a status. `whole` when it is the superuser's.
    pub(super) fn hear_xattr(&self, node: u64, status: &FileStatus, whole: bool) {
        let at = self.host.clock.monotonic();
        if let Some(node) = self.nodes().get_mut(node) {
            node.heard = Some(Heard { xattr: status.xattr.clone(), at, whole });
        }
    }

    /// The extended attributes of a node as far as memory tells.
    fn known_xattr(&self, caller: Caller) -> Option<Xattrs> {
        let now = self.host.clock.monotonic();
        let nodes = self.nodes();
        let heard = nodes.get(caller.node)?.heard.as_ref()?;
        let fresh = now.saturating_sub(heard.at) < self.settings.attr_valid;
        (fresh && (heard.whole || caller.uid != 0)).then(|| heard.xattr.clone())
    }

    /// The kernel has checked rights, so we look for ourselves.
    async fn xattr(&self, caller: Caller) -> Result<Xattrs, Errno> {
        let path = self.path(caller.node).await?;
        let status = self.own.get_status(&path, &STATUS).await;
        let status = status.map_err(|error| failed("look at extended attributes", &error))?;
        self.hear_xattr(caller.node, &status, true);
        Ok(status.xattr)
    }

    /// Sets an attribute; without a value, takes it away.
    pub(super) async fn change_xattr(
        &self,
        caller: Caller,
        name: &str,
        value: Option<Vec<u8>>,
        flags: u32,
    ) -> Result<Vec<u8>, Errno> {
        let path = self.path(caller.node).await?;
        let strategy = if value.is_some() { strategy(flags) } else { XattrStrategy::Remove };
        // Whether it must be there, so that its absence has a number of its own.
        let needs = matches!(strategy, XattrStrategy::Replace | XattrStrategy::Remove);
        let values = Xattrs::from_iter([(name.to_owned(), value.unwrap_or_default())]);
        let update = XattrUpdate { values, strategy };
        let client = match is_trusted(name) {
            true => self.own.clone(),
            false => self.client(caller)?,
        };
        let changes = SetAttributeOptions { xattr: Some(update), ..Default::default() };
        let set = client.set_attribute(&path, &changes).await;
        if let Some(node) = self.nodes().get_mut(caller.node) {
            node.heard = None;
        }
        match set {
            Err(error) if error.code() == Code::NotFound && needs => Err(Errno::NODATA),
            Err(error) => Err(failed("change an extended attribute", &error)),
            Ok(_) => Ok(Vec::new()),
        }
    }
}

/// What is asked of the attributes of a node.
enum Question {
    Value { name: String, size: u32 },
    Names { size: u32 },
}

impl Question {
    fn answer(&self, xattr: &Xattrs, caller: Caller) -> Result<Vec<u8>, Errno> {
        match self {
            Question::Value { name, size } => sized(xattr.get(name).ok_or(Errno::NODATA)?, *size),
            Question::Names { size } => sized(&names(xattr, caller), *size),
        }
    }
}

impl AlluxioFs {
    /// Answers what is asked of the attributes of a node, from memory where that is fresh.
    pub(super) fn serve_xattr(&self, caller: Caller, operation: Operation<'_>, reply: Reply) {
        let question = match operation {
            Operation::GetXattr { name, size } => match kept(name) {
                Ok(name) => Question::Value { name, size },
                Err(errno) => return reply.error(errno),
            },
            Operation::ListXattr { size } => Question::Names { size },
            _ => return reply.error(Errno::NOSYS),
        };
        if let Some(known) = self.core.known_xattr(caller) {
            return reply.send_result(question.answer(&known, caller));
        }
        let core = self.core.clone();
        self.ask(reply, async move { question.answer(&core.xattr(caller).await?, caller) });
    }
}
