//! Compiles the `.proto` files with a Rust compiler, so that no `protoc` is needed.

use std::path::{Path, PathBuf};

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for item in std::fs::read_dir(dir)? {
        let path = item?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ext| ext == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files = Vec::new();
    collect(Path::new("proto"), &mut files)?;
    let descriptors = protox::compile(&files, ["proto"])?;
    tonic_prost_build::configure()
        // Bodies stay reference counted: a block list or a checkpoint chunk is never copied twice.
        .bytes(".")
        // Stored bytes must be repeatable: maps in key order.
        .btree_map(".alluxio.journal")
        .compile_fds(descriptors)?;
    Ok(())
}
