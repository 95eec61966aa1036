//! The application of the tests: what it does in a pod is what users' programs do with a volume. It ends with 1 when
//! anything went wrong.

mod load;
mod store;

#[expect(clippy::print_stdout, reason = "what it prints is what the test reads")]
fn say(line: &str) {
    println!("{line}");
}

use alluxio_e2e_tests::pattern;
use anyhow::{Context, Result};
use clap::Parser;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
enum Work {
    /// Print the SHA-256 of files, as sha256sum does
    Sum {
        /// Files
        paths: Vec<PathBuf>,
    },
    /// Write files with known bytes
    Write {
        /// Into this folder, which must be there
        folder: PathBuf,
        /// So many
        #[arg(long, default_value_t = 1)]
        files: u64,
        /// Bytes of each
        #[arg(long, default_value_t = 1 << 20)]
        bytes: u64,
    },
    /// Read, write and list files of a folder, and compare all bytes; the last line is JSON
    Load(load::Load),
    /// Make a folder, with those above it
    MakeFolder {
        /// Which
        path: PathBuf,
        /// Its mode, in octal digits
        #[arg(long)]
        mode: Option<String>,
    },
    /// Put files with known bytes into a folder of the store of S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY
    Fill {
        /// The folder
        folder: String,
        /// So many
        #[arg(long)]
        files: u64,
        /// Bytes of each
        #[arg(long)]
        bytes: u64,
    },
    /// Print the SHA-256 of objects of the same store
    SumObjects {
        /// Keys
        keys: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Work::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(work: Work) -> Result<bool> {
    match work {
        Work::Sum { paths } => {
            for path in paths {
                let bytes = std::fs::read(&path);
                let bytes = bytes.with_context(|| path.display().to_string())?;
                say(&format!("{}  {}", pattern::sha256(&bytes), path.display()));
            }
        }
        Work::Write { folder, files, bytes } => {
            for number in 0..files {
                let path = folder.join(pattern::name(number));
                let content = pattern::content(number, 0, usize::try_from(bytes)?);
                let sum = pattern::sha256(&content);
                std::fs::write(&path, content).with_context(|| path.display().to_string())?;
                say(&format!("{sum}  {}", path.display()));
            }
        }
        Work::Load(load) => return load.run(),
        Work::MakeFolder { path, mode } => {
            let place = || path.display().to_string();
            std::fs::create_dir_all(&path).with_context(place)?;
            if let Some(mode) = mode {
                let mode = Permissions::from_mode(u32::from_str_radix(&mode, 8)?);
                std::fs::set_permissions(&path, mode).with_context(place)?;
            }
        }
        Work::Fill { folder, files, bytes } => store::fill(&folder, files, bytes)?,
        Work::SumObjects { keys } => store::sums(&keys)?,
    }
    Ok(true)
}
