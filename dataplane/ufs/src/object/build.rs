//! From a URI and options to a bucket.

use super::version::VersionBy;
use super::{ObjectUfs, Shared};
use crate::client::http_client;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::options::{Known, Options, plain, secret};
use crate::registry::UfsSettings;
use crate::retry::Retries;
use crate::under_fs::UnderFs;
use alluxio_types::{ByteSize, MountOptions};
use opendal::layers::{RetryEvent, RetryLayer, TimeoutLayer};
use opendal::services::{Azblob, Azdls, Cos, Gcs, Obs, Oss, S3, Swift};
use opendal::{Builder, HttpTransporter, OperationContext, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Schemes of buckets.
pub(crate) const SCHEMES: &[&str] = &[
    "s3", "s3a", "s3n", "gs", "abfs", "abfss", "wasb", "wasbs", "oss", "cos", "cosn", "obs",
    "swift",
];

/// Least bytes of a part of an upload, unless `…streaming.upload.partition.size` says otherwise.
/// Without a known length, 10,000 of them are 160 GB.
const PART_BYTES: u64 = 16 * 1024 * 1024;
/// Objects copied at a time, unless `alluxio.underfs.object.store.service.threads` says otherwise.
const COPIES_AT_A_TIME: usize = 20;
/// S3 takes no smaller parts.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;

const S3_OPTIONS: &[Known] = &[
    secret("s3a.accessKeyId", &["aws.accessKeyId", "alluxio.underfs.s3.accessKeyId"]),
    secret("s3a.secretKey", &["aws.secretKey", "alluxio.underfs.s3.secretKey"]),
    secret("s3a.sessionToken", &["aws.sessionToken"]),
    plain("alluxio.underfs.s3.endpoint", &[]),
    plain("alluxio.underfs.s3.region", &["alluxio.underfs.s3.endpoint.region", "aws.region"]),
    plain("alluxio.underfs.s3.disable.dns.buckets", &[]),
    plain("alluxio.underfs.s3.list.objects.v1", &[]),
    plain("alluxio.underfs.s3.server.side.encryption.enabled", &[]),
    plain("alluxio.underfs.s3.secure.http.enabled", &[]),
    plain("alluxio.underfs.s3.streaming.upload.partition.size", &[]),
    // Sizes of thread pools, owners and sockets of the JVM client: accepted, and of no effect.
    plain("alluxio.underfs.s3.*", &[]),
];
const GCS_OPTIONS: &[Known] = &[
    plain("fs.gcs.credential.path", &[]),
    secret("fs.gcs.accessKeyId", &[]),
    secret("fs.gcs.secretAccessKey", &[]),
    plain("alluxio.underfs.gcs.endpoint", &[]),
    plain("alluxio.underfs.gcs.*", &[]),
];
const AZURE_OPTIONS: &[Known] = &[
    secret("fs.azure.account.key.*", &["fs.azure.account.key"]),
    secret("fs.azure.sas.*", &["fs.azure.sas"]),
    secret("fs.azure.account.oauth2.client.secret*", &[]),
    plain("fs.azure.account.oauth2.client.id*", &[]),
    plain("fs.azure.account.oauth2.client.endpoint*", &[]),
    plain("fs.azure.account.auth.type*", &[]),
    plain("fs.azure.account.oauth.provider.type*", &[]),
    plain("fs.azure.endpoint", &[]),
    plain("alluxio.underfs.azure.*", &[]),
];
const OSS_OPTIONS: &[Known] = &[
    secret("fs.oss.accessKeyId", &[]),
    secret("fs.oss.accessKeySecret", &[]),
    secret("fs.oss.securityToken", &[]),
    plain("fs.oss.endpoint", &[]),
    plain("alluxio.underfs.oss.*", &[]),
];
const COS_OPTIONS: &[Known] = &[
    secret("fs.cos.access.key", &["fs.cosn.userinfo.secretId"]),
    secret("fs.cos.secret.key", &["fs.cosn.userinfo.secretKey"]),
    plain("fs.cos.region", &["fs.cosn.bucket.region"]),
    plain("fs.cos.app.id", &["fs.cosn.userinfo.appid"]),
    plain("fs.cos.endpoint", &[]),
    plain("alluxio.underfs.cos.*", &["alluxio.underfs.cosn.version"]),
];
const OBS_OPTIONS: &[Known] = &[
    secret("fs.obs.accessKey", &["fs.obs.access.key"]),
    secret("fs.obs.secretKey", &["fs.obs.secret.key"]),
    plain("fs.obs.endpoint", &[]),
    plain("fs.obs.bucketType", &[]),
    plain("alluxio.underfs.obs.*", &[]),
];
const SWIFT_OPTIONS: &[Known] = &[
    secret("fs.swift.token", &["fs.swift.auth.token"]),
    plain("fs.swift.auth.url", &["fs.swift.endpoint"]),
    plain("fs.swift.region", &[]),
];

/// What a scheme's builder found out.
struct Recipe {
    operator: Operator,
    options: Options,
    version_by: VersionBy,
    credential_options: &'static str,
}

/// Opens the bucket at `location`.
pub(crate) fn open(
    location: &Location,
    mount: &MountOptions,
    settings: &UfsSettings,
) -> Result<Arc<dyn UnderFs>> {
    let recipe = match location.scheme() {
        "s3" | "s3a" | "s3n" => s3(location, mount, settings)?,
        "gs" => gcs(location, mount, settings)?,
        "abfs" | "abfss" => azure_data_lake(location, mount, settings)?,
        "wasb" | "wasbs" => azure_blob(location, mount, settings)?,
        "oss" => oss(location, mount, settings)?,
        "cos" | "cosn" => cos(location, mount, settings)?,
        "obs" => obs(location, mount, settings)?,
        "swift" => swift(location, mount, settings)?,
        other => {
            let uri = location.as_str().to_owned();
            let known = SCHEMES.join(", ");
            debug_assert!(!SCHEMES.contains(&other), "{other} is listed and not built");
            return Err(Error::UnsupportedScheme { uri, known });
        }
    };
    let options = &recipe.options;
    let part = "alluxio.underfs.s3.streaming.upload.partition.size";
    let part_bytes = match options.get(part) {
        None => PART_BYTES,
        Some(text) => match ByteSize::parse(text) {
            Some(size) if size.0 >= PART_BYTES_MIN => size.0,
            _ => return Err(options.invalid(part, "write a size of at least 5MB, such as 64MB")),
        },
    };
    let breadcrumbs = "alluxio.underfs.object.store.breadcrumbs.enabled";
    let page_entries = options.number("alluxio.underfs.listing.length", 1)?;
    let copies = options.number("alluxio.underfs.object.store.service.threads", 1)?;
    let retries = settings.retries(options)?;
    let reads = layered(recipe.operator, &retries, client(location, options)?);
    let shared = Shared {
        location: location.clone(),
        operator: retrying(reads.clone(), &retries),
        reads,
        redactor: options.redactor(),
        credential_options: recipe.credential_options,
        version_by: recipe.version_by,
        retries,
        copies_at_a_time: copies.map_or(COPIES_AT_A_TIME, |copies| copies as usize),
        breadcrumbs: options.get(breadcrumbs).is_none() || options.flag(breadcrumbs)?,
        part_bytes,
        page_entries: page_entries.map(|entries| usize::try_from(entries).unwrap_or(usize::MAX)),
        known: Mutex::new(HashSet::new()),
    };
    Ok(Arc::new(ObjectUfs { shared: Arc::new(shared) }))
}

/// Each try has a part of the operation's deadline, so that a connection that hangs leaves time for
/// another.
fn layered(operator: Operator, retries: &Retries, client: reqwest::Client) -> Operator {
    let transport = HttpTransporter::new(ReqwestTransport::new(client));
    let context = OperationContext::new().with_http_transport(transport);
    let per_try = retries.deadline / 3;
    let timeouts = TimeoutLayer::new().with_timeout(per_try).with_io_timeout(per_try);
    operator.with_context(context).layer(timeouts)
}

fn retrying(operator: Operator, retries: &Retries) -> Operator {
    // The error is left out of the line: it may quote the request.
    let log = |event: RetryEvent<'_>| {
        tracing::debug!(
            operation = ?event.op,
            attempt = event.attempt,
            kind = %event.err.kind(),
            "the under store failed for the moment, trying again"
        );
    };
    operator.layer(
        RetryLayer::new()
            .with_max_times(retries.times_max)
            .with_min_delay(retries.wait_min)
            .with_max_delay(retries.wait_max)
            .with_jitter()
            .with_notify(log),
    )
}

