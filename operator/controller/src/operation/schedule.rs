//! When scheduled operations run. Pure: the time is an argument. All times are UTC.

use alluxio_operator_api::operation::Schedule;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

/// Longest name of an operation: a rule of the API.
const NAME_MAX: usize = 40;

/// A schedule that was read.
#[derive(Debug, Clone)]
pub struct Times(Cron);

impl Times {
    /// Reads it as CronJobs are read: where day of the month and day of the week are both given, either will do.
    ///
    /// **Errors**: what is wrong with it.
    pub fn parse(schedule: &Schedule) -> Result<Self, String> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = match schedule.cron.as_str() {
            "@midnight" => "@daily",
            other => other,
        };
        let read = parser.parse(cron);
        read.map(Times).map_err(|error| format!("schedule.cron {:?}: {error}", schedule.cron))
    }

    /// The first time after `after`; `None`, when there is none, as on a 30th of February.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let found = self.0.find_next_occurrence(&after.to_zoned(TimeZone::UTC), false).ok()?;
        Some(found.timestamp())
    }

    /// The last time after `after` and not after `now`. Of many that were missed it is the only one that counts.
    pub fn due(&self, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let found = self.0.find_previous_occurrence(&now.to_zoned(TimeZone::UTC), true).ok()?;
        Some(found.timestamp()).filter(|found| *found > after)
    }
}

/// The name of the run of that time: the same for whoever makes it, so that it is made once.
pub fn run_name(parent: &str, at: Timestamp) -> String {
    let minute = (at.as_second() / 60).to_string();
    let room = NAME_MAX - 1 - minute.len();
    if parent.len() <= room {
        return format!("{parent}-{minute}");
    }
    let digest = Sha256::digest(parent.as_bytes());
    let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    // Names of objects are ASCII.
    let kept = parent.get(..room - 1 - hash.len()).unwrap_or_default().trim_end_matches(['-', '.']);
    format!("{kept}-{hash}-{minute}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(cron: &str) -> Times {
        Times::parse(&schedule(cron)).unwrap()
    }

    fn schedule(cron: &str) -> Schedule {
        Schedule { cron: cron.into(), successful_history_limit: 3, failed_history_limit: 1 }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_those_of_a_cron_job() {
        let cases = [
            ("30 2 * * *", "2026-11-30T02:30:00Z", Some("2026-12-01T02:30:00Z")),
            ("30 2 * * *", "2026-11-30T02:29:59Z", Some("2026-11-30T02:30:00Z")),
            ("*/15 * * * *", "2026-11-30T10:07:00Z", Some("2026-11-30T10:15:00Z")),
            ("0 0 1 * MON", "2026-11-30T10:00:00Z", Some("2026-12-01T00:00:00Z")),
            ("0 0 15 * MON", "2026-12-01T00:00:00Z", Some("2026-12-07T00:00:00Z")),
            ("0 9 * * 1-5", "2026-12-04T09:00:00Z", Some("2026-12-07T09:00:00Z")),
            ("0 0 29 2 *", "2026-11-30T00:00:00Z", Some("2028-02-29T00:00:00Z")),
            ("@hourly", "2026-11-30T10:07:00Z", Some("2026-11-30T11:00:00Z")),
            ("@midnight", "2026-11-30T10:07:00Z", Some("2026-12-01T00:00:00Z")),
            ("0 0 30 2 *", "2026-11-30T00:00:00Z", None),
        ];
        for (cron, after, next) in cases {
            assert_eq!(times(cron).next(at(after)), next.map(at), "{cron} {after}");
        }
    }

    #[test]
    fn of_many_missed_times_the_last_one_counts() {
        let hourly = times("@hourly");
        let last = at("2026-11-30T02:00:00Z");
        assert_eq!(hourly.due(last, at("2026-11-30T02:59:59Z")), None);
        assert_eq!(hourly.due(last, at("2026-11-30T03:00:00Z")), Some(at("2026-11-30T03:00:00Z")));
        assert_eq!(hourly.due(last, at("2026-11-30T09:30:00Z")), Some(at("2026-11-30T09:00:00Z")));
    }

    #[test]
    fn what_is_no_schedule_is_named() {
        for cron in ["61 * * * *", "* * * * * *", "a b c d e", "* * * *"] {
            let why = Times::parse(&schedule(cron)).unwrap_err();
            assert!(why.contains(cron), "{why}");
        }
    }

    proptest! {
        #[test]
        fn names_of_runs_fit_and_differ(parent in "[a-z][a-z0-9-]{0,38}[a-z0-9]", second in 0i64..4_000_000_000) {
            let one = run_name(&parent, Timestamp::from_second(second).unwrap());
            prop_assert!(one.len() <= NAME_MAX, "{}", one);
            prop_assert!(one.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
            let next = run_name(&parent, Timestamp::from_second(second + 60).unwrap());
            prop_assert_ne!(&one, &next);
            let other = run_name(&format!("x{}", &parent[..parent.len() - 1]), Timestamp::from_second(second).unwrap());
            prop_assert!(other != one || parent.starts_with('x'));
        }

        /// What is due lies between, is a time of the schedule, and none comes after it.
        #[test]
        fn what_is_due_is_the_last_time(minute in 0..60u32, hour in 0..24u32, after in 0i64..2_000_000_000, span in 0i64..400_000) {
            let times = times(&format!("{minute} {hour} * * *"));
            let (after, now) = (Timestamp::from_second(after).unwrap(), Timestamp::from_second(after + span).unwrap());
            match times.due(after, now) {
                None => prop_assert!(times.next(after).unwrap() > now),
                Some(due) => {
                    prop_assert!(after < due && due <= now);
                    prop_assert!(times.next(due).unwrap() > now);
                }
            }
        }
    }
}
