//! Acting: reset, switch off, unlock, hand out a ticket. The four calls ask the same and differ in what they do.

use crate::caller::CallerContext;
use crate::convert::enums::proof_kinds;
use crate::convert::fields::{Fields, Parsed};
use crate::convert::parties;
use crate::convert::policy::delegated_action;
use crate::convert::team::{member_status, of_action};
use crate::convert::time::timestamp;
use crate::reply::{Change, Retry, retry};
use crate::services::shared::{Reply, done, read, words};
use crate::services::{caller, subject};
use crate::status::Site;
use countersign_api::v1;
use countersign_application::{Application, DelegatedCommand, MemberAction};
use countersign_domain::ids::UserRef;
use countersign_domain::policy::DelegatedAction;
use prost::Message;
use tonic::{Request, Response, Status};

/// What every call on a member carries.
pub(super) struct Ask {
    tenant_id: String,
    user_id: String,
    actor: Option<v1::Actor>,
    actor_proof: Option<v1::Proof>,
    justification: String,
    second_approver: Option<v1::Actor>,
    validate_only: bool,
}

/// What three of the calls answer.
pub(super) struct Outcome {
    status: v1::TwoFactorStatus,
    required_proofs: Vec<i32>,
    second_approver_required: bool,
}

macro_rules! calls {
    ($($request:ident -> $response:ident),+ $(,)?) => {$(
        impl From<v1::$request> for Ask {
            fn from(message: v1::$request) -> Self {
                let v1::$request {
                    tenant_id, user_id, actor, actor_proof, justification, request_id: _, validate_only,
                    second_approver,
                } = message;
                Self {
                    tenant_id, user_id, actor, actor_proof, justification, second_approver, validate_only,
                }
            }
        }

        impl From<Outcome> for v1::$response {
            fn from(outcome: Outcome) -> Self {
                let Outcome { status, required_proofs, second_approver_required } = outcome;
                Self { status: Some(status), required_proofs, second_approver_required }
            }
        }
    )+};
}

calls! {
    ResetMemberRequest -> ResetMemberResponse,
    DisableMemberRequest -> DisableMemberResponse,
    UnlockMemberRequest -> UnlockMemberResponse,
}

impl From<v1::IssueEnrollmentTicketRequest> for Ask {
    fn from(message: v1::IssueEnrollmentTicketRequest) -> Self {
        let v1::IssueEnrollmentTicketRequest {
            tenant_id,
            user_id,
            actor,
            actor_proof,
            justification,
            request_id: _,
            second_approver,
        } = message;
        let validate_only = false;
        Self { tenant_id, user_id, actor, actor_proof, justification, second_approver, validate_only }
    }
}

/// A call on a member, read.
struct Asked {
    user: UserRef,
    command: DelegatedCommand,
    retry: Option<Retry>,
    validate_only: bool,
}

fn parse(caller: &CallerContext, message: impl Repeatable) -> Result<Asked, Status> {
    let mut fields = Fields::default();
    let retry = retry(&mut fields, caller, &message, message.request_id());
    let ask = message.into();
    let user = subject(&mut fields, caller, &ask.tenant_id, &ask.user_id)?;
    let actor = parties::actor(&mut fields, "actor", ask.actor);
    let actor_code = parties::proof(&mut fields, "actor_proof", ask.actor_proof);
    let second = match ask.second_approver {
        Some(second) => parties::actor(&mut fields, "second_approver", Some(second)).map(Some),
        None => Parsed::Ok(None),
    };
    let justification = words(&mut fields, "justification", ask.justification, 1);
    fields.finish()?;
    let command = DelegatedCommand {
        actor: actor?,
        actor_code: actor_code?,
        second: second?,
        justification: justification?,
    };
    Ok(Asked { user: user?, command, retry: retry?, validate_only: ask.validate_only })
}

/// Where the things stand that a denial of this action speaks of.
fn site(action: DelegatedAction) -> Site {
    Site::of(delegated_action(action))
}

/// A request that carries the id of a retry.
pub(super) trait Repeatable: Message + Into<Ask> {
    /// The id, or empty.
    fn request_id(&self) -> &str;
}

macro_rules! repeatable {
    ($($request:ident),+) => {$(
        impl Repeatable for v1::$request {
            fn request_id(&self) -> &str {
                &self.request_id
            }
        }
    )+};
}

repeatable!(ResetMemberRequest, DisableMemberRequest, UnlockMemberRequest, IssueEnrollmentTicketRequest);

/// Resets, switches off or unlocks a member, or says what would happen.
pub(super) async fn on_member<M, R>(app: &Application, request: Request<M>, action: MemberAction) -> Reply<R>
where
    M: Repeatable,
    R: From<Outcome> + Message + Default + Clone + 'static,
{
    let (caller, message) = caller(request)?;
    let Asked { user, command, retry, validate_only } = parse(&caller, message)?;
    let abilities = done(app.abilities(&user.tenant, &command.actor).await, &caller)?;
    if validate_only {
        let preview = app.preview_on_member(user.clone(), action, command).await;
        let preview = read(preview, &caller, site(action.into()))?;
        let status = member_status(&user.user, &preview.status, &abilities);
        // Nobody has read what only would be.
        let status = v1::TwoFactorStatus { etag: String::new(), ..status };
        let required_proofs = proof_kinds(&preview.required_proofs);
        let second_approver_required = preview.needs_second_approver;
        return Ok(Response::new(Outcome { status, required_proofs, second_approver_required }.into()));
    }
    let member = user.user.clone();
    Change::new(&caller, site(action.into()), retry)
        .answer(
            |meta, encode| app.act_on_member(meta, user, action, command, encode),
            move |done| {
                let status = member_status(&member, &done.value.status, &abilities);
                Ok(Outcome { status, required_proofs: Vec::new(), second_approver_required: false }.into())
            },
        )
        .await
}

/// Hands out a ticket for a first enrollment.
pub(super) async fn issue_ticket(
    app: &Application,
    request: Request<v1::IssueEnrollmentTicketRequest>,
) -> Reply<v1::IssueEnrollmentTicketResponse> {
    const ACTION: DelegatedAction = DelegatedAction::IssueTicket;
    let (caller, message) = caller(request)?;
    let Asked { user, command, retry, .. } = parse(&caller, message)?;
    Change::new(&caller, site(ACTION), retry)
        // A member who has a second factor is no case for a ticket.
        .denied_as(|denial| of_action(ACTION, denial))
        .answer(
            |meta, encode| app.issue_enrollment_ticket(meta, user, command, encode),
            |done| {
                Ok(v1::IssueEnrollmentTicketResponse {
                    enrollment_ticket: done.value.ticket.expose().to_owned(),
                    expire_time: Some(timestamp(done.value.expire_time)),
                })
            },
        )
        .await
}
