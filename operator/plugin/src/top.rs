//! `kubectl alluxio top`.

use crate::near::Near;
use crate::samples::Samples;
use crate::{Where, table};
use alluxio_operator_api::AlluxioCluster;
use alluxio_types::ByteSize;
use anyhow::{Context, Result};
use clap::Args;
use futures::future::join_all;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use tokio::time::Instant;

/// Arguments of `top`.
#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    /// One cluster; all of the namespace without it
    #[arg(value_name = "CLUSTER")]
    cluster: Option<String>,
    #[command(flatten)]
    place: Where,
    /// Seconds between two looks, between which speeds are measured
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Show it once
    #[arg(long)]
    once: bool,
    /// One JSON object a look, on a line of its own
    #[arg(long)]
    json: bool,
}

/// Clears the screen and goes to its beginning.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// What one worker has counted until one moment.
#[derive(Debug, Clone, PartialEq)]
struct Look {
    samples: Samples,
    at: Instant,
}

/// A worker, and what it said; `Err`: why it said nothing.
struct Worker {
    cluster: String,
    pod: String,
    node: String,
    look: Result<Look, String>,
}

/// One line: what a worker holds, and did between two looks.
#[derive(Debug, Clone, Default, PartialEq)]
struct Line {
    cluster: String,
    pod: String,
    node: String,
    used: f64,
    room: f64,
    hits: f64,
    reads: f64,
    /// Bytes a second.
    read: f64,
    written: f64,
    fetched: f64,
    uploaded: f64,
    trouble: Option<String>,
}

/// Shows them until somebody ends the program, or once.
///
/// **Errors**: what the API server says of clusters and pods. A worker that does not answer is shown as such.
pub(crate) async fn run(arguments: TopArguments, out: &mut impl Write) -> Result<()> {
    let near = Near::connect(&arguments.place).await?;
    let pause = Duration::from_secs(arguments.interval);
    let mut before = looks(&near, arguments.cluster.as_deref()).await?;
    let clears = std::io::stdout().is_terminal() && !arguments.once;
    loop {
        tokio::time::sleep(pause).await;
        let now = looks(&near, arguments.cluster.as_deref()).await?;
        let lines = lines(&before, &now);
        if arguments.json {
            writeln!(out, "{}", as_json(&lines))?;
        } else {
            if clears {
                write!(out, "{CLEAR}")?;
            }
            show(&lines, out)?;
        }
        out.flush()?;
        if arguments.once {
            return Ok(());
        }
        before = now;
    }
}

async fn looks(near: &Near, cluster: Option<&str>) -> Result<Vec<Worker>> {
    let clusters = near.clusters(cluster).await?;
    let all = join_all(clusters.iter().map(|cluster| of_cluster(near, cluster))).await;
    Ok(all.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

async fn of_cluster(near: &Near, cluster: &AlluxioCluster) -> Result<Vec<Worker>> {
    let pods = near.pods(cluster, Some("worker")).await?;
    let name = format!("{}/{}", cluster.namespace().unwrap_or_default(), cluster.name_any());
    let workers = pods.iter().map(|pod| async {
        let text = near.metrics(pod).await;
        let at = Instant::now();
        Worker {
            cluster: name.clone(),
            pod: pod.name_any(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            look: match text {
                Ok(text) => Ok(Look { samples: Samples::parse(&text), at }),
                Err(error) => Err(format!("{error:#}")),
            },
        }
    });
    Ok(join_all(workers).await)
}

fn lines(before: &[Worker], now: &[Worker]) -> Vec<Line> {
    let known: BTreeMap<(&str, &str), &Look> = before
        .iter()
        .filter_map(|worker| Some(((&*worker.cluster, &*worker.pod), worker.look.as_ref().ok()?)))
        .collect();
    now.iter()
        .map(|worker| {
            let names = Line {
                cluster: worker.cluster.clone(),
                pod: worker.pod.clone(),
                node: worker.node.clone(),
                ..Line::default()
            };
            match &worker.look {
                Err(why) => Line { trouble: Some(why.clone()), ..names },
                Ok(look) => {
                    let before = known.get(&(worker.cluster.as_str(), worker.pod.as_str()));
                    measured(names, before.copied(), look)
                }
            }
        })
        .collect()
}

fn measured(names: Line, before: Option<&Look>, now: &Look) -> Line {
    let value = |name: &str, label: &str| now.samples.sum(&format!("alluxio_worker_{name}"), label);
    let grown = |name: &str, label: &str| {
        let Some(before) = before else { return 0.0 };
        let then = before.samples.sum(&format!("alluxio_worker_{name}"), label);
        // A worker that started again counts from 0.
        let more = value(name, label) - then;
        if more < 0.0 { value(name, label) } else { more }
    };
    let seconds = before.map_or(1.0, |before| (now.at - before.at).as_secs_f64()).max(0.001);
    Line {
        used: value("used_bytes", ""),
        room: value("capacity_bytes", ""),
        hits: grown("read_requests_total", "source=\"cache\""),
        reads: grown("read_requests_total", ""),
        read: grown("read_bytes_total", "") / seconds,
        written: grown("written_bytes_total", "") / seconds,
        fetched: grown("fetched_bytes_total", "source=\"ufs\"") / seconds,
        uploaded: grown("uploaded_bytes_total", "") / seconds,
        ..names
    }
}

fn total(lines: &[Line]) -> Line {
    let sum = |of: fn(&Line) -> f64| lines.iter().map(of).sum::<f64>();
    Line {
        used: sum(|line| line.used),
        room: sum(|line| line.room),
        hits: sum(|line| line.hits),
        reads: sum(|line| line.reads),
        read: sum(|line| line.read),
        written: sum(|line| line.written),
        fetched: sum(|line| line.fetched),
        uploaded: sum(|line| line.uploaded),
        ..Line::default()
    }
}

/// A share, if there is anything to share.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn show(lines: &[Line], out: &mut impl Write) -> std::io::Result<()> {
    let headings = [
        "CLUSTER",
        "WORKER",
        "NODE",
        "CACHED",
        "ROOM",
        "USED",
        "HITS",
        "READ/s",
        "WRITTEN/s",
        "FROM UFS/s",
        "TO UFS/s",
    ];
    let size = |bytes: f64| ByteSize(bytes.max(0.0) as u64).to_string();
    let percent = |part, whole| {
        ratio(part, whole).map_or_else(|| "-".to_owned(), |ratio| format!("{:.0}%", ratio * 100.0))
    };
    let numbers = |line: &Line| {
        vec![
            size(line.used),
            size(line.room),
            percent(line.used, line.room),
            percent(line.hits, line.reads),
            size(line.read),
            size(line.written),
            size(line.fetched),
            size(line.uploaded),
        ]
    };
    let mut rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let mut row = vec![line.cluster.clone(), line.pod.clone(), line.node.clone()];
            match &line.trouble {
                Some(_) => row.push("does not answer".to_owned()),
                None => row.extend(numbers(line)),
            }
            row
        })
        .collect();
    if lines.len() != 1 {
        let mut row = vec!["all".to_owned(), String::new(), String::new()];
        row.extend(numbers(&total(lines)));
        rows.push(row);
    }
    table::write(out, &headings, &rows)?;
    for line in lines {
        if let Some(why) = &line.trouble {
            writeln!(out, "{}: {why}", line.pod)?;
        }
    }
    Ok(())
}

