//! Requests to the name node, and what its answers mean.

use super::WebHdfsUfs;
use crate::error::{Error, Result};
use crate::hdfs;
use crate::named::Named;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

/// One request: `?op=…` and its parameters.
#[derive(Clone)]
pub(super) struct Call {
    method: Method,
    operation: &'static str,
    query: String,
    repeatable: bool,
}

impl Call {
    pub(super) fn get(operation: &'static str) -> Self {
        Self::new(Method::GET, operation)
    }

    pub(super) fn put(operation: &'static str) -> Self {
        Self::new(Method::PUT, operation)
    }

    pub(super) fn delete(operation: &'static str) -> Self {
        Self::new(Method::DELETE, operation)
    }

    fn new(method: Method, operation: &'static str) -> Self {
        Call { method, operation, query: format!("op={operation}"), repeatable: true }
    }

    /// Adds a parameter, unless it is empty.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.query.push_str(&format!("&{name}={}", encode(value)));
        }
        self
    }

    pub(super) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        self.with(name, value.unwrap_or_default())
    }

    /// Marks it as not safe to repeat.
    pub(super) fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }
}

/// Everything but letters, digits and `-._~` as `%XX`: the name node takes `;` and `+` for more than
/// they are.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl WebHdfsUfs {
    /// The absolute path in HDFS of what is at `relative`.
    pub(super) fn full_path(&self, relative: &str) -> String {
        let root = self.shared.location.path();
        let joined = super::join(root, relative);
        format!("/{joined}")
    }

    fn url(&self, relative: &str, call: &Call) -> String {
        let path = self.full_path(relative);
        let path: Vec<String> = path.split('/').map(encode).collect();
        let (base, caller) = (&self.shared.base, &self.shared.caller);
        format!("{base}{}?{}{caller}", path.join("/"), call.query)
    }

    /// Makes a call and reads its answer as JSON; an empty answer is `null`.
    pub(super) async fn json(&self, relative: &str, call: Call) -> Result<Value> {
        let uri = self.uri(relative);
        let attempt = || async {
            let response = self.send(relative, &call).await?;
            let response = self.check(relative, call.operation, response).await?;
            let body = response.bytes().await;
            let body = body.map_err(|error| self.lost(relative, &error))?;
            if body.is_empty() {
                return Ok(Value::Null);
            }
            serde_json::from_slice(&body).map_err(|_| self.odd_answer(relative, call.operation))
        };
        if call.repeatable {
            self.shared.retries.run(&uri, call.operation, attempt).await
        } else {
            self.shared.retries.within(&uri, call.operation, attempt()).await
        }
    }

    /// Makes a call that the name node answers with the address of a data node.
    pub(super) async fn data_node(&self, relative: &str, call: Call) -> Result<String> {
        let uri = self.uri(relative);
        let attempt = || async {
            let response = self.send(relative, &call).await?;
            if response.status().is_redirection() {
                let to = response.headers().get(reqwest::header::LOCATION);
                let to = to.and_then(|value| value.to_str().ok()).map(str::to_owned);
                return to.ok_or_else(|| self.odd_answer(relative, call.operation));
            }
            self.check(relative, call.operation, response).await?;
            Err(self.odd_answer(relative, call.operation))
        };
        self.shared.retries.run(&uri, call.operation, attempt).await
    }

    async fn send(&self, relative: &str, call: &Call) -> Result<Response> {
        let request = self.shared.client.request(call.method.clone(), self.url(relative, call));
        request.send().await.map_err(|error| self.lost(relative, &error))
    }

    /// The response, if it is a success.
    pub(super) async fn check(
        &self,
        relative: &str,
        operation: &'static str,
        response: Response,
    ) -> Result<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let uri = self.uri(relative);
        let body = response.text().await.unwrap_or_default();
        let remote = serde_json::from_str::<Value>(&body).ok();
        let remote = remote.as_ref().and_then(|value| value.get("RemoteException"));
        if let Some(remote) = remote {
            let text = |name| remote.get(name).and_then(Value::as_str).unwrap_or_default();
            let detail = self.shared.redactor.clean(text("message"));
            return Err(hdfs::remote(uri, operation, text("exception"), detail));
        }
        let detail = status.to_string();
        Err(match status {
            StatusCode::NOT_FOUND => Error::NotFound { uri },
            StatusCode::UNAUTHORIZED => Error::Unauthenticated {
                uri,
                detail,
                options: "alluxio.underfs.hdfs.user or alluxio.underfs.webhdfs.delegation",
            },
            StatusCode::FORBIDDEN => Error::PermissionDenied { uri, detail },
            StatusCode::TOO_MANY_REQUESTS => Error::Busy { uri, detail },
            status if status.is_server_error() => Error::Unavailable { uri, detail },
            _ => Error::Failed { uri, operation, detail },
        })
    }

    /// The error for a connection that failed. The URL is left out: it may carry a token.
    pub(super) fn lost(&self, relative: &str, error: &reqwest::Error) -> Error {
        use std::error::Error as _;
        let mut text = String::from("the connection failed");
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        let detail = self.shared.redactor.clean(&text);
        Error::Unavailable { uri: self.uri(relative), detail }
    }

    /// The error for an answer that the protocol does not have.
    pub(super) fn odd_answer(&self, relative: &str, operation: &'static str) -> Error {
        let detail = "the answer is not one of WebHDFS".to_owned();
        Error::Failed { uri: self.uri(relative), operation, detail }
    }
}
