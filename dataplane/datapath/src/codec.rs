//! Frames to bytes and back (`WIRE.md` §1, §3, §5). Pure: no sockets, no clock.
//!
//! Whatever the bytes are, decoding ends with a value or a [`ProtocolError`], and allocates no
//! more than the limits in [`crate::frame`].

use crate::checksum::piece_count;
use crate::error::{ProtocolError, Refusal};
use crate::frame::*;
use crate::message::*;
use crate::token::TOKEN_BYTES_MAX;
use alluxio_types::{
    BlockId, BlockRange, Code, Fingerprint, Mode, MountId, ReadType, WorkerAddress, WorkerId,
};

/// "ALXD" as it lies on the wire.
const MAGIC: u32 = u32::from_le_bytes(*b"ALXD");

impl Header {
    /// Reads a header and checks kind and lengths. The checksum is checked by [`decode`], when the
    /// meta part is there.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Header, ProtocolError> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let kind = Kind::from_number(bytes[0]).ok_or(ProtocolError::UnknownKind(bytes[0]))?;
        let header = Header {
            kind,
            flags: bytes[1],
            id: word(4),
            meta_len: word(8),
            payload_len: word(12),
            crc: word(16),
        };
        if bytes[2] != 0 || bytes[3] != 0 {
            return Err(ProtocolError::BadField { frame: kind.name(), field: "zero" });
        }
        let meta_max =
            if kind == Kind::CommitBlock { COMMIT_META_BYTES_MAX } else { META_BYTES_MAX };
        check_length("meta", header.meta_len, meta_max)?;
        let payload_max = if kind == Kind::Data { DATA_BYTES_MAX as u32 } else { 0 };
        check_length("payload", header.payload_len, payload_max)?;
        Ok(header)
    }
}

fn check_length(part: &'static str, length: u32, max: u32) -> Result<(), ProtocolError> {
    if length > max {
        return Err(ProtocolError::TooLong { part, length: length.into(), max: max.into() });
    }
    Ok(())
}

/// Appends the frame (header and meta part) to `out`. The payload of `Data` follows separately.
///
/// **Errors**: `TooLong` when a text or a list does not fit; nothing is appended then.
pub fn encode(id: u32, frame: &Frame, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    let written = put_meta(frame, out).and_then(|()| {
        let meta_len = out.len() - start - HEADER_BYTES;
        let max =
            if frame.kind() == Kind::CommitBlock { COMMIT_META_BYTES_MAX } else { META_BYTES_MAX };
        if meta_len > max as usize {
            return Err(ProtocolError::TooLong {
                part: "meta",
                length: meta_len as u64,
                max: max.into(),
            });
        }
        Ok(meta_len as u32)
    });
    let meta_len = match written {
        Ok(meta_len) => meta_len,
        Err(error) => {
            out.truncate(start);
            return Err(error);
        }
    };
    let payload_len = if let Frame::Data(head) = frame { head.length } else { 0 };
    let header = &mut out[start..start + HEADER_BYTES];
    header[0] = frame.kind() as u8;
    header[1] = flags(frame);
    header[4..8].copy_from_slice(&id.to_le_bytes());
    header[8..12].copy_from_slice(&meta_len.to_le_bytes());
    header[12..16].copy_from_slice(&payload_len.to_le_bytes());
    let crc = header_crc(&out[start..start + 16], &out[start + HEADER_BYTES..]);
    out[start + 16..start + HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// The checksum of a frame: over the first 16 bytes of its header and its meta part.
pub fn header_crc(fixed: &[u8], meta: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(fixed);
    digest.update(meta);
    digest.finalize() as u32
}

fn flags(frame: &Frame) -> u8 {
    match frame {
        Frame::End { cut_short: true } => FLAG_CUT_SHORT,
        Frame::Data(head) => {
            u8::from(head.targets.block) * FLAG_TO_BLOCK + u8::from(head.targets.ufs) * FLAG_TO_UFS
        }
        _ => 0,
    }
}

/// Checks the checksum over header and meta part, and reads the frame.
pub fn decode(
    raw_header: &[u8; HEADER_BYTES],
    header: &Header,
    meta: &[u8],
) -> Result<Frame, ProtocolError> {
    if header_crc(&raw_header[..16], meta) != header.crc {
        return Err(ProtocolError::HeaderChecksum);
    }
    let mut fields = Fields { frame: header.kind.name(), rest: meta };
    let frame = get_meta(header, &mut fields)?;
    if !fields.rest.is_empty() {
        return Err(ProtocolError::WrongSize(fields.frame));
    }
    if flags(&frame) != header.flags {
        return Err(ProtocolError::BadField { frame: fields.frame, field: "flags" });
    }
    Ok(frame)
}

// ---- writing ----

fn put_text(out: &mut Vec<u8>, part: &'static str, text: &str) -> Result<(), ProtocolError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ProtocolError::TooLong {
            part,
            length: text.len() as u64,
            max: TEXT_BYTES_MAX as u64,
        });
    }
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// A message cut to what fits, at a character boundary: a long sentence must not lose its code.
fn put_message(out: &mut Vec<u8>, text: &str) -> Result<(), ProtocolError> {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    put_text(out, "message", &text[..end])
}

