//! A whole cluster from one seed: the real masters and clients, with their real gRPC, election and
//! journal, on machines whose time, network, disks and threads are simulated, beside a simulated etcd.
//!
//! ```text
//!   world ── step by step ──► machine (tokio runtime, clock, disk, threads) ─┬─ etcd (simulated)
//!     │                            ▲                                         ├─ master (real)
//!     └── between steps ──► wire ──┘ bytes that are due                      └─ client (real)
//! ```
//!
//! A run: the cluster begins; clients work while accidents happen; all is healed; all must be well. Every
//! machine is a runtime of its own on the one thread of the world, so what is not moved stands still, and
//! the same seed does the same again (in a process of its own: see `sys` of the binary).
//!
//! | checked | when |
//! |---|---|
//! | what clients were told is true of one tree (linearizability), nothing acknowledged is missing | at the end |
//! | at no moment two masters may answer | after each step |
//! | a healed cluster serves every client within [`PROGRESS_MS`], and soon swiftly | after healing |
//! | in a calm cluster the primacy is handed over within a second | after that, in some runs |
//! | all masters' trees are equal at the same position | after the clients stop |
//! | a cluster that starts from its journal and checkpoints has the same tree | at the end |
//! | the primary knows where blocks are, and the block of a complete file is where it was said to be | at the end, twice |
//! | no panic anywhere | always |
//!
//! Of workers the storage and the bond with the master are real; blocks come to them by a shelf, for the
//! data protocol, whose point is to pass descriptors, is not simulated. Nor are under stores and several
//! members of etcd.
//!
//! Reading order: [`machine`], [`wire`], [`turns`], [`etcd`], [`master`], [`worker`], [`client`], [`faults`], [`accidents`], [`calm`], [`world`].

mod accidents;
mod calm;
mod client;
mod etcd;
mod faults;
mod machine;
mod master;
mod turns;
mod wire;
mod worker;
mod world;

pub use world::{PROGRESS_MS, Summary, run};
