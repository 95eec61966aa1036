//! URIs of stores: taken apart once when a mount is opened, compared with for each path.

use crate::error::{Error, Result};

/// Where a mount begins.
///
/// **Shape**: `scheme://authority/path`, or an absolute path of this machine. Nothing is
/// percent-decoded: what stands in the URI is the name in the store, as Alluxio has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    text: String,
    scheme: String,
    authority: String,
    path: String,
}

impl Location {
    /// Takes `uri` apart. The scheme is lower-cased; an absolute path gets the scheme `file`.
    ///
    /// **Errors**: `InvalidUri` for a relative path, a URI without an authority where one is
    /// needed, `.`, `..` or NUL in the path, and for user information before an `@` other than
    /// Azure's container name, because a password would be printed with every message.
    pub fn parse(uri: &str) -> Result<Self> {
        let refuse = |why: &str| {
            let shown = hide_user_information(uri);
            Err(Error::InvalidUri { uri: shown, why: why.to_owned() })
        };
        let (scheme, authority, path) = if uri.starts_with('/') {
            ("file".to_owned(), "", uri)
        } else if let Some((scheme, rest)) = uri.split_once("://") {
            let (authority, path) = match rest.find('/') {
                Some(cut) => rest.split_at(cut),
                None => (rest, ""),
            };
            (scheme.to_ascii_lowercase(), authority, path)
        } else if let Some(path) = uri.strip_prefix("file:") {
            ("file".to_owned(), "", path)
        } else {
            return refuse("write an absolute path, or a URI such as s3://bucket/directory");
        };
        if scheme.is_empty()
            || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        {
            return refuse("the part before :// is not the name of a scheme");
        }
        if scheme == "file" && !authority.is_empty() {
            return refuse("a file URI has three slashes: file:///directory");
        }
        if scheme == "file" && !path.starts_with('/') {
            return refuse("a path of this machine starts with /");
        }
        if scheme != "file" && authority.is_empty() {
            return refuse("the name of the bucket or host is missing after ://");
        }
        if authority.contains('@') && !has_container_in_authority(&scheme) {
            return refuse("put user and password into mount options, not into the URI");
        }
        let Some(path) = normalize(path) else {
            return refuse("its path contains . or .. or a NUL byte");
        };
        let mut text =
            if uri.starts_with('/') { String::new() } else { format!("{scheme}://{authority}") };
        if path.is_empty() && text.is_empty() {
            text.push('/');
        } else if !path.is_empty() {
            text.push('/');
            text.push_str(&path);
        }
        Ok(Location { text, scheme, authority: authority.to_owned(), path })
    }

    /// The URI, without a trailing slash unless it is `/`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme in lower case; `file` for a path of this machine.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Bucket, host and port, or name service; empty for a path of this machine.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path within the store: no slash at either end, empty for its root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The part of `uri` below this location: components joined by `/`, empty for the location
    /// itself.
    ///
    /// **Errors**: `OutsideMount`.
    pub fn relative(&self, uri: &str) -> Result<String> {
        let outside =
            || Error::OutsideMount { uri: hide_user_information(uri), root: self.text.clone() };
        // `file:///a` and `/a` are one place; both forms come in as the mount was written.
        let rest = if self.text == "/" {
            uri.strip_prefix('/').ok_or_else(outside)?
        } else {
            let rest = uri.strip_prefix(self.text.as_str()).ok_or_else(outside)?;
            if !rest.is_empty() && !rest.starts_with('/') {
                return Err(outside());
            }
            rest
        };
        normalize(rest).ok_or_else(outside)
    }

    /// The URI of `relative` (no leading slash, may be empty) below this location.
    pub fn join(&self, relative: &str) -> String {
        alluxio_types::mount::join_uri(&self.text, relative)
    }
}

/// Whether a name can be a component of a path here: listings leave others out.
pub(crate) fn is_usable_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Splits a relative path into its parent and its last component.
pub(crate) fn split_last(relative: &str) -> (&str, &str) {
    relative.rsplit_once('/').unwrap_or(("", relative))
}

fn normalize(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if !is_usable_name(part) {
            return None;
        }
        if !out.is_empty() {
            out.push('/');
        }
        out.push_str(part);
    }
    Some(out)
}

/// Azure writes `container@account.host`.
fn has_container_in_authority(scheme: &str) -> bool {
    matches!(scheme, "abfs" | "abfss" | "wasb" | "wasbs")
}

fn hide_user_information(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) if !has_container_in_authority(scheme) => {
            format!("{scheme}://******{}", &rest[at..])
        }
        _ => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_taken_apart() {
        for (uri, text, scheme, authority, path) in [
            ("/a//b/", "/a/b", "file", "", "a/b"),
            ("/", "/", "file", "", ""),
            ("file:///a", "file:///a", "file", "", "a"),
            ("S3://bucket", "s3://bucket", "s3", "bucket", ""),
            ("s3a://bucket/x y/%41/", "s3a://bucket/x y/%41", "s3a", "bucket", "x y/%41"),
            ("hdfs://nn:8020/data", "hdfs://nn:8020/data", "hdfs", "nn:8020", "data"),
            ("abfs://c@acct.dfs/d", "abfs://c@acct.dfs/d", "abfs", "c@acct.dfs", "d"),
        ] {
            let location = Location::parse(uri).unwrap();
            assert_eq!(location.as_str(), text);
            assert_eq!(location.scheme(), scheme);
            assert_eq!(location.authority(), authority);
            assert_eq!(location.path(), path);
        }
    }

    #[test]
    fn senseless_uris_are_refused_without_showing_a_password() {
        for uri in ["", "a/b", "s3://", "s3:///x", "file://host/x", "s3://b/../c", "://b/x"] {
            assert!(matches!(Location::parse(uri), Err(Error::InvalidUri { .. })), "{uri}");
        }
        let message = Location::parse("http://ann:hush@host/x").unwrap_err().to_string();
        assert!(!message.contains("hush"), "{message}");
        assert!(message.contains("mount options"), "{message}");
    }

    #[test]
    fn paths_are_relative_to_the_mount_and_never_leave_it() {
        let root = Location::parse("s3://bucket/dir").unwrap();
        assert_eq!(root.relative("s3://bucket/dir").unwrap(), "");
        assert_eq!(root.relative("s3://bucket/dir/a//b/").unwrap(), "a/b");
        assert_eq!(root.join("a/b"), "s3://bucket/dir/a/b");
        for uri in ["s3://bucket/dirty", "s3://bucket", "s3://bucket/dir/../x", "/dir/a"] {
            assert!(matches!(root.relative(uri), Err(Error::OutsideMount { .. })), "{uri}");
        }
        assert_eq!(Location::parse("/").unwrap().relative("/a").unwrap(), "a");
    }
}
