//! Web servers, read-only: `http://host/path` and `https://host/path`.
//!
//! A file is what a URL yields. A directory is a page that looks like the index that web servers
//! make (its title begins with one of `alluxio.underfs.web.titles`); its links to names directly
//! below it are its entries. Servers without such pages can still serve single files whose path is
//! known.

mod page;
mod read;

use crate::client::http_client;
use crate::error::{Error, Result};
use crate::facts::{Capabilities, Space, UfsAttributes, UfsEntry, UfsFacts, UfsKind};
use crate::location::Location;
use crate::named::Named;
use crate::options::{Known, Options, Redactor, plain, secret};
use crate::registry::UfsSettings;
use crate::retry::Retries;
use crate::under_fs::{
    ByteStream, CreateOptions, EntryStream, LIST_BATCH_MAX, MkdirOptions, UfsWriter, UnderFs,
};
use alluxio_types::{Fingerprint, MountOptions, UnixMillis};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use std::collections::VecDeque;
use std::sync::Arc;

const OPTIONS: &[Known] = &[
    plain("alluxio.underfs.web.titles", &[]),
    plain("alluxio.underfs.web.parent.names", &[]),
    plain("alluxio.underfs.web.username", &[]),
    secret("alluxio.underfs.web.password", &[]),
    secret("alluxio.underfs.web.token", &[]),
    plain("alluxio.underfs.web.connection.timeout", &[]),
];
const TITLES: &str = "Index of ,Directory listing for ";
const PARENT_NAMES: &str = "Parent Directory,..,../";

/// Files asked about at a time while a directory is listed.
const STATUS_CONCURRENCY: usize = 8;
/// Longest index page that is read, about 100,000 links.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One path of a web server. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct HttpUfs {
    shared: Arc<Shared>,
}

struct Shared {
    location: Location,
    client: reqwest::Client,
    user: Option<(String, Option<String>)>,
    token: Option<String>,
    titles: Vec<String>,
    parent_names: Vec<String>,
    redactor: Redactor,
    retries: Retries,
}

/// Opens the path at `location`.
pub(crate) fn open(
    location: &Location,
    mount: &MountOptions,
    settings: &UfsSettings,
) -> Result<Arc<dyn UnderFs>> {
    let options = Options::resolve(location, mount, &settings.defaults, OPTIONS)?;
    let text = |name: &str| options.get(name).map(str::to_owned);
    // Spaces count: "Index of " is not "Index office".
    let list = |name: &str, default: &str| -> Vec<String> {
        options.get(name).unwrap_or(default).split(',').map(str::to_owned).collect()
    };
    let shared = Shared {
        client: http_client(location, None)?,
        location: location.clone(),
        user: text("alluxio.underfs.web.username")
            .map(|user| (user, text("alluxio.underfs.web.password"))),
        token: text("alluxio.underfs.web.token"),
        titles: list("alluxio.underfs.web.titles", TITLES),
        parent_names: list("alluxio.underfs.web.parent.names", PARENT_NAMES),
        redactor: options.redactor(),
        retries: settings.retries(&options)?,
    };
    Ok(Arc::new(HttpUfs { shared: Arc::new(shared) }))
}

/// What a URL turned out to be.
enum Found {
    File(UfsFacts),
    /// An index page, and its links.
    Directory(Vec<page::Link>),
}

impl Named for HttpUfs {
    fn uri(&self, relative: &str) -> String {
        self.shared.location.join(relative)
    }

    async fn status_of(&self, relative: &str) -> Result<UfsFacts> {
        match self.look(relative).await? {
            Found::File(facts) => Ok(facts),
            Found::Directory(_) => Ok(UfsFacts::directory()),
        }
    }
}

impl HttpUfs {
    fn relative(&self, path: &str) -> Result<String> {
        self.shared.location.relative(path)
    }

