//! What the machine can do: the same bytes without us in between.

use anyhow::Result;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Bytes of one call, ours and the limit's alike.
pub(crate) const CHUNK: usize = 1 << 20;

/// A file that is removed when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Writes `bytes` into a new file in `dir`; returns it and how many bytes a second went in.
    pub(crate) fn write(dir: &Path, name: &str, bytes: u64) -> Result<(Scratch, f64)> {
        let scratch = Scratch(dir.join(format!("bench-limit-{}-{name}", std::process::id())));
        let chunk = vec![0x5a_u8; CHUNK];
        let started = Instant::now();
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).open(&scratch.0)?;
        let mut left = bytes;
        while left > 0 {
            let part = left.min(CHUNK as u64) as usize;
            file.write_all(&chunk[..part])?;
            left -= part as u64;
        }
        let rate = bytes as f64 / started.elapsed().as_secs_f64();
        Ok((scratch, rate))
    }

    /// Opens it for reading.
    pub(crate) fn open(&self) -> Result<File> {
        Ok(File::open(&self.0)?)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Reads a file from start to end into one buffer, `passes` times; bytes per second.
pub(crate) fn pread_all(file: &File, passes: usize) -> Result<f64> {
    pread_with(file, passes, |_| {})
}

/// The same, and uses every byte that came.
pub(crate) fn pread_and_use(file: &File, passes: usize) -> Result<f64> {
    let mut sum = 0;
    let rate = pread_with(file, passes, |bytes| sum ^= consume(bytes))?;
    std::hint::black_box(sum);
    Ok(rate)
}

fn pread_with(file: &File, passes: usize, mut then: impl FnMut(&[u8])) -> Result<f64> {
    let mut buffer = vec![0_u8; CHUNK];
    let (started, mut total) = (Instant::now(), 0_u64);
    for _ in 0..passes {
        let mut at = 0;
        loop {
            let count = file.read_at(&mut buffer, at)?;
            if count == 0 {
                break;
            }
            then(&buffer[..count]);
            at += count as u64;
        }
        total += at;
    }
    Ok(total as f64 / started.elapsed().as_secs_f64())
}

/// Random reads of `size` bytes; reads per second.
pub(crate) fn pread_random(file: &File, offsets: &[u64], size: usize) -> Result<f64> {
    let mut buffer = vec![0_u8; size];
    let started = Instant::now();
    for &offset in offsets {
        file.read_exact_at(&mut buffer, offset)?;
    }
    Ok(offsets.len() as f64 / started.elapsed().as_secs_f64())
}

/// Touches every byte; the cheapest use of data that was not copied.
pub(crate) fn consume(bytes: &[u8]) -> u64 {
    // Eight at a time, in four lanes, so that memory and not the adder is the limit.
    let (words, rest) = bytes.as_chunks::<8>();
    let mut lanes = [0_u64; 4];
    for group in words.chunks(4) {
        for (lane, word) in lanes.iter_mut().zip(group) {
            *lane ^= u64::from_le_bytes(*word);
        }
    }
    let tail = rest.iter().fold(0, |sum, byte| sum ^ u64::from(*byte));
    lanes.iter().fold(tail, |sum, lane| sum ^ lane)
}

/// The best of the simple ways to move a file's bytes through one loopback connection: bytes/s.
pub(crate) fn loopback(file: &File, bytes: u64) -> Result<f64> {
    let copied = loopback_by(bytes, |stream, at| {
        let mut buffer = vec![0_u8; CHUNK];
        let count = file.read_at(&mut buffer, at)?;
        stream.write_all(&buffer[..count])?;
        Ok(count as u64)
    })?;
    let sent = loopback_by(bytes, |stream, at| {
        let mut offset = at;
        let count = rustix::fs::sendfile(&*stream, file, Some(&mut offset), CHUNK)?;
        Ok(count as u64)
    })?;
    Ok(copied.max(sent))
}

fn loopback_by(
    bytes: u64,
    mut send: impl FnMut(&mut TcpStream, u64) -> Result<u64> + Send,
) -> Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::scope(|scope| {
        let receiver = scope.spawn(move || -> Result<f64> {
            let (mut stream, _) = listener.accept()?;
            let mut buffer = vec![0_u8; CHUNK];
            let (started, mut got) = (Instant::now(), 0_u64);
            while got < bytes {
                match stream.read(&mut buffer)? {
                    0 => break,
                    count => got += count as u64,
                }
            }
            Ok(got as f64 / started.elapsed().as_secs_f64())
        });
        let mut stream = TcpStream::connect(address)?;
        let mut at = 0;
        while at < bytes {
            match send(&mut stream, at)? {
                0 => break,
                count => at += count,
            }
        }
        drop(stream);
        match receiver.join() {
            Ok(rate) => rate,
            Err(_) => anyhow::bail!("the receiving thread panicked"),
        }
    })
}

/// Group commit without anything around it: `writers` records of 256 bytes, one write and one
/// fdatasync each round, on a file zeroed ahead; records per second.
pub(crate) fn group_commit(dir: &Path, writers: usize, rounds: usize) -> Result<f64> {
    let bytes = writers * 256;
    let (scratch, _) = Scratch::write(dir, "log", (bytes * rounds) as u64)?;
    let file = OpenOptions::new().write(true).open(scratch.path())?;
    file.sync_all()?;
    let group = vec![0xa5_u8; bytes];
    let started = Instant::now();
    for round in 0..rounds {
        file.write_all_at(&group, (round * bytes) as u64)?;
        file.sync_data()?;
    }
    Ok((writers * rounds) as f64 / started.elapsed().as_secs_f64())
}
