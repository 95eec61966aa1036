//! Permission to wait within a poll.
//!
//! Work that is polled must not wait: its thread serves others. A thread that has nobody else to serve may, and
//! saves two wake-ups of threads when it reads an answer by itself. Permission is given for one poll, and for a
//! bounded time in all; who has not got his answer then goes on as usual.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

thread_local! {
    static LEFT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Runs `poll`, in which calls may wait on this thread, for `patience` in all. Returns what it returns, and
/// whether the patience was enough.
pub fn may_wait<T>(patience: Duration, poll: impl FnOnce() -> T) -> (T, bool) {
    /// Also after a panic.
    struct Over(Option<Duration>);
    impl Drop for Over {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let over = Over(LEFT.replace(Some(patience)));
    let outcome = poll();
    let enough = LEFT.get().is_none_or(|left| !left.is_zero());
    drop(over);
    (outcome, enough)
}

/// Waits until a socket is readable, if this thread may wait, and no longer than it may. Whether there is
/// something to read, or an end; `false` too when this thread may not wait.
///
/// **Errors**: those of the system call.
pub fn readable(socket: impl AsFd) -> io::Result<bool> {
    while let Some(left) = LEFT.get().filter(|left| !left.is_zero()) {
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let began = Instant::now();
        let ready = poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&timeout));
        waited(began);
        match ready {
            Ok(1..) => return Ok(true),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// This thread has waited since `began`.
fn waited(began: Instant) {
    if let Some(left) = LEFT.get() {
        LEFT.set(Some(left.saturating_sub(began.elapsed())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write;
    use std::os::unix::net::UnixStream;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn permission_ends_with_its_time_and_with_its_poll() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        assert!(!readable(&ours).unwrap(), "nobody has allowed it");
        let (ready, enough) = may_wait(Duration::from_millis(2), || readable(&ours).unwrap());
        assert!(!ready && !enough);
        let (_, enough) = may_wait(LONG, || waited(Instant::now() - LONG));
        assert!(!enough);
        let later = std::thread::spawn(move || theirs.write_all(b"x").map(|()| theirs).unwrap());
        let (ready, enough) = may_wait(LONG, || readable(&ours).unwrap());
        assert!(ready && enough);
        drop(later.join().unwrap());
        assert!(std::panic::catch_unwind(|| may_wait(LONG, || panic!("as planned"))).is_err());
        assert!(!readable(&ours).unwrap(), "it is over, also after a panic");
    }
}
