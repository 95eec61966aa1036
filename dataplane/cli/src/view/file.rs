//! Views of files and directories: `ls`, `du`, `count`, `stat`, `location`.

use super::date::DateFormat;
use super::{left, percent, size};
use alluxio_types::{FileKind, FileStatus, UnixMillis};
use std::collections::BTreeSet;

/// Which point in time `ls` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "camelCase")]
pub enum Timestamp {
    /// When the inode was made.
    CreationTime,
    /// When it was last read.
    LastAccessTime,
    /// When its bytes or names last changed.
    LastModificationTime,
}

impl Timestamp {
    /// That time of a file.
    pub fn of(self, status: &FileStatus) -> UnixMillis {
        match self {
            Timestamp::CreationTime => status.created,
            Timestamp::LastAccessTime => status.accessed,
            Timestamp::LastModificationTime => status.modified,
        }
    }
}

/// How `ls` writes a line.
pub struct ListView<'a> {
    /// Sizes for people.
    pub human: bool,
    /// Which time.
    pub timestamp: Timestamp,
    /// How times are written.
    pub date: &'a DateFormat,
    /// Whether there are owners to show (authentication is on).
    pub with_owner: bool,
}

impl ListView<'_> {
    /// One line: mode, owner, group, size, persistence, time, cached share, path.
    pub fn row(&self, status: &FileStatus) -> String {
        let cached = if status.is_directory() {
            "DIR".to_owned()
        } else {
            format!("{}%", status.in_alluxio_percent)
        };
        let owner = if self.with_owner {
            let mode = format!("{}{}", kind_letter(status), status.mode.letters());
            left(&mode, 12) + &left(&status.owner, 15) + &left(&status.group, 15)
        } else {
            String::new()
        };
        // A directory's length is its number of children, never a size in bytes.
        let human = self.human && !status.is_directory();
        format!(
            "{owner}{:>15}{:>16}{:>24}{cached:>5} {}",
            size(status.length, human),
            status.persistence.name(),
            self.date.text(self.timestamp.of(status)),
            shown(status)
        )
    }
}

/// The path, and where a link leads.
fn shown(status: &FileStatus) -> String {
    if status.is_symlink() {
        return format!("{} -> {}", status.path, status.target);
    }
    status.path.clone()
}

fn kind_letter(status: &FileStatus) -> char {
    match status.kind {
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        FileKind::File => '-',
    }
}

/// Sums for `du` and `count`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Of these, bytes that are cached.
    pub cached_bytes: u64,
    /// Of these, bytes that are cached in the top tier.
    pub memory_bytes: u64,
}

impl Totals {
    /// Adds one file or directory.
    pub fn add(&mut self, status: &FileStatus) {
        if status.is_directory() {
            self.directories += 1;
            return;
        }
        self.files += 1;
        self.bytes += status.length;
        self.cached_bytes += share(status.length, status.in_alluxio_percent);
        self.memory_bytes += share(status.length, status.in_memory_percent);
    }

    /// The sums of one file or directory.
    pub fn of(status: &FileStatus) -> Totals {
        let mut totals = Totals::default();
        totals.add(status);
        totals
    }
}

fn share(bytes: u64, percent: u32) -> u64 {
    (u128::from(bytes) * u128::from(percent.min(100)) / 100) as u64
}

/// How `du` writes a line.
#[derive(Debug, Clone, Copy)]
pub struct UsageView {
    /// Sizes for people.
    pub human: bool,
    /// Also the top tier.
    pub memory: bool,
    /// One line for each worker that holds bytes.
    pub workers: bool,
}

impl UsageView {
    /// The line above all others.
    pub fn header(&self) -> String {
        let mut line = left("File Size", 14) + &left("In Alluxio", 17);
        if self.memory {
            line += &left("In Memory", 17);
        }
        if self.workers {
            line += &left("Worker Host Name", 26);
        }
        line + "Path"
    }

    /// One line; `worker` is the host that holds the cached bytes of it.
    pub fn row(&self, totals: &Totals, worker: &str, path: &str) -> String {
        let cell =
            |bytes: u64| format!("{} ({}%)", size(bytes, self.human), percent(bytes, totals.bytes));
        let mut line =
            left(&size(totals.bytes, self.human), 14) + &left(&cell(totals.cached_bytes), 17);
        if self.memory {
            line += &left(&cell(totals.memory_bytes), 17);
        }
        if self.workers {
            line += &left(worker, 26);
        }
        line + path
    }

