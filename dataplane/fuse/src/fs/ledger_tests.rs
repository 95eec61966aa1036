use super::super::record::KeptWay;
use super::*;
use alluxio_types::InodeId;
use proptest::prelude::*;

fn kept(node: u64, way: KeptWay) -> KeptNode {
    KeptNode {
        node,
        parent: 1,
        name: format!("n{node}"),
        inode: InodeId::from_container(node + 100),
        unlinked: false,
        superseded: false,
        hidden: None,
        way,
    }
}

fn sorted(mut nodes: Vec<KeptNode>) -> Vec<KeptNode> {
    nodes.sort_by_key(|kept| kept.node);
    nodes
}

#[test]
fn what_is_kept_is_there_after_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let (ledger, _) = Ledger::open(&path, 7).unwrap();
    ledger.node(kept(2, KeptWay::Passed(9)));
    ledger.node(kept(3, KeptWay::Cached));
    ledger.node_gone(3);
    ledger.hiding(1, "a", ".h1");
    ledger.hiding(1, "b", ".h2");
    let mut unlinked = kept(4, KeptWay::Cached);
    (unlinked.unlinked, unlinked.hidden) = (true, Some(".h1".into()));
    ledger.node(unlinked.clone());
    ledger.answer(11, &Ok(vec![1, 2]));
    ledger.answer(13 | UNIQUE_RESEND, &Err(Errno::EXIST));
    drop(ledger);
    let (ledger, forsaken) = Ledger::open(&path, 7).unwrap();
    assert_eq!(sorted(ledger.nodes()), [kept(2, KeptWay::Passed(9)), unlinked]);
    assert_eq!(ledger.replay(11 | UNIQUE_RESEND), Some(Ok(vec![1, 2])));
    assert_eq!(ledger.replay(13), Some(Err(Errno::EXIST)));
    assert_eq!(ledger.replay(15), None);
    assert_eq!((ledger.hidden(1, "a"), ledger.hidden(1, "b")), (None, Some(".h2".into())));
    assert!(forsaken.is_empty());
    ledger.answered(11);
    assert_eq!(ledger.replay(11), None);
}

#[test]
fn a_ledger_of_another_mount_leaves_only_the_names_of_its_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let (ledger, _) = Ledger::open(&path, 7).unwrap();
    ledger.node(kept(2, KeptWay::Passed(9)));
    let mut unlinked = kept(4, KeptWay::Cached);
    (unlinked.unlinked, unlinked.hidden) = (true, Some(".h1".into()));
    ledger.node(unlinked.clone());
    ledger.answer(11, &Ok(vec![]));
    drop(ledger);
    let (ledger, forsaken) = Ledger::open(&path, 8).unwrap();
    assert_eq!(forsaken, [unlinked]);
    assert_eq!((ledger.nodes(), ledger.replay(11)), (vec![], None));
}

#[test]
fn a_ledger_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let (ledger, _) = Ledger::open(&path, 7).unwrap();
    ledger.node(kept(2, KeptWay::Cached));
    drop(ledger);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    std::fs::write(&path, bytes).unwrap();
    let error = Ledger::open(&path, 7).unwrap_err();
    assert!(error.to_string().contains("is no ledger of version 1"), "{error}");
}

#[test]
fn a_file_does_not_grow_beyond_what_it_must_hold() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let (ledger, _) = Ledger::open(&path, 7).unwrap();
    for unique in 0..60_000 {
        ledger.answer(unique, &Ok(vec![0; 144]));
        if unique != 5 {
            ledger.answered(unique);
        }
    }
    assert!(std::fs::metadata(&path).unwrap().len() < 2 * GROWTH_BYTES);
    drop(ledger);
    let (ledger, _) = Ledger::open(&path, 7).unwrap();
    assert!(ledger.replay(5).is_some(), "the kernel never got it");
    assert!(ledger.replay(59_999).is_some(), "it may not have it");
}

#[derive(Debug, Clone)]
enum Step {
    Node(u64, KeptWay),
    Gone(u64),
    Answer(u64, Vec<u8>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Step> {
    let ways = prop_oneof![
        Just(KeptWay::Closed),
        Just(KeptWay::Cached),
        any::<u32>().prop_map(KeptWay::Passed)
    ];
    prop_oneof![
        (2u64..6, ways).prop_map(|(node, way)| Step::Node(node, way)),
        (2u64..6).prop_map(Step::Gone),
        (0u64..6, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(unique, body)| Step::Answer(unique, body)),
        Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a file is cut, what is read from it is what it held after some record.
    #[test]
    fn a_file_that_is_cut_anywhere_tells_of_a_moment_that_there_was(
        steps in prop::collection::vec(steps(), 1..24), cut in 0usize..2000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let (mut ledger, _) = Ledger::open(&path, 7).unwrap();
        let mut nodes: HashMap<u64, KeptNode> = HashMap::new();
        let mut moments = vec![vec![]];
        for step in steps {
            match step {
                Step::Node(node, way) => {
                    ledger.node(kept(node, way));
                    nodes.insert(node, kept(node, way));
                }
                Step::Gone(node) => {
                    ledger.node_gone(node);
                    nodes.remove(&node);
                }
                Step::Answer(unique, body) => {
                    ledger.answer(unique, &Ok(body.clone()));
                    drop(ledger);
                    ledger = Ledger::open(&path, 7).unwrap().0;
                    prop_assert_eq!(ledger.replay(unique), Some(Ok(body)));
                }
                Step::Reopen => {
                    drop(ledger);
                    ledger = Ledger::open(&path, 7).unwrap().0;
                }
            }
            let now = sorted(nodes.values().cloned().collect());
            prop_assert_eq!(&sorted(ledger.nodes()), &now);
            moments.push(now);
        }
        let bytes = std::fs::read(&path).unwrap();
        let cut = cut.clamp(HEADER_BYTES, bytes.len().max(HEADER_BYTES));
        std::fs::write(&path, &bytes[..cut.min(bytes.len())]).unwrap();
        let found = sorted(Ledger::open(&path, 7).unwrap().0.nodes());
        // A file that was written anew holds its nodes in any order: then it is a part of a moment.
        let is_part = |moment: &Vec<KeptNode>| found.iter().all(|node| moment.contains(node));
        prop_assert!(moments.iter().any(is_part));
    }
}
