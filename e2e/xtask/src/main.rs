//! The project's own commands: `cargo xtask COMMAND`.
//!
//! It runs other programs and compares texts; it links no server, so that it builds in seconds.

mod crds;
mod demo;
mod fuzz;
mod images;
mod kube;
mod lint;
mod manifests;
mod python;
mod run;
mod servers;
mod sim;
mod soak;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--install-only] [ARGS]  install what the tests need, then run all of them
                                (ARGS go to `cargo test`: `-p alluxio-ufs`, a test's name, …);
                                PROPTEST_RNG_SEED=N repeats the property tests of another run
  python [ARGS]                 build the wheel of the Python package and run its tests
                                (ARGS go to pytest: `-k fork`, …)
  kube COMMAND                  a real Kubernetes of one to nine nodes on this machine, as root: `kube up`,
                                `kube down`, `kube kubectl`, …; `kube` alone lists them
  images [OPTIONS] [IMAGE...]   the images alluxio and alluxio-operator as OCI archives (--help)
  manifests [--check]           what is made of the Helm chart: its README, its kinds, manifests/
  demo [--exit]                 build everything and show it: a cluster on this machine, read cold and
                                warm beside the machine's limits, killed and restarted
  lint                          formatting, clippy with -D warnings
  tidy                          house rules that no compiler checks
  crds [--check]                write crds/*.yaml from the operator's types, and the chart's rules and
                                dashboards; --check only compares
  deny                          licences, sources and bans of dependencies
  fuzz [--seconds N] [TARGET]   build the fuzz targets and run each for some seconds
  soak [--minutes N] [--seed N] tests that find more the longer they run, with ever new seeds, kills of
                                the master by hundreds, a file of 2 GiB read while workers are killed
  sim [--seeds N] [--seed N] [--trace]
                                whole clusters on simulated machines: from N seeds, or one seed again
  ci                            tidy, crds, lint, deny, fuzz and test, as continuous integration runs them
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &args[..]),
    };
    let done = match command {
        "test" => test::test(rest),
        "python" => python::python(rest),
        "demo" => demo::demo(rest),
        "images" => images::images(rest),
        "manifests" => manifests::manifests(rest),
        "kube" => match kube::kube(rest) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        "lint" => lint::lint(),
        "tidy" => tidy::tidy(),
        "crds" => crds::crds(rest),
        "deny" => lint::deny(),
        "fuzz" => fuzz::fuzz(rest),
        "soak" => soak::soak(rest),
        "sim" => sim::sim(rest),
        "ci" => ci(),
        "help" | "--help" | "-h" => {
            run::say(USAGE);
            return ExitCode::SUCCESS;
        }
        unknown => {
            run::say(&format!("xtask: there is no command {unknown:?}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("xtask {command}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn ci() -> anyhow::Result<()> {
    tidy::tidy()?;
    crds::crds(&["--check".to_owned()])?;
    lint::lint()?;
    lint::deny()?;
    fuzz::fuzz(&[])?;
    test::test(&[])
}