    fn url(&self, relative: &str, directory: bool) -> String {
        let uri = self.uri(relative);
        let (scheme, rest) = uri.split_once("://").unwrap_or(("http", &uri));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path: Vec<String> = path.split('/').map(page::encode).collect();
        let slash = if directory && !uri.ends_with('/') { "/" } else { "" };
        format!("{scheme}://{host}/{}{slash}", path.join("/"))
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let mut request = self.shared.client.request(method, url);
        if let Some((user, password)) = &self.shared.user {
            request = request.basic_auth(user, password.as_ref());
        }
        if let Some(token) = &self.shared.token {
            request = request.bearer_auth(token);
        }
        request
    }

    /// Sends a request that is safe to repeat.
    async fn send(
        &self,
        relative: &str,
        operation: &'static str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response> {
        let attempt = || async {
            let response = request().send().await;
            let response = response.map_err(|error| self.lost(relative, &error))?;
            self.check(relative, operation, response)
        };
        self.shared.retries.run(&self.uri(relative), operation, attempt).await
    }

    fn check(
        &self,
        relative: &str,
        operation: &'static str,
        response: Response,
    ) -> Result<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (uri, detail) = (self.uri(relative), status.to_string());
        Err(match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Error::NotFound { uri },
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let options = "alluxio.underfs.web.username and .password, or .token";
                Error::Unauthenticated { uri, detail, options }
            }
            StatusCode::FORBIDDEN => Error::PermissionDenied { uri, detail },
            StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => {
                Error::Changed { uri }
            }
            StatusCode::TOO_MANY_REQUESTS => Error::Busy { uri, detail },
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Error::Unsupported { uri, operation }
            }
            status if status.is_server_error() => Error::Unavailable { uri, detail },
            _ => Error::Failed { uri, operation, detail },
        })
    }

    /// The error for a connection that failed.
    fn lost(&self, relative: &str, error: &reqwest::Error) -> Error {
        use std::error::Error as _;
        let mut text = String::from("the connection failed");
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        Error::Unavailable { uri: self.uri(relative), detail: self.shared.redactor.clean(&text) }
    }

    /// Looks at what is at `relative`: one request for a file, two or three for a directory.
    async fn look(&self, relative: &str) -> Result<Found> {
        let url = self.url(relative, false);
        let head = self.send(relative, "status", || self.request(Method::HEAD, &url)).await;
        let redirected = match head {
            Ok(response) => {
                let to_directory = response.url().path().ends_with('/');
                if !is_html(response.headers()) && !to_directory {
                    return self.file(relative, response.headers()).map(Found::File);
                }
                if !to_directory && let Some(links) = self.index(relative, &url).await? {
                    return Ok(Found::Directory(links));
                }
                Some(response)
            }
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let url = self.url(relative, true);
        match self.index(relative, &url).await {
            Ok(Some(links)) => Ok(Found::Directory(links)),
            Ok(None) | Err(Error::NotFound { .. }) => match redirected {
                // A page like any other.
                Some(response) => self.file(relative, response.headers()).map(Found::File),
                None => Err(Error::NotFound { uri: self.uri(relative) }),
            },
            Err(error) => Err(error),
        }
    }

    /// The links of the page at `url`, if it is an index.
    async fn index(&self, relative: &str, url: &str) -> Result<Option<Vec<page::Link>>> {
        let mut response = self.send(relative, "list", || self.request(Method::GET, url)).await?;
        if !is_html(response.headers()) {
            return Ok(None);
        }
        let uri = self.uri(relative);
        let reading = async {
            let mut text = Vec::new();
            while let Some(piece) =
                response.chunk().await.map_err(|error| self.lost(relative, &error))?
            {
                text.extend_from_slice(&piece);
                if text.len() > PAGE_BYTES_MAX {
                    let operation = "list so large a directory";
                    return Err(Error::Unsupported { uri: uri.clone(), operation });
                }
            }
            Ok(text)
        };
        let text = self.shared.retries.within(&uri, "list", reading).await?;
        let text = String::from_utf8_lossy(&text);
        let path = response_path(url);
        Ok(page::parse(&text, &path, &self.shared.titles, &self.shared.parent_names))
    }

    fn file(&self, relative: &str, headers: &HeaderMap) -> Result<UfsFacts> {
        let uri = self.uri(relative);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let Some(length) = length else {
            return Err(Error::Unsupported { uri, operation: "tell the length of a file" });
        };
        let modified = text(header::LAST_MODIFIED).and_then(page::parse_date).map(UnixMillis);
        let version = match (text(header::ETAG), modified) {
            (Some(tag), _) => format!("http;len={length};etag={tag}"),
            (None, modified) => {
                format!("http;len={length};mtime={}", modified.unwrap_or_default())
            }
        };
        Ok(UfsFacts::file(length, modified, Fingerprint(version)))
    }

    /// Facts of the links of one page.
    async fn entries(&self, base: &str, links: Vec<page::Link>) -> Result<Vec<UfsEntry>> {
        let asked = futures::stream::iter(links).map(|link| async move {
            if link.directory {
                let facts = UfsFacts::directory();
                return Ok(Some(UfsEntry { name: link.name, facts }));
            }
            let path = join(base, &link.name);
            match self.status_of(&path).await {
                Ok(facts) => Ok(Some(UfsEntry { name: link.name, facts })),
                // A link that leads nowhere, or to something of unknown length.
                Err(
                    Error::NotFound { .. }
                    | Error::PermissionDenied { .. }
                    | Error::Unsupported { .. },
                ) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let found: Vec<Option<UfsEntry>> = asked.buffered(STATUS_CONCURRENCY).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn read_only(&self, path: &str) -> Error {
        Error::ReadOnly { uri: path.to_owned() }
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

fn response_path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or_else(|| "/".to_owned(), |cut| rest[cut..].to_owned())
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// A listing that is under way.
struct Walk {
    ufs: HttpUfs,
    base: String,
    recursive: bool,
    /// Directories to be read, relative to `base`, with their links where they are known.
    waiting: VecDeque<(String, Option<Vec<page::Link>>)>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Vec<UfsEntry>>> {
        while let Some((directory, links)) = self.waiting.pop_front() {
            let path = join(&self.base, &directory);
            let path = path.trim_end_matches('/').to_owned();
            let mut links = match links {
                Some(links) => links,
                None => match self.ufs.look(&path).await {
                    Ok(Found::Directory(links)) => links,
                    Ok(Found::File(_)) | Err(Error::NotFound { .. }) => continue,
                    Err(error) => return Err(error),
                },
            };
            if links.len() > LIST_BATCH_MAX {
                let rest = links.split_off(LIST_BATCH_MAX);
                self.waiting.push_front((directory.clone(), Some(rest)));
            }
            let mut entries = self.ufs.entries(&path, links).await?;
            for entry in &mut entries {
                entry.name = join(&directory, &entry.name);
                if self.recursive && entry.facts.is_directory() {
                    self.waiting.push_back((entry.name.clone(), None));
                }
            }
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl UnderFs for HttpUfs {
    fn kind(&self) -> UfsKind {
        UfsKind::Http
    }

    fn root(&self) -> &str {
        self.shared.location.as_str()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            attributes: false,
            atomic_rename: false,
            writable: false,
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
        let Found::Directory(links) = self.look(&base).await? else {
            return Err(Error::NotADirectory { uri: path.to_owned() });
        };
        let waiting = VecDeque::from([(String::new(), Some(links))]);
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

    async fn create(&self, path: &str, _options: CreateOptions) -> Result<Box<dyn UfsWriter>> {
        Err(self.read_only(path))
    }

    async fn mkdir(&self, path: &str, _options: MkdirOptions) -> Result<()> {
        match self.status(path).await {
            Ok(facts) if facts.is_directory() => Ok(()),
            _ => Err(self.read_only(path)),
        }
    }

    async fn delete_file(&self, path: &str) -> Result<()> {
        Err(self.read_only(path))
    }

    async fn delete_dir(&self, path: &str, _recursive: bool) -> Result<()> {
        Err(self.read_only(path))
    }

    async fn rename_file(&self, from: &str, _to: &str) -> Result<UfsFacts> {
        Err(self.read_only(from))
    }

    async fn rename_dir(&self, from: &str, _to: &str) -> Result<()> {
        Err(self.read_only(from))
    }

    async fn set_attributes(&self, path: &str, _attributes: &UfsAttributes) -> Result<UfsFacts> {
        Err(self.read_only(path))
    }

    async fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
