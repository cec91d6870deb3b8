//! Arbitrary states and parts of commands, read out of a list of numbers: extremes as often as everything else, and ids
//! out of a handful, so that things are found, missed and found twice.

use countersign_domain::actor::{Actor, Principal};
use countersign_domain::digest::{Digest, KeyId};
use countersign_domain::ids::{
    AuthenticatorId, ChallengeId, ClientId, EnrollmentId, Epoch, RecoverySetId, RequestId, ResetRequestId,
    SendId, TeamId, TicketId, UserId,
};
use countersign_domain::otp::{Algorithm, Digits, Period, Step, TotpKey, TotpParameters};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::policy::FirstFactorMethod;
use countersign_domain::security_key::{CredentialId, SecurityKey, Transport};
use countersign_domain::text::{AccountLabel, DisplayName};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    Authenticator, Challenge, ChallengePurpose, ClientClaims, Credential, DirectoryEntry, Failures,
    FirstFactor, LastWrong, PendingCredential, PendingEnrollment, PendingSms, RecoveryEntry, RecoverySet,
    RememberedClient, RequirementState, ResetRequest, Role, SentCode, SmsCredential, Standing,
    TeamMembership, Ticket, TicketIssuer, TotpCredential, UserState,
};
use uuid::Uuid;

/// An id that can be made of a UUID.
pub(crate) trait Id {
    fn of(id: Uuid) -> Self;
}

macro_rules! ids {
    ($($name:ident),+) => {$(
        impl Id for $name {
            fn of(id: Uuid) -> Self {
                Self::from_uuid(id)
            }
        }
    )+};
}

ids!(
    AuthenticatorId,
    ChallengeId,
    ClientId,
    EnrollmentId,
    RecoverySetId,
    RequestId,
    ResetRequestId,
    SendId,
    TicketId
);

