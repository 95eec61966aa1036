//! Views of the cluster: `fsadmin report`, `masterInfo`.

use super::date::DateFormat;
use super::{percent, quorum, size, table};
use alluxio_client::{MasterAddress, MasterInfo};
use alluxio_types::{ByteSize, UnixMillis, WorkerInfo, WorkerState};
use serde_json::{Value, json};
use std::time::Duration;

/// `0 day(s), 2 hour(s), 5 minute(s), and 7 second(s)`.
pub fn uptime(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!(
        "{} day(s), {} hour(s), {} minute(s), and {} second(s)",
        seconds / 86_400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Capacity and use by tier, in order of appearance.
fn tiers(workers: &[&WorkerInfo]) -> Vec<(String, u64, u64)> {
    let mut out: Vec<(String, u64, u64)> = Vec::new();
    for tier in workers.iter().flat_map(|worker| &worker.tiers) {
        match out.iter_mut().find(|(alias, ..)| *alias == tier.alias.0) {
            Some((_, capacity, used)) => {
                *capacity += tier.capacity_bytes;
                *used += tier.used_bytes;
            }
            None => out.push((tier.alias.0.clone(), tier.capacity_bytes, tier.used_bytes)),
        }
    }
    out
}

fn live(workers: &[WorkerInfo]) -> Vec<&WorkerInfo> {
    workers.iter().filter(|worker| worker.state == WorkerState::Live).collect()
}

/// The lines of `fsadmin report summary`.
pub fn summary(master: &MasterInfo, workers: &[WorkerInfo], date: &DateFormat) -> Vec<String> {
    let mut lines = vec!["Alluxio cluster summary:".to_owned()];
    let mut put = |name: &str, value: String| lines.push(format!("    {name}: {value}"));
    put("Master Address", master.leader.to_string());
    put("Web Port", master.leader.web_port.to_string());
    put("Rpc Port", master.leader.rpc_port.to_string());
    put("Started", date.text(master.started));
    put("Uptime", uptime(master.now.since(master.started)));
    put("Version", master.version.clone());
    put("Safe Mode", master.safe_mode.to_string());
    put("Zookeeper Enabled", "false".to_owned());
    put("Raft-based Journal", "false".to_owned());
    put("Journal Type", master.journal_type.clone());
    put("Term", master.term.to_string());
    put("Last Checkpoint", last_checkpoint(master, date));
    put("Inodes", format!("{} ({})", master.inode_count, ByteSize(master.inode_bytes)));
    if master.states.len() > 1 {
        lines.extend(quorum::states(&master.states, date).iter().map(|row| format!("    {row}")));
    }
    let mut put = |name: &str, value: String| lines.push(format!("    {name}: {value}"));
    let live = live(workers);
    put("Live Workers", live.len().to_string());
    put("Lost Workers", (workers.len() - live.len()).to_string());
    let tiers = tiers(&live);
    let capacity: u64 = tiers.iter().map(|(_, capacity, _)| capacity).sum();
    let used: u64 = tiers.iter().map(|(_, _, used)| used).sum();
    let per_tier = |pick: fn(&(String, u64, u64)) -> u64| -> Vec<String> {
        let line =
            |tier| format!("        Tier: {}  Size: {}", tier_name(tier), size(pick(tier), true));
        tiers.iter().map(line).collect()
    };
    lines.push(format!("    Total Capacity: {}", ByteSize(capacity)));
    lines.extend(per_tier(|tier| tier.1));
    lines.push(format!("    Used Capacity: {}", ByteSize(used)));
    lines.extend(per_tier(|tier| tier.2));
    lines.push(format!("    Free Capacity: {}", ByteSize(capacity.saturating_sub(used))));
    lines
}

/// The newest one that any master holds, and how many entries came after it.
fn last_checkpoint(master: &MasterInfo, date: &DateFormat) -> String {
    let held = master.states.iter().filter_map(|state| state.checkpoint);
    let checkpoint = held.max_by_key(|checkpoint| checkpoint.seq);
    let since =
        master.journal_seq.saturating_sub(checkpoint.map_or(0, |checkpoint| checkpoint.seq));
    format!("{}; {since} entries since", quorum::checkpoint(checkpoint, date))
}

fn addresses(masters: &[MasterAddress]) -> Vec<String> {
    masters.iter().map(MasterAddress::to_string).collect()
}

fn tier_name(tier: &(String, u64, u64)) -> &str {
    &tier.0
}

/// The lines of `fsadmin report capacity`; `which` says whose, as `all workers`.
pub fn capacity(workers: &[WorkerInfo], which: &str, now: UnixMillis) -> Vec<String> {
    let chosen: Vec<&WorkerInfo> = workers.iter().collect();
    let tiers = tiers(&chosen);
    let capacity: u64 = tiers.iter().map(|(_, capacity, _)| capacity).sum();
    let used: u64 = tiers.iter().map(|(_, _, used)| used).sum();
    let live = live(workers).len();
    let used_percent = if capacity == 0 { 0 } else { percent(used, capacity) };
    let mut lines = vec![
        format!("Capacity information for {which}:"),
        format!("    Live Workers: {live}"),
        format!("    Lost Workers: {}", workers.len() - live),
        format!("    Total Capacity: {}", ByteSize(capacity)),
    ];
    lines
        .extend(tiers.iter().map(|(a, c, _)| format!("        Tier: {a}  Size: {}", ByteSize(*c))));
    lines.push(format!("    Used Capacity: {}", ByteSize(used)));
    lines
        .extend(tiers.iter().map(|(a, _, u)| format!("        Tier: {a}  Size: {}", ByteSize(*u))));
    lines.push(format!("    Used Percentage: {used_percent}%"));
    lines.push(format!("    Free Percentage: {}%", 100 - used_percent));
    lines.push(String::new());
    lines.extend(capacity_table(workers, &tiers, now));
    lines
}

fn capacity_table(
    workers: &[WorkerInfo],
    tiers: &[(String, u64, u64)],
    now: UnixMillis,
) -> Vec<String> {
    let words = |cells: &[&str]| -> Vec<String> { cells.iter().map(|c| (*c).to_owned()).collect() };
    let mut header = words(&["Worker Name", "State", "Last Heartbeat", "Storage", "Total"]);
    header.extend(tiers.iter().map(|(alias, ..)| alias.clone()));
    header.push("Version".to_owned());
    let mut rows = vec![header];
    for worker in workers {
        let state = match worker.state {
            WorkerState::Live => "ACTIVE",
            WorkerState::Lost => "LOST",
        };
        let heartbeat = now.since(worker.last_heartbeat).as_secs().to_string();
        let mut first = words(&[&worker.address.host, state, &heartbeat, "capacity"]);
        let mut second = words(&["", "", "", "used"]);
        first.push(ByteSize(worker.capacity_bytes()).to_string());
        second.push(used_cell(worker.used_bytes(), worker.capacity_bytes()));
        for (alias, ..) in tiers {
            let tier = worker.tiers.iter().find(|tier| tier.alias.0 == *alias);
            first.push(tier.map_or("-".to_owned(), |t| ByteSize(t.capacity_bytes).to_string()));
            second.push(tier.map_or("-".to_owned(), |t| used_cell(t.used_bytes, t.capacity_bytes)));
        }
        first.push(worker.version.clone());
        rows.extend([first, second]);
    }
    table::align(&rows)
}

fn used_cell(used: u64, capacity: u64) -> String {
    let share = if capacity == 0 { 0 } else { percent(used, capacity) };
    format!("{} ({share}%)", ByteSize(used))
}

/// The lines of `masterInfo`.
pub fn master_info(master: &MasterInfo, date: &DateFormat) -> Vec<String> {
    let mut lines = vec![
        format!("Current leader master: {}", master.leader),
        format!("All masters: [{}]", addresses(&master.masters).join(", ")),
    ];
    lines.extend(quorum::states(&master.states, date));
    lines
}

/// The master for machines.
pub fn master_json(master: &MasterInfo) -> Value {
    json!({
        "leader": master.leader.to_string(),
        "masters": addresses(&master.masters),
        "rpcPort": master.leader.rpc_port,
        "webPort": master.leader.web_port,
        "startTimeMs": master.started.0,
        "uptimeMs": master.now.since(master.started).as_millis() as u64,
        "version": master.version,
        "safeMode": master.safe_mode,
        "clusterId": master.cluster_id,
        "journalType": master.journal_type,
        "journalSequence": master.journal_seq,
        "checkpointSequence": master.checkpoint_seq,
        "inodeCount": master.inode_count,
        "inodeBytes": master.inode_bytes,
        "term": master.term,
        "states": master.states.iter().map(quorum::state_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_client::{CheckpointFacts, MasterRole, MasterState};
    use alluxio_types::{TierAlias, TierUsage, WorkerAddress, WorkerId};

    fn worker(host: &str, state: WorkerState) -> WorkerInfo {
        WorkerInfo {
            id: WorkerId(1),
            address: WorkerAddress { host: host.into(), ..WorkerAddress::default() },
            state,
            tiers: vec![
                TierUsage {
                    alias: TierAlias::new("MEM"),
                    capacity_bytes: 4 << 30,
                    used_bytes: 1 << 30,
                },
                TierUsage { alias: TierAlias::new("SSD"), capacity_bytes: 8 << 30, used_bytes: 0 },
            ],
            last_heartbeat: UnixMillis(9_000),
            started: UnixMillis(0),
            block_count: 5,
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn the_summary_adds_up_live_workers_only() {
        let leader = MasterAddress { host: "m".into(), rpc_port: 19998, web_port: 19999 };
        let created = UnixMillis(1_795_244_709_042);
        let checkpoint = CheckpointFacts { seq: 7, created, length_bytes: 2048 };
        let primary = MasterState {
            address: leader.clone(),
            role: MasterRole::Primary,
            term: 4,
            applied_seq: 9,
            lag: 0,
            checkpoint: Some(checkpoint),
            version: "0.1.0".into(),
        };
        let master = MasterInfo {
            leader: leader.clone(),
            masters: vec![leader],
            started: UnixMillis(1_795_244_709_042),
            now: UnixMillis(1_795_244_709_042 + 3_725_000),
            version: "0.1.0".into(),
            safe_mode: false,
            cluster_id: "c".into(),
            journal_type: "UFS".into(),
            journal_seq: 9,
            checkpoint_seq: 0,
            inode_count: 3,
            inode_bytes: 300,
            term: 4,
            states: vec![primary],
        };
        let workers = [worker("w1", WorkerState::Live), worker("w2", WorkerState::Lost)];
        let date = DateFormat::utc("MM-dd-yyyy HH:mm:ss:SSS");
        let want = "Alluxio cluster summary:\n    Master Address: m:19998\n    Web Port: 19999\n    \
                    Rpc Port: 19998\n    Started: 11-21-2026 07:05:09:042\n    \
                    Uptime: 0 day(s), 1 hour(s), 2 minute(s), and 5 second(s)\n    \
                    Version: 0.1.0\n    Safe Mode: false\n    Zookeeper Enabled: false\n    \
                    Raft-based Journal: false\n    Journal Type: UFS\n    Term: 4\n    \
                    Last Checkpoint: entry 7, 11-21-2026 07:05:09:042, 2.00KB; 2 entries since\n    \
                    Inodes: 3 (300B)\n    \
                    Live Workers: 1\n    Lost Workers: 1\n    Total Capacity: 12.00GB\n        \
                    Tier: MEM  Size: 4.00GB\n        Tier: SSD  Size: 8.00GB\n    \
                    Used Capacity: 1.00GB\n        Tier: MEM  Size: 1.00GB\n        \
                    Tier: SSD  Size: 0B\n    Free Capacity: 11.00GB";
        assert_eq!(summary(&master, &workers, &date).join("\n"), want);
        let mut want =
            vec!["Current leader master: m:19998".to_owned(), "All masters: [m:19998]".to_owned()];
        want.extend(quorum::states(&master.states, &date));
        assert_eq!(master_info(&master, &date), want);
        assert_eq!(
            want[2..],
            [
                "Master Address  State    Version  Term  Lag  Last Checkpoint",
                "m:19998         PRIMARY  0.1.0    4     0    entry 7, 11-21-2026 07:05:09:042, 2.00KB",
            ]
        );
        let two = MasterInfo { states: vec![master.states[0].clone(); 2], ..master };
        let lines = summary(&two, &workers, &date);
        assert!(lines.contains(&format!("    {}", want[3])), "{lines:?}");
    }

    #[test]
    fn the_capacity_table_has_two_rows_for_each_worker() {
        let workers = [worker("w1", WorkerState::Live)];
        let lines = capacity(&workers, "all workers", UnixMillis(10_000));
        assert_eq!(lines[0], "Capacity information for all workers:");
        assert_eq!(
            &lines[lines.len() - 3..],
            [
                "Worker Name  State   Last Heartbeat  Storage   Total        MEM           SSD      Version",
                "w1           ACTIVE  1               capacity  12.00GB      4.00GB        8.00GB   0.1.0",
                "                                     used      1.00GB (8%)  1.00GB (25%)  0B (0%)",
            ]
        );
    }
}
