//! Where values come from.

use crate::machine::Machine;
use crate::spec::Roles;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Who set a value. Later variants win over earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The registry.
    Default,
    /// A line of a site file.
    Site {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// `-Dkey=value`.
    Argument,
    /// The program itself, such as `alluxio local start`.
    Runtime,
}

impl fmt::Display for Source {
    /// The name that `getConf --source` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("DEFAULT"),
            Source::Site { path, .. } => write!(f, "SITE_PROPERTY ({})", path.display()),
            Source::Environment { variable } => write!(f, "SYSTEM_PROPERTY ({variable})"),
            Source::Argument => f.write_str("SYSTEM_PROPERTY"),
            Source::Runtime => f.write_str("RUNTIME"),
        }
    }
}

impl Source {
    /// Where exactly, for messages: `conf/alluxio-site.properties:7`, `-D`.
    pub fn place(&self) -> String {
        match self {
            Source::Default => "default".to_owned(),
            Source::Site { path, line } => format!("{}:{line}", path.display()),
            Source::Environment { variable } => format!("environment variable {variable}"),
            Source::Argument => "-D".to_owned(),
            Source::Runtime => "set by the program".to_owned(),
        }
    }
}

/// Which site file is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SiteFile {
    /// None.
    #[default]
    None,
    /// The first `alluxio-site.properties` in `alluxio.site.conf.dir`.
    Search,
    /// This one; it must exist.
    At(PathBuf),
}

/// Everything that a configuration is made from.
#[derive(Clone)]
pub struct Sources {
    /// Environment variables; only those that start with `ALLUXIO_` count.
    pub environment: BTreeMap<String, String>,
    /// `-Dkey=value` in the order given; the last one wins.
    pub arguments: Vec<(String, String)>,
    /// Values set by the program; they win over everything.
    pub runtime: Vec<(String, String)>,
    /// Which file is read.
    pub site_file: SiteFile,
    /// Facts of the machine.
    pub machine: Machine,
    /// Whose `ALLUXIO_<ROLE>_JAVA_OPTS` are read for `-D` options.
    pub roles: Roles,
}

impl fmt::Debug for Sources {
    /// Names only: values may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &[(String, String)]| -> Vec<String> {
            pairs.iter().map(|(key, _)| key.clone()).collect()
        };
        f.debug_struct("Sources")
            .field("arguments", &names(&self.arguments))
            .field("runtime", &names(&self.runtime))
            .field("site_file", &self.site_file)
            .finish_non_exhaustive()
    }
}

impl Sources {
    /// Nothing at all: only defaults, on a machine that never was. For tests.
    pub fn none() -> Sources {
        Sources {
            environment: BTreeMap::new(),
            arguments: Vec::new(),
            runtime: Vec::new(),
            site_file: SiteFile::None,
            machine: Machine::fixed(),
            roles: Roles::NONE,
        }
    }

    /// What a process has: its environment (`main` passes it), the machine, and the site file that
    /// is found.
    pub fn process(environment: impl IntoIterator<Item = (String, String)>) -> Sources {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        Sources {
            machine: Machine::detect(&environment),
            environment,
            site_file: SiteFile::Search,
            ..Sources::none()
        }
    }

    /// With these `-Dkey=value`, after those that are there.
    pub fn with_arguments(mut self, pairs: impl IntoIterator<Item = (String, String)>) -> Sources {
        self.arguments.extend(pairs);
        self
    }

    /// With these values of the program, which win over everything.
    pub fn with_runtime<K: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Sources {
        self.runtime.extend(pairs.into_iter().map(|(k, v)| (k.into(), v.into())));
        self
    }

    /// With that site file.
    pub fn with_site_file(mut self, file: SiteFile) -> Sources {
        self.site_file = file;
        self
    }

    /// For a process of these roles: reads `ALLUXIO_MASTER_JAVA_OPTS` and the like.
    pub fn for_roles(mut self, roles: Roles) -> Sources {
        self.roles = roles;
        self
    }
}

/// Takes `-Dkey=value` out of a command line, wherever it stands, and drops what only a JVM
/// understands (`-X…`, `-agentlib…`). Nothing after `--` is touched. Returns the other arguments
/// and the pairs; `-Dkey` alone sets an empty value.
pub fn split_arguments(
    arguments: impl IntoIterator<Item = String>,
) -> (Vec<String>, Vec<(String, String)>) {
    let (mut rest, mut pairs) = (Vec::new(), Vec::new());
    let mut literal = false;
    for argument in arguments {
        literal |= argument == "--";
        if literal {
            rest.push(argument);
        } else if let Some(pair) = argument.strip_prefix("-D").filter(|pair| !pair.is_empty()) {
            pairs.push(split_pair(pair));
        } else if !is_jvm_option(&argument) {
            rest.push(argument);
        }
    }
    (rest, pairs)
}

fn is_jvm_option(argument: &str) -> bool {
    ["-Xm", "-Xs", "-XX:", "-Xlog", "-Xrun", "-Xdebug", "-agentlib", "-javaagent"]
        .iter()
        .any(|prefix| argument.starts_with(prefix))
}

/// `key=value`; without `=`, the value is empty.
pub(crate) fn split_pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_for_the_jvm_are_taken_out_wherever_they_stand() {
        let line = "fs -Dalluxio.master.hostname=h ls -Xmx4g / -Da=b=c -- -Dx=y";
        let (rest, pairs) = split_arguments(line.split(' ').map(str::to_owned));
        assert_eq!(rest, ["fs", "ls", "/", "--", "-Dx=y"]);
        assert_eq!(
            pairs,
            [
                ("alluxio.master.hostname".to_owned(), "h".to_owned()),
                ("a".to_owned(), "b=c".to_owned())
            ]
        );
    }
}
