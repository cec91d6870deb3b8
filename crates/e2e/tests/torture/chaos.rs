//! What is broken while the clients work, and when: each after a number of calls, so that a run is as long as its calls and
//! not as its time.

use crate::cluster::{Cluster, End};
use crate::history::History;
use crate::keys::Stage;
use crate::network::Network;
use crate::scale::Scale;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Clocks jump by so many milliseconds: less than what a node must bear, or more than any of its tolerances together, up to
/// half an hour.
const SMALL: std::ops::Range<i64> = 100..1_900;
const LARGE: std::ops::Range<i64> = 12_000..1_800_000;
/// Progress is told so often.
const TOLD: usize = 20;

/// What is done after a number of calls.
#[derive(Clone, Copy)]
enum Blow {
    KillNode,
    StopNode,
    KillDatabase,
    CutClients,
    CutDatabase,
    Jump(Jump),
    /// Of the clock of this node, some calls after its jump.
    PutRight(usize),
    /// The same of the database's clock, where `AtStart` is that of its server.
    JumpDatabase(Jump),
    PutDatabaseRight,
    ChangeKey(Stage),
}

/// How a clock jumps, a node's or the database's.
#[derive(Clone, Copy)]
enum Jump {
    /// While it serves, by as little as must be borne.
    Little,
    /// While it serves, by more.
    Far,
    /// While it is down, by more.
    AtStart,
}

const JUMPS: [Jump; 3] = [Jump::Little, Jump::Far, Jump::AtStart];

/// How often what was broken.
#[derive(Clone, Default)]
struct Broken {
    kills: usize,
    stops: usize,
    database_kills: usize,
    cuts: usize,
    database_cuts: usize,
    little_jumps: usize,
    far_jumps: usize,
    starts_with_wrong_clock: usize,
    little_database_jumps: usize,
    far_database_jumps: usize,
    database_starts_with_wrong_clock: usize,
    key_changes: usize,
}

/// The one who breaks things.
pub(crate) struct Chaos {
    pub(crate) cluster: Cluster,
    network: Arc<Network>,
    history: Arc<History>,
    scale: Scale,
    rng: Rng,
    broken: Broken,
}

impl Chaos {
    pub(crate) fn new(cluster: Cluster, network: Arc<Network>, history: Arc<History>, scale: Scale) -> Self {
        let rng = Rng::with_seed(scale.seed ^ 0xc4a0);
        Self { cluster, network, history, scale, rng, broken: Broken::default() }
    }

    /// Breaks things until all calls are made, and leaves clocks that are right.
    pub(crate) async fn rage(&mut self) {
        self.network.wire.spoil();
        self.cluster.wire().inspect(|wire| wire.spoil());
        let mut blows = self.blows();
        let mut told = 0;
        while let Some(((after, _), blow)) = blows.pop_first() {
            self.history.reached(after).await;
            if let Some(later) = self.strike(blow).await {
                let until = (self.history.count() + self.hold()).min(self.scale.calls);
                // After all others that are due then; what waits for right clocks comes last.
                let place = match later {
                    Blow::PutRight(index) => 1 + index,
                    Blow::PutDatabaseRight => 1 + self.cluster.len(),
                    _ => 0,
                };
                blows.insert((until, usize::MAX - place), later);
            }
            let part = self.history.count() * TOLD / self.scale.calls;
            if part > told {
                told = part;
                eprintln!("  {} of {} calls: {self}", self.history.count(), self.scale.calls);
            }
        }
        for index in 0..self.cluster.len() {
            self.cluster.put_right(index, &self.network).await;
        }
    }

    /// From now on nothing breaks.
    pub(crate) fn calm(&self) {
        self.network.wire.calm();
        self.cluster.wire().inspect(|wire| wire.calm());
    }

    /// Evenly over the calls: each kind at its own places, in the order of the calls.
    fn blows(&self) -> BTreeMap<(usize, usize), Blow> {
        let Scale { calls, kills, database_kills, jumps, database_jumps, rotations, .. } = self.scale;
        let on_database = if self.cluster.wire().is_some() { kills / 2 } else { 0 };
        let kinds = [
            vec![Blow::KillNode; kills],
            vec![Blow::KillDatabase; database_kills],
            vec![Blow::CutClients; kills],
            vec![Blow::CutDatabase; on_database],
            vec![Blow::StopNode; kills / 3],
            JUMPS.map(Blow::Jump).into_iter().cycle().take(jumps).collect(),
            JUMPS.map(Blow::JumpDatabase).into_iter().cycle().take(database_jumps).collect(),
            [Stage::Add, Stage::Switch, Stage::Retire].map(Blow::ChangeKey).repeat(rotations),
        ];
        let mut blows = BTreeMap::new();
        for kind in kinds {
            let count = kind.len();
            for (number, blow) in kind.into_iter().enumerate() {
                // In the middle of each part, so that something is under way before and after.
                blows.insert((calls * (2 * number + 1) / (2 * count), blows.len()), blow);
            }
        }
        blows
    }

