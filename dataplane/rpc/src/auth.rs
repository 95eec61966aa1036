//! Who calls. SIMPLE authentication: the client says its user's name in the metadata key
//! [`USER_KEY`], and is believed.

use alluxio_proto::status::status;
use alluxio_types::Code;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Metadata key that carries the user's name.
pub const USER_KEY: &str = "alluxio-user";
/// Longest user name, in bytes: the limit of Linux is 32, directories allow more.
pub const USER_BYTES_MAX: usize = 256;

/// The user that a request claims to come from; in the request's extensions on the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserName(pub String);

/// Client side: adds the user's name to every request.
#[derive(Clone)]
pub struct Caller {
    user: MetadataValue<Ascii>,
    name: String,
}

impl Caller {
    /// A caller by that name; `None` when it is empty, too long, or not printable ASCII.
    pub fn new(user: &str) -> Option<Self> {
        if user.is_empty() || user.len() > USER_BYTES_MAX {
            return None;
        }
        Some(Caller { user: MetadataValue::try_from(user).ok()?, name: user.to_owned() })
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(USER_KEY, self.user.clone());
        Ok(request)
    }
}

/// Server side: moves the user's name from the metadata into the extensions.
pub fn identify(mut request: Request<()>) -> Result<Request<()>, Status> {
    let user = request
        .metadata()
        .get(USER_KEY)
        .and_then(|value| value.to_str().ok())
        .filter(|name| !name.is_empty() && name.len() <= USER_BYTES_MAX)
        .map(|name| UserName(name.to_owned()))
        .ok_or_else(|| status(Code::Unauthenticated, "the call does not say who makes it"))?;
    request.extensions_mut().insert(user);
    Ok(request)
}
