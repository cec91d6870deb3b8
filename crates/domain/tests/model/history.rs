//! Runs commands through the decisions and through the model, keeps everything that was ever handed out, and compares.

use crate::commands::{AGENTS, About, By, Care, Code, Command, First, NAMES, PLACES};
use crate::common::{
    Phone, START, World, client, federated, label, laws, name, password, session, typed, user_ref,
};
use crate::invariants::{Happened, Watch};
use crate::reference::{Model, Named, Right, Said, Token, Typed};
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::clients::{ClientToken, Revocation};
use countersign_domain::denial::Denial;
use countersign_domain::directory;
use countersign_domain::enrollment::{self, Authority, BeginTotp, Confirm};
use countersign_domain::ids::{AuthenticatorId, ClientId, EnrollmentId, ResetRequestId, TicketId};
use countersign_domain::login::{Assurance, CheckLogin, RefusedReason, Verdict};
use countersign_domain::policy::{Policy, PolicyDocument};
use countersign_domain::presented::PresentedProof;
use countersign_domain::proof::Proofs;
use countersign_domain::recovery::IssuedCodes;
use countersign_domain::recovery_code::RecoveryCode;
use countersign_domain::secret::SecretString;
use countersign_domain::team::{self, Delegated, Party};
use countersign_domain::time::Timestamp;
use countersign_domain::token;
use countersign_domain::user::{
    ChallengePurpose, ClientClaims, DirectoryEntry, FirstFactor, Standing, UserState,
};
use std::time::Duration;

/// One user's history, and everything that the user was ever handed.
pub(crate) struct History {
    world: World,
    model: Model,
    watch: Watch,
    /// A state some steps ago: writes tell any difference, not only that of one decision.
    milestone: UserState,
    steps: usize,
    phones: Vec<(EnrollmentId, Phone)>,
    papers: Vec<RecoveryCode>,
    challenges: Vec<SecretString>,
    tickets: Vec<SecretString>,
    tokens: Vec<(Token, SecretString)>,
    /// The model's number of each remembered client.
    devices: Vec<ClientId>,
}

/// The last but `back` of what was handed out, by its number; wraps around.
fn nth_back(len: usize, back: usize) -> Option<usize> {
    (len > 0).then(|| len - 1 - back % len)
}

impl History {
    pub(crate) fn new(policy: Policy) -> Self {
        let model = Model::new(PolicyDocument::clone(&policy), START.unix_seconds());
        Self {
            world: World::under(policy, user_ref("acme", "ann")),
            model,
            watch: Watch::default(),
            milestone: UserState::default(),
            steps: 0,
            phones: Vec::new(),
            papers: Vec::new(),
            challenges: Vec::new(),
            tickets: Vec::new(),
            tokens: Vec::new(),
            devices: Vec::new(),
        }
    }

    /// Lets one thing happen to both and compares what was said and what became of the user.
    pub(crate) fn run(&mut self, command: &Command) {
        if let Command::Pass(seconds) = command {
            self.world.pass(Duration::from_secs(u64::from(*seconds)));
            self.model.now += i64::from(*seconds);
            return;
        }
        let (before, generation) = (self.world.state.clone(), self.model.generation);
        let mandatory = self.model.is_mandatory();
        // A command that names nothing does nothing, and so tells nothing.
        self.world.events.clear();
        let (expected, said) = self.both(command);
        assert_eq!(said, expected, "{command:?}");

        let raised = self.model.generation > generation;
        assert_eq!(self.world.state.epoch > before.epoch, raised, "ruling 10: {command:?}");
        let done = !matches!(said, Said::Denied(_));
        let (forgiven, cared_for) = match command {
            Command::Care(Care::Reset | Care::Unlock) | Command::Erase => (done, done),
            // Others may switch a user off too, but never where the second factor is mandatory.
            Command::Care(Care::Disable) => (done, false),
            _ => (false, false),
        };
        let step = Happened {
            before: &before,
            after: &self.world.state,
            events: &self.world.events,
            now: self.world.now,
            denied: if let Said::Denied(reason) = said { Some(reason) } else { None },
            verified: matches!(said, Said::Allowed { how: Assurance::Verified, .. }),
            confirmed: matches!(said, Said::Confirmed { .. }),
            mandatory,
            forgiven,
            cared_for,
        };
        self.watch.see(&step, &self.world.policy);
        laws::writes_make(&self.milestone, &self.world.state);
        self.steps += 1;
        if self.steps.is_multiple_of(7) {
            self.milestone.clone_from(&self.world.state);
        }
        self.compare(command);
    }

