//! A bad network between clients and nodes: one address that leads to any node, cuts connections in the middle and
//! swallows replies.

use crate::harness::within;
use fastrand::Rng;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

/// Of so many pieces of replies, one is swallowed and its connection cut.
const SWALLOWED: u32 = 400;

/// The network. Dropping it closes it.
pub(crate) struct Network {
    address: SocketAddr,
    nodes: Mutex<Vec<String>>,
    rng: Mutex<Rng>,
    bad: AtomicBool,
    /// A new value cuts every connection.
    cut: watch::Sender<u64>,
}

impl Network {
    /// A good network to these nodes; [`Self::spoil`] makes it bad.
    pub(crate) async fn start(nodes: Vec<String>, seed: u64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (cut, _) = watch::channel(0);
        let rng = Mutex::new(Rng::with_seed(seed));
        let network =
            Arc::new(Self { address, nodes: Mutex::new(nodes), rng, bad: AtomicBool::new(false), cut });
        let accepting = Arc::downgrade(&network);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Some(network) = accepting.upgrade() else { return };
                tokio::spawn(network.carry(client));
            }
        });
        network
    }

    /// A connection for a client; it comes back by itself.
    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).expect("an address").connect_lazy()
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

    /// A node is elsewhere now, or nowhere.
    pub(crate) fn moved(&self, index: usize, address: &str) {
        address.clone_into(&mut self.nodes.lock().expect("nobody panicked")[index]);
    }

    fn chance(&self, one_in: u32) -> bool {
        self.bad.load(Ordering::SeqCst) && self.rng.lock().expect("nobody panicked").u32(..one_in) == 0
    }

    async fn carry(self: Arc<Self>, client: TcpStream) {
        let node = {
            let nodes = self.nodes.lock().expect("nobody panicked");
            nodes[self.rng.lock().expect("nobody panicked").usize(..nodes.len())].clone()
        };
        // A node that was just killed takes no connection; the client finds out and tries again.
        let Ok(node) = TcpStream::connect(&node).await else { return };
        let mut cut = self.cut.subscribe();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_node, mut to_node) = node.into_split();
        let there = async move { tokio::io::copy(&mut from_client, &mut to_node).await.map(drop) };
        let network = Arc::clone(&self);
        let back = async move {
            let mut piece = vec![0; 16 * 1024];
            loop {
                let length = from_node.read(&mut piece).await?;
                if length == 0 || network.chance(SWALLOWED) {
                    return std::io::Result::Ok(());
                }
                to_client.write_all(&piece[..length]).await?;
            }
        };
        tokio::select! {
            _ = there => {}
            _ = back => {}
            _ = cut.changed() => {}
        }
    }

    /// Waits until a node answers.
    pub(crate) async fn answers(&self) -> Channel {
        within(async {
            loop {
                let channel = self.channel();
                let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
                let asked = health.check(tonic_health::pb::HealthCheckRequest::default()).await;
                if asked.is_ok_and(|answer| answer.into_inner().status == 1) {
                    return channel;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}
