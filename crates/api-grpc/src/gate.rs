//! Who may pass: authenticates the calling workload and checks the scope that the contract names for the method (R42).
//!
//! Default deny: a method without a scope stops the service from being set up, and a path that the contract does not
//! have is refused unless it is one of the open ones.

use crate::caller::{CallerContext, Method};
use crate::failure::Failure;
use crate::metrics::OfMethod;
use crate::options::{
    Callers, Grants, LOOPBACK, MAX_NAMES, Peer, PeerCertificate, SetupError, TokenVerifier,
};
use countersign_api::v1::ErrorReason;
use countersign_domain::ids::CallerId;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::Status;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderMap, Request};
use tonic::transport::server::TcpConnectInfo;

/// Paths that nobody needs a grant for: they tell nothing of any tenant.
pub(crate) const HEALTH: &str = "/grpc.health.v1.Health/";
/// Reflection, where it is offered.
const REFLECTION: [&str; 2] =
    ["/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];

/// The callers that are known, and the methods that there are.
#[derive(Debug)]
pub(crate) struct Gate {
    callers: Known,
    tokens: Option<Arc<dyn TokenVerifier>>,
    methods: HashMap<String, Arc<Method>>,
    reflection: bool,
}

#[derive(Debug)]
enum Known {
    Loopback(CallerId, Arc<Grants>),
    Named(HashMap<String, Caller>),
}

impl Gate {
    /// Reads the scopes from the contract's own descriptors.
    pub(crate) fn new(
        callers: Callers,
        tokens: Option<Arc<dyn TokenVerifier>>,
        reflection: bool,
    ) -> Result<Self, SetupError> {
        Ok(Self { callers: known(callers)?, tokens, methods: methods()?, reflection })
    }

    /// Whether the path is open to everybody who can connect.
    pub(crate) fn is_open(&self, path: &str) -> bool {
        path.starts_with(HEALTH) || (self.reflection && REFLECTION.iter().any(|open| path.starts_with(open)))
    }

    /// The method at this path, if the contract has one.
    pub(crate) fn method(&self, path: &str) -> Option<&Arc<Method>> {
        self.methods.get(path)
    }

    /// The caller, if it is known. What it may do is another question: [`Gate::authorize`].
    pub(crate) async fn authenticate(&self, shown: Shown) -> Result<Caller, Denied> {
        let known = match &self.callers {
            Known::Loopback(id, grants) => {
                // The server binds loopback only; a peer from elsewhere must not get in even if it did not, nor one of
                // whom nobody knows from where it is.
                if shown.remote.is_some_and(|address| address.ip().to_canonical().is_loopback()) {
                    return Ok(Caller { id: id.unshared(), grants: Arc::clone(grants) });
                }
                return Err(missing());
            }
            Known::Named(known) => known,
        };
        // A token that is shown decides: a good certificate does not mend a bad token.
        let verified;
        let names = match (&self.tokens, shown.token, &shown.certificate) {
            (Some(tokens), Some(token), _) => {
                let token = token.map_err(|()| invalid("malformed", None))?;
                verified = [tokens.verify(&token).await.map_err(|why| invalid(why, None))?];
                &verified[..]
            }
            (_, _, Some(certificate)) => &certificate.names[..],
            _ => return Err(missing()),
        };
        let Some(Caller { id, grants }) = first_known(known, names) else {
            let name = names.iter().take(MAX_NAMES).find_map(|name| CallerId::parse(name).ok());
            return Err(invalid("nobody known", name));
        };
        Ok(Caller { id: id.unshared(), grants: Arc::clone(grants) })
    }

    /// The caller by its certificate alone, if it is known: enough for what is open to everybody, and not worth the work of
    /// judging a token.
    pub(crate) fn by_certificate(&self, shown: &Shown) -> Option<CallerId> {
        let (Known::Named(known), Some(certificate)) = (&self.callers, &shown.certificate) else {
            return None;
        };
        first_known(known, &certificate.names).map(|caller| caller.id.clone())
    }

    /// Whether the caller is configured.
    pub(crate) fn knows(&self, caller: &CallerId) -> bool {
        match &self.callers {
            Known::Loopback(id, _) => id == caller,
            Known::Named(known) => known.contains_key(caller.as_str()),
        }
    }

    /// Lets a caller in who holds the method's scope for any tenant at all; none where the contract has no such method.
    pub(crate) fn authorize(
        caller: Caller,
        method: Option<&Arc<Method>>,
        trace_id: String,
    ) -> Result<CallerContext, Denied> {
        let Some(method) = method else {
            let failure = Failure::new(ErrorReason::MethodUnknown, "the contract has no such method");
            let status = failure.into_status();
            return Err(Denied { status, reason: None, caller: Some(caller.id), why: None });
        };
        if !caller.grants.holds(&method.scope) {
            let message = "the caller does not hold the scope of this method";
            let failure = Failure::new(ErrorReason::CallerScopeMissing, message);
            return Err(Denied {
                status: failure.with("scope", method.scope.clone()).into_status(),
                reason: Some(ErrorReason::CallerScopeMissing),
                caller: Some(caller.id),
                why: None,
            });
        }
        let Caller { id, grants } = caller;
        Ok(CallerContext { id, grants, method: Arc::clone(method), trace_id, findings: Arc::default() })
    }
}

/// The first caller of these names that is known.
fn first_known<'a>(known: &'a HashMap<String, Caller>, names: &[String]) -> Option<&'a Caller> {
    names.iter().take(MAX_NAMES).find_map(|name| known.get(name))
}

