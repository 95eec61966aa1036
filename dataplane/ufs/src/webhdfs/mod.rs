//! HDFS by its REST protocol: `webhdfs://host:port`, and `swebhdfs://` over TLS.
//!
//! **Source**: "WebHDFS REST API", Apache Hadoop 3.4.

mod call;
mod read;
mod write;

use crate::client::http_client_without_redirects;
use crate::error::{Error, Result};
use crate::facts::{Capabilities, Space, UfsAttributes, UfsEntry, UfsFacts, UfsKind};
use crate::hdfs;
use crate::location::{Location, is_usable_name, split_last};
use crate::named::{self, Named};
use crate::options::{Known, Options, Redactor, plain, secret};
use crate::registry::UfsSettings;
use crate::retry::Retries;
use crate::under_fs::{
    ByteStream, CreateOptions, EntryStream, MkdirOptions, UfsWriter, UnderFs, is_left_over,
    refuse_root,
};
use alluxio_types::{FileKind, Fingerprint, Mode, MountOptions};
use async_trait::async_trait;
use call::Call;
use futures::StreamExt;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

const OPTIONS: &[Known] = &[
    plain("alluxio.underfs.hdfs.user", &["hadoop.user.name"]),
    secret("alluxio.underfs.webhdfs.delegation", &[]),
    plain("alluxio.underfs.hdfs.*", &[]),
];

/// One directory of an HDFS, by REST. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct WebHdfsUfs {
    shared: Arc<Shared>,
}

struct Shared {
    location: Location,
    /// `http://host:port/webhdfs/v1`.
    base: String,
    /// What every request says of its caller, as query text with a leading `&`, or nothing.
    caller: String,
    client: reqwest::Client,
    redactor: Redactor,
    retries: Retries,
    tolerate_owner_failure: bool,
}

/// Opens the directory at `location`.
pub(crate) fn open(
    location: &Location,
    mount: &MountOptions,
    settings: &UfsSettings,
) -> Result<Arc<dyn UnderFs>> {
    let options = Options::resolve(location, mount, &settings.defaults, OPTIONS)?;
    let scheme = if location.scheme() == "swebhdfs" { "https" } else { "http" };
    let delegation = options.get("alluxio.underfs.webhdfs.delegation");
    let user = options.get("alluxio.underfs.hdfs.user").map(str::to_owned).or_else(login_user);
    let caller = match (delegation, user) {
        (Some(token), _) => format!("&delegation={}", call::encode(token)),
        (None, Some(user)) => format!("&user.name={}", call::encode(&user)),
        (None, None) => String::new(),
    };
    let mut redactor = options.redactor();
    redactor.hide(&caller);
    let shared = Shared {
        base: format!("{scheme}://{}/webhdfs/v1", location.authority()),
        location: location.clone(),
        caller,
        client: http_client_without_redirects(location)?,
        redactor,
        retries: settings.retries(&options)?,
        tolerate_owner_failure: options.flag("alluxio.underfs.allow.set.owner.failure")?,
    };
    Ok(Arc::new(WebHdfsUfs { shared: Arc::new(shared) }))
}

/// The name that Hadoop's own client would tell: without one, a name node without Kerberos takes
/// everybody for its anonymous user.
fn login_user() -> Option<String> {
    let named = |name| std::env::var(name).ok().filter(|user| !user.is_empty());
    named("HADOOP_USER_NAME").or_else(|| named("USER")).or_else(|| {
        let id = rustix::process::geteuid().as_raw();
        Some(crate::local::user_name(id))
    })
}

/// Facts from a `FileStatus` object; `None` if it is not of that shape.
fn facts(status: &Value) -> Option<UfsFacts> {
    let number = |name: &str| status.get(name)?.as_u64();
    let text = |name: &str| Some(status.get(name)?.as_str()?.to_owned());
    let is_directory = text("type")? == "DIRECTORY";
    let mode = u16::from_str_radix(&text("permission")?, 8).ok()?;
    let mut facts = hdfs::facts(
        is_directory,
        number("length")?,
        number("modificationTime")?,
        text("owner")?,
        text("group")?,
        mode,
    );
    if let (false, Some(id)) = (is_directory, number("fileId")) {
        facts.fingerprint.0.push_str(&format!(";id={id}"));
    }
    Some(facts)
}

