//! From ready to stopped: serves, and at a signal says so, closes the port, lets calls under way finish, and ends (R67).

use crate::config::Limits;
use crate::failure::{Failure, chain};
use crate::hangups::Hangups;
use crate::jobs::Job;
use crate::listener::Connection;
use crate::readiness::{self, LookedAt};
use crate::streams::EndStreams;
use countersign_api_grpc::{GrpcService, STREAM_WINDOW};
use countersign_application::Application;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinError;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::layer::layer_fn;

/// How often a silent connection is asked whether it is still there, and how long it may take to say so.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls of one connection at the same time; more wait in the caller's HTTP/2 stack.
const MAX_STREAMS: u32 = 1_000;
/// Bytes of the headers of one request, as HTTP/2 counts them.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// Streams that a peer opened and cancelled before we looked at them (RUSTSEC-2024-0003, "rapid reset").
const MAX_PENDING_RESETS: usize = 50;
/// Streams of a connection that its peer made us give up by errors (CVE-2025-8671); then it is closed. tonic has
/// no bound unless it is given one, whatever its documentation says.
const MAX_ERRORS: usize = 1_024;

/// The signals that stop the service.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them over from the system, whose way would be to end at once.
    pub(crate) fn listen() -> io::Result<Self> {
        // A node that has not begun to listen for this one must not end with it either.
        drop(Hangups::listen()?);
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Everything of a running node.
pub(crate) struct Node {
    /// The use cases.
    pub(crate) app: Application,
    /// The contract over them.
    pub(crate) service: GrpcService,
    /// What readiness rests on.
    pub(crate) looked_at: LookedAt,
    /// Connections to serve.
    pub(crate) connections: ReceiverStream<io::Result<Connection>>,
    /// What is waited for at most.
    pub(crate) limits: Limits,
    /// What it does without being asked.
    pub(crate) jobs: Vec<Job>,
    /// Ends the jobs.
    pub(crate) stop: CancellationToken,
}

impl Node {
    /// Serves until a signal, drains, and returns. A second signal ends the draining at once.
    pub(crate) async fn serve(self, mut signals: Signals) -> Result<(), Failure> {
        let health = self.service.health();
        health.set_serving(true).await;
        let jobs = TaskTracker::new();
        for job in self.jobs {
            jobs.spawn(job);
        }
        let checking = CancellationToken::new();
        let mut checker = tokio::spawn(readiness::check(self.looked_at, health.clone(), checking.clone()));
        let closing = CancellationToken::new();
        let (ending, closed) = (closing.clone(), closing.clone().cancelled_owned());
        let mut server = tokio::spawn(
            transport(&self.limits)
                .layer(layer_fn(move |inner| EndStreams::new(inner, ending.clone())))
                .serve_with_incoming_shutdown(self.service, self.connections, closed),
        );
        let signal = tokio::select! {
            signal = signals.next() => signal,
            ended = &mut server => return Err(ended_early(ended)),
            ended = &mut checker => return Err(looked_no_more(ended)),
        };
        tracing::info!(signal, "stopping: not ready, no new connections, finishing what is under way");
        checking.cancel();
        // It returns at once; joined so that it cannot say "ready" after us.
        if !checker.is_finished() {
            let _ = checker.await;
        }
        health.set_serving(false).await;
        closing.cancel();
        self.stop.cancel();
        jobs.close();
        let drain = async {
            let ended = server.await;
            // Of those who were denied meanwhile: the job told of the others when it stopped (R42).
            self.app.tell_denials(true).await;
            self.app.drained().await;
            jobs.wait().await;
            ended
        };
        tokio::select! {
            drained = timeout(self.limits.drain_timeout, drain) => match drained {
                Ok(Ok(Ok(()))) => tracing::info!("stopped; everything under way was answered"),
                Ok(ended) => return Err(ended_early(ended)),
                Err(_) => tracing::warn!("stopped; some calls or streams took longer than the drain timeout"),
            },
            signal = signals.next() => tracing::warn!(signal, "stopped at once by a second signal"),
        }
        Ok(())
    }
}

/// HTTP/2 with every limit set that is off by default, and those that others rest on.
fn transport(limits: &Limits) -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .max_connection_age(limits.max_connection_age)
        .max_connection_age_grace(limits.drain_timeout)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(MAX_ERRORS))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
}

/// The looks at store and clock end by themselves only where the database is not the one that it was. A node that nobody
/// looks at would say for ever what it said last.
fn looked_no_more(ended: Result<Result<(), Failure>, JoinError>) -> Failure {
    match ended {
        Ok(Err(failure)) => failure,
        Ok(Ok(())) => Failure::Internal("the looks at store and clock ended by themselves".to_owned()),
        Err(_) => Failure::Internal("the looks at store and clock panicked".to_owned()),
    }
}

/// The server ends only when it is told to; anything else is our fault.
fn ended_early(ended: Result<Result<(), tonic::transport::Error>, JoinError>) -> Failure {
    Failure::Internal(match ended {
        Ok(Ok(())) => "the server ended by itself".to_owned(),
        Ok(Err(error)) => format!("the server failed: {}", chain(&error)),
        Err(_) => "the server panicked".to_owned(),
    })
}
