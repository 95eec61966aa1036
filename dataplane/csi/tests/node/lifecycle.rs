//! Volumes come to a node and into pods, and leave them.

use crate::Test;
use crate::driver::Driver;
use crate::kubelet::{Volume, channel};
use alluxio_csi::mountinfo::Table;
use alluxio_csi::proto::csi::volume_capability::access_mode::Mode;
use alluxio_csi::proto::registration::registration_client::RegistrationClient;
use alluxio_csi::proto::registration::{InfoRequest, RegistrationStatus};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use tonic::Code;

pub(crate) const TESTS: &[Test] = &[
    ("a_volume_lives_through_repeated_calls_and_leaves_nothing", a_volume_lives),
    ("volumes_that_agree_share_a_session_until_the_last_one_leaves", volumes_share),
    ("read_only_means_erofs", read_only_means_erofs),
    ("a_sub_path_shows_a_directory_and_links_lead_nowhere", sub_paths),
    ("a_volume_in_a_pod_needs_no_staging", a_volume_in_a_pod),
    ("programs_reach_the_worker_through_the_folder_of_sockets", sockets),
    ("a_new_driver_goes_on_where_the_old_one_was_stopped", a_new_driver),
    ("the_kubelet_is_told_where_the_driver_is", registration),
];

fn a_volume_lives() {
    let driver = Driver::start();
    let volume = Volume::new("v", &[("path", "/data")]);
    assert_eq!(driver.publish(&volume, "early"), Err(Code::FailedPrecondition));
    for _ in 0..2 {
        driver.stage(&volume).unwrap();
    }
    // The kubelet would never take the volume from the node, as its device is mounted elsewhere, too.
    assert_eq!(Table::read().unwrap().at(&driver.staging(&volume.id)).count(), 0);
    for pod in ["a", "a", "b"] {
        driver.publish(&volume, pod).unwrap();
    }
    assert_eq!(fs::read(driver.target("a").join("f")).unwrap(), b"");
    assert_eq!(driver.layers("a").len(), 1);
    let stats = driver.stats(&volume, &driver.target("a")).unwrap();
    assert!(!stats.volume_condition.unwrap().abnormal);
    assert_eq!(driver.stats(&volume, &driver.target("c")), Err(Code::NotFound));
    for pod in ["a", "a", "b"] {
        driver.unpublish(&volume, pod).unwrap();
        assert!(!driver.target(pod).exists());
    }
    assert_eq!(driver.sessions.count(), 1);
    for _ in 0..2 {
        driver.unstage(&volume).unwrap();
    }
    assert_eq!(driver.sessions.count(), 0);
    assert_eq!(fs::read_dir(driver.dir().join("places")).unwrap().count(), 0);
}

fn volumes_share() {
    let driver = Driver::start();
    let one = Volume::new("one", &[("path", "/data")]);
    let two = Volume::new("two", &[("path", "/data"), ("csi.storage.k8s.io/pod.name", "p")]);
    let other = Volume::new("other", &[("path", "/data"), ("fuse.attr_timeout", "1")]);
    for volume in [&one, &two, &other] {
        driver.stage(volume).unwrap();
        driver.publish(volume, &volume.id).unwrap();
    }
    assert_eq!(driver.sessions.count(), 2);
    driver.unpublish(&one, "one").unwrap();
    driver.unstage(&one).unwrap();
    assert_eq!(fs::read(driver.target("two").join("f")).unwrap(), b"");
    driver.unpublish(&two, "two").unwrap();
    // A pod's place alone keeps the session, too.
    driver.unstage(&other).unwrap();
    assert_eq!(driver.sessions.count(), 2);
    driver.unpublish(&other, "other").unwrap();
    driver.unstage(&two).unwrap();
    assert_eq!(driver.sessions.count(), 0);
}

fn read_only_means_erofs() {
    let driver = Driver::start();
    let refuses = |pod: &str| {
        let error = fs::write(driver.target(pod).join("new"), "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{pod}");
        // Not before it was seen in a pod either: the bind is never made otherwise.
        assert!(driver.layers(pod)[0].read_only);
    };
    let mut volume = Volume::new("v", &[("path", "/folder")]);
    driver.stage(&volume).unwrap();
    driver.publish(&volume, "writer").unwrap();
    fs::write(driver.target("writer").join("file"), "text").unwrap();
    volume.read_only = true;
    driver.publish(&volume, "reader").unwrap();
    assert_eq!(fs::read(driver.target("reader").join("file")).unwrap(), b"text");
    refuses("reader");
    let by_attribute = Volume::new("w", &[("path", "/folder"), ("readOnly", "true")]);
    driver.stage(&by_attribute).unwrap();
    driver.publish(&by_attribute, "by-attribute").unwrap();
    refuses("by-attribute");
    let by_mode =
        Volume { mode: Mode::MultiNodeReaderOnly, ..Volume::new("x", &[("path", "/folder")]) };
    driver.stage(&by_mode).unwrap();
    driver.publish(&by_mode, "by-mode").unwrap();
    refuses("by-mode");
    // A path that is shown otherwise already.
    assert_eq!(driver.publish(&volume, "writer"), Err(Code::AlreadyExists));
}