/// The mount's own connections.
fn client(location: &Location, options: &Options) -> Result<reqwest::Client> {
    let (host_option, port_option) =
        ("alluxio.underfs.s3.proxy.host", "alluxio.underfs.s3.proxy.port");
    let mut proxy = None;
    if let Some(host) = options.get(host_option) {
        let port = options.number(port_option, 1)?.unwrap_or(80);
        let found = reqwest::Proxy::all(format!("http://{host}:{port}"));
        proxy = Some(found.map_err(|_| options.invalid(host_option, "write the name of a host"))?);
    }
    http_client(location, proxy)
}

fn build<B: Builder>(location: &Location, options: &Options, builder: B) -> Result<Operator> {
    Operator::new(builder).map_err(|error| Error::InvalidUri {
        uri: location.as_str().to_owned(),
        why: options.redactor().clean(error.message()),
    })
}

fn root(location: &Location) -> String {
    format!("/{}", location.path())
}

fn endpoint_url(text: &str, secure: bool) -> String {
    if text.contains("://") {
        return text.trim_end_matches('/').to_owned();
    }
    let scheme = if secure { "https" } else { "http" };
    format!("{scheme}://{}", text.trim_end_matches('/'))
}

fn s3(location: &Location, mount: &MountOptions, settings: &UfsSettings) -> Result<Recipe> {
    let options = Options::resolve(location, mount, &settings.defaults, S3_OPTIONS)?;
    let mut builder = S3::default().bucket(location.authority()).root(&root(location));
    // The region is part of every signature. Stores other than Amazon's take any; at Amazon's, a
    // bucket elsewhere answers with its own region, which the error then shows.
    builder = builder.region(options.get("alluxio.underfs.s3.region").unwrap_or("us-east-1"));
    let endpoint = options.get("alluxio.underfs.s3.endpoint");
    if let Some(endpoint) = endpoint {
        // Of an endpoint without a scheme. Amazon's takes HTTPS whatever the default is.
        let secure = options.flag("alluxio.underfs.s3.secure.http.enabled")?
            || endpoint.ends_with(".amazonaws.com");
        builder = builder.endpoint(&endpoint_url(endpoint, secure));
    }
    // Amazon wants the bucket in the host name; elsewhere only a DNS that knows all buckets can.
    let path_style = match options.get("alluxio.underfs.s3.disable.dns.buckets") {
        Some(_) => options.flag("alluxio.underfs.s3.disable.dns.buckets")?,
        None => endpoint.is_some_and(|endpoint| !endpoint.contains("amazonaws.com")),
    };
    if !path_style {
        builder = builder.enable_virtual_host_style();
    }
    builder = match (options.get("s3a.accessKeyId"), options.get("s3a.secretKey")) {
        (Some(id), Some(key)) => {
            builder = builder.access_key_id(id).secret_access_key(key);
            if let Some(token) = options.get("s3a.sessionToken") {
                builder = builder.session_token(token);
            }
            builder.disable_config_load().disable_ec2_metadata()
        }
        (None, None) => builder,
        _ => return Err(half_a_pair(location, &options, "s3a.accessKeyId", "s3a.secretKey")),
    };
    if options.flag("alluxio.underfs.s3.list.objects.v1")? {
        builder = builder.disable_list_objects_v2();
    }
    if options.flag("alluxio.underfs.s3.server.side.encryption.enabled")? {
        builder = builder.server_side_encryption_with_s3_key();
    }
    Ok(Recipe {
        operator: build(location, &options, builder)?,
        options,
        version_by: VersionBy::EntityTag,
        credential_options: "s3a.accessKeyId and s3a.secretKey",
    })
}

