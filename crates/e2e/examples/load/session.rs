//! What the load generator holds between commands: connections and populations.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::app::Now;
use crate::calls::Calls;
use crate::command::{Beside, Command};
use crate::line::Line;
use crate::measure::{self, Plan};
use crate::population::Population;
use crate::{Trouble, authority, prepare};

/// How long it may take to give everybody a turn.
const LONG: Duration = Duration::from_hours(1);
/// By then every user has three codes again, however many were used.
const ALL_CODES: Duration = Duration::from_secs(95);

#[derive(Default)]
pub(crate) struct Session {
    tls: Option<Arc<ClientConfig>>,
    servers: BTreeMap<String, Vec<Line>>,
    populations: BTreeMap<String, Rc<RefCell<Population>>>,
}

impl Session {
    /// Does what it is told. The answer says what came of it.
    pub(crate) async fn obey(&mut self, command: Command) -> Result<Value, Trouble> {
        match command {
            Command::Certificates { folder, caller } => {
                self.tls = Some(authority::make(&folder, &caller)?);
                Ok(json!({}))
            }
            Command::Connect { server, address, connections } => {
                self.connect(server, &address, connections).await
            }
            Command::CreateTenant { server, tenant, preset } => {
                prepare::create_tenant(self.lines(&server)?[0].clone(), tenant, preset).await?;
                Ok(json!({}))
            }
            Command::Enroll { server, population, tenant, count, in_flight } => {
                let calls = self.calls(&server)?;
                let people = self.populations.entry(population);
                let people = people.or_insert_with(|| Rc::new(RefCell::new(Population::new(tenant))));
                prepare::enroll(&calls, Rc::clone(people), count, in_flight).await?;
                Ok(json!({ "users": people.borrow().len() }))
            }
            Command::Each { server, population, flow, in_flight } => {
                let (calls, people) = (self.calls(&server)?, self.people(&population)?);
                let turns = Some(people.borrow().len().try_into()?);
                let (pause, warm_up) = (Duration::ZERO, Duration::ZERO);
                let plan = Plan { flow, in_flight, warm_up, measured: LONG, pause, turns, per_second: None };
                measure::run(&calls, people, plan).await
            }
            Command::Pause { millis } => {
                tokio::time::sleep_until(Instant::now() + Duration::from_millis(millis)).await;
                Ok(json!({}))
            }
            Command::Await { population, codes } => await_codes(self.people(&population)?, codes).await,
            Command::Run {
                server,
                population,
                flow,
                in_flight,
                millis,
                warm_up_millis,
                pause_millis,
                per_second,
                beside,
            } => {
                let plan = Plan {
                    flow,
                    in_flight,
                    warm_up: Duration::from_millis(warm_up_millis),
                    measured: Duration::from_millis(millis),
                    pause: Duration::from_millis(pause_millis),
                    turns: None,
                    per_second,
                };
                let calls = self.calls(&server)?;
                let run = measure::run(&calls, self.people(&population)?, plan);
                let Some(Beside { population, flow, in_flight }) = beside else { return run.await };
                let storm = Plan { flow, in_flight, pause: Duration::ZERO, per_second: None, ..plan };
                let (measured, beside) =
                    tokio::join!(run, measure::run(&calls, self.people(&population)?, storm));
                let mut measured = measured?;
                // So that one can see that there was something beside it, and whether it was what it had to be.
                measured["beside"] = beside?;
                Ok(measured)
            }
        }
    }

    async fn connect(&mut self, server: String, address: &str, connections: usize) -> Result<Value, Trouble> {
        let tls = self.tls.clone().ok_or("there are no certificates yet")?;
        let mut lines = Vec::new();
        for _ in 0..connections.max(1) {
            lines.push(Line::connect(address, Arc::clone(&tls)).await?);
        }
        self.servers.insert(server, lines);
        Ok(json!({}))
    }

    fn lines(&self, server: &str) -> Result<&[Line], Trouble> {
        Ok(self.servers.get(server).ok_or_else(|| format!("there is no server {server}"))?)
    }

    fn calls(&self, server: &str) -> Result<Vec<Calls>, Trouble> {
        Ok(self.lines(server)?.iter().cloned().map(Calls::over).collect())
    }

    fn people(&self, population: &str) -> Result<Rc<RefCell<Population>>, Trouble> {
        let people = self.populations.get(population);
        Ok(Rc::clone(people.ok_or_else(|| format!("there is no population {population}"))?))
    }
}

/// Codes come with each new step.
async fn await_codes(people: Rc<RefCell<Population>>, wanted: usize) -> Result<Value, Trouble> {
    let deadline = Instant::now() + ALL_CODES;
    loop {
        let now = Now::read()?;
        let codes = people.borrow().codes(now);
        if codes >= wanted || Instant::now() >= deadline {
            return Ok(json!({ "codes": codes }));
        }
        tokio::time::sleep_until(Instant::now() + Duration::from_secs(now.left())).await;
    }
}
