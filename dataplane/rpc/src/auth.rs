//! Who calls, and what for. SIMPLE authentication: the client says its user's name in the metadata
//! key [`USER_KEY`], and is believed. A change that must not be made twice carries its operation id
//! in [`OPERATION_KEY`].

use alluxio_proto::status::status;
use alluxio_types::{Code, OperationId};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Metadata key that carries the user's name.
pub const USER_KEY: &str = "alluxio-user";
/// Metadata key that carries an [`OperationId`]: 32 hexadecimal digits.
pub const OPERATION_KEY: &str = "alluxio-operation";
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
    operation: Option<OperationId>,
}

impl Caller {
    /// A caller by that name; `None` when it is empty, too long, or not printable ASCII.
    pub fn new(user: &str) -> Option<Self> {
        if user.is_empty() || user.len() > USER_BYTES_MAX {
            return None;
        }
        let (user, name) = (MetadataValue::try_from(user).ok()?, user.to_owned());
        Some(Caller { user, name, operation: None })
    }

    /// The same caller, all of whose requests are tries of one change.
    #[must_use]
    pub fn for_operation(&self, operation: OperationId) -> Self {
        Caller { operation: Some(operation), ..self.clone() }
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(USER_KEY, self.user.clone());
        if let Some(operation) = self.operation {
            let digits = MetadataValue::try_from(operation.to_string());
            let digits = digits.map_err(|_| status(Code::Internal, "digits are no metadata"))?;
            request.metadata_mut().insert(OPERATION_KEY, digits);
        }
        Ok(request)
    }
}

/// Server side: moves the user's name, and the [`OperationId`] if there is one, from the metadata into
/// the extensions.
pub fn identify(mut request: Request<()>) -> Result<Request<()>, Status> {
    let user = request
        .metadata()
        .get(USER_KEY)
        .and_then(|value| value.to_str().ok())
        .filter(|name| !name.is_empty() && name.len() <= USER_BYTES_MAX)
        .map(|name| UserName(name.to_owned()))
        .ok_or_else(|| status(Code::Unauthenticated, "the call does not say who makes it"))?;
    if let Some(text) = request.metadata().get(OPERATION_KEY) {
        let operation = text.to_str().ok().and_then(OperationId::parse);
        let bad = || status(Code::InvalidArgument, "the operation id is not 32 hexadecimal digits");
        let operation = operation.ok_or_else(bad)?;
        request.extensions_mut().insert(operation);
    }
    request.extensions_mut().insert(user);
    Ok(request)
}
