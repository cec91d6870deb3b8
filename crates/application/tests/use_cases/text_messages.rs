//! Text messages of several nodes over one store: what a repeated request delivers while root keys change; and what is
//! counted around midnight. What else one node does is tested over the contract.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and this is what tests share")]

use crate::world::{World, fresh, meta, request};
use async_trait::async_trait;
use countersign_application::{Answer, AppError, Application, Deps, Encode};
use countersign_domain::denial::Denial;
use countersign_domain::digest::KeyId;
use countersign_domain::enrollment::{Authority, BeginSms, BegunSms, Confirm};
use countersign_domain::ids::{EventId, SendId, TenantId, UserRef};
use countersign_domain::login::Verdict;
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::policy::Preset;
use countersign_domain::presented::PresentedProof;
use countersign_domain::sms::budget::{self, SendLimits};
use countersign_domain::sms::sending::{Message, SendCode};
use countersign_domain::time::Timestamp;
use countersign_keyring::{Keyring, RootKey};
use countersign_ports::{
    ChangeSet, Commit, Loaded, RequestKey, SmsError, SmsSender, StoreError, TextMessage, UserStore,
};
use countersign_testkit::{ManualClock, SeededRandom, fixtures};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A gateway that all nodes hand messages to.
#[derive(Default)]
struct Gateway {
    down: AtomicBool,
    seen: Mutex<Vec<TextMessage>>,
}

#[async_trait]
impl SmsSender for Gateway {
    async fn send(&self, message: &TextMessage) -> Result<(), SmsError> {
        self.seen.lock().unwrap().push(message.clone());
        if self.down.load(Ordering::SeqCst) { Err(SmsError::NotTaken("it is down".into())) } else { Ok(()) }
    }
}

impl Gateway {
    /// The ids of the messages that it was handed since this was asked last.
    fn handed(&self) -> Vec<SendId> {
        self.seen.lock().unwrap().drain(..).map(|message| message.id).collect()
    }
}

/// A node of the service of `world` that knows two root keys and makes everything new with `newest`.
fn node(world: &World, gateway: &Arc<Gateway>, newest: u32) -> Application {
    let root = |id: u32| (KeyId(id), RootKey::from_bytes(SeededRandom::new(id.into()).bytes()).unwrap());
    let keyring = Keyring::with_newest([1, 2].map(root).into(), KeyId(newest)).unwrap();
    let gateway: Arc<dyn SmsSender> = gateway.clone();
    Application::new(Deps { digests: keyring.digests(), text_messages: Some(gateway), ..world.deps.clone() })
}

fn nothing<T: 'static>() -> Encode<T> {
    Box::new(|_| Vec::new())
}

async fn begin(
    node: &Application,
    world: &World,
    user: &UserRef,
    id: u8,
) -> Result<Answer<BegunSms>, AppError> {
    let command = BeginSms {
        authority: Authority::Session(world.session(user)),
        number: PhoneNumber::parse("+5511987654321").unwrap(),
        replaces: None,
        code: None,
    };
    node.begin_sms_enrollment(meta(Some(request(id, b"begin"))), user.clone(), command, nothing()).await
}

async fn send(node: &Application, challenge: &str) -> Result<Answer<Message>, AppError> {
    let command = SendCode { challenge: node.open_challenge(challenge).unwrap(), authenticator: None };
    node.send_challenge_code(meta(Some(request(2, b"send"))), command, nothing()).await
}

