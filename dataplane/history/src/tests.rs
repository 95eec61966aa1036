use super::*;
use crate::tree::Tree;
use proptest::prelude::*;

fn op(client: u32, from: u64, to: u64, call: Call, answer: Answer) -> Operation {
    Operation { client, invoked: from, returned: to, call, answer: Some(answer) }
}

fn unanswered(client: u32, from: u64, call: Call) -> Operation {
    Operation { client, invoked: from, returned: 0, call, answer: None }
}

fn create(path: &str) -> Call {
    Call::Create { path: path.into() }
}

fn mkdir(path: &str) -> Call {
    Call::Mkdir { path: path.into() }
}

fn delete(path: &str) -> Call {
    Call::Delete { path: path.into(), recursive: true }
}

fn rename(from: &str, to: &str) -> Call {
    Call::Rename { from: from.into(), to: to.into() }
}

fn status(path: &str) -> Call {
    Call::Status { path: path.into() }
}

fn list(path: &str) -> Call {
    Call::List { path: path.into() }
}

fn file(id: u64) -> Answer {
    Answer::Inode { kind: Kind::File, id }
}

fn names(names: &[&str]) -> Answer {
    Answer::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

const MISSING: Answer = Answer::Refused(Refusal::NotFound);
const TAKEN: Answer = Answer::Refused(Refusal::AlreadyExists);

fn is_lie(history: &[Operation]) -> bool {
    matches!(check(history), Err(Violation::NotLinearizable { .. }))
}

#[test]
fn overlapping_calls_may_be_answered_in_either_order() {
    for answer in [file(1), MISSING] {
        let history = [op(1, 0, 10, create("/a"), file(1)), op(2, 5, 6, status("/a"), answer)];
        assert_eq!(check(&history), Ok(()));
    }
}

#[test]
fn an_acknowledged_file_that_is_missing_later_is_a_lie() {
    let history = [op(1, 0, 1, create("/a"), file(1)), op(2, 2, 3, status("/a"), MISSING)];
    assert!(is_lie(&history));
}

#[test]
fn an_answer_from_an_old_tree_after_a_newer_one_is_a_lie() {
    let history = [
        op(1, 0, 10, create("/a"), file(1)),
        op(2, 2, 3, status("/a"), file(1)),
        op(3, 4, 5, status("/a"), MISSING),
    ];
    assert!(is_lie(&history));
}

#[test]
fn a_change_that_is_made_twice_is_a_lie() {
    let history = [
        op(1, 0, 1, create("/a"), file(1)),
        op(1, 2, 9, delete("/a"), Answer::Done),
        op(2, 3, 4, status("/a"), MISSING),
        op(2, 5, 6, create("/a"), file(2)),
        op(2, 10, 11, status("/a"), MISSING),
    ];
    assert!(is_lie(&history));
}

#[test]
fn a_file_that_is_made_anew_has_another_identity() {
    let history = [op(1, 0, 1, create("/a"), file(1)), op(1, 2, 3, status("/a"), file(2))];
    assert!(is_lie(&history));
}

#[test]
fn a_call_without_an_answer_may_have_happened_late_or_never() {
    let early = op(2, 5, 6, status("/a"), MISSING);
    let late = op(2, 7, 8, status("/a"), file(9));
    let lost = unanswered(1, 0, create("/a"));
    assert_eq!(check(&[lost.clone(), early.clone()]), Ok(()));
    assert_eq!(check(&[lost.clone(), early, late.clone()]), Ok(()));
    let gone = op(2, 9, 10, status("/a"), MISSING);
    assert!(is_lie(&[lost, late, gone]), "it happened once, and nobody deleted it");
}

#[test]
fn a_rename_is_seen_whole() {
    let before = [
        op(1, 0, 1, mkdir("/t"), Answer::Done),
        op(1, 2, 3, mkdir("/t/a"), Answer::Done),
        op(1, 4, 5, create("/t/a/f"), file(7)),
        op(1, 6, 20, rename("/t/a", "/t/b"), Answer::Done),
    ];
    let look = |answers: [Answer; 2]| {
        let [old, new] = answers;
        let mut history = before.to_vec();
        history.push(op(2, 7, 8, status("/t/b/f"), new));
        history.push(op(2, 9, 10, status("/t/a/f"), old));
        history.push(op(2, 21, 22, list("/t"), names(&["b"])));
        history
    };
    assert_eq!(check(&look([MISSING, file(7)])), Ok(()));
    assert_eq!(check(&look([file(7), MISSING])), Ok(()));
    assert_eq!(check(&look([MISSING, MISSING])), Ok(()), "the rename came between the two looks");
    assert!(is_lie(&look([file(7), file(7)])));
}

#[test]
fn any_true_reason_will_do() {
    let history = |reason| {
        [
            op(1, 0, 1, create("/t"), file(1)),
            op(1, 2, 3, rename("/none", "/t"), Answer::Refused(reason)),
        ]
    };
    assert_eq!(check(&history(Refusal::NotFound)), Ok(()));
    assert_eq!(check(&history(Refusal::AlreadyExists)), Ok(()));
    assert!(is_lie(&history(Refusal::NotEmpty)));
}

#[test]
fn top_level_directories_are_searched_apart_until_a_call_joins_them() {
    let mut history = vec![
        op(1, 0, 1, mkdir("/a"), Answer::Done),
        op(2, 0, 1, mkdir("/b"), Answer::Done),
        op(3, 0, 1, mkdir("/c"), Answer::Done),
    ];
    assert_eq!(partition::parts(&history).len(), 3);
    history.push(op(1, 2, 3, rename("/a", "/b/a"), Answer::Done));
    assert_eq!(partition::parts(&history).len(), 2);
    history.push(op(1, 4, 5, list("/"), names(&["c", "b"])));
    assert_eq!(partition::parts(&history).len(), 1);
    assert_eq!(check(&history), Ok(()));
}

#[test]
fn a_lie_is_shown_with_the_calls_around_it() {
    let history = [op(1, 0, 1, create("/a"), file(1)), op(2, 2, 3, create("/a"), file(2))];
    let error = check(&history).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("client 2 at 2: create /a"), "{text}");
    let Violation::NotLinearizable { explained, order, .. } = error else { panic!("{error}") };
    assert_eq!(explained, 1);
    assert!(order.contains("client 1 at 0: create /a"), "{order}");
    let again = [op(1, 0, 1, create("/a"), file(1)), op(2, 2, 3, create("/a"), TAKEN)];
    assert_eq!(check(&again), Ok(()));
}

