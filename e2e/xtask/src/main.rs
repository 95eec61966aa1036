//! The project's own commands: `cargo xtask COMMAND`.
//!
//! It runs other programs and compares texts; it links no server, so that it builds in seconds.

mod demo;
mod lint;
mod run;
mod servers;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--install-only] [ARGS]  install what the tests need, then run all of them
                                (ARGS go to `cargo test`: `-p alluxio-ufs`, a test's name, …)
  demo [--exit]                 build everything and show it: a cluster on this machine, read cold and
                                warm beside the machine's limits, killed and restarted
  lint                          formatting, clippy with -D warnings
  tidy                          house rules that no compiler checks
  deny                          licences, sources and bans of dependencies
  fuzz                          build the fuzz targets
  ci                            tidy, lint and test, as continuous integration runs them
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &args[..]),
    };
    let done = match command {
        "test" => test::test(rest),
        "demo" => demo::demo(rest),
        "lint" => lint::lint(),
        "tidy" => tidy::tidy(),
        "deny" => lint::deny(),
        "fuzz" => lint::fuzz(),
        "ci" => tidy::tidy().and_then(|()| lint::lint()).and_then(|()| test::test(&[])),
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
