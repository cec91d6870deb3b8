//! A phone that shows each code once: the window lets it show three at one moment, those of the step before, of the
//! present one and of the next one, and a story needs no waiting for more.

use crate::harness::failure::reason;
use crate::harness::{App, User};
use countersign_api::v1;
use tonic::Status;

/// An authenticator app, and how far its codes are used up.
pub(super) struct Phone {
    app: App,
    last_step: u64,
}

/// A phone that has just been set up, and what came with it.
pub(super) struct Enrolled {
    pub(super) phone: Phone,
    pub(super) enrollment: v1::ConfirmEnrollmentResponse,
}

impl Enrolled {
    /// The id of the new authenticator.
    pub(super) fn id(&self) -> String {
        self.enrollment.authenticator.as_ref().expect("an authenticator").authenticator_id.clone()
    }

    /// The recovery codes that came with it.
    pub(super) fn recovery_codes(&self) -> Vec<String> {
        self.enrollment.recovery_codes.as_ref().map(|set| set.codes.clone()).unwrap_or_default()
    }
}

impl Phone {
    /// A code that was not shown before.
    ///
    /// # Panics
    /// Where the window has no such code now: the story needs a recovery code instead.
    #[track_caller]
    pub(super) fn code(&mut self) -> String {
        let present = self.app.step();
        let step = present.max(self.last_step + 1);
        assert!(step <= present + 1, "this phone has shown every code of this moment");
        self.last_step = step;
        self.app.code_of(step)
    }

    /// The code that was shown last.
    pub(super) fn used(&self) -> String {
        self.app.code_of(self.last_step)
    }

    /// A code that is not right about now; another one for another number.
    pub(super) fn wrong(&self, number: usize) -> String {
        self.app.wrong(number + 1).remove(number)
    }

    /// Whether it holds the same key.
    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        self.app.key() == other.app.key()
    }

    /// Confirms an enrollment with the code of the step before, so that two more can follow at once. `request` is made
    /// for that code, and made again where its step ended on the way: a refused code keeps the pending key.
    pub(super) async fn confirm(
        user: &User,
        begun: &v1::BeginTotpEnrollmentResponse,
        request: impl Fn(&str) -> v1::ConfirmEnrollmentRequest,
    ) -> Result<Enrolled, Status> {
        let app = App::scan(&begun.otpauth_uri);
        loop {
            let last_step = app.step() - 1;
            match user.confirm(request(&app.code_of(last_step))).await {
                Err(status) if reason(&status) == "PROOF_INCORRECT" && app.step() > last_step + 1 => {}
                done => {
                    let enrollment = done?;
                    return Ok(Enrolled { phone: Self { app, last_step }, enrollment });
                }
            }
        }
    }

    /// Sets up a phone with this request to begin, acting for oneself right after the password.
    pub(super) async fn set_up(
        user: &User,
        request: v1::BeginTotpEnrollmentRequest,
    ) -> Result<Enrolled, Status> {
        let begun = user.begin(request).await?;
        Self::confirm(user, &begun, |code| user.to_confirm(&begun.enrollment_id, code)).await
    }
}
