//! Journal entries: any bytes give an entry or an error, and an entry survives the round trip.
#![no_main]

use alluxio_proto::convert::journal::{decode_entry, encode_entry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = decode_entry(bytes) {
        let mut again = Vec::new();
        encode_entry(&entry, &mut again);
        assert_eq!(decode_entry(&again), Ok(entry));
    }
});
