//! The kernel's table of mounts: who is bound where. Reading it touches no mount.
//!
//! **Source**: proc_pid_mountinfo(5).

use std::io;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub id: u64,
    /// Number of the mount that it lies on.
    pub parent: u64,
    /// Device of its file system, `major:minor`.
    pub device: String,
    /// Which directory of the file system is shown.
    pub root: PathBuf,
    /// Where.
    pub path: PathBuf,
    /// Whether changes are refused here.
    pub read_only: bool,
}

/// All mounts of this process's namespace, as the kernel orders them: a mount comes after the one it lies on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// The table now.
    ///
    /// **Errors**: when `/proc` is not there.
    pub fn read() -> io::Result<Table> {
        Ok(Table::parse(&std::fs::read_to_string("/proc/self/mountinfo")?))
    }

    /// A table in the kernel's format; lines that are none are left out.
    pub fn parse(text: &str) -> Table {
        Table { rows: text.lines().filter_map(row).collect() }
    }

    /// What is mounted at exactly this path, the lowest first.
    pub fn at(&self, path: &Path) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.path == path)
    }

    /// What one sees at this path, if it is a mount point.
    pub fn top(&self, path: &Path) -> Option<&Row> {
        self.at(path).next_back()
    }
}

fn row(line: &str) -> Option<Row> {
    let front = line.split_once(" - ")?.0;
    let mut words = front.split(' ');
    let (id, parent) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let device = words.next()?.to_owned();
    let (root, path) = (unescaped(words.next()?), unescaped(words.next()?));
    let read_only = words.next()?.split(',').any(|word| word == "ro");
    Some(Row { id, parent, device, root, path, read_only })
}

/// Blanks and the like are written as `\040`. A path that was removed has `//deleted` behind it.
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_at_one_path_keep_their_order_and_blanks_are_read() {
        let table = Table::parse(
            "98 29 0:52 / /pods/a\\040b rw,nosuid shared:7 - fuse.alluxio x rw\n\
             99 98 0:53 /sub /pods/a\\040b ro,nosuid shared:8 master:2 - fuse.alluxio x rw\n\
             nonsense\n\
             100 29 0:54 / /pods/a rw - tmpfs t rw\n",
        );
        let path = Path::new("/pods/a b");
        let layers: Vec<(&str, bool)> =
            table.at(path).map(|row| (row.device.as_str(), row.read_only)).collect();
        assert_eq!(layers, [("0:52", false), ("0:53", true)]);
        assert_eq!(table.top(path).unwrap().root, Path::new("/sub"));
        assert_eq!(table.top(path).unwrap().parent, 98);
        assert!(table.top(Path::new("/pods")).is_none());
        assert_eq!(unescaped("a\\04"), Path::new("a\\04"));
    }

    #[test]
    fn the_kernel_s_own_table_can_be_read() {
        assert!(Table::read().unwrap().top(Path::new("/proc")).is_some());
    }
}
