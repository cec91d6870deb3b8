//! What people type (R2, R32, R48): nothing panics; what is taken for a code has exactly its shape, and typing it with the
//! separators that are allowed changes nothing. Names, numbers and labels likewise, and URIs that are read back.

use crate::{Seed, Taken};
use countersign_domain::otp::{Algorithm, Digits, Period, Step, TotpKey, TotpParameters, generate};
use countersign_domain::otpauth;
use countersign_domain::presented::{MAX_INPUT_LEN, PresentedProof};
use countersign_domain::recovery_code::RecoveryCode;
use countersign_domain::text::{AccountLabel, Issuer};

/// Shows it as a code, as a URI, and as the label in one.
pub fn run(input: &[u8]) -> Taken {
    let mut taken = Taken::new();
    let Ok(typed) = std::str::from_utf8(input) else { return taken };
    let parsed = PresentedProof::parse(typed);
    let separated: String = typed.chars().flat_map(|character| [' ', character, '-']).collect();
    match &parsed {
        Ok(PresentedProof::Otp(code)) => {
            assert!(matches!(code.as_bytes().len(), 6 | 8) && code.as_bytes().iter().all(u8::is_ascii_digit));
            assert!(typed.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-')));
            taken.push("code".into());
        }
        Ok(PresentedProof::Recovery(code)) => {
            assert_eq!(PresentedProof::parse(code.grouped().expose()).as_ref(), parsed.as_ref());
            taken.push("recovery code".into());
        }
        Ok(PresentedProof::SecurityKey(_)) => panic!("nobody types what a security key signs"),
        Err(_) => {}
    }
    if separated.len() <= MAX_INPUT_LEN {
        assert_eq!(PresentedProof::parse(&separated), parsed);
    }
    // A code that is refused for a mark in it is refused for it wherever it stands.
    for mark in ['\t', '\n', '\u{a0}', '+'] {
        assert!(PresentedProof::parse(&format!("{typed}{mark}")).is_err());
    }
    if let Ok(read) = otpauth::parse(typed) {
        let again = otpauth::build(&read.issuer, &read.account, &read.key, read.parameters);
        assert_eq!(otpauth::parse(again.expose()).as_ref(), Ok(&read), "another URI for the same");
        taken.push("URI".into());
    }
    if otpauth::parse(&format!("{URI}{typed}?secret=GEZDGNBVGY3TQOJQ&issuer={typed}")).is_ok() {
        taken.push("label".into());
    }
    taken
}

const URI: &str = "otpauth://totp/";

/// The key of RFC 6238 appendix B.
const KEY: &[u8] = b"12345678901234567890";

/// The code of that key at that time.
fn code(digits: Digits, unix_seconds: i64) -> String {
    let parameters = TotpParameters { digits, ..TotpParameters::default() };
    let code = generate(&key(), parameters, Step::at(unix_seconds, parameters.period));
    String::from_utf8(code.as_bytes().to_vec()).expect("a code is ASCII digits")
}

fn key() -> TotpKey {
    TotpKey::new(KEY.to_vec()).expect("a key of 20 bytes")
}

fn uri(account: &str, parameters: TotpParameters) -> String {
    let issuer = Issuer::parse("Example & Søn").expect("a name");
    let account = AccountLabel::parse(account).expect("a label");
    otpauth::build(&issuer, &account, &key(), parameters).expose().to_owned()
}

/// Codes of the RFC's key, recovery codes, and URIs with everything that they may say.
pub fn seeds() -> Vec<Seed> {
    let six = code(Digits::Six, 1_111_111_109);
    let eight = code(Digits::Eight, 1_111_111_109);
    let recovery = RecoveryCode::from_entropy(b"sixteen bytes of").grouped().expose().to_owned();
    let unlike = recovery.to_lowercase().replace('1', "l").replace('0', "o").replace('-', " ");
    let plain = uri("ann@example.org", TotpParameters::default());
    let period = Period::new(60).expect("a minute");
    let rich = TotpParameters { algorithm: Algorithm::Sha512, digits: Digits::Eight, period };
    let rich = uri("Ann Ölund", rich);
    let long = "A".repeat(MAX_INPUT_LEN + 1);
    vec![
        Seed::good("code-six", six.clone(), &["code", "label"]),
        Seed::good("code-six-parted", format!("{} {}", &six[..3], &six[3..]), &["code"]),
        Seed::good("code-eight", eight.clone(), &["code", "label"]),
        Seed::good("code-eight-parted", format!("{}-{}", &eight[..4], &eight[4..]), &["code", "label"]),
        Seed::good("recovery", recovery.clone(), &["recovery code", "label"]),
        Seed::good("recovery-bare", recovery.replace('-', ""), &["recovery code", "label"]),
        Seed::good("recovery-as-read", unlike, &["recovery code"]),
        Seed::good("uri", plain.clone(), &["URI"]),
        Seed::good("uri-everything", rich.clone(), &["URI"]),
        Seed::good("uri-no-defaults", plain.replace("&algorithm=SHA1&digits=6&period=30", ""), &["URI"]),
        Seed::good("label-escaped", "ann%40example.org", &["label"]),
        Seed::good("label-seven-digits", &*format!("{six}0"), &["label"]),
        Seed::good("label-recovery-short", &recovery[1..], &["label"]),
        Seed::good("label-recovery-u", recovery.replacen('-', "-U", 1), &["label"]),
        Seed::near("code-fullwidth-digits", "１２３４５６"),
        Seed::near("label-half-an-escape", "ann%4"),
        Seed::near("label-two-colons", "Example:ann:x"),
        Seed::near("code-tab", format!("{}\t{}", &six[..3], &six[3..])),
        Seed::near("longer-than-anything", long),
        Seed::near("uri-hotp", plain.replace("//totp", "//hotp")),
        Seed::near("uri-secret-twice", format!("{plain}&secret=GEZDGNBVGY3TQOJQ")),
        Seed::near("uri-other-issuer", plain.replacen("Example", "Exemple", 1)),
        Seed::near("uri-period-0", rich.replace("period=60", "period=0")),
        Seed::near("uri-secret-short", plain.replace("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "GEZDGNBV")),
    ]
}
