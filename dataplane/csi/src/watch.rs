//! The last rung of the ladder: when every holder of a session's descriptor has died, the kernel gives its connection
//! up and programs get ENOTCONN. The agent mounts such a session anew; what shows the old one is bound anew here.

use crate::mounter::SessionView;
use crate::mountinfo::Table;
use crate::node::Node;
use crate::places::Place;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks.
pub const EVERY: Duration = Duration::from_secs(5);

/// A place that does not show a living session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Which.
    pub place: Place,
    /// Its session, when it is up, at another device than the place shows.
    pub alive: Option<SessionView>,
}

/// Places that are mounted and show what is dead, or was. Pure.
pub fn stale(places: Vec<Place>, table: &Table, sessions: &[SessionView]) -> Vec<Stale> {
    let sessions: BTreeMap<_, _> = sessions.iter().map(|view| (&view.key, view)).collect();
    let shows_no_living = |place: Place| {
        let (key, _) = place.session()?;
        let shown = table.top(&place.path)?;
        let alive = sessions.get(key).filter(|view| view.dead.is_none());
        match alive {
            Some(view) if view.device == shown.device => None,
            alive => Some(Stale { alive: alive.map(|view| (*view).clone()), place }),
        }
    };
    places.into_iter().filter_map(shows_no_living).collect()
}

/// Looks every [`EVERY`], until it is dropped.
pub(crate) async fn watch(node: Arc<Node>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        look(&node).await;
    }
}

/// Finds what is stale, and binds it anew.
pub(crate) async fn look(node: &Node) {
    let (sessions, table) = match (node.parts.mounter.list().await, node.places.table().await) {
        (Ok(sessions), Ok(table)) => (sessions, table),
        (Err(error), _) | (_, Err(error)) => {
            // The agent restarts. What it serves goes on; what is dead has to wait for it.
            tracing::debug!(%error, "volumes are not looked at");
            return;
        }
    };
    let places = node.places.all();
    let mounted = places.iter().filter(|place| table.top(&place.path).is_some()).count();
    let found = stale(places, &table, &sessions);
    let mut left = 0;
    for Stale { place, alive } in &found {
        if let Err(error) = mend(node, place, alive.clone()).await {
            left += 1;
            let path = place.path.display();
            tracing::warn!(volume = %place.volume, %path, %error, "a volume is dead, and stays so");
        }
    }
    node.metrics.healthy.set((mounted - left) as i64);
    node.metrics.unhealthy.set(left as i64);
}

async fn mend(
    node: &Node,
    place: &Place,
    alive: Option<SessionView>,
) -> Result<(), crate::CsiError> {
    // A call for this volume is under way; it sees to the place itself.
    let Ok(_held) = node.lock(&place.volume) else { return Ok(()) };
    if node.places.at(&place.path).as_ref() != Some(place) {
        return Ok(());
    }
    let Some((key, spec)) = place.session() else { return Ok(()) };
    let view = match alive {
        Some(view) => view,
        None => node.parts.mounter.open(key, spec).await?,
    };
    let shown = node.places.table().await?.top(&place.path).map(|row| row.device.clone());
    if shown.is_none() || shown.as_ref() == Some(&view.device) {
        return Ok(());
    }
    node.bind_anew(place, &view).await?;
    let path = place.path.display();
    tracing::info!(volume = %place.volume, %path, session = %key, "bound to a new session");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::{Kind, Shows};
    use crate::session::{SessionKey, SessionSpec};

    fn place(path: &str, key: &str) -> Place {
        Place {
            path: path.into(),
            volume: format!("volume of {path}"),
            kind: Kind::Published,
            shows: Shows::Session {
                key: SessionKey::known(key.into()),
                spec: SessionSpec { path: "/".into(), options: Vec::new() },
            },
            sub_path: String::new(),
            read_only: false,
            one_pod: false,
        }
    }

    fn view(key: &str, device: &str, dead: bool) -> SessionView {
        SessionView {
            key: SessionKey::known(key.into()),
            mount_point: "/s".into(),
            device: device.into(),
            dead: dead.then(|| "gone".into()),
        }
    }

    #[test]
    fn only_places_that_show_the_dead_are_stale() {
        let table = Table::parse(
            "1 0 0:1 / /good rw - t s rw\n2 0 0:2 / /dead rw - t s rw\n3 0 0:3 / /old rw - t s rw\n\
             4 0 0:3 / /twice rw - t s rw\n5 4 0:4 / /twice rw - t s rw\n6 0 0:9 / /lost rw - t s rw\n",
        );
        let places = vec![
            place("/good", "a"),
            place("/dead", "b"),
            place("/old", "c"),
            place("/twice", "c"),
            place("/lost", "d"),
            place("/not-mounted", "b"),
        ];
        let sessions = [view("a", "0:1", false), view("b", "0:2", true), view("c", "0:4", false)];
        let found: Vec<(String, bool)> = stale(places, &table, &sessions)
            .into_iter()
            .map(|stale| (stale.place.path.display().to_string(), stale.alive.is_some()))
            .collect();
        let wanted = [("/dead", false), ("/old", true), ("/lost", false)];
        assert_eq!(found, wanted.map(|(path, alive)| (path.to_owned(), alive)));
    }
}
