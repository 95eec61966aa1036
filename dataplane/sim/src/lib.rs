//! Simulation from one seed, in two rings. The inner one steps the synchronous cores of master and worker
//! through random operations, faults of the disk, power cuts and kills, and checks them after every step.
//! The outer one runs whole masters and clients on simulated machines and a simulated network.
//!
//! It must not know: sockets, real clocks, real disks. What a seed does, it does again.
//!
//! | world | cores | checks |
//! |---|---|---|
//! | [`metadata`] | `namespace`, `journal` | what was acknowledged survives; the recovered tree is the live tree at some position, whole; no answer shows what a crash can take back; a checkpoint taken during traffic is the tree at its position |
//! | [`blocks`] | `blockstore` | every byte read is the right one or none; accounted space is stored space; no temporary file is left; pinned blocks stay |
//! | [`cluster`] | whole roles over gRPC | what clients were told can be true; one master answers at a time; trees are equal; a healed cluster serves |
//!
//! Every seed draws its own mix of operations and faults, so that some seeds do much of little.
//!
//! Reading order: [`dice`], [`violation`], [`metadata`], [`blocks`], [`cluster`].

pub mod blocks;
pub mod cluster;
pub mod dice;
pub mod metadata;
pub mod moment;
pub mod violation;

pub use dice::Dice;
pub use violation::{Violation, World};

/// Hears of every step of a run, for who replays a seed.
pub type Trace = Box<dyn FnMut(&str)>;

/// Runs one world from one seed.
///
/// **Errors**: the first broken promise. Panics of the cores pass through: the caller knows the
/// seed.
pub fn run(world: World, seed: u64, steps: u64) -> Result<String, Violation> {
    run_traced(world, seed, steps, Box::new(|_| {}))
}

/// As [`run`], telling every step.
///
/// **Errors**: as [`run`].
pub fn run_traced(world: World, seed: u64, steps: u64, trace: Trace) -> Result<String, Violation> {
    match world {
        World::Metadata => metadata::run(seed, steps, trace).map(|summary| format!("{summary:?}")),
        World::Blocks => blocks::run(seed, steps, trace).map(|summary| format!("{summary:?}")),
        World::Cluster => cluster::run(seed, false).map(|summary| summary.to_string()),
    }
}
