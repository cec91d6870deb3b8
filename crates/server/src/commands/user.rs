//! `countersign user`: what an operator looks up and does for somebody who asks for help, and the directory as a file.

mod directory;

use super::service::{Service, actor, short};
use super::{json, print, tell};
use crate::cli::{ChangeUserArgs, HelpUserArgs, ShowUserArgs, UserCommand};
use crate::failure::Failure;
use countersign_api::v1;
use std::fmt::Write as _;

/// Calls a method that changes a user and answers where they stand.
macro_rules! change {
    ($args:ident, $request:ident) => {{
        let ChangeUserArgs { help: HelpUserArgs { by, user, justification }, dry_run } = $args;
        let service = Service::of(&by.of.service)?;
        let request = v1::$request {
            actor: Some(actor(&by)),
            tenant_id: by.of.tenant,
            user_id: user,
            justification,
            validate_only: dry_run,
            ..v1::$request::default()
        };
        done(service.call(request).await?.status, dry_run)
    }};
}

/// Does what is asked.
pub(super) async fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Show(args) => show(args).await,
        UserCommand::Reset(args) => change!(args, ResetMemberRequest),
        UserCommand::Unlock(args) => change!(args, UnlockMemberRequest),
        UserCommand::Disable(args) => change!(args, DisableMemberRequest),
        UserCommand::Ticket(args) => ticket(args).await,
        UserCommand::Export(args) => directory::export(args).await,
        UserCommand::Import(args) => directory::import(args).await,
    }
}

async fn show(args: ShowUserArgs) -> Result<(), Failure> {
    let service = Service::of(&args.by.of.service)?;
    let request = v1::BatchGetStatusesRequest {
        actor: Some(actor(&args.by)),
        tenant_id: args.by.of.tenant,
        user_ids: vec![args.user],
    };
    let statuses = service.call(request).await?.statuses;
    let status = statuses.first().cloned().unwrap_or_default();
    print(&if args.json { json::pretty(&status) } else { lines(&status) })
}

/// Prints the ticket alone on its line: whoever has it enrols as the user.
async fn ticket(HelpUserArgs { by, user, justification }: HelpUserArgs) -> Result<(), Failure> {
    let service = Service::of(&by.of.service)?;
    let request = v1::IssueEnrollmentTicketRequest {
        actor: Some(actor(&by)),
        tenant_id: by.of.tenant,
        user_id: user,
        justification,
        ..v1::IssueEnrollmentTicketRequest::default()
    };
    let issued = service.call(request).await?;
    print(&format!("{}\n{}\n", issued.enrollment_ticket, at("good until", issued.expire_time)))
}

/// Tells where the user stands now, or would stand.
fn done(status: Option<v1::TwoFactorStatus>, is_dry_run: bool) -> Result<(), Failure> {
    let heading = if is_dry_run { "nothing is changed yet; it would be\n" } else { "" };
    tell(&format!("{heading}{}", lines(&status.unwrap_or_default())))
}

/// A status for people: what is not there has no line.
fn lines(status: &v1::TwoFactorStatus) -> String {
    let state = short(status.state().as_str_name(), "TWO_FACTOR_STATE_");
    let mut text = format!("{} {state}{}\n", status.user_id, at(" since", status.since_time));
    for one in &status.authenticators {
        let (kind, state) = (one.r#type().as_str_name(), one.state().as_str_name());
        let (kind, state) = (short(kind, "AUTHENTICATOR_TYPE_"), short(state, "AUTHENTICATOR_STATE_"));
        let (made, used) = (at(" made", one.create_time), at(" last used", one.last_use_time));
        let phone = &one.obfuscated_phone_number;
        let phone = if phone.is_empty() { String::new() } else { format!(" {phone}") };
        let (id, name) = (&one.authenticator_id, &one.display_name);
        let _ = writeln!(text, "  {kind} {name:?}{phone} {state} {id}{made}{used}");
    }
    if let Some(pending) = &status.pending_enrollment {
        let kind = short(pending.r#type().as_str_name(), "AUTHENTICATOR_TYPE_");
        let _ = writeln!(text, "  being enrolled: {kind}{}", at(" until", pending.expire_time));
    }
    if let Some(left) = status.recovery_codes_remaining {
        let _ = writeln!(text, "  recovery codes left: {left}");
    }
    if status.required {
        let _ = writeln!(text, "  required{}", at(" from", status.required_from_time));
    }
    if status.grace_until_time.is_some() {
        let _ = writeln!(text, "  not stopped{}", at(" until", status.grace_until_time));
    }
    if status.locked_until_time.is_some() {
        let _ = writeln!(text, "  locked{}", at(" until", status.locked_until_time));
    }
    for action in &status.actions {
        let name = short(action.action().as_str_name(), "ACTION_");
        let reasons = action.blocked_reasons().map(|reason| short(reason.as_str_name(), "ERROR_REASON_"));
        let proofs = action.required_proofs().map(|proof| short(proof.as_str_name(), "PROOF_KIND_"));
        let (may, why) = if action.allowed {
            ("may", proofs.collect::<Vec<_>>().join(" "))
        } else {
            ("may not", reasons.collect::<Vec<_>>().join(" "))
        };
        let _ = writeln!(text, "{}", format!("  {may} {name} {why}").trim_end());
    }
    text
}

fn at(what: &str, time: Option<prost_types::Timestamp>) -> String {
    time.map(|time| format!("{what} {time}")).unwrap_or_default()
}
