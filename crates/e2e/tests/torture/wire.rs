//! A bad wire: one address that leads to any of some others, and loses what it should carry. What is at its ends, and what
//! the bytes mean, is not known here.

use fastrand::Rng;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How often a wire breaks: one in so many.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    /// Pieces of replies that are swallowed, and their connection cut: what was asked for is done, and nobody hears of it.
    pub(crate) replies: u32,
    /// Pieces of requests after which, or in the middle of which, the connection is cut.
    pub(crate) requests: u32,
}

/// The wire. Dropping it closes it.
pub(crate) struct Wire {
    address: SocketAddr,
    targets: Mutex<Vec<String>>,
    weather: Weather,
    rng: Mutex<Rng>,
    bad: AtomicBool,
    /// A new value cuts every connection.
    cut: watch::Sender<u64>,
    lost: AtomicUsize,
    torn: AtomicUsize,
}

impl Wire {
    /// A good wire to these addresses; [`Self::spoil`] makes it bad.
    pub(crate) async fn start(targets: Vec<String>, weather: Weather, seed: u64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let wire = Arc::new(Self {
            address: listener.local_addr().expect("an address"),
            targets: Mutex::new(targets),
            weather,
            rng: Mutex::new(Rng::with_seed(seed)),
            bad: AtomicBool::new(false),
            cut: watch::Sender::new(0),
            lost: AtomicUsize::new(0),
            torn: AtomicUsize::new(0),
        });
        let accepting = Arc::downgrade(&wire);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Some(wire) = accepting.upgrade() else { return };
                tokio::spawn(wire.carry(near));
            }
        });
        wire
    }

    /// Where it begins.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many addresses it leads to.
    pub(crate) fn width(&self) -> usize {
        self.targets.lock().expect("nobody panicked").len()
    }

    /// From now on connections break.
    pub(crate) fn spoil(&self) {
        self.bad.store(true, Ordering::SeqCst);
    }

    /// From now on they do not.
    pub(crate) fn calm(&self) {
        self.bad.store(false, Ordering::SeqCst);
    }

    /// Cuts everything that is open.
    pub(crate) fn cut_all(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// What it led to is elsewhere now.
    pub(crate) fn moved(&self, index: usize, address: &str) {
        address.clone_into(&mut self.targets.lock().expect("nobody panicked")[index]);
    }

    /// How many replies were swallowed, and how many requests were cut.
    pub(crate) fn broken(&self) -> (usize, usize) {
        (self.lost.load(Ordering::Relaxed), self.torn.load(Ordering::Relaxed))
    }

    fn chance(&self, one_in: u32) -> bool {
        self.bad.load(Ordering::SeqCst) && self.below(one_in as usize) == 0
    }

    fn below(&self, limit: usize) -> usize {
        self.rng.lock().expect("nobody panicked").usize(..limit)
    }

    async fn carry(self: Arc<Self>, near: TcpStream) {
        let target = {
            let targets = self.targets.lock().expect("nobody panicked");
            targets[self.below(targets.len())].clone()
        };
        // What was just killed takes no connection; whoever wants one finds out and tries again.
        let Ok(far) = TcpStream::connect(&target).await else { return };
        // Pieces are passed on as they come: a wire that waits for more would make everything slow.
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let mut cut = self.cut.subscribe();
        let (from_near, to_near) = near.into_split();
        let (from_far, to_far) = far.into_split();
        tokio::select! {
            _ = self.there(from_near, to_far) => {}
            _ = self.back(from_far, to_near) => {}
            _ = cut.changed() => {}
        }
    }

    async fn there(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
        let mut piece = vec![0; 16 * 1024];
        loop {
            let length = from.read(&mut piece).await?;
            if length > 0 && self.chance(self.weather.requests) {
                self.torn.fetch_add(1, Ordering::Relaxed);
                // All of it, so that it is done unseen, or a part, so that it must not be done.
                return to.write_all(&piece[..length - self.below(2) * length / 2]).await;
            }
            if length == 0 {
                return Ok(());
            }
            to.write_all(&piece[..length]).await?;
        }
    }

    async fn back(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
        let mut piece = vec![0; 16 * 1024];
        loop {
            let length = from.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            if self.chance(self.weather.replies) {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            to.write_all(&piece[..length]).await?;
        }
    }
}
