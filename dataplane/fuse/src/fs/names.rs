//! Users and groups: names in the namespace, numbers in the kernel.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// What a name without a number is shown as: `nobody`.
pub(crate) const NOBODY: u32 = 65_534;

/// A file of names and numbers, read again when it changes.
#[derive(Debug)]
struct Table {
    path: &'static str,
    read: Mutex<Read>,
}

#[derive(Debug, Default)]
struct Read {
    changed: Option<SystemTime>,
    numbers: HashMap<String, u32>,
    names: HashMap<u32, String>,
}

/// The users and groups of this machine, or of this container.
#[derive(Debug)]
pub(crate) struct Names {
    users: Table,
    groups: Table,
}

impl Default for Names {
    fn default() -> Self {
        let table = |path| Table { path, read: Mutex::default() };
        Names { users: table("/etc/passwd"), groups: table("/etc/group") }
    }
}

impl Table {
    fn with<T>(&self, look: impl FnOnce(&Read) -> T) -> T {
        let changed = Path::new(self.path).metadata().and_then(|facts| facts.modified()).ok();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.changed.is_none() || read.changed != changed {
            *read = parse(&std::fs::read_to_string(self.path).unwrap_or_default());
            read.changed = changed;
        }
        look(&read)
    }

    /// A name that is a number stands for it: that is how users without a name are kept.
    fn number(&self, name: &str) -> u32 {
        self.with(|read| read.numbers.get(name).copied())
            .or_else(|| name.parse().ok())
            .unwrap_or(NOBODY)
    }

    fn name(&self, number: u32) -> String {
        self.with(|read| read.names.get(&number).cloned()).unwrap_or_else(|| number.to_string())
    }
}

/// **Source**: passwd(5), group(5).
fn parse(text: &str) -> Read {
    let mut read = Read::default();
    for line in text.lines() {
        let mut words = line.split(':');
        let (Some(name), Some(number)) = (words.next(), words.nth(1)) else { continue };
        if let Ok(number) = number.parse() {
            read.numbers.entry(name.to_owned()).or_insert(number);
            read.names.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    read
}

impl Names {
    pub(crate) fn uid(&self, user: &str) -> u32 {
        self.users.number(user)
    }

    pub(crate) fn gid(&self, group: &str) -> u32 {
        self.groups.number(group)
    }

    pub(crate) fn user(&self, uid: u32) -> String {
        self.users.name(uid)
    }

    pub(crate) fn group(&self, gid: u32) -> String {
        self.groups.name(gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_with_a_name_counts_and_numbers_are_names_too() {
        let read = parse("root:x:0:0::/root:\nann:x:7:7\nann:x:8:8\nbad\nx:y:z\n");
        assert_eq!(read.numbers["ann"], 7);
        assert_eq!(read.names[&0], "root");
        let names = Names::default();
        assert_eq!(names.uid("root"), 0);
        assert_eq!(names.uid(&names.user(4_000_111)), 4_000_111);
        assert_eq!(names.gid("no such group"), NOBODY);
    }
}
