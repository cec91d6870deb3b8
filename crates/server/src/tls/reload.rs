//! New certificates without a restart: on SIGHUP, and by looking at the files now and then.
//!
//! What cannot be used is told and not taken over: connections go on with what worked. Connections that are open keep
//! what they were made with until their age ends them.

use super::{Standing, TlsFiles, Validity, load};
use crate::hangups::Hangups;
use crate::jobs::alone;
use crate::problem::Problem;
use countersign_domain::time::Timestamp;
use countersign_ports::Clock;
use rustls::ServerConfig;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch as channel;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The last second that the server's certificate counts.
const ENDS: &str = "countersign_certificate_end_timestamp_seconds";

/// The configuration for the next connection.
pub(crate) type Reloading = channel::Receiver<Arc<ServerConfig>>;

/// What the files looked like: enough to see that one was exchanged, without keeping a copy of the key.
type Fingerprint = [Option<(u64, SystemTime)>; 3];

/// The certificates that are served, and the files that they were loaded from.
#[derive(Debug)]
pub(crate) struct Served {
    files: TlsFiles,
    config: Arc<ServerConfig>,
    /// When the server's certificate counts.
    validity: Option<Validity>,
    /// How it stood when it was last looked at, so that it is told once that it does not count.
    stood: Standing,
    /// What the files looked like just before they were loaded: a change since then is seen.
    seen: Fingerprint,
    /// Why what the files hold now is not usable, which is told once.
    refused: Option<Problem>,
}

impl Served {
    /// Reads the files and checks that they fit together.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, Problem> {
        let seen = fingerprint(&files);
        let (config, validity) = load(&files)?;
        let (config, stood) = (Arc::new(config), Standing::Counts);
        Ok(Self { files, config, validity, stood, seen, refused: None })
    }

    /// When the server's certificate counts; `None` where that does not read.
    pub(crate) const fn validity(&self) -> Option<Validity> {
        self.validity
    }

    /// Tells of a certificate that callers do not take, once: they end the handshake, and no call comes that could fail.
    fn judge(&mut self, now: Timestamp) {
        let Some(validity) = self.validity else {
            // Nobody knows when it ends; that of the one before says nothing of it.
            metrics::gauge!(ENDS).set(f64::NAN);
            return;
        };
        // Seconds since 1970 are exact in it for longer than certificates have years.
        #[expect(clippy::cast_precision_loss, reason = "certificates end before the year 10000")]
        metrics::gauge!(ENDS).set(validity.to.unix_seconds() as f64);
        let stands = validity.at(now);
        if std::mem::replace(&mut self.stood, stands) == stands {
            return;
        }
        match stands {
            Standing::Over => {
                tracing::error!(alarm = true, "the server's certificate is over; callers refuse it");
            }
            Standing::Ahead => {
                tracing::error!(
                    alarm = true,
                    "the server's certificate does not count yet; callers refuse it"
                );
            }
            Standing::Counts | Standing::EndsSoon => {}
        }
    }

    /// Takes over what the files hold, where they are not what was loaded last, or where that is asked for. What cannot be
    /// used is tried again with each look: its mode may be put right, which changes neither length nor time. Says whether
    /// anything was taken over.
    fn look(&mut self, asked: bool) -> bool {
        let now = fingerprint(&self.files);
        if !asked && now == self.seen {
            self.refused = None;
            return false;
        }
        match load(&self.files) {
            Ok((config, validity)) => {
                (self.config, self.seen, self.refused) = (Arc::new(config), now, None);
                // Another one is judged anew.
                if std::mem::replace(&mut self.validity, validity) != validity {
                    self.stood = Standing::Counts;
                }
                true
            }
            Err(problem) => {
                if asked || self.refused.as_ref() != Some(&problem) {
                    tracing::error!(
                        alarm = true,
                        key = problem.key,
                        problem = problem.text,
                        "the new certificates are not usable; keeping the old ones"
                    );
                }
                self.refused = Some(problem);
                false
            }
        }
    }
}

/// Serves what was loaded and, from then on, whatever the files hold. Ends with `stop`.
pub(crate) fn watch(
    served: Served,
    clock: Arc<dyn Clock>,
    hangups: Hangups,
    stop: CancellationToken,
) -> (Reloading, impl Future<Output = ()> + Send) {
    let (sender, receiver) = channel::channel(Arc::clone(&served.config));
    let served = Mutex::new(served);
    let look = move |asked| {
        // What a look takes over, it takes over at once: one that panicked left nothing half done.
        let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
        if served.look(asked) {
            sender.send_replace(Arc::clone(&served.config));
            // Not before: whoever reads this may count on it for the next connection.
            tracing::info!("the certificates were loaded again");
        }
        served.judge(clock.now());
    };
    (receiver, keep_looking(look, hangups, stop))
}

