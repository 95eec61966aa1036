//! Tests against a real Kubernetes, in a few lines each.
//!
//! [`ControlPlane`] is etcd and the API server on loopback, for a test alone: what does the API accept,
//! what does a controller write? [`Cluster`] has nodes and runs pods: this machine's, or the one that
//! `ALLUXIO_E2E_KUBECONFIG` names. [`Namespace`] is a namespace that goes away with the test, and the
//! ways to put something in and to wait for what becomes of it, with an account of everything around
//! when it doesn't.
//!
//! It must not know how a cluster is built (`alluxio-e2e-kube` does), nor anything of the operator.
//!
//! Reading order: [`plane`], [`cluster`], [`namespace`], [`wait`], [`images`], [`audit`],
//! [`monitoring`].

pub mod audit;
pub mod cluster;
pub mod images;
pub mod monitoring;
pub mod namespace;
pub mod plane;
pub mod wait;

pub use audit::{Mark, Request};
pub use cluster::Cluster;
pub use monitoring::monitoring_kinds;
pub use namespace::Namespace;
pub use plane::{ControlPlane, Identity};
pub use wait::LIMIT;
