//! What one user owns, and what it can become in one commit.

use super::Generator;
use countersign_domain::ids::{
    AuthenticatorId, ChallengeId, ClientId, EnrollmentId, Epoch, RecoverySetId, ResetRequestId, SendId,
    TeamId, TicketId,
};
use countersign_domain::otp::{Algorithm, Digits, Period, Step, TotpKey, TotpParameters};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::security_key::{CredentialId, SecurityKey, Transport};
use countersign_domain::text::{AccountLabel, DisplayName};
use countersign_domain::user::{
    Authenticator, Challenge, ChallengePurpose, Credential, DirectoryEntry, Failures, LastWrong,
    PendingCredential, PendingEnrollment, PendingSms, RecoveryEntry, RecoverySet, RememberedClient,
    RequirementState, ResetRequest, Role, SentCode, SmsCredential, Standing, TeamMembership, Ticket,
    TicketIssuer, TotpCredential, UserState,
};
use std::time::Duration;

impl Generator {
    /// Any state of a user.
    pub fn state(&self) -> UserState {
        let mut state = UserState {
            authenticators: self.some(4, Self::authenticator),
            pending: self.some(1, Self::pending),
            recovery: self.maybe(Self::recovery_set),
            challenges: self.some(Challenge::MAX_OPEN as u64, Self::challenge),
            tickets: self.some(Ticket::MAX_OPEN as u64, Self::ticket),
            clients: self.some(5, Self::client),
            directory: self.maybe(Self::directory),
            ..UserState::default()
        };
        self.draw_core(&mut state);
        state
    }

    /// A state that one commit could make of `old`: rows leave, change in place, or come last.
    pub fn evolve(&self, old: &UserState) -> UserState {
        let mut next = old.clone();
        if self.one_in(2) {
            self.draw_core(&mut next);
        }
        self.evolve_rows(&mut next.authenticators, 4, Self::authenticator, Self::change_authenticator);
        self.evolve_rows(&mut next.pending, 1, Self::pending, |draw, row| {
            row.tries_left = u32::try_from(draw.random.below(11)).expect("at most ten");
            if draw.one_in(3) {
                // As a closed one stays.
                row.expire_time = row.create_time;
            }
        });
        self.evolve_recovery(&mut next.recovery);
        // Challenges and tickets never change: they come and go.
        self.evolve_rows(&mut next.challenges, Challenge::MAX_OPEN, Self::challenge, |_, _| {});
        self.evolve_rows(&mut next.tickets, Ticket::MAX_OPEN, Self::ticket, |_, _| {});
        self.evolve_rows(&mut next.clients, 5, Self::client, |draw, row| {
            *row = RememberedClient { id: row.id, ..draw.client() };
        });
        if self.one_in(3) {
            next.directory = self.maybe(Self::directory);
        }
        next
    }

    fn evolve_rows<T>(
        &self,
        rows: &mut Vec<T>,
        most: usize,
        draw: impl Fn(&Self) -> T,
        change: impl Fn(&Self, &mut T),
    ) {
        rows.retain(|_| !self.one_in(4));
        for row in rows.iter_mut().filter(|_| self.one_in(2)) {
            change(self, row);
        }
        while rows.len() < most && self.one_in(2) {
            rows.push(draw(self));
        }
    }

    fn draw_core(&self, state: &mut UserState) {
        state.epoch = Epoch(self.long());
        state.state_since = self.maybe(Self::time);
        // Not drawn by itself: tests rely on what their seeds give.
        let since = state.state_since.filter(|_| state.epoch.0.is_multiple_of(2));
        state.first_factor_since = since.map(|time| time.minus(Duration::from_secs(1)));
        state.failures = Failures {
            consecutive: self.number(),
            locked_until: self.maybe(Self::time),
            recent: self.some(100, Self::time),
            last_wrong: self.maybe(|draw| LastWrong { digest: draw.digest(), time: draw.time() }),
        };
        state.requirement =
            RequirementState { grace_started: self.maybe(Self::time), must_enroll: self.one_in(2) };
        state.reset_request = self.maybe(|draw| ResetRequest {
            id: ResetRequestId::at(draw.time(), draw.random.bytes()),
            reason: draw.text(500),
            create_time: draw.time(),
        });
    }

