//! A Kubernetes of this machine, for tests and for trying things out.

use crate::run::{option, say};
use crate::servers;
use alluxio_e2e_kube::components::Wishes;
use alluxio_e2e_kube::{Cluster, Options, programs};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask kube COMMAND

  build                 build etcd, Kubernetes, CoreDNS and helm into the cache, once (about 7 minutes)
  up [--nodes N]        start a cluster of N nodes (1), as root; it stays until `down`
  down                  end it, and remove all it made
  status                what runs, and where
  config                the path of its kubeconfig: `export KUBECONFIG=$(cargo xtask kube config)`
  import ARCHIVE...     give images (OCI archives) to every node
  node N COMMAND...     run a command on a node
  kubectl ARGS...       kubectl, as the cluster's admin
  helm ARGS...          helm, the same
  net COMMAND...        run a command in the network of the control plane, which reaches pods and Services
";

/// Where the one cluster of this command lives. Tests have others.
fn state() -> PathBuf {
    std::env::temp_dir().join("alluxio-kube")
}

/// `cargo xtask kube`. Gives the exit code of what it ran.
pub(crate) fn kube(args: &[String]) -> Result<ExitCode> {
    let Some((command, rest)) = args.split_first() else {
        say(USAGE);
        return Ok(ExitCode::from(2));
    };
    match command.as_str() {
        "build" => servers::install_kube()?,
        "up" => up(rest)?,
        "down" => down()?,
        "status" => status()?,
        "config" => print(&running()?.kubeconfig().display().to_string()),
        "import" => {
            let cluster = running()?;
            for archive in rest {
                cluster.import(Path::new(archive))?;
            }
        }
        "node" => return on_node(rest),
        "kubectl" => return client(&programs::component("kubectl"), rest),
        "helm" => return client(&programs::helm(), rest),
        "net" => {
            let (program, arguments) = rest.split_first().context("which command?")?;
            return finish(running()?.command(Path::new(program)).args(arguments));
        }
        unknown => {
            say(&format!("xtask kube: there is no command {unknown:?}\n\n{USAGE}"));
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn up(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let nodes = option(&mut args, "--nodes")?.unwrap_or_else(|| "1".to_owned());
    let nodes = nodes.parse().with_context(|| format!("--nodes {nodes}: not a number"))?;
    if let Some(unknown) = args.first() {
        bail!("{unknown}: only --nodes N is known");
    }
    if let Some(cluster) = Cluster::find(&state()) {
        bail!(
            "a cluster of {} nodes runs already: use it, or end it with `cargo xtask kube down`",
            cluster.nodes()
        );
    }
    servers::install_kube()?;
    let options = Options {
        name: "manual".to_owned(),
        state: state(),
        nodes,
        watched: false,
        wishes: Wishes::default(),
    };
    let cluster = Cluster::start(&options, &say)?;
    say(&format!(
        "export KUBECONFIG={}\nkubectl: `cargo xtask kube kubectl`; the end: `cargo xtask kube down`",
        cluster.kubeconfig().display()
    ));
    Ok(())
}

fn down() -> Result<()> {
    match Cluster::find(&state()) {
        Some(cluster) => cluster.stop(),
        None => {
            say("no cluster runs");
            Ok(())
        }
    }
}

fn status() -> Result<()> {
    let built = if programs::are_built() { "built" } else { "not built: `cargo xtask kube build`" };
    say(&format!("programs: {built}, in {}", programs::home().display()));
    match programs::missing_packages()[..] {
        [] => say("packages: there"),
        ref missing => say(&format!("packages: missing {}", missing.join(", "))),
    }
    let Some(cluster) = Cluster::find(&state()) else {
        say("cluster: none");
        return Ok(());
    };
    say(&format!("cluster: {} nodes, in {}", cluster.nodes(), cluster.state().display()));
    say(&format!("kubeconfig: {}", cluster.kubeconfig().display()));
    print(cluster.kubectl(&["get", "nodes", "-o", "wide"])?.trim_end());
    print(cluster.kubectl(&["get", "pods", "-A", "-o", "wide"])?.trim_end());
    Ok(())
}

fn on_node(args: &[String]) -> Result<ExitCode> {
    let [number, program, arguments @ ..] = args else { bail!("which node, which command?") };
    let number = number.trim_start_matches("node");
    let number: usize = number.parse().with_context(|| format!("{number}: not a node's number"))?;
    let command = running()?.node_command(number, program);
    finish(command.with_context(|| format!("node {number} is not up"))?.args(arguments))
}

fn client(program: &Path, args: &[String]) -> Result<ExitCode> {
    let program = programs::require(program.to_owned())?;
    finish(Command::new(program).env("KUBECONFIG", running()?.kubeconfig()).args(args))
}

fn running() -> Result<Cluster> {
    Cluster::find(&state()).context("no cluster runs: `cargo xtask kube up`")
}

/// Runs it to its end and passes its exit code on.
fn finish(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

#[expect(clippy::print_stdout, reason = "what was asked for, so that shells can take it")]
fn print(text: &str) {
    println!("{text}");
}
