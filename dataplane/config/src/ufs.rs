//! Options of under stores: names, types, which are credentials.
//!
//! The same names work in three places: as `--option` of a mount, below
//! `alluxio.master.mount.table.<name>.option.`, and alone in the site file as the default of every
//! mount. They are read by the crate that talks to under stores; this file only knows the words.

use crate::error::Fault;
use crate::reader::Reader;
use crate::spec::{KeySpec, Kind, Roles, keys};
use crate::{MASK, registry, value};
use alluxio_types::MountOptions;
use std::collections::BTreeMap;

const SERVERS: Roles = Roles::SERVERS;

keys! {
    /// S3: access key. Without one, the usual chain of AWS: environment, profile, instance role.
    S3_ACCESS_KEY = "s3a.accessKeyId", Kind::Text, aliases: &["aws.accessKeyId"], credential: true,
        roles: SERVERS;
    /// S3: secret key.
    S3_SECRET_KEY = "s3a.secretKey", Kind::Text, aliases: &["aws.secretKey"], credential: true,
        roles: SERVERS;
    /// S3: token of temporary credentials.
    S3_SESSION_TOKEN = "s3a.sessionToken", Kind::Text, aliases: &["aws.sessionToken"],
        credential: true, roles: SERVERS;
    /// S3: URL of a compatible store; without one, Amazon's.
    S3_ENDPOINT = "alluxio.underfs.s3.endpoint", Kind::Text,
        aliases: &["alluxio.underfs.s3a.endpoint"], roles: SERVERS;
    /// S3: region of the endpoint, for signatures.
    S3_ENDPOINT_REGION = "alluxio.underfs.s3.endpoint.region", Kind::Text, roles: SERVERS;
    /// S3: region of the bucket; without one, it is asked for.
    S3_REGION = "alluxio.underfs.s3.region", Kind::Text, aliases: &["alluxio.underfs.s3a.region"],
        roles: SERVERS;
    /// S3: whether the bucket is part of the path instead of the host name. Compatible stores on an
    /// IP address need it.
    S3_PATH_STYLE = "alluxio.underfs.s3.disable.dns.buckets", Kind::Bool,
        aliases: &["alluxio.underfs.s3a.disable.dns.buckets"], default: Some("false"),
        roles: SERVERS;
    /// S3: permission bits of files and directories, in octal.
    S3_MODE = "alluxio.underfs.s3.default.mode", Kind::Octal,
        aliases: &["alluxio.underfs.s3a.default.mode"], default: Some("0700"), roles: SERVERS;
    /// S3: whether the owner of a bucket is the owner of its files.
    S3_INHERIT_ACL = "alluxio.underfs.s3.inherit.acl", Kind::Bool,
        aliases: &["alluxio.underfs.s3a.inherit_acl"], default: Some("true"), roles: SERVERS;
    /// S3: user names by canonical id, `id1=user1;id2=user2`.
    S3_OWNER_MAPPING = "alluxio.underfs.s3.owner.id.to.username.mapping", Kind::Text,
        aliases: &["alluxio.underfs.s3a.owner.id.to.username.mapping"], roles: SERVERS;
    /// S3: calls in flight to one bucket.
    S3_CONCURRENCY = "alluxio.underfs.s3.threads.max", Kind::int(1, 10_000),
        aliases: &["alluxio.underfs.s3a.threads.max"], default: Some("40"), roles: SERVERS;
    /// S3: parts of one upload in flight.
    S3_UPLOAD_CONCURRENCY = "alluxio.underfs.s3.upload.threads.max", Kind::int(1, 1000),
        aliases: &["alluxio.underfs.s3.upload.threads", "alluxio.underfs.s3a.upload.threads.max"],
        default: Some("20"), roles: SERVERS;
    /// S3: how long a silent connection is kept waiting.
    S3_SOCKET_TIMEOUT = "alluxio.underfs.s3.socket.timeout", Kind::time(1),
        aliases: &["alluxio.underfs.s3a.socket.timeout", "alluxio.underfs.s3a.socket.timeout.ms"],
        default: Some("50s"), roles: SERVERS;
    /// S3: how long one call may take.
    S3_REQUEST_TIMEOUT = "alluxio.underfs.s3.request.timeout", Kind::time(1),
        aliases: &["alluxio.underfs.s3a.request.timeout", "alluxio.underfs.s3a.request.timeout.ms"],
        default: Some("1min"), roles: SERVERS;
    /// S3: how often a failed call is made again; without a value, the common retry rule.
    S3_RETRIES = "alluxio.underfs.s3.max.error.retry", Kind::int(0, 1000), roles: SERVERS;
    /// S3: bytes of one part of an upload.
    S3_PART_SIZE = "alluxio.underfs.s3.streaming.upload.partition.size",
        Kind::Size { min: 5 << 20, max: 5 << 30 },
        aliases: &["alluxio.underfs.s3a.streaming.upload.partition.size"], default: Some("64MB"),
        roles: SERVERS;
    /// S3: whether uploads start before the file is complete. They always do here.
    S3_STREAMING = "alluxio.underfs.s3.streaming.upload.enabled", Kind::Bool,
        aliases: &["alluxio.underfs.s3a.streaming.upload.enabled"], default: Some("true"),
        roles: SERVERS;
    /// S3: whether listings use the first version of that call, for old compatible stores.
    S3_LIST_V1 = "alluxio.underfs.s3.list.objects.v1", Kind::Bool,
        aliases: &["alluxio.underfs.s3a.list.objects.v1"], default: Some("false"), roles: SERVERS;
    /// S3: whether the store encrypts what is written.
    S3_ENCRYPTION = "alluxio.underfs.s3.server.side.encryption.enabled", Kind::Bool,
        aliases: &["alluxio.underfs.s3a.server.side.encryption.enabled"], default: Some("false"),
        roles: SERVERS;
    /// S3: whether an endpoint without a scheme is reached by HTTPS.
    S3_SECURE = "alluxio.underfs.s3.secure.http.enabled", Kind::Bool,
        aliases: &["alluxio.underfs.s3a.secure.http.enabled"], default: Some("false"),
        roles: SERVERS;
    /// S3: ending of the keys that stand for directories.
    S3_DIRECTORY_SUFFIX = "alluxio.underfs.s3.directory.suffix", Kind::Text,
        aliases: &["alluxio.underfs.s3a.directory.suffix"], default: Some("/"), roles: SERVERS;
    /// Google: path of the JSON file with a service account's key.
    GCS_CREDENTIAL_PATH = "fs.gcs.credential.path", Kind::Text, roles: SERVERS;
    /// Google: access key of the S3-compatible interface.
    GCS_ACCESS_KEY = "fs.gcs.accessKeyId", Kind::Text, credential: true, roles: SERVERS;
    /// Google: secret key of the S3-compatible interface.
    GCS_SECRET_KEY = "fs.gcs.secretAccessKey", Kind::Text, credential: true, roles: SERVERS;
    /// Google: URL of a compatible store.
    GCS_ENDPOINT = "alluxio.underfs.gcs.endpoint", Kind::Text, roles: SERVERS;
    /// Google: version of the connector; both mean the same here.
    GCS_VERSION = "alluxio.underfs.gcs.version", Kind::int(1, 2), default: Some("2"),
        roles: SERVERS;
    /// Google: permission bits of files and directories, in octal.
    GCS_MODE = "alluxio.underfs.gcs.default.mode", Kind::Octal, default: Some("0700"),
        roles: SERVERS;
    /// Alibaba OSS: access key.
    OSS_ACCESS_KEY = "fs.oss.accessKeyId", Kind::Text, credential: true, roles: SERVERS;
    /// Alibaba OSS: secret key.
    OSS_SECRET_KEY = "fs.oss.accessKeySecret", Kind::Text, credential: true, roles: SERVERS;
    /// Alibaba OSS: token of temporary credentials.
    OSS_TOKEN = "fs.oss.securityToken", Kind::Text, credential: true, roles: SERVERS;
    /// Alibaba OSS: endpoint.
    OSS_ENDPOINT = "fs.oss.endpoint", Kind::Text, roles: SERVERS;
    /// Tencent COS: secret id.
    COS_ACCESS_KEY = "fs.cos.access.key", Kind::Text, credential: true, roles: SERVERS;
    /// Tencent COS: secret key.
    COS_SECRET_KEY = "fs.cos.secret.key", Kind::Text, credential: true, roles: SERVERS;
    /// Tencent COS: region.
    COS_REGION = "fs.cos.region", Kind::Text, roles: SERVERS;
    /// Tencent COS: application id, the last part of the bucket's full name.
    COS_APP_ID = "fs.cos.app.id", Kind::Text, roles: SERVERS;
    /// Tencent COS: endpoint, when it is not the region's.
    COS_ENDPOINT = "fs.cos.endpoint", Kind::Text, roles: SERVERS;
    /// Huawei OBS: access key.
    OBS_ACCESS_KEY = "fs.obs.accessKey", Kind::Text, credential: true, roles: SERVERS;
    /// Huawei OBS: secret key.
    OBS_SECRET_KEY = "fs.obs.secretKey", Kind::Text, credential: true, roles: SERVERS;
    /// Huawei OBS: endpoint.
    OBS_ENDPOINT = "fs.obs.endpoint", Kind::Text, roles: SERVERS;
    /// Huawei OBS: kind of bucket, `obs` or `pfs`.
    OBS_BUCKET_TYPE = "fs.obs.bucketType", Kind::Text, default: Some("obs"), roles: SERVERS;
    /// Swift: user.
    SWIFT_USER = "fs.swift.user", Kind::Text, roles: SERVERS;
    /// Swift: tenant or project.
    SWIFT_TENANT = "fs.swift.tenant", Kind::Text, roles: SERVERS;
    /// Swift: password.
    SWIFT_PASSWORD = "fs.swift.password", Kind::Text, credential: true, roles: SERVERS;
    /// Swift: URL where a token is asked for, or of the store.
    SWIFT_AUTH_URL = "fs.swift.auth.url", Kind::Text, roles: SERVERS;
    /// Swift: how a token is asked for.
    SWIFT_AUTH_METHOD = "fs.swift.auth.method", Kind::Text, roles: SERVERS;
    /// Swift: region.
    SWIFT_REGION = "fs.swift.region", Kind::Text, roles: SERVERS;
    /// Swift: a ready token.
    SWIFT_TOKEN = "fs.swift.token", Kind::Text, credential: true, roles: SERVERS;
    /// Azure: key of the account `<rest>` (`NAME.blob.core.windows.net`, `NAME.dfs.…`).
    AZURE_ACCOUNT_KEY = "fs.azure.account.key.<rest>", Kind::Text, credential: true,
        roles: SERVERS;
    /// Azure: shared access signature of `<rest>` (container and account).
    AZURE_SAS = "fs.azure.sas.<rest>", Kind::Text, credential: true, roles: SERVERS;
    /// Azure: client id of an application, for OAuth 2.
    AZURE_CLIENT_ID = "fs.azure.account.oauth2.client.id", Kind::Text, roles: SERVERS;
    /// Azure: secret of that application.
    AZURE_CLIENT_SECRET = "fs.azure.account.oauth2.client.secret", Kind::Text, credential: true,
        roles: SERVERS;
    /// Azure: URL where it gets its tokens.
    AZURE_CLIENT_ENDPOINT = "fs.azure.account.oauth2.client.endpoint", Kind::Text, roles: SERVERS;
    /// Azure: endpoint, when it does not follow from the account.
    AZURE_ENDPOINT = "fs.azure.endpoint", Kind::Text, roles: SERVERS;
    /// HDFS: Hadoop configuration files, separated by colons.
    HDFS_CONFIGURATION = "alluxio.underfs.hdfs.configuration", Kind::Text,
        default: Some("${alluxio.conf.dir}/core-site.xml:${alluxio.conf.dir}/hdfs-site.xml"),
        roles: SERVERS;
    /// HDFS: whether data nodes are remote. No effect on the native client.
    HDFS_REMOTE = "alluxio.underfs.hdfs.remote", Kind::Bool, default: Some("true"),
        roles: SERVERS;
    /// HDFS: user to act as.
    HDFS_USER = "alluxio.underfs.hdfs.user", Kind::Text, aliases: &["hadoop.user.name"],
        roles: SERVERS;
    /// HDFS: any option of Hadoop's client that starts with `dfs.`.
    HDFS_DFS = "dfs.<rest>", Kind::Text, roles: SERVERS;
    /// HDFS: any option of Hadoop's client that starts with `hadoop.`.
    HDFS_HADOOP = "hadoop.<rest>", Kind::Text, roles: SERVERS;
    /// HDFS: default file system of Hadoop's client.
    HDFS_DEFAULT_FS = "fs.defaultFS", Kind::Text, roles: SERVERS;
    /// WebHDFS: delegation token.
    WEBHDFS_DELEGATION = "alluxio.underfs.webhdfs.delegation", Kind::Text, credential: true,
        roles: SERVERS;
    /// HTTP: how long a connection may take.
    WEB_TIMEOUT = "alluxio.underfs.web.connection.timeout", Kind::time(1),
        aliases: &["alluxio.underfs.web.connnection.timeout"], default: Some("1min"),
        roles: SERVERS;
    /// HTTP: names of links that lead to the parent directory.
    WEB_PARENT_NAMES = "alluxio.underfs.web.parent.names", Kind::List,
        default: Some("Parent Directory,..,../"), roles: SERVERS;
    /// HTTP: titles of pages that are listings.
    WEB_TITLES = "alluxio.underfs.web.titles", Kind::List,
        default: Some("Index of ,Directory listing for "), roles: SERVERS;
    /// HTTP: user name of basic authentication.
    WEB_USER = "alluxio.underfs.web.username", Kind::Text, roles: SERVERS;
    /// HTTP: password of basic authentication.
    WEB_PASSWORD = "alluxio.underfs.web.password", Kind::Text, credential: true, roles: SERVERS;
    /// HTTP: bearer token.
    WEB_TOKEN = "alluxio.underfs.web.token", Kind::Text, credential: true, roles: SERVERS;
    /// Object stores: whether reading a directory leaves a key behind that stands for it.
    OBJECT_BREADCRUMBS = "alluxio.underfs.object.store.breadcrumbs.enabled", Kind::Bool,
        default: Some("true"), roles: SERVERS;
    /// Object stores: whether everybody may use every mount.
    OBJECT_SHARED = "alluxio.underfs.object.store.mount.shared.publicly", Kind::Bool,
        default: Some("false"), roles: SERVERS;
    /// Object stores: calls of one rename or delete of a directory in flight.
    OBJECT_CONCURRENCY = "alluxio.underfs.object.store.service.threads", Kind::int(1, 10_000),
        default: Some("20"), roles: SERVERS;
    /// Entries of one page of a listing.
    LISTING_LENGTH = "alluxio.underfs.listing.length", Kind::int(1, 1_000_000),
        default: Some("1000"), roles: SERVERS;
    /// Whether a store that cannot set owners only leads to a warning.
    OWNER_FAILURE = "alluxio.underfs.allow.set.owner.failure", Kind::Bool, default: Some("false"),
        roles: SERVERS;
    /// First pause between two tries of a failed call.
    RETRY_BASE = "alluxio.underfs.object.store.retry.base.sleep", Kind::time(1),
        default: Some("50ms"), roles: SERVERS;
    /// Longest pause.
    RETRY_MAX = "alluxio.underfs.object.store.retry.max.sleep", Kind::time(1), default: Some("30s"),
        roles: SERVERS;
    /// Number of tries.
    RETRY_COUNT = "alluxio.underfs.object.store.retry.max.num", Kind::int(0, 1000),
        aliases: &["alluxio.underfs.eventual.consistency.retry.max.num"], default: Some("10"),
        roles: SERVERS;
}

