//! Outgoing requests of the server: the proxies of the environment.

use wharf_testkit::{Received, Receiver, eventually, run};

use crate::watched;

/// Waits for a request that begins with `line`.
async fn until_asked(receiver: &Receiver, line: &str) -> Received {
    let find = || {
        let received = receiver.received().into_iter();
        received.rev().find(|received| received.head.starts_with(line))
    };
    eventually(&format!("`{line}` is asked"), async || find().is_some()).await;
    find().unwrap()
}

#[test]
fn health_checks_and_traces_go_through_the_proxy_of_the_environment() {
    run(async {
        let (proxy, direct) = (Receiver::start(), Receiver::start());
        // Not the loopback address, which is reached without a proxy whatever `NO_PROXY` says.
        let excepted = direct.url().replace("127.0.0.1", "0.0.0.0");
        let line = format!(
            "health: {{http: [{{uri: 'http://up.example.test/up', timeout: 20s, interval: 10ms}}, \
             {{uri: '{excepted}', timeout: 20s, interval: 10ms}}]}}"
        );
        let server = watched()
            .config(line)
            .environment("HTTP_PROXY", &proxy.authority())
            .environment("NO_PROXY", "0.0.0.0/8")
            .environment("OTEL_EXPORTER_OTLP_ENDPOINT", "http://traces.example.test")
            .environment("OTEL_BSP_SCHEDULE_DELAY", "1")
            .start();
        let asked = until_asked(&proxy, "HEAD http://up.example.test/up HTTP/1.1\r\n").await;
        assert_eq!(asked.header("Host"), Some("up.example.test"));
        until_asked(&direct, "HEAD /events HTTP/1.1\r\n").await;
        server.anonymous().get("/v2/").await.expect(200);
        until_asked(&proxy, "POST http://traces.example.test/v1/traces HTTP/1.1\r\n").await;
        let astray = |received: &Received| received.head.contains("0.0.0.0");
        assert!(!proxy.received().iter().any(astray));
    });
}
