//! Signed workload tokens (R42, R48): nothing panics; a token that the issuer did not sign is refused whatever it says, and
//! one that it did is taken exactly where its claims say so, judged here by rules of their own.
//!
//! The first byte of an input says what the rest is: a token, claims to sign, edits of a genuine token, or a set of keys.

mod seeds;

pub use seeds::seeds;

use crate::Taken;
use countersign_api_grpc::TokenVerifier;
use countersign_ports::Clock as _;
use countersign_server::fuzzing::{AUDIENCE, ISSUER, LEEWAY, MAX_LIFETIME, SUBJECT, token_keys, verifier};
use countersign_testkit::ManualClock;
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;

const NAME: &str = "spiffe://example.org/login";

struct Setting {
    runtime: Runtime,
    judge: Arc<dyn TokenVerifier>,
    key: Ed25519KeyPair,
    now: f64,
    genuine: String,
}

static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": BASE64URL_NOPAD.encode(key.public_key().as_ref())});
    let file = std::env::temp_dir().join(format!("countersign-fuzz-jwt-{}.json", std::process::id()));
    std::fs::write(&file, json!({"keys": [jwk]}).to_string()).expect("a file of keys");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clock = Arc::new(ManualClock::default());
    let seconds = clock.now().unix_seconds();
    let judge = runtime.block_on(async {
        let (judge, guard) = verifier(file.clone(), clock);
        // It goes on for as long as the process.
        std::mem::forget(guard);
        judge
    });
    let claims = json!({"iss": ISSUER, "sub": NAME, "aud": AUDIENCE, "iat": seconds, "exp": seconds + 300});
    let genuine = sign(&key, HEADER.as_bytes(), claims.to_string().as_bytes());
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
    let setting = Setting { runtime, judge, key, now: seconds as f64, genuine };
    // The keys are read by the job's first step.
    assert_eq!(setting.judge(&setting.genuine), Ok(NAME.to_owned()));
    let _ = std::fs::remove_file(file);
    setting
});

impl Setting {
    fn judge(&self, token: &str) -> Result<String, &'static str> {
        self.runtime.block_on(self.judge.verify(token))
    }
}

fn sign(key: &Ed25519KeyPair, header: &[u8], claims: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header), BASE64URL_NOPAD.encode(claims));
    let signature = BASE64URL_NOPAD.encode(key.sign(signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

/// Who calls by these claims; the last of several claims of one name is not what JSON means, so such are nobody's.
fn caller(claims: &[u8], now: f64) -> Option<String> {
    let claims: Value = serde_json::from_slice(claims).ok()?;
    let number = |name: &str| claims.get(name).filter(|value| !value.is_null());
    let audience = match claims.get("aud")? {
        Value::String(one) => one == AUDIENCE,
        Value::Array(several) => several.iter().any(|one| one == AUDIENCE),
        _ => false,
    };
    let expires = claims.get("exp")?.as_f64()?;
    let (leeway, lifetime) = (LEEWAY.as_secs_f64(), MAX_LIFETIME.as_secs_f64());
    let mut begins = Vec::new();
    for name in ["nbf", "iat"] {
        begins.extend(number(name).map(|value| value.as_f64().unwrap_or(f64::INFINITY)));
    }
    let made = number("iat").and_then(Value::as_f64).unwrap_or(now);
    let good = audience
        && claims.get("iss")? == ISSUER
        && expires + leeway > now
        && begins.iter().all(|begin| *begin <= now + leeway)
        && expires - made <= lifetime
        && expires - now <= lifetime + leeway;
    let subject = claims.get("sub")?.as_str()?;
    match subject {
        _ if !good => None,
        SUBJECT => Some("login.internal".to_owned()),
        _ => subject.strip_prefix("spiffe://").map(|_| subject.to_owned()),
    }
}

/// What the first byte of an input says that the rest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    Token,
    /// Up to a zero byte the header, then the claims.
    Claims,
    /// Places of two bytes, each with the byte that is put there.
    Edits,
    Keys,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Token, Self::Claims, Self::Edits, Self::Keys];
}

/// The header of the genuine token.
const HEADER: &str = r#"{"alg":"EdDSA","kid":"a"}"#;

/// Shows it as what its first byte says.
pub fn run(input: &[u8]) -> Taken {
    let mut taken = Taken::new();
    let Some((mode, data)) = input.split_first() else { return taken };
    let setting = &*SETTING;
    match Mode::ALL[usize::from(*mode) % Mode::ALL.len()] {
        Mode::Token => {
            if let Ok(token) = std::str::from_utf8(data)
                && setting.judge(token).is_ok()
            {
                assert_eq!(token, setting.genuine, "nobody else can sign");
                taken.push("token".into());
            }
        }
        Mode::Claims => {
            let (header, claims) = match data.iter().position(|byte| *byte == 0) {
                Some(end) => (&data[..end], &data[end + 1..]),
                None => (HEADER.as_bytes(), data),
            };
            if let Ok(name) = setting.judge(&sign(&setting.key, header, claims)) {
                assert_eq!(Some(&name), caller(claims, setting.now).as_ref(), "claims that do not say so");
                let header: Value = serde_json::from_slice(header).expect("a header that was taken");
                assert!(header["alg"] == "EdDSA" && header["crit"].is_null(), "{header}");
                assert!(header["kid"].is_null() || header["kid"] == "a", "{header}");
                taken.push(format!("claims of {name}").into());
            }
        }
        Mode::Edits => {
            let mut edited = setting.genuine.clone().into_bytes();
            for change in data.chunks_exact(3) {
                let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % edited.len();
                edited[place] = change[2] & 0x7f;
            }
            let edited = String::from_utf8(edited).expect("ASCII");
            assert!(edited == setting.genuine || setting.judge(&edited).is_err(), "an edited token");
        }
        Mode::Keys => {
            if let Ok(text) = std::str::from_utf8(data)
                && let Ok(count) = token_keys(text)
            {
                assert!((1..=32).contains(&count), "{count} keys");
                taken.push(if count == 1 { "a key".into() } else { "keys".into() });
            }
        }
    }
    taken
}
