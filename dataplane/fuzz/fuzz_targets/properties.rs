//! `alluxio-site.properties`: any text is read, and what was read survives being written.
#![no_main]

use alluxio_config::properties::{parse, write_line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (properties, _) = parse(text);
    for property in properties {
        let (again, bad) = parse(&write_line(&property.key, &property.value));
        assert!(bad.is_empty());
        assert_eq!(again.len(), 1);
        assert_eq!((&again[0].key, &again[0].value), (&property.key, &property.value));
    }
});
