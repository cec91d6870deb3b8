//! What `serve --dev` does differently: a folder with a database and a key, a tenant for each preset, and lines to paste.
//! Production takes none of it (R46).

use crate::cli::ServeArgs;
use crate::config::{
    AuditConfig, Config, Exposure, Keys, Limits, Log, LogFormat, Observe, SmsConfig, StoreConfig,
    load_notices, store_of_flag,
};
use crate::failure::Failure;
use crate::problem::Problem;
use crate::root_key;
use crate::secret_file::read_root_key;
use countersign_api_grpc::CallLimits;
use countersign_application::{AppError, Application, Meta};
use countersign_domain::actor::Principal;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{CallerId, TenantId};
use countersign_domain::policy::Preset;
use countersign_domain::text::Issuer;
use countersign_keyring::Keyring;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

const DEFAULT_LISTEN: &str = "127.0.0.1:50051";
const DEFAULT_FOLDER: &str = "countersign-dev";
const ISSUER: &str = "Countersign demo";
/// Who creates the demo tenants, in the log of events.
const NAME: &str = "serve-dev";

/// The configuration of development: nothing of it comes from a file or the environment, but how notices leave.
pub(crate) fn configuration(args: &ServeArgs) -> Result<Config, Failure> {
    let listen = loopback(args.listen.as_deref().unwrap_or(DEFAULT_LISTEN))?;
    let folder = args.data_dir.as_deref().unwrap_or(Path::new(DEFAULT_FOLDER));
    create_folder(folder).map_err(Failure::io(format!("creating {}", folder.display())))?;
    let store = match args.store.as_deref() {
        None | Some("sqlite") => StoreConfig::Sqlite { path: folder.join("countersign.db") },
        Some(target) => store_of_flag(target)?,
    };
    Ok(Config {
        listen,
        exposure: Exposure::Development,
        store,
        retention: None,
        witness: None,
        keys: Keys { keyring: keyring(&folder.join("root.key"))?, retired: BTreeSet::new() },
        sms: SmsConfig::default(),
        limits: limits(),
        log: Log { format: LogFormat::Human, level: LevelFilter::INFO },
        observe: Observe::default(),
        notices: args.notices.as_deref().map(load_notices).transpose()?.unwrap_or_default(),
        // Whoever develops does not wait for a seal.
        audit: AuditConfig { seal_after: Duration::from_secs(1), ..AuditConfig::default() },
    })
}

/// Whoever develops is alone: one tenant may have all places, and a call waits for its turn as long as its deadline lets it.
/// What one user may have at a time stays as it is.
fn limits() -> Limits {
    let default = CallLimits::default();
    let calls = CallLimits {
        max_in_flight_per_tenant: default.max_in_flight,
        max_wait: default.max_deadline,
        ..default
    };
    Limits { calls, ..Limits::default() }
}

/// Everybody who can connect may do everything, so nobody from elsewhere may connect.
fn loopback(address: &str) -> Result<SocketAddr, Problem> {
    let refuse = |text: &str| Problem::new("--listen", format!("{text}; write 127.0.0.1:PORT or [::1]:PORT"));
    let address: SocketAddr = address.parse().map_err(|_| refuse("is no address"))?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(refuse("is not a loopback address, and --dev lets every caller do everything"))
}

/// The key of this folder: made at the first start, kept for all others.
fn keyring(path: &Path) -> Result<Keyring, Failure> {
    match root_key::write_new(path, &root_key::draw()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Failure::io(format!("writing {}", path.display()))(error));
        }
        _ => {}
    }
    let root = read_root_key("--data-dir", path)?;
    let keyring = Keyring::new(BTreeMap::from([(KeyId(1), root)]));
    keyring.map_err(|error| Failure::Internal(error.to_string()))
}

fn create_folder(path: &Path) -> io::Result<()> {
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path)
}