async fn keep_looking(
    look: impl Fn(bool) + Send + Sync + 'static,
    mut hangups: Hangups,
    stop: CancellationToken,
) {
    let look = Arc::new(look);
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            () = hangups.next() => true,
            _ = ticks.tick() => false,
        };
        let look = Arc::clone(&look);
        alone("certificates", async move { look(asked) }).await;
    }
}

fn fingerprint(files: &TlsFiles) -> Fingerprint {
    [Some(&files.certificate), Some(&files.private_key), files.client_ca.as_ref()].map(|path| {
        let metadata = std::fs::metadata(path?).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_testkit::{LoggedErrors, ManualClock};
    use metrics_exporter_prometheus::PrometheusBuilder;
    use std::fs::{File, Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Writes a fresh certificate and its key, with this mode and as if at this second of 1970.
    fn put(folder: &Path, mode: u32, second: u64) -> TlsFiles {
        put_of(folder, mode, second, 2040)
    }

    /// The same with a certificate for this year.
    fn put_of(folder: &Path, mode: u32, second: u64, year: i32) -> TlsFiles {
        let pair = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(year, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let certificate = params.self_signed(&pair).unwrap();
        let [pem, key] = ["server.pem", "server.key"].map(|name| folder.join(name));
        for (path, text) in [(&pem, certificate.pem()), (&key, pair.serialize_pem())] {
            std::fs::write(path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }
        set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        TlsFiles { certificate: pem, private_key: key, client_ca: None }
    }

    /// A change between the load at the start and the first look is seen, and what did not change is not loaded again.
    #[test]
    fn a_change_before_the_first_look_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut served = Served::load(put(folder.path(), 0o600, 1)).unwrap();
        assert!(!served.look(false), "nothing changed");
        put(folder.path(), 0o600, 2);
        assert!(served.look(false));
        assert!(!served.look(false), "it is taken over");
        assert!(served.look(true), "somebody asks");
    }

    /// A certificate that callers do not take is an alarm, once, also where it ends while it is served; and when it ends is
    /// on the page of metrics.
    #[test]
    fn a_certificate_that_is_over_is_an_alarm_once() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = || recorder.handle().render();
        let errors = LoggedErrors::count_from_here();
        let mut served = Served::load(put_of(folder.path(), 0o600, 1, 2030)).unwrap();
        let of_year = |year| Timestamp::from_unix_seconds(rcgen::date_time_ymd(year, 6, 1).unix_timestamp());
        let clock = ManualClock::at(of_year(2029));
        let look = |served: &mut Served, asked| {
            served.look(asked);
            metrics::with_local_recorder(&recorder, || served.judge(clock.now()));
            errors.count()
        };
        assert_eq!([look(&mut served, false), look(&mut served, false)], [1, 1], "it does not count yet");
        clock.set(of_year(2030));
        assert_eq!(look(&mut served, false), 1, "it counts");
        clock.set(of_year(2031));
        assert_eq!([look(&mut served, false), look(&mut served, false)], [2, 2], "it is over");
        assert!(shown().contains(&format!("{ENDS} 1924905600")), "{}", shown());
        put_of(folder.path(), 0o600, 2, 2031);
        assert_eq!(look(&mut served, false), 2, "another one counts");
        put_of(folder.path(), 0o600, 3, 2030);
        assert_eq!([look(&mut served, false), look(&mut served, false)], [3, 3], "another one that is over");
    }

    /// R48: a look that panics is followed by others.
    #[tokio::test(start_paused = true)]
    async fn a_look_that_panics_is_followed_by_others() {
        let looks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&looks);
        let look = move |_| assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "the first look");
        let stop = CancellationToken::new();
        let job = tokio::spawn(keep_looking(look, Hangups::never(), stop.clone()));
        while looks.load(Ordering::SeqCst) < 3 {
            assert!(!job.is_finished(), "it looks no more");
            tokio::time::advance(LOOK_EVERY).await;
        }
        stop.cancel();
        job.await.unwrap();
    }

    /// R51: a key that others may read is refused, and taken over when its mode was put right, which changes neither its
    /// length nor its time.
    #[test]
    fn what_was_refused_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut served = Served::load(put(folder.path(), 0o600, 1)).unwrap();
        let files = put(folder.path(), 0o644, 2);
        for _ in 0..2 {
            assert!(!served.look(false));
            assert!(served.refused.as_ref().is_some_and(|problem| problem.key == "tls.private_key_file"));
        }
        set_permissions(&files.private_key, Permissions::from_mode(0o600)).unwrap();
        assert!(served.look(false));
        assert_eq!(served.refused, None);
    }
}
