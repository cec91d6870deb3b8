//! One user of one tenant with their state, and the commands that tests give.

use super::{DAY, MINUTE, Phone, STEP, client, document, label, laws, password, session, user_ref};
use countersign_domain::authenticators::{self, Gone};
use countersign_domain::change::{Decision, Notice};
use countersign_domain::clients::{self, Revocation};
use countersign_domain::context::Context;
use countersign_domain::denial::Denial;
use countersign_domain::digest::{DigestKeys, Digests, KeyId};
use countersign_domain::enrollment::{
    self, Authority, BeginTotp, BegunTotp, Confirm, Confirmed, FreshConfirmation, FreshEnrollment,
};
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{AuthenticatorId, UserRef};
use countersign_domain::login::{self, Allowed, AnswerChallenge, CheckLogin, LoginFresh, Offer, Verdict};
use countersign_domain::otp::TotpKey;
use countersign_domain::policy::{Policy, PolicyDocument, Preset};
use countersign_domain::presented::PresentedProof;
use countersign_domain::proof::Proofs;
use countersign_domain::recovery::{self, FreshSet, IssuedCodes};
use countersign_domain::restore;
use countersign_domain::secret::{SecretBytes, SecretString};
use countersign_domain::status::{Status, status};
use countersign_domain::text::DisplayName;
use countersign_domain::time::Timestamp;
use countersign_domain::token;
use countersign_domain::user::{ChallengePurpose, ClientClaims, PendingCredential, UserState};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// One user, with everything that a decision is given.
#[derive(Debug, Clone)]
pub struct World {
    pub user: UserRef,
    pub policy: Policy,
    /// Since when the policy is in force.
    pub policy_since: Timestamp,
    pub digests: Digests,
    /// Whether the service has a gateway for text messages.
    pub gateway: bool,
    pub now: Timestamp,
    pub state: UserState,
    /// Events of the last decision.
    pub events: Vec<Event>,
    /// What the owner was told of by the last decision.
    pub told: Option<EventType>,
    /// The same, and what they were told of besides.
    pub all_told: Vec<EventType>,
    drawn: u64,
    guessed: u32,
}

impl World {
    /// A user nobody has heard of, under a preset.
    pub fn new(preset: Preset) -> Self {
        Self::with(preset, |_| ())
    }

    /// The same under a changed preset.
    pub fn with(preset: Preset, change: impl FnOnce(&mut PolicyDocument)) -> Self {
        let mut document = document(preset);
        change(&mut document);
        Self::under(document.validated().unwrap(), user_ref("acme", "ann"))
    }

    /// That user under that policy.
    pub fn under(policy: Policy, user: UserRef) -> Self {
        let keys = |byte: u8| {
            DigestKeys::new(BTreeMap::from([(KeyId(1), SecretBytes::new(vec![byte; 32]))])).unwrap()
        };
        let digests =
            Digests { recovery_codes: keys(1), tokens: keys(2), guesses: keys(3), text_messages: keys(4) };
        Self {
            user,
            policy,
            policy_since: super::START,
            digests,
            gateway: true,
            now: super::START,
            state: UserState::default(),
            events: Vec::new(),
            told: None,
            all_told: Vec::new(),
            drawn: 0,
            guessed: 0,
        }
    }

    /// A user with one authenticator app, and the app.
    pub fn on(preset: Preset) -> (Self, Phone) {
        Self::on_with(preset, |_| ())
    }

    /// The same under a changed preset.
    pub fn on_with(preset: Preset, change: impl FnOnce(&mut PolicyDocument)) -> (Self, Phone) {
        let mut world = Self::with(preset, change);
        let phone = world.enroll();
        (world, phone)
    }

    /// Another user of the same tenant at the same time, who has drawn other random numbers.
    pub fn neighbour(&self, user: UserRef) -> Self {
        let other = Self::under(self.policy.clone(), user);
        let Self { now, policy_since, drawn, .. } = *self;
        Self { now, policy_since, drawn: drawn + 1_000_000, ..other }
    }

    /// Changes the policy under the user's feet.
    pub fn set_policy(&mut self, change: impl FnOnce(&mut PolicyDocument)) {
        let mut document = PolicyDocument::clone(&self.policy);
        change(&mut document);
        self.policy = document.validated().unwrap();
        self.policy_since = self.now;
    }

