//! What would happen, by the current policy or a proposed one, now or at another time. Commits nothing.

use crate::engine::Snapshot;
use crate::policies::InForce;
use crate::{AppError, Application};
use countersign_domain::actor::Actor;
use countersign_domain::explain::{self, Explanation};
use countersign_domain::ids::UserRef;
use countersign_domain::login::CheckLogin;
use countersign_domain::policy::{DelegatedAction, Policy};
use countersign_domain::status::OwnAction;
use countersign_domain::time::Timestamp;
use std::sync::Arc;

/// What is asked.
#[derive(Debug, Clone)]
pub enum Question {
    /// Would this login go ahead?
    Login(CheckLogin),
    /// May the user do this to their own?
    Own(OwnAction),
    /// May the actor do this to the user?
    Delegated(DelegatedAction, Actor),
}

impl Application {
    /// Answers the question with the very decision that would be made, thrown away. As of a time before the last change of the
    /// first factor none is from before it.
    pub async fn explain(
        &self,
        user: &UserRef,
        question: &Question,
        at: Option<Timestamp>,
        proposed: Option<Policy>,
    ) -> Result<Explanation, AppError> {
        let Snapshot { mut loaded, policy, now } = self.0.snapshot(user).await?;
        let policy = match proposed {
            Some(policy) => Arc::new(InForce { policy, since: now }),
            None => policy,
        };
        if let Some(at) = at.filter(|at| *at < now) {
            // Else whatever first factor there was at that time would be too old.
            let changed = &mut loaded.state.first_factor_since;
            *changed = changed.filter(|changed| *changed <= at);
        }
        let ctx = self.0.context(user, &policy, at.unwrap_or(now));
        Ok(match question {
            Question::Login(command) => explain::login(&loaded.state, &ctx, command),
            Question::Own(action) => explain::own_action(&loaded.state, &ctx, *action),
            Question::Delegated(action, actor) => {
                let snapshot = self.0.actor_snapshot(&user.tenant, actor).await?;
                let state = snapshot.map(|snapshot| snapshot.loaded.state).unwrap_or_default();
                explain::delegated_action(&loaded.state, &ctx, *action, (actor, &state))
            }
        })
    }
}
