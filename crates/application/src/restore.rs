//! After a restore: voiding what a backup brought to life again.

use crate::engine::Subject;
use crate::{AppError, Application, Meta};
use countersign_domain::actor::Principal;
use countersign_domain::ids::{CallerId, UserRef};
use countersign_domain::restore;

/// Who does it, in the log.
const NAME: &str = "post-restore";

impl Application {
    /// Makes a user safe whose rows come out of a backup; see [`restore::make_safe`].
    pub async fn make_safe_after_restore(&self, user: UserRef, recovery_codes: bool) -> Result<(), AppError> {
        let caller = CallerId::parse(NAME).map_err(|_| AppError::Interrupted)?;
        let meta = Meta { caller, request: None, trace_id: String::new() };
        let subject = Subject::of_actor(user, &Principal::Job(NAME.to_owned()).into());
        let nothing = Box::new(|_: &_| Vec::new());
        let done = self.change(meta, subject, nothing, move |states, ctx, _| {
            restore::make_safe(states.own, ctx, recovery_codes).map(Ok)
        });
        done.await.map(drop)
    }
}
