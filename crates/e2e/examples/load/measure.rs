//! The watch: a loop of calls, closed or open, how many were answered in a span of time, and how long each took.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Trouble;
use crate::calls::Calls;
use crate::flow::{Flow, Outcome};
use crate::population::Population;

/// How a run is to go.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) flow: Flow,
    pub(crate) in_flight: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) pause: Duration,
    /// Ends when everybody had a turn and not by the clock.
    pub(crate) turns: Option<u64>,
    /// When calls begin: so many a second, or each after an answer.
    pub(crate) per_second: Option<u32>,
}

/// What the tasks of a run share.
struct Run {
    plan: Plan,
    people: Rc<RefCell<Population>>,
    start: Instant,
    /// Nobody begins a turn after it, and answers after it do not count.
    end: Cell<Instant>,
    begun: Cell<u64>,
    /// For each answer, when it came and how long it took.
    answers: RefCell<Vec<(Duration, Duration)>>,
    coincidences: Cell<u64>,
    bad: RefCell<BTreeMap<String, u64>>,
}

/// Runs the plan. An error means that nothing could be measured; wrong answers are part of what is measured.
pub(crate) async fn run(
    calls: &[Calls],
    people: Rc<RefCell<Population>>,
    plan: Plan,
) -> Result<Value, Trouble> {
    let start = Instant::now();
    let run = Rc::new(Run {
        plan,
        people,
        start,
        end: Cell::new(start + plan.warm_up + plan.measured),
        begun: Cell::new(0),
        answers: RefCell::default(),
        coincidences: Cell::new(0),
        bad: RefCell::default(),
    });
    let tasks: Vec<_> = (0..plan.in_flight)
        .map(|task| {
            tokio::task::spawn_local(one_after_another(Rc::clone(&run), calls[task % calls.len()].clone()))
        })
        .collect();
    for task in tasks {
        let done: Result<(), String> = task.await?;
        done?;
    }
    Ok(run.report())
}

/// One of those in flight.
async fn one_after_another(run: Rc<Run>, mut calls: Calls) -> Result<(), String> {
    let tenant = run.people.borrow().tenant.clone();
    loop {
        let count = run.begun.get();
        let due = run.due(count);
        if due >= run.end.get() || run.plan.turns.is_some_and(|turns| count >= turns) {
            return Ok(());
        }
        // Taken before it is waited for: the next one to be free takes the next.
        run.begun.set(count + 1);
        let begin = if due > Instant::now() {
            tokio::time::sleep_until(due).await;
            Instant::now()
        } else {
            due
        };
        let job = run.plan.flow.next(&mut run.people.borrow_mut(), count);
        let Some(job) = job.map_err(|error| error.to_string())? else {
            // All codes are used up: what was measured so far is what there is.
            run.end.set(begin);
            return Ok(());
        };
        let answer = job.take(&mut calls, &tenant).await;
        let now = Instant::now();
        match job.settle(&run.people, answer).map_err(|error| error.to_string())? {
            Outcome::Good => run.answers.borrow_mut().push((now - run.start, now - begin)),
            Outcome::Coincidence => run.coincidences.set(run.coincidences.get() + 1),
            Outcome::Bad(what) => *run.bad.borrow_mut().entry(what).or_default() += 1,
        }
        if !run.plan.pause.is_zero() {
            tokio::time::sleep_until(now + run.plan.pause).await;
        }
    }
}

impl Run {
    /// When the call with that number is to begin. Where nobody was free by then, it took that much longer: whoever logs in
    /// waits, whether or not the call was made.
    fn due(&self, count: u64) -> Instant {
        match self.plan.per_second {
            #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are far below 2^52")]
            Some(rate) => self.start + Duration::from_secs_f64(count as f64 / f64::from(rate)),
            None => Instant::now(),
        }
    }

    fn report(&self) -> Value {
        let end = self.end.get() - self.start;
        let answers = self.answers.borrow();
        let counted = answers.iter().filter(|(at, _)| *at > self.plan.warm_up && *at <= end);
        let mut micros: Vec<u64> =
            counted.map(|(_, took)| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)).collect();
        micros.sort_unstable();
        // The smallest time that so many of a thousand answers did not exceed.
        let within = |thousandths: usize| {
            let rank = (micros.len() * thousandths).div_ceil(1_000).max(1);
            micros.get(rank - 1).copied().unwrap_or_default()
        };
        json!({
            "answers": micros.len(),
            "seconds": end.saturating_sub(self.plan.warm_up).as_secs_f64(),
            "p50_micros": within(500),
            "p99_micros": within(990),
            "p999_micros": within(999),
            "all_answers": answers.len(),
            "coincidences": self.coincidences.get(),
            "bad": *self.bad.borrow(),
        })
    }
}
