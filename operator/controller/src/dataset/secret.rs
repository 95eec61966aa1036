//! Values of Secrets: they go to the master, and are printed nowhere.

use std::collections::BTreeMap;
use std::fmt;

/// A value of a Secret. `Debug` says nothing of it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Takes a value.
    pub fn new(text: String) -> Self {
        SecretText(text)
    }

    /// The value, for the call that sends it to the master.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Options of a store, and credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// From the Dataset, by canonical name.
    pub plain: BTreeMap<String, String>,
    /// From a Secret, by canonical name. They win.
    pub secret: BTreeMap<String, SecretText>,
}

impl StoreOptions {
    /// All of them, for the call that sends them to the master.
    pub fn reveal(&self) -> BTreeMap<String, String> {
        let plain = self.plain.iter().map(|(name, value)| (name.clone(), value.clone()));
        let secret =
            self.secret.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        plain.chain(secret).collect()
    }

    /// A text in which nothing stands that came from a Secret.
    pub fn scrub(&self, text: &str) -> String {
        // Short values stand in every text; what is so short protects nothing.
        let values = self.secret.values().map(SecretText::reveal).filter(|value| value.len() >= 4);
        values.fold(text.to_owned(), |text, value| text.replace(value, "***"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(value: &str) -> StoreOptions {
        StoreOptions {
            plain: [("alluxio.underfs.s3.region".to_owned(), "eu".to_owned())].into(),
            secret: [("s3a.secretKey".to_owned(), SecretText::new(value.to_owned()))].into(),
        }
    }

    #[test]
    fn a_message_is_scrubbed() {
        let text = options("canary-1").scrub("the store says: canary-1 is no key");
        assert_eq!(text, "the store says: *** is no key");
    }

    proptest! {
        #[test]
        fn no_secret_is_printed(value in "[A-Z0-9]{6,40}") {
            let options = options(&value);
            let printed = format!("{options:?} {options:#?}");
            prop_assert!(!printed.contains(&value));
            let scrubbed = options.scrub(&format!("x{value}y{value}"));
            prop_assert!(!scrubbed.contains(&value));
            prop_assert_eq!(&options.reveal()["s3a.secretKey"], &value);
        }
    }
}
