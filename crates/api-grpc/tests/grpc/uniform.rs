//! What looks alike on purpose: a code that is not accepted tells nothing about why.

use crate::support::{Client, Enrolled, Person, World, code};
use countersign_api::v1;
use countersign_api::v1::login_decision::Verdict;
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use countersign_testkit::VirtualAuthenticator;
use prost::Message as _;
use std::time::Duration;

const TENANT: &str = "several";

/// A user with an active, a disabled and a pending authenticator, and somebody else with one.
struct Setting {
    world: World,
    client: Client,
    ann: Person,
    active: Enrolled,
    disabled: VirtualAuthenticator,
    pending: VirtualAuthenticator,
    foreign: VirtualAuthenticator,
}

impl Setting {
    async fn new() -> Self {
        let world = World::new();
        world
            .tenant_with(TENANT, Preset::SelfServicePassword, |policy| {
                policy.lockout.consecutive_limit = 5;
                policy.disable.required_proofs = vec![countersign_domain::policy::ProofKind::SecondFactor];
                policy.enrollment.required_proofs = vec![countersign_domain::policy::ProofKind::FirstFactor];
            })
            .await;
        let client = world.client().await;
        let (ann, bob) = (Person::new(TENANT, "ann"), Person::new(TENANT, "bob"));
        let disabled = ann.enroll(&world, &client).await;
        for _ in 0..5 {
            let wrong = disabled.app.wrong_code_at(world.now());
            ann.login(&world, &client, Some(code(wrong))).await;
            world.clock.advance(Duration::from_hours(1));
        }
        let told = world.events(TENANT, &[EventType::AuthenticatorDisabled]).await;
        assert_eq!(told.len(), 1, "the first authenticator is disabled");
        let active = ann.enroll(&world, &client).await;
        let foreign = bob.enroll(&world, &client).await.app;
        let begun = client.account.clone().begin_totp_enrollment(ann.begin(&world)).await.unwrap();
        let pending = VirtualAuthenticator::scan(&begun.into_inner().otpauth_uri).unwrap();
        // The first success after the failures above clears the streak.
        let this = Self { world, client, ann, active, disabled: disabled.app, pending, foreign };
        this.succeed().await;
        this
    }

    /// A login that clears the streak of failures, and the code that it used up.
    async fn succeed(&self) -> String {
        self.world.next_step();
        let used = self.active.app.code_at(self.world.now());
        let verdict = self.ann.login(&self.world, &self.client, Some(code(&used))).await;
        assert!(matches!(verdict, Verdict::Allowed(_)), "{verdict:?}");
        used
    }

    /// Codes that are not accepted now, each for another reason, by what the log calls it.
    fn codes(&self, used: &str) -> [(&'static str, String); 5] {
        let now = self.world.now();
        [
            ("wrong", self.active.app.wrong_code_at(now)),
            ("replayed", used.to_owned()),
            ("wrong", self.foreign.code_at(now)),
            ("pending", self.pending.code_at(now)),
            ("disabled", self.disabled.code_at(now)),
        ]
    }

    /// What the log says of the last refusal.
    async fn finding(&self) -> String {
        let refused = self.world.events(TENANT, &[EventType::LoginRefused]).await;
        let details = refused.last().unwrap().event.details.clone();
        details.into_iter().find(|(name, _)| name == "finding").unwrap().1
    }
}

/// R8: wrong, replayed, foreign, pending and disabled authenticators' codes get one and the same answer at login, to the
/// byte, apart from the id of the event that knows better.
#[tokio::test]
async fn refused_logins_look_alike_to_the_byte() {
    let setting = Setting::new().await;
    let mut answers = Vec::new();
    for kind in 0..5 {
        let used = setting.succeed().await;
        let (finding, typed) = setting.codes(&used)[kind].clone();
        let request = setting.ann.check(&setting.world, Some(code(typed)));
        let response = setting.client.login.clone().check_login(request).await.unwrap();
        assert_eq!(setting.finding().await, finding, "the log tells what really happened");
        let mut message = response.into_inner();
        let decision = message.decision.as_mut().unwrap();
        assert!(!std::mem::take(&mut decision.event_id).is_empty());
        assert!(matches!(decision.verdict, Some(Verdict::Refused(_))));
        answers.push(message.encode_to_vec());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

/// R8: where a code is asked for to change something, the same five get one and the same error, to the byte.
#[tokio::test]
async fn refused_proofs_look_alike_to_the_byte() {
    let setting = Setting::new().await;
    let mut answers = Vec::new();
    for kind in 0..5 {
        let used = setting.succeed().await;
        let (_, typed) = setting.codes(&used)[kind].clone();
        let request = setting.ann.generate(&setting.world, Some(code(typed)));
        let status = setting.client.account.clone().generate_recovery_codes(request).await.unwrap_err();
        assert_eq!(crate::support::reason(&status), "PROOF_INCORRECT");
        answers.push((status.code(), status.message().to_owned(), status.details().to_vec()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// R14: while locked, right and wrong codes get one and the same answer.
#[tokio::test]
async fn locked_out_users_learn_nothing_of_their_codes() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let enrolled = ann.enroll(&world, &client).await;
    for guess in ["000000", "111111", "222222"] {
        ann.login(&world, &client, Some(code(guess))).await;
    }
    let mut answers = Vec::new();
    for typed in [enrolled.app.code_at(world.now()), enrolled.app.wrong_code_at(world.now())] {
        let Verdict::LockedOut(mut locked) = ann.login(&world, &client, Some(code(typed))).await else {
            panic!("not locked out");
        };
        assert!(locked.challenge.take().is_some(), "recovery codes stay open");
        let methods: Vec<_> = locked.methods_still_open.iter().map(v1::ChallengeMethod::r#type).collect();
        assert_eq!(methods, [v1::AuthenticatorType::RecoveryCode]);
        assert_eq!(locked.retry_after.as_ref().unwrap().seconds, 30);
        answers.push(locked.encode_to_vec());
    }
    assert_eq!(answers[0], answers[1]);
}
