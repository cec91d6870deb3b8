//! The service in memory, with a tenant, a user who has an app, and a memory of what it answered: a text `@name` in a
//! request stands for the last field of that name in an answer, `@code` for what the app shows, `@sms` for the code in the last
//! text message, and `@made` and `@signed` for what a security key answers to the last options.

use super::answer::Answer;
use super::conversation::{Call, Caller};
use super::secrets::{Spelling, is_secret};
use countersign_api_grpc::{Callers, Grants, GrpcService, Options, Peer, PeerCertificate, Tenants, service};
use countersign_application::{Application, Deps};
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use countersign_ports::{
    Clock as _, Commit, EventLog as _, EventQuery, PolicyStore as _, Random, SmsError, SmsSender, Tell,
    TextMessage,
};
use countersign_testkit::{
    ManualClock, MemoryStore, Page, SeededRandom, SoftwareKey, VirtualAuthenticator, deps_in_memory, fixtures,
};
use http_body_util::Full;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tonic::codegen::Bytes;
use tonic::codegen::http::Request;
use tower::Service as _;

/// The tenant that there is.
pub(super) const TENANT: &str = "acme";
/// A tenant that there is not.
const ELSEWHERE: &str = "globex";

/// Where its security keys are used.
const ORIGIN: &str = "https://login.example.com";

const EVERYTHING: &str = "spiffe://test/everything";
const LOGIN: &str = "spiffe://test/login";
const OTHER: &str = "spiffe://test/elsewhere";

pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    random: Arc<Drawn>,
    gateway: Arc<Gateway>,
    service: GrpcService,
    /// What its tenant begins with; always the same, because what the service remembers of a revision stays true.
    preset: Preset,
    seen: HashMap<String, String>,
    app: Option<VirtualAuthenticator>,
    /// Whether a policy was written: then what the service remembers of policies is not true of another world.
    policies: bool,
}

/// Randomness that begins anew with each conversation, so that an input is the same conversation each time.
#[derive(Default)]
struct Drawn(AtomicU64);

impl Random for Drawn {
    fn fill(&self, bytes: &mut [u8]) {
        SeededRandom::new(self.0.fetch_add(1, Ordering::Relaxed)).fill(bytes);
    }
}

/// Takes every message and keeps what the last one says.
#[derive(Default)]
struct Gateway(Mutex<String>);

#[async_trait::async_trait]
impl SmsSender for Gateway {
    async fn send(&self, message: &TextMessage) -> Result<(), SmsError> {
        self.says(message.text.expose());
        Ok(())
    }
}

impl Gateway {
    fn says(&self, text: &str) {
        text.clone_into(&mut self.0.lock().expect("nothing panics while it holds the lock"));
    }

    /// The code in it: its digits, which stand before all others.
    fn code(&self) -> String {
        let text = self.0.lock().expect("nothing panics while it holds the lock");
        text.chars().filter(char::is_ascii_digit).take(8).collect()
    }
}

fn callers() -> Callers {
    let only = |scopes: &[&str], tenant: &str| {
        let tenants = || Tenants::Only([fixtures::tenant(tenant)].into());
        Grants::new(scopes.iter().map(|scope| ((*scope).to_owned(), tenants())))
            .expect("scopes of the contract")
    };
    let scopes: Vec<_> = countersign_api::method_scopes().into_iter().map(|(_, scope)| scope).collect();
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    Callers::Certificates(HashMap::from([
        (EVERYTHING.to_owned(), Grants::all()),
        (LOGIN.to_owned(), only(&["login"], TENANT)),
        (OTHER.to_owned(), only(&scopes, ELSEWHERE)),
    ]))
}

