//! Set-user-id and set-group-id bits, which must not outlive a change of bytes or owner.
//!
//! The kernel leaves that to us (`FUSE_HANDLE_KILLPRIV_V2`), and says with each write whether the writer may
//! keep them. In return it does not ask for the file's capabilities before every write.

use super::write::mode_of;
use super::{Caller, Core, failed};
use crate::abi::SetAttr;
use crate::errno::Errno;
use alluxio_client::SetAttributeOptions;

const SET_USER: u32 = libc::S_ISUID;
const SET_GROUP: u32 = libc::S_ISGID | libc::S_IXGRP;

/// The mode of a file without these bits; `None` when it has none. Without `x` for its group the
/// set-group-id bit is no privilege.
pub(super) fn without_privileges(mode: u32) -> Option<u32> {
    if mode & libc::S_IFMT == libc::S_IFDIR {
        return None;
    }
    let group = if mode & SET_GROUP == SET_GROUP { libc::S_ISGID } else { 0 };
    let rest = mode & !(SET_USER | group);
    (rest != mode).then_some(rest)
}

impl Core {
    /// The mode that a node has to lose its privileges for, as far as memory tells.
    pub(super) fn reduced_mode(&self, node: u64) -> Option<u32> {
        self.nodes().get(node).and_then(|node| without_privileges(node.attr.mode))
    }

    /// Takes the privileges away, and has the kernel ask for the mode again.
    pub(super) async fn drop_privileges(&self, caller: Caller) -> Result<(), Errno> {
        let Some(mode) = self.reduced_mode(caller.node) else { return Ok(()) };
        let path = self.path(caller.node).await?;
        let changes = SetAttributeOptions { mode: Some(mode_of(mode)), ..Default::default() };
        // Who may write may not be who may change the mode.
        let set = self.own.set_attribute(&path, &changes).await;
        set.map_err(|error| failed("take privileges away", &error))?;
        let set = SetAttr { mode: Some(mode), ..SetAttr::default() };
        self.nodes().attributes_changed(caller.node, &set);
        self.control.forget_node(caller.node, false);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_group_id_bit_without_x_is_none() {
        let file = |mode: u32| without_privileges(libc::S_IFREG | mode).map(|mode| mode & 0o7777);
        assert_eq!(file(0o4755), Some(0o755));
        assert_eq!(file(0o6771), Some(0o771));
        assert_eq!(file(0o2745), None);
        assert_eq!(file(0o1777), None);
        assert_eq!(without_privileges(libc::S_IFDIR | 0o2777), None);
    }
}
