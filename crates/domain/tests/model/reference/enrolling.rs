//! Enrolling, naming, removing and switching off.

use super::{Answer, Factor, Model, Named, Right, Said, Typed, Waiting};
use crate::commands::{First, NAMES};
use crate::common::Phone;
use countersign_domain::policy::{ProofKind, ProofStage, Replace};

impl Model {
    /// What the authority says of the first factor, and the number of the ticket that it is.
    fn right(&self, by: Right) -> Answer<(Answer<()>, Option<usize>)> {
        match by {
            Right::Stranger => Err("not subject"),
            Right::Session(first) => Ok((self.attested(first), None)),
            Right::Ticket(number) => {
                let usable = !self.is_on() && !self.disabled;
                let found = self.tickets.iter().find(|own| usable && Some(own.number) == number);
                let ticket = found.ok_or("ticket")?;
                let age = Self::seconds(self.rules.first_factor.max_age);
                let stale = ticket.verified.is_some_and(|verified| self.now - verified > age);
                Ok((if stale { Err("stale") } else { Ok(()) }, Some(ticket.number)))
            }
        }
    }

    fn needed_to_add(&self, stage: ProofStage) -> Vec<ProofKind> {
        let rule = &self.rules.enrollment;
        if rule.proof_stage != stage {
            Vec::new()
        } else if rule.required_proofs.is_empty() && self.is_on() {
            self.rules.disable.required_proofs.clone()
        } else {
            rule.required_proofs.clone()
        }
    }

    fn has_room(&self, replaces: Option<usize>) -> Answer<()> {
        let rule = &self.rules.enrollment;
        let full = self.factors.len() >= rule.max_authenticators as usize;
        let refused = if replaces.is_some() { rule.replace == Replace::DisableFirst } else { full };
        if refused { Err("limit") } else { Ok(()) }
    }

    /// `replaces` is the app of a factor, or one that is not there.
    pub(crate) fn begin(
        &mut self,
        by: Right,
        replaces: Option<Named>,
        code: Option<&Typed>,
        app: &Phone,
    ) -> Answer<Said> {
        self.tidy();
        let (first, _) = self.right(by)?;
        let replaces = match replaces {
            Some(Named::Unknown) => return Err("not found"),
            Some(Named::Own(app)) => Some(app),
            None => None,
        };
        self.has_room(replaces)?;
        self.demand(&self.needed_to_add(ProofStage::Begin), first, code)?;
        let until = self.now + Self::seconds(self.rules.enrollment.expire_after);
        self.waiting = Some(Waiting { app: self.apps.len(), tries: 10, replaces, until });
        self.apps.push(app.clone());
        Ok(Said::Done)
    }

    pub(crate) fn confirm(
        &mut self,
        app: Option<usize>,
        by: Right,
        code: &Typed,
        existing: Option<&Typed>,
        name: Option<usize>,
    ) -> Answer<Said> {
        self.tidy();
        let (first, ticket) = self.right(by)?;
        let waiting = self.waiting.as_ref().filter(|waiting| Some(waiting.app) == app).ok_or("enrollment")?;
        let (app, replaces) = (waiting.app, waiting.replaces);
        self.has_room(replaces)?;
        let name = self.free_name(name, replaces)?;
        let needed = self.needed_to_add(ProofStage::Confirm);
        if needed.contains(&ProofKind::FirstFactor) {
            first?;
        }
        self.shape(code)?;
        let Typed::Digits(code) = code else { return Err("field") };
        let Some(used) = self.fit(app, code) else {
            self.waiting.as_mut().unwrap().tries -= 1;
            self.waiting.take_if(|waiting| waiting.tries == 0);
            return Err("incorrect");
        };
        self.demand(&needed, first, existing)?;

        let was_on = self.is_on();
        if replaces.is_some() {
            self.factors.retain(|factor| Some(factor.app) != replaces);
            self.kill_everything_old();
        }
        self.waiting = None;
        self.factors.push(Factor { app, used, misses: 0, dead: false, name });
        self.obliged = false;
        self.last_miss = None;
        let spent = self.tickets.iter().position(|own| Some(own.number) == ticket);
        let login = spent.is_some_and(|index| self.tickets.remove(index).verified.is_some());
        self.help_since = None;
        let rule = &self.rules.recovery_codes;
        Ok(Said::Confirmed { new_paper: !was_on && rule.enabled && rule.issue_on_enable, login })
    }

    fn free_name(&self, chosen: Option<usize>, replaces: Option<usize>) -> Answer<String> {
        let staying: Vec<_> = self.factors.iter().filter(|factor| Some(factor.app) != replaces).collect();
        let taken = |name: &String| staying.iter().any(|factor| factor.name == *name);
        let mut names: Vec<_> = match chosen {
            Some(index) => vec![NAMES[index].to_lowercase()],
            None => (1..9).map(|n| format!("authenticator app {n}").replace(" 1", "")).collect(),
        };
        names.retain(|name| !taken(name));
        names.into_iter().next().ok_or("name")
    }

    fn find(&self, app: Option<usize>) -> Answer<usize> {
        self.factors.iter().position(|factor| Some(factor.app) == app).ok_or("not found")
    }

    pub(crate) fn rename(&mut self, app: Option<usize>, name: usize) -> Answer<Said> {
        self.tidy();
        let index = self.find(app)?;
        let name = NAMES[name].to_lowercase();
        if self.factors.iter().enumerate().any(|(other, factor)| other != index && factor.name == name) {
            return Err("name");
        }
        self.factors[index].name = name;
        Ok(Said::Done)
    }

    fn may_switch_off(&self) -> Answer<()> {
        if !self.is_on() {
            return Err("not on");
        }
        if self.is_mandatory() {
            return Err("mandatory");
        }
        if self.rules.disable.self_service { Ok(()) } else { Err("not allowed") }
    }

    pub(crate) fn remove(&mut self, app: Option<usize>, first: First, code: Option<&Typed>) -> Answer<Said> {
        self.tidy();
        self.find(app)?;
        let another = |model: &Self| {
            let none_serves = model.factors.iter().all(|own| own.dead);
            model.factors.iter().any(|own| Some(own.app) != app && (none_serves || !own.dead))
        };
        if !another(self) {
            if self.is_mandatory() {
                return Err("last");
            }
            self.may_switch_off()?;
        }
        self.demand(&self.rules.disable.required_proofs.clone(), self.attested(first), code)?;
        if another(self) {
            self.factors.retain(|factor| Some(factor.app) != app);
            self.kill_everything_old();
        } else {
            self.wipe();
        }
        Ok(Said::Done)
    }

    pub(crate) fn disable(&mut self, first: First, code: Option<&Typed>) -> Answer<Said> {
        self.tidy();
        self.may_switch_off()?;
        self.demand(&self.rules.disable.required_proofs.clone(), self.attested(first), code)?;
        self.wipe();
        Ok(Said::Done)
    }

    pub(crate) fn generate(&mut self, first: First, code: Option<&Typed>) -> Answer<Said> {
        self.tidy();
        if !self.rules.recovery_codes.enabled {
            return Err("codes off");
        }
        if !self.is_on() {
            return Err("not on");
        }
        self.demand(&self.rules.disable.required_proofs.clone(), self.attested(first), code)?;
        Ok(Said::NewPaper)
    }
}
