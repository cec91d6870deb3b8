//! Tokens from signing to the caller's name: real keys, real signatures, a manual clock, and keys that come from files and
//! from a server over real TLS (R42).

use super::jws::Jws;
use super::{Algorithm, Endpoint, Freshness, Origin, Refusal, Rules, Settings, Source, Tokens, keys};
use crate::hangups::Hangups;
use countersign_testkit::ManualClock;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use futures::FutureExt as _;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::{CancellationToken, DropGuard};

const ISSUER: &str = "https://issuer.example";
const CALLER: &str = "spiffe://example.org/login";

/// An issuer's key: Ed25519 or P-256.
enum Issuer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
}

fn ed() -> Issuer {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Issuer::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
}

fn ec() -> Issuer {
    let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    Issuer::Ec(EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap())
}

fn base64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

impl Issuer {
    fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Ed(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64(key.public_key().as_ref())})
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": x, "y": y})
            }
        }
    }

    fn pem(&self) -> String {
        let (prefix, key): (&[u8], _) = match self {
            Self::Ed(key) => (b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", key.public_key().as_ref()),
            Self::Ec(key) => (
                b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
                key.public_key().as_ref(),
            ),
        };
        let text = BASE64.encode(&[prefix, key].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_bytes(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    fn sign_bytes(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", base64(header), base64(claims));
        let signature = match self {
            Self::Ed(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
            Self::Ec(key) => key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{signed}.{}", base64(&signature))
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Ec(_) => "ES256",
        }
    }

    /// A good token of a subject, under the key of that name.
    fn token(&self, kid: &str, subject: &str, clock: &ManualClock) -> String {
        self.sign(&json!({"alg": self.alg(), "kid": kid}), &claims(subject, clock))
    }
}

fn claims(subject: &str, clock: &ManualClock) -> Value {
    let now = countersign_ports::Clock::now(clock).unix_seconds();
    json!({"iss": ISSUER, "sub": subject, "aud": "countersign", "iat": now, "exp": now + 300})
}

fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

/// The judge over a source of keys.
struct Setting {
    tokens: Tokens,
    clock: Arc<ManualClock>,
    _stop: DropGuard,
}

impl Setting {
    fn new(origin: Origin) -> Self {
        let clock = Arc::new(ManualClock::default());
        let stop = CancellationToken::new();
        let freshness = Freshness { refresh: Duration::from_mins(5), max_stale: Duration::from_mins(20) };
        let settings = Settings {
            rules: Rules {
                issuer: ISSUER.to_owned(),
                audience: "countersign".to_owned(),
                leeway: Duration::from_secs(30),
                max_lifetime: Duration::from_mins(10),
            },
            algorithms: vec![Algorithm::EdDsa, Algorithm::Es256],
            source: Source { origin, freshness },
            subjects: [("system:serviceaccount:a:login".to_owned(), "login.internal".to_owned())].into(),
        };
        let (tokens, job) = Tokens::new(settings, clock.clone(), Hangups::never(), stop.clone());
        tokio::spawn(job);
        Self { tokens, clock, _stop: stop.drop_guard() }
    }

    async fn judge(&self, token: &str) -> Result<String, Refusal> {
        self.tokens.judge(token).await
    }
}

fn write(path: &Path, text: &str) -> Origin {
    std::fs::write(path, text).unwrap();
    Origin::File(path.to_owned())
}

/// R42: tokens of both kinds of keys say who calls: by a SPIFFE id, or by a subject that is configured for a caller;
/// other subjects are nobody.
#[tokio::test]
async fn a_good_token_says_who_calls() {
    let folder = tempfile::tempdir().unwrap();
    for issuer in [ed(), ec()] {
        let text = [set(&[issuer.jwk("a")]), issuer.pem()];
        for (index, text) in text.iter().enumerate() {
            let setting = Setting::new(write(&folder.path().join("keys"), text));
            let token = |subject| issuer.token("a", subject, &setting.clock);
            assert_eq!(setting.judge(&token(CALLER)).await, Ok(CALLER.to_owned()), "{index}");
            let mapped = setting.judge(&token("system:serviceaccount:a:login")).await;
            assert_eq!(mapped, Ok("login.internal".to_owned()));
            for nobody in ["system:serviceaccount:b:login", "login.internal", "", "spiffe://Example.org/x"] {
                assert_eq!(setting.judge(&token(nobody)).await, Err(Refusal::Subject), "{nobody}");
            }
        }
    }
}

/// R42: whatever is wrong with a token, it is not taken: other algorithms, `none` and symmetric ones included, other keys,
/// changed parts, extensions, and texts that are no token.
#[tokio::test]
async fn what_is_wrong_with_a_token_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, others, theirs) = (ed(), ec(), ed());
    let setting = Setting::new(write(
        &folder.path().join("keys"),
        &set(&[ours.jwk("a"), others.jwk("b"), json!({"kty": "oct", "kid": "c", "k": "c2VjcmV0"})]),
    ));
    let claims = claims(CALLER, &setting.clock);
    let good = ours.token("a", CALLER, &setting.clock);
    assert_eq!(setting.judge(&good).await, Ok(CALLER.to_owned()));
    let head = |header: Value| ours.sign(&header, &claims);
    let parts: Vec<_> = good.split('.').collect();
    let forged = base64(claims.to_string().replace("login", "admin").as_bytes());
    let table = [
        (head(json!({"alg": "none"})), Refusal::Algorithm),
        (format!("{}.{}.", base64(b"{\"alg\":\"none\"}"), parts[1]), Refusal::Algorithm),
        (head(json!({"alg": "HS256", "kid": "c"})), Refusal::Algorithm),
        (head(json!({"alg": "HS256", "kid": "a"})), Refusal::Algorithm),
        (head(json!({"alg": "eddsa", "kid": "a"})), Refusal::Algorithm),
        (head(json!({"alg": "PS256", "kid": "a"})), Refusal::Algorithm),
        (head(json!({"alg": "ES256", "kid": "a"})), Refusal::UnknownKey),
        (head(json!({"alg": "EdDSA", "kid": "b"})), Refusal::UnknownKey),
        (head(json!({"alg": "EdDSA", "kid": "z"})), Refusal::UnknownKey),
        (theirs.token("a", CALLER, &setting.clock), Refusal::Signature),
        (format!("{}.{forged}.{}", parts[0], parts[2]), Refusal::Signature),
        (format!("{}.{}.", parts[0], parts[1]), Refusal::Signature),
        (head(json!({"alg": "EdDSA", "kid": "a", "crit": ["b64"], "b64": false})), Refusal::Malformed),
        (head(json!({"kid": "a"})), Refusal::Malformed),
        (head(json!({"alg": "EdDSA", "kid": "a".repeat(257)})), Refusal::Malformed),
        (format!("{good}="), Refusal::Malformed),
        (format!("{good}.{}", parts[0]), Refusal::Malformed),
        (format!("{}.{}", parts[0], parts[1]), Refusal::Malformed),
        (String::new(), Refusal::Malformed),
        ("a".repeat(9_000), Refusal::Malformed),
    ];
    for (token, expected) in table {
        assert_eq!(setting.judge(&token).await, Err(expected), "{token}");
    }
    let unnamed = ours.sign(&json!({"alg": "EdDSA"}), &claims);
    assert_eq!(setting.judge(&unnamed).await, Ok(CALLER.to_owned()), "without a name every key is tried");
}

/// R42, RFC 7515 section 5.2: both parts are JSON objects whole, also where nobody looks: bad encoding in a field that is passed
/// over, or the list of the fields in the place of them, is refused although the issuer signed it.
#[tokio::test]
async fn parts_that_are_no_json_objects_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = ed();
    let setting = Setting::new(write(&folder.path().join("keys"), &issuer.pem()));
    let now = countersign_ports::Clock::now(&*setting.clock).unix_seconds();
    let header = json!({"alg": "EdDSA"}).to_string().into_bytes();
    let claims = claims(CALLER, &setting.clock).to_string().into_bytes();
    let good = issuer.sign_bytes(&header, &claims);
    assert_eq!(setting.judge(&good).await, Ok(CALLER.to_owned()));
    let list = json!([ISSUER, CALLER, "countersign", now + 300, null, now]).to_string().into_bytes();
    let unreadable = |part: &[u8]| [b"{\"later\":\"\xff\",", &part[1..]].concat();
    for (header, claims, expected) in [
        (unreadable(&header), claims.clone(), Refusal::Malformed),
        (br#"["EdDSA", null, null]"#.to_vec(), claims.clone(), Refusal::Malformed),
        (header.clone(), unreadable(&claims), Refusal::Claims),
        (header.clone(), list, Refusal::Claims),
    ] {
        let token = issuer.sign_bytes(&header, &claims);
        assert_eq!(setting.judge(&token).await, Err(expected), "{}", String::from_utf8_lossy(&claims));
    }
}

/// R42: a token counts until its time is over, by the service's clock.
#[tokio::test]
async fn a_token_ends() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = ed();
    let setting = Setting::new(write(&folder.path().join("keys"), &issuer.pem()));
    let token = issuer.token("a", CALLER, &setting.clock);
    setting.clock.advance(Duration::from_secs(329));
    assert_eq!(setting.judge(&token).await, Ok(CALLER.to_owned()));
    setting.clock.advance(Duration::from_secs(1));
    assert_eq!(setting.judge(&token).await, Err(Refusal::Expired));
}

/// R42: RSA signatures of both kinds, made by another implementation, verify with keys from both formats, and not for the
/// algorithm that a set does not name.
#[test]
fn rsa_signatures_of_another_implementation_verify() {
    let vectors: Value = serde_json::from_str(include_str!("rsa-vectors.json")).unwrap();
    let text = |name: &str| vectors[name].as_str().unwrap();
    let jwk = |alg: Option<&str>| {
        let mut jwk = json!({"kty": "RSA", "kid": "rsa", "n": text("n"), "e": text("e")});
        if let Some(alg) = alg {
            jwk["alg"] = alg.into();
        }
        keys::parse(&set(&[jwk])).unwrap()
    };
    for keys in [jwk(None), keys::parse(text("pem")).unwrap()] {
        for alg in ["RS256", "PS256"] {
            let claims = Jws::parse(text(alg)).unwrap().verified(&keys).map(<[u8]>::to_vec);
            assert_eq!(claims, Ok(br#"{"sub":"rsa"}"#.to_vec()), "{alg}");
            let mut forged = text(alg).to_owned();
            forged.replace_range(30..31, if &forged[30..31] == "A" { "B" } else { "A" });
            if let Ok(jws) = Jws::parse(&forged) {
                assert_ne!(jws.verified(&keys).map(<[u8]>::len), Ok(13), "{alg}");
            }
        }
    }
    let other = jwk(Some("PS256"));
    assert_eq!(Jws::parse(text("RS256")).unwrap().verified(&other), Err(Refusal::UnknownKey));
}

/// R42: what is no set of public keys is refused, and so is one that leaves nothing to check with.
#[test]
fn sets_without_usable_keys_are_refused() {
    let key = ed();
    let many: Vec<_> = (0..33).map(|index| key.jwk(&index.to_string())).collect();
    let symmetric = json!({"kty": "oct", "k": "c2VjcmV0"});
    let short = json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"});
    let for_encryption = json!({"use": "enc", "kty": "EC", "crv": "P-256"});
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let unknown = "-----BEGIN PUBLIC KEY-----\nMAMGAVU=\n-----END PUBLIC KEY-----\n";
    for text in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        set(&[]),
        set(&[symmetric, short, for_encryption]),
        set(&many),
        private.to_owned(),
        unknown.to_owned(),
    ] {
        assert!(keys::parse(&text).is_err(), "{text}");
    }
    assert_eq!(keys::parse(&set(&many[..32])).unwrap().len(), 32);
}

/// R42: a key that comes after the start is found by the first token that names it; after that, unknown names cause no
/// reading until half a minute has passed. Keys that are withdrawn count no more once the set was read again.
#[tokio::test(start_paused = true)]
async fn new_keys_are_found_and_reading_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let (first, second, third) = (ed(), ec(), ed());
    let setting = Setting::new(write(&path, &set(&[first.jwk("1")])));
    let token = |issuer: &Issuer, kid| issuer.token(kid, CALLER, &setting.clock);
    let (one, two, three) = (token(&first, "1"), token(&second, "2"), token(&third, "3"));
    assert!(setting.judge(&one).await.is_ok());
    write(&path, &set(&[second.jwk("2")]));
    assert_eq!(setting.judge(&two).await, Err(Refusal::UnknownKey), "it was read just before");
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(setting.judge(&two).await.is_ok());
    assert_eq!(setting.judge(&one).await, Err(Refusal::UnknownKey), "withdrawn");
    write(&path, &set(&[second.jwk("2"), third.jwk("3")]));
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(setting.judge(&three).await, Err(Refusal::UnknownKey));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(setting.judge(&three).await.is_ok());
}

/// R63: while the source does not answer, its last keys count, and then none: tokens are refused and not believed.
#[tokio::test(start_paused = true)]
async fn keys_outlive_their_source_for_a_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let issuer = ed();
    let setting = Setting::new(write(&path, &issuer.pem()));
    let token = issuer.token("1", CALLER, &setting.clock);
    assert!(setting.judge(&token).await.is_ok());
    std::fs::write(&path, "half a set").unwrap();
    tokio::time::advance(Duration::from_mins(19)).await;
    assert!(setting.judge(&token).await.is_ok());
    tokio::time::advance(Duration::from_mins(2)).await;
    assert_eq!(setting.judge(&token).await, Err(Refusal::NoKeys));
    write(&path, &issuer.pem());
    tokio::time::advance(Duration::from_mins(5)).await;
    assert!(setting.judge(&token).await.is_ok(), "they come back by themselves");
}