/// One of two options that only make sense together.
fn half_a_pair(
    location: &Location,
    options: &Options,
    first: &'static str,
    second: &'static str,
) -> Error {
    let name = if options.get(first).is_some() { second } else { first };
    let why = "the other half of the credentials is set";
    Error::MissingOption { uri: location.as_str().to_owned(), name, why }
}

fn gcs(location: &Location, mount: &MountOptions, settings: &UfsSettings) -> Result<Recipe> {
    let options = Options::resolve(location, mount, &settings.defaults, GCS_OPTIONS)?;
    let credential_options =
        "fs.gcs.credential.path, or fs.gcs.accessKeyId and fs.gcs.secretAccessKey";
    let endpoint = options.get("alluxio.underfs.gcs.endpoint");
    match (options.get("fs.gcs.accessKeyId"), options.get("fs.gcs.secretAccessKey")) {
        (Some(id), Some(key)) => {
            // HMAC keys belong to the S3-compatible interface.
            let builder = S3::default()
                .bucket(location.authority())
                .root(&root(location))
                .region("auto")
                .endpoint(&endpoint_url(endpoint.unwrap_or("storage.googleapis.com"), true))
                .access_key_id(id)
                .secret_access_key(key)
                .disable_config_load()
                .disable_ec2_metadata();
            let operator = build(location, &options, builder)?;
            let version_by = VersionBy::EntityTag;
            Ok(Recipe { operator, options, version_by, credential_options })
        }
        (None, None) => {
            let mut builder = Gcs::default().bucket(location.authority()).root(&root(location));
            if let Some(endpoint) = endpoint {
                builder = builder.endpoint(&endpoint_url(endpoint, true));
            }
            if let Some(path) = options.get("fs.gcs.credential.path") {
                builder = builder.credential_path(path).disable_vm_metadata();
            }
            let operator = build(location, &options, builder)?;
            let version_by = VersionBy::Generation;
            Ok(Recipe { operator, options, version_by, credential_options })
        }
        _ => Err(half_a_pair(location, &options, "fs.gcs.accessKeyId", "fs.gcs.secretAccessKey")),
    }
}

