//! The daily backup, and how many of its files stay.

use super::BackupRequest;
use super::run::Place;
use crate::core::Core;
use crate::error::MasterError;
use alluxio_config::DailyBackup;
use alluxio_journal::backup::begun_at;
use alluxio_types::UnixMillis;
use alluxio_types::mount::join_uri;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The wall clock is looked at so often: it may jump, and a sleep of a day would not notice.
const LOOK: Duration = Duration::from_secs(20);

/// Takes a backup every day, for as long as this master is the primary.
pub(crate) async fn keep(core: Arc<Core>) {
    let Some(daily) = core.config.backup.daily else { return };
    let mut due = next_after(core.host.clock.now(), daily.at);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = core.host.clock.now();
        if now < due {
            continue;
        }
        due = next_after(now, daily.at);
        // Files on a machine's own disk are kept, and counted, on the primary's.
        let bypass_delegation = core.config.backup.directory.starts_with("file://");
        let request = BackupRequest { bypass_delegation, ..BackupRequest::default() };
        match core.backup(&request).await {
            Ok(place) => match retain(&place, daily).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "old backups are removed"),
                Err(error) => tracing::warn!(%error, "old backups could not be removed"),
            },
            Err(error) => tracing::error!(%error, "there is no backup of today"),
        }
    }
}

/// The first moment after `now` that is `at` after a midnight in UTC.
fn next_after(now: UnixMillis, at: Duration) -> UnixMillis {
    let today = now.0 - now.0 % DAY_MS + at.as_millis() as u64;
    UnixMillis(if today > now.0 { today } else { today + DAY_MS })
}

/// Removes all but the newest backups of ours in a directory; returns how many it removed. Files with
/// other names are left alone.
async fn retain(place: &Place, daily: DailyBackup) -> Result<usize, MasterError> {
    let mut found = Vec::new();
    let mut listing = place.ufs.list(&place.directory, false).await?;
    while let Some(entries) = listing.next().await {
        let names = entries?.into_iter().map(|entry| entry.name);
        found.extend(names.filter_map(|name| Some((begun_at(&name)?, name))));
    }
    found.sort();
    let surplus = found.len().saturating_sub(daily.files_retained);
    for (_, name) in &found[..surplus] {
        place.ufs.delete_file(&join_uri(&place.directory, name)).await?;
    }
    Ok(surplus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::MountOptions;
    use alluxio_ufs::{UfsSettings, UnderFsRegistry};

    #[test]
    fn the_next_time_is_always_ahead() {
        let at = Duration::from_secs(5 * 3600);
        let midnight = 20_000 * DAY_MS;
        let five = midnight + 5 * 3_600_000;
        for (now, want) in [
            (midnight, five),
            (five - 1, five),
            (five, five + DAY_MS),
            (midnight + DAY_MS - 1, five + DAY_MS),
        ] {
            assert_eq!(next_after(UnixMillis(now), at), UnixMillis(want));
        }
    }

    #[tokio::test]
    async fn only_the_oldest_backups_of_ours_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let names = [1u64, 86_400_001, 172_800_001, 1_795_244_709_042]
            .map(|at| alluxio_journal::backup::file_name(UnixMillis(at)));
        for name in names.iter().map(String::as_str).chain(["notes", "alluxio-backup-1.gz"]) {
            std::fs::write(dir.path().join(name), b"x").unwrap();
        }
        let registry = UnderFsRegistry::new(UfsSettings::default());
        let root = dir.path().to_str().unwrap();
        let ufs = registry.open(root, &MountOptions::default()).unwrap();
        let place = Place { directory: root.to_owned(), ufs };
        let daily = DailyBackup { at: Duration::ZERO, files_retained: 2 };
        assert_eq!(retain(&place, daily).await.unwrap(), 2);
        let mut left: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut want = vec![names[2].clone(), names[3].clone()];
        want.extend(["notes".to_owned(), "alluxio-backup-1.gz".to_owned()]);
        want.sort();
        assert_eq!(left, want);
    }
}
