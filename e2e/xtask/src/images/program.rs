//! The programs of images.

use crate::run::{cargo, has, run, say, target_dir};
use alluxio_oci::Arch;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// How programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Optimized and static: nothing else is needed at run time.
    Release,
    /// As tests build them, and so in no time after those.
    Dev,
}

/// The compiler's name of a machine type.
pub(crate) fn target(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64-unknown-linux-gnu",
        Arch::Arm64 => "aarch64-unknown-linux-gnu",
    }
}

/// The C compiler of another machine type, which links and builds what is in C.
fn cross_compiler(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64-linux-gnu-gcc",
        Arch::Arm64 => "aarch64-linux-gnu-gcc",
    }
}

/// The machine types that programs can be built for here; says why another one can't.
pub(crate) fn arches(profile: Profile) -> Vec<Arch> {
    let own = Arch::of_this_machine();
    let mut arches = Vec::new();
    for arch in [Arch::Amd64, Arch::Arm64] {
        if own == Some(arch) {
            arches.push(arch);
        } else if profile == Profile::Release {
            let (target, compiler) = (target(arch), cross_compiler(arch));
            if installed_targets().lines().any(|line| line.trim() == target) && has(compiler) {
                arches.push(arch);
            } else {
                let package = compiler.replace("-linux-gnu-gcc", "-linux-gnu").replace('_', "-");
                say(&format!(
                    "{}: left out; for it: rustup target add {target}; apt-get install gcc-{package} \
                     libc6-dev-{}-cross",
                    arch.name(),
                    arch.name()
                ));
            }
        }
    }
    arches
}

fn installed_targets() -> String {
    let output = Command::new("rustup").args(["target", "list", "--installed"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// Builds a package's program.
pub(crate) fn build(package: &str, profile: Profile, arch: Arch) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--locked", "--package", package]);
    match profile {
        Profile::Dev => {
            run(&mut command)?;
            Ok(target_dir().join("debug").join(package))
        }
        Profile::Release => {
            let target = target(arch);
            command.args(["--release", "--target", target]);
            let name = target.to_uppercase().replace('-', "_");
            // Of the C library, too: users and hosts are found by what is built into it.
            command.env(format!("CARGO_TARGET_{name}_RUSTFLAGS"), "-C target-feature=+crt-static");
            if Arch::of_this_machine() != Some(arch) {
                command.env(format!("CARGO_TARGET_{name}_LINKER"), cross_compiler(arch));
            }
            run(&mut command).with_context(|| format!("{package} for {}", arch.name()))?;
            Ok(target_dir().join(target).join("release").join(package))
        }
    }
}