fn put_token(out: &mut Vec<u8>, token: &[u8]) -> Result<(), ProtocolError> {
    if token.len() > TOKEN_BYTES_MAX {
        let (length, max) = (token.len() as u64, TOKEN_BYTES_MAX as u64);
        return Err(ProtocolError::TooLong { part: "token", length, max });
    }
    out.extend_from_slice(&(token.len() as u16).to_le_bytes());
    out.extend_from_slice(token);
    Ok(())
}

fn put_u64s(out: &mut Vec<u8>, values: &[u64]) {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put_crcs(out: &mut Vec<u8>, crcs: &[u32]) {
    for crc in crcs {
        out.extend_from_slice(&crc.to_le_bytes());
    }
}

fn put_meta(frame: &Frame, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    match frame {
        Frame::Hello(hello) => {
            out.extend_from_slice(&MAGIC.to_le_bytes());
            out.extend_from_slice(&hello.version.to_le_bytes());
            put_text(out, "cluster", &hello.cluster_id)?;
            put_text(out, "user", &hello.user)?;
        }
        Frame::Read(read) => put_read(read, out)?,
        Frame::Release { lease } => out.extend_from_slice(&lease.to_le_bytes()),
        Frame::ReportCorrupt { block, offset } => put_u64s(out, &[block.0, *offset]),
        Frame::Present { token } => put_token(out, token)?,
        Frame::OpenUfs(open) => {
            put_u64s(out, &[open.mount.0]);
            put_text(out, "path", &open.ufs_path)?;
            out.push(open.overwrite.into());
            put_text(out, "owner", &open.owner)?;
            put_text(out, "group", &open.group)?;
            out.extend_from_slice(&open.mode.0.to_le_bytes());
        }
        Frame::OpenBlock(open) => {
            put_u64s(out, &[open.block.0, open.reserve_bytes]);
            out.extend_from_slice(&open.tier.to_le_bytes());
            out.extend_from_slice(&[open.want_fd.into(), open.pinned.into()]);
        }
        Frame::Grow { additional_bytes } => put_u64s(out, &[*additional_bytes]),
        Frame::UfsAppendFromBlock { block, range } => {
            put_u64s(out, &[block.0, range.start, range.end]);
        }
        Frame::CommitBlock { length, chunk_crcs } => {
            put_u64s(out, &[*length]);
            out.extend_from_slice(&(chunk_crcs.len() as u32).to_le_bytes());
            put_crcs(out, chunk_crcs);
        }
        Frame::FinishUfs { length } => put_u64s(out, &[*length]),
        Frame::Data(head) => {
            put_u64s(out, &[head.offset]);
            put_crcs(out, &head.crcs);
        }
        Frame::Welcome(welcome) => {
            out.extend_from_slice(&welcome.version.to_le_bytes());
            put_text(out, "cluster", &welcome.cluster_id)?;
            put_u64s(out, &[welcome.worker.0]);
        }
        Frame::Opened { lease, length } => {
            out.extend_from_slice(&lease.to_le_bytes());
            put_u64s(out, &[*length]);
        }
        Frame::Error { part, refusal } => {
            out.extend_from_slice(&[part_number(*part), code_number(refusal.code)]);
            put_message(out, &refusal.message)?;
        }
        Frame::BlockOpened { granted_bytes, has_fd } => {
            put_u64s(out, &[*granted_bytes]);
            out.push((*has_fd).into());
        }
        Frame::Granted { granted_bytes } => put_u64s(out, &[*granted_bytes]),
        Frame::UfsDone(done) => {
            put_text(out, "fingerprint", &done.fingerprint.0)?;
            put_u64s(out, &[done.length]);
        }
        Frame::Cancel
        | Frame::AbortBlock
        | Frame::AbortUfs
        | Frame::EndSession
        | Frame::End { .. }
        | Frame::Done => {}
    }
    Ok(())
}

fn put_read(read: &ReadRequest, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    put_u64s(out, &[read.block.0, read.block_length, read.range.start, read.range.end]);
    let read_type = match read.read_type {
        ReadType::NoCache => 0,
        ReadType::Cache => 1,
        ReadType::CachePromote => 2,
    };
    out.extend_from_slice(&[read.want_fd.into(), read_type, read.cache_whole_block.into()]);
    out.push(read.passive_source.is_some().into());
    if let Some(address) = &read.passive_source {
        put_text(out, "host", &address.host)?;
        for port in [address.rpc_port, address.data_port, address.web_port] {
            out.extend_from_slice(&port.to_le_bytes());
        }
        put_text(out, "domain socket path", &address.domain_socket_path)?;
    }
    out.push(read.source.is_some().into());
    if let Some(source) = &read.source {
        put_u64s(out, &[source.mount.0]);
        put_text(out, "path", &source.ufs_path)?;
        put_u64s(out, &[source.offset_in_file, source.file_length]);
        put_text(out, "fingerprint", &source.fingerprint.0)?;
    }
    Ok(())
}

// ---- reading ----

/// What is left of a meta part.
struct Fields<'a> {
    frame: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let Some((now, later)) = self.rest.split_at_checked(count) else {
            return Err(ProtocolError::WrongSize(self.frame));
        };
        self.rest = later;
        Ok(now)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, ProtocolError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16, ProtocolError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, ProtocolError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, ProtocolError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn bad(&self, field: &'static str) -> ProtocolError {
        ProtocolError::BadField { frame: self.frame, field }
    }

    fn bool(&mut self, field: &'static str) -> Result<bool, ProtocolError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.bad(field)),
        }
    }

    fn text(&mut self, field: &'static str) -> Result<String, ProtocolError> {
        let length = self.u16()? as usize;
        if length > TEXT_BYTES_MAX {
            return Err(ProtocolError::TooLong {
                part: field,
                length: length as u64,
                max: TEXT_BYTES_MAX as u64,
            });
        }
        let bytes = self.take(length)?;
        str::from_utf8(bytes).map(str::to_owned).map_err(|_| self.bad(field))
    }

    fn range(&mut self) -> Result<BlockRange, ProtocolError> {
        let (start, end) = (self.u64()?, self.u64()?);
        if start > end {
            return Err(self.bad("range"));
        }
        Ok(BlockRange { start, end })
    }

    fn crcs(&mut self, count: u64) -> Result<Vec<u32>, ProtocolError> {
        // Compared before the list is allocated, so that a lying count costs nothing.
        if count.checked_mul(4) != Some(self.rest.len() as u64) {
            return Err(ProtocolError::WrongSize(self.frame));
        }
        let crcs = self.rest.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let crcs = crcs.collect();
        self.rest = &[];
        Ok(crcs)
    }
}

