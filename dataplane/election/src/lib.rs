//! Who is the primary master, and until when it may act as one.
//!
//! It must not know: what a master does with its tenure. A [`Tenure`] is checked before every
//! reply; losing it means that another master may serve.
//!
//! Main types: [`Elector`] is what a master is handed; it gives a [`Tenure`]. [`FixedElector`]: one
//! master, no election. [`EtcdElector`]: several masters. [`SharedElection`]: several masters in one process, for tests and
//! simulations; `conformance` (a feature): what every elector has to pass.
//!
//! Reading order: [`tenure`], [`elector`], [`error`], [`fixed`], [`shared`], [`etcd`].

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod elector;
pub mod error;
pub mod etcd;
pub mod fixed;
pub mod shared;
pub mod tenure;

pub use elector::{Candidate, Elector, Leader, READ_TENURE};
pub use error::ElectionError;
pub use etcd::{EtcdElector, EtcdElectorOptions, RaisingElector, watch_leader};
pub use fixed::FixedElector;
pub use shared::{SharedElection, SharedElector};
pub use tenure::{Hold, Tenure, TenureKeeper};

/// A server that keeps an election.
pub use alluxio_etcd::{MemberFacts, MemberHealth};
