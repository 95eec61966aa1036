//! An etcd with TLS, client certificates, users and tokens that expire.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use alluxio_etcd::api::{
    Certificate, Client, ConnectOptions, Identity, Permission, PermissionType, PutOptions,
    TlsOptions, WatchOptions,
};
use alluxio_etcd::{Etcd, EtcdError, EtcdSettings, Secret, TlsFiles};
use alluxio_testservers::Etcd as EtcdServer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
const PASSWORD: &str = "correct horse battery";

/// Files of an authority, and of what it signed.
struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
        write("ca.pem", ca.pem());
        for (name, host) in [("server", "127.0.0.1"), ("client", "alluxio")] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
            write(&format!("{name}.pem"), params.signed_by(&key, &ca).unwrap().pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Certificates { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tls(&self) -> TlsFiles {
        TlsFiles {
            ca: Some(self.file("ca.pem")),
            identity: Some((self.file("client.pem"), self.file("client.key"))),
            server_name: None,
        }
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// An etcd that asks for certificates, and forgets tokens after two seconds. The user `alluxio` may do
/// everything below `/blue/`, the user `guest` nothing.
struct Secured {
    server: EtcdServer,
    certificates: Certificates,
}

impl Secured {
    async fn start() -> Self {
        let certificates = Certificates::make();
        let file = |name: &str| show(&certificates.file(name));
        let arguments = [
            "--cert-file".to_owned(),
            file("server.pem"),
            "--key-file".to_owned(),
            file("server.key"),
            "--trusted-ca-file".to_owned(),
            file("ca.pem"),
            "--client-cert-auth".to_owned(),
            "--auth-token-ttl".to_owned(),
            "2".to_owned(),
        ];
        let starting = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            EtcdServer::start_secured(1, &arguments)
        });
        let server = starting.await.unwrap();
        let secured = Secured { server, certificates };
        secured.make_users().await;
        secured
    }

    /// As an administrator does once.
    async fn make_users(&self) {
        let pem = |name: &str| std::fs::read(self.certificates.file(name)).unwrap();
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(pem("ca.pem")))
            .identity(Identity::from_pem(pem("client.pem"), pem("client.key")));
        let endpoint = format!("https://{}", self.server.endpoints()[0]);
        let options = ConnectOptions::new().with_tls(tls);
        let mut admin = Client::connect([endpoint], Some(options)).await.unwrap();
        admin.role_add("blue").await.unwrap();
        let all = Permission::new(PermissionType::Readwrite, "/blue/").with_prefix();
        admin.role_grant_permission("blue", all).await.unwrap();
        for (user, role) in [("root", "root"), ("alluxio", "blue"), ("guest", "")] {
            admin.user_add(user, PASSWORD, None).await.unwrap();
            if !role.is_empty() {
                admin.user_grant_role(user, role).await.unwrap();
            }
        }
        admin.auth_enable().await.unwrap();
    }

    fn settings(&self, user: &str, password: &str) -> EtcdSettings {
        EtcdSettings {
            endpoints: self.server.endpoints().iter().map(|at| format!("https://{at}")).collect(),
            cluster_name: "blue".into(),
            user: Some((user.to_owned(), Secret::new(password))),
            tls: Some(self.certificates.tls()),
        }
    }
}

async fn put(etcd: &Etcd) -> Result<(), EtcdError> {
    let key = etcd.keys().leader();
    let key = key.as_str();
    etcd.write(LIMIT, |mut client| async move { client.put(key, "m1", None::<PutOptions>).await })
        .await
        .map(|_| ())
}

