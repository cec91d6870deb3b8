//! `countersign serve`: everything put together. The order matters: whatever can be wrong is found before a port opens.

use super::tell;
use crate::adapters::{GuardedClock, SystemClock};
use crate::cli::ServeArgs;
use crate::config::{self, Config, Exposure, Keys, Sources, StoreConfig};
use crate::dev;
use crate::failure::{Failure, chain};
use crate::hangups::{self, Hangups};
use crate::jobs::{Job, Work};
use crate::lifecycle::{Node, Signals};
use crate::readiness::LookedAt;
use crate::stores::{self, Sending, Stores};
use crate::tokens::Tokens;
use crate::traces::Exporting;
use crate::witness::{self, Witness};
use crate::{evidence, listener, metrics, notifier, telemetry, tls, vault};
use countersign_api_grpc::{Callers, Options, Rate, TokenVerifier};
use countersign_application::Application;
use countersign_keyring::Keyring;
use countersign_ports::Clock;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until a signal.
pub(super) async fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = configuration(args)?;
    let traces = config.observe.traces.as_ref().map(Exporting::start).transpose()?;
    telemetry::init(config.log, traces.as_ref());
    let signals = Signals::listen().map_err(Failure::io("listening for signals"))?;
    let development = matches!(config.exposure, Exposure::Development);
    if development {
        tracing::warn!("development only: plain text, every caller on this machine may do everything");
    }
    let Config {
        listen,
        exposure,
        store,
        witness,
        keys,
        sms,
        limits,
        observe,
        notices,
        retention,
        audit,
        ..
    } = config;
    let exporters = evidence::exporters(&audit)?;
    let notifier = notifier::of(notices.channel, Arc::new(SystemClock))?;
    let kind = store.kind();
    let Admitted { stores, keyring, witness, restores, clock } =
        admit(store, keys, witness, development).await?;
    let evidence = evidence::of(&stores, &keyring, exporters);
    let text_messages = sms.gateway.map(|gateway| gateway.sender(Arc::new(SystemClock))).transpose()?;
    let sending = Sending { text_messages, limits: sms.limits };
    let app = Application::new(stores.deps(keyring.digests(), clock.clone(), sending, restores));
    if development {
        dev::create_demo_tenants(&app).await?;
    }
    let stop = CancellationToken::new();
    observe.metrics.map(|address| metrics::serve(address, stop.clone())).transpose()?;
    let Exposed { callers, rates, tokens, certificates, mut jobs } = expose(exposure, &stop)?;
    let work = Work {
        app: &app,
        stores: &stores,
        clock: &clock,
        notifier,
        notice_rules: notices.rules,
        keep_dead_letters: notices.keep_dead,
        retention,
        evidence: &evidence,
        audit: &audit,
        stop: &stop,
    };
    jobs.extend(work.jobs());
    let options =
        Options { tokens, rates, reflection: development, limits: limits.calls, ..Options::new(callers) };
    let service = countersign_api_grpc::service(app.clone(), options);
    let service = service.map_err(|error| Failure::Internal(chain(&error)))?;
    let listener = TcpListener::bind(listen).await.map_err(Failure::io(format!("listening on {listen}")))?;
    let address = listener.local_addr().map_err(Failure::io(format!("listening on {listen}")))?;
    tracing::info!(address = %address, store = kind, version = env!("CARGO_PKG_VERSION"), "listening");
    // Who starts a node need not read what it prints; the log says it too.
    let _ = tell(&format!("listening on {address}\n"));
    if development {
        let _ = tell(&dev::lines_to_paste(address));
    }
    let rules = listener::Rules {
        tls: certificates,
        max_connections: limits.max_connections,
        handshake_timeout: limits.handshake_timeout,
    };
    let looked_at = LookedAt { store: stores.maintenance, lifeline: stores.lifeline, witness, clock };
    let connections = listener::connections(listener, rules);
    let node = Node { app, service, looked_at, connections, limits, jobs, stop };
    let served = node.serve(signals).await;
    if let Some(traces) = traces {
        // It waits for the collector, which other tasks of the runtime reach.
        tokio::task::block_in_place(|| traces.shut_down());
    }
    served
}

