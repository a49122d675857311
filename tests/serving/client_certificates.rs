//! `http.tls.clientcas` and `clientauth`: which client certificates are accepted.

use wharf_testkit::{
    RawConnection, ServerBuilder, eventually,
    suite::{Part, Suite},
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
            a_certificate_that_moves_to_the_own_chain_is_no_longer_trusted,
            certificates_that_stand_in_clientcas_get_in,
            bad_clientcas_are_named,
            refused_handshakes_are_named_in_the_log,
        ]
    );
    let needs = &[Part::Program("openssl"), Part::Program("curl")];
    stories!(suite, needs, [certificates_of_version_1_get_in]);
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
    // The next connection goes by it, unless its look at the files takes too long.
    eventually("the new authority is trusted", async || {
        of_new.shake_hands(server.address()).await.is_ok()
    })
    .await;
    of_old.shake_hands(server.address()).await.unwrap_err();
}

async fn a_certificate_that_moves_to_the_own_chain_is_no_longer_trusted(builder: ServerBuilder) {
    let authority = Authority::new("of the server");
    let identity = Wanted::localhost().signed_by(&authority);
    let trust = Trust::in_certificate(authority.certificate());
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let both = format!("{}{}", first.certificate(), second.certificate());
    let server = asking(&builder, &identity, &first).start();
    server.write("ca.crt", &both);
    let of_first = trust.clone().showing(&Wanted::client("a").signed_by(&first));
    let of_second = trust.clone().showing(&Wanted::client("a").signed_by(&second));
    eventually("the second authority is trusted", async || {
        of_second.shake_hands(server.address()).await.is_ok()
    })
    .await;
    // The same certificates in the same order, divided between the two files in another way.
    server.write("ca.crt", second.certificate());
    let chain = format!("{}{}", identity.certificate, first.certificate());
    server.write("tls.crt", &chain);
    eventually("the first authority is no longer trusted", async || {
        of_first.shake_hands(server.address()).await.is_err()
    })
    .await;
    of_second.shake_hands(server.address()).await.unwrap();
}

async fn certificates_that_stand_in_clientcas_get_in(builder: ServerBuilder) {
    let (identity, trust) = server_and_trust();
    let stranger = Authority::new("of another house");
    let (wanted, wanted_both) = (
        Wanted::client("itself"),
        Wanted::client("as authority").authority(),
    );
    let itself = wanted.self_signed();
    let leaf = Wanted::client("leaf").signed_by(&stranger);
    let late = Wanted::client("late").valid(2020, 2021).self_signed();
    let server_only = Wanted::server("server").self_signed();
    let both = wanted_both.self_signed();
    let listed = [&itself, &leaf, &late, &server_only, &both].map(|one| first_certificate(&one.certificate));
    let builder = asking(&builder, &identity, &Authority::new("x"));
    builder.write("ca.crt", listed.concat());
    let server = builder.start();
    let gets_in = async |shown: &Identity| {
        let result = trust.clone().showing(shown).shake_hands(server.address()).await;
        let tls12 = trust
            .clone()
            .showing(shown)
            .tls12()
            .shake_hands(server.address())
            .await;
        assert_eq!(result.is_ok(), tls12.is_ok(), "{result:?}, {tls12:?}");
        result.is_ok()
    };
    assert!(gets_in(&itself).await && gets_in(&leaf).await && gets_in(&both).await);
    assert!(!gets_in(&late).await && !gets_in(&server_only).await);
    // What stands in for one client admits no other, unless it is an authority.
    assert!(!gets_in(&Wanted::client("other").signed_by(&stranger)).await);
    assert!(!gets_in(&Wanted::client("other").signed_with(&wanted, &itself)).await);
    assert!(gets_in(&Wanted::client("other").signed_with(&wanted_both, &both)).await);
    assert!(
        !gets_in(&Wanted::client("itself").self_signed()).await,
        "another key"
    );
}

/// The first certificate of a PEM text.
fn first_certificate(pem: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    pem[..pem.find(END).unwrap() + END.len()].to_owned() + "\n"
}