fn get_meta(header: &Header, fields: &mut Fields<'_>) -> Result<Frame, ProtocolError> {
    Ok(match header.kind {
        Kind::Hello => {
            if fields.u32()? != MAGIC {
                return Err(ProtocolError::BadMagic);
            }
            Frame::Hello(Hello {
                version: fields.u16()?,
                cluster_id: fields.text("cluster")?,
                user: fields.text("user")?,
            })
        }
        Kind::Read => Frame::Read(get_read(fields)?),
        Kind::Release => Frame::Release { lease: fields.u32()? },
        Kind::Cancel => Frame::Cancel,
        Kind::ReportCorrupt => {
            Frame::ReportCorrupt { block: BlockId(fields.u64()?), offset: fields.u64()? }
        }
        Kind::Present => Frame::Present { token: get_token(fields)? },
        Kind::OpenUfs => Frame::OpenUfs(OpenUfs {
            mount: MountId(fields.u64()?),
            ufs_path: fields.text("path")?,
            overwrite: fields.bool("overwrite")?,
            owner: fields.text("owner")?,
            group: fields.text("group")?,
            mode: Mode(fields.u16()?),
        }),
        Kind::OpenBlock => Frame::OpenBlock(get_open_block(fields)?),
        Kind::Grow => Frame::Grow { additional_bytes: fields.u64()? },
        Kind::UfsAppendFromBlock => {
            Frame::UfsAppendFromBlock { block: BlockId(fields.u64()?), range: fields.range()? }
        }
        Kind::CommitBlock => {
            let (length, count) = (fields.u64()?, fields.u32()?);
            Frame::CommitBlock { length, chunk_crcs: fields.crcs(count.into())? }
        }
        Kind::AbortBlock => Frame::AbortBlock,
        Kind::FinishUfs => Frame::FinishUfs { length: fields.u64()? },
        Kind::AbortUfs => Frame::AbortUfs,
        Kind::EndSession => Frame::EndSession,
        Kind::Data => Frame::Data(get_data(header, fields)?),
        Kind::Welcome => Frame::Welcome(Welcome {
            version: fields.u16()?,
            cluster_id: fields.text("cluster")?,
            worker: WorkerId(fields.u64()?),
        }),
        Kind::Opened => Frame::Opened { lease: fields.u32()?, length: fields.u64()? },
        Kind::End => Frame::End { cut_short: header.flags & FLAG_CUT_SHORT != 0 },
        Kind::Error => {
            let part = match fields.u8()? {
                0 => FailedPart::Request,
                1 => FailedPart::Block,
                2 => FailedPart::Ufs,
                _ => return Err(fields.bad("part")),
            };
            let code = code_from_number(fields.u8()?).ok_or(fields.bad("code"))?;
            Frame::Error { part, refusal: Refusal::new(code, fields.text("message")?) }
        }
        Kind::BlockOpened => Frame::BlockOpened {
            granted_bytes: fields.u64()?,
            has_fd: fields.bool("has descriptor")?,
        },
        Kind::Granted => Frame::Granted { granted_bytes: fields.u64()? },
        Kind::Done => Frame::Done,
        Kind::UfsDone => Frame::UfsDone(UfsDone {
            fingerprint: Fingerprint(fields.text("fingerprint")?),
            length: fields.u64()?,
        }),
    })
}

