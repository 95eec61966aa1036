//! Frames of the data protocol: any bytes give a frame or an error; a frame survives the round trip.
#![no_main]

use alluxio_datapath::codec::{decode, encode, header_crc};
use alluxio_datapath::frame::{HEADER_BYTES, Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((head, meta)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return };
    let mut head = *head;
    // The checksum is made right: random bytes would never get past it.
    let crc = header_crc(&head[..16], meta);
    head[16..20].copy_from_slice(&crc.to_le_bytes());
    let Ok(header) = Header::parse(&head) else { return };
    if let Ok(frame) = decode(&head, &header, meta) {
        let mut again = Vec::new();
        encode(header.id, &frame, &mut again).expect("what was decoded fits");
        assert_eq!(&again[HEADER_BYTES..], meta);
    }
});