/// `container@account.host`, taken apart.
struct AzureAuthority<'a> {
    container: &'a str,
    host: &'a str,
    account: &'a str,
}

fn azure_authority<'a>(location: &'a Location, example: &str) -> Result<AzureAuthority<'a>> {
    let invalid = || Error::InvalidUri {
        uri: location.as_str().to_owned(),
        why: format!("write container and account, as in {example}"),
    };
    let (container, host) = location.authority().split_once('@').ok_or_else(invalid)?;
    let account = host.split(['.', ':']).next().unwrap_or(host);
    if container.is_empty() || account.is_empty() {
        return Err(invalid());
    }
    Ok(AzureAuthority { container, host, account })
}

/// The value of `stem` for this account: `stem.account.host`, `stem.account` or `stem` alone.
fn azure_option<'a>(
    options: &'a Options,
    stem: &str,
    authority: &AzureAuthority<'_>,
) -> Option<&'a str> {
    options
        .get(&format!("{stem}.{}", authority.host))
        .or_else(|| options.get(&format!("{stem}.{}", authority.account)))
        .or_else(|| options.get(stem))
}

const AZURE_CREDENTIALS: &str = "fs.azure.account.key.<account>, fs.azure.sas.<account>, or \
     fs.azure.account.oauth2.client.id, .secret and .endpoint";

fn azure_data_lake(
    location: &Location,
    mount: &MountOptions,
    settings: &UfsSettings,
) -> Result<Recipe> {
    let options = Options::resolve(location, mount, &settings.defaults, AZURE_OPTIONS)?;
    let authority =
        azure_authority(location, "abfss://container@account.dfs.core.windows.net/directory")?;
    let endpoint = options.get("fs.azure.endpoint").unwrap_or(authority.host);
    let secure = location.scheme() == "abfss" || endpoint.ends_with(".windows.net");
    let mut builder = Azdls::default()
        .filesystem(authority.container)
        .root(&root(location))
        .endpoint(&endpoint_url(endpoint, secure))
        .account_name(authority.account);
    if let Some(key) = azure_option(&options, "fs.azure.account.key", &authority) {
        builder = builder.account_key(key);
    }
    if let Some(token) = azure_option(&options, "fs.azure.sas", &authority) {
        builder = builder.sas_token(token);
    }
    let stem = "fs.azure.account.oauth2.client";
    let client = |what: &str| azure_option(&options, &format!("{stem}.{what}"), &authority);
    if let (Some(id), Some(key)) = (client("id"), client("secret")) {
        builder = builder.client_id(id).client_secret(key);
        if let Some(tenant) = client("endpoint").and_then(tenant) {
            builder = builder.tenant_id(tenant);
        }
    }
    let operator = build(location, &options, builder)?;
    let version_by = VersionBy::EntityTag;
    Ok(Recipe { operator, options, version_by, credential_options: AZURE_CREDENTIALS })
}

/// The tenant in `https://login.microsoftonline.com/<tenant>/oauth2/token`.
fn tenant(endpoint: &str) -> Option<&str> {
    endpoint.split_once("://")?.1.split('/').nth(1).filter(|tenant| !tenant.is_empty())
}

