//! Takes secrets out of what is collected. Kinds that hold secrets are not collected at all; this is for the places where
//! they should not stand, and sometimes do: values of variables and properties, arguments, URIs, logs.
//!
//! It rather takes too much: who reads the archive can ask for what is missing.

use serde_json::Value;

/// Stands where a secret stood.
pub(crate) const REDACTED: &str = "[redacted]";

/// Parts of names of secrets, in lower case and without `-`, `_` and `.`.
const WORDS: &[&str] = &[
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "token",
    "accesskey",
    "privatekey",
    "apikey",
    "authorization",
    "signature",
];

/// Ends of names that only point to secrets.
const POINTERS: &[&str] = &["name", "ref", "path", "file", "namespace", "version", "type"];

/// Annotations that hold whole objects, as somebody wrote them.
const COPIES: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether something of that name is a secret.
fn is_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    WORDS.iter().any(|word| plain.contains(word))
        && !POINTERS.iter().any(|end| plain.ends_with(end))
}

/// Takes secrets out of an object.
pub(crate) fn object(value: &mut Value) {
    match value {
        Value::String(text) => *text = self::text(text),
        Value::Array(items) => {
            let mut after_name = false;
            for item in items {
                // Arguments: `--password`, and its value in the next one.
                let is_name =
                    item.as_str().is_some_and(|word| word.starts_with('-') && is_secret(word));
                match item {
                    Value::String(text) if after_name && !text.starts_with('-') => {
                        *text = REDACTED.to_owned();
                    }
                    other => object(other),
                }
                after_name = is_name;
            }
        }
        Value::Object(fields) => {
            fields.remove(COPIES);
            // Variables of containers, and parameters like them.
            let named = fields.get("name").and_then(Value::as_str).is_some_and(is_secret);
            if let Some(value @ Value::String(_)) = fields.get_mut("value").filter(|_| named) {
                *value = Value::from(REDACTED);
            }
            for (name, value) in fields.iter_mut() {
                match value {
                    Value::String(text) if is_secret(name) => *text = REDACTED.to_owned(),
                    other => object(other),
                }
            }
        }
        _ => {}
    }
}

/// Takes secrets out of text: what follows a secret's name and `=` or `:`, users and passwords in URIs, and what follows
/// `Bearer` or `Basic`.
pub(crate) fn text(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| named(&schemes(&users(line))));
    lines.collect()
}

/// What may stand in a name.
fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Values after names.
fn named(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(in_name) {
        let (before, word) = rest.split_at(at);
        out.push_str(before);
        let end = word.find(|c| !in_name(c)).unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        out.push_str(name);
        rest = after;
        if is_secret(name)
            && let Some((between, value)) = value_after(after)
        {
            out.push_str(&after[..between]);
            if !value.is_empty() {
                out.push_str(REDACTED);
            }
            rest = &after[between + value.len()..];
        }
    }
    out.push_str(rest);
    out
}

/// Where a value begins behind a name, and the value: in quotes to their end, otherwise to the next blank or separator.
fn value_after(after: &str) -> Option<(usize, &str)> {
    // `name": "value"`, `name=value`, `name: value`, `name\": \"value\"`
    let quotes = |c: char| matches!(c, '"' | '\'' | '\\');
    let rest = after.trim_start_matches(quotes).trim_start_matches(' ');
    let rest = rest.strip_prefix(['=', ':'])?;
    let unquoted = rest.trim_start_matches([' ', '=', '>']);
    let value = unquoted.trim_start_matches(quotes);
    let quoted = value.len() < unquoted.len();
    let end = match quoted {
        true => value.find(quotes),
        false => value.find(|c: char| {
            c.is_whitespace() || matches!(c, ',' | '&' | ';' | '"' | '\'' | '}' | ')')
        }),
    };
    let value = &value[..end.unwrap_or(value.trim_end_matches('\n').len())];
    let between = value.as_ptr() as usize - after.as_ptr() as usize;
    Some((between, value))
}

/// Whether what stands before an `@` is `user:password`, and not `host:port/path`.
fn is_user(before: &str) -> bool {
    let (first, path) = before.split_once('/').map_or((before, false), |(first, _)| (first, true));
    let Some((_, word)) = first.split_once(':') else { return false };
    !(path && !word.is_empty() && word.chars().all(|c| c.is_ascii_digit()))
}

