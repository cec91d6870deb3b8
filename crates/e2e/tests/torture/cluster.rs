//! Nodes on one store as an operator runs them in production, each with a clock of its own. What is done to them, and when,
//! is `chaos`; the PostgreSQL behind them is `database`.

use crate::client::UNTRUSTED;
use crate::clocks::Clock;
use crate::database::Database;
use crate::harness::node::{Data, Launch, run};
use crate::harness::production::{self, Credentials};
use crate::harness::user::{patient, proof};
use crate::harness::{Node, Store, TENANT, User, failure, within};
use crate::history::History;
use crate::keys::{Keys, Stage};
use crate::network::Network;
use crate::population::NAMESAKES;
use crate::scale::Scale;
use crate::wire::Wire;
use countersign_api::v1;
use futures::future::join_all;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use v1::policy_service_client::PolicyServiceClient;

/// How far a clock may be off (R65), in milliseconds.
const TOLERANCE: i64 = 2_000;
/// What an operator's command ends with when it cannot reach the store.
const STORE_UNAVAILABLE: Option<i32> = Some(69);
/// What a node that relies on its clock answers to somebody who switches off what is off.
const NOTHING_TO_DO: &str = "TWO_FACTOR_NOT_ENABLED";

/// Nodes on one store.
pub(crate) struct Cluster {
    data: Arc<Data>,
    nodes: Vec<Member>,
    database: Option<Database>,
    keys: Keys,
    history: Arc<History>,
    credentials: Credentials,
}

struct Member {
    node: Node,
    clock: Clock,
    configuration: PathBuf,
    /// What its clock was ahead when it was started, in milliseconds.
    began_at: i64,
}

/// How a node is ended before it is started again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With SIGKILL.
    Killed,
    /// With SIGTERM.
    Stopped,
}