/// All options, for documentation and completion.
pub fn options() -> &'static [KeySpec] {
    KEYS
}

/// The option with that name or alias.
pub fn option(name: &str) -> Option<&'static KeySpec> {
    registry::find(name).map(|found| found.spec).filter(|spec| is_ours(spec))
}

/// Whether there is an option of that name.
pub fn is_option(name: &str) -> bool {
    option(name).is_some()
}

fn is_ours(spec: &KeySpec) -> bool {
    KEYS.iter().any(|own| own.name == spec.name)
}

/// The canonical name of an option; names that are not known stay as they are.
pub fn canonical_name(name: &str) -> String {
    match registry::find(name) {
        Some(found) if is_ours(found.spec) => found.name,
        _ => name.to_owned(),
    }
}

/// The same options under their canonical names. Where two names mean the same, the canonical one
/// wins.
pub fn canonical_options(options: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, text) in options {
        let canonical = canonical_name(&name);
        if canonical == name || !out.contains_key(&canonical) {
            out.insert(canonical, text);
        }
    }
    out
}

/// Checks options that somebody gave to a mount and brings them to canonical names and normal
/// values. Names outside our table are kept: stores have more options than we know.
///
/// **Errors**: one fault for every value of the wrong type, and for every `alluxio.*` name that is
/// not known.
pub fn check_options(options: BTreeMap<String, String>) -> Result<MountOptions, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut out = BTreeMap::new();
    for (name, text) in canonical_options(options) {
        let source_name = "mount option".to_owned();
        match option(&name) {
            Some(spec) => match value::normalize(&spec.kind, &text) {
                Some(normal) => {
                    out.insert(name, normal);
                }
                None => {
                    let value = if spec.credential { MASK.to_owned() } else { text };
                    let expected = spec.kind.to_string();
                    faults.push(Fault::BadValue { key: name, value, source_name, expected });
                }
            },
            None if name.starts_with("alluxio.") && registry::find(&name).is_none() => {
                let nearest = registry::nearest(&name);
                faults.push(Fault::UnknownKey { key: name, source_name, nearest });
            }
            None => {
                out.insert(name, text);
            }
        }
    }
    if faults.is_empty() { Ok(MountOptions(out)) } else { Err(faults) }
}

