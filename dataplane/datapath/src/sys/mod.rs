//! What the kernel does for us: passing descriptors, mapping files. The only module
//! of this crate where `unsafe` is allowed, and only [`mmap`] and [`low_water`] need it.

pub(crate) mod low_water;
pub(crate) mod mmap;
pub(crate) mod scm_rights;
