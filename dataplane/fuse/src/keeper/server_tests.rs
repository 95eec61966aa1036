use super::super::client::{Client, ClientError};
use super::super::key::Key;
use super::*;
use std::fs::File;
use std::io::{Read, Write};

struct Stand {
    dir: tempfile::TempDir,
    keeper: Option<Running>,
}

impl Stand {
    fn start() -> Self {
        let mut stand = Stand { dir: tempfile::tempdir().unwrap(), keeper: None };
        stand.restart();
        stand
    }

    fn restart(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.stop();
        }
        self.keeper = Some(Server::bind(&self.path()).unwrap().spawn().unwrap());
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("keeper.sock")
    }

    fn client(&self) -> Client {
        Client::connect(&self.path()).unwrap()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.stop();
        }
    }
}

fn key() -> Key {
    "a-key".parse().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn descriptors_outlive_who_put_them_and_come_back_in_order() {
    let stand = Stand::start();
    let (reads, writes) = std::io::pipe().unwrap();
    let first = stand.client();
    first.put(&key(), b"blob", &[reads.as_fd(), writes.as_fd()]).unwrap();
    assert_eq!(first.list().unwrap(), [key()]);
    drop((reads, writes, first));
    let second = stand.client();
    let kept = second.get(&key(), soon()).unwrap();
    assert_eq!((&kept.blob[..], kept.descriptors.len()), (&b"blob"[..], 2));
    let mut files = kept.descriptors.into_iter().map(File::from);
    let (mut reads, mut writes) = (files.next().unwrap(), files.next().unwrap());
    writes.write_all(b"x").unwrap();
    let mut byte = [0];
    reads.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
    second.remove(&key()).unwrap();
    drop(writes);
    assert_eq!(reads.read(&mut byte).unwrap(), 0, "the keeper has closed its own");
}

#[test]
fn a_session_is_not_given_away_while_its_server_lives() {
    let stand = Stand::start();
    let (reads, _writes) = std::io::pipe().unwrap();
    let first = stand.client();
    first.put(&key(), b"", &[reads.as_fd()]).unwrap();
    let second = stand.client();
    let refused = second.get(&key(), Instant::now()).unwrap_err();
    assert!(matches!(refused, ClientError::Refused(Reason::Served)), "{refused}");
    let refused = second.put(&key(), b"", &[reads.as_fd()]).unwrap_err();
    assert!(matches!(refused, ClientError::Refused(Reason::Served)), "{refused}");
    let waits = std::thread::spawn(move || second.get(&key(), soon()).map(drop));
    drop(first);
    waits.join().unwrap().unwrap();
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    let stand = Stand::start();
    let first = stand.client();
    let (reads, _writes) = std::io::pipe().unwrap();
    first.put(&key(), b"", &[reads.as_fd()]).unwrap();
    for nonsense in [&b"x"[..], &[1, 99], &[1, 1, 200], &[0; 40_000]] {
        let other = stand.client();
        let sent = wire::send(other.socket(), nonsense, &[]);
        let answer = sent.and_then(|()| wire::receive(other.socket()));
        if let Ok(Some(packet)) = answer {
            let refused = Reply::Refused(Reason::Malformed);
            assert_eq!(Reply::from_bytes(&packet.bytes).unwrap(), refused);
        }
    }
    let empty = stand.client().put(&"b".parse().unwrap(), b"", &[]).unwrap_err();
    assert!(matches!(empty, ClientError::Refused(Reason::Malformed)), "{empty}");
    let unknown = stand.client().get(&"b".parse().unwrap(), soon()).unwrap_err();
    assert!(matches!(unknown, ClientError::Refused(Reason::Unknown)), "{unknown}");
    let many = vec![reads.as_fd(); DESCRIPTORS_MAX + 1];
    assert!(stand.client().put(&"c".parse().unwrap(), b"", &many).is_err());
    assert_eq!(first.list().unwrap(), [key()]);
}

#[test]
fn too_many_connections_are_refused_and_places_become_free_again() {
    let stand = Stand::start();
    let mut clients: Vec<Client> = (0..CONNECTIONS_MAX).map(|_| stand.client()).collect();
    assert!(clients.iter().all(|client| client.list().is_ok()));
    assert!(stand.client().list().is_err());
    clients.pop();
    let until = soon();
    while stand.client().list().is_err() {
        assert!(Instant::now() < until, "the place is not free");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_second_keeper_is_refused_and_one_that_ended_leaves_its_place() {
    let mut stand = Stand::start();
    let error = Server::bind(&stand.path()).unwrap_err().to_string();
    assert!(error.contains("another keeper is there"), "{error}");
    let (reads, _writes) = std::io::pipe().unwrap();
    let client = stand.client();
    client.put(&key(), b"", &[reads.as_fd()]).unwrap();
    stand.restart();
    assert!(client.list().is_err());
    assert_eq!(stand.client().list().unwrap(), []);
}

/// Tells the process of the next test what it is.
const ELSEWHERE: &str = "ALLUXIO_TEST_KEEPER_ELSEWHERE";

#[test]
fn a_keeper_in_another_container_holds_sessions() {
    if let Ok(path) = std::env::var(ELSEWHERE) {
        Server::bind(Path::new(&path)).unwrap().run();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keeper.sock");
    // Its processes do not see ours: it is told nothing of us but the user.
    let mut elsewhere = std::process::Command::new("unshare");
    elsewhere.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--"]);
    elsewhere.arg(std::env::current_exe().unwrap());
    elsewhere
        .args(["--exact", "keeper::server::tests::a_keeper_in_another_container_holds_sessions"]);
    let mut keeper = elsewhere.env(ELSEWHERE, &path).spawn().unwrap();
    let until = soon();
    let held = loop {
        let file = File::open("/dev/null").unwrap();
        let put = |client: Client| client.put(&key(), b"x", &[file.as_fd()]).map(|()| client);
        match Client::connect(&path).map_err(ClientError::from).and_then(put) {
            Ok(client) => break client.list().unwrap(),
            Err(error) if Instant::now() > until => panic!("{error}"),
            // It starts.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    assert_eq!(held, [key()]);
}
