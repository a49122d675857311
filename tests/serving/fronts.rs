//! Apache, HAProxy and Caddy in front, by the recipes of their documents: pushes and pulls pass, and lead back to the proxy.

use wharf_testkit::{
    Client, ServerBuilder, eventually,
    front::Front,
    suite::{Part, Suite},
    tls::{Trust, Wanted},
};

use crate::{
    complaints,
    nginx::{is_not_misled, works},
    stories,
};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(suite, &[Part::Program("apache2")], [apache_in_front]);
    stories!(suite, &[Part::Program("haproxy")], [haproxy_in_front]);
    stories!(suite, &[Part::Program("caddy")], [caddy_in_front]);
}

async fn apache_in_front(builder: ServerBuilder) {
    stands_in_front(Front::Apache, builder).await;
}

async fn haproxy_in_front(builder: ServerBuilder) {
    stands_in_front(Front::Haproxy, builder).await;
}

async fn caddy_in_front(builder: ServerBuilder) {
    stands_in_front(Front::Caddy, builder).await;
}

async fn stands_in_front(front: Front, builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.start();
    let front = front.start(server.address(), &identity);
    let base = format!("https://localhost:{}", front.address().port());
    let trust = Trust::in_certificate(&identity.certificate);
    let client = Client::tls(front.address(), &trust.speaking(&["http/1.1"]));
    works(&client, &base).await;
    is_not_misled(&client, &base).await;
    client
        .get("/v2/who-asks")
        .header("User-Agent", "the client")
        .await
        .expect(404);
    eventually("the access log names the client", async || {
        let log = server.log();
        log.lines()
            .any(|line| line.starts_with("127.0.0.1 - - [") && line.contains("\"the client\""))
    })
    .await;
    assert!(complaints(&server.log()).is_empty(), "{}", server.log());
}
