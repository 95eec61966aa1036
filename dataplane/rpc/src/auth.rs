//! Who calls, and what for. SIMPLE authentication: the client says its user's name in the metadata
//! key [`USER_KEY`], and is believed. A change that must not be made twice carries its operation id
//! in [`OPERATION_KEY`]. Who acts for users of another machine, as a mount does, says their groups too, in
//! [`GROUPS_KEY`], and is believed as well.
//! A call that need not wait for the journal has [`EARLY_KEY`].

use alluxio_proto::status::status;
use alluxio_types::{Code, OperationId};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Metadata key that carries the user's name.
pub const USER_KEY: &str = "alluxio-user";
/// Metadata key that carries an [`OperationId`]: 32 hexadecimal digits.
pub const OPERATION_KEY: &str = "alluxio-operation";
/// Metadata key that carries the names of the user's groups, the primary one first, with commas between them.
/// Without it the server looks them up.
pub const GROUPS_KEY: &str = "alluxio-groups";
/// Longest list of groups, in bytes: metadata has a limit of 16 KiB.
const GROUPS_BYTES_MAX: usize = 8 << 10;
/// Metadata key of a call that is to be answered before the journal has what the answer tells of.
pub const EARLY_KEY: &str = "alluxio-early";
/// Longest user name, in bytes: the limit of Linux is 32, directories allow more.
pub const USER_BYTES_MAX: usize = 256;

/// The user that a request claims to come from; in the request's extensions on the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserName(pub String);

/// The groups that a request claims its user to be in; in the request's extensions on the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupNames(pub Vec<String>);
/// Whether a request is to be answered before what its answer tells of is durable; in the request's
/// extensions on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Early;

/// Client side: adds the user's name to every request.
#[derive(Clone)]
pub struct Caller {
    user: MetadataValue<Ascii>,
    name: String,
    groups: Option<MetadataValue<Ascii>>,
    operation: Option<OperationId>,
    early: bool,
}

impl Caller {
    /// A caller by that name; `None` when it is empty, too long, or not printable ASCII.
    pub fn new(user: &str) -> Option<Self> {
        if user.is_empty() || user.len() > USER_BYTES_MAX {
            return None;
        }
        let (user, name) = (MetadataValue::try_from(user).ok()?, user.to_owned());
        Some(Caller { user, name, groups: None, operation: None, early: false })
    }

    /// The same caller, in these groups. Those that cannot be sent, and those beyond the limit, are left out.
    #[must_use]
    pub fn in_groups(&self, groups: &[String]) -> Self {
        let mut list = String::new();
        for group in groups {
            let sendable = group.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
            if !group.is_empty() && sendable && list.len() + group.len() < GROUPS_BYTES_MAX {
                list.push_str(if list.is_empty() { "" } else { "," });
                list.push_str(group);
            }
        }
        let groups = MetadataValue::try_from(list).ok().filter(|list| !list.is_empty());
        Caller { groups, ..self.clone() }
    }

    /// The same caller, all of whose requests are tries of one change.
    #[must_use]
    pub fn for_operation(&self, operation: OperationId) -> Self {
        Caller { operation: Some(operation), ..self.clone() }
    }

    /// The same caller, who does not wait for the journal.
    #[must_use]
    pub fn early(&self) -> Self {
        Caller { early: true, ..self.clone() }
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(USER_KEY, self.user.clone());
        if let Some(groups) = &self.groups {
            request.metadata_mut().insert(GROUPS_KEY, groups.clone());
        }
        if let Some(operation) = self.operation {
            let digits = MetadataValue::try_from(operation.to_string());
            let digits = digits.map_err(|_| status(Code::Internal, "digits are no metadata"))?;
            request.metadata_mut().insert(OPERATION_KEY, digits);
        }
        if self.early {
            request.metadata_mut().insert(EARLY_KEY, MetadataValue::from_static("1"));
        }
        Ok(request)
    }
}

/// Server side: moves the user's name, and groups and [`OperationId`] if there are any, from the metadata into
/// the extensions.
pub fn identify(mut request: Request<()>) -> Result<Request<()>, Status> {
    let user = request
        .metadata()
        .get(USER_KEY)
        .and_then(|value| value.to_str().ok())
        .filter(|name| !name.is_empty() && name.len() <= USER_BYTES_MAX)
        .map(|name| UserName(name.to_owned()))
        .ok_or_else(|| status(Code::Unauthenticated, "the call does not say who makes it"))?;
    let groups = request.metadata().get(GROUPS_KEY).and_then(|list| list.to_str().ok());
    if let Some(list) = groups.filter(|list| list.len() <= GROUPS_BYTES_MAX) {
        let groups = GroupNames(list.split(',').map(str::to_owned).collect());
        request.extensions_mut().insert(groups);
    }
    if let Some(text) = request.metadata().get(OPERATION_KEY) {
        let operation = text.to_str().ok().and_then(OperationId::parse);
        let bad = || status(Code::InvalidArgument, "the operation id is not 32 hexadecimal digits");
        let operation = operation.ok_or_else(bad)?;
        request.extensions_mut().insert(operation);
    }
    if request.metadata().contains_key(EARLY_KEY) {
        request.extensions_mut().insert(Early);
    }
    request.extensions_mut().insert(user);
    Ok(request)
}
