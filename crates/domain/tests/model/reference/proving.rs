//! The budget for wrong codes, and what a proof is.

use super::{Answer, Factor, Fate, Model, Typed};
use crate::commands::First;
use countersign_domain::otp::{OtpCode, Step, generate};
use countersign_domain::policy::ProofKind;
use countersign_domain::recovery_code::RecoveryCode;

impl Model {
    pub(super) fn seconds(span: std::time::Duration) -> i64 {
        i64::try_from(span.as_secs()).unwrap()
    }

    /// Until when the window is full; long ago where it is not.
    fn cap(&self) -> i64 {
        let full = self.missed_at.len() == self.rules.lockout.rolling_limit as usize;
        if full { self.missed_at[0] + Self::seconds(self.rules.lockout.rolling_window) } else { 0 }
    }

    pub(super) fn streak_is_over(&mut self) {
        self.misses = 0;
        self.last_miss = None;
        self.shut_until = self.cap();
    }

    fn miss(&mut self, code: &OtpCode) {
        let rule = self.rules.lockout.clone();
        let now = self.now;
        self.misses += 1;
        self.last_miss = Some((code.clone(), now));
        self.missed_at.retain(|time| now - time < Self::seconds(rule.rolling_window));
        self.missed_at.push(now);
        if self.missed_at.len() > rule.rolling_limit as usize {
            self.missed_at.remove(0);
        }
        let mut until = self.cap();
        if self.misses >= rule.free_failures {
            let mut delay = Self::seconds(rule.first_delay);
            for _ in rule.free_failures..self.misses {
                delay = (delay * 2).min(Self::seconds(rule.max_delay));
            }
            until = until.max(now + delay);
        }
        let mut killed = false;
        for factor in self.factors.iter_mut().filter(|factor| !factor.dead) {
            factor.misses += 1;
            factor.dead = factor.misses == rule.consecutive_limit;
            killed |= factor.dead;
        }
        if killed {
            self.kill_everything_old();
        }
        if until > now {
            self.shut_until = until;
            self.questions.clear();
        }
    }

    /// The last step of the window at which the app shows the code.
    pub(super) fn fit(&self, app: usize, code: &OtpCode) -> Option<u64> {
        let (phone, window) = (&self.apps[app], self.rules.totp.window);
        let step = self.step(app, self.now);
        let first = step - u64::from(window.past_steps());
        let last = step + u64::from(window.future_steps());
        (first..=last).rev().find(|step| generate(&phone.key, phone.parameters, Step::new(*step)) == *code)
    }

    fn step(&self, app: usize, time: i64) -> u64 {
        u64::try_from(time).unwrap() / u64::from(self.apps[app].parameters.period.seconds())
    }

    pub(super) fn evaluate(&mut self, code: &Typed) -> Fate {
        match code {
            Typed::Digits(code) => self.evaluate_digits(code),
            Typed::Paper(code) => self.evaluate_paper(code),
        }
    }

    fn evaluate_digits(&mut self, code: &OtpCode) -> Fate {
        if self.factors.iter().all(|factor| factor.dead) {
            return Fate::Shut(None);
        }
        if self.shut_until > self.now {
            return Fate::Shut(Some(self.shut_until - self.now));
        }
        let alive = (0..self.factors.len()).filter(|index| !self.factors[*index].dead);
        let fits: Vec<_> = alive
            .filter_map(|index| self.fit(self.factors[index].app, code).map(|step| (index, step)))
            .collect();
        if let Some((index, step)) = fits.iter().rev().find(|(index, step)| *step > self.factors[*index].used)
        {
            self.factors[*index].used = *step;
            self.factors[*index].misses = 0;
            self.streak_is_over();
            return Fate::Good;
        }
        let just_typed = self.last_miss.as_ref().is_some_and(|(last, time)| {
            let same_step = |factor: &Factor| self.step(factor.app, *time) == self.step(factor.app, self.now);
            last == code && self.factors.iter().all(same_step)
        });
        if fits.is_empty() && !just_typed {
            self.miss(code);
        }
        Fate::Bad
    }

    fn evaluate_paper(&mut self, code: &RecoveryCode) -> Fate {
        if !self.rules.recovery_codes.enabled {
            return Fate::Bad;
        }
        let mut own = self.paper.iter_mut().flatten();
        let Some((_, used)) = own.find(|(own, used)| own == code && !used) else { return Fate::Bad };
        *used = true;
        self.streak_is_over();
        self.kill_everything_old();
        Fate::Recovered
    }

    pub(super) fn attested(&self, first: First) -> Answer<()> {
        let oldest = self.now - Self::seconds(self.rules.first_factor.max_age);
        match first {
            First::Missing => Err("proof required"),
            First::Stale => Err("stale"),
            First::Oldest if self.changed > Some(oldest) => Err("stale"),
            First::Fresh | First::Oldest | First::Federated => Ok(()),
        }
    }

    pub(super) fn shape(&self, code: &Typed) -> Answer<()> {
        match code {
            Typed::Digits(code) if code.digits() != self.rules.totp.parameters.digits => Err("field"),
            _ => Ok(()),
        }
    }

    pub(super) fn demand(
        &mut self,
        needed: &[ProofKind],
        first: Answer<()>,
        code: Option<&Typed>,
    ) -> Answer<()> {
        let (first_needed, code_needed) =
            (needed.contains(&ProofKind::FirstFactor), needed.contains(&ProofKind::SecondFactor));
        if code_needed && code.is_none() {
            return Err("proof required");
        }
        if first_needed {
            first?;
        }
        let Some(code) = code.filter(|_| code_needed) else { return Ok(()) };
        self.shape(code)?;
        match self.evaluate(code) {
            Fate::Good | Fate::Recovered => Ok(()),
            Fate::Bad => Err("incorrect"),
            Fate::Shut(_) => Err("locked"),
        }
    }
}
