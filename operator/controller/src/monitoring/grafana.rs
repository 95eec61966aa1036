//! Dashboards as Grafana reads them.

use super::Scope;
use super::dashboards::{About, Dashboard, Look, Panel};
use serde_json::{Value, json};

/// The version of the format: Grafana 10 and later read it as it is.
const SCHEMA: u32 = 39;
/// Grafana's grid has so many columns.
const COLUMNS: usize = 24;

/// One cluster that a dashboard is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A few letters that are its alone.
    pub id: String,
}

/// A dashboard of one cluster, or one whose user chooses.
pub fn dashboard(dashboard: &Dashboard, owner: Option<&Owner>) -> Value {
    let scope = match dashboard.about {
        About::Cluster => Scope::Chosen,
        About::Operator => Scope::Release { namespace: "$namespace".to_owned() },
    };
    let (uid, title) = match owner {
        Some(Owner { namespace, name, id }) => (
            format!("alluxio-{}-{id}", dashboard.name),
            format!("{} ({namespace}/{name})", dashboard.title),
        ),
        None => (format!("alluxio-{}", dashboard.name), dashboard.title.to_owned()),
    };
    json!({
        "uid": uid,
        "title": title,
        "tags": ["alluxio"],
        "editable": true,
        "schemaVersion": SCHEMA,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables(dashboard, owner)},
        "panels": panels(dashboard.panels, &scope),
    })
}

fn variables(dashboard: &Dashboard, owner: Option<&Owner>) -> Vec<Value> {
    let mut all = vec![json!({
        "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
    })];
    if let Some(owner) = owner {
        for (name, value) in [("namespace", &owner.namespace), ("cluster", &owner.name)] {
            all.push(json!({"name": name, "type": "constant", "query": value, "hide": 2}));
        }
        return all;
    }
    match dashboard.about {
        About::Operator => {
            all.push(choice("namespace", "label_values(alluxio_operator_leads, namespace)"));
        }
        About::Cluster => {
            all.push(choice("namespace", "label_values(alluxio_master_primary, namespace)"));
            let clusters =
                "label_values(alluxio_master_primary{namespace=~\"$namespace\"}, alluxio_cluster)";
            all.push(choice("cluster", clusters));
        }
    }
    all
}

fn choice(name: &str, query: &str) -> Value {
    json!({
        "name": name,
        "type": "query",
        "datasource": datasource(),
        // Again whenever the range of time changes.
        "refresh": 2,
        "query": {"query": query, "refId": name},
    })
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn panels(panels: &[Panel], scope: &Scope) -> Vec<Value> {
    let (mut x, mut y, mut row_height) = (0, 0, 0);
    let mut all = Vec::new();
    for (number, panel) in panels.iter().enumerate() {
        let (width, height) = match panel.look {
            Look::Number => (4, 4),
            Look::Lines | Look::Areas => (8, 8),
        };
        // Rows hold panels of one height.
        if x + width > COLUMNS || (x > 0 && height != row_height) {
            (x, y) = (0, y + row_height);
        }
        row_height = height;
        let mut value = body(panel, scope);
        value["id"] = Value::from(number + 1);
        value["gridPos"] = json!({"x": x, "y": y, "w": width, "h": height});
        all.push(value);
        x += width;
    }
    all
}

fn body(panel: &Panel, scope: &Scope) -> Value {
    let targets: Vec<Value> = panel
        .queries
        .iter()
        .zip('A'..)
        .map(|((expression, legend), id)| {
            json!({
                "refId": id.to_string(),
                "datasource": datasource(),
                "expr": scope.of(expression),
                "legendFormat": legend,
            })
        })
        .collect();
    let mut custom = json!({"fillOpacity": 10, "showPoints": "never"});
    if panel.look == Look::Areas {
        custom = json!({"fillOpacity": 40, "showPoints": "never", "stacking": {"mode": "normal"}});
    }
    let defaults = match panel.look {
        Look::Number => json!({"unit": panel.unit}),
        _ => json!({"unit": panel.unit, "min": 0, "custom": custom}),
    };
    json!({
        "type": if panel.look == Look::Number { "stat" } else { "timeseries" },
        "title": panel.title,
        "datasource": datasource(),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    })
}

#[cfg(test)]
mod tests {
    use super::super::dashboards::ALL;
    use super::*;
    use std::collections::BTreeSet;

    /// The cells of Grafana's grid that a panel covers.
    fn cells(panel: &Value) -> Vec<(u64, u64)> {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let columns = at("x")..at("x") + at("w");
        columns.flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))).collect()
    }

    #[test]
    fn panels_lie_side_by_side_within_the_grid() {
        for one in ALL {
            let dashboard = dashboard(one, None);
            let panels = dashboard["panels"].as_array().unwrap();
            let covered: Vec<(u64, u64)> = panels.iter().flat_map(cells).collect();
            let different: BTreeSet<(u64, u64)> = covered.iter().copied().collect();
            assert_eq!(covered.len(), different.len(), "{}: panels overlap", one.name);
            assert!(covered.iter().all(|(x, _)| *x < COLUMNS as u64), "{}", one.name);
        }
    }

    #[test]
    fn dashboards_of_two_clusters_stand_side_by_side() {
        let owner =
            |id: &str| Owner { namespace: "cache".into(), name: "demo".into(), id: id.into() };
        let (one, two) = (owner("0f8fad5b"), owner("d9cb469f"));
        let (one, two) = (dashboard(&ALL[0], Some(&one)), dashboard(&ALL[0], Some(&two)));
        assert_ne!(one["uid"], two["uid"]);
        // Grafana takes 40 letters.
        assert!(one["uid"].as_str().unwrap().len() <= 40);
        assert_eq!(one["title"], "Alluxio / Overview (cache/demo)");
        let variables = one["templating"]["list"].as_array().unwrap();
        assert!(variables.iter().any(|v| v["name"] == "cluster" && v["query"] == "demo"));
    }

    #[test]
    fn titles_of_panels_are_unique() {
        for one in ALL {
            let titles: BTreeSet<&str> = one.panels.iter().map(|panel| panel.title).collect();
            assert_eq!(titles.len(), one.panels.len(), "{}", one.name);
        }
    }
}
