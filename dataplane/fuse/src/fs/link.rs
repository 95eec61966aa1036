//! Symbolic links. The namespace keeps what they hold; following them is the kernel's part.

use super::lookup::STATUS;
use super::{Caller, Core, failed};
use crate::errno::Errno;

impl Core {
    pub(super) async fn symlink(
        &self,
        caller: Caller,
        name: &str,
        target: &str,
    ) -> Result<Vec<u8>, Errno> {
        let path = self.path_below(caller.node, name).await?;
        let made = self.client(caller)?.create_symlink(&path, target).await;
        let status = made.map_err(|error| failed("symlink", &error))?;
        Ok(self.entry(caller.node, name, &status).reply())
    }

    pub(super) async fn read_link(&self, caller: Caller) -> Result<Vec<u8>, Errno> {
        let path = self.path(caller.node).await?;
        let status = self.own.get_status(&path, &STATUS).await;
        let status = status.map_err(|error| failed("readlink", &error))?;
        match status.is_symlink() {
            true => Ok(status.target.into_bytes()),
            false => Err(Errno::INVAL),
        }
    }
}