    /// The share of one worker, below the line of its file.
    pub fn worker_row(&self, bytes: u64, totals: &Totals, worker: &str) -> String {
        let cell = format!("{} ({}%)", size(bytes, self.human), percent(bytes, totals.bytes));
        let memory = if self.memory { left("", 17) } else { String::new() };
        (left("", 14) + &left(&cell, 17) + &memory + worker).trim_end().to_owned()
    }
}

/// The two lines of `count`.
pub fn count(totals: &Totals, human: bool) -> [String; 2] {
    let row = |cells: [&str; 3]| {
        let line = left(cells[0], 25) + &left(cells[1], 25) + cells[2];
        line.trim_end().to_owned()
    };
    [
        row(["File Count", "Folder Count", "Folder Size"]),
        row([
            &totals.files.to_string(),
            &totals.directories.to_string(),
            &size(totals.bytes, human),
        ]),
    ]
}

/// Hosts that hold a block of the file, each once.
pub fn hosts(status: &FileStatus) -> BTreeSet<&str> {
    let locations = status.blocks.iter().flat_map(|block| &block.locations);
    locations.map(|location| location.address.host.as_str()).collect()
}

/// The lines of `location`.
pub fn location(status: &FileStatus) -> Vec<String> {
    let first = format!("{} with file id {} is on nodes:", status.path, status.id.0);
    std::iter::once(first).chain(hosts(status).into_iter().map(str::to_owned)).collect()
}

/// The lines of `stat` without a format.
pub fn stat(status: &FileStatus) -> Vec<String> {
    let what = match status.kind {
        FileKind::Directory => "directory",
        FileKind::Symlink => "symlink",
        FileKind::File => "file",
    };
    let json = super::json::status(status);
    let fields: Vec<String> = super::json::FIELDS
        .iter()
        .filter_map(|name| Some((name, json.get(name)?)))
        .map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}={text}"),
            None => format!("{name}={value}"),
        })
        .collect();
    let mut lines = vec![
        format!("{} is a {what} path.", status.path),
        format!("FileInfo{{{}}}", fields.join(", ")),
    ];
    if status.is_file() {
        lines.push("Containing the following blocks:".to_owned());
        lines.extend(status.blocks.iter().map(|block| {
            let locations: Vec<String> = block
                .locations
                .iter()
                .map(|at| {
                    format!(
                        "BlockLocation{{workerId={}, host={}, rpcPort={}, dataPort={}, tierAlias={}}}",
                        at.worker.0, at.address.host, at.address.rpc_port, at.address.data_port, at.tier
                    )
                })
                .collect();
            format!(
                "BlockInfo{{id={}, length={}, offset={}, locations=[{}]}}",
                block.id.0,
                block.length,
                block.offset,
                locations.join(", ")
            )
        }));
    }
    lines
}

