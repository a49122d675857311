//! The debug port: its pages, and that the first port shows none of them.

use wharf_testkit::run;

use crate::{builder, watched, watcher};

#[test]
fn c1_2_http_debug_addr_shows_health_and_metrics() {
    run(async {
        let server = watched().start();
        let watcher = watcher(&server).await;
        let health = watcher.get("/debug/health").await.expect(200);
        health
            .expect_header("content-type", "application/json; charset=utf-8")
            .expect_body("{}");
        let metrics = watcher.get("/metrics").await.expect(200);
        metrics.expect_header("content-type", "text/plain; version=0.0.4; charset=utf-8");
        watcher.head("/metrics").await.expect(200).expect_body("");
        watcher
            .post("/metrics")
            .await
            .expect(405)
            .expect_header("allow", "GET, HEAD");
    });
}

#[test]
fn what_go_programs_show_there_is_not_there_and_says_why() {
    run(async {
        let server = watched().start();
        let watcher = watcher(&server).await;
        for (path, why) in [
            ("/debug/vars", "among the metrics"),
            ("/debug/pprof/heap", "no Go profiler"),
            (
                "/v2/",
                "no such page; there are `/debug/health`, `/debug/workers` and `/metrics`",
            ),
        ] {
            let answer = watcher.get(path).await.expect(404);
            assert!(answer.text().contains(why), "{}", answer.text());
        }
    });
}

#[test]
fn the_first_port_shows_none_of_it() {
    run(async {
        let server = watched().start();
        for path in ["/debug/health", "/debug/workers", "/metrics", "/debug/vars"] {
            server.anonymous().get(path).await.expect(404);
        }
    });
}

#[test]
fn c1_2_http_debug_prometheus_has_a_path_and_is_off_unless_enabled() {
    run(async {
        let server = builder()
            .http("debug: {addr: '127.0.0.1:0', prometheus: {enabled: true, path: /numbers}}")
            .start();
        let client = watcher(&server).await;
        client.get("/numbers").await.expect(200);
        client.get("/metrics").await.expect(404);

        let server = builder().http("debug: {addr: '127.0.0.1:0'}").start();
        let client = watcher(&server).await;
        client.get("/debug/health").await.expect(200);
        let answer = client.get("/metrics").await.expect(404);
        assert!(
            answer.text().contains("`http.debug.prometheus.enabled: true`"),
            "{}",
            answer.text()
        );
    });
}

#[test]
fn a_port_that_is_in_use_names_its_owner() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("debug: {{addr: '{}'}}", taken.local_addr().unwrap());
    let (status, said) = builder().http(line).unchecked().output();
    assert!(!status.success());
    let owner = format!("in use by pid {}", std::process::id());
    assert!(
        said.contains("http.debug.addr") && said.contains(&owner),
        "{said}"
    );
}

#[test]
fn metrics_without_a_port_are_warned_about() {
    run(async {
        let server = builder().http("debug: {prometheus: {enabled: true}}").start();
        server.anonymous().get("/v2/").await.expect(200);
        server.says("has no effect without `http.debug.addr`").await;
    });
}