/// R48: a reading that panics is followed by others: keys come back without a restart.
#[tokio::test(start_paused = true)]
async fn a_reading_that_panics_is_followed_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let (issuer, panics) = (ed(), Arc::new(AtomicBool::new(true)));
    std::fs::write(&path, issuer.pem()).unwrap();
    let setting = Setting::new(Origin::Panicking(Arc::clone(&panics), path));
    let token = issuer.token("1", CALLER, &setting.clock);
    assert_eq!(setting.judge(&token).await, Err(Refusal::NoKeys));
    panics.store(false, Ordering::SeqCst);
    tokio::time::advance(Duration::from_mins(5)).await;
    assert!(setting.judge(&token).await.is_ok());
}

/// A server of keys over TLS: answers each connection with the next of these responses, the last one again and again.
async fn serve(responses: Vec<String>) -> (Arc<Endpoint>, Arc<AtomicUsize>) {
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, certificate.pem()).unwrap();
    let client = crate::tls::client("tokens.jwks_ca_file", &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], pair.serialize_der().try_into().unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let index = count.fetch_add(1, Ordering::SeqCst).min(responses.len() - 1);
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                request.push(byte);
            }
            let request = String::from_utf8(request).unwrap();
            // A server of many names, or of many ports, knows by `Host` which is meant (RFC 9112 section 3.2). Whoever asks for
            // anything else has no answer.
            let host = format!("\r\nhost: localhost:{port}\r\n");
            if !request.starts_with("GET /keys?v=1 HTTP/1.1\r\n") || !request.contains(&host) {
                continue;
            }
            let _ = stream.write_all(responses[index].as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let endpoint = Endpoint::new(&format!("https://localhost:{port}/keys?v=1"), Arc::new(client)).unwrap();
    (Arc::new(endpoint), served)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// R42: keys come from a server over TLS as they come from a file.
#[tokio::test]
async fn keys_come_over_https() {
    let issuer = ec();
    let (endpoint, served) = serve(vec![ok(&set(&[issuer.jwk("1")]))]).await;
    let setting = Setting::new(Origin::Https(endpoint));
    let token = issuer.token("1", CALLER, &setting.clock);
    assert_eq!(setting.judge(&token).await, Ok(CALLER.to_owned()));
    let other = ec().token("2", CALLER, &setting.clock);
    for _ in 0..20 {
        assert_eq!(setting.judge(&other).await, Err(Refusal::UnknownKey));
    }
    assert_eq!(served.load(Ordering::SeqCst), 1, "strangers' tokens do not make us ask again and again");
}

/// R63: what is not a whole set of keys from the named server is none: other answers, redirects, too much, too little,
/// a server that nobody vouches for.
#[tokio::test]
async fn answers_that_are_no_keys_are_refused() {
    let good = set(&[ed().jwk("1")]);
    let long = format!("{good}{}", " ".repeat(super::keys::MAX_BYTES));
    for response in [
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nlocation: https://localhost/\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ok(&long),
        ok(&good).replace("content-length: ", "content-length: 9"),
        "HTTP/1.1 200 OK\r\n".to_owned(),
        "no HTTP".to_owned(),
    ] {
        let (endpoint, _) = serve(vec![response.clone()]).await;
        assert!(endpoint.get().await.is_err(), "{}", &response[..20.min(response.len())]);
    }
    let (good, _) = serve(vec![ok(&good)]).await;
    assert!(good.get().await.is_ok());
    for url in ["http://localhost/keys", "localhost", "https://", "https://user@localhost/", "file:///keys"] {
        assert!(Endpoint::new(url, other_client()).is_err(), "{url}");
    }
}

fn other_client() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// R42: a server whose certificate nobody named vouches for is not believed.
#[tokio::test]
async fn the_server_of_the_keys_is_checked() {
    let (ours, _) = serve(vec![ok(&set(&[ed().jwk("1")]))]).await;
    assert!(ours.get().await.is_ok());
    let (theirs, served) = serve(vec![ok(&set(&[ed().jwk("1")]))]).await;
    let mixed = theirs.trusting_as(&ours);
    assert!(mixed.get().await.is_err());
    assert_eq!(served.load(Ordering::SeqCst), 0, "it ended in the handshake");
}

/// Judging is quick: nothing is waited for where the key is there.
#[tokio::test]
async fn a_known_key_needs_no_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = ed();
    let setting = Setting::new(write(&folder.path().join("keys"), &issuer.pem()));
    let token = issuer.token("a", CALLER, &setting.clock);
    setting.judge(&token).await.unwrap();
    assert!(setting.judge(&token).now_or_never().is_some());
}
