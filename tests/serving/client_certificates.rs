//! `http.tls.clientcas` and `clientauth`: which client certificates are accepted.

use wharf_testkit::{
    ServerBuilder, eventually,
    suite::Suite,
    tls::{Authority, Identity, Trust, Wanted},
};

use crate::{complaints, refuses_to_start, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[],
        [
            the_four_modes_of_clientauth,
            what_a_client_shows_must_be_valid,
            clientcas_are_read_again_when_they_change,
            bad_clientcas_are_named,
        ]
    );
}

/// A server's certificate, and a client that trusts it.
fn server_and_trust() -> (Identity, Trust) {
    let identity = Wanted::localhost().self_signed();
    let trust = Trust::in_certificate(&identity.certificate);
    (identity, trust)
}

fn asking(builder: &ServerBuilder, identity: &Identity, authority: &Authority) -> ServerBuilder {
    let builder = builder.another().tls(identity);
    builder.write("ca.crt", authority.certificate());
    builder.environment("REGISTRY_HTTP_TLS_CLIENTCAS", "[ca.crt]")
}

async fn the_four_modes_of_clientauth(builder: ServerBuilder) {
    let (identity, trust) = server_and_trust();
    let ours = Authority::new("ours");
    let friend = trust.clone().showing(&Wanted::client("friend").signed_by(&ours));
    let stranger = Authority::new("ours");
    let stranger = trust
        .clone()
        .showing(&Wanted::client("friend").signed_by(&stranger));
    for (mode, nobody_gets_in, stranger_gets_in) in [
        ("", false, false),
        ("require-and-verify-client-cert", false, false),
        ("verify-client-cert-if-given", true, false),
        ("require-any-client-cert", false, true),
        ("request-client-cert", true, true),
    ] {
        let mut builder = asking(&builder, &identity, &ours);
        if !mode.is_empty() {
            builder = builder.environment("REGISTRY_HTTP_TLS_CLIENTAUTH", mode);
        }
        let server = builder.start();
        assert!(complaints(&server.log()).is_empty(), "{}", server.log());
        for (who, trust, gets_in) in [
            ("friend", &friend, true),
            ("nobody", &trust, nobody_gets_in),
            ("stranger", &stranger, stranger_gets_in),
        ] {
            for trust in [trust.clone(), trust.clone().tls12()] {
                let result = trust.shake_hands(server.address()).await;
                assert_eq!(result.is_ok(), gets_in, "{mode}: {who}: {result:?}");
                // An earlier session gives no access.
                if let Ok(again) = trust.shake_hands(server.address()).await {
                    assert!(!again.is_resumed, "{mode}: {who}");
                }
            }
        }
        server.over_tls(&friend).get("/v2/").await.expect(200);
    }
}

async fn what_a_client_shows_must_be_valid(builder: ServerBuilder) {
    let (identity, trust) = server_and_trust();
    let ours = Authority::new("ours");
    let server = asking(&builder, &identity, &ours).start();
    let expired = Wanted::client("late").valid(2020, 2021).signed_by(&ours);
    let result = trust
        .clone()
        .showing(&expired)
        .shake_hands(server.address())
        .await;
    assert!(result.is_err(), "{result:?}");
}

async fn clientcas_are_read_again_when_they_change(builder: ServerBuilder) {
    let (identity, trust) = server_and_trust();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = asking(&builder, &identity, &old).start();
    let of_old = trust.clone().showing(&Wanted::client("a").signed_by(&old));
    let of_new = trust.clone().showing(&Wanted::client("a").signed_by(&new));
    of_old.shake_hands(server.address()).await.unwrap();
    of_new.shake_hands(server.address()).await.unwrap_err();
    server.write("ca.crt", new.certificate());
    eventually("the new authority counts", async || {
        of_new.shake_hands(server.address()).await.is_ok()
    })
    .await;
    of_old.shake_hands(server.address()).await.unwrap_err();
}

async fn bad_clientcas_are_named(builder: ServerBuilder) {
    let (identity, _) = server_and_trust();
    let ours = Authority::new("ours");
    let with = |text: &str| {
        let builder = asking(&builder, &identity, &ours);
        builder.write("ca.crt", text);
        builder
    };
    refuses_to_start(
        &with(""),
        "there is no certificate in `http.tls.clientcas` `ca.crt`; the file is empty",
    );
    refuses_to_start(
        &with(&identity.key),
        "there is no certificate in `http.tls.clientcas`",
    );
    let gone = asking(&builder, &identity, &ours).environment("REGISTRY_HTTP_TLS_CLIENTCAS", "[gone.crt]");
    refuses_to_start(&gone, "cannot read `http.tls.clientcas` `gone.crt`");
    let mode = asking(&builder, &identity, &ours).environment("REGISTRY_HTTP_TLS_CLIENTAUTH", "maybe");
    refuses_to_start(&mode, "must be one of `require-and-verify-client-cert`");
    let nobody = builder.tls(&identity);
    let nobody = nobody.environment("REGISTRY_HTTP_TLS_CLIENTAUTH", "require-any-client-cert");
    refuses_to_start(&nobody, "needs `http.tls.clientcas`");
}
