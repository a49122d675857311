//! An upstream that fails: what is stored is served, and the rest says what has failed.

use wharf_testkit::{
    ServerBuilder, digest, eventually, image,
    upstream::{Demand, Trouble, Upstream, When},
};

use super::{expect_failed, expect_stored_instead, mirroring, mirroring_with, repository};

wharf_testkit::configured_on_both_engines![
    an_upstream_that_is_down_costs_no_client_what_is_stored,
    a_rate_limit_costs_no_client_what_is_stored,
    errors_of_the_upstream_cost_no_client_what_is_stored,
    an_upstream_that_is_silent_is_waited_for_as_long_as_timeout_says,
    credentials_that_are_refused_are_the_mirror_s_fault_and_not_the_client_s,
    tokens_are_fetched_and_renewed_with_the_credentials_of_the_mirror,
    a_page_for_browsers_is_no_answer,
    a_rate_limit_without_a_time_is_answered_with_one,
    an_upstream_that_limits_is_left_alone_for_as_long_as_it_says,
    after_three_failures_the_upstream_is_not_asked_for_a_while,
    the_circuit_closes_again_when_the_upstream_answers,
    what_is_missing_is_no_failure,
    an_upstream_that_breaks_down_within_a_pull_leaves_what_came,
    lists_of_tags_are_those_that_are_stored_when_the_upstream_fails,
];
wharf_testkit::on_disk![
    crate::BINARY;
    a_failure_is_logged_once_for_each_change_and_tells_no_secret,
];

/// Pulls through a mirror with these keys, lets `break_it` happen, and checks what clients then get: what is stored, with a
/// warning, and `status` for the rest.
async fn served_although(builder: ServerBuilder, keys: &str, status: u16, break_it: impl FnOnce(&Upstream)) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    upstream.serve("app", "2", image::oci(2));
    let server = mirroring_with(builder, &upstream, keys).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    app.get_manifest("1")
        .await
        .expect(200)
        .expect_no_header("warning");

    break_it(&upstream);
    let stored = expect_stored_instead(app.get_manifest("1").await);
    stored
        .expect_header("docker-content-digest", &image.manifest.digest)
        .expect_body(&image.manifest.bytes);
    app.pull_image(&image.manifest.digest, &image).await;
    let missing = expect_failed(app.get_manifest("2").await, status, &upstream);
    if matches!(status, 429 | 503) {
        assert!(missing.header("retry-after").parse::<u64>().is_ok(), "{missing}");
    }
    expect_stored_instead(app.head_manifest("1").await);
}

async fn an_upstream_that_is_down_costs_no_client_what_is_stored(builder: ServerBuilder) {
    served_although(builder, "fresh: 0s", 503, Upstream::stop).await;
}

async fn a_rate_limit_costs_no_client_what_is_stored(builder: ServerBuilder) {
    served_although(builder, "fresh: 0s", 429, |upstream| {
        upstream.trouble(When::always(), Trouble::status_with(429, "Retry-After", "77"));
    })
    .await;
}

async fn errors_of_the_upstream_cost_no_client_what_is_stored(builder: ServerBuilder) {
    for status in [500, 502, 503, 504] {
        served_although(builder.another(), "fresh: 0s", 502, |upstream| {
            upstream.trouble(When::always(), Trouble::status(status));
        })
        .await;
    }
}

async fn an_upstream_that_is_silent_is_waited_for_as_long_as_timeout_says(builder: ServerBuilder) {
    served_although(builder, "fresh: 0s, timeout: 500ms", 504, |upstream| {
        upstream.trouble(When::always(), Trouble::Silence);
    })
    .await;
}

async fn credentials_that_are_refused_are_the_mirror_s_fault_and_not_the_client_s(builder: ServerBuilder) {
    let keys = "fresh: 0s, username: robot, password: s3cr3t-of-mirror";
    for demand in [
        Demand::Password("robot", "changed"),
        Demand::Token {
            realm: None,
            account: Some(("robot", "changed")),
        },
    ] {
        served_although(builder.another(), keys, 424, |upstream| upstream.demand(demand)).await;
    }
    // A token that the registry then refuses.
    served_although(builder.another(), keys, 424, |upstream| {
        upstream.trouble(When::always().of("/v2/"), Trouble::status(403));
    })
    .await;

    let upstream = Upstream::start();
    upstream.serve("app", "1", image::oci(1));
    upstream.demand(Demand::Password("robot", "changed"));
    let server = mirroring_with(builder, &upstream, keys).start();
    let answer = repository(&server, "hub/app").get_manifest("1").await;
    let answer = expect_failed(answer, 424, &upstream).expect_no_header("www-authenticate");
    assert!(!answer.text().contains("s3cr3t"), "{answer}");
}

async fn tokens_are_fetched_and_renewed_with_the_credentials_of_the_mirror(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    upstream.serve("other", "1", image::oci(2));
    let demand = Demand::Token {
        realm: None,
        account: Some(("robot", "s3cr3t")),
    };
    upstream.demand(demand.clone());
    let server = mirroring_with(builder, &upstream, "fresh: 0s, username: robot, password: s3cr3t").start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    let tokens = upstream.count("GET", "/token");
    assert_eq!(tokens, 1, "one token serves one repository");
    // All tokens given so far are worth nothing now.
    upstream.demand(demand);
    app.get_manifest("1")
        .await
        .expect(200)
        .expect_no_header("warning");
    assert_eq!(upstream.count("GET", "/token"), 2);
    // The client's own credentials are not the upstream's business.
    let named = server.anonymous().as_user("alice", "pw-of-alice");
    named.get("/v2/hub/other/manifests/1").await;
    let own = wharf_testkit::basic("alice", "pw-of-alice");
    for asked in upstream.asked() {
        assert!(!asked.head.contains(&own), "{}", asked.head);
    }
}

