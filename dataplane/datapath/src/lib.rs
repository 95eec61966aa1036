//! The data protocol (`WIRE.md`): bytes of blocks between clients and workers, over Unix sockets
//! with passed descriptors and over TCP.
//!
//! It must not know: what a file is, who has a block, how a block is stored, what a UFS is.
//!
//! Reading order: [`message`] (what is said), `codec` (in which bytes), [`service`] (what a
//! worker implements), `server`, `client`, and `sys` (the only unsafe code).

pub mod error;
pub mod message;
pub mod service;

pub use error::{Error, ProtocolError, Refusal};
pub use message::{
    CHUNK_BYTES, DATA_BYTES_MAX, OpenBlock, OpenUfs, ReadRequest, UfsDone, UfsSource,
};
pub use service::{
    DataService, HeldBlock, OpenedBlock, Peer, ReadAnswer, ReadStream, Transport, WriteSession,
};
