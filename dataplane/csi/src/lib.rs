//! The CSI driver: Kubernetes' words for volumes on one side, FUSE sessions of the node's agent and directories of
//! the namespace on the other.
//!
//! ```text
//!  kubelet ── Node ──► Mounter (the FUSE agent) opens a session
//!               └────► paths: binds it, in a child process that may hang
//!  provisioner ── Controller ──► Registry (records in the master's journal)
//! ```
//!
//! It must not know: how a session is served or survives (`fuse` does), how a file system works, the API of
//! Kubernetes. The truth about what is bound is the kernel's table, about volumes the master's journal; nothing is
//! counted here.
//!
//! Reading order: [`attributes`] and [`capability`] (what users may say), [`session`] (which of them share a
//! session), [`mountinfo`] and [`paths`] (the kernel), [`places`] (what a bind is for), [`mounter`], [`node`],
//! [`watch`] (binding anew what died), [`registry`] and [`controller`], [`identity`] and [`registration`], [`start`].

pub mod attributes;
mod authority;
pub mod capability;
pub mod controller;
pub mod error;
pub mod identity;
pub mod keyed;
pub mod metrics;
pub mod mounter;
pub mod mountinfo;
pub mod node;
pub mod paths;
pub mod places;
pub mod registration;
pub mod registry;
pub mod session;
mod socket;
pub mod start;
mod sys;
pub mod volume_id;
pub mod watch;

pub use error::CsiError;
pub use start::{Deps, Handle, Services, start};

/// Name of the driver, as StorageClasses and volumes have it.
pub const DRIVER: &str = "csi.alluxio.dev";

/// Generated code.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated; the .proto files are documented"
)]
pub mod proto {
    pub mod csi {
        tonic::include_proto!("csi.v1");
    }
    pub mod registration {
        tonic::include_proto!("pluginregistration");
    }
}
