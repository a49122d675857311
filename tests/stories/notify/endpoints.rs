//! Endpoints: the requests to them, accepted answers, and events that they ignore.

use wharf_testkit::{
    Behaviour, Receiver, ServerBuilder, eventually,
    image::{self, Blob},
    tls::{Authority, Wanted},
};

use super::{blobs, digests, digests_of, telling};

wharf_testkit::configured_on_both_engines![
    crate::BINARY;
    headers_and_credentials_are_sent,
    every_4xx_and_5xx_is_tried_again,
    an_answer_of_3xx_is_accepted_but_a_redirect_is_not,
    ignored_actions_and_media_types_are_not_told,
    a_disabled_endpoint_is_not_told,
    one_endpoint_does_not_wait_for_another,
    one_connection_serves_many_events,
    events_become_cloud_events,
    events_become_those_of_registry_3,
    tls_is_spoken_with_those_who_are_trusted,
    events_go_through_the_proxy_of_the_environment,
];

const QUICK: &str = ", backoff: 50ms, maxbackoff: 100ms";

async fn headers_and_credentials_are_sent(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let url = format!("http://user:p%40ss@{}/hook?a=b", receiver.authority());
    let more = ", headers: {X-One: [first, second], X-Two: plain}";
    let server = telling(builder, &url, more).start();
    server
        .anonymous()
        .repository("app")
        .push_blob(&Blob::random(1, 10))
        .await;
    let received = &receiver.wait_for(1).await[0];
    assert!(
        received.head.starts_with("POST /hook?a=b HTTP/1.1\r\n"),
        "{}",
        received.head
    );
    let header = |name| {
        received
            .header(name)
            .unwrap_or_else(|| panic!("{name}: {}", received.head))
    };
    assert_eq!(header("Host"), receiver.authority());
    assert_eq!(header("Authorization"), "Basic dXNlcjpwQHNz");
    assert_eq!(
        header("Content-Type"),
        "application/vnd.docker.distribution.events.v1+json"
    );
    assert!(header("User-Agent").starts_with("wharf/"));
    assert!(
        received.head.contains("X-One: first\r\nX-One: second\r\n"),
        "{}",
        received.head
    );
    assert_eq!(header("X-Two"), "plain");
}

async fn every_4xx_and_5xx_is_tried_again(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let server = telling(builder, &receiver.url(), QUICK).start();
    let repository = server.anonymous().repository("app");
    let mut attempts = 0;
    let blobs = blobs(5);
    for (status, blob) in [400, 404, 410, 429, 503].into_iter().zip(&blobs) {
        receiver.behave(Behaviour::Answer(status, ""));
        repository.push_blob(blob).await;
        receiver.wait_for_attempts(attempts + 2).await;
        receiver.behave(Behaviour::Answer(200, ""));
        receiver.wait_for(usize::from(status != 400)).await;
        eventually("it was accepted", || {
            let is_accepted = digests(&receiver.accepted()).contains(&blob.digest);
            async move { is_accepted }
        })
        .await;
        attempts = receiver.received().len();
    }
    assert_eq!(digests(&receiver.accepted()), digests_of(&blobs));
}

async fn an_answer_of_3xx_is_accepted_but_a_redirect_is_not(builder: ServerBuilder) {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Answer(300, ""));
    let server = telling(builder, &receiver.url(), QUICK).start();
    let repository = server.anonymous().repository("app");
    let blobs = blobs(2);
    repository.push_blob(&blobs[0]).await;
    receiver.wait_for_attempts(1).await;
    receiver.behave(Behaviour::Answer(307, "Location: http://127.0.0.1:1/\r\n"));
    repository.push_blob(&blobs[1]).await;
    receiver.wait_for_attempts(3).await;
    receiver.behave(Behaviour::Answer(200, ""));
    assert_eq!(digests(&receiver.wait_for(1).await), digests_of(&blobs[1..]));
    server.says("redirects are not followed").await;
}