/// A tenant for each preset, named after it, where it is missing.
pub(crate) async fn create_demo_tenants(app: &Application) -> Result<(), Failure> {
    let unfit = |error: &dyn std::error::Error| Failure::Internal(error.to_string());
    let issuer = Issuer::parse(ISSUER).map_err(|error| unfit(&error))?;
    let caller = CallerId::parse(NAME).map_err(|error| unfit(&error))?;
    for preset in Preset::ALL {
        let tenant = TenantId::parse(preset.id()).map_err(|error| unfit(&error))?;
        match app.policy(&tenant, None).await {
            Err(AppError::TenantNotFound) => {}
            found => {
                found?;
                continue;
            }
        }
        let meta = Meta { caller: caller.clone(), request: None, trace_id: String::new() };
        let actor = Principal::Job(NAME.to_owned()).into();
        let policy = preset.document(issuer.clone()).validated();
        let policy = policy.map_err(|_| Failure::Internal("a preset is not valid".to_owned()))?;
        match app.create_tenant(&meta, &actor, tenant, preset, &policy).await {
            // Another process on the same database was faster.
            Ok(_) | Err(AppError::TenantExists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A login of a user whom nobody put there, as JSON; the shell fills in the time.
fn login_request() -> String {
    let tenant = Preset::SelfServiceCode.id();
    let first_factor = r#"{"method":"FIRST_FACTOR_METHOD_PASSWORD","verify_time":"'$(date -u +%FT%TZ)'"}"#;
    format!(
        r#"{{"tenant_id":"{tenant}","user_id":"ann","first_factor":{first_factor},"purpose":"LOGIN_PURPOSE_LOGIN"}}"#
    )
}

/// What to try next, ready to paste into a shell.
pub(crate) fn lines_to_paste(address: SocketAddr) -> String {
    let tenant = Preset::SelfServiceCode.id();
    let tenants = Preset::ALL.map(Preset::id).join(", ");
    let request = login_request();
    format!(
        "\
DEVELOPMENT ONLY: plain text, and whoever reaches this port may do everything.
tenants, each with the rules of its preset: {tenants}

may ann log in? (with buf or grpcurl)
  buf curl --protocol grpc --http2-prior-knowledge -d '{request}' http://{address}/countersign.v1.LoginService/CheckLogin
  grpcurl -plaintext -d '{request}' {address} countersign.v1.LoginService/CheckLogin
a user's whole story, in Python (3.10 or newer):
  python3 -m venv .venv && .venv/bin/pip install -q -r docs/examples/python/requirements.txt
  .venv/bin/python docs/examples/python/walk.py --target {address} --tenant {tenant}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::v1::{CheckLoginRequest, FirstFactorMethod, LoginPurpose};
    use prost_reflect::DynamicMessage;

    /// R46: development is never reachable from another machine.
    #[test]
    fn development_listens_on_loopback_only() {
        for good in ["127.0.0.1:50051", "127.0.0.1:0", "[::1]:50051", "127.8.8.8:1"] {
            assert!(loopback(good).is_ok(), "{good}");
        }
        for bad in [
            "0.0.0.0:50051",
            "[::]:50051",
            "192.168.0.1:50051",
            "[::ffff:127.0.0.1]:1",
            "localhost:1",
            "50051",
        ] {
            let told = loopback(bad).unwrap_err().to_string();
            assert!(told.starts_with("--listen: ") && told.contains("127.0.0.1:PORT"), "{told}");
        }
    }

    /// The request to paste is one of the contract: every name in it exists.
    #[test]
    fn the_request_to_paste_fits_the_contract() {
        let json = login_request().replace("'$(date -u +%FT%TZ)'", "2026-01-01T00:00:00Z");
        let message = countersign_api::descriptor_pool()
            .get_message_by_name("countersign.v1.CheckLoginRequest")
            .unwrap();
        let request =
            DynamicMessage::deserialize(message, &mut serde_json::Deserializer::from_str(&json)).unwrap();
        let request: CheckLoginRequest = request.transcode_to().unwrap();
        assert_eq!((request.tenant_id.as_str(), request.user_id.as_str()), ("self-service-code", "ann"));
        assert_eq!(request.purpose(), LoginPurpose::Login);
        assert_eq!(request.first_factor.unwrap().method(), FirstFactorMethod::Password);
    }
}
