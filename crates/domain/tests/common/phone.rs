//! An authenticator app: a key and a clock. It knows nothing of what the service consumed.

use countersign_domain::enrollment::BegunTotp;
use countersign_domain::otp::{Step, TotpKey, TotpParameters, generate};
use countersign_domain::presented::PresentedProof;
use countersign_domain::time::Timestamp;

/// An authenticator app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    pub key: TotpKey,
    pub parameters: TotpParameters,
}

impl Phone {
    /// The app that took in what the beginning of an enrollment showed.
    pub fn of(begun: &BegunTotp) -> Self {
        Self { key: begun.key.clone(), parameters: begun.parameters }
    }

    /// What the app shows at `time`.
    pub fn code(&self, time: Timestamp) -> PresentedProof {
        self.code_off(time, 0)
    }

    /// What the app shows at `time` where its clock is that many steps ahead, or behind where negative.
    pub fn code_off(&self, time: Timestamp, steps_ahead: i64) -> PresentedProof {
        let now = Step::at(time.unix_seconds(), self.parameters.period).number();
        let step = now.checked_add_signed(steps_ahead).unwrap();
        PresentedProof::Otp(generate(&self.key, self.parameters, Step::new(step)))
    }
}
