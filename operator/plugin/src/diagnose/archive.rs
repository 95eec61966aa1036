//! The archive that `diagnose` writes.

use super::Found;
use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use k8s_openapi::jiff::Timestamp;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A tar.gz that only its owner can read, under its name only once it is whole.
pub(crate) struct Archive {
    path: PathBuf,
    unfinished: PathBuf,
    folder: String,
    tar: tar::Builder<GzEncoder<File>>,
    files: usize,
    errors: Vec<String>,
}

impl Archive {
    /// Begins one.
    ///
    /// **Errors**: when there is a file of that name, or none can be made.
    pub(crate) fn create(path: &Path) -> Result<Archive> {
        anyhow::ensure!(!path.exists(), "{} is there already", path.display());
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&unfinished).with_context(|| unfinished.display().to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // All of it lies in one folder when it is unpacked.
        let folder = name.trim_end_matches(".gz").trim_end_matches(".tar").trim_end_matches(".tgz");
        Ok(Archive {
            path: path.to_owned(),
            unfinished,
            folder: folder.to_owned(),
            tar: tar::Builder::new(GzEncoder::new(file, Compression::default())),
            files: 0,
            errors: Vec::new(),
        })
    }

    /// Adds a file.
    ///
    /// **Errors**: when it cannot be written, likewise below.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(Timestamp::now().as_second().unsigned_abs());
        header.set_cksum();
        let path = format!("{}/{name}", self.folder);
        self.tar.append_data(&mut header, path, text.as_bytes()).context("write the archive")?;
        self.files += 1;
        Ok(())
    }

    /// Adds a file, or notes why there is none.
    pub(crate) fn found(&mut self, (name, text): Found) -> Result<()> {
        match text {
            Ok(text) => self.add(&name, &text),
            Err(error) => {
                self.error(&name, &error);
                Ok(())
            }
        }
    }

    /// Notes what was not answered.
    pub(crate) fn error(&mut self, what: &str, error: &anyhow::Error) {
        self.errors.push(format!("{what}: {}\n", crate::redact::text(&format!("{error:#}"))));
    }

    /// Gives it its name. Returns how many files and how many errors there are.
    pub(crate) fn finish(mut self) -> Result<(usize, usize)> {
        if !self.errors.is_empty() {
            let text = self.errors.concat();
            self.add("errors.txt", &text)?;
        }
        let file = self.tar.into_inner()?.finish().context("write the archive")?;
        file.sync_all()?;
        fs::rename(&self.unfinished, &self.path)?;
        Ok((self.files, self.errors.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_archive_is_its_owners_and_whole_when_it_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("found.tar.gz");
        let mut archive = Archive::create(&path).unwrap();
        archive.add("a/b.txt", "text").unwrap();
        archive.found(("c".into(), Err(anyhow::anyhow!("token=abc refused")))).unwrap();
        assert!(!path.exists());
        assert_eq!(archive.finish().unwrap(), (2, 1));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(&path).unwrap()));
        let texts: Vec<(String, String)> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                (name, std::io::read_to_string(&mut entry).unwrap())
            })
            .collect();
        assert_eq!(texts[0], ("found/a/b.txt".to_owned(), "text".to_owned()));
        assert_eq!(texts[1].1, "c: token=[redacted] refused\n");
        assert!(Archive::create(&path).is_err());
    }
}
