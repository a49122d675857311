//! The `Authorization` header: no bytes are a reason to panic, and what is read is what was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_access::Credentials;

fuzz_target!(|bytes: &[u8]| {
    let credentials = Credentials::of_headers([bytes].into_iter());
    match &credentials {
        Credentials::Bearer(token) => assert!(!token.is_empty() && token.len() < bytes.len()),
        Credentials::Basic(basic) => {
            assert!(!basic.name().contains(':'));
            assert_eq!(credentials.claimed_name(), Some(basic.name()));
        }
        Credentials::Malformed(why) => assert!(!why.is_empty()),
        Credentials::None | Credentials::Proxied(_) => panic!("a header is neither nothing nor a proxy's word"),
    }
    assert!(matches!(
        Credentials::of_headers([bytes, bytes].into_iter()),
        Credentials::Malformed(_)
    ));
});