fn as_json(lines: &[Line]) -> Value {
    let numbers = |line: &Line| {
        json!({
            "usedBytes": line.used,
            "capacityBytes": line.room,
            "hitRatio": ratio(line.hits, line.reads),
            "readBytesPerSecond": line.read,
            "writtenBytesPerSecond": line.written,
            "fetchedBytesPerSecond": line.fetched,
            "uploadedBytesPerSecond": line.uploaded,
        })
    };
    let workers: Vec<Value> = lines
        .iter()
        .map(|line| {
            let mut value = match &line.trouble {
                Some(why) => json!({"error": why}),
                None => numbers(line),
            };
            value["cluster"] = Value::from(line.cluster.as_str());
            value["pod"] = Value::from(line.pod.as_str());
            value["node"] = Value::from(line.node.as_str());
            value
        })
        .collect();
    json!({"workers": workers, "total": numbers(&total(lines))})
}

/// What `diagnose` keeps of it.
///
/// **Errors**: as [`run`].
pub(crate) async fn once(near: &Near, cluster: &AlluxioCluster) -> Result<String> {
    let workers = of_cluster(near, cluster).await?;
    let mut out = Vec::new();
    show(&lines(&[], &workers), &mut out)?;
    String::from_utf8(out).context("columns are text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(pod: &str, text: &str, at: Instant) -> Worker {
        let look = Ok(Look { samples: Samples::parse(text), at });
        Worker { cluster: "cache/demo".into(), pod: pod.into(), node: "n1".into(), look }
    }

    const BEFORE: &str = "alluxio_worker_used_bytes{tier=\"MEM\"} 100\nalluxio_worker_capacity_bytes{tier=\"MEM\"} 400\n\
        alluxio_worker_read_requests_total{source=\"cache\"} 10\nalluxio_worker_read_requests_total{source=\"uncached\"} 5\n\
        alluxio_worker_read_bytes_total{source=\"cache\"} 1000\nalluxio_worker_written_bytes_total 0\n";
    const AFTER: &str = "alluxio_worker_used_bytes{tier=\"MEM\"} 200\nalluxio_worker_capacity_bytes{tier=\"MEM\"} 400\n\
        alluxio_worker_read_requests_total{source=\"cache\"} 13\nalluxio_worker_read_requests_total{source=\"uncached\"} 6\n\
        alluxio_worker_read_bytes_total{source=\"cache\"} 5000\nalluxio_worker_written_bytes_total 20\n";

    #[test]
    fn speeds_are_of_the_time_between_two_looks() {
        let start = Instant::now();
        let end = start + Duration::from_secs(2);
        let before = [worker("w", BEFORE, start)];
        let found = lines(&before, &[worker("w", AFTER, end), worker("new", AFTER, end)]);
        assert_eq!((found[0].used, found[0].room), (200.0, 400.0));
        assert_eq!((found[0].hits, found[0].reads, found[0].read), (3.0, 4.0, 2000.0));
        // Who was not there before has no speed yet.
        assert_eq!((found[1].used, found[1].reads, found[1].read), (200.0, 0.0, 0.0));
        // Who started again has counted from nothing.
        let again = lines(&[worker("w", AFTER, start)], &[worker("w", BEFORE, end)]);
        assert_eq!((again[0].read, again[0].reads), (500.0, 15.0));
    }

    #[test]
    fn who_does_not_answer_is_shown_and_said_why() {
        let look = Err("refused".to_owned());
        let silent = Worker { cluster: "a/b".into(), pod: "w".into(), node: "n".into(), look };
        let found = lines(&[], &[silent]);
        let mut out = Vec::new();
        show(&found, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("does not answer") && text.contains("w: refused"), "{text}");
        assert_eq!(as_json(&found)["workers"][0]["error"], "refused");
    }
}