/// As in the recipes: `openssl x509 -req` without a file of extensions writes version 1.
const RECIPE: &str = r#"set -e
new() { openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "/CN=$1" -out "$1.csr"; }
for name in ca1 stranger; do
    new $name && openssl x509 -req -in $name.csr -signkey $name.key -days 10 -out $name.crt
done
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca3.key -subj /CN=ca3 -days 10 -out ca3.crt
sign() { new "$1" && openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 10 -out "$1.crt"; }
sign by-ca3 ca3 && sign by-ca1 ca1 && sign by-stranger stranger
new own && openssl x509 -req -in own.csr -signkey own.key -days 10 -out own.crt
new as-ca && openssl req -x509 -in as-ca.csr -CA ca3.crt -CAkey ca3.key -days 10 -out as-ca.crt
cat ca1.crt ca3.crt own.crt > ca.crt
"#;

async fn certificates_of_version_1_get_in(builder: ServerBuilder) {
    let (identity, _) = server_and_trust();
    let builder = asking(&builder, &identity, &Authority::new("x"));
    builder.write("server.crt", &identity.certificate);
    let directory = builder.directory().to_owned();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.args(arguments).current_dir(&directory);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (made, said) = run("sh", &["-c", RECIPE]);
    assert!(made, "{said}");
    let (_, text) = run("openssl", &["x509", "-in", "by-ca3.crt", "-noout", "-text"]);
    assert!(text.contains("Version: 1 "), "{text}");
    let server = builder.start();
    let url = format!("https://localhost:{}/v2/", server.address().port());
    for (name, gets_in) in [
        ("by-ca3", true),
        ("by-ca1", true),
        ("own", true),
        ("as-ca", true),
        ("by-stranger", false),
        ("stranger", false),
    ] {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        for version in ["1.2", "1.3"] {
            let (is_in, said) = run(
                "curl",
                &[
                    "-sSf",
                    "--cacert",
                    "server.crt",
                    "--cert",
                    &certificate,
                    "--key",
                    &key,
                    "--tls-max",
                    version,
                    &url,
                ],
            );
            assert_eq!(is_in, gets_in, "{name}, TLS {version}: {said}\n{}", server.log());
        }
    }
}

async fn refused_handshakes_are_named_in_the_log(builder: ServerBuilder) {
    let (identity, trust) = server_and_trust();
    let ours = Authority::new("ours");
    let asks = asking(&builder, &identity, &ours).environment("REGISTRY_HTTP_TLS_MINIMUMTLS", "tls1.3");
    let server = asks.start();
    let says = async |text: &str| {
        eventually(&format!("the log says `{text}`"), async || {
            let log = server.log();
            let mut lines = log.lines().filter(|line| line.contains(" level=info "));
            lines.any(|line| line.contains(text) && line.contains("client=\"127.0.0.1:"))
        })
        .await;
    };
    trust.shake_hands(server.address()).await.unwrap_err();
    says("it shows no certificate").await;
    let stranger = Wanted::client("a").signed_by(&Authority::new("ours"));
    let stranger = trust.clone().showing(&stranger);
    stranger.shake_hands(server.address()).await.unwrap_err();
    says("neither stands in `http.tls.clientcas`").await;
    let late = Wanted::client("late").valid(2020, 2021).signed_by(&ours);
    let late = trust.clone().showing(&late);
    late.shake_hands(server.address()).await.unwrap_err();
    says("has expired").await;
    trust
        .clone()
        .tls12()
        .shake_hands(server.address())
        .await
        .unwrap_err();
    says("no version of TLS").await;
    let doubts = Trust::in_certificate(ours.certificate());
    doubts.shake_hands(server.address()).await.unwrap_err();
    says("does not trust the certificate of this server").await;
    let mut plain = RawConnection::open(server.address()).await;
    plain.send("GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    plain.answer().await.expect(400);
    says("it speaks plain HTTP").await;
    // No flood of the log: ten lines a minute.
    for _ in 0..9 {
        trust.shake_hands(server.address()).await.unwrap_err();
    }
    let last = trust.clone().showing(&Wanted::client("a").signed_by(&ours));
    last.shake_hands(server.address()).await.unwrap();
    assert_eq!(
        server.log().matches("refused a TLS connection").count(),
        10,
        "{}",
        server.log()
    );
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