    /// What the model expects, and what the service says.
    fn both(&mut self, command: &Command) -> (Said, Said) {
        match command {
            Command::Pass(_) => (Said::Done, Said::Done),
            Command::Login { first, code, remember, token, about } => {
                let token = token.and_then(|back| nth_back(self.tokens.len(), back));
                self.login(*first, code.as_ref(), *remember, token, *about)
            }
            Command::Answer { back, code, remember } => self.answer(*back, code, *remember),
            Command::Begin { by, replaces, code } => self.begin(by, *replaces, code.as_ref()),
            Command::Confirm { back, by, code, existing, name } => {
                self.confirm(*back, by, code, existing.as_ref(), *name)
            }
            Command::Rename { which, name: chosen } => {
                let (id, app) = self.factor(*which);
                let expected = self.model.rename(app, *chosen);
                (denied(expected), done(self.world.rename(id, &name(NAMES[*chosen]))))
            }
            Command::Remove { which, first, code } => {
                let ((id, app), code) = (self.factor(*which), code.as_ref().map(|code| self.code(code)));
                let expected = self.model.remove(app, *first, code.as_ref().map(|(_, typed)| typed));
                let proofs = self.proofs(*first, code);
                (denied(expected), done(self.world.remove(id, &proofs)))
            }
            Command::Disable { first, code } => {
                let code = code.as_ref().map(|code| self.code(code));
                let expected = self.model.disable(*first, code.as_ref().map(|(_, typed)| typed));
                let proofs = self.proofs(*first, code);
                (denied(expected), done(self.world.disable(&proofs)))
            }
            Command::Generate { first, code } => {
                let code = code.as_ref().map(|code| self.code(code));
                let expected = self.model.generate(*first, code.as_ref().map(|(_, typed)| typed));
                let proofs = self.proofs(*first, code);
                let said = match self.world.generate(&proofs) {
                    Ok(codes) => {
                        self.keep_paper(Some(&codes));
                        Said::NewPaper
                    }
                    Err(denial) => Said::Denied(reason(&denial)),
                };
                (denied(expected), said)
            }
            Command::Revoke { which } => self.revoke(*which),
            Command::Care(care) => self.care(*care),
            Command::RequestReset => {
                let id = ResetRequestId::from_uuid(self.world.draw_id());
                let decision = directory::request_reset(&self.world.state, &self.world.ctx(), "lost", id);
                let said = done(self.world.commit(decision).map(|_| ()));
                (denied(self.model.request_reset()), said)
            }
            Command::FirstFactorChanged { ago } => {
                self.model.first_factor_changed(*ago);
                let at = self.world.now.minus(Duration::from_secs(u64::from(*ago)));
                let (state, ctx) = (&self.world.state, self.world.ctx());
                let decision = directory::first_factor_changed(state, &ctx, Some(at));
                self.world.commit(decision);
                (Said::Done, Said::Done)
            }
            Command::Directory { disabled, staff } => {
                (self.model.disabled, self.model.staff) = (*disabled, *staff);
                let groups = if *staff { vec!["staff".to_owned()] } else { Vec::new() };
                let entry = DirectoryEntry { disabled: *disabled, groups, ..DirectoryEntry::default() };
                let decision = directory::put(&self.world.state, &self.world.ctx(), &entry);
                self.world.commit(decision);
                (Said::Done, Said::Done)
            }
            Command::Erase => {
                self.model.erase();
                let decision = directory::erase(&self.world.state, &self.world.ctx());
                self.world.commit(decision);
                (Said::Done, Said::Done)
            }
        }
    }

