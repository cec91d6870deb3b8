//! What bounds a call: how often, how many at a time, in which order, how large, how long (R47, R48, R66).

mod fair;
mod nameless;
mod rate;
mod rest;
mod shares;

pub(crate) use fair::{Party, Place};
pub use rest::STREAM_WINDOW;
pub(crate) use rest::{RequestBody, Sender, sender};
pub(crate) use shares::{Share, Shares};

use crate::failure::{Failure, Quota, incident};
use crate::options::Options;
use crate::status::{LATER, internal};
use countersign_api::v1::ErrorReason;
use countersign_domain::ids::{CallerId, TenantId, UserRef};
use fair::{Bounds, Full, Places};
use futures::{FutureExt as _, poll};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use nameless::Nameless;
use rate::Bucket;
use rest::Rests;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::task::JoinError;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, Request};
use tracing::Instrument;

/// The bytes before a message: a flag that says whether it is compressed, and its length (gRPC over HTTP/2,
/// "Length-Prefixed-Message").
pub(crate) const PREFIX: usize = 5;

/// An answer leaves this much before the deadline, or a tenth of it where that is less: one that leaves at the deadline
/// arrives after it.
const MARGIN: Duration = Duration::from_millis(20);

/// Denied calls that wait for the rest of their requests, which only serves to tell the tenant, and how long they do.
const UNFINISHED_DENIED: usize = 64;
const DENIED_READ: Duration = Duration::from_secs(1);

/// Methods that take larger requests than the others, as their documentation says.
const LARGER: [(&str, usize); 1] = [(BATCH_PUT_USERS, 1 << 20)];
pub(crate) const BATCH_PUT_USERS: &str = "/countersign.v1.DirectoryService/BatchPutUsers";

/// Methods that wait for a gateway of text messages, which may be slow.
const DELIVERING: [&str; 2] =
    ["/countersign.v1.LoginService/SendChallengeCode", "/countersign.v1.AccountService/BeginSmsEnrollment"];

/// Calls of one user that wait for their turn or are at work: far more than people make, and half of the places that their
/// tenant has by default; of fewer places, half as well, but two at least: a call and its repeat. A user's calls are worked on
/// one after the other, so that more would hold places and do nothing.
const OF_ONE_USER: usize = 16;

/// Of these, those that may wait for a gateway: a message and its repeat.
const DELIVERING_OF_ONE_USER: usize = 2;

/// The limits of all calls together.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) max_deadline: Duration,
    default_deadline: Duration,
    max_request_bytes: usize,
    max_wait: Duration,
    /// Calls that are read, wait or are at work.
    in_flight: Arc<Semaphore>,
    /// Those of them that may be larger, by caller: together they take no more memory than all others may.
    larger: Shares,
    /// Calls of each caller whose request has begun and not ended.
    unfinished: HashMap<CallerId, Semaphore>,
    /// The same of calls that are denied, whose callers need not be known.
    unfinished_denied: Shares,
    /// What is left of the requests of calls that were refused.
    rests: Rests,
    places: Places,
    /// Calls about each user.
    users: Shares<UserRef>,
    /// Calls that may wait for a gateway, by tenant and by user.
    delivering: Shares<TenantId>,
    delivering_of_users: Shares<UserRef>,
    /// By caller; those without an entry have no rate.
    rates: HashMap<CallerId, Mutex<Bucket>>,
    nameless: Nameless,
    start: Instant,
    denied: AtomicU64,
}

/// A call's part of what is bounded: it counts as in flight, as one of the larger ones, of its user or of those that may wait
/// for a gateway where it is one, and, from its turn on, as at work.
#[derive(Debug)]
pub(crate) struct Permit {
    _in_flight: OwnedSemaphorePermit,
    _larger: Option<Share>,
    _user: Option<Share<UserRef>>,
    _delivering: Option<(Share<TenantId>, Option<Share<UserRef>>)>,
    _place: Option<Place>,
}

impl Permit {
    /// Runs the call in a task of its own that keeps the permit until it is done: who leaves, or whose deadline passes,
    /// neither stops it (R17) nor makes room before it is over (R66). A panic ends that task alone (R48).
    ///
    /// The task begins at once, and not when it is first waited for: what waits does not hold the call beside it.
    pub(crate) fn run<T: Send + 'static, C>(
        self,
        call: C,
    ) -> impl Future<Output = Result<T, Failure>> + use<T, C>
    where
        C: Future<Output = T> + Send + 'static,
    {
        let call = call.map(move |answer| {
            drop(self);
            answer
        });
        let task = tokio::spawn(call.in_current_span());
        async move { task.await.map_err(|error| broken_off(&error)) }
    }
}

