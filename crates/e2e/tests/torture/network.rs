//! The network between clients and nodes: a bad wire with mutual TLS over it.

use crate::harness::production::{self, Credentials};
use crate::harness::within;
use crate::wire::{Weather, Wire};
use std::sync::Arc;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const WEATHER: Weather = Weather { replies: 400, requests: 2_000 };

/// The network.
pub(crate) struct Network {
    /// It leads to every node.
    pub(crate) wire: Arc<Wire>,
    credentials: Credentials,
}

impl Network {
    /// A good network to these nodes.
    pub(crate) async fn start(nodes: Vec<String>, credentials: Credentials, seed: u64) -> Arc<Self> {
        Arc::new(Self { wire: Wire::start(nodes, WEATHER, seed).await, credentials })
    }

    /// A connection for a client; it comes back by itself.
    pub(crate) fn channel(&self) -> Channel {
        production::endpoint(&self.wire.address().to_string(), &self.credentials).connect_lazy()
    }

    /// A connection to another node, by chance and where there is one.
    pub(crate) fn elsewhere(&self) -> Option<Channel> {
        (self.wire.width() > 1).then(|| self.channel())
    }

    /// Waits until a node answers.
    pub(crate) async fn answers(&self) -> Channel {
        within(async {
            loop {
                let channel = self.channel();
                let asked = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
                if asked.is_ok_and(|answer| answer.into_inner().status == 1) {
                    return channel;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}
