//! The Python package: builds its wheel and runs its tests.

use crate::run::{cargo, has, project, run, say, target_dir};
use alluxio_testservers::cache;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Oldest Python that the package runs on; `pyproject.toml` says the same.
const MINOR_MIN: u32 = 11;

/// Files in `dataplane/python/tests` that say what is in the environment.
const REQUIREMENTS: [&str; 3] = ["requirements.txt", "requirements-no-deps.txt", "small_torch.py"];

/// Builds the program for clusters, then as [`check`].
pub(crate) fn python(args: &[String]) -> Result<()> {
    run(cargo().args(["build", "--quiet", "-p", "alluxio"]))?;
    check(args)
}

/// Builds the wheel as it will be published, installs it, and runs pytest with the program that is built
/// already (for one package alone, cargo would build half of it anew); `args` go to pytest.
pub(crate) fn check(args: &[String]) -> Result<()> {
    let environment = install()?;
    let site = install_wheel(&environment)?;
    let mut pytest = Command::new(environment.join("bin/python"));
    pytest
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .args(args)
        .current_dir(package())
        .env("PYTHONPATH", &site)
        // What is compiled on the way stays out of the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ALLUXIO_BINARY", target_dir().join("debug/alluxio"));
    run(&mut pytest)
}

fn package() -> PathBuf {
    project().join("dataplane/python")
}

/// The environment with everything that the tests use; made when it is not there.
pub(crate) fn install() -> Result<PathBuf> {
    let (python, version) = interpreter()?;
    let tests = package().join("tests");
    let mut hasher = DefaultHasher::new();
    version.hash(&mut hasher);
    for name in REQUIREMENTS {
        fs::read(tests.join(name)).with_context(|| name.to_owned())?.hash(&mut hasher);
    }
    let root = cache::root().join("python-venv");
    let environment = root.join(format!("{:016x}", hasher.finish()));
    let mark = environment.join(".complete");
    if mark.exists() {
        return Ok(environment);
    }
    say(&format!("installing pandas, pyarrow, PyTorch into {} (once)", environment.display()));
    // One that is not complete, and those of other requirements: several gigabytes otherwise pile up.
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    fs::create_dir_all(&root)?;
    run(Command::new(python).args(["-m", "venv"]).arg(&environment)).context(
        "Python cannot make an environment; Debian has that in the package python3-venv",
    )?;
    let program = environment.join("bin/python");
    let pip = |options: &[&str], list: &str| {
        let mut pip = Command::new(&program);
        pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]);
        run(pip.args(options).arg("-r").arg(tests.join(list)))
    };
    pip(&[], REQUIREMENTS[0])?;
    pip(&["--no-deps"], REQUIREMENTS[1])?;
    run(Command::new(&program).arg(tests.join(REQUIREMENTS[2])))?;
    fs::write(mark, "")?;
    Ok(environment)
}

/// A Python that is new enough, and which one.
fn interpreter() -> Result<(String, String)> {
    for name in ["python3", "python3.14", "python3.13", "python3.12", "python3.11"] {
        if !has(name) {
            continue;
        }
        let output = Command::new(name).args(["-c", "import sys; print(sys.version)"]).output()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let minor =
            version.strip_prefix("3.").and_then(|rest| rest.split('.').next()?.parse().ok());
        if minor.is_some_and(|minor: u32| minor >= MINOR_MIN) {
            return Ok((name.to_owned(), version));
        }
    }
    bail!("Python 3.{MINOR_MIN} or later is missing; Debian: `apt-get install python3-venv`")
}

/// Builds the wheel and unpacks it beside what cargo builds: each clone of the project has its own, and the
/// environment is the same for all.
fn install_wheel(environment: &Path) -> Result<PathBuf> {
    let wheels = target_dir().join("wheels");
    let site = target_dir().join("python");
    for dir in [&wheels, &site] {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
    }
    let mut maturin = Command::new(environment.join("bin/maturin"));
    maturin
        .args(["build", "--quiet", "--profile", "dev", "--compatibility", "linux"])
        .args(["--auditwheel", "skip", "--out"])
        .arg(&wheels)
        .current_dir(package())
        .env("CARGO_TARGET_DIR", target_dir())
        // An environment of the user's that is active would be taken for the one to build for.
        .env_remove("VIRTUAL_ENV");
    run(&mut maturin)?;
    let mut found =
        fs::read_dir(&wheels)?.map(|item| Ok(item?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(found.len() == 1, "one wheel is expected in {}, not {found:?}", wheels.display());
    let wheel = found.remove(0);
    let name = wheel.display().to_string();
    ensure!(name.contains("-abi3-"), "{name} is not for all versions of Python");
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "--target",
    ]);
    run(pip.arg(&site).arg(&wheel))?;
    Ok(site)
}