impl World {
    pub(super) fn new(preset: Preset) -> Self {
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::default());
        let random = Arc::new(Drawn::default());
        let deps = deps_in_memory!(store, clock.clone(), random.clone());
        let gateway = Arc::new(Gateway::default());
        let app = Application::new(Deps { text_messages: Some(gateway.clone()), ..deps });
        let service = service(app, Options::new(callers())).expect("options that work");
        Self {
            clock,
            store,
            random,
            gateway,
            service,
            preset,
            seen: HashMap::new(),
            app: None,
            policies: false,
        }
    }

    /// The world as it is at the beginning of a conversation.
    pub(super) fn begun(self) -> Self {
        let mut world = if self.policies { Self::new(self.preset) } else { self };
        world.store.clear();
        world.clock.set(fixtures::START);
        world.random.0.store(0, Ordering::Relaxed);
        world.gateway.says("");
        world.seen.clear();
        world.app = None;
        let mut record = fixtures::tenant_record(&fixtures::tenant(TENANT), world.preset);
        "example.com".clone_into(&mut record.document.security_key.relying_party_id);
        record.document.security_key.origins = vec![ORIGIN.to_owned()];
        let change = fixtures::policy_change(&SeededRandom::new(1), &record);
        let put = futures::FutureExt::now_or_never(world.store.put_policy(record, change, Tell::Nobody));
        assert_eq!(put.expect("a store in memory does not wait").expect("a new tenant"), Commit::Done);
        world
    }

    /// The message with what its texts stand for, or nothing where it is none.
    pub(super) fn fill_in(&self, call: &Call, spelling: Spelling) -> Option<DynamicMessage> {
        let mut message = DynamicMessage::decode(call.method().input(), call.message.as_slice()).ok()?;
        self.fill(&mut message, spelling);
        Some(message)
    }

    fn fill(&self, message: &mut DynamicMessage, spelling: Spelling) {
        for (field, value) in message.fields_mut() {
            self.fill_value(value, spelling, is_secret(&field));
        }
    }

    fn fill_value(&self, value: &mut Value, spelling: Spelling, secret: bool) {
        match value {
            Value::String(text) => {
                *text = match text.strip_prefix('@') {
                    Some("code") => self.code(),
                    Some("sms") => self.gateway.code(),
                    Some("made") => self.by_key("webauthn_creation_options_json", SoftwareKey::register),
                    Some("signed") => self.by_key("webauthn_request_options_json", SoftwareKey::sign),
                    Some(name) => self.seen.get(name).cloned().unwrap_or_default(),
                    None if secret => spelling.of(text),
                    None => std::mem::take(text),
                };
            }
            Value::Message(inner) => self.fill(inner, spelling),
            Value::List(values) => {
                for value in values {
                    self.fill_value(value, spelling, secret);
                }
            }
            _ => {}
        }
    }

    fn code(&self) -> String {
        self.app.as_ref().map(|app| app.code_at(self.clock.now())).unwrap_or_default()
    }

    /// What the user's passkey answers to the last options of that name; it keeps no counter, so it is always the same key.
    fn by_key(&self, options: &str, answer: fn(&mut SoftwareKey, &str, &Page) -> String) -> String {
        let options = self.seen.get(options).filter(|options| !options.is_empty());
        options
            .map(|options| answer(&mut SoftwareKey::passkey(1), options, &Page::at(ORIGIN)))
            .unwrap_or_default()
    }

    pub(super) async fn call(&mut self, call: &Call, message: &[u8]) -> Answer {
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).expect("inputs are short").to_be_bytes());
        body.extend(message);
        let mut request = Request::post(call.path())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .expect("a path of the contract");
        let name = match call.caller() {
            Caller::Everything => Some(EVERYTHING),
            Caller::Nobody => None,
            Caller::Stranger => Some("spiffe://test/stranger"),
            Caller::Login => Some(LOGIN),
            Caller::Elsewhere => Some(OTHER),
        };
        let certificate = name.map(|name| PeerCertificate { names: [name.to_owned()].into() });
        request.extensions_mut().insert(Peer { address: None, certificate });
        let Ok(response) = self.service.call(request).await;
        Answer::of(response).await
    }

    /// Whether the caller may have an answer; `None` where only the service can know, because the tenant is in a token.
    pub(super) fn is_granted(call: &Call, sent: Option<&DynamicMessage>) -> Option<bool> {
        let tenant = sent.and_then(|sent| sent.get_field_by_name("tenant_id").map(Cow::into_owned));
        let tenant = tenant.as_ref().and_then(Value::as_str);
        match call.caller() {
            Caller::Everything => Some(true),
            Caller::Nobody | Caller::Stranger => Some(false),
            Caller::Login if call.method().parent_service().name() != "LoginService" => Some(false),
            Caller::Login => tenant.map(|tenant| tenant == TENANT),
            // Presets belong to no tenant: who may read a policy of any may read them.
            Caller::Elsewhere if call.method().name() == "ListPolicyPresets" => Some(true),
            // Every token here is of the one tenant; what else names none is for those who may see all.
            Caller::Elsewhere => Some(tenant == Some(ELSEWHERE)),
        }
    }

    /// How much was changed so far: every change tells an event. Callers' denials are told beside the calls.
    pub(super) async fn changes(&self) -> usize {
        let query = EventQuery {
            tenant: fixtures::tenant(TENANT),
            user: None,
            kinds: Vec::new(),
            start_time: None,
            end_time: None,
            after: None,
            limit: 1_000,
        };
        let events = self.store.events(&query).await.expect("a store in memory");
        events.iter().filter(|event| event.record.event.kind != EventType::CallerDenied).count()
    }

    /// Keeps what was answered for requests to come.
    pub(super) fn learn(&mut self, call: &Call, answer: &Answer) {
        let Some(bytes) = answer.message() else { return };
        self.policies |= call.method().parent_service().name() == "PolicyService" && changes_something(call);
        let Ok(message) = DynamicMessage::decode(call.method().output(), bytes) else {
            assert!(call.method().is_server_streaming(), "an answer that does not read back");
            return;
        };
        assert!(
            message.encoded_len() == bytes.len() || call.method().is_server_streaming(),
            "an answer with more"
        );
        self.keep(&message);
        if let Some(uri) = self.seen.get("otpauth_uri") {
            self.app = Some(VirtualAuthenticator::scan(uri).expect("a URI of ours"));
        }
    }

    fn keep(&mut self, message: &DynamicMessage) {
        for (field, value) in message.fields() {
            let values = value.as_list().unwrap_or_else(|| std::slice::from_ref(value));
            for value in values {
                match value {
                    Value::String(text) => drop(self.seen.insert(field.name().to_owned(), text.clone())),
                    Value::Message(inner) => self.keep(inner),
                    _ => {}
                }
            }
        }
    }
}

/// Whether a method changes something.
fn changes_something(call: &Call) -> bool {
    call.method().input().get_field_by_name("request_id").is_some()
}