impl Cluster {
    /// Starts them.
    pub(crate) async fn start(store: Store, scale: &Scale, history: &Arc<History>) -> Self {
        let database = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(Database::start(scale.seed).await),
        };
        let data = Arc::new(Data::new(database.as_ref().map(Database::url)));
        // A development server makes tenants and the first key.
        let mut development = Node::start_on(Arc::clone(&data)).await;
        create_namesakes(&development).await;
        assert!(development.terminate().await.success());
        let (keys, credentials) = (Keys::first(data.folder()), production::certify(&data));
        let nodes = Vec::new();
        let mut cluster = Self { data, nodes, database, keys, history: Arc::clone(history), credentials };
        for index in 0..scale.nodes {
            let member = cluster.member(index).await;
            cluster.nodes.push(member);
        }
        cluster
    }

    async fn member(&self, index: usize) -> Member {
        let file = |name: &str| self.data.folder().join(format!("{name}-{index}"));
        let (clock, configuration) = (Clock::new(&file("clock")), file("countersign.toml"));
        production::write(&configuration, &production::configuration(&self.data, &self.keys.lines()));
        let arguments = ["serve", "--config", configuration.to_str().expect("a plain path")];
        let mut environment = clock.environment();
        // Each node has seen what it has seen, and tells what went wrong.
        environment.push(("COUNTERSIGN__STORE__WITNESS_FILE".to_owned(), file("witness").into()));
        environment.push(("COUNTERSIGN__LOG__LEVEL".to_owned(), "warn".into()));
        let arguments = arguments.map(str::to_owned).to_vec();
        let launch = Launch { arguments, environment, persistent: true };
        let node = Node::launch(Arc::clone(&self.data), launch).await;
        Member { node, clock, configuration, began_at: 0 }
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A good network to them.
    pub(crate) async fn network(&self, seed: u64) -> Arc<Network> {
        let addresses = self.nodes.iter().map(|member| member.node.address().to_owned()).collect();
        Network::start(addresses, self.credentials.clone(), seed).await
    }

    /// The wire to the database, where there is one.
    pub(crate) fn wire(&self) -> Option<&Arc<Wire>> {
        self.database.as_ref().map(Database::wire)
    }

    /// Kills the database, and waits until it is back.
    pub(crate) async fn kill_database(&mut self) {
        if let Some(database) = &mut self.database {
            database.kill_and_await_return().await;
        }
    }

    /// By how much the database's clock is ahead, in milliseconds.
    pub(crate) fn database_offset(&self) -> i64 {
        self.database.as_ref().map_or(0, |database| database.clock().offset())
    }

    /// Turns the clock of the database.
    pub(crate) fn turn_database(&mut self, milliseconds: i64) {
        if let Some(database) = &mut self.database {
            database.turn(milliseconds);
        }
    }

    /// Waits until every node refuses because it cannot rely on its clock.
    pub(crate) async fn all_refuse(&self) {
        self.all_answer(UNTRUSTED).await;
    }

    /// Waits until every node relies on its clock.
    pub(crate) async fn all_serve(&self) {
        self.all_answer(NOTHING_TO_DO).await;
    }

    /// Asks each node for a change that changes nothing, until it answers with this reason.
    async fn all_answer(&self, expected: &str) {
        join_all(self.nodes.iter().map(async |member| {
            let user =
                User::new(production::connect(&member.node, &self.credentials).await, TENANT, "nobody");
            let request = v1::DisableTwoFactorRequest {
                tenant_id: user.tenant.clone(),
                user_id: user.id.clone(),
                actor: Some(user.actor()),
                proof: Some(proof("000000")),
                ..v1::DisableTwoFactorRequest::default()
            };
            within(async {
                loop {
                    let answer = user.account.clone().disable_two_factor(patient(request.clone())).await;
                    let reason = failure::reason(&answer.expect_err("there is nothing to switch off"));
                    if reason == UNTRUSTED {
                        self.history.distrust();
                    }
                    if reason == expected {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }))
        .await;
    }

    /// Ends a node and starts it again.
    pub(crate) async fn restart(&mut self, index: usize, end: End, network: &Network) {
        let node = &mut self.nodes[index].node;
        match end {
            End::Killed => node.kill().await,
            End::Stopped => {
                let ended = node.terminate().await;
                assert_eq!(ended.code(), Some(0), "R67: {}", node.printed());
            }
        }
        self.start_again(index, network).await;
    }

    /// Ends a node and starts it again with a clock that is wrong from the beginning.
    pub(crate) async fn restart_at(&mut self, index: usize, milliseconds: i64, network: &Network) {
        self.nodes[index].node.kill().await;
        self.nodes[index].clock.turn(milliseconds);
        self.start_again(index, network).await;
    }

    async fn start_again(&mut self, index: usize, network: &Network) {
        let alone = self.database.is_none();
        let member = &mut self.nodes[index];
        member.began_at = member.clock.offset();
        if alone {
            // With no clock to hold its own against, it believes what it sees when it starts.
            self.history.believe(if member.began_at.abs() > TOLERANCE { member.began_at } else { 0 });
        }
        member.node.start_again().await;
        network.wire.moved(index, member.node.address());
    }

    /// By how much a node's clock is ahead, in milliseconds.
    pub(crate) fn offset(&self, index: usize) -> i64 {
        self.nodes[index].clock.offset()
    }

    /// Turns the clock of a node.
    pub(crate) fn turn(&mut self, index: usize, milliseconds: i64) {
        self.nodes[index].clock.turn(milliseconds);
    }

    /// Puts the clock of a node right. A node that believed in another time is started again, as it must be.
    pub(crate) async fn put_right(&mut self, index: usize, network: &Network) {
        let member = &mut self.nodes[index];
        member.clock.turn(0);
        if self.database.is_none() && member.began_at.abs() > TOLERANCE {
            self.restart(index, End::Killed, network).await;
        }
    }

    /// One stage of a change of the root key.
    pub(crate) async fn change_key(&mut self, stage: Stage, network: &Network) {
        if stage == Stage::Add {
            let file = self.keys.next_file();
            self.operator(&["keys", "new", "--out", file.to_str().expect("a plain path")]).await;
        }
        self.keys.enter(stage);
        self.configure();
        for index in 0..self.nodes.len() {
            self.restart(index, End::Stopped, network).await;
        }
        match stage {
            Stage::Add => {}
            Stage::Switch => self.seal_again().await,
            Stage::Retire => {
                self.keys.settle();
                self.configure();
            }
        }
    }

    fn configure(&self) {
        let text = production::configuration(&self.data, &self.keys.lines());
        for member in &self.nodes {
            production::write(&member.configuration, &text);
        }
    }

    /// Seals everything with the newest key. What others hold just then is left out by one pass, so there may be more.
    async fn seal_again(&self) {
        within(async {
            loop {
                let file = self.nodes[0].configuration.to_str().expect("a plain path");
                self.operator(&["keys", "rotate", "--config", file]).await;
                let status = self.operator(&["keys", "status", "--config", file]).await;
                if !status.contains("until sealed again") {
                    return;
                }
            }
        })
        .await;
    }

    /// Runs a command of operators until the store is available to it.
    async fn operator(&self, arguments: &[&str]) -> String {
        within(async {
            loop {
                let (code, told) = run(arguments).await;
                if code == Some(0) {
                    return told;
                }
                assert_eq!(code, STORE_UNAVAILABLE, "{arguments:?}: {told}");
            }
        })
        .await
    }

    /// Stops every node and proves the log of events. Returns all that the nodes told.
    pub(crate) async fn end(mut self) -> Vec<String> {
        let mut told = Vec::new();
        for member in &mut self.nodes {
            let ended = member.node.terminate().await;
            assert_eq!(ended.code(), Some(0), "R67: {}", member.node.printed());
            told.extend(member.node.printed().lines().map(str::to_owned));
        }
        self.prove().await;
        told
    }

    /// R56: whatever happened, the seals of the log hold, those too whose root key is gone.
    async fn prove(&self) {
        let file = self.nodes[0].configuration.to_str().expect("a plain path");
        let seals = self.operator(&["audit", "seals", "--config", file]).await;
        let keys: BTreeSet<_> = seals.lines().map(signed_with).collect();
        let mut verify = vec!["audit", "verify", "--config", file];
        verify.extend(keys.iter().flat_map(|key| ["--public-key", key]));
        self.operator(&verify).await;
    }
}

/// Makes the tenant that the development server does not: another one with the same rules.
async fn create_namesakes(node: &Node) {
    let request = v1::CreateTenantRequest {
        tenant_id: NAMESAKES.to_owned(),
        preset: TENANT.to_owned(),
        ..v1::CreateTenantRequest::default()
    };
    let mut client = PolicyServiceClient::new(node.channel().await);
    client.create_tenant(patient(request)).await.expect("another tenant");
}

/// The public key of a seal, as operators write it: with its id.
fn signed_with(seal: &str) -> String {
    let seal: serde_json::Value = serde_json::from_str(seal).expect("a line of JSON");
    let statement = seal["statement"].as_str().expect("a statement");
    let key = statement.lines().find_map(|line| line.strip_prefix("key: ")).expect("its key");
    key.replace(' ', ":")
}
