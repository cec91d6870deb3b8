//! Turns, shares and rates: one tenant's or caller's storm and the others (R66).

use crate::support::{Client, EVERYTHING, Fault, Person, Raw, World, answer, callers, code, limited, reason};
use async_trait::async_trait;
use countersign_api::v1;
use countersign_api::v1::directory_service_client::DirectoryServiceClient;
use countersign_api_grpc::{Options, Rate};
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use countersign_ports::{SmsError, SmsSender, TextMessage};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const STORM: &str = "self-service-code";
const CALM: &str = "password-and-code";

struct Setting {
    world: World,
    client: Client,
    gate: Arc<Semaphore>,
    done: Arc<Mutex<Vec<String>>>,
}

impl Setting {
    /// Two tenants, and a store that lets one commit go on for each permit of the gate.
    async fn new(options: Options) -> Self {
        let world = World::with(options);
        world.tenant(Preset::SelfServiceCode).await;
        world.tenant_with(CALM, Preset::SelfServiceCode, |_| ()).await;
        let client = world.client().await;
        let gate = Arc::new(Semaphore::new(0));
        world.fail_commits(Fault::Wait(Arc::clone(&gate)));
        Self { world, client, gate, done: Arc::default() }
    }

    /// A login of a user of that tenant, which leaves its name when it is answered.
    fn login(&self, tenant: &str, user: &str) -> JoinHandle<Result<(), Status>> {
        let (mut login, done) = (self.client.login.clone(), Arc::clone(&self.done));
        let request = Person::new(tenant, user).check(&self.world, None);
        let user = user.to_owned();
        tokio::spawn(async move {
            let answer = login.check_login(request).await;
            done.lock().unwrap().push(user);
            answer.map(drop)
        })
    }

    /// Lets everything run until so many calls wait for their turn.
    async fn until_waiting(&self, calls: usize) {
        while self.world.service.waiting() != calls {
            tokio::task::yield_now().await;
        }
    }

    async fn until_committing(&self, commits: usize) {
        while self.world.commits() != commits {
            tokio::task::yield_now().await;
        }
    }
}

/// R66: with a storm of one tenant waiting, a call of another one is next after the one that is next already, and not
/// behind the storm.
#[tokio::test]
async fn a_storm_of_one_tenant_does_not_hold_up_another() {
    let setting = Setting::new(limited(callers([]), |limits| {
        limits.max_at_work = 1;
        limits.max_wait = Duration::from_hours(1);
    }))
    .await;
    let mut calls = vec![setting.login(STORM, "s0")];
    setting.until_committing(1).await;
    for index in 1..=5 {
        calls.push(setting.login(STORM, &format!("s{index}")));
        setting.until_waiting(index).await;
    }
    calls.push(setting.login(CALM, "calm"));
    setting.until_waiting(6).await;
    for _ in 0..calls.len() {
        let before = setting.done.lock().unwrap().len();
        setting.gate.add_permits(1);
        while setting.done.lock().unwrap().len() == before {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(*setting.done.lock().unwrap(), ["s0", "s1", "calm", "s2", "s3", "s4", "s5"]);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

/// R66: a tenant alone has all places; once another one was there it has no more than its share at work.
#[tokio::test(start_paused = true)]
async fn a_tenant_has_its_share_beside_another() {
    let options = limited(callers([]), |limits| {
        limits.max_at_work = 4;
        limits.max_at_work_per_tenant = 2;
        limits.max_wait = Duration::from_hours(1);
    });
    let setting = Setting::new(options).await;
    let mut calls: Vec<_> = (0..5).map(|index| setting.login(STORM, &format!("s{index}"))).collect();
    setting.until_committing(4).await;
    setting.until_waiting(1).await;
    calls.push(setting.login(CALM, "calm"));
    setting.until_waiting(2).await;
    setting.gate.add_permits(6);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let storm = [setting.login(STORM, "s6"), setting.login(STORM, "s7"), setting.login(STORM, "s8")];
    setting.until_committing(8).await;
    setting.until_waiting(1).await;
    let calm = setting.login(CALM, "calm");
    setting.until_committing(9).await;
    assert_eq!(setting.world.service.waiting(), 1, "two places are free, and not for the storm");
    setting.gate.add_permits(4);
    calm.await.unwrap().unwrap();
    for call in storm {
        call.await.unwrap().unwrap();
    }
}

/// R66: what one tenant has waiting is bounded; it is turned away at once with a time to come back, and others are not.
#[tokio::test]
async fn the_share_of_a_tenant_is_bounded() {
    let options = limited(callers([]), |limits| {
        limits.max_at_work = 1;
        limits.max_in_flight_per_tenant = 3;
        limits.max_wait = Duration::from_hours(1);
    });
    let setting = Setting::new(options).await;
    let first = setting.login(STORM, "s0");
    setting.until_committing(1).await;
    let waiting = [setting.login(STORM, "s1"), setting.login(STORM, "s2")];
    setting.until_waiting(2).await;
    let turned_away = setting.login(STORM, "s3").await.unwrap().unwrap_err();
    assert_eq!((turned_away.code(), reason(&turned_away).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(turned_away.get_details_retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
    let calm = setting.login(CALM, "calm");
    setting.until_waiting(3).await;
    setting.gate.add_permits(10);
    calm.await.unwrap().unwrap();
    first.await.unwrap().unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
}

/// R66: who waited for a turn that does not come in time is told so, and has changed nothing.
#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_come_is_told() {
    let options = limited(callers([]), |limits| {
        limits.max_at_work = 1;
        limits.max_wait = Duration::from_secs(1);
    });
    let setting = Setting::new(options).await;
    let first = setting.login(STORM, "s0");
    setting.until_committing(1).await;
    let late = setting.login(CALM, "calm").await.unwrap().unwrap_err();
    assert_eq!(reason(&late), "OVERLOADED");
    assert_eq!(setting.world.commits(), 1);
    setting.gate.add_permits(1);
    first.await.unwrap().unwrap();
    assert_eq!(setting.world.service.waiting(), 0);
}

/// R66: a caller has its rate, which leaves the other callers alone; the answer says when to come back.
#[tokio::test(start_paused = true)]
async fn a_caller_has_its_rate() {
    let slow = "spiffe://test/slow";
    let grants = vec![("login", countersign_api_grpc::Tenants::All)];
    let rate = Some(Rate { per_second: 1_000, burst: 1_000 });
    let rates = HashMap::from([(slow.to_owned(), Rate { per_second: 2, burst: 3 })]);
    let options = Options { rates, ..limited(callers([(slow, grants)]), |limits| limits.rate = rate) };
    let world = World::with(options);
    world.tenant(Preset::SelfServiceCode).await;
    let ann = Person::new(STORM, "ann");
    let (slow, quick) = (world.connect(Some(&[slow])).await, world.connect(Some(&[EVERYTHING])).await);
    let call =
        async |client: &Client| client.login.clone().check_login(ann.check(&world, None)).await.map(drop);
    for _ in 0..3 {
        call(&slow).await.unwrap();
    }
    let status = call(&slow).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "CALLER_RATE_EXCEEDED"));
    let details = status.get_error_details();
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500), "{wait:?}");
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, "caller");
    for _ in 0..100 {
        call(&quick).await.unwrap();
    }
    tokio::time::advance(wait).await;
    call(&slow).await.unwrap();
    assert!(call(&slow).await.is_err());
}

