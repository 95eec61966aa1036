use super::*;
use crate::abi::ROOT_NODE;

fn attr() -> Attr {
    Attr { links: 1, ..Attr::default() }
}

fn known(names: &[&str]) -> Place {
    Place::Known(names.iter().map(|name| (*name).to_owned()).collect())
}

const A: InodeId = InodeId::from_container(7);
const B: InodeId = InodeId::from_container(8);

#[test]
fn a_directory_that_moves_takes_its_children_along() {
    let mut nodes = Nodes::default();
    let d = nodes.learn(ROOT_NODE, "d", A, attr(), 1);
    let f = nodes.learn(d, "f", B, attr(), 1);
    assert_eq!(nodes.place(f), known(&["d", "f"]));
    nodes.rename((ROOT_NODE, "d"), (ROOT_NODE, "e"));
    assert_eq!(nodes.place(f), known(&["e", "f"]));
    nodes.forget(f, 1);
    nodes.forget(d, 1);
    assert_eq!((nodes.len(), nodes.child(ROOT_NODE, "e")), (0, None));
    assert_eq!(nodes.place(f), Place::Unknown(B, vec![]));
    assert_eq!(inode_of(f), B);
}

#[test]
fn another_inode_under_the_name_is_another_node() {
    let mut nodes = Nodes::default();
    let old = nodes.learn(ROOT_NODE, "f", A, attr(), 1);
    let new = nodes.learn(ROOT_NODE, "f", B, attr(), 1);
    assert_ne!(old, new);
    assert_eq!(nodes.child(ROOT_NODE, "f"), Some(new));
    nodes.forget(old, 1);
    assert_eq!(nodes.child(ROOT_NODE, "f"), Some(new));
}

#[test]
fn bytes_that_this_mount_replaces_stay_in_their_node() {
    let mut nodes = Nodes::default();
    let node = nodes.learn(ROOT_NODE, "f", A, attr(), 1);
    nodes.rebind(node, B);
    assert_eq!(nodes.learn(ROOT_NODE, "f", B, attr(), 1), node);
    nodes.supersede(node);
    let next = nodes.learn(ROOT_NODE, "f", B, attr(), 1);
    assert_ne!(next, node);
    assert_eq!(nodes.learn(ROOT_NODE, "f", B, attr(), 1), next);
}

#[test]
fn nodes_that_are_exchanged_have_each_others_name() {
    let mut nodes = Nodes::default();
    let d = nodes.learn(ROOT_NODE, "d", A, attr(), 1);
    let f = nodes.learn(d, "f", B, attr(), 1);
    let g = nodes.learn(ROOT_NODE, "g", InodeId::from_container(9), attr(), 1);
    nodes.exchange((d, "f"), (ROOT_NODE, "g"));
    assert_eq!((nodes.place(f), nodes.place(g)), (known(&["g"]), known(&["d", "f"])));
    assert_eq!((nodes.child(d, "f"), nodes.child(ROOT_NODE, "g")), (Some(g), Some(f)));
    // Only one of both is remembered.
    nodes.exchange((ROOT_NODE, "nobody"), (ROOT_NODE, "g"));
    assert_eq!(nodes.place(f), known(&["nobody"]));
    assert_eq!(nodes.child(ROOT_NODE, "g"), None);
}

#[test]
fn a_name_that_is_gone_can_be_given_again() {
    let mut nodes = Nodes::default();
    let old = nodes.learn(ROOT_NODE, "f", A, attr(), 1);
    nodes.unlink(ROOT_NODE, "f", Some(".hidden".into()));
    assert_eq!(nodes.place(old), known(&[".hidden"]));
    let new = nodes.learn(ROOT_NODE, "f", B, attr(), 1);
    nodes.rename((ROOT_NODE, "f"), (ROOT_NODE, "g"));
    assert_eq!(nodes.place(new), known(&["g"]));
    assert_eq!(nodes.place(old), known(&[".hidden"]));
}

#[test]
fn what_a_process_before_us_had_open_stays_as_it_was_until_the_kernel_forgets_it() {
    let mut before = Nodes::default();
    let node = before.learn(ROOT_NODE, "f", A, attr(), 1);
    if let Some(known) = before.get_mut(node) {
        known.way = Way::Passed { opens: 3, backing: 9, _block: None };
    }
    let other = before.learn(ROOT_NODE, "g", B, attr(), 1);
    let c = InodeId::from_container(9);
    before.rebind(other, c);
    let mut nodes = Nodes::default();
    for number in [node, other] {
        nodes.restore(before.kept(number).unwrap());
    }
    assert_eq!(nodes.place(node), Place::Unknown(A, vec![]));
    assert_eq!(nodes.place(other), known(&["g"]));
    assert_eq!(nodes.learn(ROOT_NODE, "f", A, attr(), 1), node);
    assert_eq!(nodes.learn(ROOT_NODE, "g", c, attr(), 1), other);
    assert_eq!(nodes.forget(node, 1), Forgotten::default());
    assert!(nodes.get(node).unwrap().is_from_before());
    assert_eq!(nodes.forget(node, 5), Forgotten { backing: Some(9), hidden: false });
    assert!(nodes.get(node).is_none());
    assert!(nodes.take_touched().contains(&node));
    assert_eq!(nodes.kept(node), None);
}

#[test]
fn a_node_from_before_our_time_can_be_superseded() {
    let mut nodes = Nodes::default();
    let old = node_of(A);
    nodes.supersede(old);
    let new = nodes.learn(ROOT_NODE, "f", A, attr(), 1);
    assert_ne!(new, old);
    assert_eq!(nodes.place(old), Place::Unknown(A, vec![]));
    assert!(nodes.kept(old).unwrap().superseded);
}
