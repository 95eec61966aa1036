//! Who is who in a cluster of tests: one authority, tokens for all, certificates where Kubernetes takes
//! nothing else.

use crate::process::output;
use anyhow::{Context, Result};
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The group whose members may do everything.
pub const ADMINS: &str = "system:masters";

/// Keys and certificates, in a folder.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Usage {
    Server,
    Client,
}

impl Authority {
    /// Makes one in `folder`, which must be empty, and a key for the tokens of service accounts.
    pub(crate) fn create(folder: PathBuf) -> Result<Authority> {
        fs::create_dir_all(&folder)?;
        let authority = Authority { folder };
        let settings = "\
            [req]\ndistinguished_name = name\n[name]\n\
            [authority]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n\
            subjectKeyIdentifier = hash\n";
        fs::write(authority.file("authority.cnf"), settings)?;
        let mut command = authority.request("authority.cnf", "authority");
        command.args(["-subj", "/CN=alluxio-e2e"]);
        authority.make("ca", &mut command)?;
        let mut key = Command::new("openssl");
        key.args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]);
        output(key.arg(authority.accounts_key())).context("the key of service accounts")?;
        Ok(authority)
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// The key that signs the tokens of service accounts.
    pub(crate) fn accounts_key(&self) -> PathBuf {
        self.file("accounts.key")
    }

    /// Issues `NAME.crt` with `NAME.key`. `names` in the words of openssl: `DNS:…`, `IP:…`.
    pub(crate) fn issue(
        &self,
        name: &str,
        subject: &str,
        names: &[String],
        usage: Usage,
    ) -> Result<(PathBuf, PathBuf)> {
        let usage = match usage {
            Usage::Server => "serverAuth",
            Usage::Client => "clientAuth",
        };
        let settings = format!(
            "[req]\ndistinguished_name = name\n[name]\n[leaf]\nbasicConstraints = critical,CA:FALSE\n\
             extendedKeyUsage = {usage}\nsubjectAltName = {}\n\
             subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n",
            names.join(",")
        );
        let file = format!("{name}.cnf");
        fs::write(self.file(&file), settings)?;
        let mut command = self.request(&file, "leaf");
        command.args(["-subj", subject, "-CA"]).arg(self.certificate());
        command.arg("-CAkey").arg(self.file("ca.key"));
        self.make(name, &mut command)?;
        Ok((self.file(&format!("{name}.crt")), self.file(&format!("{name}.key"))))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn request(&self, settings: &str, section: &str) -> Command {
        let mut command = Command::new("openssl");
        command
            .args(["req", "-x509", "-days", "30", "-nodes", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-extensions", section, "-config"])
            .arg(self.file(settings));
        command
    }

    fn make(&self, name: &str, command: &mut Command) -> Result<()> {
        command.arg("-keyout").arg(self.file(&format!("{name}.key")));
        command.arg("-out").arg(self.file(&format!("{name}.crt")));
        output(command).with_context(|| format!("the certificate {name}"))?;
        Ok(())
    }
}

/// The users that the API server knows by their tokens. It reads the file once, when it starts.
#[derive(Debug)]
pub struct Users {
    file: PathBuf,
}

impl Users {
    /// No users yet.
    pub(crate) fn create(file: PathBuf) -> Result<Users> {
        drop(private(&file)?);
        Ok(Users { file })
    }

    /// The file, as the API server wants it.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Adds a user, and gives the token.
    pub(crate) fn add(&self, name: &str, groups: &[&str]) -> Result<String> {
        let token = token()?;
        let mut file = File::options().append(true).open(&self.file)?;
        writeln!(file, "{token},{name},{name},\"{}\"", groups.join(","))?;
        Ok(token)
    }
}

/// Writes a kubeconfig that only its owner can read.
pub(crate) fn write_kubeconfig(
    file: &Path,
    server: &str,
    authority: &Authority,
    token: &str,
) -> Result<()> {
    // JSON is YAML.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "e2e",
        "clusters": [{"name": "e2e", "cluster": {
            "server": server,
            "certificate-authority": authority.certificate(),
        }}],
        "users": [{"name": "e2e", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
    });
    private(file)?.write_all(format!("{config:#}\n").as_bytes())?;
    Ok(())
}

fn private(file: &Path) -> Result<File> {
    let opened = File::options().write(true).create(true).truncate(true).mode(0o600).open(file);
    opened.with_context(|| format!("cannot write {}", file.display()))
}

fn token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_of_the_authority() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path().join("pki")).unwrap();
        let names = ["DNS:localhost".to_owned(), "IP:127.0.0.1".to_owned()];
        let (certificate, _) = authority.issue("s", "/CN=server", &names, Usage::Server).unwrap();
        let mut verify = Command::new("openssl");
        verify.args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"]);
        verify.arg(authority.certificate()).arg(&certificate);
        assert!(output(&mut verify).unwrap().contains("OK"));
        let mut wrong = Command::new("openssl");
        wrong.args(["verify", "-purpose", "sslclient", "-CAfile"]);
        assert!(output(wrong.arg(authority.certificate()).arg(&certificate)).is_err());
    }
}
