//! Events: what `kubectl describe` shows of the operator's acts. The reasons are a closed set, and documented.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Longest note, in bytes; the API server refuses more than 1 KiB.
const NOTE_MAX: usize = 1000;

/// Publishes events. Cloning is cheap.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// `instance` is the name of this operator's pod.
    pub fn new(client: Client, instance: Option<String>) -> Self {
        let reporter = Reporter { controller: "alluxio.dev/operator".into(), instance };
        Events { recorder: Recorder::new(client, reporter) }
    }

    /// Tells one. An event that cannot be written is logged: it must never hold up the work.
    pub async fn tell(&self, about: &ObjectReference, warning: bool, reason: &str, note: &str) {
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(shortened(note)),
            action: "Reconcile".into(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::info!(%error, reason, "an event was not written");
        }
    }
}

fn shortened(note: &str) -> String {
    if note.len() <= NOTE_MAX {
        return note.to_owned();
    }
    let mut end = NOTE_MAX;
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &note[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_notes_end_at_a_letter() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"ä".repeat(NOTE_MAX));
        assert!(long.ends_with("ä…") && long.len() <= NOTE_MAX + 3, "{}", long.len());
    }
}
