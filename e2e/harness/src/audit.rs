//! What an API server was asked, from its audit log.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// A place in an audit log: what was asked before it, and after.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark(u64);

/// The end of a log, behind its last whole line.
///
/// **Errors**: when the file can't be read.
pub(crate) fn end(file: &Path) -> Result<Mark> {
    let named = || file.display().to_string();
    let mut log = File::open(file).with_context(named)?;
    let length = log.metadata().with_context(named)?.len();
    // No line is longer than this.
    let from = length.saturating_sub(1 << 20);
    log.seek(SeekFrom::Start(from)).with_context(named)?;
    let mut tail = Vec::new();
    log.take(length - from).read_to_end(&mut tail).with_context(named)?;
    let last = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end as u64 + 1);
    Ok(Mark(from + last))
}

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asked: the impersonated one where somebody was impersonated.
    pub user: String,
    /// The program, as it names itself.
    pub agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Such as `pods`, with the part that was meant: `pods/status`. Empty for other paths.
    pub resource: String,
    /// Its API group; empty for the core.
    pub group: String,
    /// Empty for what lies in no namespace.
    pub namespace: String,
    /// Empty for lists.
    pub name: String,
    /// The HTTP status.
    pub code: u16,
}

impl Request {
    /// Whether it changes something, if it is granted.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Object,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    resource: String,
    subresource: String,
    api_group: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// Requests of a log from a place on, in order of their answers. A watch counts when it begins.
///
/// **Errors**: when the file can't be read, or a line isn't one of an audit log.
pub(crate) fn read(file: &Path, from: Mark) -> Result<Vec<Request>> {
    let named = || file.display().to_string();
    let mut log = File::open(file).with_context(named)?;
    log.seek(SeekFrom::Start(from.0)).with_context(named)?;
    let mut text = String::new();
    log.read_to_string(&mut text).with_context(named)?;
    // The last line may be half written.
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    let events = text[..end].lines().map(|line| {
        serde_json::from_str::<Event>(line).with_context(|| format!("not an audit event: {line}"))
    });
    let mut requests = Vec::new();
    for event in events {
        let event = event?;
        let counts = match event.verb.as_str() {
            "watch" => event.stage == "ResponseStarted",
            _ => event.stage == "ResponseComplete",
        };
        if counts {
            requests.push(request(event));
        }
    }
    Ok(requests)
}

fn request(event: Event) -> Request {
    let object = event.object_ref;
    let resource = match object.subresource.as_str() {
        "" => object.resource,
        part => format!("{}/{part}", object.resource),
    };
    Request {
        user: event.impersonated_user.unwrap_or(event.user).username,
        agent: event.user_agent,
        verb: event.verb,
        resource,
        group: object.api_group,
        namespace: object.namespace,
        name: object.name,
        code: event.response_status.map_or(0, |status| status.code),
    }
}
