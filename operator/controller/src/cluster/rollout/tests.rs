//! A cluster that is played: pods get ready or fail at random, the primary moves, the wish changes, and the planner is
//! asked again and again.

use super::*;
use proptest::prelude::*;

fn pod(ordinal: i32, updated: bool, ready: bool, primary: bool) -> MasterPod {
    MasterPod {
        name: format!("m-{ordinal}"),
        ordinal,
        updated,
        ready,
        leaving: false,
        primary,
        address: format!("m-{ordinal}:19998"),
    }
}

fn three(pods: Vec<MasterPod>) -> Situation {
    Situation {
        etcd: Some(Workload::Done),
        etcd_members: Some(EtcdMembers { may_scale: true, change: None }),
        masters: Workload::Rolling,
        master_replicas: (3, 3),
        pods,
        workers: vec![Workload::Outdated],
        fuse: Some(Workload::Outdated),
    }
}

#[test]
fn a_new_cluster_is_made_at_once() {
    let situation = Situation {
        etcd: Some(Workload::Absent),
        etcd_members: Some(EtcdMembers { may_scale: true, change: None }),
        masters: Workload::Absent,
        master_replicas: (0, 3),
        pods: Vec::new(),
        workers: vec![Workload::Absent],
        fuse: Some(Workload::Absent),
    };
    let plan = plan(&situation);
    assert!(plan.apply_etcd && plan.apply_masters && plan.apply_workers[0] && plan.apply_fuse);
    assert_eq!((plan.stage, plan.delete, plan.transfer_to), (None, None, None));
}

#[test]
fn standbys_first_then_the_office_then_the_old_primary() {
    let first = plan(&three(vec![
        pod(0, false, true, true),
        pod(1, false, true, false),
        pod(2, false, true, false),
    ]));
    assert_eq!(first.delete.as_deref(), Some("m-2"));
    assert_eq!(first.apply_workers, [false]);
    assert!(!first.apply_fuse);
    let waits = plan(&three(vec![
        pod(0, false, true, true),
        pod(1, false, true, false),
        pod(2, true, false, false),
    ]));
    assert_eq!((waits.delete, waits.stage), (None, Some(UpgradeStage::Standbys)));
    let hands_over = plan(&three(vec![
        pod(0, false, true, true),
        pod(1, true, true, false),
        pod(2, true, true, false),
    ]));
    assert_eq!(hands_over.transfer_to.as_deref(), Some("m-1:19998"));
    assert_eq!(hands_over.stage, Some(UpgradeStage::HandOver));
    let last = plan(&three(vec![
        pod(0, false, true, false),
        pod(1, true, true, true),
        pod(2, true, true, false),
    ]));
    assert_eq!(last.delete.as_deref(), Some("m-0"));
}

#[test]
fn a_bad_version_stops_and_is_left_again() {
    // The first standby of the bad version does not get ready: nothing else happens.
    let stuck = three(vec![
        pod(0, false, true, true),
        pod(1, false, true, false),
        pod(2, true, false, false),
    ]);
    assert_eq!(plan(&stuck).delete, None);
    // The old template is wanted again: the stuck pod is the outdated one, and goes.
    let back = three(vec![
        pod(0, true, true, true),
        pod(1, true, true, false),
        pod(2, false, false, false),
    ]);
    assert_eq!(plan(&back).delete.as_deref(), Some("m-2"));
}

#[test]
fn pods_of_etcd_follow_the_list_of_members() {
    let mut situation = three(vec![pod(0, true, true, true)]);
    situation.etcd = Some(Workload::Outdated);
    let change = Change::Add { peer_url: "http://e-1:2380".into() };
    situation.etcd_members = Some(EtcdMembers { may_scale: false, change: Some(change.clone()) });
    let step = plan(&situation);
    assert!(!step.apply_etcd && !step.apply_masters && !step.apply_fuse);
    assert_eq!(step.change_members, Some(change));
    situation.etcd_members = Some(EtcdMembers { may_scale: true, change: None });
    assert!(plan(&situation).apply_etcd);
}

#[test]
fn one_master_is_simply_replaced() {
    let mut situation = three(vec![pod(0, false, true, true)]);
    situation.master_replicas = (1, 1);
    assert_eq!(plan(&situation).delete.as_deref(), Some("m-0"));
}

