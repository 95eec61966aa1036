//! Whether a role can serve, and why not.

use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Named conditions of one role. Ready means: there is at least one, and all hold. Cloning is cheap
/// and shares them.
#[derive(Clone)]
pub struct Readiness {
    state: Arc<watch::Sender<State>>,
}

#[derive(Default)]
struct State {
    /// What is missing, by condition; empty when it holds.
    conditions: BTreeMap<&'static str, String>,
    /// Why the process should be restarted.
    broken: Option<String>,
}

impl Readiness {
    /// Not ready until these conditions hold.
    pub fn waiting_for(conditions: &[&'static str]) -> Self {
        let conditions =
            conditions.iter().map(|name| (*name, "not started yet".to_owned())).collect();
        Readiness { state: Arc::new(watch::Sender::new(State { conditions, broken: None })) }
    }

    /// The condition holds.
    pub fn ready(&self, condition: &'static str) {
        self.state.send_modify(|state| {
            state.conditions.insert(condition, String::new());
        });
    }

    /// The condition does not hold, and why.
    pub fn not_ready(&self, condition: &'static str, why: impl Into<String>) {
        // An empty reason would read as ready.
        let why = Some(why.into()).filter(|why| !why.is_empty());
        let why = why.unwrap_or_else(|| "no reason given".to_owned());
        self.state.send_modify(|state| {
            state.conditions.insert(condition, why);
        });
    }

    /// Only a restart can help: `/healthz` fails from now on.
    pub fn broken(&self, why: impl Into<String>) {
        self.state.send_modify(|state| state.broken = Some(why.into()));
    }

    /// Whether all conditions hold.
    pub fn is_ready(&self) -> bool {
        self.state.borrow().is_ready()
    }

    /// What is missing, one line for each condition.
    pub fn missing(&self) -> Vec<String> {
        let state = self.state.borrow();
        let conditions = state.conditions.iter().filter(|(_, why)| !why.is_empty());
        conditions.map(|(name, why)| format!("{name}: {why}")).chain(state.broken.clone()).collect()
    }

    /// Why the process should be restarted, if it should.
    pub fn broken_because(&self) -> Option<String> {
        self.state.borrow().broken.clone()
    }

    /// Returns when all conditions hold.
    ///
    /// **Cancel safety**: nothing is lost when dropped.
    pub async fn wait(&self) {
        // The sender lives as long as self, so that waiting cannot fail.
        let _ = self.state.subscribe().wait_for(State::is_ready).await;
    }
}

impl State {
    fn is_ready(&self) -> bool {
        self.broken.is_none()
            && !self.conditions.is_empty()
            && self.conditions.values().all(String::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_means_that_all_conditions_hold() {
        let readiness = Readiness::waiting_for(&["journal", "rpc"]);
        assert_eq!(readiness.missing(), ["journal: not started yet", "rpc: not started yet"]);
        readiness.ready("journal");
        assert!(!readiness.is_ready());
        let waiter = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.wait().await }
        });
        readiness.ready("rpc");
        waiter.await.unwrap();
        readiness.not_ready("journal", "replaying");
        assert_eq!(readiness.missing(), ["journal: replaying"]);
        readiness.ready("journal");
        readiness.broken("a thread died");
        assert!(!readiness.is_ready());
    }
}