fn get_token(fields: &mut Fields<'_>) -> Result<Vec<u8>, ProtocolError> {
    let length = usize::from(fields.u16()?);
    if length > TOKEN_BYTES_MAX {
        return Err(fields.bad("token"));
    }
    Ok(fields.take(length)?.to_vec())
}

fn get_open_block(fields: &mut Fields<'_>) -> Result<OpenBlock, ProtocolError> {
    Ok(OpenBlock {
        block: BlockId(fields.u64()?),
        reserve_bytes: fields.u64()?,
        tier: i32::from_le_bytes(fields.array()?),
        want_fd: fields.bool("want fd")?,
        pinned: fields.bool("pinned")?,
    })
}

fn get_read(fields: &mut Fields<'_>) -> Result<ReadRequest, ProtocolError> {
    let (block, block_length) = (BlockId(fields.u64()?), fields.u64()?);
    let range = fields.range()?;
    if range.end > block_length {
        return Err(fields.bad("range"));
    }
    let want_fd = fields.bool("want fd")?;
    let read_type = match fields.u8()? {
        0 => ReadType::NoCache,
        1 => ReadType::Cache,
        2 => ReadType::CachePromote,
        _ => return Err(fields.bad("read type")),
    };
    let cache_whole_block = fields.bool("cache whole block")?;
    let passive_source = if fields.bool("passive source")? {
        Some(WorkerAddress {
            host: fields.text("host")?,
            rpc_port: fields.u16()?,
            data_port: fields.u16()?,
            web_port: fields.u16()?,
            domain_socket_path: fields.text("domain socket path")?,
        })
    } else {
        None
    };
    let source = if fields.bool("source")? {
        Some(UfsSource {
            mount: MountId(fields.u64()?),
            ufs_path: fields.text("path")?,
            offset_in_file: fields.u64()?,
            file_length: fields.u64()?,
            fingerprint: Fingerprint(fields.text("fingerprint")?),
        })
    } else {
        None
    };
    Ok(ReadRequest {
        block,
        block_length,
        range,
        want_fd,
        read_type,
        cache_whole_block,
        passive_source,
        source,
    })
}

