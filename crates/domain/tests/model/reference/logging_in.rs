//! Logins, challenges and remembered clients.

use super::{Answer, Device, Fate, Model, Named, Question, Said, Ticket, Token, Typed};
use crate::commands::{About, First, PLACES};
use countersign_domain::login::Assurance;
use countersign_domain::policy::{ChallengeMode, FirstEnrollment, RequirementMode};

impl Model {
    fn left(&self) -> Option<usize> {
        let unused = self.paper.iter().flatten().filter(|(_, used)| !used).count();
        (self.rules.recovery_codes.enabled && self.paper.is_some()).then_some(unused)
    }

    fn allowed(&self, how: Assurance) -> Said {
        let left = if self.is_on() { self.left() } else { None };
        Said::Allowed { how, left, due: None, token: None, new_paper: false }
    }

    pub(crate) fn login(
        &mut self,
        first: First,
        code: Option<&Typed>,
        remember: bool,
        token: Option<Token>,
        about: About,
    ) -> Answer<Said> {
        self.tidy();
        self.attested(first)?;
        if let Some(code) = code {
            self.shape(code)?;
        }
        if self.disabled {
            return Ok(Said::Refused("disabled account"));
        }
        let trusted = first == First::Federated && self.rules.first_factor.trust_federated_mfa;
        if !self.is_on() {
            return Ok(self.login_without(first, about.step_up, trusted));
        }
        if trusted && !about.step_up {
            return Ok(self.allowed(Assurance::FederatedMfa));
        }
        let token = token.filter(|_| !about.step_up && self.rules.challenge.mode == ChallengeMode::NewClient);
        if let Some(token) = token.and_then(|token| self.recognise(token, about.shop)) {
            let mut said = self.allowed(Assurance::Remembered);
            if let Said::Allowed { token: rotated, .. } = &mut said {
                *rotated = Some(token);
            }
            return Ok(said);
        }
        match code {
            Some(code) => Ok(self.answered(code, remember, about, None)),
            None => Ok(self.ask(about)),
        }
    }

    fn login_without(&mut self, first: First, step_up: bool, trusted: bool) -> Said {
        if step_up {
            return Said::Refused("no second factor");
        }
        let grace = Self::seconds(self.rules.requirement.grace_period);
        let allowed = |how, due| Said::Allowed { how, left: None, due, token: None, new_paper: false };
        if !self.obliged {
            if !self.has_begun() {
                let meant = self.rules.requirement.mode == RequirementMode::Required && self.is_meant();
                let from = self.rules.requirement.required_from.filter(|_| meant);
                let due = from.map(|from| {
                    let from = from.unix_seconds();
                    from.max(self.grace_from.unwrap_or(from) + grace)
                });
                return allowed(Assurance::NotRequired, due);
            }
            if trusted {
                if grace > 0 {
                    self.grace_from.get_or_insert(self.now);
                }
                return allowed(Assurance::FederatedMfa, Some(self.grace_from.unwrap_or(self.now) + grace));
            }
            let until = self.grace_from.unwrap_or(self.now) + grace;
            if until > self.now {
                self.grace_from.get_or_insert(self.now);
                return allowed(Assurance::Grace, Some(until));
            }
        }
        let ticket = self.rules.requirement.first_enrollment == FirstEnrollment::AtLogin;
        if ticket {
            let age = if first == First::Oldest { Self::seconds(self.rules.first_factor.max_age) } else { 0 };
            self.give_ticket(600, Some(self.now - age));
        }
        Said::MustEnroll { ticket }
    }

    pub(super) fn give_ticket(&mut self, life: i64, verified: Option<i64>) {
        if self.tickets.len() == 4 {
            self.tickets.remove(0);
        }
        self.tickets.push(Ticket { number: self.tickets_given, until: self.now + life, verified });
        self.tickets_given += 1;
    }

    fn open_question(&mut self, about: About) {
        if self.questions.len() == 8 {
            let loser = self.loser();
            self.questions.remove(loser);
        }
        let until = self.now + 300;
        self.questions.push(Question { number: self.questions_asked, until, about });
        self.questions_asked += 1;
    }