/// A caller that is known.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) id: CallerId,
    grants: Arc<Grants>,
}

/// A caller that is not let in.
#[derive(Debug)]
pub(crate) struct Denied {
    /// What it is told.
    pub(crate) status: Status,
    /// Why, where that is a reason of ours.
    pub(crate) reason: Option<ErrorReason>,
    /// Its name, where that was authenticated; it need not be configured.
    pub(crate) caller: Option<CallerId>,
    /// What was wrong with its credentials, for the log, in a word or two.
    why: Option<&'static str>,
}

impl Denied {
    /// Tells the log what was wrong with the credentials, where some were shown.
    pub(crate) fn tell(&self) {
        if let Some(why) = self.why {
            let shown = self.caller.as_ref().map_or("", CallerId::as_str);
            tracing::warn!(why, shown, "a caller's credentials were refused");
        }
    }
}

/// What a caller shows of itself.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) remote: Option<SocketAddr>,
    certificate: Option<PeerCertificate>,
    /// The token, or that there is a header that is none.
    token: Option<Result<String, ()>>,
}

impl Shown {
    /// By this request.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let (peer, token) = (request.extensions(), token(request.headers()));
        if let Some(Peer { address, certificate }) = peer.get::<Peer>() {
            return Self { remote: *address, certificate: certificate.clone(), token };
        }
        Self { remote: remote(request), certificate: None, token }
    }
}

/// From where a request comes, if the server says so.
pub(crate) fn remote<B>(request: &Request<B>) -> Option<SocketAddr> {
    let peer = request.extensions();
    match peer.get::<Peer>() {
        Some(peer) => peer.address,
        None => peer.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr),
    }
}

/// The bearer token (RFC 6750 section 2.1), if the caller shows one. Two of them are none.
fn token(headers: &HeaderMap) -> Option<Result<String, ()>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (values.next()?, values.next());
    let text = first.to_str().ok().filter(|_| second.is_none());
    let token = text.and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.to_owned())
    });
    Some(token.ok_or(()))
}

fn missing() -> Denied {
    let reason = ErrorReason::CallerCredentialsMissing;
    let status = Failure::new(reason, "the caller showed no credentials").into_status();
    Denied { status, reason: Some(reason), caller: None, why: None }
}

