//! Routes: the path of a parsed route is parsed as the same route, and needs no encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::Route;

fuzz_target!(|path: &str| {
    for path in [path, &format!("/v2/{path}")] {
        if let Ok(route) = Route::parse(path) {
            let canonical = route.path();
            assert_eq!(Route::parse(&canonical), Ok(route.clone()));
            assert!(
                canonical
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'%' && byte != b'?')
            );
            if !path.contains('%') {
                assert_eq!(canonical.trim_end_matches('/'), path.trim_end_matches('/'));
            }
        }
    }
});
