//! What is broken while the clients work: nodes and their database are killed, and every connection is cut, each after
//! a number of calls, so that a run is as long as its calls and not as its time.

use crate::harness::node::Data;
use crate::harness::postgres::MortalServer;
use crate::harness::{Node, Store};
use crate::history::History;
use crate::network::Network;
use crate::scale::Scale;
use fastrand::Rng;
use std::sync::Arc;

/// Nodes on one database.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    database: Option<MortalServer>,
}

impl Cluster {
    /// Starts them.
    pub(crate) async fn start(store: Store, scale: &Scale) -> Self {
        let database = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(MortalServer::start().await),
        };
        let data = Arc::new(Data::new(database.as_ref().map(|database| database.url().to_owned())));
        let mut nodes = Vec::new();
        for _ in 0..scale.nodes {
            nodes.push(Node::start_on(Arc::clone(&data)).await);
        }
        Self { nodes, database }
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address().to_owned()).collect()
    }
}

/// What is done after a number of calls.
#[derive(Clone, Copy)]
enum Blow {
    KillNode,
    StopNode,
    KillDatabase,
    CutAll,
}

/// The one who breaks things.
pub(crate) struct Chaos {
    cluster: Cluster,
    network: Arc<Network>,
    scale: Scale,
    rng: Rng,
    told: [usize; 4],
}

impl Chaos {
    pub(crate) fn new(cluster: Cluster, network: Arc<Network>, scale: Scale) -> Self {
        let rng = Rng::with_seed(scale.seed ^ 0xc4a0);
        Self { cluster, network, scale, rng, told: [0; 4] }
    }

    /// Breaks things until all calls are made.
    pub(crate) async fn rage(&mut self, history: &History) {
        self.network.spoil();
        for (after, blow) in self.blows() {
            history.reached(after).await;
            self.strike(blow).await;
        }
    }

    /// Evenly over the calls: each kind at its own places, in the order of the calls.
    fn blows(&self) -> Vec<(usize, Blow)> {
        let Scale { calls, kills, database_kills, .. } = self.scale;
        let kinds = [
            (Blow::KillNode, kills),
            (Blow::KillDatabase, database_kills),
            (Blow::CutAll, kills),
            (Blow::StopNode, kills / 3),
        ];
        let mut blows = Vec::new();
        for (blow, count) in kinds {
            // In the middle of each part, so that something is under way before and after.
            blows.extend((0..count).map(|number| (calls * (2 * number + 1) / (2 * count), blow)));
        }
        blows.sort_by_key(|(after, _)| *after);
        blows
    }

    async fn strike(&mut self, blow: Blow) {
        let index = self.rng.usize(..self.cluster.nodes.len());
        let node = &mut self.cluster.nodes[index];
        match blow {
            Blow::KillNode => node.kill_and_restart().await,
            Blow::StopNode => {
                let ended = node.terminate().await;
                assert_eq!(ended.code(), Some(0), "R67: {}", node.printed());
                node.start_again().await;
            }
            Blow::KillDatabase => {
                if let Some(database) = &mut self.cluster.database {
                    database.kill_and_await_return().await;
                }
            }
            Blow::CutAll => self.network.cut_all(),
        }
        let address = self.cluster.nodes[index].address().to_owned();
        self.network.moved(index, &address);
        self.told[blow as usize] += 1;
    }

    /// What was broken, for people.
    pub(crate) fn told(&self) -> String {
        let [kills, stops, databases, cuts] = self.told;
        format!("{kills} kills of nodes, {stops} restarts, {databases} kills of the database, {cuts} cuts")
    }
}