/// One text for all that can be wrong with credentials; what it was is for the log.
fn invalid(why: &'static str, caller: Option<CallerId>) -> Denied {
    let reason = ErrorReason::CallerCredentialsInvalid;
    let status = Failure::new(reason, "the caller's credentials are not valid").into_status();
    Denied { status, reason: Some(reason), caller, why: Some(why) }
}

fn known(callers: Callers) -> Result<Known, SetupError> {
    let id = |name: &str| CallerId::parse(name).map_err(|_| SetupError::CallerName { name: name.to_owned() });
    Ok(match callers {
        Callers::Loopback => Known::Loopback(id(LOOPBACK)?, Arc::new(Grants::all())),
        Callers::Certificates(callers) => {
            let mut known = HashMap::with_capacity(callers.len());
            for (name, grants) in callers {
                let entry = Caller { id: id(&name)?, grants: Arc::new(grants) };
                known.insert(name, entry);
            }
            Known::Named(known)
        }
    })
}

/// Scopes of what changes a user as the user asks for it: of these calls one user may cause many at a time. Managers, operators
/// and the directory have other scopes, and must get through beside such a storm, to end it.
const OF_USERS: [&str; 2] = ["login", "account.write"];

fn methods() -> Result<HashMap<String, Arc<Method>>, SetupError> {
    let mut scopes: HashMap<_, _> = countersign_api::method_scopes().into_iter().collect();
    let mut methods = HashMap::new();
    for method in countersign_api::descriptor_pool().services().flat_map(|s| s.methods().collect::<Vec<_>>())
    {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let scope = scopes.remove(&path).unwrap_or_default();
        if scope.is_empty() {
            return Err(SetupError::MethodWithoutScope { path });
        }
        let field = |name| method.input().get_field_by_name(name).map(|field| field.number());
        let user_field = field("user_id").filter(|_| OF_USERS.contains(&scope.as_str()));
        let entry = Method {
            path: path.as_str().into(),
            scope,
            is_streaming: method.is_server_streaming(),
            tenant_field: field("tenant_id"),
            user_field,
            challenge_field: field("challenge"),
            counted: OfMethod::default(),
        };
        methods.insert(path, Arc::new(entry));
    }
    Ok(methods)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use tonic_types::StatusExt as _;

    const PATH: &str = "/countersign.v1.LoginService/CheckLogin";

    /// Takes the tokens `good` and `strange`, for a caller who is known and for one who is not.
    #[derive(Debug)]
    struct Judge;

    #[tonic::async_trait]
    impl TokenVerifier for Judge {
        async fn verify(&self, token: &str) -> Result<String, &'static str> {
            match token {
                "good" => Ok("token.internal".to_owned()),
                "strange" => Ok("strange.internal".to_owned()),
                _ => Err("signature"),
            }
        }
    }

    fn admitted(callers: Callers, request: &Request<()>) -> Result<String, String> {
        let gate = Gate::new(callers, Some(Arc::new(Judge)), false).unwrap();
        let caller = gate.authenticate(Shown::of(request)).now_or_never().unwrap();
        let caller = caller.and_then(|caller| Gate::authorize(caller, gate.method(PATH), String::new()));
        caller.map(|caller| caller.id.as_str().to_owned()).map_err(|denied| {
            let info = denied.status.get_details_error_info();
            info.map(|info| info.reason).unwrap_or_default()
        })
    }

    fn callers() -> Callers {
        Callers::Certificates(
            ["login.internal", "token.internal"].map(|name| (name.to_owned(), Grants::all())).into(),
        )
    }

    fn shown(certificate: Option<&str>, headers: &[&str]) -> Request<()> {
        let mut request = Request::new(());
        for header in headers {
            request.headers_mut().append(AUTHORIZATION, header.parse().unwrap());
        }
        let certificate = certificate.map(|name| PeerCertificate { names: [name.to_owned()].into() });
        request.extensions_mut().insert(Peer { address: None, certificate });
        request
    }

    /// R46: in development only loopback peers are let in, even if the server should listen beyond; in either form in which
    /// a server may say where they are, and not where it does not say.
    #[test]
    fn development_lets_in_loopback_peers_only() {
        let table = [
            ("127.0.0.1:5000", Ok("loopback")),
            ("[::1]:5000", Ok("loopback")),
            ("10.0.0.7:5000", Err("CALLER_CREDENTIALS_MISSING")),
            ("[::ffff:127.0.0.1]:5000", Ok("loopback")),
            ("[::ffff:10.0.0.7]:5000", Err("CALLER_CREDENTIALS_MISSING")),
            ("[2001:db8::1]:5000", Err("CALLER_CREDENTIALS_MISSING")),
            ("", Err("CALLER_CREDENTIALS_MISSING")),
        ];
        for (remote, expected) in table {
            let address = remote.parse().ok();
            let (mut ours, mut tonics) = (Request::new(()), Request::new(()));
            ours.extensions_mut().insert(Peer { address, certificate: None });
            tonics.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: address });
            for request in [ours, tonics] {
                let expected = expected.map(str::to_owned).map_err(str::to_owned);
                assert_eq!(admitted(Callers::Loopback, &request), expected, "{remote}");
            }
        }
        assert!(admitted(Callers::Loopback, &Request::new(())).is_err(), "nobody said where it is");
    }

    /// R42: the absence of a certificate is its absence.
    #[test]
    fn who_shows_no_certificate_has_none() {
        assert_eq!(admitted(callers(), &shown(Some("login.internal"), &[])), Ok("login.internal".to_owned()));
        for request in [shown(None, &[]), Request::new(())] {
            assert_eq!(admitted(callers(), &request), Err("CALLER_CREDENTIALS_MISSING".to_owned()));
        }
    }

    /// R42, R45: names are compared byte for byte; a name that is nearly known is not.
    #[test]
    fn names_are_compared_byte_for_byte() {
        for name in ["LOGIN.internal", "login.internal.", "login.interna", "*.internal", ""] {
            let request = shown(Some(name), &[]);
            assert_eq!(
                admitted(callers(), &request),
                Err("CALLER_CREDENTIALS_INVALID".to_owned()),
                "{name:?}"
            );
        }
    }

    /// R42: a token that is shown says who calls, whatever certificate is shown beside it; what is no bearer token, and
    /// two of them, are invalid.
    #[test]
    fn a_token_that_is_shown_decides() {
        let invalid = || Err("CALLER_CREDENTIALS_INVALID".to_owned());
        for (headers, expected) in [
            (&["Bearer good"][..], Ok("token.internal".to_owned())),
            (&["bearer good"], Ok("token.internal".to_owned())),
            (&["Bearer strange"], invalid()),
            (&["Bearer bad"], invalid()),
            (&["Bearer"], invalid()),
            (&["Bearer "], invalid()),
            (&["Bearer  good"], invalid()),
            (&["Basic Z29vZDo="], invalid()),
            (&["good"], invalid()),
            (&[""], invalid()),
            (&["Bearer good", "Bearer good"], invalid()),
        ] {
            for certificate in [None, Some("login.internal")] {
                assert_eq!(admitted(callers(), &shown(certificate, headers)), expected, "{headers:?}");
            }
        }
    }

    /// R42: where no tokens are configured, a header for somebody else changes nothing.
    #[test]
    fn without_tokens_the_header_is_not_looked_at() {
        let gate = Gate::new(callers(), None, false).unwrap();
        let request = shown(Some("login.internal"), &["Bearer bad"]);
        let caller = gate.authenticate(Shown::of(&request)).now_or_never().unwrap();
        assert_eq!(caller.unwrap().id.as_str(), "login.internal");
    }
}
