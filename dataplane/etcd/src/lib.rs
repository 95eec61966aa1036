//! The connection to etcd that election and journal share: which member to ask, for how long, what an
//! error means, and under which keys things lie.
//!
//! It must not know: what is elected or journaled.
//!
//! Main types: [`EtcdSettings`] say where and as whom; [`Etcd`] asks; [`Keys`] name.
//!
//! Reading order: [`settings`], [`keys`], [`error`], [`connection`], [`members`].

mod advice;
pub mod connection;
pub mod error;
pub mod keys;
pub mod members;
pub mod settings;

pub use connection::{Etcd, MESSAGE_BYTES_MAX, WRITE_LIMIT};
pub use error::EtcdError;
pub use keys::Keys;
pub use members::{MemberFacts, MemberHealth};
pub use settings::{EtcdSettings, Secret, TlsFiles};

/// The words of the protocol.
pub use etcd_client as api;
