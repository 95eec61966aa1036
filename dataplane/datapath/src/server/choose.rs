//! How a committed block gets to a client: one pure decision.

use crate::service::Transport;

/// What the decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// How the client is connected.
    pub transport: Transport,
    /// Whether the client can use a descriptor.
    pub want_fd: bool,
    /// Whether there is a real descriptor (not on a simulated disk).
    pub has_descriptor: bool,
    /// Whether reading the file never waits for a device.
    pub in_memory: bool,
    /// Whether the connection may hold one more lease.
    pub lease_left: bool,
}

/// The ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendPath {
    /// Pass the descriptor; no byte moves.
    Lend,
    /// Read on a thread that may wait for the device, then send.
    CopyBlocking,
    /// Read on the connection's own thread, then send.
    CopyInline,
}

/// Decides. Lending needs both ends on one machine, and a descriptor.
///
/// `sendfile` is not among the ways: from tmpfs over loopback it reached 0.5 to 0.75 of reading into
/// a buffer and sending from there (`examples/remote_read.rs` measures both), it would wait for a
/// device on a thread that other connections need, and it cannot serve a simulated disk or TLS.
pub fn choose_path(facts: Facts) -> SendPath {
    let local = facts.transport == Transport::Unix;
    if facts.want_fd && local && facts.has_descriptor && facts.lease_left {
        SendPath::Lend
    } else if facts.in_memory {
        SendPath::CopyInline
    } else {
        SendPath::CopyBlocking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Facts = Facts {
        transport: Transport::Unix,
        want_fd: true,
        has_descriptor: true,
        in_memory: true,
        lease_left: true,
    };

    #[test]
    fn a_local_client_that_asks_gets_the_descriptor() {
        assert_eq!(choose_path(LOCAL), SendPath::Lend);
        assert_eq!(choose_path(Facts { in_memory: false, ..LOCAL }), SendPath::Lend);
    }

    #[test]
    fn everybody_else_gets_bytes() {
        for facts in [
            Facts { transport: Transport::Tcp, ..LOCAL },
            Facts { want_fd: false, ..LOCAL },
            Facts { lease_left: false, ..LOCAL },
        ] {
            assert_eq!(choose_path(facts), SendPath::CopyInline, "{facts:?}");
            let on_disk = Facts { in_memory: false, ..facts };
            assert_eq!(choose_path(on_disk), SendPath::CopyBlocking, "{on_disk:?}");
        }
    }

    #[test]
    fn without_a_real_descriptor_bytes_are_copied() {
        let simulated = Facts { has_descriptor: false, ..LOCAL };
        assert_eq!(choose_path(simulated), SendPath::CopyInline);
        let slow = Facts { in_memory: false, ..simulated };
        assert_eq!(choose_path(slow), SendPath::CopyBlocking);
    }
}
