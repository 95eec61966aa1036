//! The same operations on the mount and on a local file system, by several users: outcomes, error numbers and
//! what is there afterwards must be the same. `FUSE_POSIX_SHARE` is the share of all combinations that are
//! tried, one of so many (1 for all).

use crate::cluster::{Wanted, start};
use crate::guard::bounded_for;
use crate::posix_operations::OPERATIONS;
use rustix::fs::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::time::Duration;

/// One of so many combinations when nobody asks for more: several hundred.
const SHARE: u64 = 96;

/// A caller.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
    groups: &'static [u32],
}

const ROOT: User = User { uid: 0, gid: 0, groups: &[0] };
const OWNER: User = User { uid: 71_001, gid: 72_001, groups: &[] };
/// In the owner's group besides its own.
const MEMBER: User = User { uid: 71_002, gid: 72_002, groups: &[72_001] };
const OTHER: User = User { uid: 71_003, gid: 72_003, groups: &[] };
const USERS: [User; 4] = [ROOT, OWNER, MEMBER, OTHER];

/// What is at `x`.
#[derive(Debug, Clone, Copy)]
enum Object {
    Nothing,
    File(u32),
    Empty(u32),
    Full(u32),
    Link(&'static str),
}

const OBJECTS: &[Object] = &[
    Object::Nothing,
    Object::File(0o644),
    Object::File(0o664),
    Object::File(0o600),
    Object::File(0o444),
    Object::File(0o070),
    Object::File(0o6755),
    Object::File(0o2765),
    Object::Empty(0o755),
    Object::Empty(0o2775),
    Object::Empty(0o000),
    Object::Full(0o755),
    Object::Full(0o1777),
    Object::Full(0o750),
    Object::Link("y"),
    Object::Link("full"),
    Object::Link("nowhere"),
    Object::Link("x"),
];

/// Modes of the directory that all is in.
const PARENTS: &[u32] = &[0o755, 0o775, 0o777, 0o700, 0o070, 0o1777, 0o2775, 0o555];

/// Does something as a user, on a thread that is that user.
fn by<T: Send>(user: User, work: impl FnOnce() -> T + Send) -> T {
    let thread = move || {
        let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
        set_thread_groups(&groups).unwrap();
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(thread).join().unwrap())
}

fn give(path: &Path, user: User, mode: u32) {
    chown(path, Some(user.uid), Some(user.gid)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn directory(path: &Path, user: User, mode: u32) {
    fs::create_dir(path).unwrap();
    give(path, user, mode);
}

fn file(path: &Path, user: User, mode: u32, bytes: &str) {
    fs::write(path, bytes).unwrap();
    give(path, user, mode);
}

/// `p` with the object `x` in it, beside files and directories that have to do with it.
fn build(root: &Path, parent: u32, object: Object) {
    fs::create_dir(root).unwrap();
    let p = root.join("p");
    directory(&p, OWNER, 0o700);
    directory(&root.join("q"), OTHER, 0o777);
    file(&p.join("y"), OTHER, 0o666, "of another");
    directory(&p.join("empty"), OWNER, 0o755);
    directory(&p.join("full"), OWNER, 0o755);
    file(&p.join("full/below"), OWNER, 0o644, "below");
    let x = p.join("x");
    match object {
        Object::Nothing => {}
        Object::File(mode) => file(&x, OWNER, mode, "bytes"),
        Object::Empty(mode) => directory(&x, OWNER, mode),
        Object::Full(mode) => {
            directory(&x, OWNER, 0o700);
            file(&x.join("below"), MEMBER, 0o640, "inside");
            give(&x, OWNER, mode);
        }
        Object::Link(target) => {
            symlink(target, &x).unwrap();
            lchown(&x, Some(OWNER.uid), Some(OWNER.gid)).unwrap();
        }
    }
    give(&p, OWNER, parent);
}

/// All that is there, a line each.
fn picture(root: &Path) -> Vec<String> {
    let (mut lines, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let facts = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let (mode, uid, gid) = (facts.mode(), facts.uid(), facts.gid());
            let kind = facts.file_type();
            let rest = if kind.is_dir() {
                open.push(path);
                String::new()
            } else if kind.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else {
                let bytes = fs::read(&path).unwrap();
                format!("{} names, {} bytes: {bytes:?}", facts.nlink(), facts.len())
            };
            lines.push(format!("{name} {mode:o} {uid}:{gid} {rest}"));
        }
    }
    lines.sort();
    lines
}

/// The number of an error tells more than its kind.
fn outcome(result: io::Result<String>) -> String {
    match result {
        Ok(text) => format!("fine {text}"),
        Err(error) => error.to_string(),
    }
}

/// Lines that are in one picture only.
fn beside(one: &[String], other: &[String]) -> Vec<String> {
    one.iter().filter(|line| !other.contains(line)).cloned().collect()
}

struct Case<'a> {
    parent: u32,
    object: Object,
    user: User,
    name: &'a str,
    run: fn(&Path) -> io::Result<String>,
}

/// Two folders that must stay alike.
struct Pair<'a> {
    ours: &'a Path,
    oracle: &'a Path,
    /// What there is while nobody has changed it since it was built.
    built: Option<Vec<String>>,
    tried: u32,
    differences: Vec<String>,
}

