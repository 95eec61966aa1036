//! A real Kubernetes for tests, on a plain Linux machine and out of nobody's images: etcd and every
//! component of Kubernetes from the Go module proxy, containerd from the distribution.
//!
//! Two things can be had. [`ControlPlane`]: etcd and the API server on loopback, for whoever runs it.
//! [`Cluster`]: as root, with up to nine nodes, each a set of namespaces with a containerd, kubelet
//! and kube-proxy of its own. Nothing is added to the machine's network but one listener on
//! loopback, and all of a cluster ends with one process.
//!
//! It must not know anything of Alluxio, nor speak to the API but through `kubectl`.
//!
//! Reading order: [`programs`], [`credentials`], [`components`], [`control_plane`], [`cluster`], [`node`],
//! [`images`].

pub mod cluster;
pub mod components;
pub mod control_plane;
pub mod credentials;
pub mod images;
pub mod node;
mod process;
pub mod programs;

pub use cluster::{Cluster, Options};
pub use control_plane::ControlPlane;
