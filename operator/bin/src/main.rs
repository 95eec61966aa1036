//! `alluxio-operator`: the program that the operator's image runs. Here is only what its arguments mean.

mod run;

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Operator of Alluxio on Kubernetes
#[derive(Debug, Parser)]
#[command(name = "alluxio-operator", version)]
struct Operator {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the definitions of the kinds, as YAML for `kubectl apply -f -`
    Crd {
        /// Write one file for each kind into this directory instead
        #[arg(long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Write Grafana's dashboards, and Prometheus' rules for the operator and the CSI driver, as files
    Monitoring {
        /// Into this directory
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
        /// Namespace of the operator and the CSI driver
        #[arg(long, default_value = "alluxio-system", value_name = "NAME")]
        namespace: String,
    },
    /// Look after clusters and their datasets, until SIGTERM or SIGINT
    Run(run::RunArguments),
}

fn main() -> anyhow::Result<()> {
    match Operator::parse().command {
        Command::Crd { output } => crd(output),
        Command::Monitoring { output, namespace } => {
            write_all(&output, alluxio_operator_controller::monitoring::files(&namespace))
        }
        Command::Run(arguments) => run::run(arguments),
    }
}

fn crd(output: Option<PathBuf>) -> anyhow::Result<()> {
    let definitions = alluxio_operator_api::definitions()?;
    let Some(dir) = output else {
        let texts: Vec<String> = definitions.into_iter().map(|d| d.yaml).collect();
        let written = std::io::stdout().write_all(texts.join("---\n").as_bytes());
        return written.context("cannot write to standard output");
    };
    let files = definitions.into_iter().map(|d| (format!("{}.yaml", d.name), d.yaml));
    write_all(&dir, files)
}

/// Writes files by name.
fn write_all(dir: &Path, files: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
