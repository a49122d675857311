//! The server's certificate: every way in which it can be wrong, and how it is renewed.

use wharf_testkit::{
    Server, ServerBuilder, eventually,
    suite::{Part, Suite},
    tls::{Authority, Identity, Trust, Wanted},
    tool::Bench,
};

use crate::{complaints, refuses_to_start, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[],
        [
            a1_a_certificate_with_only_a_common_name_starts_with_one_warning,
            a1_a_certificate_that_is_not_valid_today_starts_with_one_warning,
            a1_a_bad_certificate_or_key_is_named_in_one_line,
            what_tls_needs_is_missed,
            s3_08_a_chain_is_sent_as_it_is,
            s1_04_a_certificate_is_renewed_without_a_restart,
            s1_04_a_damaged_certificate_leaves_the_last_good_one_in_force,
        ]
    );
    stories!(
        suite,
        &[Part::Program("openssl")],
        [
            keys_of_every_form_are_read,
            a_certificate_of_the_first_version_is_served
        ]
    );
    stories!(suite, &[Part::Root], [a_key_that_may_not_be_read_is_named]);
}

async fn a1_a_certificate_with_only_a_common_name_starts_with_one_warning(builder: ServerBuilder) {
    let server = builder.tls(&Wanted::common_name_only().self_signed()).start();
    let log = server.log();
    let warnings = complaints(&log);
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(
        warnings[0]
            .contains("no subject alternative name, only the common name `localhost`: Docker refuses it"),
        "{log}"
    );
}

async fn a1_a_certificate_that_is_not_valid_today_starts_with_one_warning(builder: ServerBuilder) {
    for (first, last, expected) in [
        (2020, 2021, "expired at 2021-12-31T00:00:00Z"),
        (2090, 2091, "is not valid before 2090-01-01T00:00:00Z"),
    ] {
        let identity = Wanted::localhost().valid(first, last).self_signed();
        let server = builder.another().tls(&identity).start();
        let log = server.log();
        let warnings = complaints(&log);
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{log}");
    }
}

async fn a1_a_bad_certificate_or_key_is_named_in_one_line(builder: ServerBuilder) {
    let good = Wanted::localhost().self_signed();
    let other = Wanted::localhost().self_signed();
    let with = |certificate: &[u8], key: &[u8]| {
        let builder = builder.another().tls(&good);
        builder.write("tls.crt", certificate);
        builder.write("tls.key", key);
        builder
    };
    let (crt, key) = (good.certificate.as_bytes(), good.key.as_bytes());
    let cut = &crt[..crt.len() / 2];
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
        DEK-Info: AES-256-CBC,00\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    let unusable = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
    for (crt, key, expected) in [
        (crt, other.key.as_bytes(), "does not belong to the certificate"),
        (
            crt,
            encrypted.as_bytes(),
            "is encrypted, and the server cannot ask for its password",
        ),
        (
            crt,
            old_encrypted.as_bytes(),
            "is encrypted, and the server cannot ask for its password",
        ),
        (
            crt,
            unusable.as_bytes(),
            "cannot be used: it is damaged, or neither RSA",
        ),
        (
            crt,
            crt,
            "there is no private key in `http.tls.key` `tls.key`; it holds a certificate",
        ),
        (
            key,
            key,
            "there is no certificate in `http.tls.certificate` `tls.crt`; it holds a private key",
        ),
        (cut, key, "`http.tls.certificate` `tls.crt` is damaged"),
        (b"", key, "`http.tls.certificate` `tls.crt`; the file is empty"),
        (b"hello", key, "a file in PEM form is needed"),
        (&good.der(), key, "seems to be in DER form"),
        (crt, b"", "`http.tls.key` `tls.key`; the file is empty"),
    ] {
        refuses_to_start(&with(crt, key), expected);
    }
    let missing = builder
        .another()
        .tls(&good)
        .environment("REGISTRY_HTTP_TLS_KEY", "gone.key");
    refuses_to_start(&missing, "cannot read `http.tls.key` `gone.key`: No such file");
    let authority = Authority::new("chain");
    let leaf = Wanted::localhost().signed_by(&authority);
    let (first, rest) = leaf
        .certificate
        .split_at(leaf.certificate.find(authority.certificate()).unwrap());
    let reversed = with(format!("{rest}{first}").as_bytes(), leaf.key.as_bytes());
    refuses_to_start(
        &reversed,
        "it fits number 2 of the file: the server's own certificate must come first",
    );
}