/// R66: requests that begin and never end fill a part of the places only, whosever they are: another caller's calls go
/// through, and the caller itself is told what it has too many of.
#[tokio::test(start_paused = true)]
async fn requests_that_never_end_leave_room_for_others() {
    let endless = "spiffe://test/endless";
    let grants = vec![("login", countersign_api_grpc::Tenants::All)];
    let world = World::with(limited(callers([(endless, grants)]), |limits| limits.max_in_flight = 4));
    world.tenant(Preset::SelfServiceCode).await;
    let (endless, other) = (world.connect(Some(&[endless])).await, world.client().await);
    let raw = Raw(endless.channel.clone());
    let calls = (0..6).map(|_| raw.call_without_end("/countersign.v1.LoginService/CheckLogin"));
    let mut calls = Box::pin(futures::future::join_all(calls));
    assert!(futures::poll!(&mut calls).is_pending());
    let ann = Person::new(STORM, "ann");
    other.login.clone().check_login(ann.check(&world, None)).await.unwrap();
    let told: Vec<_> = calls.await.into_iter().map(Result::unwrap_err).collect();
    assert_eq!(told.iter().filter(|status| reason(status) == "DEADLINE_EXPIRED").count(), 2);
    for status in told.iter().filter(|status| reason(status) != "DEADLINE_EXPIRED") {
        assert_eq!(reason(status), "OVERLOADED");
        assert_eq!(status.get_details_quota_failure().unwrap().violations[0].subject, "caller");
    }
    endless.login.clone().check_login(ann.check(&world, None)).await.unwrap();
}

