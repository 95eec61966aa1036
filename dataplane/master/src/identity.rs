//! From a claimed user name to an identity: the groups that this machine knows for it.
//!
//! Reads `/etc/passwd` and `/etc/group`, so a static binary needs no name service; users that are
//! unknown here belong to a group of their own name.

use alluxio_config::SecurityConfig;
use alluxio_host::Clock;
use alluxio_types::Identity;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// Users remembered at once; beyond it all are forgotten and read again.
const USERS_MAX: usize = 10_000;

/// Remembers identities.
pub struct Identities {
    etc: PathBuf,
    /// Whether users have other groups than the one of their name.
    os_groups: bool,
    /// How long groups are believed.
    believed: Duration,
    clock: Arc<dyn Clock>,
    known: RwLock<HashMap<String, (Duration, Arc<Identity>)>>,
}

impl Identities {
    /// Reads `passwd` and `group` in `etc` (`/etc` outside of tests), by
    /// `alluxio.security.group.mapping.*`.
    pub fn new(etc: impl Into<PathBuf>, config: &SecurityConfig, clock: Arc<dyn Clock>) -> Self {
        Identities {
            etc: etc.into(),
            os_groups: config.os_groups,
            believed: config.group_cache_timeout.unwrap_or_default(),
            clock,
            known: RwLock::new(HashMap::new()),
        }
    }

    /// The identity of a user.
    pub fn of(&self, user: &str) -> Arc<Identity> {
        let now = self.clock.monotonic();
        let known = self.known.read().unwrap_or_else(|poison| poison.into_inner());
        if let Some((read, identity)) = known.get(user)
            && now.saturating_sub(*read) < self.believed
        {
            return identity.clone();
        }
        drop(known);
        let identity = Arc::new(Identity::new(user, self.groups(user)));
        let mut known = self.known.write().unwrap_or_else(|poison| poison.into_inner());
        if known.len() >= USERS_MAX {
            known.clear();
        }
        known.insert(user.to_owned(), (now, identity.clone()));
        identity
    }

    /// Group names, the primary one first; the user's own name when nothing is known.
    fn groups(&self, user: &str) -> Vec<String> {
        if !self.os_groups {
            return vec![user.to_owned()];
        }
        let read = |file: &str| std::fs::read_to_string(self.etc.join(file)).unwrap_or_default();
        let (passwd, group) = (read("passwd"), read("group"));
        let primary_id = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(user)).then(|| fields.nth(2)).flatten()
        });
        let mut groups: Vec<String> = Vec::new();
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, id, members] = fields[..] else { continue };
            if Some(id) == primary_id {
                groups.insert(0, name.to_owned());
            } else if members.split(',').any(|member| member == user) {
                groups.push(name.to_owned());
            }
        }
        if groups.is_empty() {
            groups.push(user.to_owned());
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_config::Config;
    use alluxio_host::ManualClock;
    use alluxio_types::UnixMillis;

    #[test]
    fn groups_are_read_with_the_primary_one_first_and_read_again_later() {
        let etc = tempfile::tempdir().unwrap();
        std::fs::write(etc.path().join("passwd"), "ann:x:7:20:::\n").unwrap();
        std::fs::write(etc.path().join("group"), "dev:x:9:bob,ann\nstaff:x:20:\n").unwrap();
        let clock = Arc::new(ManualClock::at(UnixMillis(0)));
        let config = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().copied().chain([("alluxio.master.hostname", "m")]);
            Config::of(pairs).unwrap().master().unwrap().security
        };
        let identities = Identities::new(etc.path(), &config(&[]), clock.clone());
        assert_eq!(identities.of("ann").groups, ["staff", "dev"]);
        assert_eq!(identities.of("nobody-here").groups, ["nobody-here"]);
        std::fs::write(etc.path().join("group"), "staff:x:20:\n").unwrap();
        assert_eq!(identities.of("ann").groups, ["staff", "dev"]);
        clock.advance(Duration::from_secs(60));
        assert_eq!(identities.of("ann").groups, ["staff"]);
        let own = ("alluxio.security.group.mapping.class", "IdentityUserGroups");
        let identities = Identities::new(etc.path(), &config(&[own]), clock);
        assert_eq!(identities.of("ann").groups, ["ann"]);
    }
}
