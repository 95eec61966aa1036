//! Views of a cluster with several masters: who is what, how far, and how etcd is.

use super::date::DateFormat;
use super::table;
use alluxio_client::{
    CheckpointFacts, EtcdMember, MasterAnswer, MasterRole, MasterState, QuorumView,
};
use alluxio_types::ByteSize;
use serde_json::{Value, json};

/// The answers of all masters as one picture.
pub struct Quorum {
    journal_type: String,
    cluster_name: String,
    /// The primary that serves.
    primary: Option<String>,
    /// Whom the election names, who need not serve, with its term.
    elected: Option<(String, u64)>,
    masters: Vec<Seat>,
    etcd: Vec<EtcdMember>,
}

/// One master.
struct Seat {
    address: String,
    /// What it says of itself, or why it says nothing.
    state: Result<MasterState, String>,
}

impl Quorum {
    /// Joins what the masters said. When two masters differ, the one with the newer term counts.
    pub fn of(answers: &[MasterAnswer]) -> Self {
        let views: Vec<&QuorumView> =
            answers.iter().filter_map(|answer| answer.view.as_ref().ok()).collect();
        let mut masters: Vec<Seat> = Vec::new();
        for answer in answers {
            let (address, state) = match &answer.view {
                Ok(QuorumView { itself: Some(itself), .. }) => {
                    (itself.address.to_string(), Ok(itself.clone()))
                }
                Ok(_) => (answer.address.clone(), Err("it says nothing of itself".to_owned())),
                Err(error) => (answer.address.clone(), Err(error.to_string())),
            };
            if !masters.iter().any(|seat| seat.address == address) {
                masters.push(Seat { address, state });
            }
        }
        let states = masters.iter().filter_map(|seat| seat.state.as_ref().ok());
        let primary = states
            .filter(|state| state.role == MasterRole::Primary)
            .max_by_key(|state| state.term)
            .map(|state| state.address.to_string());
        let elected = views
            .iter()
            .filter(|view| !view.leader.is_empty())
            .max_by_key(|view| view.leader_term)
            .map(|view| (view.leader.clone(), view.leader_term));
        // The one with most to tell: a master that cannot reach etcd knows only its addresses.
        let sound = |view: &&&QuorumView| view.etcd.iter().filter(|member| member.healthy).count();
        let etcd = views.iter().max_by_key(sound).map(|view| view.etcd.clone()).unwrap_or_default();
        let first = views.first();
        Quorum {
            journal_type: first.map(|view| view.journal_type.clone()).unwrap_or_default(),
            cluster_name: first.map(|view| view.cluster_name.clone()).unwrap_or_default(),
            primary,
            elected,
            masters,
            etcd,
        }
    }

    /// Whether any master answered.
    pub fn is_known(&self) -> bool {
        self.masters.iter().any(|seat| seat.state.is_ok())
    }

    /// For people.
    pub fn lines(&self, date: &DateFormat) -> Vec<String> {
        let mut lines = vec![
            "Journal domain : MASTER".to_owned(),
            format!("Journal type   : {}", self.journal_type),
        ];
        if !self.cluster_name.is_empty() {
            lines.push(format!("Cluster name   : {}", self.cluster_name));
        }
        lines.push(format!("Quorum size    : {}", self.masters.len()));
        lines.push(match (&self.primary, &self.elected) {
            (Some(primary), _) => format!("Quorum leader  : {primary}"),
            (None, Some((elected, _))) => format!("Quorum leader  : {elected} (does not serve)"),
            (None, None) => "Quorum leader  : none".to_owned(),
        });
        if let Some((_, term)) = &self.elected {
            lines.push(format!("Term           : {term}"));
        }
        lines.push(String::new());
        lines.extend(self.master_table(date));
        if !self.etcd.is_empty() {
            lines.push(String::new());
            lines.push(format!("etcd members   : {}", self.etcd.len()));
            lines.extend(etcd_table(&self.etcd));
        }
        lines
    }

    fn master_table(&self, date: &DateFormat) -> Vec<String> {
        let mut rows = vec![words(&[
            "STATE",
            "ROLE",
            "SERVER ADDRESS",
            "TERM",
            "LAG",
            "LAST ENTRY",
            "LAST CHECKPOINT",
        ])];
        for seat in &self.masters {
            rows.push(match &seat.state {
                Ok(state) => vec![
                    "AVAILABLE".to_owned(),
                    role(state.role).to_owned(),
                    seat.address.clone(),
                    state.term.to_string(),
                    state.lag.to_string(),
                    state.applied_seq.to_string(),
                    checkpoint(state.checkpoint, date),
                ],
                Err(why) => {
                    words(&["UNAVAILABLE", "-", &seat.address, "-", "-", "-", why.as_str()])
                }
            });
        }
        table::align(&rows)
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let masters = self.masters.iter().map(|seat| match &seat.state {
            Ok(state) => {
                let mut value = state_json(state);
                value["state"] = json!("AVAILABLE");
                value
            }
            Err(why) => {
                json!({"address": seat.address, "state": "UNAVAILABLE", "problem": why})
            }
        });
        json!({
            "journalDomain": "MASTER",
            "journalType": self.journal_type,
            "clusterName": self.cluster_name,
            "leader": self.primary,
            "elected": self.elected.as_ref().map(|(address, _)| address),
            "term": self.elected.as_ref().map(|(_, term)| term),
            "masters": masters.collect::<Vec<_>>(),
            "etcd": self.etcd.iter().map(etcd_json).collect::<Vec<_>>(),
        })
    }
}

