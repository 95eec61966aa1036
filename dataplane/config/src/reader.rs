//! What a role's section is read with: typed access that collects faults instead of stopping.

use crate::error::Fault;
use crate::general::HostPort;
use crate::load::Config;
use crate::machine::Machine;
use crate::spec::KeySpec;
use alluxio_types::{ByteSize, Mode, parse_duration};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) struct Reader<'a> {
    config: &'a Config,
    faults: Vec<Fault>,
}

/// Why a value of a checked configuration always parses.
const CHECKED: &str = "values are checked against their kind when the configuration is loaded";

impl<'a> Reader<'a> {
    pub(crate) fn new(config: &'a Config) -> Self {
        Reader { config, faults: Vec::new() }
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    pub(crate) fn machine(&self) -> &'a Machine {
        self.config.machine()
    }

    /// The value in normal form, default included.
    fn value(&self, key: &KeySpec) -> &'a str {
        self.config.normal(key.name).unwrap_or_default()
    }

    /// The value of a key without a default.
    pub(crate) fn set_text(&self, key: &KeySpec) -> Option<String> {
        self.config.normal(key.name).map(str::to_owned)
    }

    /// Whether somebody set it, so that the value is not the default.
    pub(crate) fn is_set(&self, key: &KeySpec) -> bool {
        self.config.setting(key.name).is_some_and(crate::load::Setting::is_set)
    }

    /// The value of a filled-in template key.
    pub(crate) fn named(&self, name: &str) -> Option<String> {
        self.config.normal(name).map(str::to_owned)
    }

    pub(crate) fn text(&self, key: &KeySpec) -> String {
        self.value(key).to_owned()
    }

    /// The value, or one made of the machine's facts when there is none or it is empty.
    pub(crate) fn text_or(&self, key: &KeySpec, otherwise: impl Fn(&Machine) -> String) -> String {
        match self.value(key) {
            "" => otherwise(self.machine()),
            text => text.to_owned(),
        }
    }

    pub(crate) fn path(&self, key: &KeySpec) -> PathBuf {
        PathBuf::from(self.value(key))
    }

    pub(crate) fn bool(&self, key: &KeySpec) -> bool {
        self.value(key) == "true"
    }

    pub(crate) fn int(&self, key: &KeySpec) -> i64 {
        self.value(key).parse().expect(CHECKED)
    }

    /// A whole number that is never negative by its bounds.
    pub(crate) fn count(&self, key: &KeySpec) -> usize {
        usize::try_from(self.int(key)).expect(CHECKED)
    }

    pub(crate) fn port(&self, key: &KeySpec) -> u16 {
        self.value(key).parse().expect(CHECKED)
    }

    pub(crate) fn float(&self, key: &KeySpec) -> f64 {
        self.value(key).parse().expect(CHECKED)
    }

    pub(crate) fn size(&self, key: &KeySpec) -> u64 {
        ByteSize::parse(self.value(key)).expect(CHECKED).0
    }

    pub(crate) fn size_usize(&self, key: &KeySpec) -> usize {
        usize::try_from(self.size(key)).unwrap_or(usize::MAX)
    }

    pub(crate) fn duration(&self, key: &KeySpec) -> Duration {
        parse_duration(self.value(key)).expect(CHECKED)
    }

    /// `None` for a negative value.
    pub(crate) fn duration_or_off(&self, key: &KeySpec) -> Option<Duration> {
        match self.value(key) {
            "-1" => None,
            text => Some(parse_duration(text).expect(CHECKED)),
        }
    }

    pub(crate) fn octal(&self, key: &KeySpec) -> Mode {
        Mode(u16::from_str_radix(self.value(key), 8).expect(CHECKED))
    }

    pub(crate) fn list(&self, key: &KeySpec) -> Vec<String> {
        crate::value::split_list(self.value(key))
    }

    pub(crate) fn addresses(&self, key: &KeySpec) -> Vec<HostPort> {
        self.list(key).iter().map(|text| text.parse().expect(CHECKED)).collect()
    }

    /// All values whose name starts with `prefix`, by the rest of the name.
    pub(crate) fn below(&self, prefix: &str) -> BTreeMap<String, String> {
        self.config
            .settings_below(prefix)
            .map(|(name, setting)| (name[prefix.len()..].to_owned(), setting.normal.clone()))
            .collect()
    }

    /// Values that somebody set, of keys that `wanted` accepts.
    pub(crate) fn set_where(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
        self.config
            .settings_below("")
            .filter(|(name, setting)| setting.is_set() && wanted(name))
            .map(|(name, setting)| (name.to_owned(), setting.normal.clone()))
            .collect()
    }

    /// Where a person can write values: the site file that was read, or would have been.
    pub(crate) fn site_hint(&self) -> String {
        self.config.site_hint()
    }

    pub(crate) fn conflict(&mut self, message: String) {
        self.faults.push(Fault::Conflict { message });
    }

    pub(crate) fn missing(&mut self, key: &str, way_out: &str) {
        self.faults.push(Fault::Missing { key: key.to_owned(), way_out: way_out.to_owned() });
    }

    pub(crate) fn refuse(&mut self, key: &KeySpec, way_out: &str) {
        self.faults.push(Fault::Unsupported {
            key: key.name.to_owned(),
            value: self.value(key).to_owned(),
            source_name: self.config.place_of(key.name),
            way_out: way_out.to_owned(),
        });
    }

    pub(crate) fn bad_value(&mut self, key: &KeySpec, value: &str, expected: &str) {
        self.bad_named(key.name, value, expected);
    }

    pub(crate) fn bad_named(&mut self, key: &str, value: &str, expected: &str) {
        self.faults.push(Fault::BadValue {
            key: key.to_owned(),
            value: value.to_owned(),
            source_name: self.config.place_of(key),
            expected: expected.to_owned(),
        });
    }
}