impl Pair<'_> {
    fn build(&mut self, parent: u32, object: Object) {
        self.clear();
        build(self.ours, parent, object);
        build(self.oracle, parent, object);
        self.built = Some(picture(self.oracle));
    }

    fn clear(&mut self) {
        if self.built.take().is_some() || self.ours.exists() {
            fs::remove_dir_all(self.ours).unwrap();
            fs::remove_dir_all(self.oracle).unwrap();
        }
    }

    fn compare(&mut self, case: &Case<'_>) {
        if self.built.is_none() {
            self.build(case.parent, case.object);
        }
        self.tried += 1;
        let [ours, oracle] = [self.ours, self.oracle].map(|root| {
            let p = root.join("p");
            let result = by(case.user, || (case.run)(&p));
            (outcome(result), picture(root))
        });
        if ours != oracle {
            let Case { parent, object, user, name, .. } = case;
            self.differences.push(format!(
                "{name}: {object:?} in {parent:o} by {}\n  ours   {} {:?}\n  oracle {} {:?}",
                user.uid,
                ours.0,
                beside(&ours.1, &oracle.1),
                oracle.0,
                beside(&oracle.1, &ours.1)
            ));
        }
        if self.built.as_ref() != Some(&oracle.1) || ours.1 != oracle.1 {
            self.clear();
        }
    }
}

/// Every `share`th combination, beginning with the `first`, spread evenly.
fn compare_share(first: u64, share: u64) {
    let Some(cluster) = start(Wanted::default()) else { return };
    let local = tempfile::tempdir().unwrap();
    // Whoever may pass through the folders above may be anybody.
    for path in [cluster.root().parent().unwrap(), local.path(), cluster.root()] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let (ours, oracle) = (cluster.at("t"), local.path().join("t"));
    let mut pair =
        Pair { ours: &ours, oracle: &oracle, built: None, tried: 0, differences: Vec::new() };
    let mut number = 0u64;
    for &parent in PARENTS {
        for &object in OBJECTS {
            pair.clear();
            for &user in &USERS {
                for &(name, run) in OPERATIONS {
                    number += 1;
                    // A multiplicative hash: neighbours differ in all that they are made of.
                    let turn = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                    if turn % share == first % share {
                        pair.compare(&Case { parent, object, user, name, run });
                    }
                }
            }
        }
    }
    let differences = &pair.differences;
    let text = differences.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} of {} differ\n{text}", differences.len(), pair.tried);
    assert!(u64::from(pair.tried) >= number / share / 2, "{} of {number}", pair.tried);
    let _ = File::open(cluster.root()).unwrap();
}

fn share() -> u64 {
    std::env::var("FUSE_POSIX_SHARE").ok().and_then(|text| text.parse().ok()).unwrap_or(SHARE)
}

/// The more are tried, the longer it may take.
fn limit() -> Duration {
    Duration::from_secs(100 + 10_000 / share().max(1))
}

#[test]
fn operations_end_as_on_a_local_file_system() {
    bounded_for(limit(), || compare_share(0, share()));
}

#[test]
fn other_operations_end_as_on_a_local_file_system_too() {
    bounded_for(limit(), || compare_share(1, share().max(2)));
}