async fn ignored_actions_and_media_types_are_not_told(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let image = image::docker(1);
    let more = format!(
        ", ignoredmediatypes: [application/octet-stream], ignore: {{mediatypes: [{}], actions: [pull]}}",
        image::oci(1).manifest.media_type
    );
    let server = telling(builder, &receiver.url(), &more).start();
    let repository = server.anonymous().repository("app");
    repository.push_image("docker", &image).await;
    repository.push_image("oci", &image::oci(1)).await;
    repository.pull_image("docker", &image).await;
    repository.delete_manifest("docker").await.expect(202);
    let told: Vec<String> = receiver
        .wait_for(2)
        .await
        .iter()
        .map(|received| {
            format!(
                "{} {}",
                received.event()["action"],
                received.event()["target"]["tag"]
            )
        })
        .collect();
    assert_eq!(told, ["\"push\" \"docker\"", "\"delete\" \"docker\""]);
}

async fn a_disabled_endpoint_is_not_told(builder: ServerBuilder) {
    let (asked, disabled) = (Receiver::start(), Receiver::start());
    let server = builder
        .config(format!(
            "notifications: {{endpoints: [{{name: a, disabled: true, url: '{}'}}, {{name: b, url: '{}'}}]}}",
            disabled.url(),
            asked.url()
        ))
        .start();
    server
        .anonymous()
        .repository("app")
        .push_blob(&Blob::random(1, 10))
        .await;
    asked.wait_for(1).await;
    assert_eq!(disabled.connections(), 0);
}

async fn one_endpoint_does_not_wait_for_another(builder: ServerBuilder) {
    let (good, bad) = (Receiver::start(), Receiver::start());
    bad.behave(Behaviour::Hang);
    let server = builder
        .config(format!(
            "notifications: {{endpoints: [{{name: bad, timeout: 1h, url: '{}'}}, {{name: good, url: '{}'}}]}}",
            bad.url(),
            good.url()
        ))
        .start();
    let blobs = blobs(10);
    for blob in &blobs {
        server.anonymous().repository("app").push_blob(blob).await;
    }
    assert_eq!(digests(&good.wait_for(10).await), digests_of(&blobs));
    assert_eq!(bad.received().len(), 1);
}

async fn one_connection_serves_many_events(builder: ServerBuilder) {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Answer(500, ""));
    let server = telling(builder, &receiver.url(), QUICK).start();
    for blob in &blobs(20) {
        server.anonymous().repository("app").push_blob(blob).await;
    }
    receiver.wait_for_attempts(2).await;
    receiver.behave(Behaviour::Answer(200, ""));
    receiver.wait_for(20).await;
    assert!(receiver.connections() < 20, "{}", receiver.connections());
}