/// Words that make us treat an option that we do not know as a credential.
const SECRET_WORDS: [&str; 8] = [
    "secret",
    "password",
    "passwd",
    "token",
    "accesskey",
    "access.key",
    "credential",
    "account.key",
];

/// Whether the value of this option, or of this key of any mount, must not be printed.
pub fn is_credential(name: &str) -> bool {
    let name = match name.split_once(".option.") {
        Some((_, option)) => option,
        None => name,
    };
    match option(name) {
        Some(spec) => spec.credential,
        None if name.starts_with("alluxio.") => false,
        None => {
            let lower = name.to_lowercase();
            SECRET_WORDS.iter().any(|word| lower.contains(word))
        }
    }
}

/// Options set for all mounts.
pub(crate) fn site_options(r: &Reader<'_>) -> MountOptions {
    MountOptions(r.set_where(is_option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn old_names_become_canonical_and_the_canonical_one_wins() {
        let got = canonical_options(map(&[
            ("aws.accessKeyId", "old"),
            ("s3a.accessKeyId", "new"),
            ("alluxio.underfs.s3a.endpoint", "e"),
            ("vendor.option", "v"),
        ]));
        let want = map(&[
            ("s3a.accessKeyId", "new"),
            ("alluxio.underfs.s3.endpoint", "e"),
            ("vendor.option", "v"),
        ]);
        assert_eq!(got, want);
    }

    #[test]
    fn credentials_are_recognised_even_when_unknown() {
        for name in [
            "s3a.secretKey",
            "aws.secretKey",
            "fs.azure.account.key.acme.blob.core.windows.net",
            "alluxio.master.mount.table.x.option.s3a.accessKeyId",
            "fs.acme.apiToken",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["fs.oss.endpoint", "alluxio.underfs.s3.region", "dfs.nameservices"] {
            assert!(!is_credential(name), "{name}");
        }
    }

    #[test]
    fn faults_of_mount_options_never_show_a_secret() {
        let faults = check_options(map(&[
            ("alluxio.underfs.s3.disable.dns.buckets", "maybe"),
            ("alluxio.underfs.s3.endpont", "x"),
            ("s3a.secretKey", "hush"),
        ]))
        .unwrap_err();
        let text: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "alluxio.underfs.s3.disable.dns.buckets=maybe (mount option): expected true or false",
                "unknown key alluxio.underfs.s3.endpont (mount option), did you mean \
                 alluxio.underfs.s3.endpoint?",
            ]
        );
    }
}
