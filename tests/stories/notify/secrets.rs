//! Credentials of endpoints stay out of the log.

use wharf_testkit::{Behaviour, Receiver, ServerBuilder, image::Blob};

use super::telling;

wharf_testkit::configured_on_both_engines![crate::BINARY; credentials_of_endpoints_reach_no_log];

async fn credentials_of_endpoints_reach_no_log(builder: ServerBuilder) {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Answer(401, ""));
    let url = format!(
        "http://user:pa55word@{}/path-t0ken?key=query-t0ken",
        receiver.authority()
    );
    let more = ", backoff: 50ms, headers: {Authorization: [Bearer b3arer], X-Key: [k3y]}";
    let mut server = telling(builder, &url, more).config("log: {level: debug}").start();
    server
        .anonymous()
        .repository("app")
        .push_blob(&Blob::random(1, 10))
        .await;
    receiver.wait_for_attempts(2).await;
    receiver.behave(Behaviour::Close);
    receiver.wait_for_attempts(4).await;
    receiver.behave(Behaviour::Answer(200, ""));
    let received = &receiver.wait_for(1).await[0];
    // Credentials of the configuration take precedence over those of the URL.
    assert_eq!(received.header("Authorization"), Some("Bearer b3arer"));
    server.stop();
    let log = server.log();
    assert!(log.contains("does not take an event"), "{log}");
    for secret in ["pa55word", "path-t0ken", "query-t0ken", "b3arer", "k3y"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
