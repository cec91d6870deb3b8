//! Ports for servers that are killed and must come back where they were.
//!
//! A port that the system gave to whoever asked for any is nobody's as soon as its server is dead. The next program that
//! asks may be given it, and a client that goes on connecting to it may be given it as its own end, and be connected to
//! itself. So a port is claimed here that systems give only to those who ask for it by its number.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Context as _, Result};

/// The first of those ports, and how many there are. Linux gives ports from 32,768 on to those who ask for any
/// (`ip_local_port_range`), other systems from 49,152 on (RFC 6335 section 6).
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A TCP port of 127.0.0.1 that nobody else claims while this is kept.
pub(super) struct Port {
    pub(super) number: u16,
    /// The UDP port of the same number: the system lets one process have it, and frees it whatever becomes of that.
    _claim: UdpSocket,
}

impl Port {
    /// Claims one on which nobody listens.
    pub(super) fn claim() -> Result<Self> {
        // Processes begin at different places, so that those that start together do not all ask for the same.
        let start = u16::try_from(std::process::id() % u32::from(COUNT))?;
        let mut numbers = (0..COUNT).map(|number| FIRST + (start + number) % COUNT);
        numbers.find_map(Self::claim_this).context("no port is free")
    }

    fn claim_this(number: u16) -> Option<Self> {
        let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        // Somebody who knows nothing of claims may listen there.
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _claim: claim })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A claimed port is given to nobody else, neither by us nor by the system, and can be listened on.
    #[test]
    fn a_port_is_claimed_once() {
        let one = Port::claim().unwrap();
        let other = Port::claim().unwrap();
        assert_ne!(one.number, other.number);
        assert!(Port::claim_this(one.number).is_none());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, one.number)).unwrap();
        drop(one);
        assert!(Port::claim_this(listener.local_addr().unwrap().port()).is_none(), "somebody listens");
    }
}
