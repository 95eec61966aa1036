//! What a bucket's errors mean.

use super::ObjectUfs;
use crate::error::Error;
use opendal::ErrorKind;
use std::error::Error as _;

impl ObjectUfs {
    /// Our error for one of OpenDAL's, without secrets.
    pub(super) fn error(
        &self,
        relative: &str,
        operation: &'static str,
        error: &opendal::Error,
    ) -> Error {
        let uri = self.uri(relative);
        let text = whole_text(error);
        let detail = self.shared.redactor.clean(&text);
        if has_any(&text, &["NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"]) {
            return Error::NoSuchBucket { uri: self.shared.location.as_str().to_owned() };
        }
        match error.kind() {
            ErrorKind::NotFound => Error::NotFound { uri },
            ErrorKind::PermissionDenied if is_unknown_caller(&text) => {
                let options = self.shared.credential_options;
                Error::Unauthenticated { uri, detail, options }
            }
            ErrorKind::PermissionDenied => Error::PermissionDenied { uri, detail },
            ErrorKind::IsADirectory => Error::IsADirectory { uri },
            ErrorKind::NotADirectory => Error::NotADirectory { uri },
            ErrorKind::AlreadyExists | ErrorKind::IsSameFile => Error::AlreadyExists { uri },
            ErrorKind::ConditionNotMatch | ErrorKind::Conflict => Error::Changed { uri },
            ErrorKind::RateLimited => Error::Busy { uri, detail },
            ErrorKind::Unsupported => Error::Unsupported { uri, operation },
            _ if is_unknown_caller(&text) => {
                let options = self.shared.credential_options;
                Error::Unauthenticated { uri, detail, options }
            }
            _ if text.contains("timeout reached") => {
                let limit = self.shared.retries.deadline;
                Error::DeadlineExceeded { uri, operation, limit }
            }
            _ if !error.is_permanent() => Error::Unavailable { uri, detail },
            _ => Error::Failed { uri, operation, detail },
        }
    }
}

/// The message and all that caused it.
fn whole_text(error: &opendal::Error) -> String {
    let mut text = error.message().to_owned();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

fn is_unknown_caller(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "AuthenticationFailed",
        "credential",
        "Invalid Credentials",
    ];
    has_any(text, WORDS)
}

fn has_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}
