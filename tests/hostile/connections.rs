//! Connections that are held for nothing.

use std::time::Duration;

use wharf_testkit::{RawConnection, ServerBuilder, suite::Suite};

use crate::{expect_end, expect_service, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        [
            silent_connections_at_the_limit_make_room_for_others,
            silent_connections_of_a_process_with_few_descriptors_make_room_for_others,
            senders_of_next_to_nothing_make_room_for_others,
            one_address_has_no_more_connections_than_its_limit,
        ]
    );
}

const GET: &str = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";

/// Connections that have had their answer, and say nothing more.
async fn silent(address: std::net::SocketAddr, count: usize) -> Vec<RawConnection> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut raw = RawConnection::open(address).await;
        raw.send(GET).await;
        raw.answer().await.expect(200);
        connections.push(raw);
    }
    connections
}

async fn silent_connections_at_the_limit_make_room_for_others(builder: ServerBuilder) {
    let server = builder
        .http("limits: {connections: 50}")
        .http("timeouts: {keepalive: 1h}")
        .start();
    let silent = silent(server.address(), 60).await;
    expect_service(&server).await;
    expect_end(server).await;
    drop(silent);
}

async fn silent_connections_of_a_process_with_few_descriptors_make_room_for_others(builder: ServerBuilder) {
    let builder = builder.wrapped(&["prlimit", "--nofile=256"]);
    let server = builder.http("timeouts: {keepalive: 1h}").start();
    let silent = silent(server.address(), 300).await;
    expect_service(&server).await;
    expect_end(server).await;
    drop(silent);
}

async fn senders_of_next_to_nothing_make_room_for_others(builder: ServerBuilder) {
    let server = builder.http("limits: {connections: 30}").start();
    let mut slow = Vec::new();
    for _ in 0..30 {
        let mut raw = RawConnection::open(server.address()).await;
        let start = "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
        raw.send(start).await;
        let answer = raw.answer().await.expect(202);
        let location = answer.header("location").unwrap();
        raw.send(format!(
            "PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx"
        ))
        .await;
        slow.push(raw);
    }
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for raw in &mut slow {
                raw.try_send("x").await.ok();
            }
        }
    };
    tokio::select! {
        () = expect_service(&server) => {}
        () = trickle => {}
    }
    assert!(
        server
            .log()
            .contains("a request whose client sent next to nothing"),
        "{}",
        server.log()
    );
    expect_end(server).await;
}

async fn one_address_has_no_more_connections_than_its_limit(builder: ServerBuilder) {
    let server = builder.http("limits: {peraddress: 2}").start();
    let mut busy = Vec::new();
    for _ in 0..2 {
        let location = server.anonymous().repository("a").start_upload().await;
        let mut raw = server.raw().await;
        raw.send(format!(
            "PATCH {location} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
        ))
        .await;
        assert!(raw.stirs_within(wharf_testkit::PATIENCE).await);
        busy.push(raw);
    }
    let refused = server.raw().await;
    assert!(
        refused.closed().await.is_empty(),
        "it is closed without an answer"
    );
    for mut raw in busy {
        raw.send("0123456789").await;
        raw.answer().await.expect(202);
    }
}
