//! Query strings and pages: the link to a page asks for that page.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::{PageRequest, link, query_pairs, query_value};

fuzz_target!(|query: &str| {
    assert!(query_pairs(query).count() <= query.matches('&').count() + 1);
    for (key, value) in query_pairs(query) {
        let link = link("/v2/_catalog", &value, key.len());
        let next = link
            .strip_prefix("</v2/_catalog?")
            .and_then(|link| link.strip_suffix(">; rel=\"next\""));
        let next = next.expect("the form of a link");
        assert!(
            next.bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"<>\",;".contains(&byte))
        );
        assert_eq!(query_value(next, "last").as_deref(), Some(&*value));
        let page = PageRequest::parse(next).expect("a link to a page");
        assert_eq!(page.n, Some(key.len()));
        assert_eq!(page.last.as_deref().unwrap_or_default(), value);
    }
    match PageRequest::parse(query) {
        Ok(page) => assert!(page.last.is_none_or(|last| !last.is_empty())),
        Err(error) => assert!(error.to_string().chars().count() < 1200),
    }
});