/// A store that may be served from.
struct Admitted {
    stores: Stores,
    keyring: Arc<Keyring>,
    /// What this node has seen of the store.
    witness: Arc<Witness>,
    /// How often a backup of the store was put back.
    restores: u64,
    clock: Arc<GuardedClock>,
}

/// Opens the store, and refuses it where a root key is missing or another one, and where it is not the database that it was.
async fn admit(
    store: StoreConfig,
    Keys { keyring, retired }: Keys,
    witness: Option<PathBuf>,
    development: bool,
) -> Result<Admitted, Failure> {
    if let (true, StoreConfig::Postgres(options)) = (development, &store) {
        countersign_store_postgres::migrate(&options.url).await?;
    }
    let keyring = Arc::new(keyring);
    let stores = stores::open(store, Arc::clone(&keyring)).await?;
    vault::admit(stores.vault.as_ref(), &keyring, &retired, SystemClock.now()).await?;
    if witness.is_none() && !development {
        tracing::warn!("this node would not notice a restored database; give it a store.witness_file");
    }
    let witness = Arc::new(Witness::open(witness)?);
    let restores = goes_on(&stores, &witness).await?;
    let clock = Arc::new(GuardedClock::start());
    clock.compare_with(stores.maintenance.as_ref()).await?;
    Ok(Admitted { stores, keyring, witness, restores, clock })
}

fn configuration(args: &ServeArgs) -> Result<Config, Failure> {
    if args.dev {
        return dev::configuration(args);
    }
    let sources =
        Sources { file: args.config.clone(), listen: args.listen.clone(), store: args.store.clone() };
    Ok(config::load(&sources)?)
}

/// Refuses a database that is not the one that it was. How often it was put back.
async fn goes_on(stores: &Stores, witness: &Witness) -> Result<u64, Failure> {
    let before = stores.lifeline.incarnation(witness::fresh_id()).await?;
    witness.judge(&before)?;
    // Before the step: a node that cannot remember takes none.
    witness.remember(before).await?;
    // Every start is a step that a backup from before it lacks.
    let come = stores.lifeline.advance().await?;
    witness.judge(&come)?;
    witness.remember(come).await?;
    Ok(come.number)
}

/// Who may call, how they are known, and the jobs that keep certificates and keys current.
struct Exposed {
    callers: Callers,
    rates: HashMap<String, Rate>,
    tokens: Option<Arc<dyn TokenVerifier>>,
    certificates: Option<tls::Reloading>,
    jobs: Vec<Job>,
}

fn expose(exposure: Exposure, stop: &CancellationToken) -> Result<Exposed, Failure> {
    let (tls, callers, rates, settings) = match exposure {
        Exposure::Development => (None, Callers::Loopback, HashMap::new(), None),
        Exposure::Production { tls, callers, rates, tokens } => {
            (tls, Callers::Certificates(callers), rates, tokens)
        }
    };
    let mut exposed = Exposed { callers, rates, tokens: None, certificates: None, jobs: Vec::new() };
    let hangups = || Hangups::listen().map_err(Failure::io("listening for signals"));
    if let Some(served) = tls {
        let (certificates, job) = tls::watch(served, Arc::new(SystemClock), hangups()?, stop.clone());
        exposed.certificates = Some(certificates);
        exposed.jobs.push(Box::pin(job));
    }
    if let Some(settings) = settings {
        let (tokens, job) = Tokens::new(settings, Arc::new(SystemClock), hangups()?, stop.clone());
        exposed.tokens = Some(Arc::new(tokens));
        exposed.jobs.push(Box::pin(job));
    }
    if exposed.jobs.is_empty() {
        exposed.jobs.push(Box::pin(hangups::nothing_to_load(hangups()?, stop.clone())));
    }
    Ok(exposed)
}
