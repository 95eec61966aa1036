//! Metrics of the process, under the names that Prometheus' conventions give them.
//!
//! **Source**: `/proc/self/{stat,status,fd,limits}`, `/proc/stat`; see proc(5).

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};
use std::fs;

/// Ticks of a second in `/proc`; fixed in the kernel's interface.
const TICKS: f64 = 100.0;

/// Reads `/proc` whenever metrics are asked for.
pub struct ProcessCollector {
    resident: Gauge,
    threads: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    start_time: Gauge,
    cpu: Counter,
}

/// What `/proc` says now. Zero for what cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessFacts {
    /// Bytes of memory that are resident.
    pub resident_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Open file descriptors that are allowed.
    pub max_fds: u64,
    /// Seconds since 1970 at which the process started.
    pub start_seconds: f64,
    /// Processor seconds used, user and system.
    pub cpu_seconds: f64,
}

impl ProcessFacts {
    /// Of this process.
    pub fn read() -> ProcessFacts {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident_kb: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok())
            .unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name in parentheses may contain anything; fields are counted from its end.
        let fields: Vec<&str> =
            stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
        let field = |number: usize| -> f64 {
            fields.get(number - 3).and_then(|field| field.parse().ok()).unwrap_or_default()
        };
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot_seconds: f64 = boot
            .lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let max_fds = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or_default();
        ProcessFacts {
            resident_bytes: resident_kb << 10,
            threads: field(20) as u64,
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |dir| dir.count() as u64),
            max_fds,
            start_seconds: boot_seconds + field(22) / TICKS,
            cpu_seconds: (field(14) + field(15)) / TICKS,
        }
    }
}

impl ProcessCollector {
    /// A collector for this process.
    pub fn new() -> Self {
        let gauge = |name: &str, help: &str| {
            Gauge::with_opts(Opts::new(name, help)).expect("the name is a constant and valid")
        };
        ProcessCollector {
            resident: gauge("process_resident_memory_bytes", "Resident memory"),
            threads: gauge("process_threads", "Threads"),
            open_fds: gauge("process_open_fds", "Open file descriptors"),
            max_fds: gauge("process_max_fds", "Open file descriptors that are allowed"),
            start_time: gauge("process_start_time_seconds", "Start, in seconds since 1970"),
            cpu: Counter::with_opts(Opts::new("process_cpu_seconds_total", "Processor time used"))
                .expect("the name is a constant and valid"),
        }
    }

    fn parts(&self) -> [&dyn Collector; 6] {
        [&self.resident, &self.threads, &self.open_fds, &self.max_fds, &self.start_time, &self.cpu]
    }
}

impl Default for ProcessCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let facts = ProcessFacts::read();
        self.resident.set(facts.resident_bytes as f64);
        self.threads.set(facts.threads as f64);
        self.open_fds.set(facts.open_fds as f64);
        self.max_fds.set(facts.max_fds as f64);
        self.start_time.set(facts.start_seconds);
        self.cpu.inc_by((facts.cpu_seconds - self.cpu.get()).max(0.0));
        self.parts().into_iter().flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn facts_of_this_process_are_plausible() {
        let before = ProcessFacts::read();
        assert!(before.resident_bytes > 1 << 20, "{before:?}");
        assert!(before.threads >= 1 && before.open_fds >= 3, "{before:?}");
        assert!(before.max_fds >= before.open_fds);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(before.start_seconds > now - 3600.0 && before.start_seconds < now + 2.0);
    }
}
