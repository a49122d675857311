//! What the queues of endpoints do with events.

use super::*;

#[test]
fn every_endpoint_has_a_queue_of_its_own() {
    let endpoint = |name: &str, url: &str| Endpoint::new(name, url.parse().unwrap());
    let endpoints = [
        endpoint("a", "http://a/"),
        endpoint("a", "http://b/"),
        endpoint("a-2", "http://c/"),
        endpoint("", "http://d/"),
        endpoint("", "http://e/"),
    ];
    let names = names(&endpoints);
    assert_eq!(names.len(), 5);
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), 5, "{names:?}");
    // Whatever its URL.
    assert_eq!(super::names(&[endpoint("a", "http://elsewhere/")])[0], names[0]);
}
