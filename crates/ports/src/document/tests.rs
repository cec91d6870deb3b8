//! Every document reads back, its form does not change unnoticed, and what another version or another hand wrote is
//! read or refused as it should be.

mod policy;

use super::*;
use countersign_domain::actor::{Principal, RecordedActor};
use countersign_domain::event::EventType;
use countersign_domain::ids::{TeamId, UserId};
use countersign_domain::otp::Algorithm;
use countersign_domain::policy::{
    AuthenticatorType, ChallengeMode, DelegatedAction, FirstEnrollment, FirstFactorMethod, Grant, Naming,
    ProofKind, ProofStage, Replace, RequirementMode, SmsDelivery,
};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    ChallengePurpose, ClientClaims, DirectoryEntry, FirstFactor, Role, TeamMembership, TicketIssuer,
};
use proptest::prelude::*;
use std::borrow::Cow;

fn first_factor() -> FirstFactor {
    FirstFactor {
        method: FirstFactorMethod::Federated,
        verify_time: Timestamp::from_unix_micros(1_800_000_000_000_001),
        identity_provider: "accounts.example".to_owned(),
        amr: vec!["pwd".to_owned(), "mfa".to_owned()],
    }
}

fn client() -> ClientClaims {
    ClientClaims {
        ip_address: "2001:db8::1".to_owned(),
        user_agent: "Browser/1.0 (\"quoted\"; \u{0}\n)".to_owned(),
        application: "shop".to_owned(),
        language_code: "fi".to_owned(),
    }
}

fn directory() -> DirectoryEntry {
    DirectoryEntry {
        account_label: "ann@acme.example".to_owned(),
        email: "ann@acme.example".to_owned(),
        language_code: "fi".to_owned(),
        teams: vec![membership("blue", Role::Manager), membership("a:b", Role::Member)],
        groups: vec!["staff".to_owned()],
        disabled: true,
    }
}

fn membership(team: &str, role: Role) -> TeamMembership {
    TeamMembership { team: TeamId::parse(team).unwrap(), role }
}

const FIRST_FACTOR: &str = r#"{"method":"FEDERATED","verify_time_us":1800000000000001,"identity_provider":"accounts.example","amr":["pwd","mfa"]}"#;