    fn authenticator(&self) -> Authenticator {
        Authenticator {
            id: AuthenticatorId::at(self.time(), self.random.bytes()),
            display_name: self.display_name(),
            named: self.one_in(2),
            create_time: self.time(),
            last_use_time: self.maybe(Self::time),
            consecutive_failures: self.number(),
            standing: self.standing(),
            credential: match self.random.below(3) {
                0 => {
                    let sent = self.maybe(Self::sent);
                    Credential::Sms(SmsCredential { number: self.phone_number(), sent })
                }
                1 => Credential::SecurityKey(self.security_key()),
                _ => Credential::Totp(TotpCredential {
                    key: self.key(),
                    parameters: self.parameters(),
                    last_step: Step::new(self.random.below(1 << 40)),
                }),
            },
        }
    }

    fn phone_number(&self) -> PhoneNumber {
        let number = format!("+{}", 10_000_000 + self.random.below(1 << 40));
        PhoneNumber::parse(&number).expect("a number that fits its rules")
    }

    fn security_key(&self) -> SecurityKey {
        let length = usize::try_from(self.random.below(100)).expect("a small number") + 1;
        SecurityKey {
            id: CredentialId::new(self.random.bytes::<100>()[..length].to_vec()).expect("a length in range"),
            public_key: self.random.bytes::<77>().to_vec(),
            sign_count: self.number(),
            user_verified: self.one_in(2),
            backup_eligible: self.one_in(2),
            backed_up: self.one_in(2),
            transports: Transport::ALL.into_iter().filter(|_| self.one_in(2)).collect(),
        }
    }

    fn sent(&self) -> SentCode {
        SentCode {
            id: SendId::at(self.time(), self.random.bytes()),
            key: self.digest().key,
            challenge: ChallengeId::at(self.time(), self.random.bytes()),
            send_time: self.time(),
            expire_time: self.time(),
            used_time: self.maybe(Self::time),
        }
    }

    /// Uses it, or changes everything that may change of it.
    fn change_authenticator(&self, row: &mut Authenticator) {
        row.last_use_time = self.maybe(Self::time);
        row.consecutive_failures = self.number();
        match &mut row.credential {
            Credential::Totp(totp) => {
                totp.last_step = Step::new(totp.last_step.number() + self.random.below(3));
            }
            // Used, or another one.
            Credential::Sms(sms) => match &mut sms.sent {
                Some(sent) if sent.used_time.is_none() => sent.used_time = Some(self.time()),
                sent => *sent = Some(self.sent()),
            },
            Credential::SecurityKey(key) => {
                key.sign_count = key.sign_count.saturating_add(self.number() % 3);
                key.backed_up = self.one_in(2);
            }
        }
        if self.one_in(3) {
            row.display_name = self.display_name();
            row.named = true;
            row.standing = self.standing();
        }
    }

    fn standing(&self) -> Standing {
        if self.one_in(2) { Standing::Active } else { Standing::Disabled { since: self.time() } }
    }

    /// A name that no other draw gives: names are unique per user.
    fn display_name(&self) -> DisplayName {
        let name =
            format!("{} {:x}", self.pick(&["Phone", "Téléphone", "'; --", "手机 🔑"]), self.random.next());
        DisplayName::parse(&name).expect("a name that fits its rules")
    }

    fn key(&self) -> TotpKey {
        let length = match self.random.below(4) {
            0 => TotpKey::MIN_LEN,
            1 => TotpKey::MAX_LEN,
            _ => TotpKey::GENERATED_LEN,
        };
        TotpKey::new(self.random.bytes::<{ TotpKey::MAX_LEN }>()[..length].to_vec())
            .expect("a length in range")
    }

