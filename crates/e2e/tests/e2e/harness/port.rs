//! Ports that stay a test's own while nobody listens on them.
//!
//! A port that the system gave to whoever asked for any is nobody's once it is given back: the next program that asks may
//! be given it, and a client that goes on connecting to it may be connected to itself. So a port is claimed here that
//! systems give only to those who ask for it by its number.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// The first of those ports, and how many there are. Linux gives ports from 32,768 on to those who ask for any
/// (`ip_local_port_range`), other systems from 49,152 on (RFC 6335 section 6).
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A TCP port of 127.0.0.1 that no other test claims while this is kept.
pub(crate) struct Port {
    pub(crate) number: u16,
    /// The UDP port of the same number: the system lets one process have it, and frees it whatever becomes of that.
    _claim: UdpSocket,
}

impl Port {
    /// Claims one on which nobody listens.
    pub(crate) fn claim() -> Self {
        // Processes begin at different places, so that those that start together do not all ask for the same.
        let start = u16::try_from(std::process::id() % u32::from(COUNT)).expect("it fits");
        let mut numbers = (0..COUNT).map(|number| FIRST + (start + number) % COUNT);
        numbers.find_map(Self::claim_this).expect("a free port")
    }

    fn claim_this(number: u16) -> Option<Self> {
        let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        // Somebody who knows nothing of claims may listen there.
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _claim: claim })
    }

    /// Listens there: the port is open from now on, until that is dropped.
    pub(crate) async fn listen(&self) -> tokio::net::TcpListener {
        tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, self.number)).await.expect("the port is free")
    }
}