    fn login(
        &mut self,
        first: First,
        code: Option<&Code>,
        remember: bool,
        token: Option<usize>,
        about: About,
    ) -> (Said, Said) {
        let code = code.map(|code| self.code(code));
        let label = token.map(|index| self.tokens[index].0);
        let expected = self.model.login(first, code.as_ref().map(|(_, typed)| typed), remember, label, about);
        let device = ClientClaims {
            ip_address: PLACES[about.place].0.to_owned(),
            user_agent: AGENTS[about.agent].to_owned(),
            ..client(if about.shop { "shop" } else { "web" })
        };
        let command = CheckLogin {
            first_factor: self.first(first),
            client: device,
            client_token: token.map(|index| self.tokens[index].1.clone()),
            answer: code.map(|(presented, _)| presented),
            remember_client: remember,
            purpose: if about.step_up { ChallengePurpose::StepUp } else { ChallengePurpose::Login },
        };
        let verdict = self.world.check(&command);
        (denied(expected.clone()), self.said(verdict, &denied(expected)))
    }

    fn answer(&mut self, back: usize, code: &Code, remember: bool) -> (Said, Said) {
        let Some(index) = nth_back(self.challenges.len(), back) else { return (Said::Done, Said::Done) };
        let (presented, typed) = self.code(code);
        let expected = denied(self.model.answer(Some(index), &typed, remember));
        let challenge = self.challenges[index].clone();
        let verdict = self.world.answer_and(&challenge, presented, remember);
        let said = self.said(verdict, &expected);
        (expected, said)
    }

    fn begin(&mut self, by: &By, replaces: Option<usize>, code: Option<&Code>) -> (Said, Said) {
        let Some((authority, right)) = self.authority(by) else { return (Said::Done, Said::Done) };
        let code = code.map(|code| self.code(code));
        let replaces = replaces.map(|which| self.factor(which));
        let fresh = self.world.fresh_enrollment();
        let phone = Phone { key: fresh.key.clone(), parameters: self.world.policy.totp.parameters };
        let typed = code.as_ref().map(|(_, typed)| typed);
        let named = replaces.map(|(_, app)| app.map_or(Named::Unknown, Named::Own));
        let expected = self.model.begin(right, named, typed, &phone);
        let command = BeginTotp {
            authority,
            account_label: label(),
            replaces: replaces.map(|(id, _)| id),
            code: code.map(|(presented, _)| presented),
        };
        let decision = enrollment::begin_totp(&self.world.state, &self.world.ctx(), &command, fresh);
        let said = match self.world.commit(decision) {
            Ok(begun) => {
                self.phones.push((begun.id, Phone::of(&begun)));
                Said::Done
            }
            Err(denial) => Said::Denied(reason(&denial)),
        };
        (denied(expected), said)
    }

    fn confirm(
        &mut self,
        back: usize,
        by: &By,
        code: &Code,
        existing: Option<&Code>,
        chosen: Option<usize>,
    ) -> (Said, Said) {
        let (Some((authority, right)), Some(index)) = (self.authority(by), nth_back(self.phones.len(), back))
        else {
            return (Said::Done, Said::Done);
        };
        // The new app is the one that the code is meant of; `back` counts from there.
        let ((presented, typed), existing) = (self.code(code), existing.map(|code| self.code(code)));
        let expected =
            self.model.confirm(Some(index), right, &typed, existing.as_ref().map(|(_, typed)| typed), chosen);
        let command = Confirm {
            id: self.phones[index].0,
            authority,
            code: presented,
            existing_code: existing.map(|(presented, _)| presented),
            display_name: chosen.map(|index| name(NAMES[index])),
        };
        let said = match self.world.confirm(&command) {
            Ok(confirmed) => {
                self.keep_paper(confirmed.recovery_codes.as_ref());
                let login = confirmed
                    .login
                    .map(|allowed| assert_eq!(allowed.ground.assurance(), Assurance::Verified));
                Said::Confirmed { new_paper: confirmed.recovery_codes.is_some(), login: login.is_some() }
            }
            Err(denial) => Said::Denied(reason(&denial)),
        };
        (denied(expected), said)
    }

    fn revoke(&mut self, which: Option<usize>) -> (Said, Said) {
        let named = |back| nth_back(self.devices.len(), back).map_or(Named::Unknown, Named::Own);
        let which = which.map(named);
        let revocation = match which {
            None => Revocation::All,
            Some(Named::Unknown) => Revocation::Some(vec![ClientId::from_uuid(uuid::Uuid::nil())]),
            Some(Named::Own(number)) => Revocation::Some(vec![self.devices[number]]),
        };
        let expected = self.model.revoke(which);
        (expected, done(self.world.revoke(&revocation).map(|_| ())))
    }