/// R66: the same of callers that are denied: they take no place of others, have a second, and do not keep denials of
/// others out of the log.
#[tokio::test(start_paused = true)]
async fn denied_requests_that_never_end_leave_room_for_others() {
    let world = World::with(limited(callers([]), |limits| limits.max_in_flight = 2));
    world.tenant(Preset::SelfServiceCode).await;
    let stranger = world.connect(Some(&["spiffe://test/stranger"])).await;
    let (another, other) = (world.connect(Some(&["spiffe://test/another"])).await, world.client().await);
    let raw = Raw(stranger.channel.clone());
    let start = tokio::time::Instant::now();
    let calls = (0..100).map(|_| raw.call_without_end("/countersign.v1.LoginService/CheckLogin"));
    let mut calls = Box::pin(futures::future::join_all(calls));
    assert!(futures::poll!(&mut calls).is_pending());
    let ann = Person::new(STORM, "ann");
    other.login.clone().check_login(ann.check(&world, None)).await.unwrap();
    let denied = another.login.clone().check_login(ann.check(&world, None)).await.unwrap_err();
    assert_eq!(reason(&denied), "CALLER_CREDENTIALS_INVALID");
    for answer in calls.await {
        assert_eq!(reason(&answer.unwrap_err()), "CALLER_CREDENTIALS_INVALID");
    }
    assert_eq!(start.elapsed().as_secs(), 1);
    world.app.drained().await;
    let told = world.events(STORM, &[EventType::CallerDenied]).await;
    assert_eq!(told.iter().map(|event| event.caller.as_str()).collect::<Vec<_>>(), ["spiffe://test/another"]);
}