/// Reads values out of numbers, from the beginning again where they run out.
pub(crate) struct Source<'a> {
    numbers: std::iter::Cycle<std::slice::Iter<'a, u64>>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(numbers: &'a [u64]) -> Self {
        Self { numbers: numbers.iter().cycle() }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.numbers.next().copied().unwrap_or(0)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap();
        usize::try_from(self.number() % limit).unwrap()
    }

    pub(crate) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(4) > 0).then(|| make(self))
    }

    fn list<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| make(self)).collect()
    }

    pub(crate) fn count(&mut self) -> u32 {
        let number = self.number();
        [0, 1, 3, u32::MAX - 1, u32::MAX][usize::try_from(number % 5).unwrap()]
    }

    /// Mostly about now, sometimes at the ends of time.
    pub(crate) fn time(&mut self) -> Timestamp {
        let about = i64::try_from(self.number() % 200_000_000).unwrap() - 100_000_000;
        match self.below(8) {
            0 => Timestamp::from_unix_micros(i64::MIN),
            1 => Timestamp::from_unix_micros(i64::MAX),
            2 => Timestamp::from_unix_micros(0),
            3 => Timestamp::from_unix_micros(i64::from_ne_bytes(self.number().to_ne_bytes())),
            _ => Timestamp::from_unix_micros(crate::common::START.unix_micros() + about),
        }
    }

    pub(crate) fn id<I: Id>(&mut self) -> I {
        I::of(Uuid::from_u128(u128::from(self.number() % 4)))
    }

    pub(crate) fn epoch(&mut self) -> Epoch {
        Epoch([0, 1, u64::MAX][self.below(3)])
    }

    pub(crate) fn text(&mut self) -> String {
        let length = self.below(700);
        (0..length).map(|_| char::from(b"AZaz09-_=. "[self.below(11)])).collect()
    }

    pub(crate) fn key(&mut self) -> TotpKey {
        let length = [TotpKey::MIN_LEN, 20, TotpKey::MAX_LEN][self.below(3)];
        TotpKey::new(vec![self.number().to_ne_bytes()[0]; length]).unwrap()
    }

    pub(crate) fn parameters(&mut self) -> TotpParameters {
        TotpParameters {
            algorithm: Algorithm::ALL[self.below(3)],
            digits: [Digits::Six, Digits::Eight][self.below(2)],
            period: Period::new([Period::MIN_SECONDS, 30, 37, Period::MAX_SECONDS][self.below(4)]).unwrap(),
        }
    }

    fn digest(&mut self) -> Digest {
        Digest { key: KeyId(self.count()), value: [self.number().to_ne_bytes()[0]; 32] }
    }

    pub(crate) fn purpose(&mut self) -> ChallengePurpose {
        [ChallengePurpose::Login, ChallengePurpose::StepUp][self.below(2)]
    }

    pub(crate) fn first_factor(&mut self) -> FirstFactor {
        let methods = [
            FirstFactorMethod::Password,
            FirstFactorMethod::Federated,
            FirstFactorMethod::EmailLink,
            FirstFactorMethod::Passkey,
        ];
        FirstFactor {
            method: methods[self.below(4)],
            verify_time: self.time(),
            identity_provider: String::new(),
            amr: self.list(3, |source| ["mfa", "pwd", "otp"][source.below(3)].to_owned()),
        }
    }

    pub(crate) fn client(&mut self) -> ClientClaims {
        ClientClaims { user_agent: "\u{1f511}".repeat(self.below(300)), ..ClientClaims::default() }
    }

    pub(crate) fn actor(&mut self) -> Actor {
        let principal = match self.below(3) {
            0 => Principal::User(UserId::parse("bob").unwrap()),
            1 => Principal::User(UserId::parse("ann").unwrap()),
            _ => Principal::Operator("operator".to_owned()),
        };
        let permissions = vec!["users.view".to_owned(), "users.disable-two-factor".to_owned()];
        let first_factor = self.maybe(Self::first_factor);
        Actor { principal, permissions, first_factor, client: self.client() }
    }

    pub(crate) fn directory(&mut self) -> DirectoryEntry {
        DirectoryEntry {
            email: ["", "a@example.org"][self.below(2)].to_owned(),
            teams: self.list(3, |source| TeamMembership {
                team: TeamId::parse(["one", "two"][source.below(2)]).unwrap(),
                role: [Role::Member, Role::Manager][source.below(2)],
            }),
            groups: self.list(2, |_| "staff".to_owned()),
            disabled: self.below(8) == 0,
            ..DirectoryEntry::default()
        }
    }

    fn authenticator(&mut self) -> Authenticator {
        let since = self.time();
        Authenticator {
            id: self.id(),
            display_name: DisplayName::parse(["Phone", "PHONE", "Authenticator app"][self.below(3)]).unwrap(),
            named: self.below(2) == 0,
            create_time: self.time(),
            last_use_time: self.maybe(Self::time),
            consecutive_failures: self.count(),
            standing: if self.below(3) == 0 { Standing::Disabled { since } } else { Standing::Active },
            credential: if self.below(4) == 0 {
                Credential::SecurityKey(self.security_key())
            } else if self.below(2) == 0 {
                Credential::Sms(SmsCredential { number: number(), sent: self.maybe(Self::sent) })
            } else {
                Credential::Totp(TotpCredential {
                    key: self.key(),
                    parameters: self.parameters(),
                    last_step: Step::new([0, 60_000_000, u64::MAX][self.below(3)]),
                })
            },
        }
    }

    fn security_key(&mut self) -> SecurityKey {
        SecurityKey {
            id: CredentialId::new(vec![7; [1, 16, 1023][self.below(3)]]).unwrap(),
            public_key: vec![0xa5; self.below(80)],
            sign_count: [0, 7, u32::MAX][self.below(3)],
            user_verified: self.below(2) == 0,
            backup_eligible: self.below(2) == 0,
            backed_up: self.below(2) == 0,
            transports: Transport::ALL[self.below(6)..].to_vec(),
        }
    }

    fn sent(&mut self) -> SentCode {
        SentCode {
            id: self.id(),
            key: KeyId([1, 9][self.below(2)]),
            challenge: self.id(),
            send_time: self.time(),
            expire_time: self.time(),
            used_time: self.maybe(Self::time),
        }
    }

    fn pending(&mut self) -> PendingEnrollment {
        PendingEnrollment {
            id: self.id(),
            credential: if self.below(4) == 0 {
                PendingCredential::SecurityKey
            } else if self.below(2) == 0 {
                PendingCredential::Sms(PendingSms { number: number(), send: self.id(), key: KeyId(1) })
            } else {
                PendingCredential::Totp {
                    key: self.key(),
                    parameters: self.parameters(),
                    account_label: AccountLabel::parse("ann").unwrap(),
                }
            },
            replaces: self.maybe(Self::id),
            tries_left: self.count(),
            create_time: self.time(),
            expire_time: self.time(),
            epoch: self.epoch(),
        }
    }

    fn failures(&mut self) -> Failures {
        Failures {
            consecutive: self.count(),
            locked_until: self.maybe(Self::time),
            recent: self.list(120, Self::time),
            last_wrong: self.maybe(|source| LastWrong { digest: source.digest(), time: source.time() }),
        }
    }

    fn remembered(&mut self) -> RememberedClient {
        RememberedClient {
            id: self.id(),
            key: KeyId(1),
            generation: self.count(),
            rotate_time: self.time(),
            application: String::new(),
            display_name: String::new(),
            last_ip_address: String::new(),
            create_time: self.time(),
            last_use_time: self.time(),
            expire_time: self.time(),
            epoch: self.epoch(),
        }
    }

    pub(crate) fn state(&mut self) -> UserState {
        UserState {
            epoch: self.epoch(),
            state_since: self.maybe(Self::time),
            authenticators: self.list(3, Self::authenticator),
            pending: self.list(2, Self::pending),
            recovery: self.maybe(|source| RecoverySet {
                id: source.id(),
                create_time: source.time(),
                codes: source.list(3, |source| RecoveryEntry {
                    digest: source.digest(),
                    used_time: source.maybe(Self::time),
                }),
            }),
            first_factor_since: self.maybe(Self::time),
            failures: self.failures(),
            challenges: self.list(12, |source| Challenge {
                id: source.id(),
                purpose: source.purpose(),
                create_time: source.time(),
                expire_time: source.time(),
                epoch: source.epoch(),
                first_factor: source.first_factor(),
                client: source.client(),
            }),
            tickets: self.list(6, |source| Ticket {
                id: source.id(),
                issuer: source.maybe(Self::first_factor).map_or(TicketIssuer::Manager, TicketIssuer::Login),
                expire_time: source.time(),
                epoch: source.epoch(),
                client: source.client(),
            }),
            clients: self.list(60, Self::remembered),
            requirement: RequirementState {
                grace_started: self.maybe(Self::time),
                must_enroll: self.below(2) == 0,
            },
            reset_request: self.maybe(|source| ResetRequest {
                id: source.id(),
                reason: String::new(),
                create_time: source.time(),
            }),
            directory: self.maybe(Self::directory),
        }
    }
}

pub(crate) fn number() -> PhoneNumber {
    PhoneNumber::parse("+5511987654321").unwrap()
}