async fn a_key_that_may_not_be_read_is_named(builder: ServerBuilder) {
    use std::os::unix::fs::PermissionsExt as _;

    let builder = builder.tls(&new_pair()).as_user(65534);
    std::fs::set_permissions(builder.path("tls.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    refuses_to_start(
        &builder,
        "cannot read `http.tls.key` `tls.key`: Permission denied (os error 13): the user that the registry runs as",
    );
}

async fn what_tls_needs_is_missed(builder: ServerBuilder) {
    for (tls, expected) in [
        ("{certificate: tls.crt}", "`http.tls.key` is missing"),
        ("{key: tls.key}", "`http.tls.certificate` is missing"),
        (
            "{clientcas: [ca.crt]}",
            "`http.tls.clientcas` needs `http.tls.certificate`",
        ),
        (
            "{letsencrypt: {email: a@b.example, hosts: [c.example]}}",
            "`http.tls.letsencrypt` is not supported yet",
        ),
    ] {
        refuses_to_start(&builder.another().http(format!("tls: {tls}")), expected);
    }
}

async fn s3_08_a_chain_is_sent_as_it_is(builder: ServerBuilder) {
    let authority = Authority::new("root of the house");
    let server = builder
        .tls(&Wanted::localhost().rsa().signed_by(&authority))
        .start();
    let trust = Trust::in_certificate(authority.certificate());
    server.over_tls(&trust).get("/v2/").await.expect(200);
}

/// The certificate that the server shows at the moment.
async fn shown(server: &Server, trust: &Trust) -> Vec<u8> {
    trust.shake_hands(server.address()).await.unwrap().certificate
}

fn new_pair() -> Identity {
    Wanted::localhost().self_signed()
}

async fn s1_04_a_certificate_is_renewed_without_a_restart(builder: ServerBuilder) {
    let (first, second) = (new_pair(), new_pair());
    let server = builder.tls(&first).start();
    let trust = Trust::in_certificate(&first.certificate).and(&second.certificate);
    let client = server.over_tls(&trust);
    client.get("/v2/").await.expect(200);
    assert_eq!(shown(&server, &trust).await, first.der());

    // One file after the other, as operators replace them: a pair that does not fit is not taken.
    server.write("tls.crt", &second.certificate);
    eventually("the server has seen half of it", async || {
        assert_eq!(shown(&server, &trust).await, first.der());
        server.log().contains("does not belong to the certificate")
    })
    .await;
    server.write("tls.key", &second.key);
    // The next connection goes by it, unless its look at the files takes too long.
    eventually("the new certificate is shown", async || {
        shown(&server, &trust).await == second.der()
    })
    .await;
    // A connection that was open stays so.
    client.get("/v2/").await.expect(200);
    assert_eq!(complaints(&server.log()).len(), 1, "{}", server.log());
    server.says("the certificates have changed").await;
}

async fn s1_04_a_damaged_certificate_leaves_the_last_good_one_in_force(builder: ServerBuilder) {
    let (first, second) = (new_pair(), new_pair());
    let server = builder.tls(&first).start();
    let trust = Trust::in_certificate(&first.certificate).and(&second.certificate);
    server.write("tls.crt", "oops");
    eventually("the server has complained", async || {
        assert_eq!(shown(&server, &trust).await, first.der());
        server.log().contains("the last good certificate stays in force")
    })
    .await;
    std::fs::remove_file(server.path("tls.key")).unwrap();
    server.write("tls.crt", &first.certificate);
    eventually("the server has complained of the key", async || {
        assert_eq!(shown(&server, &trust).await, first.der());
        server.log().contains("cannot read `http.tls.key`")
    })
    .await;
    assert_eq!(complaints(&server.log()).len(), 2, "{}", server.log());
    server.write("tls.crt", &second.certificate);
    server.write("tls.key", &second.key);
    eventually("the new certificate is shown", async || {
        shown(&server, &trust).await == second.der()
    })
    .await;
}

async fn keys_of_every_form_are_read(builder: ServerBuilder) {
    let bench = Bench::new();
    let run = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        bench.run("openssl", &words);
    };
    run("ecparam -name secp384r1 -genkey -out sec1.key");
    run("genrsa -traditional -out pkcs1.key 2048");
    run("pkcs8 -topk8 -nocrypt -in pkcs1.key -out pkcs8.key");
    run("genpkey -algorithm ed25519 -out ed25519.key");
    for (key, label) in [
        ("sec1.key", "EC PRIVATE KEY"),
        ("pkcs1.key", "RSA PRIVATE KEY"),
        ("pkcs8.key", "BEGIN PRIVATE KEY"),
        ("ed25519.key", "BEGIN PRIVATE KEY"),
    ] {
        assert!(bench.read(key).contains(label), "{key}: {}", bench.read(key));
        run(&format!(
            "req -new -x509 -key {key} -out {key}.crt -subj /CN=x -addext subjectAltName=DNS:localhost"
        ));
        let identity = Identity {
            certificate: bench.read(&format!("{key}.crt")),
            key: bench.read(key),
        };
        let server = builder.another().tls(&identity).start();
        // openssl makes authorities of such certificates, which rustls does not take for servers; openssl does.
        let address = server.address().to_string();
        let ca = format!("{key}.crt");
        let line = [
            "s_client",
            "-connect",
            &address,
            "-CAfile",
            &ca,
            "-verify_return_error",
            "-alpn",
            "h2",
        ];
        let said = bench.run("openssl", &line);
        assert!(
            said.contains("Verify return code: 0 (ok)") && said.contains("ALPN protocol: h2"),
            "{said}"
        );
        assert!(complaints(&server.log()).is_empty(), "{}", server.log());
    }
    run("rsa -aes256 -passout pass:secret -traditional -in pkcs1.key -out encrypted.key");
    let encrypted = Identity {
        certificate: bench.read("pkcs1.key.crt"),
        key: bench.read("encrypted.key"),
    };
    refuses_to_start(&builder.tls(&encrypted), "is encrypted");
}

/// `openssl x509 -req` makes them, and Go serves them.
async fn a_certificate_of_the_first_version_is_served(builder: ServerBuilder) {
    let bench = Bench::new();
    let run = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        bench.run("openssl", &words)
    };
    run("req -newkey rsa:2048 -nodes -keyout k -out csr -subj /CN=localhost");
    run("x509 -req -in csr -signkey k -days 30 -out crt");
    assert!(run("x509 -in crt -noout -text").contains("Version: 1"));
    let identity = Identity {
        certificate: bench.read("crt"),
        key: bench.read("k"),
    };
    let server = builder.tls(&identity).start();
    let address = server.address().to_string();
    let said = bench.run("openssl", &["s_client", "-connect", &address, "-CAfile", "crt"]);
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    assert_eq!(complaints(&server.log()).len(), 1, "{}", server.log());
}