    fn parameters(&self) -> TotpParameters {
        TotpParameters {
            algorithm: self.pick(&Algorithm::ALL),
            digits: self.pick(&[Digits::Six, Digits::Eight]),
            period: Period::new(self.pick(&[15, 30, 60, 120])).expect("a period in range"),
        }
    }

    fn pending(&self) -> PendingEnrollment {
        let account_label = AccountLabel::parse(self.pick(&["ann@example.com", "Zoë O'Hara", "账户"]));
        PendingEnrollment {
            id: EnrollmentId::at(self.time(), self.random.bytes()),
            credential: match self.random.below(3) {
                0 => PendingCredential::Sms(PendingSms {
                    number: self.phone_number(),
                    send: SendId::at(self.time(), self.random.bytes()),
                    key: self.digest().key,
                }),
                1 => PendingCredential::SecurityKey,
                _ => PendingCredential::Totp {
                    key: self.key(),
                    parameters: self.parameters(),
                    account_label: account_label.expect("a label that fits its rules"),
                },
            },
            replaces: self.maybe(|draw| AuthenticatorId::at(draw.time(), draw.random.bytes())),
            tries_left: u32::try_from(self.random.below(11)).expect("at most ten"),
            create_time: self.time(),
            expire_time: self.time(),
            epoch: Epoch(self.long()),
        }
    }

    fn recovery_set(&self) -> RecoverySet {
        RecoverySet {
            id: RecoverySetId::at(self.time(), self.random.bytes()),
            create_time: self.time(),
            codes: self
                .some(20, |draw| RecoveryEntry { digest: draw.digest(), used_time: draw.maybe(Self::time) }),
        }
    }

    /// Some codes are used up, or there is another set, or none.
    fn evolve_recovery(&self, recovery: &mut Option<RecoverySet>) {
        if self.one_in(3) {
            *recovery = self.maybe(Self::recovery_set);
            return;
        }
        let codes = recovery.iter_mut().flat_map(|set| &mut set.codes);
        for code in codes.filter(|code| code.used_time.is_none()) {
            code.used_time = if self.one_in(3) { Some(self.time()) } else { None };
        }
    }

    fn challenge(&self) -> Challenge {
        Challenge {
            id: ChallengeId::at(self.time(), self.random.bytes()),
            purpose: self.pick(&[ChallengePurpose::Login, ChallengePurpose::StepUp]),
            create_time: self.time(),
            expire_time: self.time(),
            epoch: Epoch(self.long()),
            first_factor: self.first_factor(),
            client: self.client_claims(),
        }
    }

    fn ticket(&self) -> Ticket {
        let issuer =
            if self.one_in(2) { TicketIssuer::Manager } else { TicketIssuer::Login(self.first_factor()) };
        Ticket {
            id: TicketId::at(self.time(), self.random.bytes()),
            issuer,
            expire_time: self.time(),
            epoch: Epoch(self.long()),
            client: self.client_claims(),
        }
    }

    fn client(&self) -> RememberedClient {
        RememberedClient {
            id: ClientId::at(self.time(), self.random.bytes()),
            key: self.digest().key,
            generation: self.number(),
            rotate_time: self.time(),
            application: self.text(64),
            display_name: self.text(64),
            last_ip_address: self.text(45),
            create_time: self.time(),
            last_use_time: self.time(),
            expire_time: self.time(),
            epoch: Epoch(self.long()),
        }
    }

    fn directory(&self) -> DirectoryEntry {
        let teams = self.some(6, |draw| draw.pick(&[Role::Member, Role::Manager]));
        DirectoryEntry {
            account_label: self.text(128),
            email: self.text(100),
            language_code: self.text(35),
            teams: teams
                .into_iter()
                .enumerate()
                .map(|(index, role)| TeamMembership {
                    // Descending, so that a store that sorts teams is found out.
                    team: TeamId::parse(&format!("team-{}", 9 - index)).expect("a plain team id"),
                    role,
                })
                .collect(),
            groups: self.some(5, |draw| draw.text(20)),
            disabled: self.one_in(2),
        }
    }
}
