//! Every document reads back, and its form does not change unnoticed.

use super::*;
use countersign_domain::policy::Preset;
use countersign_domain::text::Issuer;

/// R68: every preset reads back as it was written.
#[test]
fn presets_read_back() {
    for preset in Preset::ALL {
        let document = preset.document(Issuer::parse("Example").unwrap());
        assert_eq!(decode_policy_document(&encode_policy_document(&document)), Ok(document), "{preset:?}");
    }
}