/// Why a request was not read whole. It counts as an error of the contract when it is told.
pub(crate) enum Unread {
    /// It is too large, or there is no room to wait for it.
    Refused(Failure),
    /// The caller went away in the middle of it.
    Gone,
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl From<Unread> for Status {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Refused(failure) => failure.into_status(),
            // Nobody reads this.
            Unread::Gone => Self::cancelled("the request ended early"),
        }
    }
}

impl Limits {
    pub(crate) fn new(options: &Options) -> Self {
        let limits = &options.limits;
        let bounds = Bounds {
            at_work: limits.max_at_work,
            share: limits.max_at_work_per_tenant,
            of_one: limits.max_in_flight_per_tenant,
        };
        let in_flight = limits.max_in_flight.min(Semaphore::MAX_PERMITS);
        // No tenant is known yet that they could count towards, so they count towards their caller as they would there.
        let of_caller = limits.max_in_flight_per_tenant.min(in_flight.div_ceil(2));
        let unfinished = options.caller_ids().map(|id| (id, Semaphore::new(of_caller)));
        let rates = options.rates().map(|(caller, rate)| (caller, Mutex::new(Bucket::new(rate))));
        let largest = LARGER.iter().map(|(_, bytes)| *bytes).max().unwrap_or(1);
        let larger = limits.max_in_flight.saturating_mul(limits.max_request_bytes) / largest;
        let places = bounds.at_work.min(bounds.share).min(bounds.of_one);
        let of_user = OF_ONE_USER.min((places / 2).max(DELIVERING_OF_ONE_USER));
        // A gateway that does not answer leaves most places to calls that need none, those of its tenant and those of others.
        let (delivering, of_tenant) = (limits.max_at_work / 4, limits.max_at_work_per_tenant / 2);
        Self {
            max_deadline: limits.max_deadline,
            default_deadline: limits.default_deadline,
            max_request_bytes: limits.max_request_bytes,
            max_wait: limits.max_wait,
            in_flight: Arc::new(Semaphore::new(in_flight)),
            larger: Shares::new(larger.max(2)),
            unfinished: unfinished.collect(),
            unfinished_denied: Shares::new(UNFINISHED_DENIED),
            rests: Rests::new(),
            places: Places::new(bounds),
            users: Shares::with_most(usize::MAX, of_user),
            // Two at least, of which nobody has both.
            delivering: Shares::with_most(delivering.max(2), of_tenant.max(1)),
            delivering_of_users: Shares::with_most(usize::MAX, DELIVERING_OF_ONE_USER),
            rates: rates.collect(),
            nameless: Nameless::new(),
            start: Instant::now(),
            denied: AtomicU64::new(0),
        }
    }

