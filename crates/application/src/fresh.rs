//! Draws what a decision needs at random, from the port alone.

use countersign_domain::enrollment::{FreshConfirmation, FreshEnrollment, FreshSms};
use countersign_domain::ids::{
    AuthenticatorId, ChallengeId, ClientId, EnrollmentId, EventId, RecoverySetId, ResetRequestId, SendId,
    TicketId,
};
use countersign_domain::login::LoginFresh;
use countersign_domain::otp::TotpKey;
use countersign_domain::recovery::FreshSet;
use countersign_domain::secret::SecretBytes;
use countersign_domain::time::Timestamp;
use countersign_ports::{NoticeId, Random};

/// Randomness at one time: identifiers carry both (RFC 9562 §5.7).
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) random: &'a dyn Random,
    pub(crate) now: Timestamp,
}

impl Source<'_> {
    fn bytes<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    pub(crate) fn event(self) -> EventId {
        EventId::at(self.now, self.bytes())
    }

    pub(crate) fn notice(self) -> NoticeId {
        NoticeId(EventId::at(self.now, self.bytes()).uuid())
    }

    pub(crate) fn recovery_set(self) -> FreshSet {
        let mut entropy = vec![0; FreshSet::ENTROPY];
        self.random.fill(&mut entropy);
        FreshSet { id: RecoverySetId::at(self.now, self.bytes()), entropy: SecretBytes::new(entropy) }
    }

    pub(crate) fn ticket(self) -> TicketId {
        TicketId::at(self.now, self.bytes())
    }

    pub(crate) fn reset_request(self) -> ResetRequestId {
        ResetRequestId::at(self.now, self.bytes())
    }

    /// Without entropy for recovery codes unless policy may reissue them: the hot path draws little.
    pub(crate) fn login(self, reissues: bool) -> LoginFresh {
        // One draw for all: each asks the operating system.
        let mut drawn = [[0; 10]; 4];
        self.random.fill(drawn.as_flattened_mut());
        let [challenge, ticket, client, set] = drawn;
        let recovery = if reissues {
            self.recovery_set()
        } else {
            FreshSet { id: RecoverySetId::at(self.now, set), entropy: SecretBytes::new(Vec::new()) }
        };
        LoginFresh {
            challenge: ChallengeId::at(self.now, challenge),
            ticket: TicketId::at(self.now, ticket),
            client: ClientId::at(self.now, client),
            recovery,
        }
    }

    pub(crate) fn enrollment_id(self) -> EnrollmentId {
        EnrollmentId::at(self.now, self.bytes())
    }

    pub(crate) fn enrollment(self) -> FreshEnrollment {
        FreshEnrollment {
            id: EnrollmentId::at(self.now, self.bytes()),
            key: TotpKey::from_entropy(&self.bytes()),
        }
    }

    pub(crate) fn sms_enrollment(self, send: SendId) -> FreshSms {
        FreshSms { id: EnrollmentId::at(self.now, self.bytes()), send }
    }

    pub(crate) fn send(self) -> SendId {
        SendId::at(self.now, self.bytes())
    }

    pub(crate) fn confirmation(self) -> FreshConfirmation {
        FreshConfirmation { id: AuthenticatorId::at(self.now, self.bytes()), recovery: self.recovery_set() }
    }
}