fn sub_paths() {
    let driver = Driver::start();
    let folder = driver.sessions.folder();
    fs::create_dir_all(folder.join("team/a")).unwrap();
    fs::write(folder.join("team/a/mine"), "text").unwrap();
    fs::write(folder.join("file"), "").unwrap();
    std::os::unix::fs::symlink("/etc", folder.join("out")).unwrap();
    std::os::unix::fs::symlink("team", folder.join("in")).unwrap();
    let with =
        |sub_path: &'static str| Volume::new("v", &[("path", "/folder"), ("subPath", sub_path)]);
    driver.stage(&with("team/a")).unwrap();
    driver.publish(&with("team/a"), "good").unwrap();
    assert_eq!(fs::read(driver.target("good").join("mine")).unwrap(), b"text");
    assert_eq!(driver.publish(&with("out"), "bad"), Err(Code::InvalidArgument));
    assert_eq!(driver.publish(&with("in/a"), "bad"), Err(Code::InvalidArgument));
    assert_eq!(driver.publish(&with("../etc"), "bad"), Err(Code::InvalidArgument));
    assert_eq!(driver.publish(&with("nobody"), "bad"), Err(Code::NotFound));
    assert_eq!(driver.publish(&with("file"), "bad"), Err(Code::FailedPrecondition));
    assert!(driver.layers("bad").is_empty());
}

fn a_volume_in_a_pod() {
    let driver = Driver::start();
    let context = [("csi.storage.k8s.io/ephemeral", "true"), ("path", "/folder")];
    let volume = Volume::new("csi-1", &context);
    driver.publish(&volume, "pod").unwrap();
    fs::write(driver.target("pod").join("file"), "text").unwrap();
    assert_eq!(driver.sessions.count(), 1);
    driver.unpublish(&volume, "pod").unwrap();
    assert_eq!(driver.sessions.count(), 0);
    // Whoever can make a pod is no administrator.
    let elsewhere = Volume::new("csi-2", &[context[0], ("path", "/data")]);
    assert_eq!(driver.publish(&elsewhere, "pod"), Err(Code::InvalidArgument));
    let key = ("fuse.alluxio.security.login.username", "root");
    let as_root = Volume::new("csi-3", &[context[0], context[1], key]);
    assert_eq!(driver.publish(&as_root, "pod"), Err(Code::InvalidArgument));
    for masters in [("masters", "elsewhere:1"), ("fuse.masters", "elsewhere:1")] {
        let foreign = Volume::new("csi-4", &[context[0], context[1], masters]);
        assert_eq!(driver.publish(&foreign, "pod"), Err(Code::InvalidArgument));
    }
}

fn sockets() {
    let driver = Driver::start();
    let volume = Volume::new("csi-1", &[("mode", "short-circuit")]);
    let folder = driver.dir().join("sockets");
    driver.publish(&volume, "pod").unwrap();
    // The worker starts after the pod, and again.
    for _ in 0..2 {
        let worker = UnixListener::bind(folder.join("w")).unwrap();
        UnixStream::connect(driver.target("pod").join("w")).unwrap();
        worker.accept().unwrap();
        fs::remove_file(folder.join("w")).unwrap();
    }
    let error = fs::write(driver.target("pod").join("new"), "x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
    let stats = driver.stats(&volume, &driver.target("pod")).unwrap();
    assert!(!stats.volume_condition.unwrap().abnormal);
    driver.unpublish(&volume, "pod").unwrap();
    assert!(folder.exists() && driver.sessions.count() == 0);
}

fn a_new_driver() {
    let mut driver = Driver::start();
    let volume = Volume::new("v", &[("path", "/data")]);
    driver.stage(&volume).unwrap();
    driver.publish(&volume, "pod").unwrap();
    driver.restart();
    assert_eq!(fs::read(driver.target("pod").join("f")).unwrap(), b"");
    driver.publish(&volume, "pod").unwrap();
    assert_eq!(driver.layers("pod").len(), 1);
    driver.unpublish(&volume, "pod").unwrap();
    driver.unstage(&volume).unwrap();
    assert_eq!(driver.sessions.count(), 0);
    // Its folder is lost: what it finds at its paths is made anew.
    driver.stage(&volume).unwrap();
    fs::remove_dir_all(driver.dir().join("places")).unwrap();
    driver.restart();
    driver.stage(&volume).unwrap();
    driver.publish(&volume, "pod").unwrap();
    assert_eq!(driver.layers("pod").len(), 1);
}

fn registration() {
    let driver = Driver::start();
    let socket = driver.dir().join("registry/csi.alluxio.dev-reg.sock");
    driver.runtime.block_on(async {
        let mut registration = RegistrationClient::new(channel(&socket).await);
        let info = registration.get_info(InfoRequest {}).await.unwrap().into_inner();
        assert_eq!((info.r#type.as_str(), info.name.as_str()), ("CSIPlugin", "csi.alluxio.dev"));
        assert_eq!(info.endpoint, "/plugins/csi.sock");
        let told = RegistrationStatus { plugin_registered: true, ..Default::default() };
        registration.notify_registration_status(told).await.unwrap();
    });
}