    /// The network that asked most loses its oldest, or the oldest of whoever there asked four times or more. Of two networks
    /// that asked as often, the one with such a person loses; otherwise the older question goes.
    fn loser(&self) -> usize {
        let network = |about: &About| PLACES[about.place].1;
        let asked = |same: &dyn Fn(&About) -> bool| {
            self.questions.iter().filter(|question| same(&question.about)).count()
        };
        let by_network = |own: &About| asked(&|other| network(other) == network(own));
        let by_person = |own: &About| {
            let named = |about: &About| (network(about), about.shop, about.agent);
            asked(&|other| named(other) == named(own))
        };
        let busiest = self.questions.iter().map(|question| by_network(&question.about)).max();
        let mut losers: Vec<_> = (0..self.questions.len()).collect();
        losers.retain(|place| Some(by_network(&self.questions[*place].about)) == busiest);
        let loudest = losers.iter().map(|place| by_person(&self.questions[*place].about)).max();
        if loudest >= Some(4) {
            losers.retain(|place| Some(by_person(&self.questions[*place].about)) == loudest);
        }
        losers[0]
    }

    fn ask(&mut self, about: About) -> Said {
        if self.factors.iter().all(|factor| factor.dead) {
            return self.locked_out(None, about, None);
        }
        if self.shut_until > self.now {
            return self.locked_out(Some(self.shut_until - self.now), about, None);
        }
        self.open_question(about);
        Said::Asked
    }

    /// Who answers a question goes on with that one.
    fn locked_out(&mut self, retry: Option<i64>, about: About, answers: Option<usize>) -> Said {
        let open = self.left().is_some_and(|left| left > 0);
        if open && answers.is_none() {
            self.open_question(about);
        }
        Said::LockedOut { retry, open }
    }

    pub(crate) fn answer(&mut self, number: Option<usize>, code: &Typed, remember: bool) -> Answer<Said> {
        self.tidy();
        let open = self.questions.iter().find(|question| Some(question.number) == number);
        let about = open.map(|question| question.about).ok_or("challenge")?;
        self.shape(code)?;
        if self.disabled {
            return Ok(Said::Refused("disabled account"));
        }
        let said = self.answered(code, remember, about, number);
        if matches!(said, Said::Allowed { .. }) {
            self.questions.retain(|question| Some(question.number) != number);
        }
        Ok(said)
    }

    fn answered(&mut self, code: &Typed, remember: bool, about: About, answers: Option<usize>) -> Said {
        let how = match self.evaluate(code) {
            Fate::Bad => return Said::Refused("code"),
            Fate::Shut(retry) => return self.locked_out(retry, about, answers),
            Fate::Good => Assurance::Verified,
            Fate::Recovered => Assurance::Recovered,
        };
        if how == Assurance::Verified {
            self.help_since = None;
        }
        let remembers = remember
            && !about.step_up
            && how == Assurance::Verified
            && self.rules.challenge.mode == ChallengeMode::NewClient;
        let token = remembers.then(|| self.remember(about.shop));
        let new_paper = how == Assurance::Recovered && self.rules.recovery_codes.reissue_on_use;
        let left = if new_paper { Some(self.rules.recovery_codes.count as usize) } else { self.left() };
        Said::Allowed { how, left, due: None, token, new_paper }
    }

    fn recognise(&mut self, (number, shown): Token, shop: bool) -> Option<Token> {
        let now = self.now;
        let index = self.devices.iter().position(|own| own.number == number && own.shop == shop)?;
        let device = &mut self.devices[index];
        if shown == device.token {
            device.token += 1;
            device.rotated = now;
        } else if shown + 1 != device.token || now > device.rotated + 60 {
            self.devices.remove(index);
            return None;
        }
        device.used = now;
        Some((number, device.token))
    }

    fn remember(&mut self, shop: bool) -> Token {
        self.devices.sort_by_key(|device| device.used);
        while self.devices.len() >= self.rules.challenge.max_remembered_clients as usize {
            self.devices.remove(0);
        }
        let number = self.devices_known;
        self.devices_known += 1;
        let until = self.now + Self::seconds(self.rules.challenge.remember_duration);
        self.devices.push(Device { number, token: 1, rotated: self.now, used: self.now, until, shop });
        (number, 1)
    }

    pub(crate) fn revoke(&mut self, which: Option<Named>) -> Said {
        self.tidy();
        // One that is not there is skipped: it is as revoked as it could be.
        self.devices.retain(|device| which.is_some_and(|which| which != Named::Own(device.number)));
        Said::Done
    }
}
