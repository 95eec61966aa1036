//! The name by which callers call a Unix socket, made one that a server takes.
//!
//! The kubelet, when it asks a plugin to register, sends the socket's path, percent-encoded, where HTTP/2 has the
//! name of a host (`:authority`). No such host can exist, and so the server ends the call with PROTOCOL_ERROR before
//! we hear of it. On a Unix socket the name says nothing: [`Filter`] puts one letter in its place.
//!
//! It need not understand what it passes. HPACK's strings begin with their lengths, so the name is found without
//! Huffman's code and without the table that both ends keep of earlier headers; and as the table's entries get no
//! longer, whatever the caller still has in its table is in the server's, at the same place. What is not as expected
//! passes unchanged, for the server to judge.
//!
//! **Source**: RFC 9113 sections 3.4, 4.1, 6.2; RFC 7541 sections 4.1, 5, 6. The dial of the kubelet's
//! `operation_generator.go`, and grpc-go's authority of a target without a scheme.

mod stream;
#[cfg(test)]
mod tests;

pub(crate) use stream::Filtered;

/// What every client sends first.
const PREFACE_BYTES: usize = 24;
/// Length (3), kind, flags, stream (4).
const HEAD_BYTES: usize = 9;
/// Longest frame that a server takes which doesn't say otherwise; ours doesn't.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// The kind of a frame of headers.
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// What a dependency on another stream takes.
const PRIORITY_BYTES: usize = 5;
/// Place of `:authority` in the table that all have.
const AUTHORITY_INDEX: usize = 1;
/// The new name, with its length. One byte: no name is shorter, so none gets longer.
const NAME: [u8; 2] = [1, b'k'];
/// Bit of a string's first byte: it is in Huffman's code.
const HUFFMAN: u8 = 0x80;

/// The client's side of a connection, piece by piece.
///
/// Holds one frame of headers at most: [`HEAD_BYTES`] and [`FRAME_BYTES_MAX`].
pub(crate) struct Filter {
    /// How many of the next bytes pass as they are.
    passing: usize,
    /// The frame of which we need to have more.
    held: Vec<u8>,
}

impl Filter {
    /// For a connection that has just begun.
    pub(crate) fn new() -> Filter {
        Filter { passing: PREFACE_BYTES, held: Vec::new() }
    }

    /// Takes what the client sent, and appends to `out` what can go on to the server.
    pub(crate) fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            if self.passing > 0 {
                let passed = take(&mut input, self.passing);
                self.passing -= passed.len();
                out.extend_from_slice(passed);
                continue;
            }
            let wanted = match self.held.first_chunk() {
                None => HEAD_BYTES,
                Some(head) => HEAD_BYTES + length(head),
            };
            self.held.extend_from_slice(take(&mut input, wanted - self.held.len()));
            self.settle(out);
        }
    }

    /// Lets go of what is held, unless it is a frame of headers that hasn't ended.
    fn settle(&mut self, out: &mut Vec<u8>) {
        let Some((head, payload)) = self.held.split_first_chunk() else { return };
        let length = length(head);
        // Headers that go on in another frame could be cut anywhere, and no caller of ours has as many.
        if !is_whole(head) || length > FRAME_BYTES_MAX {
            self.passing = length;
            out.append(&mut self.held);
        } else if payload.len() == length {
            match renamed(head[4], payload) {
                Some(renamed) => {
                    // Not longer than it was.
                    out.extend_from_slice(&(renamed.len() as u32).to_be_bytes()[1..]);
                    out.extend_from_slice(&head[3..]);
                    out.extend_from_slice(&renamed);
                }
                None => out.extend_from_slice(&self.held),
            }
            self.held.clear();
        }
    }
}

/// The first bytes of `input`, at most `most`, which it loses.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

/// Bytes behind a frame's head.
fn length(head: &[u8; HEAD_BYTES]) -> usize {
    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])
}

/// Whether a frame has all the headers of its request.
fn is_whole(head: &[u8; HEAD_BYTES]) -> bool {
    head[3] == HEADERS && head[4] & END_HEADERS != 0
}

/// A frame of headers with our name in it; `None` if it isn't one.
fn renamed(flags: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let (mut from, mut padding) = (0, 0);
    if flags & PADDED != 0 {
        (from, padding) = (1, usize::from(*payload.first()?));
    }
    if flags & PRIORITY != 0 {
        from += PRIORITY_BYTES;
    }
    let to = payload.len().checked_sub(padding)?;
    let fields = named(payload.get(from..to)?)?;
    Some([&payload[..from], &fields, &payload[to..]].concat())
}

/// Coded headers, with our name for a host; `None` if they can't be read.
fn named(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(rest.len());
    while let Some(&first) = rest.first() {
        let start = rest;
        let literal = match first {
            // One of the table.
            0x80.. => integer(&mut rest, 7).map(|_| None)?,
            // One that gets into the table.
            0x40.. => Some(integer(&mut rest, 6)?),
            // The table's size.
            0x20.. => integer(&mut rest, 5).map(|_| None)?,
            // One that doesn't.
            _ => Some(integer(&mut rest, 4)?),
        };
        let Some(index) = literal else {
            out.extend_from_slice(&start[..start.len() - rest.len()]);
            continue;
        };
        if index == 0 {
            string(&mut rest)?;
        }
        out.extend_from_slice(&start[..start.len() - rest.len()]);
        let value = string(&mut rest)?;
        // No name is no wrong name.
        let ours = index == AUTHORITY_INDEX && value.len() >= NAME.len();
        out.extend_from_slice(if ours { &NAME } else { value });
    }
    Some(out)
}

/// A number that begins in the last `bits` of a byte. `None` for one that isn't there, or too large for a frame.
fn integer(rest: &mut &[u8], bits: u32) -> Option<usize> {
    let most = (1 << bits) - 1;
    let mut value = usize::from(*rest.split_off_first()?) & most;
    if value < most {
        return Some(value);
    }
    for shift in [0, 7, 14] {
        let byte = *rest.split_off_first()?;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A string, with its length before it.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let start = *rest;
    let length = integer(rest, HUFFMAN.trailing_zeros())?;
    rest.split_off(..length)?;
    Some(&start[..start.len() - rest.len()])
}
