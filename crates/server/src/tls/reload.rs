//! New certificates without a restart: on SIGHUP, and by looking at the files now and then.
//!
//! What cannot be used is told and not taken over: connections go on with what worked. Connections that are open keep
//! what they were made with until their age ends them.

use super::{TlsFiles, load};
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch as channel;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The configuration for the next connection.
pub(crate) type Reloading = channel::Receiver<Arc<ServerConfig>>;

/// Serves `first` and, from then on, whatever the files hold. Ends with `stop`.
pub(crate) fn watch(
    files: TlsFiles,
    first: Arc<ServerConfig>,
    stop: CancellationToken,
) -> std::io::Result<(Reloading, impl Future<Output = ()> + Send)> {
    let (sender, receiver) = channel::channel(first);
    let mut hangups = hangups()?;
    let task = async move {
        let mut contents = fingerprint(&files);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = hangups.wait() => true,
                _ = look.tick() => false,
            };
            let now = fingerprint(&files);
            if asked || now != contents {
                contents = now;
                take_over(&files, &sender);
            }
        }
    };
    Ok((receiver, task))
}

fn take_over(files: &TlsFiles, sender: &channel::Sender<Arc<ServerConfig>>) {
    match load(files) {
        Ok(config) => {
            sender.send_replace(Arc::new(config));
            tracing::info!("the certificates were loaded again");
        }
        Err(problem) => {
            tracing::error!(
                alarm = true,
                key = problem.key,
                problem = problem.text,
                "the new certificates are not usable; keeping the old ones"
            );
        }
    }
}

/// What the files looked like: enough to see that one was exchanged, without keeping a copy of the key.
fn fingerprint(files: &TlsFiles) -> [Option<(u64, SystemTime)>; 3] {
    [Some(&files.certificate), Some(&files.private_key), files.client_ca.as_ref()].map(|path| {
        let metadata = std::fs::metadata(path?).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    })
}

#[cfg(unix)]
struct Hangups(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangups {
    async fn wait(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(unix)]
fn hangups() -> std::io::Result<Hangups> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(Hangups)
}