#[test]
fn shrinking_moves_the_primary_first() {
    let mut situation =
        three(vec![pod(0, true, true, false), pod(1, true, true, false), pod(2, true, true, true)]);
    situation.masters = Workload::Outdated;
    situation.master_replicas = (3, 1);
    let moved = plan(&situation);
    assert_eq!(moved.transfer_to.as_deref(), Some("m-0:19998"));
    assert!(!moved.apply_masters);
    situation.pods[2].primary = false;
    situation.pods[0].primary = true;
    assert!(plan(&situation).apply_masters);
}

#[test]
fn workers_go_group_by_group_and_agents_last() {
    let mut situation =
        three(vec![pod(0, true, true, true), pod(1, true, true, false), pod(2, true, true, false)]);
    situation.masters = Workload::Done;
    situation.workers = vec![Workload::Outdated, Workload::Outdated];
    let step = plan(&situation);
    assert_eq!(step.apply_workers, [true, false]);
    assert_eq!(step.stage, Some(UpgradeStage::Workers));
    situation.workers = vec![Workload::Done, Workload::Rolling];
    let step = plan(&situation);
    assert_eq!(step.apply_workers, [true, true]);
    assert!(!step.apply_fuse);
    situation.workers = vec![Workload::Done, Workload::Done];
    let step = plan(&situation);
    assert!(step.apply_fuse);
    assert_eq!(step.stage, Some(UpgradeStage::Agents));
}

/// The played cluster: each pod has a version, the wish is a version, and one version is bad.
#[derive(Debug, Clone)]
struct Played {
    wish: u8,
    pods: Vec<(u8, bool)>,
    primary: Option<usize>,
    bad: u8,
}

impl Played {
    fn situation(&self) -> Situation {
        let pods: Vec<MasterPod> = self
            .pods
            .iter()
            .enumerate()
            .map(|(index, (version, ready))| {
                let ordinal = i32::try_from(index).unwrap();
                pod(ordinal, *version == self.wish, *ready, self.primary == Some(index))
            })
            .collect();
        let done = pods.iter().all(|pod| pod.updated && pod.ready);
        let count = i32::try_from(pods.len()).unwrap();
        Situation {
            etcd: None,
            etcd_members: None,
            masters: if done { Workload::Done } else { Workload::Rolling },
            master_replicas: (count, count),
            pods,
            workers: Vec::new(),
            fuse: None,
        }
    }

    /// Carries the plan out; returns the pods that were ready before and went.
    fn act(&mut self, plan: &Plan) -> usize {
        let mut cost = 0;
        if let Some(name) = &plan.delete {
            let index: usize = name.trim_start_matches("m-").parse().unwrap();
            cost = usize::from(self.pods[index].1);
            if self.primary == Some(index) {
                self.primary = None;
            }
            self.pods[index] = (self.wish, false);
        }
        if let Some(heir) = &plan.transfer_to {
            let ordinal = heir.trim_start_matches("m-").split(':').next().unwrap();
            self.primary = Some(ordinal.parse().unwrap());
        }
        cost
    }

    /// Time passes: pods of a good version get ready, somebody is elected.
    fn settle(&mut self) {
        for (version, ready) in &mut self.pods {
            *ready = *version != self.bad;
        }
        if self.primary.is_none() {
            self.primary = self.pods.iter().position(|(_, ready)| *ready);
        }
    }
}

proptest! {
    /// Whatever happens on the way: never more than one ready master is taken away at a time, and once a good version
    /// is wanted and nothing fails any more, all masters get it.
    #[test]
    fn a_rollout_ends_and_keeps_a_majority(
        count in 1usize..6,
        events in prop::collection::vec((0u8..4, 0usize..6), 0..40),
    ) {
        let mut played = Played { wish: 0, pods: vec![(0, true); count], primary: Some(0), bad: 9 };
        for (event, index) in events {
            match event {
                0 => played.wish = u8::try_from(index % 3).unwrap(),
                1 => played.bad = u8::try_from(index % 4).unwrap(),
                2 => played.primary = Some(index % count).filter(|index| played.pods[*index].1),
                _ => played.settle(),
            }
            let before = played.pods.iter().filter(|(_, ready)| *ready).count();
            let cost = played.act(&plan(&played.situation()));
            prop_assert!(cost <= 1);
            if cost == 1 && count > 2 {
                prop_assert!(before > count / 2, "only when a majority stays or all others are ready");
            }
        }
        played.bad = 9;
        for _ in 0..4 * count {
            played.settle();
            let next = plan(&played.situation());
            played.act(&next);
        }
        played.settle();
        prop_assert!(played.pods.iter().all(|(version, _)| *version == played.wish), "{played:?}");
    }
}
