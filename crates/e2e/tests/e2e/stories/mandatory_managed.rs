//! `mandatory-managed`: nobody gets round it. Everybody enrols, unknown clients are asked, and only a manager of the team
//! helps whoever has lost everything.

mod clients;
mod grace;
mod locks;
mod phones;
mod reset;
mod start;

use super::phone::{Enrolled, Phone};
use crate::harness::{Node, User};
use countersign_api::v1;
use tonic::Status;
use tonic::transport::Channel;
use v1::begin_totp_enrollment_request::Authority as BeginAuthority;
use v1::confirm_enrollment_request::Authority as ConfirmAuthority;

const TENANT: &str = "mandatory-managed";

/// A user of the demo tenant.
fn user(channel: &Channel, id: &str) -> User {
    User::new(channel.clone(), TENANT, id)
}

/// A user who enrolled in a session, right after the password.
async fn enrolled(node: &Node, id: &str) -> (User, Enrolled) {
    let user = user(&node.channel().await, id);
    let enrolled = Phone::set_up(&user, user.to_begin()).await.unwrap();
    (user, enrolled)
}

/// A request to begin with the ticket of a stopped login.
fn to_begin_with(user: &User, ticket: &str) -> v1::BeginTotpEnrollmentRequest {
    let authority = Some(BeginAuthority::EnrollmentTicket(ticket.to_owned()));
    v1::BeginTotpEnrollmentRequest { authority, ..user.to_begin() }
}

/// Enrols with the ticket of a stopped login, with one code.
async fn enrol_with(user: &User, ticket: &str) -> Result<Enrolled, Status> {
    let begun = user.begin(to_begin_with(user, ticket)).await?;
    let request = |code: &str| v1::ConfirmEnrollmentRequest {
        authority: Some(ConfirmAuthority::EnrollmentTicket(ticket.to_owned())),
        ..user.to_confirm(&begun.enrollment_id, code)
    };
    Phone::confirm(user, &begun, request).await
}

/// The device that a login comes from, with what it kept.
fn device(token: &str) -> v1::ClientContext {
    v1::ClientContext {
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
        application: "portal".to_owned(),
        remembered_client_token: token.to_owned(),
        ..v1::ClientContext::default()
    }
}

/// A login with nothing but the password, from a device that kept this token.
fn to_check_from(user: &User, token: &str) -> v1::CheckLoginRequest {
    v1::CheckLoginRequest { client: Some(device(token)), ..user.to_check(None) }
}

/// The token that a device gets whose user signs in with this code and chooses not to be asked there again.
async fn remember(user: &User, code: &str) -> String {
    let request = v1::CheckLoginRequest {
        client: Some(device("")),
        remember_client: true,
        ..user.to_check(Some(code))
    };
    let passed = super::verdicts::allowed(user.verdict(request).await, v1::Assurance::Verified);
    passed.remembered_client.expect("a token").token
}
