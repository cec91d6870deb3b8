//! What would be decided, and by which rules: the very decisions, with everything that is left out made up.

use crate::caller::CallerContext;
use crate::convert::enums::{proof_kinds, to_purpose};
use crate::convert::fields::{Fields, Parsed};
use crate::convert::parties;
use crate::convert::policy::{document, invalid, to_delegated_action};
use crate::convert::team::of_action;
use crate::services::shared::{Reply, done};
use crate::services::{caller, subject};
use crate::status::reason;
use countersign_api::v1::{
    self, ExplainLogin, ExplainRequest, ExplainResponse, ExplainStep, ExplainedVerdict, LoginPurpose,
};
use countersign_application::{Application, Question};
use countersign_domain::actor::Actor;
use countersign_domain::change::RuleStep;
use countersign_domain::denial::Denial;
use countersign_domain::explain::{Expected, Explanation};
use countersign_domain::ids::UserRef;
use countersign_domain::login::CheckLogin;
use countersign_domain::policy::{DelegatedAction, Policy, PolicyDocument};
use countersign_domain::status::OwnAction;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{ChallengePurpose, FirstFactor};
use std::ops::Deref;
use tonic::{Request, Response, Status};

/// No etag of ours is longer.
const MAX_ETAG: usize = 64;

/// A question as it was asked.
enum Asked {
    Login(AskedLogin),
    Own(OwnAction),
    Delegated(DelegatedAction),
}

/// The same with who acts, where it is about an action.
enum AskedBy {
    Login(AskedLogin),
    Own(OwnAction, Option<Actor>),
    Delegated(DelegatedAction, Actor),
}

/// A login that is asked about.
struct AskedLogin {
    first_factor: Option<FirstFactor>,
    client: parties::Client,
    purpose: ChallengePurpose,
}

/// Tells what would be decided.
pub(super) async fn explain(app: &Application, request: Request<ExplainRequest>) -> Reply<ExplainResponse> {
    use v1::explain_request::Question as Wire;
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let asked = match message.question {
        Some(Wire::Login(login)) => asked_login(&mut fields, login).map(Asked::Login),
        Some(Wire::Action(action)) => asked_action(&mut fields, action),
        None => fields.refuse("question", "must be one of login and action"),
    };
    let at = message.at_time.map(|time| fields.timestamp("at_time", time)).transpose();
    if message.proposed_policy.as_ref().is_some_and(|proposed| proposed.etag.len() > MAX_ETAG) {
        // What the violation says is told by `finish`.
        let _ =
            fields.refuse::<()>("proposed_policy.etag", "has at most 64 characters, and is not looked at");
    }
    let proposed =
        message.proposed_policy.map(|given| document(&mut fields, "proposed_policy", &given)).transpose();
    let actor = message.actor.map(|actor| parties::actor(&mut fields, "actor", Some(actor))).transpose();
    let asked = asked_by(&mut fields, asked, actor);
    fields.finish()?;

    let (user, asked, at) = (user?, asked?, at?);
    let proposed = proposed?.map(PolicyDocument::validated).transpose();
    let proposed = proposed.map_err(|violations| invalid("proposed_policy", &violations))?;
    let explanation = match asked {
        AskedBy::Own(_, Some(actor)) if !actor.is(&user.user) => {
            done(app.policy(&user.tenant, None).await, &caller)?;
            not_their_own()
        }
        AskedBy::Own(action, _) => ask(app, &caller, &user, &Question::Own(action), at, proposed).await?,
        AskedBy::Delegated(action, actor) => {
            let question = Question::Delegated(action, actor);
            let explained = ask(app, &caller, &user, &question, at, proposed).await?;
            Explanation { blocked: explained.blocked.map(|denial| of_action(action, denial)), ..explained }
        }
        AskedBy::Login(AskedLogin { first_factor, client, purpose }) => {
            let first_factor = match first_factor {
                Some(first_factor) => first_factor,
                None => accepted(app, &caller, &user, at, proposed.as_ref()).await?,
            };
            let question = Question::Login(CheckLogin {
                first_factor: Some(first_factor),
                client: client.claims,
                client_token: client.token,
                answer: None,
                remember_client: false,
                purpose,
            });
            ask(app, &caller, &user, &question, at, proposed).await?
        }
    };
    Ok(Response::new(respond(&explanation)))
}

