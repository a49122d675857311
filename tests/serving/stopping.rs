//! `docker stop`: no new connection, every running request to its end, exit 0.

use wharf_testkit::{
    RawConnection, Server, ServerBuilder, eventually,
    image::{self, Blob},
    suite::Suite,
    tls::{Trust, Wanted},
};

use crate::stories;

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[],
        [
            s1_09_a_running_push_is_finished_and_nobody_new_gets_in,
            s1_09_idle_connections_do_not_hold_the_end_up,
            s1_09_what_takes_too_long_is_cut,
        ]
    );
}

/// Stops the server beside the test.
fn stop(mut server: Server) -> tokio::task::JoinHandle<Server> {
    tokio::task::spawn_blocking(move || {
        server.stop();
        server
    })
}

async fn s1_09_a_running_push_is_finished_and_nobody_new_gets_in(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let trust = Trust::in_certificate(&identity.certificate).speaking(&["http/1.1"]);
    let server = builder.http("draintimeout: 60s").tls(&identity).start();
    let (address, blob) = (server.address(), Blob::random(1, 100_000));
    let location = server.over_tls(&trust).repository("a").start_upload().await;
    let mut raw = RawConnection::open_tls(address, &trust).await;
    let target = format!("{location}?digest={}", blob.digest);
    raw.send(format!(
        "PUT {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"
    ))
    .await;
    // The server asks for the body: the request runs.
    assert!(raw.stirs_within(wharf_testkit::PATIENCE).await);
    raw.send(&blob.bytes[..1000]).await;
    let stopped = stop(server);
    eventually("nobody new gets in", async || {
        RawConnection::try_open(address).await.is_none()
    })
    .await;
    raw.send(&blob.bytes[1000..]).await;
    let answer = raw.answer().await.expect(201);
    assert_eq!(answer.header("connection"), Some("close"));
    let server = stopped.await.unwrap();
    assert!(!server.log().contains("were cut"), "{}", server.log());
}

async fn s1_09_idle_connections_do_not_hold_the_end_up(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let trust = Trust::in_certificate(&identity.certificate);
    for is_encrypted in [false, true] {
        let mut builder = builder.another().http("draintimeout: 60s");
        if is_encrypted {
            builder = builder.tls(&identity);
        }
        let server = builder.start();
        let clients = if is_encrypted {
            vec![
                server.over_tls(&trust),
                server.over_tls(&trust.clone().speaking(&["http/1.1"])),
            ]
        } else {
            vec![server.anonymous(), server.anonymous_http2()]
        };
        for client in &clients {
            client.repository("a").push_image("1", &image::oci(1)).await;
        }
        // Connections that have sent nothing yet, or not a whole request.
        let silent = server.raw().await;
        let mut half = server.raw().await;
        half.send([0x16, 3, 1]).await;
        let server = stop(server).await.unwrap();
        server.says("stopped").await;
        assert!(!server.log().contains("were cut"), "{}", server.log());
        drop((clients, silent, half));
    }
}

async fn s1_09_what_takes_too_long_is_cut(builder: ServerBuilder) {
    let server = builder.http("draintimeout: 200ms").start();
    let location = server.anonymous().repository("a").start_upload().await;
    let mut raw = server.raw().await;
    raw.send(format!(
        "PATCH {location} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    ))
    .await;
    assert!(raw.stirs_within(wharf_testkit::PATIENCE).await);
    let server = stop(server).await.unwrap();
    server.says("were cut").await;
}
