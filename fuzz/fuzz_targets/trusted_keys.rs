//! Files of trusted keys: nothing panics, and a file is an error exactly when no key of it is used.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_access::token::TrustedKeys;

fuzz_target!(|data: &[u8]| {
    let mut keys = TrustedKeys::default();
    assert_eq!(keys.add_bundle(data).is_ok(), !keys.is_empty());
    let mut keys = TrustedKeys::default();
    assert_eq!(keys.add_jwks(data).is_ok(), !keys.is_empty());
});
