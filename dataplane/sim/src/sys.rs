//! Chance that the standard library and tokio take from the kernel, taken from the seed in its place:
//! the order of hash maps, of ready branches and of waiters must be the same each time.

use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0);

/// Begins the numbers of a seed. What was drawn before is the same in each process.
pub(crate) fn seed(seed: u64) {
    STATE.store(seed, Ordering::SeqCst);
}

fn next() -> u64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let z = STATE.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The C library's function of this name, for all of this process.
///
/// # Safety
/// As getrandom(2): `length` bytes at `buffer` can be written.
#[expect(unsafe_code, reason = "the one way to decide what std and tokio take for random")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    for offset in 0..length {
        // SAFETY: the caller lets us write so many bytes.
        unsafe { buffer.add(offset).write(next().to_le_bytes()[0]) };
    }
    isize::try_from(length).unwrap_or(-1)
}
