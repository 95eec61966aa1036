//! The tests of Kubernetes for all CSI drivers.

use crate::Test;
use crate::stack::Stack;
use alluxio_testservers::cache;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

pub(crate) const TESTS: &[Test] =
    &[("csi_sanity_passes_twice_and_skips_what_the_list_says", csi_sanity)];

/// What is skipped, and why.
const SKIPS: &str = include_str!("../../../csi/sanity-skips.txt");
/// Fewest specifications that run: a list of skips that grows must not pass unseen.
const RUN_MIN: usize = 44;

fn csi_sanity() {
    let program = cache::require(cache::csi_sanity(), "csi-sanity");
    let mut stack = Stack::start();
    for round in ["first", "second"] {
        let folder = stack.dir().join(round);
        std::fs::create_dir(&folder).unwrap();
        let report = folder.join("report.json");
        let output = Command::new(&program)
            .arg("--csi.endpoint")
            .arg(stack.endpoint())
            .arg("--csi.mountdir")
            .arg(folder.join("mount"))
            .arg("--csi.stagingdir")
            .arg(folder.join("staging"))
            .args(["--csi.testvolumesize", "10737418240"])
            .args(["--csi.testvolumeexpandsize", "21474836480", "--ginkgo.no-color"])
            .arg("--ginkgo.json-report")
            .arg(&report)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "the {round} run:\n{said}\n{}", driver_log(&stack));
        compare(&serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap());
        assert_eq!(
            stack.alluxio(&["fs", "ls", "/.alluxio/volumes"]).trim(),
            "",
            "no volume is left"
        );
        // The second run meets a driver that has just begun.
        stack.stop_driver();
        stack.start_driver();
    }
}

/// What was skipped is what the list says.
fn compare(report: &Value) {
    let (mut skipped, mut passed) = (BTreeSet::new(), 0);
    let suites = report.as_array().unwrap().iter();
    for spec in suites.flat_map(|suite| suite["SpecReports"].as_array().unwrap()) {
        if spec["LeafNodeType"] != "It" {
            continue;
        }
        match spec["State"].as_str().unwrap() {
            "passed" => passed += 1,
            _ => {
                skipped.insert(name(spec));
            }
        }
    }
    let listed: BTreeSet<String> = SKIPS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let unlisted: Vec<_> = skipped.difference(&listed).collect();
    let not_skipped: Vec<_> = listed.difference(&skipped).collect();
    assert!(
        unlisted.is_empty() && not_skipped.is_empty(),
        "not in sanity-skips.txt: {unlisted:#?}\nin it, and not skipped: {not_skipped:#?}"
    );
    assert!(passed >= RUN_MIN, "{passed} specifications ran");
}

fn name(spec: &Value) -> String {
    let texts = spec["ContainerHierarchyTexts"].as_array().unwrap();
    let texts = texts.iter().chain([&spec["LeafNodeText"]]);
    texts.map(|text| text.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

fn driver_log(stack: &Stack) -> String {
    std::fs::read_to_string(stack.dir().join("logs/csi-all.log")).unwrap_or_default()
}
