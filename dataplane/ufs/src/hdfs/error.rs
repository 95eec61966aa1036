//! What HDFS's errors mean.

use super::HdfsUfs;
use crate::error::Error;
use crate::named::Named;
use hdfs_native::HdfsError;

impl HdfsUfs {
    pub(super) fn error(
        &self,
        relative: &str,
        operation: &'static str,
        error: &HdfsError,
    ) -> Error {
        let uri = self.uri(relative);
        let clean = |text: &str| self.shared.redactor.clean(text);
        match error {
            HdfsError::FileNotFound(_) => Error::NotFound { uri },
            HdfsError::AlreadyExists(_) => Error::AlreadyExists { uri },
            HdfsError::IsADirectoryError(_) => Error::IsADirectory { uri },
            HdfsError::RPCError(class, message) | HdfsError::FatalRPCError(class, message) => {
                remote(uri, operation, class, clean(first_line(message)))
            }
            HdfsError::IOError(_)
            | HdfsError::DataTransferError(_)
            | HdfsError::ChecksumError
            | HdfsError::BlocksNotFound(_)
            | HdfsError::InvalidRPCResponse(_) => {
                Error::Unavailable { uri, detail: clean(&error.to_string()) }
            }
            HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => {
                Error::Unauthenticated {
                    uri,
                    detail: clean(&error.to_string()),
                    options: "alluxio.underfs.hdfs.user, or a Kerberos ticket for this process",
                }
            }
            HdfsError::UnsupportedFeature(_) | HdfsError::UnsupportedErasureCodingPolicy(_) => {
                Error::Unsupported { uri, operation }
            }
            HdfsError::InvalidPath(why) => Error::InvalidUri { uri, why: clean(why) },
            _ => Error::Failed { uri, operation, detail: clean(&error.to_string()) },
        }
    }
}

/// What a Java exception of the name node means, by either protocol. `class` may be the whole name
/// or its last part.
pub(crate) fn remote(uri: String, operation: &'static str, class: &str, detail: String) -> Error {
    match class.rsplit('.').next().unwrap_or(class) {
        "FileNotFoundException" => Error::NotFound { uri },
        "FileAlreadyExistsException" => Error::AlreadyExists { uri },
        "ParentNotDirectoryException" => Error::NotADirectory { uri },
        // Walking through a file looks like a lack of rights to the name node.
        "AccessControlException" if detail.contains("is not a directory") => {
            Error::NotADirectory { uri }
        }
        "PathIsNotEmptyDirectoryException" => Error::NotEmpty { uri },
        "AccessControlException" => Error::PermissionDenied { uri, detail },
        "SecurityException" | "InvalidToken" | "AuthorizationException" => Error::Unauthenticated {
            uri,
            detail,
            options: "alluxio.underfs.hdfs.user, alluxio.underfs.webhdfs.delegation",
        },
        "NSQuotaExceededException" | "DSQuotaExceededException" | "QuotaByStorageTypeException" => {
            Error::NoSpace { uri, detail }
        }
        "SafeModeException"
        | "StandbyException"
        | "ObserverRetryOnActiveException"
        | "RetriableException"
        | "NotReplicatedYetException" => Error::Unavailable { uri, detail },
        "ServerTooBusyException" => Error::Busy { uri, detail },
        "InvalidPathException" => Error::InvalidUri { uri, why: detail },
        _ => Error::Failed { uri, operation, detail },
    }
}

/// Messages come with the name node's stack trace.
fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}
