//! What to do about an etcd that refuses us: which key is wrong, and how to mend it.

/// Who we are for etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ourselves {
    /// The user, if there is one.
    pub(crate) user: Option<String>,
    /// Whether TLS is spoken.
    pub(crate) tls: bool,
    /// Whether we have a certificate to show.
    pub(crate) certificate: bool,
    /// What all our keys start with.
    pub(crate) prefix: String,
}

/// The way out of a failure that etcd, or the connection to it, describes with `reason`; `None` when
/// there is nothing to say that the reason does not say itself.
pub(crate) fn advice(reason: &str, ourselves: &Ourselves) -> Option<String> {
    let user = ourselves.user.as_deref().unwrap_or("nobody");
    let prefix = &ourselves.prefix;
    let has = |text: &str| reason.contains(text);
    let text = if has("authentication failed, invalid user ID or password") {
        format!("user {user}: check alluxio.etcd.username and alluxio.etcd.password")
    } else if has("user name is empty") || has("user name not found") {
        "etcd asks for a user: set alluxio.etcd.username and alluxio.etcd.password".to_owned()
    } else if has("permission denied") {
        format!(
            "user {user} of alluxio.etcd.username may not do this below {prefix}: give its role \
             'etcdctl role grant-permission ROLE --prefix=true readwrite {prefix}'"
        )
    } else if has("authentication is not enabled") {
        "etcd has no users: take alluxio.etcd.username and alluxio.etcd.password away".to_owned()
    } else if has("UnknownIssuer") || has("BadSignature") {
        "alluxio.etcd.tls.ca.cert must name the authority that signed etcd's certificate".to_owned()
    } else if has("NotValidForName") || has("certificate not valid for name") {
        "the host in alluxio.etcd.endpoints must stand in etcd's certificate, or \
         alluxio.etcd.tls.server.name must say the name that does"
            .to_owned()
    } else if has("Expired") || has("certificate expired") {
        "etcd's certificate has expired".to_owned()
    } else if is_about_our_certificate(reason) {
        "etcd does not accept our certificate: check alluxio.etcd.tls.client.cert and \
         alluxio.etcd.tls.client.key"
            .to_owned()
    } else if has("InvalidContentType") || has("tls handshake eof") {
        "if etcd does not speak TLS here, alluxio.etcd.tls.enabled must be false".to_owned()
    } else if !ourselves.tls && is_cut_off_before_a_word(reason) {
        "does etcd speak TLS here? Then alluxio.etcd.tls.enabled must be true".to_owned()
    } else if ourselves.tls && !ourselves.certificate && is_cut_off(reason) {
        // In TLS 1.3 the server says so after our greeting is over: its word may be lost with the
        // connection.
        "if etcd asks for certificates, alluxio.etcd.tls.client.cert and \
         alluxio.etcd.tls.client.key are needed"
            .to_owned()
    } else {
        return None;
    };
    Some(text)
}

/// What etcd's TLS says to a client without a certificate, or with one of a foreign authority.
fn is_about_our_certificate(reason: &str) -> bool {
    let alerts = ["CertificateRequired", "BadCertificate", "UnknownCA", "CertificateUnknown"];
    reason.contains("fatal alert") && alerts.iter().any(|alert| reason.contains(alert))
}

/// A connection that ended without a reason.
fn is_cut_off(reason: &str) -> bool {
    let ways = ["connection closed", "operation was canceled", "reset by peer", "broken pipe"];
    ways.iter().any(|way| reason.to_ascii_lowercase().contains(way))
}

/// What a server that waits for a TLS greeting does to others.
fn is_cut_off_before_a_word(reason: &str) -> bool {
    ["frame with invalid size", "FRAME_SIZE_ERROR"].iter().any(|text| reason.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_the_key_that_mends_it() {
        let ourselves = Ourselves {
            user: Some("ann".into()),
            tls: true,
            certificate: false,
            prefix: "/blue/".into(),
        };
        for (reason, key) in [
            ("etcdserver: authentication failed, invalid user ID or password", "etcd.password"),
            ("etcdserver: user name is empty", "alluxio.etcd.username"),
            ("etcdserver: permission denied", "user ann of alluxio.etcd.username"),
            ("etcdserver: authentication is not enabled", "take alluxio.etcd.username"),
            ("invalid peer certificate: UnknownIssuer", "alluxio.etcd.tls.ca.cert"),
            ("invalid peer certificate: NotValidForName", "alluxio.etcd.tls.server.name"),
            ("received fatal alert: CertificateRequired", "alluxio.etcd.tls.client.cert"),
            ("operation was canceled: connection closed", "alluxio.etcd.tls.client.cert"),
            ("tls handshake eof: transport error", "alluxio.etcd.tls.enabled"),
            ("received corrupt message of type InvalidContentType", "alluxio.etcd.tls.enabled"),
        ] {
            let text = advice(reason, &ourselves).unwrap_or_default();
            assert!(text.contains(key), "{reason}: {text}");
        }
        assert_eq!(advice("etcdserver: request timed out", &ourselves), None);
    }
}