    fn care(&mut self, care: Care) -> (Said, Said) {
        let actor = Actor {
            principal: Principal::Operator("operator".to_owned()),
            ..session(&self.world.user, None)
        };
        let nobody = UserState::default();
        let command = Delegated {
            by: Party { actor: &actor, state: &nobody },
            actor_code: None,
            second: None,
            justification: "asked",
            preview: false,
        };
        let id = TicketId::from_uuid(self.world.draw_id());
        let (state, ctx) = (&self.world.state, self.world.ctx());
        let decision = match care {
            Care::Reset => team::reset_member(state, &ctx, &command),
            Care::Disable => team::disable_member(state, &ctx, &command),
            Care::Unlock => team::unlock_member(state, &ctx, &command),
            Care::IssueTicket => {
                let decision = team::issue_ticket(state, &ctx, &command, id);
                let issued = self.world.commit(decision);
                let expected = denied(self.model.issue_ticket());
                return match issued {
                    Ok(issued) => {
                        self.tickets.push(issued.ticket);
                        (expected, Said::MustEnroll { ticket: true })
                    }
                    Err(denial) => (expected, Said::Denied(reason(&denial))),
                };
            }
        };
        let said = done(self.world.commit(decision));
        let expected = match care {
            Care::Reset => self.model.reset(),
            Care::Disable => self.model.switch_off_by_others(),
            Care::Unlock | Care::IssueTicket => self.model.unlock(),
        };
        (denied(expected), said)
    }

    // What is typed and shown.

    fn code(&mut self, code: &Code) -> (PresentedProof, Typed) {
        let digits = self.world.policy.totp.parameters.digits.count();
        let presented = match code {
            Code::App { back, ahead } => match nth_back(self.phones.len(), *back) {
                Some(index) => self.phones[index].1.code_off(self.world.now, *ahead),
                None => typed(&"1".repeat(digits)),
            },
            Code::Paper { back } => match nth_back(self.papers.len(), *back) {
                Some(index) => PresentedProof::Recovery(self.papers[index].clone()),
                None => typed(&"0".repeat(25)),
            },
            Code::Guess(guess) => typed(&guess.to_string().repeat(digits)),
            Code::PaperGuess => typed(&"7".repeat(25)),
            Code::OtherDigits => typed(&"1".repeat(14 - digits)),
        };
        let seen = match presented.clone() {
            PresentedProof::Otp(code) => Typed::Digits(code),
            PresentedProof::Recovery(code) => Typed::Paper(code),
            PresentedProof::SecurityKey(_) => unreachable!("no command of the model presents a security key"),
        };
        (presented, seen)
    }

    fn first(&self, first: First) -> Option<FirstFactor> {
        let now = self.world.now;
        let oldest = now.minus(self.world.policy.first_factor.max_age);
        match first {
            First::Fresh => Some(password(now)),
            First::Oldest => Some(password(oldest)),
            First::Stale => Some(password(oldest.minus(Duration::from_secs(1)))),
            First::Federated => Some(federated(now, &["pwd", "mfa"])),
            First::Missing => None,
        }
    }

    fn proofs(&self, first: First, code: Option<(PresentedProof, Typed)>) -> Proofs {
        Proofs { first_factor: self.first(first), code: code.map(|(presented, _)| presented) }
    }

    fn authority(&self, by: &By) -> Option<(Authority, Right)> {
        Some(match by {
            By::Session(first) => {
                (Authority::Session(session(&self.world.user, self.first(*first))), Right::Session(*first))
            }
            By::Stranger => {
                let stranger = session(&user_ref("acme", "bob"), Some(password(self.world.now)));
                (Authority::Session(stranger), Right::Stranger)
            }
            By::Ticket { back } => {
                let index = nth_back(self.tickets.len(), *back)?;
                (self.world.by_ticket(&self.tickets[index]), Right::Ticket(Some(index)))
            }
        })
    }

