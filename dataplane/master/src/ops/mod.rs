//! The operations of the file system, one file per family. Each looks first, asks the under store
//! where it must, and submits one change to the writer.

pub(crate) mod attributes;
pub(crate) mod consistency;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod free;
pub(crate) mod intent;
pub(crate) mod mount;
pub(crate) mod quota;
pub(crate) mod read;
mod rename;
