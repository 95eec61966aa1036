//! The data protocol (`WIRE.md`): bytes of blocks between clients and workers, over Unix sockets
//! with passed descriptors and over TCP.
//!
//! It must not know: what a file is, who has a block, how a block is stored, what a UFS is.
//!
//! Reading order: [`message`] (what is said), `codec` (in which bytes), [`service`] (what a
//! worker implements), [`token`] (who may ask), `server`, `client`, and `sys` (the only unsafe code).

pub mod checksum;
pub mod client;
pub mod codec;
pub mod error;
pub mod frame;
mod link;
pub mod message;
pub mod server;
pub mod service;
mod socket;
mod sys;
pub mod token;

pub use error::{Error, ProtocolError, Refusal};
pub use message::{
    CHUNK_BYTES, ClusterName, DATA_BYTES_MAX, OpenBlock, OpenUfs, ReadRequest, UfsDone, UfsSource,
};
pub use service::{
    DataService, HeldBlock, OpenedBlock, Peer, ReadAnswer, ReadStream, Transport, WriteSession,
};