    /// Calls denied to their callers since the start.
    pub(crate) fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    /// Calls that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.places.waiting()
    }

    /// Counts a call that was denied to its caller, for that reason where it is one of the contract.
    pub(crate) fn count_denied(&self, reason: Option<ErrorReason>) {
        crate::metrics::denied(reason);
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the denial of a call without a name is told in lines of its own.
    pub(crate) fn tells_of_nameless(&self) -> bool {
        self.nameless.has_line(self.start.elapsed())
    }

    /// The request with a body that is read to its end also where the call is refused before.
    pub(crate) fn watched(&self, request: Request<Body>) -> Request<RequestBody> {
        self.rests.watch(request)
    }

    /// Whether the caller may call now, by its rate.
    pub(crate) fn at_rate(&self, caller: &CallerId) -> Result<(), Failure> {
        let Some(bucket) = self.rates.get(caller) else { return Ok(()) };
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(self.start.elapsed()).map_err(|wait| {
            let text = "the caller makes more calls a second than it may";
            Failure::new(ErrorReason::CallerRateExceeded, text).retry_after(wait).quota(Quota::Caller)
        })
    }

    /// Room to read a call of that caller, or the answer that there is none, at once.
    pub(crate) fn enter(&self, path: &str, caller: &CallerId) -> Result<Permit, Failure> {
        let in_flight = Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| overloaded())?;
        let is_larger = LARGER.iter().any(|(method, _)| *method == path);
        let larger = is_larger.then(|| {
            let text = "there is no room for more of the larger requests of this caller now";
            self.larger.take(caller).ok_or_else(|| no_room(Quota::Caller, text))
        });
        Ok(Permit {
            _in_flight: in_flight,
            _larger: larger.transpose()?,
            _user: None,
            _delivering: None,
            _place: None,
        })
    }

    /// The turn to work of a call of that party, about that user where it is about one; or the answer that it will not come
    /// in time.
    pub(crate) async fn turn(
        &self,
        permit: Permit,
        path: &str,
        (party, user): (Party, Option<UserRef>),
    ) -> Result<Permit, Failure> {
        let of_user = user.as_ref().map(|user| {
            let text = "there are more calls about this user than one may have";
            self.users.take(user).ok_or_else(|| no_room(Quota::User, text))
        });
        let of_user = of_user.transpose()?;
        let delivering = match &party {
            Party::Tenant(tenant) if DELIVERING.contains(&path) => {
                let text = "there is no room for more text messages of this user or tenant now";
                let too_many = || no_room(Quota::TextMessages, text);
                let of_user = user.map(|user| self.delivering_of_users.take(&user).ok_or_else(too_many));
                let of_user = of_user.transpose()?;
                Some((self.delivering.take(tenant).ok_or_else(too_many)?, of_user))
            }
            _ => None,
        };
        let place = self.places.take(party, self.max_wait).await.map_err(|Full| overloaded())?;
        Ok(Permit { _user: of_user, _delivering: delivering, _place: Some(place), ..permit })
    }

    /// Room for a call of that caller to wait for the rest of its request, or the answer that there is none.
    pub(crate) fn unfinished(&self, caller: &CallerId) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        // The gate lets nobody in who is not there.
        let Some(places) = self.unfinished.get(caller) else { return Ok(None) };
        places.try_acquire().map(Some).map_err(|_| {
            let text = "the caller has begun more requests than it may without ending them";
            no_room(Quota::Caller, text)
        })
    }

    /// The whole body of a denied call of that caller, if it comes soon and there is room to wait for it. How long is not
    /// the caller's to say. It was told already why it is denied, and is told nothing else.
    pub(crate) async fn whole_of_denied(
        &self,
        caller: &CallerId,
        path: &str,
        body: RequestBody,
    ) -> Option<Bytes> {
        let place = || self.unfinished_denied.take(caller).ok_or_else(overloaded);
        tokio::time::timeout(DENIED_READ, self.whole(path, body, place)).await.ok()?.ok()
    }

    /// The whole body of a request, if its message is not too large for the method. Where it has not come yet, `place` says
    /// whether there is room to wait for it; most bodies come with their headers, and pay for no place.
    pub(crate) async fn whole<P>(
        &self,
        path: &str,
        body: RequestBody,
        place: impl FnOnce() -> Result<P, Failure>,
    ) -> Result<Bytes, Unread> {
        let limit = self.limit(path);
        let mut body = pin!(Limited::new(body, limit.saturating_add(PREFIX)).collect());
        let body = match poll!(body.as_mut()) {
            Poll::Ready(body) => body,
            Poll::Pending => {
                let _place = place()?;
                body.await
            }
        };
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                let text = "the request is larger than the method takes";
                let failure = Failure::new(ErrorReason::RequestTooLarge, text);
                Unread::Refused(failure.with("limit_bytes", limit.to_string()))
            } else {
                Unread::Gone
            }
        })?;
        Ok(body.to_bytes())
    }

    /// The bytes of a request that the method takes at most.
    fn limit(&self, path: &str) -> usize {
        let larger = LARGER.iter().find(|(method, _)| *method == path);
        larger.map_or(self.max_request_bytes, |(_, limit)| *limit)
    }

    /// How long the call may take by its `grpc-timeout`, its absence, and the bound.
    pub(crate) fn deadline(&self, headers: &HeaderMap) -> Duration {
        let asked = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(timeout);
        let allowed = asked.unwrap_or(self.default_deadline).min(self.max_deadline);
        allowed.saturating_sub(MARGIN.min(allowed / 10))
    }
}

/// The answer of a task that ended without one.
pub(crate) fn broken_off(error: &JoinError) -> Failure {
    let incident = incident();
    if error.is_panic() {
        // What it said stays unsaid: it may have quoted what it choked on. It is counted, and the alarm raised, by the
        // process's panic hook, which knows the place; here would be a second time.
        tracing::error!(incident_id = incident, "a call panicked");
    }
    internal(&incident)
}

/// The answer to a call that there is no room for.
pub(crate) fn overloaded() -> Failure {
    Failure::new(ErrorReason::Overloaded, "the server has more calls than it can answer in time")
        .retry_after(LATER)
}

/// The same where it is the room of one party.
fn no_room(quota: Quota, text: &str) -> Failure {
    Failure::new(ErrorReason::Overloaded, text).retry_after(LATER).quota(quota)
}