async fn events_become_cloud_events(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let server = telling(builder, &receiver.url(), ", format: cloudevents").start();
    let repository = server.anonymous().repository("team/app");
    let image = image::oci(1);
    repository.push_image("1.0", &image).await;
    repository.delete_manifest("1.0").await.expect(202);
    let count = image.blobs.len() + 2;
    let received = receiver.wait_for(count).await;
    for (index, received) in received.iter().enumerate() {
        assert_eq!(
            received.header("Content-Type"),
            Some("application/cloudevents+json; charset=utf-8")
        );
        let event = received.json();
        assert_eq!(event["specversion"], "1.0");
        for attribute in ["id", "source", "type", "subject"] {
            assert!(
                event[attribute].as_str().is_some_and(|text| !text.is_empty()),
                "{event}"
            );
        }
        assert!(event["source"].as_str().unwrap().starts_with("//"), "{event}");
        assert!(
            event["time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z') && time.contains('T')),
            "{event}"
        );
        assert_eq!(event["datacontenttype"], "application/json");
        assert_eq!(event["data"]["id"], event["id"]);
        // Context attributes are lower-case letters and digits.
        let attributes = event.as_object().unwrap().keys();
        for attribute in attributes {
            assert!(
                attribute.bytes().all(|byte| byte.is_ascii_lowercase()),
                "{attribute}"
            );
        }
        let (kind, subject) = match count - index {
            1 => ("dev.wharf.tag.delete.v1", "team/app:1.0".to_owned()),
            2 => ("dev.wharf.manifest.push.v1", "team/app:1.0".to_owned()),
            _ => (
                "dev.wharf.blob.push.v1",
                format!("team/app@{}", event["data"]["target"]["digest"].as_str().unwrap()),
            ),
        };
        assert_eq!(
            (
                event["type"].as_str().unwrap(),
                event["subject"].as_str().unwrap()
            ),
            (kind, &*subject)
        );
    }
}

async fn events_become_those_of_registry_3(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let server = telling(builder, &receiver.url(), ", format: v2").start();
    server
        .anonymous()
        .repository("app")
        .push_blob(&Blob::random(1, 10))
        .await;
    let received = &receiver.wait_for(1).await[0];
    assert_eq!(
        received.header("Content-Type"),
        Some("application/vnd.docker.distribution.events.v2+json")
    );
    let text = String::from_utf8(received.body.to_vec()).unwrap();
    let order = [
        "\"mediaType\"",
        "\"digest\"",
        "\"size\"",
        "\"length\"",
        "\"repository\"",
        "\"url\"",
    ];
    let places: Vec<_> = order.iter().map(|field| text.find(field).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
}

async fn tls_is_spoken_with_those_who_are_trusted(builder: ServerBuilder) {
    let authority = Authority::new("Company");
    let trusted = Receiver::over_tls(&Wanted::localhost().signed_by(&authority));
    let stranger = Receiver::over_tls(&Wanted::localhost().self_signed());
    builder.write("ca.pem", authority.certificate());
    let server = builder
        .config(format!(
            "notifications: {{endpoints: [{{name: a, url: '{}'}}, {{name: b, url: '{}'}}]}}",
            trusted.url(),
            stranger.url()
        ))
        .environment("SSL_CERT_FILE", "ca.pem")
        .start();
    let blobs = blobs(3);
    for blob in &blobs {
        server.anonymous().repository("app").push_blob(blob).await;
    }
    assert_eq!(digests(&trusted.wait_for(3).await), digests_of(&blobs));
    server.says("TLS failed: invalid peer certificate").await;
    assert!(stranger.received().is_empty());
}

async fn events_go_through_the_proxy_of_the_environment(builder: ServerBuilder) {
    let (proxy, direct) = (Receiver::start(), Receiver::start());
    // Not the loopback address, which is reached without a proxy whatever `NO_PROXY` says.
    let excepted = direct.url().replace("127.0.0.1", "0.0.0.0");
    let mut server = builder
        .config(format!(
            "notifications: {{endpoints: [{{name: a, url: 'http://events.example.test/hook?a=b'}}, \
             {{name: b, url: '{excepted}'}}]}}"
        ))
        .environment(
            "HTTP_PROXY",
            &format!("http://user:pa55word@{}", proxy.authority()),
        )
        .environment("NO_PROXY", "example.com, 0.0.0.0, 127.0.0.1")
        .start();
    let blobs = blobs(3);
    for blob in &blobs {
        server.anonymous().repository("app").push_blob(blob).await;
    }
    let received = proxy.wait_for(3).await;
    assert_eq!(digests(&received), digests_of(&blobs));
    for received in &received {
        let head = &received.head;
        assert!(
            head.starts_with("POST http://events.example.test/hook?a=b HTTP/1.1\r\n"),
            "{head}"
        );
        assert_eq!(received.header("Host"), Some("events.example.test"));
        assert_eq!(
            received.header("Proxy-Authorization"),
            Some("Basic dXNlcjpwYTU1d29yZA==")
        );
    }
    let received = direct.wait_for(3).await;
    assert!(received[0].head.starts_with("POST /events HTTP/1.1\r\n"));
    assert_eq!(received[0].header("Proxy-Authorization"), None);
    proxy.behave(Behaviour::Close);
    server
        .anonymous()
        .repository("app")
        .push_blob(&Blob::random(9, 9))
        .await;
    server.says("does not take an event").await;
    server.stop();
    assert!(!server.log().contains("pa55word"));
}