    /// An authenticator by its place, or one that is not there, and its app.
    fn factor(&mut self, which: usize) -> (AuthenticatorId, Option<usize>) {
        let unknown = AuthenticatorId::from_uuid(self.world.draw_id());
        let authenticators = &self.world.state.authenticators;
        // The highest number of the strategy names none.
        let place = which.checked_rem(authenticators.len()).filter(|_| which < 3);
        let own = place.map(|place| &authenticators[place]);
        own.map_or((unknown, None), |own| {
            let totp = own.credential.totp().unwrap();
            (own.id, self.phones.iter().position(|(_, phone)| phone.key == totp.key))
        })
    }

    // What is said and kept.

    fn keep_paper(&mut self, codes: Option<&IssuedCodes>) {
        if let Some(codes) = codes {
            self.papers.extend(codes.codes.iter().cloned());
            self.model.paper = Some(codes.codes.iter().map(|code| (code.clone(), false)).collect());
        }
    }

    /// A verdict in the model's words. A token is named as the model expects; that the very same token comes again
    /// where it should, and a new one where it should not, is checked here.
    fn said(&mut self, verdict: Result<Verdict, Denial>, expected: &Said) -> Said {
        match verdict {
            Err(denial) => Said::Denied(reason(&denial)),
            Ok(Verdict::Refused(RefusedReason::CodeNotAccepted)) => Said::Refused("code"),
            Ok(Verdict::Refused(RefusedReason::UserDisabled)) => Said::Refused("disabled account"),
            Ok(Verdict::Refused(RefusedReason::TwoFactorNotEnabled)) => Said::Refused("no second factor"),
            Ok(Verdict::ChallengeRequired(offer)) => {
                assert!(!offer.methods.is_empty(), "B20");
                self.challenges.push(offer.challenge);
                Said::Asked
            }
            Ok(Verdict::LockedOut(locked)) => {
                let open = locked.still_open.is_some();
                // Who answered a challenge is handed that one again.
                let offered = locked.still_open.map(|offer| offer.challenge);
                self.challenges.extend(offered.filter(|offered| !self.challenges.contains(offered)));
                let retry = locked.retry_after.map(|span| i64::try_from(span.as_secs()).unwrap());
                Said::LockedOut { retry, open }
            }
            Ok(Verdict::EnrollmentRequired(stop)) => {
                let ticket = stop.ticket.is_some();
                self.tickets.extend(stop.ticket.map(|issued| issued.ticket));
                Said::MustEnroll { ticket }
            }
            Ok(Verdict::Allowed(allowed)) => {
                self.keep_paper(allowed.ground.reissued_codes());
                let named = if let Said::Allowed { token, .. } = expected { *token } else { None };
                let token = allowed.ground.remembered_client().map(|given| self.keep_token(given, named));
                Said::Allowed {
                    how: allowed.ground.assurance(),
                    left: allowed.recovery_codes_remaining,
                    due: allowed.ground.due_time().map(Timestamp::unix_seconds),
                    token,
                    new_paper: allowed.ground.reissued_codes().is_some(),
                }
            }
        }
    }

    fn keep_token(&mut self, given: &ClientToken, named: Option<Token>) -> Token {
        let named = named.expect("a token where the model expects none");
        if let Some((_, same)) = self.tokens.iter().find(|(name, _)| *name == named) {
            assert_eq!(*same, given.token, "ruling 14: a lost reply gets the very same token");
            return named;
        }
        assert!(self.tokens.iter().all(|(_, other)| *other != given.token), "R38: a token came twice");
        if named.0 == self.devices.len() {
            self.devices.push(self.world.state.clients.last().expect("the client is remembered").id);
        }
        self.tokens.push((named, given.token.clone()));
        named
    }