/// R52, R60: a node that makes everything new with one root key and fails to deliver; the repeat on a node that still, or
/// again, makes it with the other one delivers that very message, and does not say that it is delivered when it is not. For an
/// enrollment, and for a challenge.
#[tokio::test]
async fn a_repeat_on_another_node_delivers_while_keys_change() {
    for (first, other) in [(2, 1), (1, 2)] {
        let world = World::new(Preset::SelfServicePassword).await;
        let user = fixtures::user("acme", "ann");
        let gateway = Arc::new(Gateway::default());
        let (one, two) = (node(&world, &gateway, first), node(&world, &gateway, other));

        gateway.down.store(true, Ordering::SeqCst);
        let failed = begin(&one, &world, &user, 1).await;
        assert!(matches!(failed, Err(AppError::DeliveryUnavailable)), "{failed:?}");
        let begun = gateway.handed();
        assert_eq!(begun.len(), 1);
        let failed = begin(&two, &world, &user, 1).await;
        assert!(matches!(failed, Err(AppError::DeliveryUnavailable)), "not delivered: {failed:?}");
        assert_eq!(gateway.handed(), begun);
        gateway.down.store(false, Ordering::SeqCst);
        assert!(matches!(begin(&two, &world, &user, 1).await, Ok(Answer::Repeated(_))));
        assert_eq!(gateway.handed(), begun);

        let (bob, challenge) = challenged(&one, &world, &gateway).await;
        assert_ne!(bob, user);
        gateway.down.store(true, Ordering::SeqCst);
        assert!(matches!(send(&one, &challenge).await, Err(AppError::DeliveryUnavailable)));
        let sent = gateway.handed();
        assert_eq!(sent.len(), 1);
        gateway.down.store(false, Ordering::SeqCst);
        assert!(matches!(send(&two, &challenge).await, Ok(Answer::Repeated(_))));
        assert_eq!(gateway.handed(), sent);
    }
}

/// Another user with a telephone, and a challenge of theirs.
async fn challenged(node: &Application, world: &World, gateway: &Gateway) -> (UserRef, String) {
    let user = fixtures::user("acme", "bob");
    let begun = fresh(begin(node, world, &user, 3).await).expect("no denial");
    let confirm = Confirm {
        id: begun.id,
        authority: Authority::Session(world.session(&user)),
        code: PresentedProof::Otp(begun.message.code),
        existing_code: None,
        display_name: None,
    };
    fresh(node.confirm_enrollment(meta(None), user.clone(), confirm, nothing()).await).expect("no denial");
    gateway.handed();
    let checked = node.check_login(meta(None), user.clone(), world.login(None), nothing()).await;
    let Verdict::ChallengeRequired(offer) = fresh(checked).expect("no denial") else { panic!("not asked") };
    (user, offer.challenge.expose().to_owned())
}

/// A store that takes its time: when a commit is done, the clock shows a later time, if one is set.
struct Slow {
    inner: Arc<dyn UserStore>,
    clock: Arc<ManualClock>,
    done_at: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl UserStore for Slow {
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        self.inner.load(user, request).await
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        let done = self.inner.commit(change).await;
        if let Some(time) = self.done_at.lock().unwrap().take() {
            self.clock.set(time);
        }
        done
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        self.inner.is_committed(tenant, event).await
    }
}

/// R71: a message that was counted before midnight and is refused after it is taken out of the day that it was counted in: that
/// day takes one more, and the new one exactly its limit.
#[tokio::test]
async fn what_is_refused_after_midnight_is_given_back_to_its_own_day() {
    let world = World::new(Preset::SelfServicePassword).await;
    let (gateway, clock) = (Arc::new(Gateway::default()), Arc::new(ManualClock::at(world.now())));
    let inner = Arc::clone(&world.deps.users);
    let users = Arc::new(Slow { inner, clock: Arc::clone(&clock), done_at: Mutex::default() });
    let node = Application::new(Deps {
        users: users.clone(),
        clock: clock.clone(),
        text_messages: Some(gateway.clone()),
        send_limits: SendLimits { number: 2, ..SendLimits::default() },
        ..world.deps.clone()
    });
    // All of them ask for the same number, whose limit it is.
    let asked = async |user: &str| begin(&node, &world, &fixtures::user("acme", user), 1).await;
    let taken = async |user: &str| fresh(asked(user).await).map(drop);
    let midnight = Timestamp::from_unix_seconds((budget::day(world.now()) + 1) * 86_400);
    let (evening, morning) = (midnight.minus(SECOND), midnight.plus(SECOND));

    clock.set(morning);
    taken("ann").await.unwrap();
    clock.set(evening);
    *users.done_at.lock().unwrap() = Some(morning);
    gateway.down.store(true, Ordering::SeqCst);
    let refused = asked("bob").await;
    assert!(matches!(refused, Err(AppError::DeliveryUnavailable)), "{refused:?}");
    gateway.down.store(false, Ordering::SeqCst);

    taken("cleo").await.unwrap();
    assert!(matches!(taken("dan").await, Err(Denial::SendTooSoon { .. })), "the new day's limit");
    clock.set(evening);
    for user in ["eve", "fred"] {
        taken(user).await.unwrap();
    }
    assert!(matches!(taken("gus").await, Err(Denial::SendTooSoon { .. })), "the old day's limit");
}
