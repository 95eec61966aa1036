//! Resident memory for requests and long replies.

use memmap2::{MmapMut, MmapOptions};
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Buffers of one length, made when they are needed, at most so many. Who asks for more waits: that is what
/// holds the kernel's queue back when writes come faster than they are carried out.
#[derive(Debug)]
pub(crate) struct Pool {
    length: usize,
    most: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<MmapMut>,
    made: usize,
    /// Whether no more are lent.
    closed: bool,
    /// Whether the process may not lock memory; said once.
    unlocked: bool,
}

/// A buffer on loan; goes back to its pool when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    map: Option<MmapMut>,
    pool: Arc<Pool>,
}

impl Pool {
    pub(crate) fn new(length: usize, most: usize) -> Arc<Self> {
        Arc::new(Pool { length, most, state: Mutex::default(), returned: Condvar::new() })
    }

    /// A buffer, as soon as there is one.
    ///
    /// **Errors**: no memory; `Interrupted` when the pool is closed.
    pub(crate) fn take(self: &Arc<Self>) -> io::Result<Buffer> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.closed {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if let Some(map) = state.free.pop() {
                return Ok(Buffer { map: Some(map), pool: self.clone() });
            }
            if state.made < self.most {
                break;
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.made += 1;
        match self.make(&mut state) {
            Ok(map) => Ok(Buffer { map: Some(map), pool: self.clone() }),
            Err(error) => {
                state.made -= 1;
                Err(error)
            }
        }
    }

    /// Lends no more; who waits is told.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.returned.notify_all();
    }

    fn make(&self, state: &mut State) -> io::Result<MmapMut> {
        let map = MmapOptions::new().len(self.length).populate().map_anon()?;
        if let Err(error) = map.lock()
            && !state.unlocked
        {
            state.unlocked = true;
            tracing::warn!(
                %error,
                "buffers of the mount cannot be locked in memory: if this process is killed while \
                 they are paged out, requests under way may fail; raise the memlock limit"
            );
        }
        Ok(map)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(map) = self.map.take() {
            self.pool.state.lock().unwrap_or_else(PoisonError::into_inner).free.push(map);
            self.pool.returned.notify_one();
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.map.as_deref_mut().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_given_back_serves_who_waits() {
        let pool = Pool::new(8192, 1);
        let mut first = pool.take().unwrap();
        first[0] = 7;
        let waiter = std::thread::spawn(move || pool.take().unwrap()[0]);
        drop(first);
        assert_eq!(waiter.join().unwrap(), 7, "it is the same memory");
    }

    #[test]
    fn who_waits_for_a_buffer_of_a_pool_that_closes_is_told() {
        let pool = Pool::new(8192, 1);
        let _lent = pool.take().unwrap();
        let waits = pool.clone();
        let waiter = std::thread::spawn(move || waits.take().unwrap_err().kind());
        pool.close();
        assert_eq!(waiter.join().unwrap(), io::ErrorKind::Interrupted);
    }
}
