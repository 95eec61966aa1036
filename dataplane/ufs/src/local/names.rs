//! User and group names of this machine.
//!
//! Read from `/etc/passwd` and `/etc/group`. Users that only a directory service knows show as
//! numbers, and numbers are accepted wherever a name is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long what was read is believed; Alluxio's group cache has the same default.
const BELIEVED: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Names {
    cached: Mutex<Option<(Instant, Arc<Tables>)>>,
}

#[derive(Default)]
struct Tables {
    users: Table,
    groups: Table,
}

#[derive(Default)]
struct Table {
    by_id: BTreeMap<u32, String>,
    by_name: BTreeMap<String, u32>,
}

impl Names {
    pub(super) fn user(&self, id: u32) -> String {
        self.tables().users.name(id)
    }

    pub(super) fn group(&self, id: u32) -> String {
        self.tables().groups.name(id)
    }

    /// The id of a user's name, or of a number as text.
    pub(super) fn user_id(&self, name: &str) -> Option<u32> {
        self.tables().users.id(name)
    }

    /// The id of a group's name, or of a number as text.
    pub(super) fn group_id(&self, name: &str) -> Option<u32> {
        self.tables().groups.id(name)
    }

    fn tables(&self) -> Arc<Tables> {
        let mut cached = self.cached.lock().expect("no panic happens under this lock");
        if let Some((read, tables)) = &*cached
            && read.elapsed() < BELIEVED
        {
            return Arc::clone(tables);
        }
        // Two files of a few kilobytes: reading them under the lock keeps others from doing the
        // same at the same time.
        let tables = Arc::new(Tables {
            users: Table::parse(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()),
            groups: Table::parse(&std::fs::read_to_string("/etc/group").unwrap_or_default()),
        });
        *cached = Some((Instant::now(), Arc::clone(&tables)));
        tables
    }
}

impl Table {
    /// Lines `name:password:id:…`; the first line for a name or an id wins.
    fn parse(text: &str) -> Self {
        let mut table = Table::default();
        for line in text.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(_), Some(id)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let Ok(id) = id.parse::<u32>() else { continue };
            table.by_id.entry(id).or_insert_with(|| name.to_owned());
            table.by_name.entry(name.to_owned()).or_insert(id);
        }
        table
    }

    fn name(&self, id: u32) -> String {
        self.by_id.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn id(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied().or_else(|| name.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_to_each_other() {
        let table = Table::parse("root:x:0:0:root:/root:/bin/sh\n#odd\nann:x:7:7::/:\nroot2:x:0:");
        assert_eq!(table.name(0), "root");
        assert_eq!(table.name(42), "42");
        assert_eq!(table.id("ann"), Some(7));
        assert_eq!(table.id("99"), Some(99));
        assert_eq!(table.id("nobody-here"), None);
    }
}
