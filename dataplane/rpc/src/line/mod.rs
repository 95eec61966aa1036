//! Lines: connections for one call at a time, beside HTTP/2 on the same port.
//!
//! A call over HTTP/2 wakes up to four threads besides the two that it needs: tasks of the connection and of
//! the call hand it on to each other at both ends. That pays when many calls share a connection, and is most
//! of the time of a single one. On a line the caller writes a frame and reads the answer by itself, and one
//! task at the server does the same. What is called is the same: the same services behind the same
//! interceptors, with the same messages, metadata and metrics.
//!
//! A line begins with [`MAGIC`] from the client, which a server that knows lines sends back; what begins
//! otherwise is HTTP/2. It is closed by whoever does not want it any more: a client that gives a call up closes
//! the line, and the server drops the call. Who finds no line calls over HTTP/2.
//!
//! Reading order: [`frame`] (pure), [`server`], [`client`].

pub(crate) mod client;
mod frame;
pub(crate) mod server;
#[cfg(test)]
mod tests;

/// First bytes of a line, in both directions. The last one grows with the shape of frames. HTTP/2 begins with
/// `PRI * HT`.
const MAGIC: [u8; 8] = *b"ALXLINE\x01";