async fn get(etcd: &Etcd) -> Result<usize, EtcdError> {
    let key = etcd.keys().leader();
    let key = key.as_str();
    let found = etcd.read(LIMIT, |mut client| async move { client.get(key, None).await }).await?;
    Ok(found.kvs().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_a_user_work_and_go_on_when_their_token_expires() {
    let secured = Secured::start().await;
    let etcd = Etcd::new(&secured.settings("alluxio", PASSWORD)).unwrap();
    put(&etcd).await.unwrap();
    let mut watcher = etcd.stream_client().await.unwrap();
    let key = etcd.keys().leader();
    let mut stream = watcher.watch(key.as_str(), None::<WatchOptions>).await.unwrap();
    // etcd counts a token's life from its last use, and looks once a second.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(get(&etcd).await, Ok(1));
    tokio::time::sleep(Duration::from_secs(4)).await;
    put(&etcd).await.unwrap();
    // The first message says that the watch began.
    let (mut events, mut messages) = (0, 0);
    while events == 0 && messages < 3 {
        let seen = tokio::time::timeout(LIMIT, stream.message()).await.unwrap().unwrap().unwrap();
        assert!(!seen.canceled(), "a watch outlives its token: {}", seen.cancel_reason());
        (events, messages) = (seen.events().len(), messages + 1);
    }
    assert_eq!(events, 1);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let mut late = etcd.stream_client().await.unwrap();
    let opened = tokio::time::timeout(LIMIT, late.watch(key.as_str(), None::<WatchOptions>)).await;
    let mut stream =
        opened.unwrap().expect("a watch can be asked for with a token that has expired");
    let first = tokio::time::timeout(LIMIT, stream.message()).await.unwrap();
    let is_open = first.is_ok_and(|first| first.is_some_and(|first| !first.canceled()));
    if !is_open {
        // The master's loops ask with a read, which renews the token, before they watch again.
        assert_eq!(get(&etcd).await, Ok(1));
        let mut fresh = etcd.stream_client().await.unwrap();
        let mut stream = fresh.watch(key.as_str(), None::<WatchOptions>).await.unwrap();
        let first = tokio::time::timeout(LIMIT, stream.message()).await.unwrap();
        assert!(!first.unwrap().unwrap().canceled());
    }
    let members = Box::pin(etcd.members()).await;
    assert!(members.iter().all(|member| member.health.is_ok()), "{members:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_with_the_key_that_mends_it() {
    let secured = Secured::start().await;
    let good = secured.settings("alluxio", PASSWORD);
    let says = |result: Result<(), EtcdError>| result.unwrap_err().to_string();

    let etcd = Etcd::new(&secured.settings("alluxio", "wrong")).unwrap();
    let wrong = put(&etcd).await.unwrap_err();
    assert!(matches!(wrong, EtcdError::Refused { .. }), "{wrong:?}");
    let text = wrong.to_string();
    assert!(
        text.contains("alluxio.etcd.username") && text.contains("alluxio.etcd.password"),
        "{text}"
    );
    assert!(!text.contains("wrong"), "a password is never shown: {text}");

    let etcd = Etcd::new(&secured.settings("guest", PASSWORD)).unwrap();
    let text = says(put(&etcd).await);
    assert!(text.contains("guest") && text.contains("/blue/"), "{text}");

    let text = says(put(&Etcd::new(&EtcdSettings { user: None, ..good.clone() }).unwrap()).await);
    assert!(text.contains("alluxio.etcd.username"), "{text}");

    let other = Certificates::make();
    let foreign = TlsFiles { ca: Some(other.file("ca.pem")), ..secured.certificates.tls() };
    let etcd = Etcd::new(&EtcdSettings { tls: Some(foreign), ..good.clone() }).unwrap();
    let text = says(put(&etcd).await);
    assert!(text.contains("alluxio.etcd.tls.ca.cert"), "{text}");

    let nobody = TlsFiles { identity: None, ..secured.certificates.tls() };
    let etcd = Etcd::new(&EtcdSettings { tls: Some(nobody), ..good.clone() }).unwrap();
    let text = says(put(&etcd).await);
    assert!(text.contains("alluxio.etcd.tls.client.cert"), "{text}");

    let named = TlsFiles { server_name: Some("e1.example".into()), ..secured.certificates.tls() };
    let etcd = Etcd::new(&EtcdSettings { tls: Some(named), ..good.clone() }).unwrap();
    let text = says(put(&etcd).await);
    assert!(text.contains("alluxio.etcd.tls.server.name"), "{text}");

    let shown = format!("{good:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}