/// `stat -f`: `%N` name, `%z` bytes, `%u` owner, `%g` group, `%i` id, `%y` and `%Y` time of change,
/// `%b` number of blocks. Anything else stays as it is.
pub fn stat_format(format: &str, status: &FileStatus, date: &DateFormat) -> String {
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('N') => out.push_str(&status.name),
            Some('z') if status.is_directory() => out.push_str("NA"),
            Some('z') => out.push_str(&status.length.to_string()),
            Some('u') => out.push_str(&status.owner),
            Some('g') => out.push_str(&status.group),
            Some('i') => out.push_str(&status.id.0.to_string()),
            Some('y') => out.push_str(&date.text(status.modified)),
            Some('Y') => out.push_str(&status.modified.0.to_string()),
            Some('b') if status.is_directory() => out.push_str("NA"),
            Some('b') => out.push_str(&status.block_count().to_string()),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

/// A file for tests of views.
#[cfg(test)]
pub(crate) mod sample {
    use alluxio_types::*;

    pub(crate) fn file() -> FileStatus {
        FileStatus {
            id: InodeId((1 << 24) | 0xff_ffff),
            name: "f".into(),
            path: "/d/f".into(),
            ufs_path: "s3://bucket/d/f".into(),
            kind: FileKind::File,
            length: 2000,
            block_size_bytes: 1024,
            created: UnixMillis(1_795_244_709_042),
            modified: UnixMillis(1_795_244_709_042),
            accessed: UnixMillis(1_795_244_709_042),
            completed: true,
            pinned: false,
            persistence: PersistenceState::Persisted,
            mount_point: false,
            mount_id: MountId(1),
            owner: "bob".into(),
            group: "staff".into(),
            mode: Mode(0o644),
            ttl_ms: None,
            ttl_action: TtlAction::Free,
            replication_min: 0,
            replication_max: None,
            fingerprint: Fingerprint::default(),
            blocks: vec![BlockInfo {
                id: BlockId(1 << 24),
                length: 1024,
                offset: 0,
                locations: vec![BlockLocation {
                    worker: WorkerId(7),
                    address: WorkerAddress {
                        host: "w1".into(),
                        rpc_port: 29999,
                        data_port: 29998,
                        web_port: 30000,
                        domain_socket_path: String::new(),
                    },
                    tier: TierAlias::new("MEM"),
                }],
            }],
            in_alluxio_percent: 51,
            in_memory_percent: 51,
            xattr: Default::default(),
            target: String::new(),
        }
    }

    pub(crate) fn directory() -> FileStatus {
        FileStatus {
            name: "d".into(),
            path: "/d".into(),
            kind: FileKind::Directory,
            length: 3,
            persistence: PersistenceState::NotPersisted,
            mode: Mode(0o755),
            blocks: Vec::new(),
            ..file()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{directory, file};
    use super::*;

    fn date() -> DateFormat {
        DateFormat::utc("MM-dd-yyyy HH:mm:ss:SSS")
    }

    #[test]
    fn ls_lines_have_the_columns_that_scripts_cut() {
        let date = date();
        let mut view = ListView {
            human: false,
            timestamp: Timestamp::LastModificationTime,
            date: &date,
            with_owner: true,
        };
        assert_eq!(
            view.row(&file()),
            "-rw-r--r--  bob            staff                     2000       PERSISTED \
             11-21-2026 07:05:09:042  51% /d/f"
        );
        assert_eq!(
            view.row(&directory()),
            "drwxr-xr-x  bob            staff                        3   NOT_PERSISTED \
             11-21-2026 07:05:09:042  DIR /d"
        );
        let link = FileStatus {
            kind: FileKind::Symlink,
            length: 4,
            mode: alluxio_types::Mode(0o777),
            target: "../x".into(),
            ..file()
        };
        let row = view.row(&link);
        assert!(row.starts_with("lrwxrwxrwx") && row.ends_with(" /d/f -> ../x"), "{row}");
        assert_eq!(stat(&link)[0], "/d/f is a symlink path.");
        view.human = true;
        view.with_owner = false;
        assert_eq!(
            view.row(&file()),
            "         1.95KB       PERSISTED 11-21-2026 07:05:09:042  51% /d/f"
        );
    }

    #[test]
    fn du_and_count_add_up() {
        let mut totals = Totals::default();
        totals.add(&file());
        totals.add(&directory());
        assert_eq!((totals.files, totals.directories, totals.cached_bytes), (1, 1, 1020));
        let view = UsageView { human: false, memory: true, workers: true };
        assert_eq!(
            view.header(),
            "File Size     In Alluxio       In Memory        Worker Host Name          Path"
        );
        assert_eq!(
            view.row(&totals, "w1", "/d"),
            "2000          1020 (51%)       1020 (51%)       w1                        /d"
        );
        assert_eq!(
            view.worker_row(1020, &totals, "w1"),
            "              1020 (51%)                        w1"
        );
        assert_eq!(
            count(&totals, true),
            [
                "File Count               Folder Count             Folder Size",
                "1                        1                        1.95KB",
            ]
        );
    }

    #[test]
    fn stat_shows_every_block_and_follows_formats() {
        let lines = stat(&file());
        assert_eq!(lines[0], "/d/f is a file path.");
        assert!(lines[1].starts_with("FileInfo{fileId=33554431, name=f, path=/d/f, "));
        assert_eq!(
            lines[3],
            "BlockInfo{id=16777216, length=1024, offset=0, locations=[BlockLocation{workerId=7, \
             host=w1, rpcPort=29999, dataPort=29998, tierAlias=MEM}]}"
        );
        let date = DateFormat::utc("yyyy-MM-dd HH:mm:ss");
        assert_eq!(
            stat_format("%N|%z|%u|%g|%y|%b|%%|%q|100%", &file(), &date),
            "f|2000|bob|staff|2026-11-21 07:05:09|2|%%|%q|100%"
        );
        assert_eq!(stat_format("%b %z", &directory(), &date), "NA NA");
        assert_eq!(location(&file()), ["/d/f with file id 33554431 is on nodes:", "w1"]);
    }
}