    /// Compares what the model takes the user to be with the state.
    fn compare(&mut self, command: &Command) {
        self.model.tidy();
        let (state, now) = (self.world.state.settled(self.world.now), self.world.now);
        let model = &self.model;
        let factors: Vec<_> = state
            .authenticators
            .iter()
            .map(|own| {
                let totp = own.credential.totp().unwrap();
                let dead = matches!(own.standing, Standing::Disabled { .. });
                (totp.last_step.number(), own.consecutive_failures, dead, own.display_name.fold_key())
            })
            .collect();
        let expected: Vec<_> = model
            .factors
            .iter()
            .map(|factor| (factor.used, factor.misses, factor.dead, factor.name.clone()))
            .collect();
        assert_eq!(factors, expected, "{command:?}");

        let pending = state.pending.first().map(|pending| (pending.id, pending.tries_left));
        let waiting = model.waiting.as_ref().map(|waiting| (self.phones[waiting.app].0, waiting.tries));
        assert_eq!(pending, waiting, "{command:?}");

        let used = state
            .recovery
            .as_ref()
            .map(|set| set.codes.iter().map(|code| code.used_time.is_some()).collect::<Vec<_>>());
        let paper = model.paper.as_ref().map(|paper| paper.iter().map(|(_, used)| *used).collect());
        assert_eq!(used, paper, "{command:?}");

        let failures = &state.failures;
        let window = self.world.policy.lockout.rolling_window;
        let recent: Vec<_> = failures
            .recent
            .iter()
            .copied()
            .filter(|time| now.since(*time) < window)
            .map(Timestamp::unix_seconds)
            .collect();
        let missed: Vec<_> = model
            .missed_at
            .iter()
            .copied()
            .filter(|time| model.now - time < i64::try_from(window.as_secs()).unwrap())
            .collect();
        assert_eq!((failures.consecutive, recent), (model.misses, missed), "{command:?}");
        let shut = (model.shut_until > model.now).then_some(model.shut_until);
        assert_eq!(failures.locked_until(now).map(Timestamp::unix_seconds), shut, "{command:?}");

        let (questions, tickets) = model.open();
        let opened = |challenge: &SecretString| {
            token::open_challenge(&self.world.digests.tokens, challenge.expose()).unwrap().id
        };
        let questions: Vec<_> = questions.iter().map(|number| opened(&self.challenges[*number])).collect();
        let challenges: Vec<_> = state.challenges.iter().map(|open| open.id).collect();
        assert_eq!((challenges, state.tickets.len()), (questions, tickets.len()), "{command:?}");
        let mut clients: Vec<_> = state.clients.iter().map(|client| (client.id, client.generation)).collect();
        let mut devices: Vec<_> =
            model.devices.iter().map(|device| (self.devices[device.number], device.token)).collect();
        clients.sort_unstable();
        devices.sort_unstable();
        assert_eq!(clients, devices, "{command:?}");

        let requirement = state.requirement;
        assert_eq!(
            (requirement.grace_started.map(Timestamp::unix_seconds), requirement.must_enroll),
            (model.grace_from, model.obliged),
            "{command:?}"
        );
        let asked = state.reset_request.as_ref().map(|request| request.create_time.unix_seconds());
        assert_eq!(asked, model.help_since, "{command:?}");
        let changed = state.first_factor_since.map(Timestamp::unix_seconds);
        assert_eq!(changed, model.changed, "{command:?}");
        assert_eq!((model.questions_asked, model.tickets_given), (self.challenges.len(), self.tickets.len()));
    }
}

fn done<T>(outcome: Result<T, Denial>) -> Said {
    match outcome {
        Ok(_) => Said::Done,
        Err(denial) => Said::Denied(reason(&denial)),
    }
}

fn denied(answer: Result<Said, &'static str>) -> Said {
    answer.unwrap_or_else(Said::Denied)
}

/// A denial by the model's names.
fn reason(denial: &Denial) -> &'static str {
    match denial {
        Denial::ProofRequired { .. } => "proof required",
        Denial::FirstFactorStale { .. } => "stale",
        Denial::FieldInvalid { .. } => "field",
        Denial::ProofIncorrect { .. } | Denial::ConfirmationIncorrect { .. } => "incorrect",
        Denial::UserLocked { .. } => "locked",
        Denial::ChallengeInvalid => "challenge",
        Denial::EnrollmentExpired => "enrollment",
        Denial::EnrollmentTicketInvalid => "ticket",
        Denial::ActorNotSubject => "not subject",
        Denial::ResourceNotFound { .. } => "not found",
        Denial::AuthenticatorLimitReached { .. } => "limit",
        Denial::AuthenticatorExists => "exists",
        Denial::DisplayNameExists => "name",
        Denial::LastAuthenticator => "last",
        Denial::TwoFactorMandatory => "mandatory",
        Denial::TwoFactorNotEnabled => "not on",
        Denial::ActionNotAllowed { .. } => "not allowed",
        Denial::RecoveryCodesOff => "codes off",
        other => panic!("no rule of the model denies with {other:?}"),
    }
}
