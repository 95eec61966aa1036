//! What is not done, and why.

use crate::Test;
use crate::driver::Driver;
use crate::kubelet::Volume;
use alluxio_csi::proto::csi::volume_capability::access_mode::Mode;
use std::time::{Duration, Instant};
use tonic::Code;

pub(crate) const TESTS: &[Test] = &[
    ("a_volume_for_one_pod_has_one_pod", one_pod),
    ("two_calls_for_one_volume_do_not_meet", two_calls),
    ("wrong_words_are_refused_before_anything_is_done", wrong_words),
    ("a_path_of_another_volume_is_left_alone", another_volume),
];

fn one_pod() {
    let driver = Driver::start();
    let volume =
        Volume { mode: Mode::SingleNodeSingleWriter, ..Volume::new("v", &[("path", "/folder")]) };
    driver.stage(&volume).unwrap();
    for _ in 0..2 {
        driver.publish(&volume, "first").unwrap();
        assert_eq!(driver.publish(&volume, "second"), Err(Code::FailedPrecondition));
    }
    driver.unpublish(&volume, "first").unwrap();
    driver.publish(&volume, "second").unwrap();
}

fn two_calls() {
    let driver = Driver::start();
    let closed = driver.sessions.gate.try_acquire_many(crate::sessions::GATE).unwrap();
    let volume = Volume::new("v", &[("path", "/folder")]);
    std::thread::scope(|scope| {
        // One of them has the volume and waits for its session; the other is told so.
        let calls = [(); 2].map(|()| scope.spawn(|| driver.stage(&volume)));
        let begun = Instant::now();
        while !calls.iter().any(|call| call.is_finished()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "one is refused");
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(closed);
        let mut outcomes = calls.map(|call| call.join().unwrap());
        outcomes.sort_by_key(|outcome| outcome.is_err());
        assert_eq!(outcomes, [Ok(()), Err(Code::Aborted)]);
    });
    driver.stage(&volume).unwrap();
}

fn wrong_words() {
    let driver = Driver::start();
    for context in [("pth", "/a"), ("fuse.bad", "true"), ("subPath", ".."), ("mode", "nfs")] {
        let volume = Volume::new("v", &[context]);
        assert_eq!(driver.stage(&volume), Err(Code::InvalidArgument), "{context:?}");
    }
    let unknown = Volume { mode: Mode::Unknown, ..Volume::new("v", &[]) };
    assert_eq!(driver.stage(&unknown), Err(Code::InvalidArgument));
    assert_eq!(driver.sessions.count(), 0);
}

fn another_volume() {
    let driver = Driver::start();
    let (mine, other) = (Volume::new("v", &[("path", "/folder")]), Volume::new("w", &[]));
    driver.stage(&mine).unwrap();
    driver.publish(&mine, "pod").unwrap();
    assert_eq!(driver.unpublish(&other, "pod"), Err(Code::NotFound));
    assert_eq!(driver.stats(&other, &driver.target("pod")), Err(Code::NotFound));
    assert_eq!(driver.layers("pod").len(), 1);
    // Nothing is there: nothing is wrong.
    driver.unpublish(&other, "nowhere").unwrap();
}