    pub fn ctx(&self) -> Context<'_> {
        Context {
            user: &self.user,
            policy: &self.policy,
            policy_since: self.policy_since,
            digests: &self.digests,
            keys: &countersign_webauthn::WebAuthn,
            gateway: self.gateway,
            now: self.now,
        }
    }

    pub fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    /// Commits a decision, as a store would, and holds it to the laws of all decisions.
    pub fn commit<T>(&mut self, decision: Decision<T>) -> T {
        laws::hold(&self.state, &decision, self.now);
        let told = |notice: &Notice| decision.effect.own.events[notice.event].kind;
        self.all_told = decision.effect.own.notices.iter().map(told).collect();
        self.told = self.all_told.first().copied();
        self.events = decision.effect.own.events;
        self.state = decision.effect.own.next;
        decision.outcome
    }

    /// Kinds of the events of the last decision.
    pub fn kinds(&self) -> Vec<EventType> {
        self.events.iter().map(|event| event.kind).collect()
    }

    /// A detail of the last decision's events.
    pub fn detail(&self, name: &str) -> Option<&str> {
        let mut details = self.events.iter().flat_map(|event| &event.details);
        details.find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A number that was never drawn before, spread over 64 bits.
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        // The finaliser of splitmix64: neighbours share no pattern.
        let mut mixed = self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn draw_id(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.draw(), self.draw())
    }

    fn draw_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.draw().to_be_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    pub fn fresh_set(&mut self) -> FreshSet {
        let id = countersign_domain::ids::RecoverySetId::from_uuid(self.draw_id());
        FreshSet { id, entropy: SecretBytes::new(self.draw_bytes(FreshSet::ENTROPY)) }
    }

    pub fn fresh_login(&mut self) -> LoginFresh {
        use countersign_domain::ids::{ChallengeId, ClientId, TicketId};
        LoginFresh {
            challenge: ChallengeId::from_uuid(self.draw_id()),
            ticket: TicketId::from_uuid(self.draw_id()),
            client: ClientId::from_uuid(self.draw_id()),
            recovery: self.fresh_set(),
        }
    }

    pub fn fresh_enrollment(&mut self) -> FreshEnrollment {
        let id = countersign_domain::ids::EnrollmentId::from_uuid(self.draw_id());
        FreshEnrollment { id, key: TotpKey::new(self.draw_bytes(TotpKey::GENERATED_LEN)).unwrap() }
    }

    pub fn fresh_confirmation(&mut self) -> FreshConfirmation {
        FreshConfirmation { id: AuthenticatorId::from_uuid(self.draw_id()), recovery: self.fresh_set() }
    }

    /// A code that none of the user's keys shows now or, where a confirmation could tell how far off it is, within 25
    /// steps; another one with each call.
    pub fn wrong(&mut self) -> PresentedProof {
        let keys = self.keys();
        let digits = self.policy.totp.parameters.digits.count();
        let reach = if self.state.pending.is_empty() { 2 } else { 25 };
        loop {
            self.guessed += 1;
            let code = PresentedProof::parse(&format!("{:0digits$}", self.guessed)).unwrap();
            if !keys.iter().any(|phone| (-reach..=reach).any(|off| phone.code_off(self.now, off) == code)) {
                return code;
            }
        }
    }

    /// Every key of the user, pending and disabled ones included.
    fn keys(&self) -> Vec<Phone> {
        let own = self.state.authenticators.iter().filter_map(|own| own.credential.totp());
        let own = own.map(|totp| Phone { key: totp.key.clone(), parameters: totp.parameters });
        let pending = self.state.pending.iter().filter_map(|pending| match &pending.credential {
            PendingCredential::Totp { key, parameters, .. } => {
                Some(Phone { key: key.clone(), parameters: *parameters })
            }
            PendingCredential::Sms(_) | PendingCredential::SecurityKey => None,
        });
        own.chain(pending).collect()
    }

    /// The id of the authenticator that has this phone's key.
    pub fn id_of(&self, phone: &Phone) -> AuthenticatorId {
        let mut own = self.state.authenticators.iter();
        let own = own.find(|own| own.credential.totp().is_some_and(|totp| totp.key == phone.key));
        own.expect("the phone is an authenticator of the user").id
    }

    /// The user's own session, fresh from the password.
    pub fn authority(&self) -> Authority {
        Authority::Session(session(&self.user, Some(password(self.now))))
    }

    /// The authority of a ticket as somebody presents it.
    pub fn by_ticket(&self, ticket: &SecretString) -> Authority {
        let opened = token::open_ticket(&self.digests.tokens, ticket.expose()).expect("a ticket of ours");
        Authority::Ticket(opened, ClientClaims::default())
    }

    /// A command to begin that lacks nothing but a code.
    pub fn begin_command(&self) -> BeginTotp {
        BeginTotp { authority: self.authority(), account_label: label(), replaces: None, code: None }
    }

    pub fn begin(&mut self, command: &BeginTotp) -> Result<BegunTotp, Denial> {
        let fresh = self.fresh_enrollment();
        let decision = enrollment::begin_totp(&self.state, &self.ctx(), command, fresh);
        self.commit(decision)
    }

    /// Begins as the user and takes the key into a phone.
    pub fn begun(&mut self) -> (BegunTotp, Phone) {
        let begun = self.begin(&self.begin_command()).unwrap();
        let phone = Phone::of(&begun);
        (begun, phone)
    }

    /// A command to confirm as the user, without a name.
    pub fn confirm_command(&self, begun: &BegunTotp, code: PresentedProof) -> Confirm {
        let authority = self.authority();
        Confirm { id: begun.id, authority, code, existing_code: None, display_name: None }
    }

    pub fn confirm(&mut self, command: &Confirm) -> Result<Confirmed, Denial> {
        let fresh = self.fresh_confirmation();
        let decision = enrollment::confirm(&self.state, &self.ctx(), command, &fresh);
        self.commit(decision)
    }

    /// Enrolls an app as the user, and lets a step pass so that the app shows a code that is not consumed.
    pub fn enroll(&mut self) -> Phone {
        self.enroll_with_codes().0
    }

    /// The same, with the recovery codes that came along.
    pub fn enroll_with_codes(&mut self) -> (Phone, Option<IssuedCodes>) {
        let (begun, phone) = self.begun();
        let confirmed = self.confirm(&self.confirm_command(&begun, phone.code(self.now))).unwrap();
        self.pass(STEP);
        (phone, confirmed.recovery_codes)
    }

    /// A login from the web application, fresh from the password, without an answer.
    pub fn login(&self) -> CheckLogin {
        CheckLogin {
            first_factor: Some(password(self.now)),
            client: client("web"),
            client_token: None,
            answer: None,
            remember_client: false,
            purpose: ChallengePurpose::Login,
        }
    }

    /// The same with a code.
    pub fn login_with(&self, code: PresentedProof) -> CheckLogin {
        CheckLogin { answer: Some(code), ..self.login() }
    }

    pub fn check(&mut self, command: &CheckLogin) -> Result<Verdict, Denial> {
        let fresh = self.fresh_login();
        let decision = login::check(&self.state, &self.ctx(), command, &fresh);
        self.commit(decision)
    }

    /// Logs in with a code that must do.
    pub fn log_in(&mut self, code: PresentedProof) -> Allowed {
        match self.check(&self.login_with(code)) {
            Ok(Verdict::Allowed(allowed)) => allowed,
            other => panic!("{other:?}"),
        }
    }

    /// Logs in without a code and takes the challenge.
    pub fn challenged(&mut self) -> Offer {
        match self.check(&self.login()) {
            Ok(Verdict::ChallengeRequired(offer)) => offer,
            other => panic!("{other:?}"),
        }
    }

    pub fn answer(&mut self, challenge: &SecretString, code: PresentedProof) -> Result<Verdict, Denial> {
        self.answer_and(challenge, code, false)
    }

    pub fn answer_and(
        &mut self,
        challenge: &SecretString,
        code: PresentedProof,
        remember_client: bool,
    ) -> Result<Verdict, Denial> {
        let challenge = token::open_challenge(&self.digests.tokens, challenge.expose()).expect("one of ours");
        let command = AnswerChallenge { challenge, answer: code, remember_client };
        let fresh = self.fresh_login();
        let decision = login::answer(&self.state, &self.ctx(), &command, &fresh);
        self.commit(decision)
    }

    /// Proofs with a fresh password and that code.
    pub fn proofs(&self, code: Option<PresentedProof>) -> Proofs {
        Proofs { first_factor: Some(password(self.now)), code }
    }

    pub fn disable(&mut self, proofs: &Proofs) -> Result<Gone, Denial> {
        let decision = authenticators::disable(&self.state, &self.ctx(), proofs);
        self.commit(decision)
    }

    pub fn remove(&mut self, id: AuthenticatorId, proofs: &Proofs) -> Result<Gone, Denial> {
        let decision = authenticators::remove(&self.state, &self.ctx(), id, proofs);
        self.commit(decision)
    }

    pub fn rename(&mut self, id: AuthenticatorId, name: &DisplayName) -> Result<(), Denial> {
        let decision = authenticators::rename(&self.state, &self.ctx(), id, name);
        self.commit(decision)
    }

    pub fn generate(&mut self, proofs: &Proofs) -> Result<IssuedCodes, Denial> {
        let fresh = self.fresh_set();
        let decision = recovery::generate(&self.state, &self.ctx(), proofs, &fresh);
        self.commit(decision)
    }

    pub fn revoke(&mut self, revocation: &Revocation) -> Result<usize, Denial> {
        let decision = clients::revoke(&self.state, &self.ctx(), revocation);
        self.commit(decision)
    }

    pub fn make_safe(&mut self, recovery_codes: bool) {
        let decision = restore::make_safe(&self.state, &self.ctx(), recovery_codes);
        self.commit(decision);
    }

    pub fn status(&self) -> Status {
        status(&self.state, &self.ctx())
    }

    /// A password from just beyond the policy's limit.
    pub fn stale(&self) -> countersign_domain::user::FirstFactor {
        password(self.now.minus(self.policy.first_factor.max_age).minus(Duration::from_micros(1)))
    }

    /// Makes wrong guesses, waiting out every delay, until the only authenticator is disabled.
    pub fn guess_until_disabled(&mut self) {
        while self.state.has_active() {
            self.pass(
                self.state.failures.locked_until(self.now).map_or(MINUTE, |until| until.since(self.now)),
            );
            let wrong = self.wrong();
            self.check(&self.login_with(wrong)).unwrap();
        }
        // Past every delay, so that only the hard cap is left.
        self.pass(2 * DAY);
    }
}
