//! Files that are being written while the process of the mount is killed. The kernel is played by a
//! socket, or stands behind one, so that a "process" can be dropped in the middle of a request and another
//! one can go on; master and worker are real.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../kernel/guard.rs"]
mod guard;
mod kernel;
mod mounted;
mod random;
mod steps;