fn azure_blob(location: &Location, mount: &MountOptions, settings: &UfsSettings) -> Result<Recipe> {
    let options = Options::resolve(location, mount, &settings.defaults, AZURE_OPTIONS)?;
    let authority =
        azure_authority(location, "wasbs://container@account.blob.core.windows.net/directory")?;
    let endpoint = options.get("fs.azure.endpoint").unwrap_or(authority.host);
    let mut builder = Azblob::default()
        .container(authority.container)
        .root(&root(location))
        .endpoint(&endpoint_url(endpoint, location.scheme() == "wasbs"))
        .account_name(authority.account);
    if let Some(key) = azure_option(&options, "fs.azure.account.key", &authority) {
        builder = builder.account_key(key);
    }
    if let Some(token) = azure_option(&options, "fs.azure.sas", &authority) {
        builder = builder.sas_token(token);
    }
    let operator = build(location, &options, builder)?;
    let version_by = VersionBy::EntityTag;
    Ok(Recipe { operator, options, version_by, credential_options: AZURE_CREDENTIALS })
}

fn oss(location: &Location, mount: &MountOptions, settings: &UfsSettings) -> Result<Recipe> {
    let options = Options::resolve(location, mount, &settings.defaults, OSS_OPTIONS)?;
    let endpoint = options.required("fs.oss.endpoint", "the region's host")?;
    let mut builder = Oss::default()
        .bucket(location.authority())
        .root(&root(location))
        .endpoint(&endpoint_url(endpoint, true));
    if let Some(id) = options.get("fs.oss.accessKeyId") {
        builder = builder.access_key_id(id);
    }
    if let Some(key) = options.get("fs.oss.accessKeySecret") {
        builder = builder.access_key_secret(key);
    }
    if let Some(token) = options.get("fs.oss.securityToken") {
        builder = builder.security_token(token);
    }
    Ok(Recipe {
        operator: build(location, &options, builder)?,
        options,
        version_by: VersionBy::EntityTag,
        credential_options: "fs.oss.accessKeyId and fs.oss.accessKeySecret",
    })
}

fn cos(location: &Location, mount: &MountOptions, settings: &UfsSettings) -> Result<Recipe> {
    let options = Options::resolve(location, mount, &settings.defaults, COS_OPTIONS)?;
    let endpoint = match options.get("fs.cos.endpoint") {
        Some(endpoint) => endpoint_url(endpoint, true),
        None => {
            let region = options.required("fs.cos.region", "it is part of the host's name")?;
            format!("https://cos.{region}.myqcloud.com")
        }
    };
    // The service knows a bucket by its name and the number of its owner.
    let bucket = match options.get("fs.cos.app.id") {
        Some(id) if !location.authority().ends_with(&format!("-{id}")) => {
            format!("{}-{id}", location.authority())
        }
        _ => location.authority().to_owned(),
    };
    let mut builder = Cos::default().bucket(&bucket).root(&root(location)).endpoint(&endpoint);
    if let (Some(id), Some(key)) =
        (options.get("fs.cos.access.key"), options.get("fs.cos.secret.key"))
    {
        builder = builder.secret_id(id).secret_key(key).disable_config_load();
    }
    Ok(Recipe {
        operator: build(location, &options, builder)?,
        options,
        version_by: VersionBy::EntityTag,
        credential_options: "fs.cos.access.key and fs.cos.secret.key",
    })
}

fn obs(location: &Location, mount: &MountOptions, settings: &UfsSettings) -> Result<Recipe> {
    let options = Options::resolve(location, mount, &settings.defaults, OBS_OPTIONS)?;
    let endpoint = options.required("fs.obs.endpoint", "the region's host")?;
    let mut builder = Obs::default()
        .bucket(location.authority())
        .root(&root(location))
        .endpoint(&endpoint_url(endpoint, true));
    if let Some(id) = options.get("fs.obs.accessKey") {
        builder = builder.access_key_id(id);
    }
    if let Some(key) = options.get("fs.obs.secretKey") {
        builder = builder.secret_access_key(key);
    }
    Ok(Recipe {
        operator: build(location, &options, builder)?,
        options,
        version_by: VersionBy::EntityTag,
        credential_options: "fs.obs.accessKey and fs.obs.secretKey",
    })
}

fn swift(location: &Location, mount: &MountOptions, settings: &UfsSettings) -> Result<Recipe> {
    let options = Options::resolve(location, mount, &settings.defaults, SWIFT_OPTIONS)?;
    let why = "the account's storage URL, as in https://host/v1/AUTH_account";
    let endpoint = options.required("fs.swift.auth.url", why)?;
    let token = options.required("fs.swift.token", "every request carries it")?;
    let builder = Swift::default()
        .container(location.authority())
        .root(&root(location))
        .endpoint(&endpoint_url(endpoint, true))
        .token(token);
    Ok(Recipe {
        operator: build(location, &options, builder)?,
        options,
        version_by: VersionBy::EntityTag,
        credential_options: "fs.swift.token",
    })
}
