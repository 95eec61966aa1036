//! The agent as its callers see it: sessions that are opened, shown and closed, and agents that come and go.

use crate::load::Kind;
use crate::stand::{Stand, until};
use alluxio_fuse::agent::remote;
use alluxio_proto::v1::agent as proto;
use proto::fuse_agent_client::FuseAgentClient;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tonic::transport::Channel;
use tonic::{Code, Status};

struct Caller {
    runtime: Runtime,
    client: FuseAgentClient<Channel>,
}

impl Caller {
    fn of(stand: &Stand) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(remote::connect(&stand.agent_socket())).unwrap();
        Caller { runtime, client }
    }

    fn open(&mut self, key: &str, path: &str, options: &[&str]) -> Result<proto::Session, Status> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let spec = Some(proto::SessionSpec { path: path.to_owned(), options });
        let request = proto::OpenSessionRequest { key: key.to_owned(), spec };
        Ok(self.runtime.block_on(self.client.open_session(request))?.into_inner())
    }

    fn close(&mut self, key: &str, lazy: bool) -> Result<(), Status> {
        let request = proto::CloseSessionRequest { key: key.to_owned(), lazy };
        self.runtime.block_on(self.client.close_session(request)).map(drop)
    }

    fn list(&mut self) -> Vec<proto::Session> {
        let request = proto::ListSessionsRequest {};
        let listed = self.runtime.block_on(self.client.list_sessions(request)).unwrap();
        listed.into_inner().sessions
    }
}

#[test]
fn a_session_is_opened_once_shown_and_closed() {
    let Some(stand) = Stand::start() else { return };
    let mut caller = Caller::of(&stand);
    let opened = caller.open("vol-1", "/data", &["ro"]).unwrap();
    assert_eq!(opened.state, i32::from(proto::SessionState::Serving));
    assert_eq!(opened.mount_point, stand.dir().join("fuse-sessions/vol-1/mnt").to_str().unwrap());
    assert!(opened.device.contains(':'), "{opened:?}");
    assert_eq!(caller.open("vol-1", "/data", &["ro"]).unwrap(), opened, "it is the same");
    assert!(stand.stat().contains("session vol-1: /data at"), "{}", stand.stat());
    for (key, path, options, code, words) in [
        ("vol-1", "/data", &["rw"][..], Code::AlreadyExists, "is there already"),
        ("vol-1", "/many", &["ro"], Code::AlreadyExists, "shows /data"),
        ("Vol", "/data", &[], Code::InvalidArgument, "is no key"),
        ("../x", "/data", &[], Code::InvalidArgument, "is no key"),
        ("vol-2", "data", &[], Code::InvalidArgument, "data"),
        ("vol-2", "/data", &["allow_othr"], Code::InvalidArgument, "is no option"),
        ("vol-2", "/none", &[], Code::NotFound, "/none cannot be mounted"),
        ("vol-2", "/data/f0", &[], Code::FailedPrecondition, "is not a directory"),
    ] {
        let refused = caller.open(key, path, options).unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
        assert!(refused.message().contains(words), "{refused:?}");
    }
    let keys: Vec<String> = caller.list().into_iter().map(|session| session.key).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    caller.close("vol-1", false).unwrap();
    caller.close("vol-1", false).unwrap();
    assert_eq!(caller.list().len(), 1);
    assert!(!stand.dir().join("fuse-sessions/vol-1").exists());
    // What `alluxio fuse mount` has made is shown at its own place, and closed with it.
    let point = stand.point();
    assert_eq!(stand.mounts().len(), 2, "{:?}", stand.mounts());
    let output = stand.alluxio(&["fuse", "unmount", point.to_str().unwrap()]);
    assert_eq!((output.as_str(), caller.list().len()), ("", 0));
    assert_eq!(stand.mounts(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_session_in_use_is_closed_when_its_programs_end() {
    let Some(mut stand) = Stand::start() else { return };
    let mut caller = Caller::of(&stand);
    let opened = caller.open("vol-1", "/", &[]).unwrap();
    stand.start_program_at(Kind::Unlinked, 1, opened.mount_point.as_ref());
    stand.await_programs();
    let refused = caller.close("vol-1", false).unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    caller.close("vol-1", true).unwrap();
    let refused = caller.open("vol-1", "/", &[]).unwrap_err();
    assert!(refused.message().contains("still use it"), "{refused:?}");
    // Also for an agent that did not close it.
    stand.restart_agent();
    let mut caller = Caller::of(&stand);
    assert_eq!(caller.list().len(), 2);
    stand.check_programs();
    stand.stop_readers();
    until("the end of the session", || caller.list().len() == 1);
    assert!(!stand.dir().join("fuse-sessions/vol-1").exists());
}

#[test]
fn an_agent_that_no_keeper_knows_takes_its_mounts_away_when_it_ends() {
    let Some(mut stand) = Stand::start() else { return };
    assert_eq!(stand.mounts().len(), 2);
    stand.terminate_agent();
    assert_eq!(stand.mounts().len(), 2, "keepers hold them");
    stand.start_agent();
    stand.probe(&stand.point()).unwrap();
    stand.kill_keeper(0);
    stand.kill_keeper(1);
    stand.await_keepers(0);
    stand.terminate_agent();
    let own = stand.session_mount();
    assert!(!stand.mounts().contains(&own), "{:?}", stand.mounts());
}

#[test]
fn an_agent_that_hangs_is_replaced() {
    let Some(mut stand) = Stand::start() else { return };
    let frozen = stand.freeze_agent();
    let begun = Instant::now();
    stand.start_agent();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    stand.probe(&stand.point()).unwrap();
    drop(frozen);
}
