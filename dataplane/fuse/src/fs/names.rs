//! Users and groups: names in the namespace, numbers in the kernel.

use super::Caller;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What a name without a number is shown as: `nobody`.
pub(crate) const NOBODY: u32 = 65_534;

/// How long what a table says is believed: a listing asks twice for each name, and looks at the files took 24 ms
/// of the 110 that 10,000 names take.
const TABLE_VALID: Duration = Duration::from_secs(1);

/// A file of names and numbers, read again when it changes.
#[derive(Debug)]
struct Table {
    path: &'static str,
    read: Mutex<Read>,
}

#[derive(Debug, Default)]
struct Read {
    changed: Option<SystemTime>,
    /// When the file was last looked at.
    looked_at: Option<Instant>,
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
    /// What `look` finds. Who is not found may just have been made.
    fn find<T>(&self, look: impl Fn(&Read) -> Option<T>) -> Option<T> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if read.looked_at.is_some_and(|at| now.saturating_duration_since(at) < TABLE_VALID)
            && let Some(found) = look(&read)
        {
            return Some(found);
        }
        let changed = Path::new(self.path).metadata().and_then(|facts| facts.modified()).ok();
        if read.changed.is_none() || read.changed != changed {
            *read = parse(&std::fs::read_to_string(self.path).unwrap_or_default());
            read.changed = changed;
        }
        read.looked_at = Some(now);
        look(&read)
    }

    /// A name that is a number stands for it: that is how users without a name are kept.
    fn number(&self, name: &str) -> u32 {
        let found = self.find(|read| read.numbers.get(name).copied());
        found.or_else(|| name.parse().ok()).unwrap_or(NOBODY)
    }

    fn name(&self, number: u32) -> String {
        self.find(|read| read.names.get(&number).cloned()).unwrap_or_else(|| number.to_string())
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

/// A user as the kernel sees a process: all that rights depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct User {
    pub(crate) uid: u32,
    /// The one that new files get first, then those that the process is in besides. Empty when they are not
    /// known: then the master looks them up.
    pub(crate) groups: Vec<u32>,
}

/// How long the groups of a process are believed: it seldom changes them, and a number is not given to another
/// process so soon.
const GROUPS_VALID: Duration = Duration::from_secs(1);
/// Processes that are remembered; more than that, and all are forgotten once.
const PROCESSES_MAX: usize = 1024;

/// The processes that ask. A request names one group only, so the others are read from `/proc`; those of a
/// process that cannot be seen from here are not known.
#[derive(Debug, Default)]
pub(crate) struct People {
    known: Mutex<HashMap<Process, (Duration, Arc<User>)>>,
}

/// Number, user and group: another user under the same number is looked at anew.
type Process = (u32, u32, Option<u32>);

impl People {
    pub(crate) fn of(&self, caller: Caller, now: Duration) -> Arc<User> {
        let Caller { uid, gid, pid, .. } = caller;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, user)) = known.get(&(pid, uid, gid))
            && now.saturating_sub(*at) < GROUPS_VALID
        {
            return user.clone();
        }
        let status = match pid {
            0 => String::new(),
            pid => std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(),
        };
        let mut groups: Vec<u32> = gid.into_iter().collect();
        groups.extend(supplementary(&status).filter(|other| Some(*other) != gid));
        let user = Arc::new(User { uid, groups });
        if known.len() >= PROCESSES_MAX {
            known.clear();
        }
        known.insert((pid, uid, gid), (now, user.clone()));
        user
    }
}

/// **Source**: proc_pid_status(5).
fn supplementary(status: &str) -> impl Iterator<Item = u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Groups:"));
    line.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_process_are_those_of_the_kernel() {
        let text = "Name:\tx\nGid:\t5\t5\t5\t5\nGroups:\t7 5 9 \nNStgid:\t1\n";
        assert_eq!(supplementary(text).collect::<Vec<_>>(), [7, 5, 9]);
        assert_eq!(supplementary("").count(), 0);
        let people = People::default();
        let nobody = Caller { gid: Some(2), ..Caller::of(1, 1) };
        let user = people.of(nobody, Duration::ZERO);
        assert_eq!(*user, User { uid: 1, groups: vec![2] });
        assert_eq!(people.of(Caller::of(1, 1), Duration::ZERO).groups, Vec::<u32>::new());
    }

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
