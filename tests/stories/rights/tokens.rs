//! `auth.token`: tokens that another server has signed.

use serde_json::{Value, json};
use wharf_testkit::{
    Method, Server, ServerBuilder,
    image::{self, Blob},
    tokens::{Signer, Wanted, now, x5c},
};

wharf_testkit::configured_on_both_engines![
    a_client_is_sent_to_the_token_server_and_back,
    a_token_names_its_key_in_any_way,
    a_token_that_is_not_good_is_refused_with_its_challenge,
    a_token_allows_what_it_says_and_nothing_else,
    a_token_for_the_catalogue_alone_shows_no_content,
    a_mount_needs_a_token_for_its_source,
    a_password_is_of_no_use_where_tokens_are_asked_for,
    a_key_that_is_taken_from_the_bundle_ends_its_tokens,
    autoredirect_leads_back_to_the_host_of_the_request,
];

const REALM: &str = "https://auth.test/auth";
const SERVICE: &str = "token-service";
const ISSUER: &str = "Acme auth server";

/// A server that trusts `signer`.
fn trusting(builder: ServerBuilder, signer: &Signer, more: &str) -> Server {
    let path = builder.path("server.pem").display().to_string();
    builder.write("server.pem", signer.self_signed(&Wanted::authority("Acme")).pem());
    builder
        .config(format!(
            "auth: {{token: {{realm: '{REALM}', service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: {path}{more}}}}}"
        ))
        .start()
}

/// The claims of a token for `alice` that allows `actions` on a repository.
fn claims(name: &str, actions: &[&str]) -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": SERVICE, "exp": now() + 300, "nbf": now() - 10, "iat": now(), "jti": "1",
        "access": [{"type": "repository", "name": name, "actions": actions}],
    })
}

fn bearer(token: &[u8]) -> String {
    format!("Bearer {}", str::from_utf8(token).unwrap())
}

async fn a_client_is_sent_to_the_token_server_and_back(builder: ServerBuilder) {
    let signer = Signer::new("ES256");
    let server = trusting(builder, &signer, "");
    let client = server.anonymous();
    let base = format!("Bearer realm=\"{REALM}\",service=\"{SERVICE}\"");
    client
        .get("/v2/")
        .await
        .expect_error(401, "UNAUTHORIZED")
        .expect_header("www-authenticate", &base);
    let name = "education/engineer1-6.2.2";
    let repository = client.repository(name);
    repository.get_manifest("latest").await.expect(401).expect_header(
        "www-authenticate",
        format!("{base},scope=\"repository:{name}:pull\""),
    );
    let token = bearer(&signer.token(
        json!({"kid": signer.fingerprint()}),
        &claims(name, &["pull", "push"]),
    ));
    let image = image::oci(1);
    for blob in &image.blobs {
        client
            .post(&format!("{}?digest={}", repository.uploads_path(), blob.digest))
            .header("authorization", &token)
            .body(blob.bytes.clone())
            .await
            .expect(201);
    }
    repository
        .put_manifest("latest", &image.manifest)
        .header("authorization", &token)
        .await
        .expect(201);
    repository
        .get_manifest("latest")
        .header("authorization", &token)
        .await
        .expect(200)
        .expect_body(&image.manifest.bytes);
    client
        .get("/v2/")
        .header("authorization", &token)
        .await
        .expect(200);
}

async fn a_token_names_its_key_in_any_way(builder: ServerBuilder) {
    let signer = Signer::new("ES256");
    let server = trusting(builder, &signer, "");
    let (own, leaf) = (Wanted::authority("Acme"), Signer::new("RS256"));
    let certificate = signer.certify(&own, &leaf, &Wanted::leaf("token"));
    let chain = x5c(&[&certificate]);
    for (signer, header) in [
        (&signer, json!({"kid": signer.fingerprint()})),
        (&signer, json!({"kid": signer.thumbprint()})),
        (&signer, json!({"jwk": signer.jwk()})),
        (&leaf, json!({"x5c": chain})),
    ] {
        let token = bearer(&signer.token(header.clone(), &claims("a", &["pull"])));
        let answer = server
            .anonymous()
            .get("/v2/a/tags/list")
            .header("authorization", token);
        let answer = answer.await;
        assert_eq!(answer.status, 404, "{header}: {}", answer.text());
    }
}

