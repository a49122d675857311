//! Routes: the path of a parsed route is parsed as the same route, and needs no encoding; a path is cleaned once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::{Route, clean_path};

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
            assert_eq!(clean_path(&canonical), None);
        }
        if let Some(clean) = clean_path(path) {
            assert!(clean.len() < path.len() && !clean.contains("//"));
            assert_eq!(clean_path(&clean), None);
        }
    }
});
