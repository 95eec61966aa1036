//! Compiles the interfaces of Kubernetes that we serve, with a Rust compiler.

/// Requests that carry secrets, or the token of a pod in their context: nobody can print them by mistake.
const SECRET: &[&str] = &[
    ".csi.v1.CreateVolumeRequest",
    ".csi.v1.DeleteVolumeRequest",
    ".csi.v1.ValidateVolumeCapabilitiesRequest",
    ".csi.v1.ControllerExpandVolumeRequest",
    ".csi.v1.NodeStageVolumeRequest",
    ".csi.v1.NodePublishVolumeRequest",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["proto/csi.proto", "proto/pluginregistration.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure()
        .skip_debug(SECRET.iter().copied())
        // Compared and stored in a fixed order.
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
