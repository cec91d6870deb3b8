//! What people type (R2, R32, R48): nothing panics; what is taken for a code has exactly its shape, and typing it with the
//! separators that are allowed changes nothing. Names, numbers and labels likewise, and URIs that are read back.

#![no_main]

use countersign_domain::otpauth;
use countersign_domain::presented::PresentedCode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|typed: &str| {
    let parsed = PresentedCode::parse(typed);
    let parted: String = typed.chars().flat_map(|character| [' ', character, '-']).collect();
    match &parsed {
        Ok(PresentedCode::Otp(code)) => {
            assert!(matches!(code.as_bytes().len(), 6 | 8) && code.as_bytes().iter().all(u8::is_ascii_digit));
            assert!(typed.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-')));
        }
        Ok(PresentedCode::Recovery(code)) => {
            assert_eq!(PresentedCode::parse(code.grouped().expose()).as_ref(), parsed.as_ref());
        }
        Ok(PresentedCode::SecurityKey(_)) => panic!("nobody types what a security key signs"),
        Err(_) => {}
    }
    if parted.len() <= countersign_domain::presented::MAX_INPUT_LEN {
        assert_eq!(PresentedCode::parse(&parted), parsed);
    }
    // A code that is refused for a mark in it is refused for it wherever it stands.
    for mark in ['\t', '\n', '\u{a0}', '+'] {
        assert!(PresentedCode::parse(&format!("{typed}{mark}")).is_err());
    }
    let _ = otpauth::parse(typed);
    let _ = otpauth::parse(&format!("otpauth://totp/{typed}?secret=GEZDGNBVGY3TQOJQ&issuer={typed}"));
});
