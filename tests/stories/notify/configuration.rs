//! Invalid endpoints are refused, with the reason.

use wharf_testkit::ServerBuilder;

wharf_testkit::on_disk![crate::BINARY; mistakes_are_named, what_is_not_needed_may_be_missing];

async fn mistakes_are_named(builder: ServerBuilder) {
    for (endpoint, expected) in [
        ("{name: a}", "url"),
        ("{name: a, url: 'hooks.example.com'}", "must be a URL such as"),
        (
            "{name: a, url: 'ftp://hooks.example.com'}",
            "with `http` or `https`",
        ),
        ("{name: a, url: 'http://u:s3cret@:x/'}", "must be a URL such as"),
        (
            "{name: a, url: 'http://a/', ignore: {actions: [explode]}}",
            "`explode`",
        ),
        (
            "{name: a, url: 'http://a/', headers: {'X Y': [s3cret]}}",
            "is not the name of a header",
        ),
        ("{name: a, url: 'http://a/', format: xml}", "`cloudevents`"),
        (
            "{name: a, url: 'http://a/', queue: {events: 0}}",
            "must be more than 0",
        ),
    ] {
        let (status, said) = builder
            .another()
            .config(format!("notifications: {{endpoints: [{endpoint}]}}"))
            .output();
        assert!(!status.success(), "{endpoint}: {said}");
        assert!(
            said.contains("notifications.endpoints[0]") && said.contains(expected),
            "{endpoint}: {said}"
        );
        assert!(!said.contains("s3cret"), "{endpoint}: {said}");
    }
}

async fn what_is_not_needed_may_be_missing(builder: ServerBuilder) {
    for section in [
        "{}",
        "{endpoints: []}",
        "{events: {includereferences: true}}",
        "{endpoints: [{name: a, disabled: true}]}",
        "{endpoints: [{url: 'http://127.0.0.1:1/', timeout: 0s, threshold: 0, backoff: 0s}]}",
    ] {
        let server = builder
            .another()
            .config(format!("notifications: {section}"))
            .start();
        server.anonymous().get("/v2/").await.expect(200);
    }
}
