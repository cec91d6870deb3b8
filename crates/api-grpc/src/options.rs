//! What the adapter is given by the composition root: who may call, and the limits. Reading them from a file is the
//! server's business.

use countersign_domain::ids::{CallerId, TenantId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A scope that no method names: policy changes that ask less of users want it in addition (R37).
pub(crate) const WEAKEN_SCOPE: &str = "policy.weaken";

/// The name of the caller in development.
pub(crate) const LOOPBACK: &str = "loopback";

/// The most names of a client certificate that are looked at.
pub(crate) const MAX_NAMES: usize = 32;

/// Which tenants a scope is granted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// All, also those that do not exist yet.
    All,
    /// These and no other.
    Only(BTreeSet<TenantId>),
}

impl Tenants {
    fn contains(&self, tenant: &TenantId) -> bool {
        match self {
            Self::All => true,
            Self::Only(tenants) => tenants.contains(tenant),
        }
    }
}

/// Which scopes a caller holds, and for which tenants (R42). Empty: none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants(BTreeMap<String, Tenants>);

impl Grants {
    /// Every scope for every tenant.
    pub fn all() -> Self {
        Self(known_scopes().into_iter().map(|scope| (scope, Tenants::All)).collect())
    }

    /// These scopes. The same scope twice is granted for the tenants of both.
    ///
    /// # Errors
    /// [`SetupError::UnknownScope`] where the contract has no such scope: a typing error must not deny silently.
    pub fn new(grants: impl IntoIterator<Item = (String, Tenants)>) -> Result<Self, SetupError> {
        let known = known_scopes();
        let mut granted = BTreeMap::new();
        for (scope, tenants) in grants {
            if !known.contains(&scope) {
                return Err(SetupError::UnknownScope { scope });
            }
            let merged = match (granted.remove(&scope), tenants) {
                (Some(Tenants::Only(mut some)), Tenants::Only(more)) => {
                    some.extend(more);
                    Tenants::Only(some)
                }
                (Some(_), _) => Tenants::All,
                (None, tenants) => tenants,
            };
            granted.insert(scope, merged);
        }
        Ok(Self(granted))
    }

    /// Whether the scope is granted for any tenant.
    pub(crate) fn holds(&self, scope: &str) -> bool {
        self.0.contains_key(scope)
    }

    /// Whether the scope is granted for this tenant.
    pub(crate) fn holds_for(&self, scope: &str, tenant: &TenantId) -> bool {
        self.0.get(scope).is_some_and(|tenants| tenants.contains(tenant))
    }

    /// Whether the scope is granted for every tenant.
    pub(crate) fn holds_for_all(&self, scope: &str) -> bool {
        self.0.get(scope) == Some(&Tenants::All)
    }
}

/// The scopes of the contract.
fn known_scopes() -> BTreeSet<String> {
    let named = countersign_api::method_scopes().into_iter().map(|(_, scope)| scope);
    named.filter(|scope| !scope.is_empty()).chain([WEAKEN_SCOPE.to_owned()]).collect()
}

/// Who may call.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Development: every loopback peer is the caller `loopback` and holds every scope (R46).
    Loopback,
    /// Production: by name, byte for byte. A client certificate shows names in its SAN, SPIFFE URIs and DNS names; a
    /// token is given its name by [`Options::tokens`].
    Certificates(HashMap<String, Grants>),
}

/// Judges signed workload tokens, which callers show as `authorization: Bearer …` where a mesh ends their TLS.
#[tonic::async_trait]
pub trait TokenVerifier: Debug + Send + Sync {
    /// The caller's name, if the token is good now; else a word for the log, of which the caller is told nothing.
    async fn verify(&self, token: &str) -> Result<String, &'static str>;
}

/// Who is at the other end of a connection. The server puts it into the extensions of each request through
/// [`tonic::transport::server::Connected::ConnectInfo`]; the address alone also counts as tonic's own listener puts it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Its address. In development a peer without one is not let in (R46).
    pub address: Option<SocketAddr>,
    /// Its certificate, where it showed one.
    pub certificate: Option<PeerCertificate>,
}

/// What TLS verified of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerCertificate {
    /// URIs and DNS names of the SAN, in its order. Shared by all requests of a connection.
    pub names: Arc<[String]>,
}

/// A caller's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls a second in the long run; 1 or more.
    pub per_second: u32,
    /// Calls at once after a pause; 1 or more.
    pub burst: u32,
}

/// What is refused as too much, and what is waited for at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// The largest request message in bytes; 32 KiB by contract (R47).
    pub max_request_bytes: usize,
    /// Calls read, waiting or worked on at the same time; one more is turned away at once (R66).
    pub max_in_flight: usize,
    /// Calls worked on at the same time; more wait for their turn, tenant by tenant (R66).
    pub max_at_work: usize,
    /// Calls worked on of one tenant while another one is there; alone it may have all of `max_at_work` (R66).
    pub max_at_work_per_tenant: usize,
    /// Calls waiting or worked on of one tenant; one more is turned away, so that there is room for others (R66).
    pub max_in_flight_per_tenant: usize,
    /// Questions about health that have begun and not come whole; one more is turned away at once. Apart from
    /// `max_in_flight`, since nobody needs a grant for them (R66).
    pub max_open_calls: usize,
    /// Streams of health, and of reflection where it is offered, that go on at the same time: three in four for callers
    /// known by their certificates, the fourth for all others, so that neither is left without (R66).
    pub max_open_streams: usize,
    /// How long a call waits for its turn before it is turned away.
    pub max_wait: Duration,
    /// How often each caller may call; `None` for as often as it likes.
    pub rate: Option<Rate>,
    /// The deadline of a call that names none.
    pub default_deadline: Duration,
    /// The longest deadline that a call may name; longer ones are shortened to it.
    pub max_deadline: Duration,
}

