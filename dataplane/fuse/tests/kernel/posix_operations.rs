//! What is tried in the directory `p`, where `x` is what the test is about.

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid,
    XattrFlags, chownat, open, renameat_with, utimensat,
};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

type Run = fn(&Path) -> io::Result<String>;

fn done<T>(result: io::Result<T>) -> io::Result<String> {
    result.map(|_| String::new())
}

fn call<T>(result: rustix::io::Result<T>) -> io::Result<String> {
    done(result.map_err(Into::into))
}

fn open_as(path: &Path, flags: OFlags) -> io::Result<File> {
    Ok(open(path, flags | OFlags::CLOEXEC, Mode::from_bits_retain(0o644))?.into())
}

/// Opens, writes and closes; an error of any of them.
fn write_to(path: &Path, flags: OFlags) -> io::Result<String> {
    let mut file = open_as(path, flags)?;
    file.write_all(b"w")?;
    done(file.sync_all())
}

fn read_from(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Kind, bits and owner, and the length of what is no directory.
fn facts(path: &Path) -> io::Result<String> {
    let facts = fs::metadata(path)?;
    let length = if facts.is_dir() { 0 } else { facts.len() };
    Ok(format!("{:o} {}:{} {length}", facts.mode(), facts.uid(), facts.gid()))
}

fn chmod(path: &Path, mode: u32) -> io::Result<String> {
    done(fs::set_permissions(path, Permissions::from_mode(mode)))
}

fn own(path: &Path, uid: Option<u32>, gid: Option<u32>, flags: AtFlags) -> io::Result<String> {
    call(chownat(CWD, path, uid.map(Uid::from_raw), gid.map(Gid::from_raw), flags))
}

fn rename(p: &Path, from: &str, to: &str, flags: RenameFlags) -> io::Result<String> {
    call(renameat_with(CWD, p.join(from), CWD, p.join(to), flags))
}

fn names(path: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join(" "))
}

fn touch(path: &Path, seconds: i64, nanos: i64) -> io::Result<String> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos as _ };
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
    let times = Timestamps { last_access: omit, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::empty())?;
    let set = i64::from(fs::metadata(path).is_ok_and(|facts| facts.mtime() == seconds));
    Ok(if nanos == UTIME_NOW { String::new() } else { set.to_string() })
}

fn long(length: usize) -> String {
    "n".repeat(length)
}

const NO_FLAGS: RenameFlags = RenameFlags::empty();
const NO_REPLACE: RenameFlags = RenameFlags::NOREPLACE;
const EXCHANGE: RenameFlags = RenameFlags::EXCHANGE;

