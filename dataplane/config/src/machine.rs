//! Facts of the machine and the process that defaults depend on.

use std::collections::BTreeMap;
use std::fs;

/// What defaults are made of. Injected, so that tests do not depend on the machine they run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Host name.
    pub hostname: String,
    /// Name of the operating system's user.
    pub user: String,
    /// Home folder of that user.
    pub home: String,
    /// Working directory.
    pub directory: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

impl Machine {
    /// This machine. What cannot be found out gets a harmless value (`localhost`, `uid-N`, 1 GB).
    ///
    /// **Source**: `/proc/sys/kernel/hostname`, `/proc/self/status`, `/etc/passwd`,
    /// `/proc/meminfo`; `HOME` from `env`.
    pub fn detect(env: &BTreeMap<String, String>) -> Machine {
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let (user, passwd_home) = user_and_home();
        let home = env.get("HOME").filter(|home| !home.is_empty()).cloned().or(passwd_home);
        let directory = std::env::current_dir().unwrap_or_else(|_| "/".into());
        Machine {
            hostname: match hostname.trim() {
                "" => "localhost".to_owned(),
                name => name.to_owned(),
            },
            user,
            home: home.unwrap_or_else(|| "/".to_owned()),
            directory: directory.to_string_lossy().into_owned(),
            memory_bytes: memory_bytes().unwrap_or(1 << 30),
        }
    }

    /// A machine that never was, for tests.
    pub fn fixed() -> Machine {
        Machine {
            hostname: "localhost".to_owned(),
            user: "tester".to_owned(),
            home: "/home/tester".to_owned(),
            directory: "/".to_owned(),
            memory_bytes: 3 << 30,
        }
    }
}

fn user_and_home() -> (String, Option<String>) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // The line is `Uid: real effective saved filesystem`.
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .unwrap_or("0");
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() > 5 && fields[2] == uid)
        .map(|fields| (fields[0].to_owned(), Some(fields[5].to_owned())))
        .unwrap_or_else(|| (format!("uid-{uid}"), None))
}

/// The machine's memory, or the limit of this process's control group where that is less.
fn memory_bytes() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10;
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
    Some(limit.map_or(total, |limit| limit.min(total)))
}
