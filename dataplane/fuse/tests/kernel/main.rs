//! On the kernel's own FUSE. Each test mounts in a folder of its own, under a guard that gives the
//! connection up, so that nothing can hang for longer than a test may. Without the right to mount (no
//! root, no device) there is nothing to test, and each says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod background;
mod cluster;
mod deviations;
mod guard;
mod links;
mod posix;
mod posix_operations;
mod programs;
mod quotas;
mod random;
mod reading;
mod session;
mod sys;
mod writing;
mod xattr;
