//! A full run of the contract in which everything secret is a canary: each way to hand a secret out, to take one in, and
//! to refuse one. What the answers must be is tested elsewhere; here only what they and the log must not carry.

use super::canaries::{Canaries, Place};
use super::telephone;
use crate::harness::gateway::Gateway;
use crate::harness::policy::lock_for_an_hour;
use crate::harness::user::{password, patient, proof};
use crate::harness::{App, TENANT, User, events};
use countersign_api::v1;
use tonic::Status;
use tonic::transport::Channel;
use v1::begin_sms_enrollment_request::Authority as BeginSmsAuthority;
use v1::begin_totp_enrollment_request::Authority as BeginAuthority;
use v1::confirm_enrollment_request::Authority as ConfirmAuthority;
use v1::directory_service_client::DirectoryServiceClient;
use v1::login_decision::Verdict;

/// The tenant where a login hands out tickets and clients are remembered.
const MANAGED: &str = "mandatory-managed";
/// An address as user id, which the contract allows.
const USER: &str = "canary.user@example.com";
const LABEL: &str = "canary.label@example.com";
const EMAIL: &str = "canary.mail@example.com";
const PHONE: &str = "+15550107777";
const ADDRESS: &str = "203.0.113.177";
const AGENT: &str = "canary-agent/1.0";
const NAME: &str = "canary's telephone";
const REASON: &str = "canary lost the telephone";
/// What a caller might send by mistake in the place of a secret.
const GARBAGE: &str = "canary-in-the-wrong-place";

/// Errors and statuses, each with what it is, as text.
pub(crate) type Told = Vec<(&'static str, String)>;

struct Run<'a> {
    user: User,
    canaries: &'a mut Canaries,
    told: Told,
}

/// Does everything, and returns what was told that must carry no secret.
pub(crate) async fn everything(channel: &Channel, gateway: &Gateway, canaries: &mut Canaries) -> Told {
    for (what, text) in [
        ("user id", USER),
        ("account label", LABEL),
        ("e-mail address", EMAIL),
        ("phone number", PHONE),
        ("device address", ADDRESS),
        ("user agent", AGENT),
        ("display name", NAME),
        ("reason", REASON),
        ("garbage", GARBAGE),
    ] {
        canaries.text(Place::Database, what, text);
    }
    lock_for_an_hour(channel, TENANT).await;
    let mut run = Run { user: User::new(channel.clone(), TENANT, USER), canaries, told: Vec::new() };
    run.directory(channel).await;
    run.self_service().await;
    run.user = User::new(channel.clone(), MANAGED, USER);
    run.managed().await;
    run.garbage().await;
    let mut told = run.told;
    told.extend(telephone::everything(channel, gateway, run.canaries).await);
    for tenant in [TENANT, MANAGED] {
        let log = events::of_user(channel, tenant, USER).await;
        assert!(log.len() > 5, "the log of {tenant} has {} events", log.len());
        told.extend(log.iter().map(|event| ("an event", shown(event))));
    }
    told
}

/// What a message carries and what it prints, without what it is there to tell.
fn shown(message: &(impl prost::Message + std::fmt::Debug)) -> String {
    let bytes = message.encode_to_vec();
    let text = format!("{}\n{message:?}", String::from_utf8_lossy(&bytes));
    [USER, NAME, ADDRESS, AGENT, REASON].into_iter().fold(text, |text, told| text.replace(told, ""))
}