/// `scheme://user:password@host`.
fn users(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, authority) = rest.split_at(at + 3);
        out.push_str(before);
        // A password may hold a slash that nobody encoded.
        let end = authority.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
        let (span, after) = authority.split_at(end.unwrap_or(authority.len()));
        match span.rsplit_once('@') {
            Some((user, host)) if is_user(user) => {
                out.push_str(REDACTED);
                out.push('@');
                out.push_str(host);
            }
            _ => out.push_str(span),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `Bearer …` and `Basic …`.
fn schemes(line: &str) -> String {
    let mut words = line.split_inclusive(' ');
    let mut out = String::with_capacity(line.len());
    while let Some(word) = words.next() {
        out.push_str(word);
        let lower = word.trim_end().to_ascii_lowercase();
        let is_scheme = ["bearer", "basic"].iter().any(|name| {
            let before = lower.strip_suffix(name);
            before.is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_alphanumeric()))
        });
        if word.ends_with(' ')
            && is_scheme
            && let Some(value) = words.next()
        {
            let end = value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ','));
            out.push_str(REDACTED);
            out.push_str(&value[end.unwrap_or(value.len())..]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const CANARY: &str = "c4n4ry-Xq7/+pLm";

    #[test]
    fn secrets_go_wherever_they_stand() {
        for line in [
            "alluxio.master.mount.table.root.option.aws.secretKey=CANARY",
            "s3.secret_access_key: CANARY",
            "{\"message\":\"mount\",\"secretKey\":\"CANARY\",\"path\":\"/a\"}",
            "{\"message\":\"{\\\"password\\\": \\\"CANARY\\\"}\"}",
            "--etcd-password=CANARY",
            "secretKey => CANARY",
            "GET s3://user:CANARY@host/bucket",
            "authorization: Bearer CANARY",
            "Authorization=Basic CANARY,other",
            "https://host/a?X-Amz-Signature=CANARY&other=1",
            "token = 'CANARY'",
        ] {
            let told = text(&line.replace("CANARY", CANARY));
            assert!(!told.contains("c4n4ry") && told.contains(REDACTED), "{line}: {told}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for line in [
            "alluxio.worker.rpc.port=29999\n",
            "{\"level\":\"INFO\",\"message\":\"worker is ready\"}\n",
            "secretRef: store-credentials\n",
            "s3://bucket/a/b@c?x=1",
            "a token was renewed",
            "user@example.org wrote hdfs://name:8020/a",
        ] {
            assert_eq!(text(line), line);
        }
    }

    #[test]
    fn objects_lose_values_and_keep_what_points_to_them() {
        let mut pod = json!({
            "metadata": {"annotations": {COPIES: CANARY, "note": "x"}},
            "spec": {"containers": [{
                "args": ["--secret-key=c4n4ry", "--etcd-password", "c4n4ry", "--token", "-v"],
                "env": [
                    {"name": "AWS_SECRET_ACCESS_KEY", "value": CANARY},
                    {"name": "MODE", "value": "fast"},
                    {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ],
            }],
            "volumes": [{"secret": {"secretName": "etcd-tls"}}]},
            "data": {"alluxio-site.properties": "a=b\naws.secretKey=c4n4ry\n"},
        });
        object(&mut pod);
        let told = pod.to_string();
        assert!(!told.contains("c4n4ry"), "{told}");
        for kept in ["etcd-tls", "\"-v\"", "secretKeyRef", "fast", "a=b", "\"note\""] {
            assert!(told.contains(kept), "{kept}: {told}");
        }
    }

    proptest! {
        #[test]
        fn any_value_behind_a_secrets_name_goes(
            before in "[ -~]{0,20}",
            value in "[A-Za-z0-9/+._-]{8,40}",
            after in "[ ,;}]?[ -~]{0,20}",
            sign in "(=|: |\": \"|=\")",
        ) {
            let line = format!("{before} my.secretKey{sign}{value}{after}");
            let told = text(&line);
            let begins = format!("secretKey{sign}{value}");
            prop_assert!(!told.contains(&begins), "{line}: {told}");
        }

        #[test]
        fn any_text_is_taken(line in "\\PC{0,200}") {
            let _ = text(&line);
        }
    }
}