fn get_data(header: &Header, fields: &mut Fields<'_>) -> Result<DataHead, ProtocolError> {
    let offset = fields.u64()?;
    if header.payload_len == 0 || offset.checked_add(header.payload_len.into()).is_none() {
        return Err(fields.bad("length"));
    }
    let crcs = fields.crcs(piece_count(offset, header.payload_len.into()))?;
    let targets =
        Targets { block: header.flags & FLAG_TO_BLOCK != 0, ufs: header.flags & FLAG_TO_UFS != 0 };
    Ok(DataHead { targets, offset, length: header.payload_len, crcs })
}

// ---- numbers of enums ----

fn part_number(part: FailedPart) -> u8 {
    match part {
        FailedPart::Request => 0,
        FailedPart::Block => 1,
        FailedPart::Ufs => 2,
    }
}

/// The number of a code on this wire. Numbers are never reused.
pub fn code_number(code: Code) -> u8 {
    match code {
        Code::NotFound => 1,
        Code::AlreadyExists => 2,
        Code::NotADirectory => 3,
        Code::IsADirectory => 4,
        Code::NotEmpty => 5,
        Code::InvalidArgument => 6,
        Code::PermissionDenied => 7,
        Code::Unauthenticated => 8,
        Code::FailedPrecondition => 9,
        Code::Incomplete => 10,
        Code::AlreadyCompleted => 11,
        Code::ReadOnly => 12,
        Code::Stale => 13,
        Code::ResourceExhausted => 14,
        Code::Busy => 15,
        Code::Unavailable => 16,
        Code::NotPrimary => 17,
        Code::DeadlineExceeded => 18,
        Code::Cancelled => 19,
        Code::Aborted => 20,
        Code::DataLoss => 21,
        Code::OutOfRange => 22,
        Code::Unimplemented => 23,
        Code::Internal => 24,
        Code::QuotaExceeded => 25,
    }
}

fn code_from_number(number: u8) -> Option<Code> {
    Code::ALL.into_iter().find(|code| code_number(*code) == number)
}

#[cfg(test)]
mod tests;