/// R49, R66: calls about one user, which are worked on one after the other, fill a part of the places only. More are turned
/// away, and other users of the tenant are not.
#[tokio::test(start_paused = true)]
async fn calls_about_one_user_leave_room_for_others() {
    let setting = Setting::new(limited(callers([]), |limits| limits.max_in_flight = 1_000)).await;
    let ann = Person::new(STORM, "ann").check(&setting.world, None);
    let calls = (0..300).map(|_| {
        let (mut login, request) = (setting.client.login.clone(), ann.clone());
        tokio::spawn(async move { login.check_login(request).await })
    });
    let calls: Vec<_> = calls.collect();
    setting.until_committing(1).await;
    let bob = Person::new(STORM, "bob");
    for _ in 0..3 {
        setting.client.account.clone().get_status(bob.get_status(&setting.world)).await.unwrap();
    }
    // What could end such a storm waits its turn and is not turned away.
    let mut directory = DirectoryServiceClient::new(setting.client.channel.clone());
    let report = v1::ReportFirstFactorChangedRequest {
        tenant_id: STORM.to_owned(),
        user_id: "ann".to_owned(),
        ..v1::ReportFirstFactorChangedRequest::default()
    };
    let report = tokio::spawn(async move { directory.report_first_factor_changed(report).await });
    // What is asked after it is answered: it has come.
    for _ in 0..3 {
        setting.client.account.clone().get_status(bob.get_status(&setting.world)).await.unwrap();
    }
    setting.gate.add_permits(calls.len());
    let answers = futures::future::join_all(calls).await.into_iter().map(Result::unwrap);
    report.await.unwrap().unwrap();
    let (answered, refused): (Vec<_>, Vec<_>) = answers.partition(Result::is_ok);
    assert_eq!((answered.len(), refused.len()), (16, 284));
    for status in refused.into_iter().map(Result::unwrap_err) {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
        assert_eq!(status.get_details_quota_failure().unwrap().violations[0].subject, "user");
        assert!(status.get_details_retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
    }
    setting.login(STORM, "ann").await.unwrap().unwrap();
}

/// A gateway that does not answer.
struct Silent;

#[async_trait]
impl SmsSender for Silent {
    async fn send(&self, _: &TextMessage) -> Result<(), SmsError> {
        std::future::pending().await
    }
}

/// An enrollment of that person's telephone, which sends a message.
fn begin_sms(world: &World, person: &Person, index: usize) -> v1::BeginSmsEnrollmentRequest {
    v1::BeginSmsEnrollmentRequest {
        tenant_id: person.tenant.clone(),
        user_id: person.user.clone(),
        authority: Some(v1::begin_sms_enrollment_request::Authority::Actor(person.actor(world))),
        phone_number: format!("+55119876543{index:02}"),
        ..v1::BeginSmsEnrollmentRequest::default()
    }
}

/// R66: nor does one user take the places of their tenant's text messages.
#[tokio::test(start_paused = true)]
async fn one_user_leaves_text_messages_to_others() {
    let world = World::with_gateway_and(Arc::new(Silent), limited(callers([]), |_| ()));
    world.tenant(Preset::SelfServicePassword).await;
    let client = world.client().await;
    let sends = ["ann", "ann", "ann", "ann", "ann", "bob"].into_iter().enumerate().map(|(index, user)| {
        let person = Person::new(Preset::SelfServicePassword.id(), user);
        let request = begin_sms(&world, &person, index);
        let mut account = client.account.clone();
        tokio::spawn(async move { (user, reason(&account.begin_sms_enrollment(request).await.unwrap_err())) })
    });
    let sends: Vec<_> = sends.collect();
    let answers = futures::future::join_all(sends).await.into_iter().map(Result::unwrap);
    let answers: Vec<_> = answers.collect();
    let turned_away = |wanted: &str| {
        answers.iter().filter(|(user, reason)| *user == wanted && reason == "OVERLOADED").count()
    };
    assert_eq!((turned_away("ann"), turned_away("bob")), (3, 0), "{answers:?}");
}

/// Takes every message, and shows the code of the last one.
#[derive(Default)]
struct Telephone(Mutex<String>);

#[async_trait]
impl SmsSender for Telephone {
    async fn send(&self, message: &TextMessage) -> Result<(), SmsError> {
        *self.0.lock().unwrap() = message.text.expose().chars().filter(char::is_ascii_digit).collect();
        Ok(())
    }
}

/// What the first of these calls to be answered had too much of. No other one is answered: they stay under way.
async fn turned_away<T>(
    calls: &mut FuturesUnordered<impl Future<Output = Result<T, Status>>>,
) -> Option<String> {
    let status = calls.next().await.unwrap().err().unwrap();
    assert_eq!(reason(&status), "OVERLOADED");
    Some(status.get_details_quota_failure()?.violations[0].subject.clone())
}

/// R49, R66: a call with a challenge is about the challenge's user: their messages on the way and their calls are bounded.
#[tokio::test(start_paused = true)]
async fn calls_with_a_challenge_count_for_its_user() {
    let telephone = Arc::new(Telephone::default());
    let world = World::with_gateway_and(telephone.clone(), limited(callers([]), |_| ()));
    world.tenant(Preset::SelfServicePassword).await;
    let client = world.client().await;
    let ann = Person::new(Preset::SelfServicePassword.id(), "ann");
    let begun = client.account.clone().begin_sms_enrollment(begin_sms(&world, &ann, 0)).await.unwrap();
    let shown = telephone.0.lock().unwrap().clone();
    let confirm = ann.confirm(&world, &begun.into_inner().enrollment_id, code(shown));
    client.account.clone().confirm_enrollment(confirm).await.unwrap();
    let challenge = ann.challenge(&world, &client).await;

    // From here on nothing is committed, so that no call is answered that has its places.
    world.fail_commits(Fault::Wait(Arc::new(Semaphore::new(0))));
    let send = || {
        let (mut login, challenge) = (client.login.clone(), challenge.clone());
        let request = v1::SendChallengeCodeRequest { challenge, ..v1::SendChallengeCodeRequest::default() };
        async move { login.send_challenge_code(request).await }
    };
    let mut sends: FuturesUnordered<_> = (0..3).map(|_| send()).collect();
    assert_eq!(turned_away(&mut sends).await.as_deref(), Some("text messages"));
    let answer = || {
        let (mut login, request) = (client.login.clone(), answer(&challenge, code("000000")));
        async move { login.answer_challenge(request).await }
    };
    // Two of sixteen places are taken.
    let mut answers: FuturesUnordered<_> = (0..15).map(|_| answer()).collect();
    assert_eq!(turned_away(&mut answers).await.as_deref(), Some("user"));
}

/// R66: calls that wait for a gateway of text messages fill a part of the places only: logins that need none go through, of
/// the same tenant and of another one.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_answer_leaves_room_for_logins() {
    let options = limited(callers([]), |limits| {
        limits.max_at_work = 16;
        limits.max_at_work_per_tenant = 8;
    });
    let world = World::with_gateway_and(Arc::new(Silent), options);
    world.tenant(Preset::SelfServicePassword).await;
    let storm = Preset::SelfServicePassword.id();
    world.tenant_with(CALM, Preset::SelfServicePassword, |_| ()).await;
    let client = world.client().await;
    let mut people = Vec::new();
    for tenant in [storm, CALM] {
        let person = Person::new(tenant, "ann");
        people.push((person.enroll(&world, &client).await.app, person));
    }
    let sends = (0..40).map(|index| {
        let person = Person::new(storm, &format!("s{index}"));
        let request = begin_sms(&world, &person, index);
        let mut account = client.account.clone();
        tokio::spawn(async move { account.begin_sms_enrollment(request).await })
    });
    let sends: Vec<_> = sends.collect();
    for _ in 0..3 {
        for (app, person) in &people {
            let proof = Some(code(app.code_at(world.now())));
            let verdict = person.login(&world, &client, proof).await;
            assert!(matches!(verdict, v1::login_decision::Verdict::Allowed(_)), "{verdict:?}");
        }
        world.next_step();
    }
    let answers = futures::future::join_all(sends).await.into_iter().map(|send| send.unwrap().unwrap_err());
    let reasons: Vec<_> = answers.map(|status| reason(&status)).collect();
    let told = |expected: &str| reasons.iter().filter(|reason| *reason == expected).count();
    // Of a quarter of the places one tenant has half.
    assert_eq!((told("DEADLINE_EXPIRED"), told("OVERLOADED")), (2, 38), "{reasons:?}");
}
