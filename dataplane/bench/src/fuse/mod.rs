//! The mount through the kernel, beside the files behind it and the kernel's own limit.
//!
//! The mount is a process of its own, as users have it. Reading order: `mounted`, `reads`, `names`,
//! `unpack`.

mod mounted;
mod names;
mod reads;
mod unpack;

use crate::command::Shared;
use anyhow::Result;

/// All of it.
pub(crate) async fn fuse(shared: &Shared) -> Result<()> {
    reads::warm(shared).await?;
    reads::remote(shared).await?;
    names::stat(shared).await?;
    names::list(shared).await?;
    unpack::unpack(shared).await
}
