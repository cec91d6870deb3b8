//! Documents of each kind, as the stores write them; and such with what nobody wrote.

use crate::Seed;
use countersign_domain::actor::{Principal, RecordedActor};
use countersign_domain::ids::{TeamId, UserId};
use countersign_domain::policy::{FirstFactorMethod, PolicyDocument, Preset};
use countersign_domain::security_key::{CredentialId, SecurityKey, Transport};
use countersign_domain::text::Issuer;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    ClientClaims, DirectoryEntry, FirstFactor, Role, TeamMembership, TicketIssuer,
};
use countersign_ports::document::{
    encode_actor_claims, encode_client_claims, encode_details, encode_directory_entry, encode_failure_times,
    encode_first_factor, encode_policy_document, encode_principal, encode_security_key, encode_ticket_issuer,
};

const POLICY: [&str; 2] = ["policy", "policy without contradictions"];

fn policy(preset: Preset) -> PolicyDocument {
    preset.document(Issuer::parse("Example").expect("a name"))
}

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
    let team = |team: &str, role| TeamMembership { team: TeamId::parse(team).expect("an id"), role };
    DirectoryEntry {
        account_label: "ann@acme.example".to_owned(),
        email: "ann@acme.example".to_owned(),
        language_code: "fi".to_owned(),
        teams: vec![team("blue", Role::Manager), team("a:b", Role::Member)],
        groups: vec!["staff".to_owned()],
        disabled: true,
    }
}

fn key() -> SecurityKey {
    SecurityKey {
        id: CredentialId::new(vec![7; 32]).expect("an id"),
        public_key: vec![0xa5, 1, 2, 3],
        sign_count: 7,
        user_verified: true,
        backup_eligible: true,
        backed_up: false,
        transports: Transport::ALL.to_vec(),
    }
}

fn actor() -> RecordedActor {
    RecordedActor {
        principal: Principal::Operator("Ann O: night shift".to_owned()),
        permissions: vec!["users.view".to_owned(), "a \"b\"".to_owned()],
        first_factor_method: Some(FirstFactorMethod::Password),
    }
}

/// The small documents, good ones.
fn small() -> Vec<Seed> {
    let times = [i64::MIN, -1, 1_800_000_000_000_001, i64::MAX].map(Timestamp::from_unix_micros);
    let details = [("reason".into(), "WRONG".to_owned()), ("a".into(), "ä\"".to_owned())];
    let user = Principal::User(UserId::parse("job:ann:x").expect("an id"));
    let login = TicketIssuer::Login(first_factor());
    vec![
        Seed::good("first-factor", encode_first_factor(&first_factor()), &["first factor"]),
        Seed::good("client-claims", encode_client_claims(&client()), &["client claims"]),
        Seed::good("directory-entry", encode_directory_entry(&directory()), &["directory entry"]),
        Seed::good("ticket-of-login", encode_ticket_issuer(&login), &["first factor", "ticket issuer"]),
        Seed::good("ticket-of-manager", encode_ticket_issuer(&TicketIssuer::Manager), &["ticket issuer"]),
        Seed::good("failure-times", encode_failure_times(&times), &["failure times"]),
        Seed::good("details", encode_details(&details), &["details"]),
        Seed::good("list-of-nothing", encode_details(&[]), &["failure times", "details"]),
        Seed::good("principal-user", encode_principal(&user), &["principal"]),
        Seed::good("principal-operator", encode_principal(&actor().principal), &["principal"]),
        Seed::good("security-key", encode_security_key(&key()), &["security key"]),
        Seed::good(
            "actor-claims",
            encode_actor_claims(&actor()).expect("something is vouched for"),
            &["actor claims"],
        ),
    ]
}

/// What a document of the version after this one may hold, and of the one before may lack (R68).
fn other_versions(policy: &str) -> Vec<Seed> {
    let factor = encode_first_factor(&first_factor());
    let unverified = r#","requires_user_verification":false"#;
    assert!(policy.contains(unverified), "{policy}");
    vec![
        Seed::good("policy-version-before", policy.replace(unverified, ""), &POLICY),
        Seed::good(
            "first-factor-version-after",
            factor.replace(r#""amr""#, r#""added":{"later":[1,null]},"amr""#),
            &["first factor"],
        ),
        Seed::near("first-factor-word-of-nobody", factor.replace("FEDERATED", "federated")),
        Seed::near("first-factor-without-amr", factor.replace("amr", "arm")),
        Seed::near("first-factor-and-more", format!("{factor}x")),
        Seed::near("first-factor-cut-short", &factor[..40]),
    ]
}

/// A document of each kind, of every preset, of other versions, and near misses.
pub fn seeds() -> Vec<Seed> {
    let mut seeds: Vec<_> = Preset::ALL
        .into_iter()
        .map(|preset| {
            let text = encode_policy_document(&policy(preset));
            Seed::good(&format!("policy-{}", preset.id()), text, &POLICY)
        })
        .collect();
    let plain = encode_policy_document(&policy(Preset::ALL[0]));
    let contradiction =
        plain.replace(r#""digits":6"#, r#""digits":8"#).replace(r#""count":10"#, r#""count":0"#);
    seeds.extend(small());
    seeds.extend(other_versions(&plain));
    seeds.extend([
        Seed::good("policy-with-contradictions", contradiction, &["policy"]),
        Seed::near("policy-seven-digits", plain.replace(r#""digits":6"#, r#""digits":7"#)),
        Seed::near("policy-without-lockout", plain.replace(r#""lockout""#, r#""lockdown""#)),
        Seed::near("principal-nobody", "nobody:ann"),
        Seed::near("principal-user-without-id", "user:"),
        Seed::near("failure-times-past-64-bits", "[9223372036854775808]"),
        // A form may be written as the list of its fields.
        Seed::good("actor-claims-as-a-list", r#"[["users.view"],"PASSWORD"]"#, &["actor claims"]),
        Seed::near("details-of-a-number", r#"[["reason",7]]"#),
        Seed::near(
            "security-key-without-id",
            encode_security_key(&key()).replace(&"7,".repeat(31), "").replace("[7]", "[]"),
        ),
        Seed::near("ticket-of-nobody", r#"{"kind":"NOBODY"}"#),
    ]);
    seeds
}