async fn a_page_for_browsers_is_no_answer(builder: ServerBuilder) {
    served_although(builder, "fresh: 0s", 502, |upstream| {
        upstream.trouble(When::always(), Trouble::html());
    })
    .await;
}

async fn a_rate_limit_without_a_time_is_answered_with_one(builder: ServerBuilder) {
    let upstream = Upstream::start();
    upstream.trouble(When::always(), Trouble::status(429));
    let server = mirroring(builder, &upstream).start();
    let answer = repository(&server, "hub/app").get_manifest("1").await;
    let answer = expect_failed(answer, 429, &upstream).expect_error(429, "TOOMANYREQUESTS");
    assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{answer}");
}

async fn an_upstream_that_limits_is_left_alone_for_as_long_as_it_says(builder: ServerBuilder) {
    let upstream = Upstream::start();
    upstream.serve("app", "1", image::oci(1));
    let limited = Trouble::status_with(429, "Retry-After", "600");
    upstream.trouble(When::always().times(1), limited);
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    for _ in 0..3 {
        let answer = expect_failed(app.get_manifest("1").await, 429, &upstream);
        let after: u64 = answer.header("retry-after").parse().unwrap();
        assert!((300..=600).contains(&after), "{answer}");
    }
    assert_eq!(upstream.calls().len(), 1, "{:?}", upstream.calls());
}

async fn after_three_failures_the_upstream_is_not_asked_for_a_while(builder: ServerBuilder) {
    let upstream = Upstream::start();
    upstream.trouble(When::always(), Trouble::status(500));
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    expect_failed(app.get_manifest("1").await, 502, &upstream);
    for number in 2..=3 {
        let answer = app.get_manifest(&number.to_string()).await;
        assert!(answer.status.is_server_error(), "{answer}");
    }
    let asked = upstream.calls().len();
    assert!(asked >= 3, "{:?}", upstream.calls());
    let blob = digest::unknown(1);
    for answer in [app.get_manifest("4").await, app.get_blob(&blob).await] {
        let answer = expect_failed(answer, 503, &upstream);
        let after: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&after), "{answer}");
    }
    assert_eq!(upstream.calls().len(), asked, "{:?}", upstream.calls());
}

async fn the_circuit_closes_again_when_the_upstream_answers(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    upstream.stop();
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    for _ in 0..4 {
        app.get_manifest("1").await.expect(503);
    }
    upstream.come_back();
    eventually("it is asked again", async || {
        app.get_manifest("1").await.status == 200
    })
    .await;
    app.pull_image("1", &image).await;
}

async fn what_is_missing_is_no_failure(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    for seed in 0..5 {
        app.get_blob(&digest::unknown(seed)).await.expect(404);
        app.get_manifest(&format!("absent-{seed}")).await.expect(404);
    }
    app.pull_image("1", &image).await;
}

async fn an_upstream_that_breaks_down_within_a_pull_leaves_what_came(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.get_manifest("1").await.expect(200);
    app.expect_blob(&image.blobs[0]).await;
    upstream.stop();
    expect_stored_instead(app.get_manifest("1").await);
    app.expect_blob(&image.blobs[0]).await;
    expect_failed(app.get_blob(&image.blobs[1].digest).await, 503, &upstream);
    let head = app.head_blob(&image.blobs[2].digest).await;
    assert_eq!(head.status, 503, "{head}");
    upstream.come_back();
    eventually("the rest comes", async || {
        app.get_blob(&image.blobs[1].digest).await.status == 200
    })
    .await;
    app.pull_image(&image.manifest.digest, &image).await;
}

async fn lists_of_tags_are_those_that_are_stored_when_the_upstream_fails(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    for tag in ["1", "2"] {
        upstream.serve("app", tag, image.clone());
    }
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    assert_eq!(app.tags().await, ["1", "2"]);
    upstream.stop();
    let list = expect_stored_instead(server.anonymous().get("/v2/hub/app/tags/list").await);
    let tags = list.json()["tags"].as_array().unwrap().clone();
    assert!(tags.contains(&"1".into()), "{list}");
    let unknown = server.anonymous().get("/v2/hub/unknown/tags/list").await;
    expect_failed(unknown, 503, &upstream);
}

async fn a_failure_is_logged_once_for_each_change_and_tells_no_secret(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    upstream.demand(Demand::Password("robot", "s3cr3t-of-mirror"));
    let keys = "fresh: 0s, username: robot, password: s3cr3t-of-mirror";
    let mut server = mirroring_with(builder, &upstream, keys).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    upstream.stop();
    for _ in 0..5 {
        expect_stored_instead(app.get_manifest("1").await);
    }
    server.says(&upstream.authority()).await;
    server.stop();
    let log = server.log();
    let lines = log
        .lines()
        .filter(|line| line.contains(&upstream.authority()) && !line.contains("remoteurl"))
        .filter(|line| line.contains("WARN") || line.contains("warn") || line.contains("ERROR"));
    assert_eq!(lines.count(), 1, "{log}");
    assert!(!log.contains("s3cr3t"), "{log}");
}
