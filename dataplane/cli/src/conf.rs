//! `getConf`, `validateConf`, and the generated reference.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use alluxio_config::{Config, ConfigError, Fault};
use alluxio_types::{ByteSize, parse_duration};
use serde_json::json;

/// `getConf [KEY] [--master] [--source] [--unit UNIT]`
#[derive(Debug, Clone, clap::Args)]
pub struct GetConf {
    /// Key to look up; without one, all of them
    key: Option<String>,
    /// Ask the master for its values instead of reading this machine's
    #[arg(long)]
    master: bool,
    /// Also say where each value comes from
    #[arg(long)]
    source: bool,
    /// Convert a size or duration: B, KB, MB, GB, TB, PB, MS, S, M, H or D
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,
}

/// One value to print; the name, the value as it may be shown, its source.
struct Row {
    key: String,
    value: String,
    source: String,
}

impl GetConf {
    /// Prints values. Code 1 for a key or unit that does not exist, 255 when the master is away.
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let unit = self.unit.as_deref().map(unit_size).transpose()?;
        if unit.is_some() && self.key.is_none() {
            screen.note("--unit needs a key");
            return Err(CliError::Code(1));
        }
        let rows = if self.master {
            session
                .master_properties()
                .await?
                .into_iter()
                .map(|p| Row { key: p.key, value: p.value, source: p.source })
                .collect()
        } else {
            local_rows(session.config())
        };
        let Some(key) = &self.key else {
            return rows.iter().try_for_each(|row| self.print_pair(row, screen));
        };
        if !Config::is_known(key) {
            let hint = Config::nearest(key).map(|near| format!(", did you mean {near}?"));
            screen.note(format!("{key} is not a configuration key{}", hint.unwrap_or_default()));
            return Err(CliError::Code(1));
        }
        let canonical = Config::canonical_name(key).unwrap_or_else(|| key.clone());
        let row = rows.into_iter().find(|row| row.key == canonical);
        let Some(mut row) = row else {
            // Known and without a value: an empty line, as scripts expect.
            return screen.either(|| json!({"key": key, "value": null}), String::new);
        };
        if let Some(unit) = unit {
            row.value = convert(&canonical, &row.value, unit)?;
        }
        let (value, source) = (&row.value, &row.source);
        screen.either(
            || json!({"key": row.key, "value": value, "source": source}),
            || if self.source { source.clone() } else { value.clone() },
        )
    }

    fn print_pair(&self, row: &Row, screen: &Screen) -> Result<(), CliError> {
        let Row { key, value, source } = row;
        screen.either(
            || json!({"key": key, "value": value, "source": source}),
            || {
                if self.source {
                    format!("{key}={value} ({source})")
                } else {
                    format!("{key}={value}")
                }
            },
        )
    }
}

fn local_rows(config: &Config) -> Vec<Row> {
    let row = |(key, setting): (&str, &alluxio_config::Setting)| Row {
        key: key.to_owned(),
        value: setting.shown().to_owned(),
        source: setting.source.to_string(),
    };
    config.settings().map(row).collect()
}

/// A unit of `--unit`: bytes, or milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Bytes(u64),
    Millis(u64),
}

fn unit_size(text: &str) -> Result<Unit, CliError> {
    let bytes = ["B", "KB", "MB", "GB", "TB", "PB"];
    let upper = text.to_uppercase();
    if let Some(power) = bytes.iter().position(|unit| *unit == upper) {
        return Ok(Unit::Bytes(1 << (10 * power)));
    }
    let millis = [("MS", 1), ("S", 1000), ("M", 60_000), ("H", 3_600_000), ("D", 86_400_000)];
    match millis.iter().find(|(unit, _)| *unit == upper) {
        Some((_, millis)) => Ok(Unit::Millis(*millis)),
        None => Err(CliError::BadArgument {
            what: "unit",
            value: text.to_owned(),
            expected: "B, KB, MB, GB, TB, PB, MS, S, M, H or D".to_owned(),
        }),
    }
}

/// The value in that unit, as a number without needless digits.
fn convert(key: &str, value: &str, unit: Unit) -> Result<String, CliError> {
    let amount = match unit {
        Unit::Bytes(bytes) => ByteSize::parse(value).map(|size| size.0 as f64 / bytes as f64),
        Unit::Millis(millis) => {
            parse_duration(value).map(|d| d.as_secs_f64() * 1000.0 / millis as f64)
        }
    };
    let Some(amount) = amount else {
        return Err(CliError::Refused {
            message: format!("{key}={value} cannot be converted to that unit"),
        });
    };
    Ok(amount.to_string())
}

/// Checks this machine's configuration for every role. All faults are printed.
pub(crate) fn validate(
    config: &Result<Config, ConfigError>,
    screen: &Screen,
) -> Result<(), CliError> {
    let mut faults: Vec<String> = Vec::new();
    match config {
        Err(error) => faults.extend(error.faults.iter().map(Fault::to_string)),
        Ok(config) => {
            let sections = [
                config.master().err().map(|error| error.faults),
                config.worker().err().map(|error| error.faults),
                config.client().err().map(|error| error.faults),
            ];
            for fault in sections.into_iter().flatten().flatten() {
                let text = fault.to_string();
                if !faults.contains(&text) {
                    faults.push(text);
                }
            }
            for warning in config.warnings() {
                screen.note(format!("warning: {warning}"));
            }
        }
    }
    if screen.json {
        screen.value(&json!({"valid": faults.is_empty(), "faults": faults}))?;
    } else if faults.is_empty() {
        screen.line("Configuration is valid.")?;
    } else {
        screen.lines(&faults)?;
        screen.line("Configuration is invalid.")?;
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::Code(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::capture;

    #[test]
    fn units_convert_both_ways() {
        for (value, unit, want) in [
            ("64MB", "KB", "65536"),
            ("64MB", "gb", "0.0625"),
            ("5min", "S", "300"),
            ("30s", "M", "0.5"),
            ("250", "MS", "250"),
        ] {
            assert_eq!(convert("k", value, unit_size(unit).unwrap()).unwrap(), want, "{value}");
        }
        assert!(unit_size("parsec").unwrap_err().to_string().contains("parsec"));
        assert!(convert("k", "true", Unit::Bytes(1)).is_err());
    }

    #[test]
    fn validation_prints_every_fault_once() {
        let (screen, out, _) = capture::screen();
        let config = Config::of([
            ("alluxio.master.hostname", "m"),
            ("alluxio.master.journal.type", "EMBEDDED"),
            ("alluxio.worker.tieredstore.levels", "2"),
        ]);
        let code = validate(&config, &screen).unwrap_err().exit_code();
        assert_eq!(code, 1);
        let text = out.text();
        assert!(text.contains("alluxio.master.journal.type=EMBEDDED"), "{text}");
        assert!(text.contains("alluxio.worker.tieredstore.level1.dirs.path"), "{text}");
        assert!(text.ends_with("Configuration is invalid.\n"), "{text}");
        let (screen, out, _) = capture::screen();
        validate(&Config::of([("alluxio.master.hostname", "m")]), &screen).unwrap();
        assert_eq!(out.text(), "Configuration is valid.\n");
    }
}