impl Default for CallLimits {
    /// What a node has unless it is told otherwise.
    fn default() -> Self {
        Self {
            max_request_bytes: 32 * 1024,
            max_in_flight: 4_096,
            max_at_work: 256,
            max_at_work_per_tenant: 32,
            max_in_flight_per_tenant: 2_048,
            max_open_calls: 64,
            max_open_streams: 1_024,
            max_wait: Duration::from_secs(1),
            rate: None,
            default_deadline: Duration::from_secs(5),
            max_deadline: Duration::from_secs(30),
        }
    }
}

impl CallLimits {
    /// The first limit that would refuse everything, by its name.
    fn zero(&self) -> Option<&'static str> {
        let zero = [
            ("max_request_bytes", self.max_request_bytes == 0),
            ("max_in_flight", self.max_in_flight == 0),
            ("max_at_work", self.max_at_work == 0),
            ("max_at_work_per_tenant", self.max_at_work_per_tenant == 0),
            ("max_in_flight_per_tenant", self.max_in_flight_per_tenant == 0),
            ("max_open_calls", self.max_open_calls == 0),
            ("max_open_streams", self.max_open_streams == 0),
            ("default_deadline", self.default_deadline.is_zero()),
            ("max_deadline", self.max_deadline.is_zero()),
        ];
        zero.into_iter().find_map(|(limit, zero)| zero.then_some(limit))
    }
}

/// Who may call, and the limits.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who may call.
    pub callers: Callers,
    /// Who judges tokens; without, certificates alone say who calls.
    pub tokens: Option<Arc<dyn TokenVerifier>>,
    /// What calls are refused for.
    pub limits: CallLimits,
    /// How often these callers may call, by name, in the place of the rate of all.
    pub rates: HashMap<String, Rate>,
    /// Whether reflection is offered; in development only (R46).
    pub reflection: bool,
}

impl Options {
    /// These callers within the limits that a node has by default; no tokens, no reflection.
    pub fn new(callers: Callers) -> Self {
        Self {
            callers,
            tokens: None,
            limits: CallLimits::default(),
            rates: HashMap::new(),
            reflection: false,
        }
    }

    /// The callers that there are.
    pub(crate) fn caller_ids(&self) -> impl Iterator<Item = CallerId> {
        let (loopback, named) = match &self.callers {
            Callers::Loopback => (Some(LOOPBACK), None),
            Callers::Certificates(callers) => (None, Some(callers.keys().map(String::as_str))),
        };
        loopback.into_iter().chain(named.into_iter().flatten()).filter_map(|name| CallerId::parse(name).ok())
    }

    /// The callers that have a rate.
    pub(crate) fn rates(&self) -> impl Iterator<Item = (CallerId, Rate)> {
        let names = match &self.callers {
            Callers::Loopback => None,
            Callers::Certificates(callers) => Some(callers.keys()),
        };
        names.into_iter().flatten().filter_map(|name| {
            let rate = self.rates.get(name).copied().or(self.limits.rate)?;
            Some((CallerId::parse(name).ok()?, rate))
        })
    }
}

/// Why the adapter cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A method of the contract names no scope, so nobody could be let in by rule (R42).
    #[error("the method {path} names no scope")]
    MethodWithoutScope {
        /// The path of the method.
        path: String,
    },
    /// A grant names a scope that the contract does not have.
    #[error("there is no scope {scope:?}")]
    UnknownScope {
        /// The scope as it was given.
        scope: String,
    },
    /// A caller's name that nobody can show.
    #[error("a caller's name must be 1 to 255 printable ASCII characters: {name:?}")]
    CallerName {
        /// The name as it was given.
        name: String,
    },
    /// A limit that would refuse everything.
    #[error("{option} must not be zero")]
    ZeroLimit {
        /// The name of the option.
        option: &'static str,
    },
    /// Reflection could not read the descriptors.
    #[error("reflection cannot be offered")]
    Reflection(#[source] tonic_reflection::server::Error),
}

impl Options {
    /// Refuses what could not work.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let stands_still = |rate: Rate| rate.per_second == 0 || rate.burst == 0;
        let rate = self.rates().any(|(_, rate)| stands_still(rate)).then_some("rate");
        if let Some(option) = self.limits.zero().or(rate) {
            return Err(SetupError::ZeroLimit { option });
        }
        let Callers::Certificates(callers) = &self.callers else { return Ok(()) };
        let unfit = callers.keys().find(|name| CallerId::parse(name).is_err());
        unfit.map_or(Ok(()), |name| Err(SetupError::CallerName { name: name.clone() }))
    }
}
