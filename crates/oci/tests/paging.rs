//! Query strings and pages.

use wharf_oci::{PageError, PageRequest, link, query_pairs, query_value};

fn page(n: Option<usize>, last: Option<&str>) -> Result<PageRequest, PageError> {
    Ok(PageRequest {
        n,
        last: last.map(str::to_owned),
    })
}

#[test]
fn a_page_is_read() {
    let table = [
        ("", page(None, None)),
        ("n=", page(None, None)),
        ("last=", page(None, None)),
        ("n", page(None, None)),
        ("n=0", page(Some(0), None)),
        ("n=100", page(Some(100), None)),
        ("n=007", page(Some(7), None)),
        ("n=%31%30", page(Some(10), None)),
        ("n=2&last=x", page(Some(2), Some("x"))),
        ("last=library%2Falpine&n=2", page(Some(2), Some("library/alpine"))),
        ("last=a/b", page(None, Some("a/b"))),
        ("N=5&Last=x", page(None, None)),
        ("n=1&n=2", page(Some(1), None)),
        ("last=a&last=b", page(None, Some("a"))),
        ("x=y&&n=3&", page(Some(3), None)),
        // D3: what is too large is clamped by the registry, not refused.
        ("n=18446744073709551615", page(Some(usize::MAX), None)),
        ("n=99999999999999999999999999", page(Some(usize::MAX), None)),
        ("n=-1", Err(PageError::Negative { value: "-1".into() })),
        ("n=-0", Err(PageError::Negative { value: "-0".into() })),
        ("n=abc", Err(PageError::NotANumber { value: "abc".into() })),
        ("n=1.5", Err(PageError::NotANumber { value: "1.5".into() })),
        ("n=+5", Err(PageError::NotANumber { value: " 5".into() })),
        ("n=%2B5", Err(PageError::NotANumber { value: "+5".into() })),
        ("n=-", Err(PageError::NotANumber { value: "-".into() })),
        ("n=--5", Err(PageError::NotANumber { value: "--5".into() })),
        ("n=-x", Err(PageError::NotANumber { value: "-x".into() })),
        ("n=%00", Err(PageError::NotANumber { value: "\0".into() })),
        ("n=٣", Err(PageError::NotANumber { value: "٣".into() })),
    ];
    for (query, expected) in table {
        assert_eq!(PageRequest::parse(query), expected, "{query}");
    }
}

#[test]
fn what_is_wrong_with_a_page_is_said() {
    assert_eq!(
        PageRequest::parse("n=many").unwrap_err().to_string(),
        "`n`, how many names a page has, must be a whole number such as `100`, not `many`"
    );
    assert_eq!(
        PageRequest::parse("n=-1").unwrap_err().to_string(),
        "`n`, how many names a page has, must not be negative, but is `-1`"
    );
    // A million dashes are refused like one: briefly, and without a stack for each.
    let error = PageRequest::parse(&format!("n={}", "-".repeat(1_000_000))).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn pairs_are_decoded() {
    let table: [(&str, &[(&str, &str)]); 9] = [
        ("", &[]),
        ("&&", &[]),
        ("a", &[("a", "")]),
        ("a=b=c", &[("a", "b=c")]),
        ("=b", &[("", "b")]),
        ("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]),
        (
            "artifactType=application%2Fvnd.x%2Bjson",
            &[("artifactType", "application/vnd.x+json")],
        ),
        ("a+b=c+d%20e", &[("a b", "c d e")]),
        (
            "digest=sha256%3aabc&x=%zz%f%",
            &[("digest", "sha256:abc"), ("x", "%zz%f%")],
        ),
    ];
    for (query, expected) in table {
        let pairs: Vec<_> = query_pairs(query).collect();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_ref()))
            .collect();
        assert_eq!(pairs, expected, "{query}");
    }
    assert_eq!(query_value("x=%ff", "x").as_deref(), Some("\u{fffd}"));
    assert_eq!(query_value("x=1&x=2", "x").as_deref(), Some("1"));
    assert_eq!(query_value("x=1", "y"), None);
}

#[test]
fn the_link_is_that_of_registry_2() {
    assert_eq!(
        link("/v2/_catalog", "x", 2),
        r#"</v2/_catalog?last=x&n=2>; rel="next""#
    );
    assert_eq!(
        link("/v2/_catalog", "library/alpine", 100),
        r#"</v2/_catalog?last=library%2Falpine&n=100>; rel="next""#
    );
    assert_eq!(
        link("/v2/a/tags/list", "1.4_2-x~", 1),
        r#"</v2/a/tags/list?last=1.4_2-x~&n=1>; rel="next""#
    );
    assert_eq!(
        link("/v2/a/tags/list", "a&n=5> \"é", 1),
        r#"</v2/a/tags/list?last=a%26n%3D5%3E%20%22%C3%A9&n=1>; rel="next""#
    );
}
