//! Command lines and what they say, without a cluster.

use super::*;
use crate::screen::capture;

async fn alluxio(words: &[&str]) -> (u8, String, String) {
    let (screen, out, err) = capture::screen();
    let code = run(Invocation {
        arguments: words.iter().map(|word| (*word).to_owned()).collect(),
        environment: Vec::new(),
        screen,
        version: "1.2.3".into(),
        revision: "0123456789abcdef".into(),
        others: vec![clap::Command::new("master").about("Run a master")],
    })
    .await;
    (code, out.text(), err.text())
}

#[test]
fn the_tree_of_commands_is_sound() {
    tree(&[clap::Command::new("master")]).debug_assert();
}

#[tokio::test]
async fn unknown_commands_and_options_are_named_with_the_way_out() {
    for (words, want) in [
        (&["fss"][..], "fss is an unknown command. Did you mean fs?\nSee 'alluxio help'"),
        (&["fs", "lss", "/"], "lss is an unknown command. Did you mean ls?\nSee 'alluxio fs help'"),
        (
            &["fs", "ls", "--recursiv", "/"],
            "ls has no option --recursiv. Did you mean --recursive?\nUsage: alluxio fs ls",
        ),
        (&["fs", "ls"], "Command ls requires at least 1 arguments, not 0\nUsage: alluxio fs ls"),
        (&["fs", "mv", "/a"], "Command mv takes 2 arguments, not 1\nUsage: alluxio fs mv"),
        (&["fs", "mv", "/a", "/b", "/c"], "Command mv takes 2 arguments, \"/c\" is one too many"),
        (&["fs", "test", "/a"], "test needs exactly one of "),
        (
            &["fs", "head", "-c", "many", "/a"],
            "head: invalid value 'many' for '--bytes <BYTES>': expected a number",
        ),
    ] {
        let (code, out, err) = alluxio(words).await;
        assert_eq!((code, out.as_str()), (255, ""), "{words:?}: {err}");
        assert!(err.starts_with(want), "{words:?}: {err}");
    }
}

#[tokio::test]
async fn help_shows_our_commands_and_the_binarys() {
    let (code, out, _) = alluxio(&["help"]).await;
    assert_eq!(code, 0);
    for name in ["fs ", "fsadmin ", "getConf ", "master "] {
        assert!(out.contains(name), "{name} is not in\n{out}");
    }
    let (code, out, _) = alluxio(&["fs", "help", "chmod"]).await;
    assert!(
        code == 0 && out.contains("octal bits like 755") || out.contains("Octal bits"),
        "{out}"
    );
    let (code, out, _) = alluxio(&["fs", "ls", "--help"]).await;
    assert!(code == 0 && out.contains("--timestamp"), "{out}");
    let (code, _, err) = alluxio(&[]).await;
    assert!(code == 255 && err.contains("getConf"), "{err}");
}

#[tokio::test]
async fn versions_are_cut_as_asked() {
    assert_eq!(alluxio(&["version"]).await.1, "1.2.3\n");
    assert_eq!(alluxio(&["version", "-r", "4"]).await.1, "1.2.3-0123\n");
    assert_eq!(alluxio(&["version", "--revision"]).await.1, "1.2.3-0123456789abcdef\n");
    assert_eq!(alluxio(&["version", "--json"]).await.1, "{\"version\":\"1.2.3\"}\n");
}

#[tokio::test]
async fn configuration_is_read_from_the_command_line_wherever_it_stands() {
    let key = "alluxio.user.file.writetype.default";
    let set = format!("-D{key}=THROUGH");
    assert_eq!(alluxio(&["getConf", &set, key]).await.1, "THROUGH\n");
    assert_eq!(alluxio(&["getConf", key]).await.1, "MUST_CACHE\n");
    assert_eq!(alluxio(&[&set, "getConf", "--source", key]).await.1, "SYSTEM_PROPERTY\n");
    assert_eq!(alluxio(&["getConf", "alluxio.worker.hostname"]).await.1, "\n");
    let (code, _, err) = alluxio(&["getConf", "alluxio.user.file.writetype.defualt"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("did you mean alluxio.user.file.writetype.default?"), "{err}");
    let secret = alluxio(&["getConf", "-Ds3a.secretKey=hush", "s3a.secretKey"]).await;
    assert_eq!(secret.1, "******\n");
    let all = alluxio(&["getConf", "-Ds3a.secretKey=hush", "--source"]).await.1;
    assert!(all.contains("alluxio.master.rpc.port=19998 (DEFAULT)\n") && !all.contains("hush"));
    assert_eq!(
        alluxio(&["getConf", "--unit", "KB", "alluxio.user.block.size.bytes.default"]).await.1,
        "65536\n"
    );
}

#[tokio::test]
async fn a_wrong_configuration_stops_every_command_but_says_everything() {
    let words = ["fs", "ls", "/", "-Dalluxio.master.hostnam=x", "-Dalluxio.master.rpc.port=y"];
    let (code, _, err) = alluxio(&words).await;
    assert_eq!(code, 255);
    assert!(err.contains("alluxio.master.hostname?") && err.contains("rpc.port=y"), "{err}");
    let (code, _, err) = alluxio(&["fs", "ls", "/"]).await;
    assert_eq!(code, 255);
    assert!(err.starts_with("no value for alluxio.master.hostname"), "{err}");
    let (code, out, _) = alluxio(&["validateConf", "-Dalluxio.master.hostname=m"]).await;
    assert_eq!((code, out.as_str()), (0, "Configuration is valid.\n"));
}

#[tokio::test]
async fn bad_paths_fail_before_anything_is_sent() {
    let host = "-Dalluxio.master.hostname=localhost";
    for (words, want) in [
        (vec!["fs", "ls", "a/b"], "\"a/b\" is not an Alluxio path"),
        (vec!["fs", "cat", "s3://b/a"], "\"s3://b/a\" is not an Alluxio URI"),
        (vec!["fs", "chmod", "999", "/a"], "mode \"999\": expected octal bits"),
        (vec!["fs", "setTtl", "/a", "soon"], "time to live \"soon\": expected a duration"),
        (
            vec!["fs", "cp", "alluxio://a:1/x", "alluxio://b:1/y"],
            "alluxio://a:1/x and alluxio://b:1/y name different",
        ),
    ] {
        let words: Vec<&str> = words.into_iter().chain([host]).collect();
        let (code, _, err) = alluxio(&words).await;
        assert_eq!(code, 255, "{words:?}");
        assert!(err.starts_with(want), "{words:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[tokio::test]
async fn nobody_who_listens_is_said_within_seconds() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let uri = format!("alluxio://127.0.0.1:{port}/");
    let patience = "-Dalluxio.user.rpc.retry.max.duration=100ms";
    let (code, _, err) = alluxio(&["fs", "ls", &uri, patience]).await;
    assert_eq!(code, 255);
    assert!(err.starts_with("ls /: no answer from 127.0.0.1:"), "{err}");
}

#[tokio::test]
async fn completion_and_reference_cover_every_command() {
    let script = alluxio(&["completion", "bash"]).await.1;
    assert!(script.contains("copyFromLocal") && script.contains("master"));
    let page = alluxio(&["reference", "cli"]).await.1;
    assert!(
        page.contains("- `alluxio fs ls [OPTIONS] <PATH>...`: List files and directories"),
        "{page}"
    );
    assert!(alluxio(&["reference", "config"]).await.1.starts_with("# Configuration keys"));
}