impl Named for WebHdfsUfs {
    fn uri(&self, relative: &str) -> String {
        self.shared.location.join(relative)
    }

    async fn status_of(&self, relative: &str) -> Result<UfsFacts> {
        let answer = self.json(relative, Call::get("GETFILESTATUS")).await?;
        answer.get("FileStatus").and_then(facts).ok_or_else(|| self.odd_answer(relative, "status"))
    }
}

impl WebHdfsUfs {
    fn relative(&self, path: &str) -> Result<String> {
        self.shared.location.relative(path)
    }

    async fn set(&self, relative: &str, attributes: &UfsAttributes) -> Result<()> {
        if attributes.owner.is_some() || attributes.group.is_some() {
            let call = Call::put("SETOWNER")
                .with_some("owner", attributes.owner.as_deref())
                .with_some("group", attributes.group.as_deref());
            match self.json(relative, call).await {
                Err(error) if self.shared.tolerate_owner_failure => {
                    tracing::warn!(%error, "owner or group not set, as the configuration allows");
                }
                other => drop(other?),
            }
        }
        if let Some(mode) = attributes.mode {
            let call = Call::put("SETPERMISSION").with("permission", &octal(mode));
            self.json(relative, call).await?;
        }
        Ok(())
    }

    async fn make(&self, relative: &str, mode: Mode) -> Result<()> {
        let call = Call::put("MKDIRS").with("permission", &octal(mode));
        match self.json(relative, call).await {
            Ok(answer) if is_true(&answer) => Ok(()),
            Ok(_) => Err(self.odd_answer(relative, "mkdir")),
            Err(Error::NotADirectory { .. }) => {
                Err(Error::NotADirectory { uri: self.uri(split_last(relative).0) })
            }
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, relative: &str, recursive: bool) -> Result<()> {
        let call = Call::delete("DELETE").with("recursive", &recursive.to_string());
        // `false`: it is gone already, which is what was asked for.
        self.json(relative, call).await?;
        Ok(())
    }

    /// Removes an unfinished file that a crash left behind, without anybody waiting for it.
    fn remove_later(&self, relative: String) {
        let ufs = self.clone();
        tokio::spawn(async move {
            if ufs.delete(&relative, false).await.is_ok() {
                tracing::info!(relative, "removed an unfinished file that a crash left behind");
            }
        });
    }

    async fn rename(&self, from: &str, to: &str, kind: FileKind) -> Result<UfsFacts> {
        named::may_rename(self, from, to, kind).await?;
        let parent = split_last(to).0;
        named::need(self, parent, FileKind::Directory).await?;
        let call = Call::put("RENAME").with("destination", &self.full_path(to)).once();
        if !is_true(&self.json(from, call).await?) {
            return Err(self.odd_answer(from, "rename"));
        }
        self.status_of(to).await
    }

    /// One page of a listing, and whether more follows.
    async fn page(&self, relative: &str, after: &str) -> Result<(Vec<UfsEntry>, String, bool)> {
        let call = Call::get("LISTSTATUS_BATCH").with("startAfter", after);
        let answer = self.json(relative, call).await?;
        let odd = || self.odd_answer(relative, "list");
        let listing = answer.get("DirectoryListing").ok_or_else(odd)?;
        let found = listing
            .pointer("/partialListing/FileStatuses/FileStatus")
            .and_then(Value::as_array)
            .ok_or_else(odd)?;
        let more = listing.get("remainingEntries").and_then(Value::as_u64).ok_or_else(odd)? > 0;
        let mut entries = Vec::with_capacity(found.len());
        let mut last = String::new();
        for status in found {
            let name = status.get("pathSuffix").and_then(Value::as_str).ok_or_else(odd)?;
            last = name.to_owned();
            if hdfs::is_unfinished(name) {
                let modified = status.get("modificationTime").and_then(Value::as_u64);
                if is_left_over(modified.unwrap_or(u64::MAX)) {
                    self.remove_later(join(relative, name));
                }
            } else if is_usable_name(name) {
                entries
                    .push(UfsEntry { name: last.clone(), facts: facts(status).ok_or_else(odd)? });
            }
        }
        Ok((entries, last, more))
    }
}

fn octal(mode: Mode) -> String {
    format!("{:o}", mode.0)
}

fn is_true(answer: &Value) -> bool {
    answer.get("boolean").and_then(Value::as_bool) == Some(true)
}

/// A listing that is under way.
struct Walk {
    ufs: WebHdfsUfs,
    base: String,
    recursive: bool,
    /// Directories to be read, relative to `base`, each with the name to go on after.
    waiting: VecDeque<(String, String)>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Vec<UfsEntry>>> {
        while let Some((directory, after)) = self.waiting.pop_front() {
            let path = join(&self.base, &directory);
            let (mut entries, last, more) = match self.ufs.page(&path, &after).await {
                // Deleted since it was seen.
                Err(Error::NotFound { .. }) if !directory.is_empty() => continue,
                other => other?,
            };
            for entry in &mut entries {
                entry.name = join(&directory, &entry.name);
                if self.recursive && entry.facts.is_directory() {
                    self.waiting.push_back((entry.name.clone(), String::new()));
                }
            }
            if more {
                self.waiting.push_front((directory, last));
            }
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
        Ok(None)
    }
}

fn join(directory: &str, name: &str) -> String {
    match (directory.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => directory.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

#[async_trait]
impl UnderFs for WebHdfsUfs {
    fn kind(&self) -> UfsKind {
        UfsKind::WebHdfs
    }

    fn root(&self) -> &str {
        self.shared.location.as_str()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            attributes: true,
            atomic_rename: true,
            writable: true,
            list: true,
            native_recursive_list: false,
            conditional_read: false,
            exclusive_create: false,
        }
    }

    async fn status(&self, path: &str) -> Result<UfsFacts> {
        self.status_of(&self.relative(path)?).await
    }

    async fn list(&self, path: &str, recursive: bool) -> Result<EntryStream> {
        let base = self.relative(path)?;
        named::need(self, &base, FileKind::Directory).await?;
        let waiting = VecDeque::from([(String::new(), String::new())]);
        let walk = Walk { ufs: self.clone(), base, recursive, waiting };
        let batches = futures::stream::try_unfold(walk, |mut walk| async move {
            Ok(walk.next().await?.map(|batch| (batch, walk)))
        });
        Ok(batches.boxed())
    }

    async fn read_range(
        &self,
        path: &str,
        offset: u64,
        length: u64,
        expected: &Fingerprint,
    ) -> Result<ByteStream> {
        read::read_range(self, self.relative(path)?, offset, length, expected).await
    }

    async fn create(&self, path: &str, options: CreateOptions) -> Result<Box<dyn UfsWriter>> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        Ok(Box::new(write::create(self, relative, options).await?))
    }

    async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<()> {
        let relative = self.relative(path)?;
        if named::is_made(self, &relative).await? {
            return Ok(());
        }
        if !options.recursive {
            let parent = split_last(&relative).0;
            named::need(self, parent, FileKind::Directory).await?;
        }
        self.make(&relative, options.attributes.mode.unwrap_or(Mode::DIRECTORY)).await?;
        self.set(&relative, &options.attributes).await
    }

    async fn delete_file(&self, path: &str) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        named::need(self, &relative, FileKind::File).await?;
        self.delete(&relative, false).await
    }

    async fn delete_dir(&self, path: &str, recursive: bool) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        named::need(self, &relative, FileKind::Directory).await?;
        self.delete(&relative, recursive).await
    }

    async fn rename_file(&self, from: &str, to: &str) -> Result<UfsFacts> {
        let (old, new) = (self.relative(from)?, self.relative(to)?);
        refuse_root(&old, from)?;
        self.rename(&old, &new, FileKind::File).await
    }

    async fn rename_dir(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (self.relative(from)?, self.relative(to)?);
        refuse_root(&old, from)?;
        self.rename(&old, &new, FileKind::Directory).await?;
        Ok(())
    }

    async fn set_attributes(&self, path: &str, attributes: &UfsAttributes) -> Result<UfsFacts> {
        let relative = self.relative(path)?;
        self.set(&relative, attributes).await?;
        self.status_of(&relative).await
    }

    async fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::Fixture;
    use crate::hdfs::tests::{fixture_at, server};

    async fn fixture() -> Fixture {
        fixture_at(&server().web_uri()).await
    }

    crate::conformance_tests!(fixture);
}
