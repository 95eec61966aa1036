//! The `alluxio` program.

fn main() {}
