//! How the tree lies in memory: records, names, indexes. Nothing here knows a rule of the file
//! system, and nothing here takes a lock but [`ids`] and [`intern`].
//!
//! | part | bytes per file |
//! |---|---|
//! | [`record`]: fixed-size record | 64 |
//! | [`pool`]: name and fingerprint | name rounded up to 4, fingerprint packed |
//! | [`index`]: hash index on (directory, name) | 7 to 9, in a file 7 to 13 |
//! | [`children`]: ordered index of a directory | 4 to 8 |
//! | [`ids`]: id to location | 4 |
//!
//! All of these lie in a [`alluxio_host::TableMemory`]: the heap, or a file that may be larger than
//! the machine's memory.

pub(crate) mod children;
pub(crate) mod compact;
pub(crate) mod fingerprint;
pub(crate) mod ids;
pub(crate) mod index;
pub(crate) mod intern;
pub(crate) mod pool;
pub(crate) mod record;
pub(crate) mod shard;
pub(crate) mod slab;
