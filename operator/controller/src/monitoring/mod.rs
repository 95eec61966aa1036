//! What Prometheus and Grafana are told of the product: alerts, and dashboards. Pure data; `cluster::build` makes
//! objects of it for one cluster, and the chart has files of it for what it installs itself.
//!
//! - [`alerts`]: what somebody should be called for, and what to do then.
//! - [`dashboards`]: which panels there are; [`grafana`] writes them as Grafana reads them.
//!
//! Expressions say `SCOPE` where the series are chosen; a [`Scope`] is put in its place.

pub mod alerts;
pub mod dashboards;
pub mod grafana;

use serde_json::{Value, json};

/// Label of all series of one cluster, which our monitors put on.
pub const CLUSTER_LABEL: &str = "alluxio_cluster";

/// Whose series are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One cluster's.
    Cluster {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Of what the chart installs, in this namespace.
    Release {
        /// The namespace.
        namespace: String,
    },
    /// What the user of a dashboard chooses.
    Chosen,
}

impl Scope {
    /// Label matchers, without braces.
    pub fn matchers(&self) -> String {
        match self {
            Scope::Cluster { namespace, name } => {
                format!("namespace=\"{namespace}\",{CLUSTER_LABEL}=\"{name}\"")
            }
            Scope::Release { namespace } => format!("namespace=\"{namespace}\""),
            Scope::Chosen => {
                format!("namespace=~\"$namespace\",{CLUSTER_LABEL}=~\"$cluster\"")
            }
        }
    }

    /// An expression with its series chosen.
    pub fn of(&self, expression: &str) -> String {
        expression.replace("SCOPE", &self.matchers())
    }

    /// Labels that every alert gets, so that also one about something that is missing says whose it is.
    fn labels(&self) -> Value {
        match self {
            Scope::Cluster { namespace, name } => {
                json!({"namespace": namespace, CLUSTER_LABEL: name})
            }
            Scope::Release { namespace } => json!({"namespace": namespace}),
            Scope::Chosen => json!({}),
        }
    }
}

/// Rules for the operator and the CSI driver in `namespace`, and all dashboards, as files by name.
pub fn files(namespace: &str) -> Vec<(String, String)> {
    let release = Scope::Release { namespace: namespace.to_owned() };
    let rules = json!({"groups": alerts::groups(alerts::RELEASE, &release)});
    let mut files = vec![("rules.json".to_owned(), pretty(&rules))];
    for dashboard in dashboards::ALL {
        let text = pretty(&grafana::dashboard(dashboard, None));
        files.push((format!("dashboard-{}.json", dashboard.name), text));
    }
    files
}

fn pretty(value: &Value) -> String {
    // A map of values always has a text.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_stands_wherever_series_are_chosen() {
        let scope = Scope::Cluster { namespace: "cache".into(), name: "demo".into() };
        assert_eq!(
            scope.of("up{SCOPE} / on (pod) x{SCOPE,tier=\"MEM\"}"),
            "up{namespace=\"cache\",alluxio_cluster=\"demo\"} / on (pod) \
             x{namespace=\"cache\",alluxio_cluster=\"demo\",tier=\"MEM\"}"
        );
    }

    /// Names of series in an expression, each with what follows it.
    fn series(expression: &str) -> Vec<(&str, &str)> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let starts = expression.char_indices().filter(|(at, _)| {
            let before = expression[..*at].chars().next_back();
            !before.is_some_and(word)
        });
        starts
            .filter_map(|(at, _)| {
                let rest = &expression[at..];
                let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                let ours = ["alluxio_", "process_", "etcd_"].iter().any(|p| name.starts_with(p));
                ((ours && name != CLUSTER_LABEL) || name == "up").then_some((name, after))
            })
            .collect()
    }

    #[test]
    fn every_series_is_chosen_by_scope() {
        let alerts = alerts::CLUSTER.iter().chain(alerts::RELEASE).map(|alert| alert.expression);
        let panels = dashboards::ALL.iter().flat_map(|dashboard| dashboard.panels);
        let queries = panels.flat_map(|panel| panel.queries).map(|(query, _)| *query);
        for expression in alerts.chain(queries) {
            let found = series(expression);
            assert!(!found.is_empty(), "{expression}");
            for (name, after) in found {
                assert!(after.starts_with("{SCOPE"), "{name} in {expression}");
            }
        }
    }
}
