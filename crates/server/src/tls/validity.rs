//! When the certificate that is served counts. Callers end the handshake before and after, and tell nobody here why.

use countersign_domain::time::Timestamp;
use rustls::pki_types::CertificateDer;
use std::time::Duration;
use x509_parser::parse_x509_certificate;

/// Long enough to have another one issued in working hours.
const SOON: Duration = Duration::from_hours(7 * 24);

/// The times between which a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    from: Timestamp,
    /// The last second that it counts.
    pub(crate) to: Timestamp,
}

/// Whether a certificate counts at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not yet.
    Ahead,
    /// And for a while.
    Counts,
    /// But for fewer than seven days more.
    EndsSoon,
    /// No more.
    Over,
}

impl Validity {
    /// What a certificate says of itself; `None` where that does not read.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        let validity = certificate.validity();
        let [from, to] = [validity.not_before, validity.not_after]
            .map(|time| Timestamp::from_unix_seconds(time.timestamp()));
        Some(Self { from, to })
    }

    /// Whether it counts now, by the second as callers judge it.
    pub(crate) fn at(self, now: Timestamp) -> Standing {
        let now = Timestamp::from_unix_seconds(now.unix_seconds());
        if now < self.from {
            Standing::Ahead
        } else if now > self.to {
            Standing::Over
        } else if now.plus(SOON) > self.to {
            Standing::EndsSoon
        } else {
            Standing::Counts
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate counts from its first second to its last; what is no certificate says nothing.
    #[test]
    fn a_certificate_counts_between_its_times() {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2030, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 3, 1);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let validity = Validity::of(certificate.der()).unwrap();
        let at = Timestamp::from_unix_seconds;
        let (from, to) = (params.not_before.unix_timestamp(), params.not_after.unix_timestamp());
        assert_eq!(validity, Validity { from: at(from), to: at(to) });
        let week = 7 * 24 * 3_600;
        for (now, standing) in [
            (from - 1, Standing::Ahead),
            (from, Standing::Counts),
            (to - week, Standing::Counts),
            (to - week + 1, Standing::EndsSoon),
            (to, Standing::EndsSoon),
            (to + 1, Standing::Over),
        ] {
            assert_eq!(validity.at(at(now)), standing, "{now}");
        }
        assert_eq!(Validity::of(&CertificateDer::from_slice(b"no certificate")), None);
    }
}
