//! Who may pass: authenticates the calling workload and checks the scope that the contract names for the method (R42).
//!
//! Default deny: a method without a scope stops the service from being set up, and a path that the contract does not
//! have is refused unless it is one of the open ones.

use crate::caller::{CallerContext, Method};
use crate::failure::Failure;
use crate::options::{Callers, Grants, MAX_NAMES, PeerCertificate, SetupError};
use countersign_api::v1::ErrorReason;
use countersign_domain::ids::CallerId;
use std::collections::HashMap;
use std::sync::Arc;
use tonic::Status;
use tonic::codegen::http::Extensions;
use tonic::transport::server::TcpConnectInfo;

/// Paths that nobody needs a grant for: they tell nothing of any tenant.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Reflection, where it is offered.
const REFLECTION: [&str; 2] =
    ["/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];

/// The callers that are known, and the methods that there are.
#[derive(Debug)]
pub(crate) struct Gate {
    callers: Known,
    methods: HashMap<String, Arc<Method>>,
    reflection: bool,
}

#[derive(Debug)]
enum Known {
    Loopback(CallerId, Arc<Grants>),
    Certificates(HashMap<String, (CallerId, Arc<Grants>)>),
}

impl Gate {
    /// Reads the scopes from the contract's own descriptors.
    pub(crate) fn new(callers: Callers, reflection: bool) -> Result<Self, SetupError> {
        Ok(Self { callers: known(callers)?, methods: methods()?, reflection })
    }

    /// Whether the path is open to everybody who can connect.
    pub(crate) fn is_open(&self, path: &str) -> bool {
        path.starts_with(HEALTH) || (self.reflection && REFLECTION.iter().any(|open| path.starts_with(open)))
    }

    /// The method at this path, if the contract has one.
    pub(crate) fn method(&self, path: &str) -> Option<&Arc<Method>> {
        self.methods.get(path)
    }

    /// The caller, if it is known and holds the method's scope for any tenant at all.
    pub(crate) fn admit(
        &self,
        path: &str,
        peer: &Extensions,
        trace_id: String,
    ) -> Result<CallerContext, Status> {
        let (id, grants) = self.authenticate(peer)?;
        tracing::Span::current().record("caller", id.as_str());
        let method = self.method(path).ok_or_else(|| Status::unimplemented("no such method"))?;
        if !grants.holds(&method.scope) {
            let message = "the caller does not hold the scope of this method";
            let failure = Failure::new(ErrorReason::CallerScopeMissing, message);
            return Err(failure.with("scope", method.scope.clone()).into_status());
        }
        Ok(CallerContext { id, grants, method: Arc::clone(method), trace_id })
    }

    fn authenticate(&self, peer: &Extensions) -> Result<(CallerId, Arc<Grants>), Failure> {
        match &self.callers {
            Known::Loopback(id, grants) => {
                // The server binds loopback only; a peer from elsewhere must not get in even if it did not.
                let remote = peer.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
                if remote.is_some_and(|address| !address.ip().is_loopback()) {
                    return Err(missing());
                }
                Ok((id.clone(), Arc::clone(grants)))
            }
            Known::Certificates(known) => {
                let certificate = certificate(peer).ok_or_else(missing)?;
                let mut names = certificate.names.iter().take(MAX_NAMES);
                let caller = names.find_map(|name| known.get(name));
                caller.cloned().ok_or_else(|| {
                    let message = "the client certificate names no known caller";
                    Failure::new(ErrorReason::CallerCredentialsInvalid, message)
                })
            }
        }
    }
}

fn missing() -> Failure {
    Failure::new(ErrorReason::CallerCredentialsMissing, "the caller showed no client certificate")
}

fn certificate(peer: &Extensions) -> Option<&PeerCertificate> {
    peer.get::<PeerCertificate>().or_else(|| peer.get::<Option<PeerCertificate>>()?.as_ref())
}

fn known(callers: Callers) -> Result<Known, SetupError> {
    let id = |name: &str| CallerId::parse(name).map_err(|_| SetupError::CallerName { name: name.to_owned() });
    Ok(match callers {
        Callers::Loopback => Known::Loopback(id("loopback")?, Arc::new(Grants::all())),
        Callers::Certificates(callers) => {
            let mut known = HashMap::with_capacity(callers.len());
            for (name, grants) in callers {
                let entry = (id(&name)?, Arc::new(grants));
                known.insert(name, entry);
            }
            Known::Certificates(known)
        }
    })
}

fn methods() -> Result<HashMap<String, Arc<Method>>, SetupError> {
    let streaming: HashMap<_, _> = countersign_api::descriptor_pool()
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            (path, method.is_server_streaming())
        })
        .collect();
    let mut methods = HashMap::new();
    for (path, scope) in countersign_api::method_scopes() {
        if scope.is_empty() {
            return Err(SetupError::MethodWithoutScope { path });
        }
        let is_streaming = streaming.get(&path).copied().unwrap_or(false);
        methods.insert(path.clone(), Arc::new(Method { path, scope, is_streaming }));
    }
    Ok(methods)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::StatusExt as _;

    const PATH: &str = "/countersign.v1.LoginService/CheckLogin";

    fn admitted(callers: Callers, peer: &Extensions) -> Result<String, String> {
        let caller = Gate::new(callers, false).unwrap().admit(PATH, peer, String::new());
        caller.map(|caller| caller.id.as_str().to_owned()).map_err(|status| {
            let info = status.get_details_error_info();
            info.map(|info| info.reason).unwrap_or_default()
        })
    }

    /// R46: in development only loopback peers are let in, even if the server should listen beyond.
    #[test]
    fn development_lets_in_loopback_peers_only() {
        let table = [
            ("127.0.0.1:5000", Ok("loopback")),
            ("[::1]:5000", Ok("loopback")),
            ("10.0.0.7:5000", Err("CALLER_CREDENTIALS_MISSING")),
            ("[2001:db8::1]:5000", Err("CALLER_CREDENTIALS_MISSING")),
        ];
        for (remote, expected) in table {
            let mut peer = Extensions::new();
            let remote_addr = Some(remote.parse().unwrap());
            peer.insert(TcpConnectInfo { local_addr: None, remote_addr });
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(admitted(Callers::Loopback, &peer), expected, "{remote}");
        }
    }

    /// R42: the certificate counts in both forms in which a server may hand it over, and its absence is its absence.
    #[test]
    fn certificates_come_in_two_forms() {
        let callers = || Callers::Certificates([("login.internal".to_owned(), Grants::all())].into());
        let certificate = PeerCertificate { names: vec!["login.internal".to_owned()] };
        let (mut plain, mut optional, mut none) = (Extensions::new(), Extensions::new(), Extensions::new());
        plain.insert(certificate.clone());
        optional.insert(Some(certificate));
        none.insert(None::<PeerCertificate>);
        assert_eq!(admitted(callers(), &plain), Ok("login.internal".to_owned()));
        assert_eq!(admitted(callers(), &optional), Ok("login.internal".to_owned()));
        for peer in [none, Extensions::new()] {
            assert_eq!(admitted(callers(), &peer), Err("CALLER_CREDENTIALS_MISSING".to_owned()));
        }
    }

    /// R42, R45: names are compared byte for byte; a name that is nearly known is not.
    #[test]
    fn names_are_compared_byte_for_byte() {
        let callers = || Callers::Certificates([("login.internal".to_owned(), Grants::all())].into());
        for name in ["LOGIN.internal", "login.internal.", "login.interna", "*.internal", ""] {
            let mut peer = Extensions::new();
            peer.insert(PeerCertificate { names: vec![name.to_owned()] });
            assert_eq!(admitted(callers(), &peer), Err("CALLER_CREDENTIALS_INVALID".to_owned()), "{name:?}");
        }
    }
}