/// The answer to a call whose time is over. What it began goes on.
pub(crate) fn expired() -> Failure {
    Failure::new(ErrorReason::DeadlineExpired, "the deadline passed before the answer was ready")
}

/// Reads `grpc-timeout`: 1 to 8 digits and a unit (gRPC over HTTP/2, "Timeout"). Anything else counts as absent.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse::<u64>().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{CallLimits, Callers};
    use countersign_domain::ids::UserId;
    use tonic::codegen::http::HeaderValue;

    fn limits(max_in_flight: usize) -> Limits {
        let limits = CallLimits {
            max_request_bytes: 100,
            max_in_flight,
            default_deadline: Duration::from_secs(5),
            max_deadline: Duration::from_secs(30),
            ..CallLimits::default()
        };
        Limits::new(&Options { limits, ..Options::new(Callers::Loopback) })
    }

    fn enter(limits: &Limits) -> Result<Permit, Failure> {
        limits.enter("", &CallerId::parse("caller").unwrap())
    }

    /// R66: a caller's deadline is honoured up to the bound; a malformed one counts as absent.
    #[test]
    fn deadlines_are_honoured_and_capped() {
        let table = [
            (None, Duration::from_millis(4_980)),
            (Some("2S"), Duration::from_millis(1_980)),
            (Some("100m"), Duration::from_millis(90)),
            (Some("99999999H"), Duration::from_millis(29_980)),
            (Some("0S"), Duration::ZERO),
            (Some("5"), Duration::from_millis(4_980)),
            (Some("S"), Duration::from_millis(4_980)),
            (Some("+5S"), Duration::from_millis(4_980)),
            (Some("123456789m"), Duration::from_millis(4_980)),
            (Some("5é"), Duration::from_millis(4_980)),
        ];
        for (header, expected) in table {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("grpc-timeout", HeaderValue::from_bytes(header.as_bytes()).unwrap());
            }
            assert_eq!(limits(1).deadline(&headers), expected, "{header:?}");
        }
    }

    /// A method that is not the contract's would have no bound.
    #[test]
    fn the_methods_with_bounds_of_their_own_are_there() {
        let methods: Vec<_> = countersign_api::method_scopes().into_iter().map(|(path, _)| path).collect();
        for path in LARGER.iter().map(|(path, _)| *path).chain(DELIVERING) {
            assert!(methods.iter().any(|method| method == path), "{path}");
        }
    }

    /// R66: one user leaves half of the places of its tenant to others of it, and has room for a call and its repeat however
    /// few there are.
    #[test]
    fn one_user_leaves_half_of_its_tenants_places() {
        let tenant = TenantId::parse("acme").unwrap();
        let ann = UserRef { tenant, user: UserId::parse("ann").unwrap() };
        for (at_work, share, of_one, expected) in [
            (256, 256, 2_048, 16),
            (256, 32, 2_048, 16),
            (256, 16, 2_048, 8),
            (10, 32, 2_048, 5),
            (256, 32, 4, 2),
            (256, 3, 2_048, 2),
            (256, 1, 2_048, 2),
        ] {
            let limits = CallLimits {
                max_at_work: at_work,
                max_at_work_per_tenant: share,
                max_in_flight_per_tenant: of_one,
                ..CallLimits::default()
            };
            let limits = Limits::new(&Options { limits, ..Options::new(Callers::Loopback) });
            let held: Vec<_> = std::iter::from_fn(|| limits.users.take(&ann)).collect();
            assert_eq!(held.len(), expected, "{at_work} {share} {of_one}");
        }
    }

    /// R48: a panic is an internal error for its own call, and frees the call's place.
    #[tokio::test]
    async fn panics_are_caught() {
        let limits = limits(1);
        let place = enter(&limits).unwrap();
        let result = place.run(async { panic!("in a test") }).await;
        let failure: Failure = result.map(|(): ()| ()).unwrap_err();
        assert_eq!(failure.reason(), ErrorReason::InternalError);
        assert!(enter(&limits).is_ok());
    }

    /// R66: a call whose caller left keeps its place until it is done.
    #[tokio::test]
    async fn an_abandoned_call_keeps_its_place() {
        let limits = limits(1);
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let place = enter(&limits).unwrap();
        let mut call = Box::pin(place.run(finished));
        assert!(futures::poll!(&mut call).is_pending());
        drop(call);
        assert_eq!(enter(&limits).unwrap_err().reason(), ErrorReason::Overloaded);
        finish.send(()).unwrap();
        let place = Arc::clone(&limits.in_flight).acquire_owned().await;
        assert!(place.is_ok());
    }
}
