//! Paths: parsing never panics, and what it gives parses to itself.
#![no_main]

use alluxio_types::{AlluxioPath, ByteSize, parse_duration};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = AlluxioPath::parse(text) {
        assert_eq!(AlluxioPath::parse(path.as_str()).as_ref(), Ok(&path));
        assert_eq!(path.components().count(), path.depth());
    }
    // Neither has an invariant beyond giving an answer.
    let _ = (ByteSize::parse(text), parse_duration(text));
});