async fn ask(
    app: &Application,
    caller: &CallerContext,
    user: &UserRef,
    question: &Question,
    at: Option<Timestamp>,
    proposed: Option<Policy>,
) -> Result<Explanation, Status> {
    done(app.explain(user, question, at, proposed).await, caller)
}

/// A fresh first factor of a kind that the policy accepts.
async fn accepted(
    app: &Application,
    caller: &CallerContext,
    user: &UserRef,
    at: Option<Timestamp>,
    proposed: Option<&Policy>,
) -> Result<FirstFactor, Status> {
    let current = done(app.policy(&user.tenant, None).await, caller)?;
    let policy = proposed.map_or(&current.document, Deref::deref);
    let method = policy.first_factor.allowed_methods.first().copied();
    let method = method.unwrap_or(countersign_domain::policy::FirstFactorMethod::Password);
    let verify_time = at.unwrap_or_else(|| app.now());
    Ok(FirstFactor { method, verify_time, identity_provider: String::new(), amr: Vec::new() })
}

fn asked_login(fields: &mut Fields, login: ExplainLogin) -> Parsed<AskedLogin> {
    let first_factor = parties::first_factor(fields, "login.first_factor", login.first_factor);
    let client = parties::client(fields, "login.client", login.client);
    let purpose = match LoginPurpose::try_from(login.purpose) {
        Ok(LoginPurpose::Unspecified) => Some(ChallengePurpose::Login),
        _ => to_purpose(login.purpose),
    };
    let purpose = fields.take("login.purpose", purpose.ok_or("must be LOGIN or STEP_UP"));
    Ok(AskedLogin { first_factor: first_factor?, client: client?, purpose: purpose? })
}

fn asked_action(fields: &mut Fields, action: i32) -> Parsed<Asked> {
    let asked = to_delegated_action(action).map(Asked::Delegated).or_else(|| own(action).map(Asked::Own));
    fields.take("action", asked.ok_or("must be an action"))
}

/// The question with who acts: an action on others has somebody.
fn asked_by(fields: &mut Fields, asked: Parsed<Asked>, actor: Parsed<Option<Actor>>) -> Parsed<AskedBy> {
    Ok(match (asked?, actor?) {
        (Asked::Login(login), _) => AskedBy::Login(login),
        (Asked::Own(action), actor) => AskedBy::Own(action, actor),
        (Asked::Delegated(action), Some(actor)) => AskedBy::Delegated(action, actor),
        (Asked::Delegated(_), None) => return fields.refuse("actor", "is required for an action on others"),
    })
}

fn own(action: i32) -> Option<OwnAction> {
    match v1::Action::try_from(action).ok()? {
        v1::Action::Enroll => Some(OwnAction::Enroll),
        v1::Action::Rename => Some(OwnAction::Rename),
        v1::Action::RemoveAuthenticator => Some(OwnAction::RemoveAuthenticator),
        v1::Action::Disable => Some(OwnAction::Disable),
        v1::Action::GenerateRecoveryCodes => Some(OwnAction::GenerateRecoveryCodes),
        v1::Action::RevokeRememberedClients => Some(OwnAction::RevokeRememberedClients),
        _ => None,
    }
}

/// What somebody else is told who wants to do what only the user may.
fn not_their_own() -> Explanation {
    Explanation {
        expected: Expected::Denied,
        steps: vec![RuleStep { field: "", finding: "only the user may do this to their own" }],
        required_proofs: Vec::new(),
        blocked: Some(Denial::ActorNotSubject),
    }
}

fn respond(explanation: &Explanation) -> ExplainResponse {
    let verdict = match explanation.expected {
        Expected::Allowed => ExplainedVerdict::Allowed,
        Expected::ChallengeRequired => ExplainedVerdict::ChallengeRequired,
        Expected::EnrollmentRequired => ExplainedVerdict::EnrollmentRequired,
        Expected::LockedOut => ExplainedVerdict::LockedOut,
        Expected::Denied => ExplainedVerdict::Denied,
    };
    let last = explanation.steps.len();
    let steps = explanation.steps.iter().zip(1..);
    let step = |(step, number): (&RuleStep, usize)| ExplainStep {
        policy_field: step.field.to_owned(),
        finding: step.finding.to_owned(),
        decided: number == last,
    };
    ExplainResponse {
        verdict: verdict.into(),
        steps: steps.map(step).collect(),
        required_proofs: proof_kinds(&explanation.required_proofs),
        blocked_reasons: explanation.blocked.iter().map(|denial| reason(denial).into()).collect(),
    }
}
