//! The files of an image.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Files, folders and links of one layer, by their paths. Owners are root unless said otherwise.
#[derive(Debug, Default, Clone)]
pub struct Layer {
    /// Sorted, so that the bytes don't depend on the order of calls. Without the leading slash.
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    owner: u32,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Folder,
    Text(Vec<u8>),
    Copy(PathBuf),
    Link(String),
}

/// How a layer lies in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is: fast to write and to import, for tests.
    None,
    /// Smaller, for archives that travel.
    Gzip,
}

impl Layer {
    /// An empty layer.
    pub fn new() -> Layer {
        Layer::default()
    }

    /// A folder. Folders above files need no call, unless they have another mode than 0755.
    ///
    /// **Errors**: on a path that leads out of the image, and when something else is there.
    pub fn folder(&mut self, path: &str, mode: u32, owner: u32) -> Result<&mut Layer> {
        let path = inside(path)?;
        self.folders_above(&path)?;
        let folder = Entry { mode, owner, what: What::Folder };
        match self.entries.insert(path.clone(), folder) {
            Some(before) if before.what != What::Folder => Err(Error::Twice { path }),
            _ => Ok(self),
        }
    }

    /// A file with these bytes.
    ///
    /// **Errors**: on a path that leads out of the image, and when something else is there.
    pub fn text(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) -> Result<&mut Layer> {
        self.add(path, Entry { mode, owner: 0, what: What::Text(bytes.into()) })
    }

    /// A copy of a file of this machine, read when the image is written. Links are followed.
    ///
    /// **Errors**: on a path that leads out of the image, and when something else is there.
    pub fn copy(&mut self, path: &str, mode: u32, source: &Path) -> Result<&mut Layer> {
        self.add(path, Entry { mode, owner: 0, what: What::Copy(source.to_owned()) })
    }

    /// A symbolic link.
    ///
    /// **Errors**: on a path that leads out of the image, and when something else is there.
    pub fn link(&mut self, path: &str, target: &str) -> Result<&mut Layer> {
        self.add(path, Entry { mode: 0o777, owner: 0, what: What::Link(target.to_owned()) })
    }

    fn add(&mut self, path: &str, entry: Entry) -> Result<&mut Layer> {
        let path = inside(path)?;
        self.folders_above(&path)?;
        match self.entries.get(&path) {
            Some(before) if *before != entry => Err(Error::Twice { path }),
            _ => {
                self.entries.insert(path, entry);
                Ok(self)
            }
        }
    }

    fn folders_above(&mut self, path: &str) -> Result<()> {
        for (end, _) in path.match_indices('/') {
            let folder = Entry { mode: 0o755, owner: 0, what: What::Folder };
            let above = self.entries.entry(path[..end].to_owned()).or_insert(folder);
            if above.what != What::Folder {
                return Err(Error::Twice { path: path[..end].to_owned() });
            }
        }
        Ok(())
    }

    /// Writes the layer as a tar stream.
    pub(crate) fn write(&self, out: impl Write) -> Result<()> {
        let mut tar = tar::Builder::new(out);
        for (path, entry) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(u64::from(entry.owner));
            header.set_gid(u64::from(entry.owner));
            header.set_mtime(0);
            header.set_size(0);
            match &entry.what {
                What::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    tar.append_data(&mut header, format!("{path}/"), std::io::empty())?;
                }
                What::Text(bytes) => {
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, path, &bytes[..])?;
                }
                What::Copy(source) => copy(&mut tar, &mut header, path, source)?,
                What::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, path, target)?;
                }
            }
        }
        tar.into_inner()?.flush()?;
        Ok(())
    }
}

fn copy(
    tar: &mut tar::Builder<impl Write>,
    header: &mut tar::Header,
    path: &str,
    source: &Path,
) -> Result<()> {
    let unreadable = |error| Error::Source { path: source.to_owned(), source: error };
    let file = File::open(source).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    header.set_size(length);
    // Never more than was announced: the file may grow meanwhile, and the stream would be torn.
    let mut file = file.take(length);
    tar.append_data(header, path, &mut file)?;
    if file.limit() > 0 {
        let shrunk = std::io::Error::other("it became shorter while it was read");
        return Err(unreadable(shrunk));
    }
    Ok(())
}

/// The path as a layer has it: relative to the root.
fn inside(path: &str) -> Result<String> {
    let wrong = || Error::Path { path: path.to_owned() };
    let relative = path.strip_prefix('/').ok_or_else(wrong)?;
    if relative.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(wrong());
    }
    Ok(relative.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(layer: &Layer) -> Vec<u8> {
        let mut out = Vec::new();
        layer.write(&mut out).unwrap();
        out
    }

    #[test]
    fn the_order_of_calls_does_not_show() {
        let mut one = Layer::new();
        one.text("/etc/b", 0o644, "b").unwrap().text("/etc/a", 0o644, "a").unwrap();
        one.folder("/etc", 0o700, 0).unwrap();
        let mut two = Layer::new();
        two.folder("/etc", 0o700, 0).unwrap();
        two.text("/etc/a", 0o644, "a").unwrap().text("/etc/b", 0o644, "b").unwrap();
        assert_eq!(bytes(&one), bytes(&two));
    }

    #[test]
    fn folders_come_before_what_they_hold() {
        let mut layer = Layer::new();
        layer.text("/a/b/c", 0o644, "c").unwrap().link("/a.link", "/a").unwrap();
        let bytes = bytes(&layer);
        let mut archive = tar::Archive::new(&bytes[..]);
        let names = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            entry.path().unwrap().display().to_string()
        });
        assert_eq!(names.collect::<Vec<_>>(), ["a/", "a.link", "a/b/", "a/b/c"]);
    }

    #[test]
    fn paths_that_lead_out_and_second_files_are_refused() {
        let mut layer = Layer::new();
        for path in ["etc/passwd", "/../etc", "/a//b", "/", "/a/./b", "/a/"] {
            assert!(layer.text(path, 0o644, "").is_err(), "{path}");
        }
        layer.text("/a", 0o644, "one").unwrap();
        assert!(layer.text("/a", 0o644, "one").is_ok(), "the same again is no conflict");
        assert!(layer.text("/a", 0o644, "two").is_err());
        assert!(layer.text("/a/b", 0o644, "").is_err());
        assert!(layer.folder("/a", 0o755, 0).is_err());
    }

    #[test]
    fn a_missing_source_is_named() {
        let mut layer = Layer::new();
        layer.copy("/bin/alluxio", 0o755, Path::new("/there/is/none")).unwrap();
        let error = layer.write(std::io::sink()).unwrap_err().to_string();
        assert!(error.contains("/there/is/none"), "{error}");
    }
}
