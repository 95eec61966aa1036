//! A pod that uses a cluster through its own command line, as a user's pod would.

use alluxio_e2e_harness::{Cluster, Namespace};
use alluxio_e2e_kube::control_plane::kubectl;
use anyhow::Result;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The keeper of mounts waits for somebody who never comes: a program that the image has, and that runs on.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
    - name: client
      image: IMAGE
      args: [fuse-keeper, --socket=/tmp/keeper.sock]
      # The namespace is that of who runs the masters, as long as nobody has changed it.
      env: [{name: ALLUXIO_SECURITY_LOGIN_USERNAME, value: root}]
      volumeMounts: [{name: conf, mountPath: /opt/alluxio/conf}]
  volumes: [{name: conf, configMap: {name: demo-client}}]
";

/// Failures after which a client has seen enough.
const FAILURES_MAX: usize = 10;

/// What a client has done.
#[derive(Debug, Default)]
pub(crate) struct Report {
    operations: u64,
    longest: Duration,
    failures: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.longest.as_secs_f64();
        write!(f, "{} operations, no failure, the longest took {longest:.1} s", self.operations)
    }
}

/// A pod with the command line.
pub(crate) struct Client {
    kubeconfig: PathBuf,
    namespace: String,
    works: Option<(Arc<AtomicBool>, JoinHandle<Report>)>,
}

impl Client {
    pub(crate) async fn start(cluster: &Cluster, namespace: &Namespace, image: &str) -> Client {
        namespace.apply(&POD.replace("IMAGE", image)).unwrap();
        namespace.wait_until_ready("client").await.unwrap();
        Client {
            kubeconfig: cluster.kubeconfig().to_owned(),
            namespace: namespace.name().to_owned(),
            works: None,
        }
    }

    /// Runs `alluxio` in the pod.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        run(&self.kubeconfig, &self.namespace, arguments)
    }

    /// Makes, lists and removes names without a pause, until it is stopped.
    pub(crate) fn work(&mut self) {
        let stop = Arc::new(AtomicBool::new(false));
        let (kubeconfig, namespace) = (self.kubeconfig.clone(), self.namespace.clone());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut report = Report::default();
            while !stopped.load(Ordering::Relaxed) && report.failures.len() < FAILURES_MAX {
                let name = format!("/made-{}", report.operations);
                let acts: [&[&str]; 3] =
                    [&["fs", "mkdir", &name], &["fs", "ls", "/"], &["fs", "rm", "-R", &name]];
                for arguments in acts {
                    let begun = Instant::now();
                    let outcome = run(&kubeconfig, &namespace, arguments);
                    report.longest = report.longest.max(begun.elapsed());
                    report.operations += 1;
                    match outcome {
                        Ok(listed) if arguments[1] == "ls" && !listed.contains(&name[1..]) => {
                            report.failures.push(format!("{name} is not in {listed}"));
                        }
                        Ok(_) => {}
                        Err(error) => report.failures.push(format!("{arguments:?}: {error:#}")),
                    }
                }
            }
            report
        });
        self.works = Some((stop, thread));
    }

    /// Ends the work, in which nothing may have failed.
    pub(crate) fn stop(&mut self) -> Report {
        let (stop, thread) = self.works.take().expect("it works");
        stop.store(true, Ordering::Relaxed);
        let report = thread.join().expect("it does not panic");
        assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
        assert!(report.operations > 0);
        report
    }
}

fn run(kubeconfig: &std::path::Path, namespace: &str, arguments: &[&str]) -> Result<String> {
    let exec = ["--namespace", namespace, "exec", "client", "--", "/usr/bin/alluxio"];
    kubectl(kubeconfig, &[&exec, arguments].concat())
}