impl Run<'_> {
    /// Keeps an error for the search; passes an answer on.
    fn note<T>(&mut self, result: Result<T, Status>) -> Option<T> {
        let status = match result {
            Ok(answer) => return Some(answer),
            Err(status) => status,
        };
        let details = String::from_utf8_lossy(status.details());
        self.told.push(("an error", format!("{status:?}\n{status}\n{details}")));
        None
    }

    fn refused<T>(&mut self, result: Result<T, Status>) {
        assert!(self.note(result).is_none(), "it was due to fail");
    }

    async fn status(&mut self) {
        let status = self.user.status().await.unwrap();
        self.told.push(("a status", shown(&status)));
    }

    async fn directory(&mut self, channel: &Channel) {
        let entry = v1::User {
            user_id: USER.to_owned(),
            account_label: LABEL.to_owned(),
            email: EMAIL.to_owned(),
            ..v1::User::default()
        };
        let mut directory = DirectoryServiceClient::new(channel.clone());
        for email in [EMAIL.to_owned(), format!("{EMAIL}\n"), GARBAGE.to_owned()] {
            let request = v1::PutUserRequest {
                tenant_id: TENANT.to_owned(),
                user: Some(v1::User { email, ..entry.clone() }),
                ..v1::PutUserRequest::default()
            };
            let result = directory.put_user(patient(request)).await;
            self.note(result);
        }
    }

    /// Begins until the code of the next step begins with a zero, and confirms with that of the present one. Returns the
    /// app, that next code and the recovery codes.
    async fn enrol(&mut self, ticket: Option<&str>) -> (App, String, Vec<String>) {
        loop {
            let mut request = v1::BeginTotpEnrollmentRequest {
                account_label: LABEL.to_owned(),
                qr_formats: Vec::new(),
                ..self.user.to_begin()
            };
            if let Some(ticket) = ticket {
                request.authority = Some(BeginAuthority::EnrollmentTicket(ticket.to_owned()));
            }
            let begun = self.user.begin(request).await.unwrap();
            let app = App::scan(&begun.otpauth_uri);
            self.canaries.bytes("key", app.key());
            let step = app.step();
            let (confirming, next) = (app.code_of(step), app.code_of(step + 1));
            if !next.starts_with('0') {
                continue;
            }
            self.canaries.text(Place::Nowhere, "otpauth URI", &begun.otpauth_uri);
            self.canaries.text(Place::Nowhere, "key for typing", &begun.manual_key);
            let confirm = |code: &str| {
                let mut confirm = self.user.to_confirm(&begun.enrollment_id, code);
                if let Some(ticket) = ticket {
                    confirm.authority = Some(ConfirmAuthority::EnrollmentTicket(ticket.to_owned()));
                }
                v1::ConfirmEnrollmentRequest { display_name: NAME.to_owned(), ..confirm }
            };
            let (wrong, right) = (app.wrong(1).remove(0), confirm(&confirming));
            let failing = [confirm(&wrong), confirm(GARBAGE), confirm(&format!("{confirming}0"))];
            self.canaries.code(&wrong);
            self.canaries.code(&next);
            for request in failing {
                let result = self.user.confirm(request).await;
                self.refused(result);
            }
            let done = self.user.confirm(right).await.unwrap();
            let codes = done.recovery_codes.map(|set| set.codes).unwrap_or_default();
            for code in &codes {
                self.canaries.text(Place::Nowhere, "recovery code", code);
            }
            return (app, next, codes);
        }
    }

    /// A login from the device; challenges and tokens in the verdict are canaries from then on.
    async fn login(&mut self, answer: Option<&str>, token: &str) -> Verdict {
        let client = v1::ClientContext {
            ip_address: ADDRESS.to_owned(),
            user_agent: AGENT.to_owned(),
            application: "shop".to_owned(),
            remembered_client_token: token.to_owned(),
            ..v1::ClientContext::default()
        };
        let request = v1::CheckLoginRequest {
            client: Some(client),
            remember_client: true,
            ..self.user.to_check(answer)
        };
        let verdict = self.user.check(request).await.unwrap().verdict.expect("a verdict");
        let (what, token) = match &verdict {
            Verdict::ChallengeRequired(body) => ("challenge", Some(&body.challenge)),
            Verdict::LockedOut(body) => ("challenge", body.challenge.as_ref()),
            Verdict::EnrollmentRequired(body) => ("ticket", Some(&body.enrollment_ticket)),
            Verdict::Allowed(body) => {
                ("remembered-client token", body.remembered_client.as_ref().map(|client| &client.token))
            }
            Verdict::Refused(_) => ("nothing", None),
        };
        if let Some(token) = token {
            self.canaries.text(Place::Nowhere, what, token);
        }
        verdict
    }

    async fn self_service(&mut self) {
        let (app, code, recovery_codes) = self.enrol(None).await;
        self.status().await;
        let Verdict::ChallengeRequired(asked) = self.login(None, "").await else { panic!("no challenge") };
        for malformed in [GARBAGE.to_owned(), format!("{code}{code}"), format!("{code}\n")] {
            let result = self.user.answer(&asked.challenge, &malformed).await;
            self.refused(result);
        }
        let wrong = app.wrong(4);
        for code in &wrong {
            self.canaries.code(code);
        }
        self.user.answer(&asked.challenge, &wrong[0]).await.unwrap();
        let verdict = self.user.answer(&asked.challenge, &code).await.unwrap();
        assert!(matches!(verdict, Verdict::Allowed(_)), "{verdict:?}");
        let result = self.user.answer(&asked.challenge, &code).await;
        self.refused(result);
        for spent in [&code, &recovery_codes[0], &recovery_codes[0], &recovery_codes[0].to_lowercase()] {
            self.login(Some(spent), "").await;
        }
        let new = self.recovery_codes(&recovery_codes[1]).await;
        self.recovery_codes(&wrong[1]).await;
        for code in &wrong {
            self.login(Some(code), "").await;
        }
        let verdict = self.login(None, "").await;
        assert!(matches!(verdict, Verdict::LockedOut(_)), "{verdict:?}");
        self.status().await;
        self.disable(&wrong[2]).await;
        self.disable(&new[0]).await;
        self.status().await;
    }

    /// New recovery codes for this proof; none if it is wrong.
    async fn recovery_codes(&mut self, code: &str) -> Vec<String> {
        let request = v1::GenerateRecoveryCodesRequest {
            tenant_id: self.user.tenant.clone(),
            user_id: self.user.id.clone(),
            actor: Some(self.user.actor()),
            proof: Some(proof(code)),
            ..v1::GenerateRecoveryCodesRequest::default()
        };
        let result = self.user.account.clone().generate_recovery_codes(patient(request)).await;
        let set = self.note(result).and_then(|answer| answer.into_inner().recovery_codes);
        let codes = set.map(|set| set.codes).unwrap_or_default();
        for code in &codes {
            self.canaries.text(Place::Nowhere, "recovery code", code);
        }
        codes
    }

    async fn disable(&mut self, code: &str) {
        let request = v1::DisableTwoFactorRequest {
            tenant_id: self.user.tenant.clone(),
            user_id: self.user.id.clone(),
            actor: Some(self.user.actor()),
            proof: Some(proof(code)),
            ..v1::DisableTwoFactorRequest::default()
        };
        let result = self.user.account.clone().disable_two_factor(patient(request)).await;
        self.note(result);
    }

    async fn managed(&mut self) {
        let Verdict::EnrollmentRequired(stopped) = self.login(None, "").await else { panic!("not stopped") };
        let (_, code, recovery_codes) = self.enrol(Some(&stopped.enrollment_ticket)).await;
        let Verdict::Allowed(allowed) = self.login(Some(&code), "").await else { panic!("not allowed") };
        let token = allowed.remembered_client.expect("a token to keep").token;
        // Rotated on use; shown again later it revokes its family.
        let Verdict::Allowed(allowed) = self.login(None, &token).await else { panic!("not remembered") };
        let rotated = allowed.remembered_client.map(|client| client.token).unwrap_or_default();
        for token in [&rotated, &token, &token, GARBAGE] {
            self.login(None, token).await;
        }
        self.login(Some(&recovery_codes[0]), "").await;
        let request = v1::RequestResetRequest {
            tenant_id: self.user.tenant.clone(),
            user_id: self.user.id.clone(),
            actor: Some(self.user.actor()),
            reason: REASON.to_owned(),
            ..v1::RequestResetRequest::default()
        };
        let result = self.user.account.clone().request_reset(patient(request)).await;
        self.note(result);
        self.status().await;
    }

    /// Secrets and nonsense where they do not belong: whatever the answer is, it quotes nothing.
    async fn garbage(&mut self) {
        let result = self.user.answer(GARBAGE, GARBAGE).await;
        self.refused(result);
        let mut begin = self.user.to_begin();
        begin.authority = Some(BeginAuthority::EnrollmentTicket(GARBAGE.to_owned()));
        let result = self.user.begin(begin).await;
        self.refused(result);
        let begin = v1::BeginTotpEnrollmentRequest {
            account_label: format!("{GARBAGE}\u{202e}"),
            request_id: GARBAGE.to_owned(),
            replaces_authenticator_id: GARBAGE.to_owned(),
            ..self.user.to_begin()
        };
        let result = self.user.begin(begin).await;
        self.refused(result);
        for phone_number in [PHONE, GARBAGE] {
            let request = v1::BeginSmsEnrollmentRequest {
                tenant_id: self.user.tenant.clone(),
                user_id: self.user.id.clone(),
                authority: Some(BeginSmsAuthority::Actor(self.user.actor())),
                phone_number: phone_number.to_owned(),
                ..v1::BeginSmsEnrollmentRequest::default()
            };
            let result = self.user.account.clone().begin_sms_enrollment(patient(request)).await;
            self.note(result);
        }
        let foreign = v1::Actor {
            principal: Some(v1::actor::Principal::Operator(format!("{GARBAGE}\u{1}"))),
            permissions: vec![format!("{GARBAGE}\n")],
            ..v1::Actor::default()
        };
        let request = v1::GetStatusRequest {
            tenant_id: self.user.tenant.clone(),
            user_id: format!("{USER} {GARBAGE}"),
            actor: Some(foreign),
        };
        let result = self.user.account.clone().get_status(patient(request)).await;
        self.refused(result);
        let first_factor = v1::FirstFactor {
            method: v1::FirstFactorMethod::Federated.into(),
            identity_provider: format!("{GARBAGE}\n"),
            amr: vec![GARBAGE.to_uppercase()],
            ..password()
        };
        let request = v1::CheckLoginRequest { first_factor: Some(first_factor), ..self.user.to_check(None) };
        let result = self.user.check(request).await;
        self.refused(result);
        let json = v1::proof::Kind::WebauthnCredentialJson(format!("{{\"id\":\"{GARBAGE}\"}}"));
        let request = v1::CheckLoginRequest {
            answer: Some(v1::Proof { kind: Some(json) }),
            ..self.user.to_check(None)
        };
        let result = self.user.check(request).await;
        self.note(result);
    }
}