async fn a_token_that_is_not_good_is_refused_with_its_challenge(builder: ServerBuilder) {
    let signer = Signer::new("RS256");
    let server = trusting(builder, &signer, "");
    let kid = json!({"kid": signer.thumbprint()});
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims("a", &["pull"]);
        change(&mut claims);
        signer.token(kid.clone(), &claims)
    };
    let stranger = Signer::new("RS256");
    let good = with(&|_| {});
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("another audience", with(&|claims| claims["aud"] = json!("other"))),
        ("another issuer", with(&|claims| claims["iss"] = json!("other"))),
        ("expired", with(&|claims| claims["exp"] = json!(now() - 61))),
        ("not yet valid", with(&|claims| claims["nbf"] = json!(now() + 90))),
        (
            "the key of a stranger",
            stranger.token(kid.clone(), &claims("a", &["pull"])),
        ),
        (
            "a key that it brings itself",
            stranger.token(json!({"jwk": stranger.jwk()}), &claims("a", &["pull"])),
        ),
        (
            "a kid with a path",
            signer.token(json!({"kid": "../../etc/passwd"}), &claims("a", &["pull"])),
        ),
        (
            "no algorithm",
            signer.token(
                json!({"kid": signer.thumbprint(), "alg": "none"}),
                &claims("a", &["pull"]),
            ),
        ),
        (
            "the public key as a shared secret",
            signer.token(
                json!({"kid": signer.thumbprint(), "alg": "HS256"}),
                &claims("a", &["pull"]),
            ),
        ),
        (
            "16 KiB",
            with(&|claims| claims["x"] = json!("y".repeat(16 << 10))),
        ),
        (
            "1,000 actions",
            with(&|claims| claims["access"][0]["actions"] = json!(vec!["pull"; 1000])),
        ),
        ("no token", b"x".to_vec()),
    ];
    let get = |token: &[u8]| {
        server
            .anonymous()
            .get("/v2/a/tags/list")
            .header("authorization", bearer(token))
    };
    for (what, token) in bad {
        let answer = get(&token).await;
        assert_eq!(answer.status, 401, "{what}");
        let challenge = answer.header("www-authenticate");
        let expected = "scope=\"repository:a:pull\",error=\"invalid_token\"";
        assert!(challenge.ends_with(expected), "{what}: {challenge}");
        let shown = answer.text();
        assert!(
            !shown.contains(str::from_utf8(&token).unwrap()) || token == b"x",
            "{what}: {shown}"
        );
    }
    get(&good).await.expect(404);
    // Clocks may be a minute apart.
    get(&with(&|claims| claims["exp"] = json!(now() - 50)))
        .await
        .expect(404);
    get(&with(&|claims| claims["nbf"] = json!(now() + 50)))
        .await
        .expect(404);
}

async fn a_token_allows_what_it_says_and_nothing_else(builder: ServerBuilder) {
    let signer = Signer::new("EdDSA");
    let server = trusting(builder, &signer, "");
    let token = bearer(&signer.token(json!({"kid": signer.thumbprint()}), &claims("a/b", &["pull"])));
    let digest = wharf_testkit::digest::unknown(1);
    for (method, path, scope) in [
        (Method::GET, "/v2/a/c/tags/list".to_owned(), "repository:a/c:pull"),
        (Method::GET, "/v2/_catalog".to_owned(), "registry:catalog:*"),
        (
            Method::POST,
            "/v2/a/b/blobs/uploads/".to_owned(),
            "repository:a/b:pull,push",
        ),
        (
            Method::PUT,
            "/v2/a/b/manifests/x".to_owned(),
            "repository:a/b:pull,push",
        ),
        (
            Method::DELETE,
            format!("/v2/a/b/manifests/{digest}"),
            "repository:a/b:delete",
        ),
    ] {
        let request = server.anonymous().request(method, &path);
        let answer = request.header("authorization", &token).await;
        let expected = format!("scope=\"{scope}\",error=\"insufficient_scope\"");
        let answer = answer.expect_error(401, "UNAUTHORIZED");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.ends_with(&expected), "{path}: {challenge}");
    }
    let list = server.anonymous().get("/v2/a/b/tags/list");
    list.header("authorization", &token).await.expect(404);
}

