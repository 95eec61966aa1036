//! Container images written straight into OCI archives: no daemon, no root, no base image.
//!
//! An image is what a [`Layer`] holds and a [`Config`] says. [`write`](archive::write) makes one
//! archive of it, for one machine type or several; containerd, podman, skopeo and docker read it.
//! The same input gives the same bytes: names are sorted, times are fixed, owners are numbers.
//!
//! It must not know what is in the images, nor how to send them anywhere.
//!
//! Reading order: [`layer`], [`libraries`], [`config`], [`archive`].

pub mod archive;
pub mod config;
mod error;
pub mod layer;
pub mod libraries;

pub use archive::{Image, write};
pub use config::{Arch, Config};
pub use error::{Error, Result};
pub use layer::{Compression, Layer};
