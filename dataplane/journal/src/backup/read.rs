//! Reading a backup.

use super::{BackupError, FORMAT, Flaw, KIND_HEADER, KIND_ITEMS, KIND_TRAILER, MEMBER_BYTES_MAX};
use alluxio_proto::convert::backup::{BackupHeader, BackupTrailer, decode_header, decode_trailer};
use alluxio_proto::convert::journal::decode_checkpoint_record;
use alluxio_types::CheckpointRecord;
use crc_fast::{CrcAlgorithm, Digest};
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// Hands the items of a backup to `visit`, which may refuse with an error of its own. `file` names it in
/// errors. Header and trailer come back once everything was read and is sound; before that, what was
/// visited is not the whole and must not be used.
///
/// **Errors**: every variant of [`BackupError`], as the caller's error.
pub fn read_backup<E: From<BackupError>>(
    file: &str,
    input: impl Read,
    visit: &mut dyn FnMut(&BackupHeader, CheckpointRecord) -> Result<(), E>,
) -> Result<(BackupHeader, BackupTrailer), E> {
    let mut input = Counted { input: BufReader::with_capacity(64 << 10, input), offset: 0 };
    let mut reader = Reader { file, content: Vec::new(), start: 0 };
    let header = reader.header(&mut input)?;
    let (mut items, mut crc) = (0u64, Digest::new(CrcAlgorithm::Crc32Iscsi));
    loop {
        if !reader.member(&mut input)? {
            return Err(reader.corrupt("it ends before its last part").into());
        }
        match reader.content[0] {
            KIND_ITEMS => {
                crc.update(&reader.content[1..]);
                let mut rest = &reader.content[1..];
                while !rest.is_empty() {
                    let record = decode_checkpoint_record(&mut rest)
                        .map_err(|error| reader.corrupt(error.to_string()))?;
                    items += 1;
                    visit(&header, record)?;
                }
            }
            KIND_TRAILER => {
                let trailer = decode_trailer(&reader.content[1..])
                    .map_err(|error| reader.corrupt(error.to_string()))?;
                if trailer.items != items || u64::from(trailer.items_crc32c) != crc.finalize() {
                    return Err(reader.corrupt("parts of it are missing").into());
                }
                if reader.member(&mut input)? {
                    return Err(reader.corrupt("something follows its end").into());
                }
                return Ok((header, trailer));
            }
            kind => return Err(reader.corrupt(format!("a part of unknown kind {kind}")).into()),
        }
    }
}

struct Reader<'a> {
    file: &'a str,
    /// Content of the member that was read last.
    content: Vec<u8>,
    /// Where it begins.
    start: u64,
}

impl Reader<'_> {
    fn corrupt(&self, what: impl Into<String>) -> BackupError {
        BackupError::Corrupt { file: self.file.to_owned(), offset: self.start, what: what.into() }
    }

    fn header(&mut self, input: &mut Counted<impl Read>) -> Result<BackupHeader, BackupError> {
        let foreign = |why: String| BackupError::Foreign { file: self.file.to_owned(), why };
        let begins = match input.fill_buf() {
            Ok(bytes) => bytes.get(..2).map(<[u8]>::to_owned),
            Err(source) => return Err(BackupError::Io { file: self.file.to_owned(), source }),
        };
        match begins.as_deref() {
            Some([0x1f, 0x8b]) => {}
            Some(_) => return Err(foreign("it is not a gzip file".to_owned())),
            None => return Err(foreign("it is empty".to_owned())),
        }
        match self.member(input) {
            Ok(_) => {}
            // Ours begins with a member of a few hundred bytes.
            Err(BackupError::Corrupt { .. }) if self.content.len() > 64 << 10 => {
                let why = "its content is not ours".to_owned();
                return Err(BackupError::Foreign { file: self.file.to_owned(), why });
            }
            Err(error) => return Err(error),
        }
        let foreign = |why: String| BackupError::Foreign { file: self.file.to_owned(), why };
        if self.content[0] != KIND_HEADER {
            return Err(foreign("it does not begin with our header".to_owned()));
        }
        let header =
            decode_header(&self.content[1..]).map_err(|error| foreign(error.to_string()))?;
        if header.format > FORMAT {
            let (file, found) = (self.file.to_owned(), header.format);
            return Err(BackupError::Version { file, found, version: header.version });
        }
        Ok(header)
    }

    /// Reads the next member; `false` at the end of the file.
    fn member(&mut self, input: &mut Counted<impl Read>) -> Result<bool, BackupError> {
        let io = |source: io::Error| BackupError::Io { file: self.file.to_owned(), source };
        self.start = input.offset;
        self.content.clear();
        if input.fill_buf().map_err(io)?.is_empty() {
            return Ok(false);
        }
        let limit = MEMBER_BYTES_MAX as u64 + 1;
        let read = GzDecoder::new(&mut *input).take(limit).read_to_end(&mut self.content);
        let flaw = match read {
            Ok(0) => Some(Flaw("a part without content".to_owned())),
            Ok(_) if self.content.len() > MEMBER_BYTES_MAX => {
                Some(Flaw(format!("a part of more than {MEMBER_BYTES_MAX} bytes")))
            }
            Ok(_) => None,
            Err(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => Some(Flaw("it ends in the middle".to_owned())),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    Some(Flaw(error.to_string()))
                }
                _ => return Err(io(error)),
            },
        };
        match flaw {
            Some(Flaw(what)) => Err(self.corrupt(what)),
            None => Ok(true),
        }
    }
}

/// Knows how many bytes were taken.
struct Counted<R> {
    input: BufReader<R>,
    offset: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl<R: Read> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.offset += count as u64;
        self.input.consume(count);
    }
}
