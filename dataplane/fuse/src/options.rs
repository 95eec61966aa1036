//! Options of a mount (`-o`), in libfuse's words; pure.

use crate::mount::Options;
use std::time::Duration;

/// All that `-o` can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOptions {
    /// What the kernel is told.
    pub mount: Options,
    /// How long attributes are believed.
    pub attr_valid: Duration,
    /// How long names are believed.
    pub entry_valid: Duration,
    /// Threads that read requests; `None` for as many as there are processors, 2 to 8.
    pub threads: Option<usize>,
    /// Requests in the background.
    pub max_background: Option<u16>,
    /// Whether `close` waits for the journal; `None` for what is configured.
    pub commit: Option<Commit>,
    /// Configuration keys, set for this mount.
    pub properties: Vec<(String, String)>,
}

/// When a file that is closed is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Commit {
    /// When `close` returns.
    #[default]
    Close,
    /// Within a second after that, and when `fsync` returns.
    Background,
}

impl Commit {
    /// Reads `close` or `background`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "close" => Some(Commit::Close),
            "background" => Some(Commit::Background),
            _ => None,
        }
    }
}

/// An option that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Nobody knows it.
    #[error(
        "{option:?} is no option of a mount; there are allow_other, default_permissions, ro, rw, nonempty, \
         attr_timeout, entry_timeout, commit, masters, max_read, max_background, max_idle_threads, and alluxio.…=… for keys"
    )]
    Unknown {
        /// The word.
        option: String,
    },
    /// Its value makes no sense.
    #[error("{option} is {expected}, not {value:?}")]
    BadValue {
        /// The option.
        option: String,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

/// Options of libfuse that change nothing here: what they ask for is always so, or is the kernel's matter.
const ACCEPTED: &[&str] = &[
    "kernel_cache",
    "auto_cache",
    "big_writes",
    "noatime",
    "nodev",
    "nosuid",
    "async",
    "dev",
    "suid",
    "exec",
    "fsname",
    "subtype",
];

/// The key that `masters` sets.
const MASTERS: &str = "alluxio.master.rpc.addresses";

impl Default for MountOptions {
    fn default() -> Self {
        MountOptions {
            mount: Options::default(),
            attr_valid: Duration::from_secs(1),
            entry_valid: Duration::from_secs(1),
            threads: None,
            max_background: None,
            commit: None,
            properties: Vec::new(),
        }
    }
}

impl MountOptions {
    /// Takes over words such as `ro` and `attr_timeout=5`; later ones win.
    ///
    /// **Errors**: [`OptionError`].
    pub fn take(&mut self, words: &[String]) -> Result<(), OptionError> {
        for word in words.iter().flat_map(|words| words.split(',')).map(str::trim) {
            if !word.is_empty() {
                self.take_one(word)?;
            }
        }
        Ok(())
    }

    fn take_one(&mut self, word: &str) -> Result<(), OptionError> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let bad = |expected| OptionError::BadValue {
            option: name.to_owned(),
            value: value.unwrap_or_default().to_owned(),
            expected,
        };
        let number = |most: u32| -> Result<u32, OptionError> {
            let number = value.and_then(|text| text.parse().ok()).filter(|number| *number <= most);
            number.ok_or(bad("a whole number that is not too large"))
        };
        let seconds = || -> Result<Duration, OptionError> {
            let seconds = value.and_then(|text| text.parse::<f64>().ok());
            let seconds = seconds.filter(|seconds| (0.0..=1e9).contains(seconds));
            Ok(Duration::from_secs_f64(seconds.ok_or(bad("a number of seconds"))?))
        };
        match name {
            "allow_other" => self.mount.allow_other = true,
            "noallow_other" => self.mount.allow_other = false,
            "default_permissions" => self.mount.default_permissions = true,
            "nodefault_permissions" => self.mount.default_permissions = false,
            "ro" => self.mount.read_only = true,
            "rw" => self.mount.read_only = false,
            "nonempty" => self.mount.nonempty = true,
            "attr_timeout" => self.attr_valid = seconds()?,
            "entry_timeout" => self.entry_valid = seconds()?,
            "max_read" => self.mount.max_read = number(1 << 20)?,
            "max_background" => self.max_background = Some(number(65_535)? as u16),
            "commit" => {
                let commit = value.and_then(Commit::from_name);
                self.commit = Some(commit.ok_or(bad("close or background"))?);
            }
            // Commas are taken: they are between options.
            "masters" => {
                let masters = value.filter(|masters| !masters.is_empty());
                let masters = masters.ok_or(bad("HOST:PORT;HOST:PORT…"))?.replace(';', ",");
                self.properties.push((MASTERS.to_owned(), masters));
            }
            "max_idle_threads" => self.threads = Some(number(64)?.max(1) as usize),
            key if key.starts_with("alluxio.") => {
                let value = value.ok_or(bad("key=value"))?;
                self.properties.push((key.to_owned(), value.to_owned()));
            }
            name if ACCEPTED.contains(&name) => {}
            _ => return Err(OptionError::Unknown { option: word.to_owned() }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_in_order_and_wrong_ones_are_named() {
        let mut options = MountOptions::default();
        let words =
            ["attr_timeout=600,entry_timeout=0.5".to_owned(), "ro,rw,max_read=131072".into()];
        options.take(&words).unwrap();
        options.take(&["alluxio.user.file.writetype.default=THROUGH,kernel_cache".into()]).unwrap();
        assert_eq!(options.attr_valid, Duration::from_secs(600));
        assert_eq!(options.entry_valid, Duration::from_millis(500));
        assert_eq!((options.mount.read_only, options.mount.max_read), (false, 131_072));
        assert_eq!(options.properties.len(), 1);
        options.take(&["masters=a:1;b:2".into()]).unwrap();
        assert_eq!(options.properties[1], (MASTERS.to_owned(), "a:1,b:2".to_owned()));
        for (word, wanted) in [
            ("allow_othr", "\"allow_othr\" is no option"),
            ("attr_timeout=-1", "attr_timeout is a number of seconds, not \"-1\""),
            ("commit=never", "commit is close or background, not \"never\""),
            ("attr_timeout", "attr_timeout is a number of seconds"),
            ("masters=", "masters is HOST:PORT;HOST:PORT…"),
            ("max_read=9999999999", "max_read is a whole number"),
        ] {
            let error = MountOptions::default().take(&[word.into()]).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
