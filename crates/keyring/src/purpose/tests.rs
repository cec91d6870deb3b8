//! Published vectors of the key derivation, and the purpose keys that stored data depends on.

use super::*;
use data_encoding::HEXLOWER;
use std::collections::BTreeSet;

fn root() -> RootKey {
    RootKey::from_bytes(*b"0123456789abcdef0123456789ABCDEF").unwrap()
}

/// R50: RFC 5869 appendix A.3, SHA-256 without salt; a key is the first 32 bytes of its output.
#[test]
fn derivation_fits_rfc_5869() {
    let key = derive(&[0x0b; 22], b"");
    assert_eq!(HEXLOWER.encode(&*key), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

/// R50: each purpose has the key that data already stored was made with. Computed with another implementation.
#[test]
fn purpose_keys_stay_what_they_are() {
    for (info, key) in [
        (
            SealPurpose::AuthenticatorKey.info(),
            "e97041273dd6d01bb3325e037171c271151e4518588443dae81fae949e40dc30",
        ),
        (SealPurpose::PendingKey.info(), "fe5d1d8ad1494aca5c5ec7a66f23ed73d0feae71329c5df99d5f7251c40e6d62"),
        (
            SealPurpose::RequestReply.info(),
            "727aca5d765dd8dc7f3002fca58a0bf4348d2a50a93b4c3dbe84bdb8285e704f",
        ),
        (
            DigestPurpose::RecoveryCode.info(),
            "92ca01cb95502fd4152de64786c68aa01178592f5ea54ee309e1bfb113750786",
        ),
        (DigestPurpose::Token.info(), "2c85a468b3831f41c4528c74a245647df347c092018654c21c4d88bc750e6132"),
        (SealPurpose::PhoneNumber.info(), "4c3f026417368adab35a0c85972835e1c2a39e5759b787c275f37e24183a3602"),
        (
            SealPurpose::PendingPhoneNumber.info(),
            "de707c6332cf0002612c1960700f2dea3c6d5201d3c40b8668a47cb127b4c377",
        ),
        (SealPurpose::SecurityKey.info(), "d1df44c5d3ee6e97ee3e5575fe533738d48f043852577d632d95465c34d64801"),
        (
            DigestPurpose::TextMessage.info(),
            "b45dc11819bc650d625b9066e1355596e26f43e0391f618268bf638132eec989",
        ),
        (DigestPurpose::Guess.info(), "b4ea7f9c5ceac6d68cd0dbaea3537fed517436211e9c8a3740ef559b84a3cbdf"),
    ] {
        assert_eq!(HEXLOWER.encode(&*purpose_key(&root(), info)), key, "{info}");
    }
}

/// R50: no two purposes share a key, and another root key shares none of them.
#[test]
fn purposes_share_no_key() {
    let other = RootKey::from_bytes(*b"0123456789abcdef0123456789ABCDEf").unwrap();
    let keys: BTreeSet<_> = [
        SealPurpose::AuthenticatorKey.info(),
        SealPurpose::PendingKey.info(),
        SealPurpose::RequestReply.info(),
        SealPurpose::PhoneNumber.info(),
        SealPurpose::PendingPhoneNumber.info(),
        SealPurpose::SecurityKey.info(),
        DigestPurpose::RecoveryCode.info(),
        DigestPurpose::Token.info(),
        DigestPurpose::Guess.info(),
        DigestPurpose::TextMessage.info(),
    ]
    .into_iter()
    .flat_map(|info| [purpose_key(&root(), info).to_vec(), purpose_key(&other, info).to_vec()])
    .collect();
    assert_eq!(keys.len(), 20);
}
