//! `countersign serve`: everything put together. The order matters: whatever can be wrong is found before a port opens.

use super::tell;
use crate::adapters::{GuardedClock, SystemClock};
use crate::cli::ServeArgs;
use crate::config::{self, Config, Exposure, Keys, Limits, Sources, StoreConfig};
use crate::dev;
use crate::failure::{Failure, chain};
use crate::hangups::{self, Hangups};
use crate::lifecycle::{self, Signals};
use crate::stores::{self, Stores};
use crate::tokens::Tokens;
use crate::traces::Exporting;
use crate::witness::{self, Witness};
use crate::{evidence, jobs, listener, metrics, notifier, telemetry, tls, vault};
use countersign_api_grpc::{Callers, Options, Rate, TokenVerifier};
use countersign_application::{Application, Deps};
use countersign_ports::Clock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
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
    if let (true, StoreConfig::Postgres(options)) = (development, &store) {
        countersign_store_postgres::migrate(&options.url).await?;
    }
    let Keys { keyring, retired } = keys;
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
    let digests = keyring.digests();
    let evidence = evidence::of(&stores, &keyring, exporters);
    let send_limits = sms.limits;
    let text_messages = sms.gateway.map(|gateway| gateway.sender(Arc::new(SystemClock))).transpose()?;
    let deps = stores.deps(digests, Arc::clone(&clock) as Arc<dyn Clock>);
    let app = Application::new(Deps { text_messages, send_limits, restores, ..deps });
    if development {
        dev::create_demo_tenants(&app).await?;
    }
    let stop = CancellationToken::new();
    observe.metrics.map(|address| metrics::serve(address, stop.clone())).transpose()?;
    let Exposed { callers, rates, tokens, certificates, mut jobs } = expose(exposure, &stop)?;
    jobs.extend(evidence::jobs(&evidence, &audit, &stop));
    let (seal_after, alarm_after) = (audit.seal_after, audit.alarm_after);
    let clock_of_seals = Arc::clone(&clock) as Arc<dyn Clock>;
    let sealing = jobs::seal(evidence.clone(), seal_after, alarm_after, clock_of_seals, stop.clone());
    jobs.push(Box::pin(sealing));
    jobs.push(sweep_dead_letters(&stores, notices.keep_dead, &clock, &stop));
    let options = Options { tokens, rates, reflection: development, ..options(&limits, callers) };
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
    let node = lifecycle::Node {
        app,
        service,
        maintenance: stores.maintenance,
        vault: stores.vault,
        erasure: stores.erasure,
        lifeline: stores.lifeline,
        witness,
        clock,
        notifier,
        notice_rules: notices.rules,
        connections: listener::connections(listener, rules),
        limits,
        retention,
        evidence,
        stop,
    };
    let served = node.serve(signals, jobs).await;
    if let Some(traces) = traces {
        // It waits for the collector, which other tasks of the runtime reach.
        tokio::task::block_in_place(|| traces.shut_down());
    }
    served
}

fn configuration(args: &ServeArgs) -> Result<Config, Failure> {
    if args.dev {
        return dev::configuration(args);
    }
    let sources =
        Sources { file: args.config.clone(), listen: args.listen.clone(), store: args.store.clone() };
    Ok(config::load(&sources)?)
}

/// What calls are refused for.
fn options(limits: &Limits, callers: Callers) -> Options {
    Options {
        max_request_bytes: limits.max_request_bytes,
        max_in_flight: limits.max_in_flight,
        max_at_work: limits.max_at_work,
        max_at_work_per_tenant: limits.max_at_work_per_tenant,
        max_in_flight_per_tenant: limits.max_in_flight_per_tenant,
        max_wait: limits.max_wait,
        rate: limits.caller,
        default_deadline: limits.default_deadline,
        max_deadline: limits.max_deadline,
        ..Options::new(callers)
    }
}

/// The job that deletes notices which were given up long ago.
fn sweep_dead_letters(
    stores: &Stores,
    keep: Duration,
    clock: &Arc<GuardedClock>,
    stop: &CancellationToken,
) -> lifecycle::Job {
    let (store, clock) = (Arc::clone(&stores.dead_letters), Arc::clone(clock));
    Box::pin(jobs::sweep_dead_letters(store, keep, clock, stop.clone()))
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
    jobs: Vec<lifecycle::Job>,
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
        let (certificates, job) = tls::watch(served, hangups()?, stop.clone());
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
