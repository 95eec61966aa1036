//! Members of the managed etcd: which one joins or leaves next. Pure; the list is etcd's own, so that nothing has to be
//! remembered.
//!
//! One that joins reads along first (a learner) and votes once it has caught up, so that a cluster of one member keeps
//! its majority while the second one starts. One that leaves is taken off the list before its pod goes. Whether a
//! majority would be left is etcd's own check.

use super::names::{Component, Names};

/// Where members speak to each other.
pub const PEER_PORT: u16 = 2380;
/// Members that an etcd of ours can have.
const ORDINALS: std::ops::Range<i32> = 0..9;

/// A member, as etcd lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// Where others reach it.
    pub peer_urls: Vec<String>,
    /// Whether it only reads along.
    pub learner: bool,
    /// Whether it was ever started.
    pub started: bool,
}

/// A change of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new member, which reads along at first.
    Add {
        /// Where others reach it.
        peer_url: String,
    },
    /// One that reads along gets a vote.
    Promote {
        /// Its number.
        id: u64,
    },
    /// One leaves.
    Remove {
        /// Its number.
        id: u64,
    },
}

/// The list, by the ordinals of pods. Members that are no pod's are somebody else's business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    known: Vec<(i32, Member)>,
}

/// Where the member of that pod is reached by others.
pub fn peer_url(names: &Names, ordinal: i32) -> String {
    format!("http://{}:{PEER_PORT}", names.pod_host(Component::Etcd, ordinal))
}

impl Membership {
    /// Of etcd's list.
    pub fn of(names: &Names, members: &[Member]) -> Self {
        let ordinal = |member: &Member| {
            ORDINALS.into_iter().find(|ordinal| {
                let url = peer_url(names, *ordinal);
                member.peer_urls.contains(&url)
            })
        };
        let known = members.iter().filter_map(|member| Some((ordinal(member)?, member.clone())));
        Membership { known: known.collect() }
    }

    /// Whether it lists the first `wanted` pods, and no other one.
    pub fn lists(&self, wanted: i32) -> bool {
        let within = self.known.iter().filter(|(ordinal, _)| *ordinal < wanted).count();
        within == self.known.len() && i32::try_from(within) == Ok(wanted)
    }

    /// Whether all of them vote.
    pub fn all_vote(&self) -> bool {
        self.known.iter().all(|(_, member)| !member.learner)
    }

    /// The next change on the way to `wanted` members. Nobody joins while `all_ready` is false: one that is away and one
    /// that is new could be the majority.
    pub fn next(&self, names: &Names, wanted: i32, all_ready: bool) -> Option<Change> {
        let too_many = self.known.iter().filter(|(ordinal, _)| *ordinal >= wanted);
        if let Some((_, member)) = too_many.max_by_key(|(ordinal, _)| *ordinal) {
            return Some(Change::Remove { id: member.id });
        }
        if let Some((_, learner)) = self.known.iter().find(|(_, member)| member.learner) {
            return learner.started.then_some(Change::Promote { id: learner.id });
        }
        let missing =
            (0..wanted).find(|wanted| self.known.iter().all(|(known, _)| known != wanted));
        let peer_url = peer_url(names, missing.filter(|_| all_ready)?);
        Some(Change::Add { peer_url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::names;
    use proptest::prelude::*;

    fn member(ordinal: i32) -> Member {
        let id = u64::try_from(ordinal).unwrap() + 100;
        Member { id, peer_urls: vec![peer_url(&names(), ordinal)], learner: false, started: true }
    }

    #[test]
    fn members_of_others_are_left_alone() {
        let foreign = Member { peer_urls: vec!["http://elsewhere:2380".into()], ..member(0) };
        let membership = Membership::of(&names(), &[member(0), foreign]);
        assert!(membership.lists(1) && membership.all_vote());
        assert_eq!(membership.next(&names(), 1, true), None);
    }

    #[test]
    fn nobody_joins_while_one_is_away() {
        let membership = Membership::of(&names(), &[member(0)]);
        assert_eq!(membership.next(&names(), 2, false), None);
        let peer_url = peer_url(&names(), 1);
        assert_eq!(membership.next(&names(), 2, true), Some(Change::Add { peer_url }));
    }

    proptest! {
        /// From any list, and with learners that start late, every number of members is reached, one change at a time.
        #[test]
        fn every_number_is_reached(mut ordinals in prop::collection::btree_set(0i32..7, 1..6), wanted in 1i32..6) {
            ordinals.insert(0);
            let mut members: Vec<Member> = ordinals.into_iter().map(member).collect();
            for _ in 0..40 {
                let membership = Membership::of(&names(), &members);
                match membership.next(&names(), wanted, true) {
                    None if membership.lists(wanted) && membership.all_vote() => return Ok(()),
                    None => members.iter_mut().for_each(|member| member.started = true),
                    Some(Change::Add { peer_url }) => {
                        prop_assert!(members.iter().all(|member| !member.learner));
                        let id = members.iter().map(|member| member.id).max().unwrap_or(0) + 1;
                        members.push(Member { id, peer_urls: vec![peer_url], learner: true, started: false });
                    }
                    Some(Change::Promote { id }) => {
                        let member = members.iter_mut().find(|member| member.id == id).unwrap();
                        prop_assert!(member.learner && member.started);
                        member.learner = false;
                    }
                    Some(Change::Remove { id }) => {
                        members.retain(|member| member.id != id);
                        prop_assert!(!members.is_empty());
                    }
                }
            }
            prop_assert!(false, "it does not end: {members:?}");
        }
    }
}
