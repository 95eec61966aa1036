//! Bytes of test files: each word of eight tells its file and its position, so that no read of a wrong place, and no
//! read of another file, looks right.

use sha2::{Digest, Sha256};

/// The bytes of file `number` from `offset` on.
pub fn content(number: u64, offset: u64, length: usize) -> Vec<u8> {
    // At most seven: fits.
    let skipped = (offset % 8) as usize;
    let mut bytes = Vec::with_capacity(length + 16);
    let mut word = offset / 8;
    while bytes.len() < length + skipped {
        let mut mixed = (word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.rotate_right(8);
        mixed ^= mixed >> 31;
        bytes.extend(mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes());
        word += 1;
    }
    bytes.drain(..skipped);
    bytes.truncate(length);
    bytes
}

/// The name of file `number`.
pub fn name(number: u64) -> String {
    format!("file-{number:05}")
}

/// The number of a file of that name.
pub fn number(name: &str) -> Option<u64> {
    name.strip_prefix("file-")?.parse().ok()
}

/// SHA-256 in hexadecimal digits, as `sha256sum` prints it.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_is_what_the_whole_has_there() {
        let whole = content(7, 0, 1000);
        for (from, length) in [(0, 8), (1, 1), (13, 100), (992, 8), (999, 1), (500, 0)] {
            assert_eq!(content(7, from as u64, length), whole[from..from + length]);
        }
        assert_ne!(content(8, 0, 1000), whole);
        assert_eq!(number(&name(42)), Some(42));
        assert_eq!(number("other"), None);
    }
}