/// R68: the form of each small document is the one that stored rows have, and it reads back.
#[test]
fn small_documents_stay_what_they_are() {
    check(&first_factor(), encode_first_factor, decode_first_factor, FIRST_FACTOR);
    check(
        &client(),
        encode_client_claims,
        decode_client_claims,
        r#"{"ip_address":"2001:db8::1","user_agent":"Browser/1.0 (\"quoted\"; \u0000\n)","application":"shop","language_code":"fi"}"#,
    );
    check(
        &directory(),
        encode_directory_entry,
        decode_directory_entry,
        r#"{"account_label":"ann@acme.example","email":"ann@acme.example","language_code":"fi","teams":[{"team":"blue","role":"MANAGER"},{"team":"a:b","role":"MEMBER"}],"groups":["staff"],"disabled":true}"#,
    );
    check(
        &TicketIssuer::Login(first_factor()),
        encode_ticket_issuer,
        decode_ticket_issuer,
        &FIRST_FACTOR.replace(r#"{"method""#, r#"{"kind":"LOGIN","method""#),
    );
    check(&TicketIssuer::Manager, encode_ticket_issuer, decode_ticket_issuer, r#"{"kind":"MANAGER"}"#);
    check(
        &[i64::MIN, -1, 1_800_000_000_000_001, i64::MAX].map(Timestamp::from_unix_micros).to_vec(),
        |times| encode_failure_times(times),
        decode_failure_times,
        "[-9223372036854775808,-1,1800000000000001,9223372036854775807]",
    );
    check(
        &vec![
            ("reason".into(), "WRONG".to_owned()),
            ("a".into(), "ä\"".to_owned()),
            ("a".into(), String::new()),
        ],
        |details| encode_details(details),
        decode_details,
        r#"[["reason","WRONG"],["a","ä\""],["a",""]]"#,
    );
    for (principal, text) in [
        (Principal::User(UserId::parse("job:ann:x").unwrap()), "user:job:ann:x"),
        (Principal::Operator("Ann O: night shift".to_owned()), "operator:Ann O: night shift"),
        (Principal::Job("sweeper".to_owned()), "job:sweeper"),
    ] {
        check(&principal, encode_principal, decode_principal, text);
    }
    let actor = RecordedActor {
        principal: Principal::Job("sweeper".to_owned()),
        permissions: vec!["users.view".to_owned(), "a \"b\"".to_owned()],
        first_factor_method: Some(FirstFactorMethod::Password),
    };
    check(
        &actor,
        |actor| encode_actor_claims(actor).unwrap(),
        |text| decode_actor_claims(actor.principal.clone(), Some(text)),
        r#"{"permissions":["users.view","a \"b\""],"first_factor":"PASSWORD"}"#,
    );
    let plain = RecordedActor::from(actor.principal.clone());
    assert_eq!(encode_actor_claims(&plain), None, "nothing vouched for, nothing kept");
    assert_eq!(decode_actor_claims(plain.principal.clone(), None), Ok(plain.clone()));
    assert_eq!(decode_actor_claims(plain.principal.clone(), Some("{}")), Ok(plain));
}

fn check<T: PartialEq + std::fmt::Debug>(
    value: &T,
    encode: impl Fn(&T) -> String,
    decode: impl Fn(&str) -> Result<T, DocumentError>,
    text: &str,
) {
    assert_eq!(encode(value), text);
    assert_eq!(decode(text).as_ref(), Ok(value));
}

/// R68: documents of the next version, with fields that this one does not know, read.
#[test]
fn unknown_fields_are_ignored() {
    let added = FIRST_FACTOR.replace(r#""amr""#, r#""added":{"later":[1,null]},"amr""#);
    assert_eq!(decode_first_factor(&added), Ok(first_factor()));
    let added = encode_ticket_issuer(&TicketIssuer::Manager).replace('}', r#","added":1}"#);
    assert_eq!(decode_ticket_issuer(&added), Ok(TicketIssuer::Manager));
    let added = encode_client_claims(&client()).replace(r#""application""#, r#""added":1,"application""#);
    assert_eq!(decode_client_claims(&added), Ok(client()));
    let added = encode_directory_entry(&directory()).replace(r#""role""#, r#""added":"x","role""#);
    assert_eq!(decode_directory_entry(&added), Ok(directory()));
}

/// R63: what this service cannot have written is an error that names the document and never quotes it.
#[test]
fn what_nobody_wrote_is_refused() {
    let directory = encode_directory_entry(&directory());
    for (error, problem) in [
        (decode_first_factor("").unwrap_err(), "is cut short"),
        (decode_first_factor(&FIRST_FACTOR[..40]).unwrap_err(), "is cut short"),
        (decode_first_factor(&format!("{FIRST_FACTOR}x")).unwrap_err(), "is not well-formed"),
        (decode_first_factor(&FIRST_FACTOR.replace("FEDERATED", "CANARY")).unwrap_err(), "lacks a field"),
        (decode_first_factor(&FIRST_FACTOR.replace("FEDERATED", "federated")).unwrap_err(), "lacks a field"),
        (decode_first_factor(&FIRST_FACTOR.replace("amr", "CANARY")).unwrap_err(), "lacks a field"),
        (decode_client_claims(r#"{"ip_address":"CANARY"}"#).unwrap_err(), "lacks a field"),
        (decode_client_claims(r#""CANARY""#).unwrap_err(), "lacks a field"),
        (decode_directory_entry(&directory.replace("a:b", "CAN ARY")).unwrap_err(), "lacks a field"),
        (decode_directory_entry(&directory.replace("true", r#""CANARY""#)).unwrap_err(), "lacks a field"),
        (decode_ticket_issuer(r#"{"kind":"CANARY"}"#).unwrap_err(), "lacks a field"),
        (decode_ticket_issuer(r#"{"kind":"LOGIN"}"#).unwrap_err(), "lacks a field"),
        (decode_failure_times(r#"[1,"CANARY"]"#).unwrap_err(), "lacks a field"),
        (decode_failure_times("[1.5]").unwrap_err(), "lacks a field"),
        (decode_details(r#"[["CANARY"]]"#).unwrap_err(), "lacks a field"),
        (decode_details(r#"[["a","b","CANARY"]]"#).unwrap_err(), "is not well-formed"),
        (decode_principal("CANARY").unwrap_err(), "names no user"),
        (decode_principal("canary:CANARY").unwrap_err(), "names no user"),
        (decode_principal("user:CANARY CANARY").unwrap_err(), "names no user"),
        (decode_principal("user:").unwrap_err(), "names no user"),
        (decode_principal("USER:ann").unwrap_err(), "names no user"),
    ] {
        assert!(error.problem().starts_with(problem), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(error.document()) && !shown.to_lowercase().contains("can"), "{shown}");
    }
}

/// R68: every value has the word that stored rows have, and no other spelling of it reads.
#[test]
fn words_stay_what_they_are() {
    words::<AuthenticatorType>(&["TOTP", "SMS", "SECURITY_KEY", "RECOVERY_CODE"]);
    words::<ProofKind>(&["FIRST_FACTOR", "SECOND_FACTOR"]);
    words::<RequirementMode>(&["OPTIONAL", "REQUIRED"]);
    words::<FirstEnrollment>(&["AT_LOGIN", "MANAGER_TICKET"]);
    words::<ChallengeMode>(&["EVERY_LOGIN", "NEW_CLIENT"]);
    words::<SmsDelivery>(&["GATEWAY", "CALLER"]);
    words::<ProofStage>(&["BEGIN", "CONFIRM"]);
    words::<Replace>(&["DISABLE_FIRST", "ANY_TIME"]);
    words::<Naming>(&["OPTIONAL", "REQUIRED"]);
    words::<DelegatedAction>(&["RESET_MEMBER", "DISABLE_MEMBER", "UNLOCK_MEMBER", "ISSUE_TICKET"]);
    words::<Grant>(&["TEAM_MANAGER", "PERMISSIONS"]);
    words::<FirstFactorMethod>(&["PASSWORD", "FEDERATED", "EMAIL_LINK", "PASSKEY"]);
    words::<ChallengePurpose>(&["LOGIN", "STEP_UP"]);
    words::<Role>(&["MEMBER", "MANAGER"]);
    words::<Algorithm>(&["SHA1", "SHA256", "SHA512"]);
    words::<EventType>(&EventType::ALL.iter().map(Named::name).collect::<Vec<_>>());
    // A table could swap two words and still read back: the value behind one of each type is named here.
    assert_eq!(AuthenticatorType::SecurityKey.name(), "SECURITY_KEY");
    assert_eq!((Role::Manager.name(), ChallengePurpose::StepUp.name()), ("MANAGER", "STEP_UP"));
}

fn words<T: Named>(words: &[&str]) {
    for word in words {
        assert_eq!(T::from_name(word).map(|value| value.name()), Some(*word));
        for other in [word.to_lowercase(), format!("{word} "), word.replace('_', "-") + "-"] {
            assert!(T::from_name(&other).is_none(), "{other}");
        }
    }
    assert!(T::from_name("").is_none());
}

proptest! {
    /// R48: no text makes a decoder panic.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}|[\\[\\]{}\",:0-9a-z]{0,60}") {
        let _ = decode_policy_document(&text);
        let _ = decode_first_factor(&text);
        let _ = decode_client_claims(&text);
        let _ = decode_directory_entry(&text);
        let _ = decode_ticket_issuer(&text);
        let _ = decode_failure_times(&text);
        let _ = decode_details(&text);
        let _ = decode_principal(&text);
    }

    /// R68: texts of every kind read back byte for byte.
    #[test]
    fn any_text_reads_back(texts in any::<[String; 4]>(), disabled in any::<bool>(), micros in any::<i64>()) {
        let [a, b, c, d] = texts.clone();
        let client = ClientClaims { ip_address: a, user_agent: b, application: c, language_code: d };
        prop_assert_eq!(decode_client_claims(&encode_client_claims(&client)), Ok(client));

        let [a, b, c, d] = texts.clone();
        let entry = DirectoryEntry {
            account_label: a, email: b, language_code: c, teams: Vec::new(), groups: vec![d], disabled,
        };
        prop_assert_eq!(decode_directory_entry(&encode_directory_entry(&entry)), Ok(entry));

        let [a, b, c, d] = texts;
        let details = vec![(Cow::Owned(a.clone()), b.clone()), (Cow::Owned(c.clone()), d.clone())];
        prop_assert_eq!(decode_details(&encode_details(&details)), Ok(details));

        let operator = Principal::Operator(d);
        prop_assert_eq!(decode_principal(&encode_principal(&operator)), Ok(operator));

        let verify_time = Timestamp::from_unix_micros(micros);
        let first_factor =
            FirstFactor { method: FirstFactorMethod::Password, verify_time, identity_provider: a, amr: vec![b, c] };
        prop_assert_eq!(decode_first_factor(&encode_first_factor(&first_factor)), Ok(first_factor.clone()));
        let issuer = TicketIssuer::Login(first_factor);
        prop_assert_eq!(decode_ticket_issuer(&encode_ticket_issuer(&issuer)), Ok(issuer));
    }
}
