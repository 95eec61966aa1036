//! The binary `alluxio`: roles and whole local clusters go to `node`, benchmarks to `bench`, mounts to `fuse`,
//! everything else to `cli`.

use alluxio_node::command::{self, Command};
use alluxio_node::process;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    if let Some(("bench", rest)) = arguments.split_first().map(|(name, rest)| (name.as_str(), rest))
    {
        return alluxio_bench::run(rest, environment);
    }
    if let Some(("fuse", rest)) = arguments.split_first().map(|(name, rest)| (name.as_str(), rest))
    {
        return alluxio_fuse::command::run(rest, environment);
    }
    if let Some(("fuse-keeper", rest)) =
        arguments.split_first().map(|(name, rest)| (name.as_str(), rest))
    {
        return alluxio_fuse::keeper::command::run(rest);
    }
    match command::parse(&arguments, environment.clone()) {
        Ok(Some((command, invocation))) => ended(run(command, &invocation)),
        Ok(None) => command_line(arguments, environment),
        Err(error) => ended(Err(error.into())),
    }
}

fn run(command: Command, invocation: &process::Invocation) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let say = |text: &str| {
        let mut out = std::io::stdout().lock();
        // Nobody reads it any more: no reason to end a cluster.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    };
    let outcome = runtime.block_on(command.run(invocation, say));
    // Blocking work that is still under way must not keep a stopped process alive.
    runtime.shutdown_background();
    Ok(outcome?)
}

fn command_line(arguments: Vec<String>, environment: BTreeMap<String, String>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(error.into())),
    };
    let bench = ("bench", "Measure this build beside the limits of this machine");
    let fuse =
        ("fuse", "Mount the namespace as a file system: alluxio fuse mount|unmount|stat|agent");
    let keeper = ("fuse-keeper", "Hold mounts while the process that serves them is restarted");
    let others = command::SUMMARIES.iter().chain([&bench, &fuse, &keeper]);
    let others = others.map(|(name, about)| clap::Command::new(*name).about(*about)).collect();
    let code = runtime.block_on(alluxio_cli::run(alluxio_cli::Invocation {
        arguments,
        environment: environment.into_iter().collect(),
        screen: alluxio_cli::Screen::process(),
        version: alluxio_node::VERSION.to_owned(),
        revision: option_env!("ALLUXIO_REVISION").unwrap_or_default().to_owned(),
        others,
    }));
    runtime.shutdown_background();
    ExitCode::from(code)
}

#[expect(clippy::print_stderr, reason = "the last word of a process that failed")]
fn ended(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("alluxio: {error}");
            ExitCode::FAILURE
        }
    }
}
