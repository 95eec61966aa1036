//! `alluxio bench`: what this build does on this machine, beside what the machine can do at all.
//!
//! Each benchmark measures our figure and, in the same run and in turns, the limit beside it, and
//! prints medians, spread and their ratio; ratios hold where absolute figures of a shared machine do
//! not. It talks to the cluster that the configuration names, if one answers; otherwise it starts one
//! of its own from the same binary in a temporary folder.
//!
//! It must not know: how roles are wired. A cluster is a child process.
//!
//! Reading order: [`run`], `measure`, `cluster`, then one file per benchmark; `limits` has the
//! machine's side.

mod cluster;
mod command;
mod data;
mod empty;
mod fuse;
mod journal;
mod limits;
mod measure;
mod metadata;
mod startup;
mod sys;

pub use command::run;