async fn a_token_for_the_catalogue_alone_shows_no_content(builder: ServerBuilder) {
    let signer = Signer::new("ES256");
    let server = trusting(builder, &signer, "");
    let client = server.anonymous();
    let token = |claims: &Value| bearer(&signer.token(json!({"kid": signer.thumbprint()}), claims));
    let image = image::oci(1);
    for name in ["app", "other"] {
        let repository = client.repository(name);
        let authorization = token(&claims(name, &["pull", "push"]));
        for blob in &image.blobs {
            let path = format!("{}?digest={}", repository.uploads_path(), blob.digest);
            let request = client.post(&path).header("authorization", &authorization);
            request.body(blob.bytes.clone()).await.expect(201);
        }
        let put = repository.put_manifest("latest", &image.manifest);
        put.header("authorization", &authorization).await.expect(201);
    }
    let catalogue = json!({"type": "registry", "name": "catalog", "actions": ["*"]});
    let shown = async |access: Value, target: &str| {
        let mut claims = claims("none", &[]);
        claims["access"] = access;
        let request = client.get(&format!("/api/v1{target}"));
        request.header("authorization", token(&claims)).await
    };
    let pull = |name: &str| json!({"type": "repository", "name": name, "actions": ["pull"]});
    for (access, expected) in [
        (json!([catalogue]), json!([])),
        (json!([catalogue, pull("other")]), json!(["other"])),
        (json!([catalogue, pull("app"), pull("zzz")]), json!(["app"])),
        (
            json!([catalogue, {"type": "repository", "name": "app", "actions": ["push"]}]),
            json!([]),
        ),
    ] {
        let names = shown(access.clone(), "/repositories").await.expect(200).json();
        let names = names["repositories"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].clone());
        assert_eq!(names.collect::<Value>(), expected, "{access}");
        let found = shown(access.clone(), "/search?q=latest&in=name")
            .await
            .expect(200)
            .json();
        let found = found["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| hit["repository"].clone());
        assert_eq!(found.collect::<Value>(), expected, "{access}");
    }
    shown(json!([pull("app")]), "/repositories").await.expect(401);
}

async fn a_mount_needs_a_token_for_its_source(builder: ServerBuilder) {
    let signer = Signer::new("ES256");
    let server = trusting(builder, &signer, "");
    let kid = json!({"kid": signer.thumbprint()});
    let blob = Blob::random(7, 100);
    let client = server.anonymous();
    let source = bearer(&signer.token(kid.clone(), &claims("secret", &["pull", "push"])));
    client
        .post(&format!("/v2/secret/blobs/uploads/?digest={}", blob.digest))
        .header("authorization", &source)
        .body(blob.bytes.clone())
        .await
        .expect(201);
    let token = bearer(&signer.token(kid.clone(), &claims("a", &["pull", "push"])));
    let mount = |from: &str, token: &str| {
        let path = format!("/v2/a/blobs/uploads/?mount={}{from}", blob.digest);
        client.post(&path).header("authorization", token)
    };
    let refused = mount("&from=secret", &token).await.expect(401);
    let challenge = refused.header("www-authenticate").to_owned();
    assert!(
        challenge.contains("scope=\"repository:a:pull,push repository:secret:pull\""),
        "{challenge}"
    );
    // Without a source the blob of any repository would do, also of one that the token does not open.
    mount("", &token).await.expect(202);
    let mut both = claims("a", &["pull", "push"]);
    let access = both["access"].as_array_mut().unwrap();
    access.push(json!({"type": "repository", "name": "secret", "actions": ["pull"]}));
    mount("&from=secret", &bearer(&signer.token(kid, &both)))
        .await
        .expect(201);
}

async fn a_password_is_of_no_use_where_tokens_are_asked_for(builder: ServerBuilder) {
    let server = trusting(builder, &Signer::new("ES256"), "");
    let answer = server.anonymous().as_user("alice", "pw").get("/v2/").await;
    let answer = answer
        .expect_error(401, "UNAUTHORIZED")
        .expect_message("`Bearer`");
    assert!(answer.header("www-authenticate").starts_with("Bearer "));
}

async fn a_key_that_is_taken_from_the_bundle_ends_its_tokens(builder: ServerBuilder) {
    let (old, new) = (Signer::new("ES256"), Signer::new("ES256"));
    let server = trusting(builder, &old, "");
    let token =
        |signer: &Signer| bearer(&signer.token(json!({"kid": signer.thumbprint()}), &claims("a", &["pull"])));
    let (first, second) = (token(&old), token(&new));
    let get = |token: &str| {
        server
            .anonymous()
            .get("/v2/a/tags/list")
            .header("authorization", token)
    };
    get(&first).await.expect(404);
    get(&second).await.expect(401);
    server.write("server.pem", "half a wri");
    // The last good keys stay in force.
    get(&first).await.expect(404);
    server.write("server.pem", new.public_pem());
    get(&first).await.expect(401);
    get(&second).await.expect(404);
}

async fn autoredirect_leads_back_to_the_host_of_the_request(builder: ServerBuilder) {
    let server = trusting(builder, &Signer::new("ES256"), ", autoredirect: true");
    let answer = server.anonymous().get("/v2/").header("host", "hub.example:5000");
    let answer = answer.await.expect(401);
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer realm=\"https://hub.example:5000/auth/token\""),
        "{challenge}"
    );
}
