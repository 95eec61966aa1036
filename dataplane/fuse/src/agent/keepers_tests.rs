use super::*;
use crate::keeper::{Running, Server};
use std::path::Path;

fn start(path: &Path) -> Running {
    Server::bind(path).unwrap().spawn().unwrap()
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn keys(path: &Path) -> Vec<Key> {
    Client::connect(path).and_then(|client| client.list().map_err(std::io::Error::other)).unwrap()
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < end, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn number(blob: &[u8]) -> u64 {
    blob.first().copied().unwrap_or(0).into()
}

#[test]
fn a_keeper_that_comes_back_is_given_everything() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = ["a", "b"].iter().map(|name| dir.path().join(name)).collect();
    let mut running: Vec<Option<Running>> = paths.iter().map(|path| Some(start(path))).collect();
    let keepers = Keepers::new(&paths);
    assert!(keepers.take(&BTreeSet::new(), Instant::now(), number).is_empty());
    keepers.watch();
    let (reads, writes) = std::io::pipe().unwrap();
    let both = || [reads.as_fd(), writes.as_fd()].into_iter();
    keepers.put(&key("one"), vec![1], both()).unwrap();
    assert!(paths.iter().all(|path| keys(path) == [key("one")]));
    for index in 0..2 {
        running[index].take().unwrap().stop();
        until("the end of a keeper", || keepers.connected() == 1);
        keepers.put(&key("two"), vec![2], both()).unwrap();
        keepers.put_blob(&key("one"), vec![3]);
        running[index] = Some(start(&paths[index]));
        until("a keeper", || keepers.connected() == 2);
        assert_eq!(keys(&paths[index]), [key("one"), key("two")]);
        keepers.remove(&key("two"));
        assert!(paths.iter().all(|path| keys(path) == [key("one")]));
    }
    drop(keepers);
    // The threads that watch end with their keepers.
    running.into_iter().flatten().for_each(Running::stop);
}

#[test]
fn of_what_several_keepers_have_the_newest_counts_and_the_most_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = ["a", "b"].iter().map(|name| dir.path().join(name)).collect();
    let running: Vec<Running> = paths.iter().map(|path| start(path)).collect();
    let (reads, writes) = std::io::pipe().unwrap();
    let clients: Vec<Client> = paths.iter().map(|path| Client::connect(path).unwrap()).collect();
    let (one, two) = ([reads.as_fd()], [reads.as_fd(), writes.as_fd()]);
    clients[0].put(&key("newer"), &[1], &two).unwrap();
    clients[1].put(&key("newer"), &[2], &one).unwrap();
    clients[0].put(&key("more"), &[1], &one).unwrap();
    clients[1].put(&key("more"), &[1], &two).unwrap();
    clients[1].put(&key("only"), &[1], &one).unwrap();
    let keepers = Keepers::new(&paths);
    let served = keepers.take(&BTreeSet::new(), Instant::now(), number);
    assert!(served.is_empty(), "they are served: {served:?}");
    drop(clients);
    let keepers = Keepers::new(&paths);
    let soon = Instant::now() + Duration::from_secs(30);
    let found = keepers.take(&BTreeSet::new(), soon, number);
    let facts = |name: &str| (found[&key(name)].blob[0], found[&key(name)].descriptors.len());
    assert_eq!((facts("newer"), facts("more"), facts("only")), ((2, 1), (1, 2), (1, 1)));
    running.into_iter().for_each(Running::stop);
}

#[test]
fn a_keeper_that_is_late_is_waited_for_when_a_session_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let keepers = Keepers::new(std::slice::from_ref(&path));
    let (told, comes) = std::sync::mpsc::channel();
    let late = std::thread::spawn(move || {
        let running = start(&path);
        let (reads, _writes) = std::io::pipe().unwrap();
        // Nobody serves it: its server is gone when this ends.
        Client::connect(&path).unwrap().put(&key("one"), &[1], &[reads.as_fd()]).unwrap();
        told.send(()).unwrap();
        running
    });
    let missing = BTreeSet::from([key("one")]);
    let mut found = keepers.take(&missing, Instant::now() + Duration::from_secs(30), number);
    let running = late.join().unwrap();
    comes.recv().unwrap();
    if found.is_empty() {
        // It listened and had nothing yet when it was asked.
        let again = Keepers::new(&[dir.path().join("a")]);
        found = again.take(&missing, Instant::now() + Duration::from_secs(30), number);
    }
    assert!(found.contains_key(&key("one")));
    running.stop();
}

#[test]
fn what_was_closed_while_a_keeper_was_away_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let running = start(&path);
    let (reads, _writes) = std::io::pipe().unwrap();
    Client::connect(&path).unwrap().put(&key("old"), &[1], &[reads.as_fd()]).unwrap();
    let keepers = Keepers::new(&[]);
    drop(keepers);
    let keepers = Keepers::new(&[dir.path().join("b"), path.clone()]);
    // As if it had been away until now.
    *keepers.shared.links[1].client() = None;
    keepers.watch();
    until("the old session", || keys(&path).is_empty());
    running.stop();
}