#[test]
fn too_much_at_once_is_said_not_guessed() {
    // Every order of the creates is possible and none explains the listing.
    let mut history: Vec<Operation> =
        (0..30).map(|i| op(i, 0, 100, create(&format!("/f{i}")), file(i.into()))).collect();
    history.push(op(99, 0, 200, list("/"), names(&["nobody"])));
    let outcome = check_within(&history, 10_000);
    assert_eq!(outcome, Err(Violation::Undecided { steps: 10_000, calls: 31 }));
}

/// Tries every order there is.
fn by_brute_force(history: &[Operation]) -> bool {
    fn go(tree: &mut Tree, history: &[Operation], left: &mut Vec<usize>) -> bool {
        if left.iter().all(|i| history[*i].answer.is_none()) {
            return true;
        }
        let answered = left.iter().filter(|i| history[**i].answer.is_some());
        let Some(first_end) = answered.map(|i| history[*i].returned).min() else { return true };
        for place in 0..left.len() {
            let index = left[place];
            if history[index].invoked > first_end {
                continue;
            }
            if let Some(undo) = tree.take(&history[index]) {
                left.remove(place);
                let found = go(tree, history, left);
                left.insert(place, index);
                tree.take_back(undo);
                if found {
                    return true;
                }
            }
        }
        false
    }
    go(&mut Tree::default(), history, &mut (0..history.len()).collect())
}

fn any_call() -> impl Strategy<Value = Call> {
    let path = prop::sample::select(vec!["/a", "/b", "/a/x", "/b/x"]);
    (0..6u8, path.clone(), path).prop_map(|(what, one, two)| match what {
        0 => create(one),
        1 => mkdir(one),
        2 => Call::Delete { path: one.into(), recursive: two.len() > 2 },
        3 => rename(one, two),
        4 => status(one),
        _ => list("/"),
    })
}

fn any_answer() -> impl Strategy<Value = Option<Answer>> {
    prop::sample::select(vec![
        None,
        Some(Answer::Done),
        Some(Answer::Done),
        Some(Answer::Done),
        Some(file(1)),
        Some(MISSING),
        Some(TAKEN),
        Some(names(&["a"])),
        Some(names(&["a", "b"])),
        Some(names(&[])),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_search_agrees_with_trying_everything(
        calls in prop::collection::vec((0..12u64, 0..6u64, any_call(), any_answer()), 1..7)
    ) {
        let history: Vec<Operation> = calls
            .into_iter()
            .zip(0..)
            .map(|((invoked, took, call, answer), client)| {
                Operation { client, invoked, returned: invoked + took, call, answer }
            })
            .collect();
        prop_assert_eq!(check(&history).is_ok(), by_brute_force(&history));
    }

    #[test]
    fn what_one_tree_answered_is_never_called_a_lie(
        calls in prop::collection::vec((any_call(), 0..40u64, 0..40u64), 1..60)
    ) {
        // Each call takes effect at its own moment, somewhere between its two ends.
        let mut tree = Tree::default();
        let mut history = Vec::new();
        for (moment, (call, before, after)) in (100u64..).step_by(10).zip(calls) {
            let answers = [
                Answer::Done, MISSING, TAKEN, names(&[]), names(&["a"]), names(&["b"]),
                names(&["a", "b"]), file(moment),
                Answer::Inode { kind: Kind::Directory, id: moment },
                Answer::Refused(Refusal::NotEmpty), Answer::Refused(Refusal::Invalid),
                Answer::Refused(Refusal::NotADirectory),
            ];
            for answer in answers {
                let operation = op(0, moment - before, moment + after, call.clone(), answer);
                if tree.take(&operation).is_some() {
                    history.push(operation);
                    break;
                }
            }
        }
        prop_assert_eq!(check(&history), Ok(()));
    }
}
