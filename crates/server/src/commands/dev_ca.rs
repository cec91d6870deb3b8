//! `countersign dev-ca`: an authority for development, with a server's certificate and callers'. For trying mutual TLS
//! out; production has an authority of its own, whose key is on no machine of the service.

use super::tell;
use crate::adapters::SystemClock;
use crate::cli::DevCaArgs;
use crate::failure::Failure;
use crate::problem::Problem;
use crate::secret_file;
use crate::tls;
use countersign_ports::Clock;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// Clocks may differ by this much.
const BEFORE: Duration = Duration::minutes(5);

/// When certificates count.
#[derive(Clone, Copy)]
struct Validity {
    from: OffsetDateTime,
    to: OffsetDateTime,
}

/// Certificate and key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

/// Makes everything in a new folder, and prints the lines of a configuration.
pub(super) fn run(args: &DevCaArgs) -> Result<(), Failure> {
    for caller in &args.callers {
        if !tls::is_caller_name(caller) {
            let text = format!("{caller:?} is neither a SPIFFE id nor a lower-case DNS name; write one");
            return Err(Problem::new("--caller", text).into());
        }
    }
    let now = OffsetDateTime::from_unix_timestamp(SystemClock.now().unix_seconds());
    let now = now.map_err(|error| Failure::Internal(error.to_string()))?;
    let validity = Validity { from: now - BEFORE, to: now + Duration::days(args.days.into()) };
    let files = make(args, validity).map_err(|error| Failure::Internal(error.to_string()))?;

    let doing = |path: &Path| format!("writing {}; an authority is never replaced", path.display());
    new_folder(&args.out).map_err(Failure::io(doing(&args.out)))?;
    for (name, text) in &files {
        let path = args.out.join(name);
        secret_file::write_new(&path, text).map_err(Failure::io(doing(&path)))?;
    }
    let folder = std::path::absolute(&args.out).map_err(Failure::io(doing(&args.out)))?;
    tell(&lines(&folder, args))
}

/// The files by name.
fn make(args: &DevCaArgs, validity: Validity) -> Result<Vec<(String, String)>, rcgen::Error> {
    let mut params = params("Countersign development CA", validity);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut files =
        vec![("ca.pem".to_owned(), authority.pem()), ("ca.key".to_owned(), authority.key().serialize_pem())];
    let mut add = |name: &str, pair: Pair| {
        files.push((format!("{name}.pem"), pair.certificate));
        files.push((format!("{name}.key"), pair.key));
    };
    let names = args.server_names.iter().map(|name| server_name(name)).collect::<Result<Vec<_>, _>>()?;
    add("server", issue(&authority, "server", names, ExtendedKeyUsagePurpose::ServerAuth, validity)?);
    for caller in &args.callers {
        let name = match caller.strip_prefix("spiffe://") {
            Some(_) => SanType::URI(caller.as_str().try_into()?),
            None => SanType::DnsName(caller.as_str().try_into()?),
        };
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        add(&file_name(caller), issue(&authority, caller, vec![name], usage, validity)?);
    }
    Ok(files)
}

fn params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = validity.from;
    params.not_after = validity.to;
    params
}

fn issue(
    authority: &CertifiedIssuer<'_, KeyPair>,
    subject: &str,
    names: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
    validity: Validity,
) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = params(subject, validity);
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, authority)?.pem();
    Ok(Pair { certificate, key: key.serialize_pem() })
}

fn server_name(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

/// A caller's name as the name of a file.
fn file_name(caller: &str) -> String {
    format!("caller-{}", caller.replace("://", "-").replace('/', "-"))
}

/// What to put into a configuration.
fn lines(folder: &Path, args: &DevCaArgs) -> String {
    let folder = folder.display();
    let mut lines = format!(
        "# For development only: whoever has {folder}/ca.key is every caller.\n\
         [tls]\n\
         certificate_file = \"{folder}/server.pem\"\n\
         private_key_file = \"{folder}/server.key\"\n\
         client_ca_file = \"{folder}/ca.pem\"\n"
    );
    for caller in &args.callers {
        // Writing to a text cannot fail.
        let _ = write!(
            lines,
            "\n[[callers]]\n\
             # It connects with {folder}/{name}.pem and .key, and trusts {folder}/ca.pem.\n\
             name = \"{caller}\"\n\
             scopes = [\"login\", \"account.read\", \"account.write\"]\n\
             tenants = [\"*\"]\n",
            name = file_name(caller),
        );
    }
    lines
}

fn new_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
