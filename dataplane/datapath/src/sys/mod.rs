//! What the kernel does for us: passing descriptors, sending files, mapping them. The only module
//! of this crate where `unsafe` is allowed, and only [`mmap`] needs it.

pub(crate) mod mmap;
pub(crate) mod scm_rights;
pub(crate) mod sendfile;