fn words(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// As users write it.
fn role(role: MasterRole) -> &'static str {
    match role {
        MasterRole::Primary => "PRIMARY",
        MasterRole::Standby => "STANDBY",
        MasterRole::Starting => "STARTING",
        MasterRole::Suspended => "SUSPENDED",
        MasterRole::Lost => "LOST",
    }
}

/// `entry 1200, 11-21-2026 07:05:09:042, 1.20MB`.
pub fn checkpoint(checkpoint: Option<CheckpointFacts>, date: &DateFormat) -> String {
    match checkpoint {
        None => "none".to_owned(),
        // Of a lost file only the position is known.
        Some(CheckpointFacts { seq, created, .. }) if created.0 == 0 => format!("entry {seq}"),
        Some(CheckpointFacts { seq, created, length_bytes }) => {
            format!("entry {seq}, {}, {}", date.text(created), ByteSize(length_bytes))
        }
    }
}

/// The rows of all masters that the primary knows, as `masterInfo` and `report summary` show them.
pub fn states(states: &[MasterState], date: &DateFormat) -> Vec<String> {
    let mut rows =
        vec![words(&["Master Address", "State", "Version", "Term", "Lag", "Last Checkpoint"])];
    for state in states {
        let known = state.role != MasterRole::Lost;
        let cell = |text: String| if known { text } else { "-".to_owned() };
        rows.push(vec![
            state.address.to_string(),
            role(state.role).to_owned(),
            cell(state.version.clone()),
            cell(state.term.to_string()),
            cell(state.lag.to_string()),
            cell(checkpoint(state.checkpoint, date)),
        ]);
    }
    table::align(&rows)
}

/// A master for machines.
pub fn state_json(state: &MasterState) -> Value {
    json!({
        "address": state.address.to_string(),
        "role": role(state.role),
        "version": state.version,
        "term": state.term,
        "lagEntries": state.lag,
        "lastEntry": state.applied_seq,
        "lastCheckpoint": state.checkpoint.map(checkpoint_json),
    })
}

fn checkpoint_json(checkpoint: CheckpointFacts) -> Value {
    json!({
        "sequence": checkpoint.seq,
        "timeMs": checkpoint.created.0,
        "bytes": checkpoint.length_bytes,
    })
}

fn etcd_table(members: &[EtcdMember]) -> Vec<String> {
    let header = [
        "STATE",
        "ROLE",
        "NAME",
        "ID",
        "ENDPOINTS",
        "VERSION",
        "DB SIZE",
        "RAFT TERM",
        "RAFT INDEX",
    ];
    let mut rows = vec![words(&header)];
    let mut problems = Vec::new();
    for member in members {
        let answered = !member.version.is_empty();
        let cell = |text: String| if answered { text } else { "-".to_owned() };
        rows.push(vec![
            etcd_state(member).to_owned(),
            etcd_role(member, answered).to_owned(),
            if member.name.is_empty() { "-".to_owned() } else { member.name.clone() },
            cell(member.id.clone()),
            member.client_urls.join(","),
            cell(member.version.clone()),
            cell(ByteSize(member.db_bytes).to_string()),
            cell(member.raft_term.to_string()),
            cell(member.raft_index.to_string()),
        ]);
        let name =
            if member.name.is_empty() { member.client_urls.join(",") } else { member.name.clone() };
        problems.extend(member.problems.iter().map(|problem| format!("etcd {name}: {problem}")));
    }
    let mut lines = table::align(&rows);
    lines.extend(problems);
    lines
}

fn etcd_state(member: &EtcdMember) -> &'static str {
    match (member.healthy, member.version.is_empty()) {
        // Without a version, too: etcd with users tells more to its administrators only.
        (true, _) => "AVAILABLE",
        // It answers, and something is wrong with it.
        (false, false) => "UNHEALTHY",
        (false, true) => "UNAVAILABLE",
    }
}

fn etcd_role(member: &EtcdMember, answered: bool) -> &'static str {
    match (answered, member.leader, member.learner) {
        (_, true, _) => "LEADER",
        (_, _, true) => "LEARNER",
        (true, ..) => "FOLLOWER",
        (false, ..) => "-",
    }
}

fn etcd_json(member: &EtcdMember) -> Value {
    json!({
        "name": member.name,
        "id": member.id,
        "endpoints": member.client_urls,
        "state": etcd_state(member),
        "role": etcd_role(member, !member.version.is_empty()),
        "version": member.version,
        "dbBytes": member.db_bytes,
        "raftTerm": member.raft_term,
        "raftIndex": member.raft_index,
        "problems": member.problems,
    })
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
mod tests;