/// All of them, with names for who reads what failed.
pub(crate) const OPERATIONS: &[(&str, Run)] = &[
    ("stat x", |p| facts(&p.join("x"))),
    ("stat x/.", |p| facts(&p.join("x/."))),
    ("stat x/below", |p| facts(&p.join("x/below"))),
    ("stat x/../y", |p| facts(&p.join("x/../y"))),
    ("stat a long name", |p| facts(&p.join(long(256)))),
    ("read x", |p| read_from(&p.join("x"))),
    ("read x/below", |p| read_from(&p.join("x/below"))),
    ("write x", |p| write_to(&p.join("x"), OFlags::WRONLY)),
    ("append to x", |p| write_to(&p.join("x"), OFlags::WRONLY | OFlags::APPEND)),
    ("write x, made if need be", |p| write_to(&p.join("x"), OFlags::RDWR | OFlags::CREATE)),
    ("write x anew", |p| write_to(&p.join("x"), OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)),
    ("make x", |p| write_to(&p.join("x"), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)),
    ("make a file", |p| write_to(&p.join("new"), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)),
    ("make a file in x", |p| write_to(&p.join("x/new"), OFlags::WRONLY | OFlags::CREATE)),
    ("make a file with a long name", |p| {
        write_to(&p.join(long(255)), OFlags::WRONLY | OFlags::CREATE)
    }),
    ("make a file with too long a name", |p| {
        write_to(&p.join(long(256)), OFlags::WRONLY | OFlags::CREATE)
    }),
    ("cut x at opening", |p| done(open_as(&p.join("x"), OFlags::RDONLY | OFlags::TRUNC))),
    ("cut x", |p| done(open_as(&p.join("x"), OFlags::WRONLY)?.set_len(2))),
    ("lengthen x", |p| done(open_as(&p.join("x"), OFlags::RDWR)?.set_len(9))),
    ("open x as a directory", |p| done(open_as(&p.join("x"), OFlags::DIRECTORY))),
    ("open x unless it is a link", |p| done(open_as(&p.join("x"), OFlags::NOFOLLOW))),
    ("open p for writing", |p| done(open_as(p, OFlags::WRONLY))),
    ("list p", names),
    ("list x", |p| names(&p.join("x"))),
    ("make a directory", |p| done(fs::create_dir(p.join("new")))),
    ("make the directory x", |p| done(fs::create_dir(p.join("x")))),
    ("make a directory in x", |p| done(fs::create_dir(p.join("x/new")))),
    ("make a directory where there is none", |p| done(fs::create_dir(p.join("none/new")))),
    ("make a directory with too long a name", |p| done(fs::create_dir(p.join(long(256))))),
    ("remove the file x", |p| done(fs::remove_file(p.join("x")))),
    ("remove the file x/below", |p| done(fs::remove_file(p.join("x/below")))),
    ("remove the file y", |p| done(fs::remove_file(p.join("y")))),
    ("remove the directory x", |p| done(fs::remove_dir(p.join("x")))),
    ("remove the directory empty", |p| done(fs::remove_dir(p.join("empty")))),
    ("remove the directory full", |p| done(fs::remove_dir(p.join("full")))),
    ("rename x", |p| rename(p, "x", "new", NO_FLAGS)),
    ("rename x, with a long name", |p| rename(p, "x", &long(256), NO_FLAGS)),
    ("rename x onto itself", |p| rename(p, "x", "x", NO_FLAGS)),
    ("rename x into itself", |p| rename(p, "x", "x/new", NO_FLAGS)),
    ("rename x onto a file", |p| rename(p, "x", "y", NO_FLAGS)),
    ("rename x onto an empty directory", |p| rename(p, "x", "empty", NO_FLAGS)),
    ("rename x onto a full directory", |p| rename(p, "x", "full", NO_FLAGS)),
    ("rename a file onto x", |p| rename(p, "y", "x", NO_FLAGS)),
    ("rename an empty directory onto x", |p| rename(p, "empty", "x", NO_FLAGS)),
    ("rename a full directory onto x", |p| rename(p, "full", "x", NO_FLAGS)),
    ("rename x into another directory", |p| rename(p, "x", "../q/new", NO_FLAGS)),
    ("rename x/below into p", |p| rename(p, "x/below", "new", NO_FLAGS)),
    ("rename a file into x", |p| rename(p, "y", "x/new", NO_FLAGS)),
    ("rename x, replacing nothing", |p| rename(p, "x", "y", NO_REPLACE)),
    ("rename x to a new name, replacing nothing", |p| rename(p, "x", "new", NO_REPLACE)),
    ("exchange x and a file", |p| rename(p, "x", "y", EXCHANGE)),
    ("exchange x and a directory", |p| rename(p, "full", "x", EXCHANGE)),
    ("exchange x and nothing", |p| rename(p, "x", "new", EXCHANGE)),
    ("exchange x and another directory's", |p| {
        fs::write(p.join("../q/z"), "z")?;
        rename(p, "x", "../q/z", EXCHANGE)
    }),
    ("link", |p| done(symlink("../somewhere", p.join("new")))),
    ("link x", |p| done(symlink("y", p.join("x")))),
    ("link in x", |p| done(symlink("y", p.join("x/new")))),
    ("read the link x", |p| Ok(fs::read_link(p.join("x"))?.display().to_string())),
    ("chmod 640 x", |p| chmod(&p.join("x"), 0o640)),
    ("chmod 2755 x", |p| chmod(&p.join("x"), 0o2755)),
    ("chmod 4711 x", |p| chmod(&p.join("x"), 0o4711)),
    ("chmod 1777 p", |p| chmod(p, 0o1777)),
    ("give x away", |p| own(&p.join("x"), Some(71_003), None, AtFlags::empty())),
    ("give x to a group of the owner", |p| own(&p.join("x"), None, Some(72_001), AtFlags::empty())),
    ("give x to another group", |p| own(&p.join("x"), None, Some(72_003), AtFlags::empty())),
    ("give x, itself, to another group", |p| {
        own(&p.join("x"), None, Some(72_002), AtFlags::SYMLINK_NOFOLLOW)
    }),
    ("give x to nobody else", |p| own(&p.join("x"), None, None, AtFlags::empty())),
    ("touch x", |p| touch(&p.join("x"), 0, UTIME_NOW)),
    ("touch x long ago", |p| touch(&p.join("x"), 1_000_000_000, 0)),
    ("may read x", |p| call(rustix::fs::access(p.join("x"), rustix::fs::Access::READ_OK))),
    ("may write x", |p| call(rustix::fs::access(p.join("x"), rustix::fs::Access::WRITE_OK))),
    ("may execute x", |p| call(rustix::fs::access(p.join("x"), rustix::fs::Access::EXEC_OK))),
    ("set an attribute of x", |p| {
        call(rustix::fs::setxattr(p.join("x"), "user.a", b"1", XattrFlags::empty()))
    }),
    ("replace an attribute of x", |p| {
        call(rustix::fs::setxattr(p.join("x"), "user.a", b"1", XattrFlags::REPLACE))
    }),
    ("set an attribute of x, which is a link", |p| {
        call(rustix::fs::lsetxattr(p.join("x"), "user.a", b"1", XattrFlags::empty()))
    }),
    ("set a trusted attribute of x", |p| {
        call(rustix::fs::setxattr(p.join("x"), "trusted.a", b"1", XattrFlags::empty()))
    }),
    ("get an attribute of x", |p| {
        call(rustix::fs::getxattr(p.join("x"), "user.a", &mut [0u8; 9][..]))
    }),
    ("get a trusted attribute of x", |p| {
        call(rustix::fs::getxattr(p.join("x"), "trusted.a", &mut [0u8; 9][..]))
    }),
    ("take an attribute of x away", |p| call(rustix::fs::removexattr(p.join("x"), "user.a"))),
];