    /// Does it. Returns what is to be done some calls later: what puts a clock right, or what could not be done now.
    async fn strike(&mut self, blow: Blow) -> Option<Blow> {
        let index = self.rng.usize(..self.cluster.len());
        let (cluster, network) = (&mut self.cluster, &self.network);
        match blow {
            Blow::KillNode => {
                cluster.restart(index, End::Killed, network).await;
                self.broken.kills += 1;
            }
            Blow::StopNode => {
                cluster.restart(index, End::Stopped, network).await;
                self.broken.stops += 1;
            }
            Blow::KillDatabase => {
                cluster.kill_database().await;
                self.broken.database_kills += 1;
            }
            Blow::CutClients => {
                network.wire.cut_all();
                self.broken.cuts += 1;
            }
            Blow::CutDatabase => {
                cluster.wire().inspect(|wire| wire.cut_all());
                self.broken.database_cuts += 1;
            }
            Blow::Jump(jump) => return self.jump(index, jump).await,
            Blow::PutRight(index) => cluster.put_right(index, network).await,
            Blow::JumpDatabase(jump) => return self.jump_database(jump).await,
            Blow::PutDatabaseRight => cluster.turn_database(0),
            Blow::ChangeKey(stage) => {
                cluster.change_key(stage, network).await;
                self.broken.key_changes += usize::from(stage == Stage::Retire);
            }
        }
        None
    }

    /// For how many calls a clock stays wrong: so many that clients meet it, and where other nodes serve meanwhile, at times
    /// so many that the node looks at the database in between.
    fn hold(&mut self) -> usize {
        let Scale { clients, calls, jumps, database_jumps, nodes, .. } = self.scale;
        let longer = if nodes > 1 { self.rng.usize(..calls / (2 * jumps.max(database_jumps))) } else { 0 };
        clients + longer
    }

    /// How far a clock jumps, in milliseconds, ahead or back.
    fn width(&mut self, jump: Jump) -> i64 {
        let far = if matches!(jump, Jump::Little) { SMALL } else { LARGE };
        self.rng.i64(far) * if self.rng.bool() { 1 } else { -1 }
    }

    fn is_a_node_wrong(&self) -> bool {
        (0..self.cluster.len()).any(|index| self.cluster.offset(index) != 0)
    }

    async fn jump(&mut self, index: usize, jump: Jump) -> Option<Blow> {
        if self.is_a_node_wrong() || self.cluster.database_offset() != 0 {
            // Nobody would serve where all were wrong.
            return None;
        }
        let milliseconds = self.width(jump);
        match jump {
            Jump::Little => self.broken.little_jumps += 1,
            Jump::Far => self.broken.far_jumps += 1,
            Jump::AtStart => self.broken.starts_with_wrong_clock += 1,
        }
        if matches!(jump, Jump::AtStart) {
            self.cluster.restart_at(index, milliseconds, &self.network).await;
            // So that some clients find it.
            self.network.wire.cut_all();
        } else {
            self.cluster.turn(index, milliseconds);
        }
        Some(Blow::PutRight(index))
    }

    /// Turns the database's clock while those of the nodes are right. Where it is far off nobody may serve, neither nodes that
    /// were there nor one that comes new; clients wait until it is put right, so that calls are not all used up on refusals.
    async fn jump_database(&mut self, jump: Jump) -> Option<Blow> {
        if self.is_a_node_wrong() {
            return Some(Blow::JumpDatabase(jump));
        }
        let milliseconds = self.width(jump);
        match jump {
            Jump::Little => self.broken.little_database_jumps += 1,
            Jump::Far => self.broken.far_database_jumps += 1,
            Jump::AtStart => self.broken.database_starts_with_wrong_clock += 1,
        }
        if matches!(jump, Jump::Little) {
            self.cluster.turn_database(milliseconds);
            return Some(Blow::PutDatabaseRight);
        }
        self.history.lose_time(true);
        self.cluster.turn_database(milliseconds);
        if matches!(jump, Jump::AtStart) {
            self.cluster.kill_database().await;
        }
        self.cluster.all_refuse().await;
        let index = self.rng.usize(..self.cluster.len());
        self.cluster.restart(index, End::Killed, &self.network).await;
        self.cluster.all_refuse().await;
        self.cluster.turn_database(0);
        self.cluster.all_serve().await;
        self.history.lose_time(false);
        None
    }

    /// Replies that the database gave and that no node got.
    pub(crate) fn replies_lost_to_nodes(&self) -> usize {
        self.cluster.wire().map_or(0, |wire| wire.broken().0)
    }
}

/// What was broken, for people.
impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { kills, stops, database_kills, cuts, database_cuts, key_changes, .. } = self.broken;
        let Broken { little_jumps, far_jumps, starts_with_wrong_clock, .. } = self.broken;
        let (lost, torn) = self.network.wire.broken();
        write!(
            f,
            "nodes killed {kills}, restarted {stops}; clients' connections all cut {cuts}, replies lost {lost}, \
             requests cut {torn}; "
        )?;
        if let Some((lost, torn)) = self.cluster.wire().map(|wire| wire.broken()) {
            write!(
                f,
                "database killed {database_kills}, its connections all cut {database_cuts}, replies lost {lost}, \
                 requests cut {torn}; "
            )?;
        }
        write!(
            f,
            "clocks turned a little {little_jumps}, far {far_jumps}, before a start {starts_with_wrong_clock}, \
             calls refused for it {}; root keys changed {key_changes}",
            self.history.distrusted()
        )?;
        if self.cluster.wire().is_some() {
            let Broken { little_database_jumps, far_database_jumps, .. } = self.broken;
            write!(
                f,
                "; the database's clock turned a little {little_database_jumps}, far {far_database_jumps}, before a \
                 start {}, calls refused for it {}",
                self.broken.database_starts_with_wrong_clock,
                self.history.distrusted_while_lost()
            )?;
        }
        Ok(())
    }
}
