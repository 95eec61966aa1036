//! Names in etcd.
//!
//! ```text
//! /<cluster name>/election/leader          id and address of the primary, on its lease
//!                 election/last            who was elected last; changes with every election
//!                 election/resigned        the last term that was given up in order
//!                 election/raised          written to where terms have to grow without an election
//!                 masters/<id>             address of a master that is up, on its lease
//!                 journal/meta             whose journal this is
//!                 journal/head             position of the last entry
//!                 journal/entries/<first>  a group of entries
//!                 journal/overflow/…       the front of a group that is too large for one request
//!                 journal/checkpoints/<id> the newest checkpoint that a master holds
//! ```

/// The keys of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Those of the cluster `name`.
    pub fn of(name: &str) -> Self {
        Keys { prefix: format!("/{}", name.trim_matches('/')) }
    }

    fn at(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    /// What all keys of the cluster start with.
    pub fn prefix(&self) -> String {
        self.at("")
    }

    /// The primary. Its create revision is the term.
    pub fn leader(&self) -> String {
        self.at("election/leader")
    }

    /// Who was elected last. Its modification revision is the last term.
    pub fn last_elected(&self) -> String {
        self.at("election/last")
    }

    /// The last term that was given up in order.
    pub fn resigned(&self) -> String {
        self.at("election/resigned")
    }

    /// Written to where terms have to grow without an election.
    pub fn raised(&self) -> String {
        self.at("election/raised")
    }

    /// All masters that are up.
    pub fn masters(&self) -> String {
        self.at("masters/")
    }

    /// One of them.
    pub fn master(&self, id: &str) -> String {
        self.at(&format!("masters/{id}"))
    }

    /// All of the journal.
    pub fn journal(&self) -> String {
        self.at("journal/")
    }

    /// Whose journal this is.
    pub fn journal_meta(&self) -> String {
        self.at("journal/meta")
    }

    /// Position of the last entry.
    pub fn journal_head(&self) -> String {
        self.at("journal/head")
    }

    /// All groups of entries.
    pub fn entries(&self) -> String {
        self.at("journal/entries/")
    }

    /// The group whose first entry has position `first`. Names sort as positions do.
    pub fn entry_group(&self, first: u64) -> String {
        self.at(&format!("journal/entries/{first:020}"))
    }

    /// All pieces of large groups.
    pub fn overflow(&self) -> String {
        self.at("journal/overflow/")
    }

    /// The pieces of one large group.
    pub fn overflow_group(&self, first: u64) -> String {
        self.at(&format!("journal/overflow/{first:020}/"))
    }

    /// One piece of a large group.
    pub fn overflow_piece(&self, first: u64, piece: u32) -> String {
        self.at(&format!("journal/overflow/{first:020}/{piece:04}"))
    }

    /// The newest checkpoints of all masters.
    pub fn checkpoints(&self) -> String {
        self.at("journal/checkpoints/")
    }

    /// The newest checkpoint that one master holds.
    pub fn checkpoint(&self, id: &str) -> String {
        self.at(&format!("journal/checkpoints/{id}"))
    }

    /// The position in the name of a group.
    pub fn position(&self, key: &[u8]) -> Option<u64> {
        let name = std::str::from_utf8(key).ok()?.strip_prefix(&self.entries())?;
        let whole = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
        whole.then(|| name.parse().ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_sort_as_positions_and_are_read_back() {
        let keys = Keys::of("blue");
        assert!(keys.entry_group(9) < keys.entry_group(10));
        assert_eq!(keys.position(keys.entry_group(77).as_bytes()), Some(77));
        assert_eq!(keys.position(b"/blue/journal/entries/7"), None);
        assert_eq!(keys.position(Keys::of("red").entry_group(7).as_bytes()), None);
    }
}
