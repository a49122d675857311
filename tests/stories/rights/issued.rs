//! `access.tokens`: tokens that this registry issues to its own users, and robot tokens.

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use serde_json::{Value, json};
use wharf_testkit::{
    Answer, Client, Server, ServerBuilder,
    image::{self},
};

wharf_testkit::configured_on_both_engines![
    a_client_is_led_to_the_token_server_and_back,
    a_login_needs_its_password_once,
    a_removed_user_loses_every_token_at_once,
    another_password_ends_every_token_at_once,
    scopes_are_cut_down_to_what_rules_grant,
    clients_without_an_account_get_what_is_public,
    passwords_go_on_beside_tokens,
    what_is_wrong_with_a_request_is_said_as_oauth_says_it,
    forms_of_which_no_byte_comes_take_no_room,
    an_account_that_a_proxy_names_gets_no_token_that_outlives_its_session,
    a_client_that_names_its_account_itself_gets_no_token,
    a_token_is_good_for_one_purpose,
    the_realm_is_where_the_client_finds_it,
    a_token_for_the_catalogue_alone_shows_no_content,
];

wharf_testkit::on_disk![
    crate::BINARY;
    robot_tokens_are_made_by_a_command_and_work_as_passwords_and_as_tokens,
    keys_outlive_the_process_and_are_private,
];

/// A hash of `pw` that is quick to check.
const HASH: &str = "$2y$04$KQlVPV7oebzne.IOGT3eAONmm5hGHB1wtnxLDUdOMyabu50rBKuzq";

/// The hash of another password.
const OTHER_HASH: &str = "$2y$04$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy";

const TOKENS: &str = "access: {tokens: {enabled: true}}";

fn users(lines: &[(&str, &str)]) -> String {
    lines
        .iter()
        .map(|(name, hash)| format!("{name}:{hash}\n"))
        .collect()
}

/// A registry that issues tokens to `alice` and `bob`, with the password `pw`.
fn issuing(builder: ServerBuilder, access: &str) -> Server {
    builder.write("htpasswd", users(&[("alice", HASH), ("bob", HASH)]));
    let path = builder.path("htpasswd").display().to_string();
    builder.htpasswd(&path).config(access).start()
}

fn alice(server: &Server) -> Client {
    server.anonymous().as_user("alice", "pw")
}

/// A token for these scopes.
async fn token(client: &Client, query: &str) -> Value {
    let answer = client.get(&format!("/auth/token?service=wharf&{query}")).await;
    answer
        .expect(200)
        .expect_header("cache-control", "no-store")
        .json()
}

async fn post(server: &Server, form: &str) -> Answer {
    let request = server.anonymous().post("/auth/token");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(form.to_owned()).await
}

async fn refreshed(server: &Server, refresh: &str, scope: &str) -> Answer {
    let form = format!(
        "grant_type=refresh_token&refresh_token={refresh}&service=wharf&client_id=docker&scope={scope}"
    );
    post(server, &form).await
}

fn bearer(token: &Value) -> String {
    format!("Bearer {}", token["access_token"].as_str().unwrap())
}

/// The status of a request with this `Authorization`.
async fn status(server: &Server, path: &str, authorization: &str) -> u16 {
    let request = server
        .anonymous()
        .get(path)
        .header("authorization", authorization);
    request.await.status.as_u16()
}

async fn a_client_is_led_to_the_token_server_and_back(builder: ServerBuilder) {
    let server = issuing(builder, TOKENS);
    let client = server.anonymous();
    let address = client.address();
    let base = format!("Bearer realm=\"http://{address}/auth/token\",service=\"wharf\"");
    let answer = client.get("/v2/").await.expect_error(401, "UNAUTHORIZED");
    answer.expect_header("www-authenticate", &base);
    let answer = client.get("/v2/team/app/tags/list").await.expect(401);
    answer.expect_header(
        "www-authenticate",
        format!("{base},scope=\"repository:team/app:pull\""),
    );

    let token = token(
        &alice(&server),
        "account=alice&scope=repository%3Ateam%2Fapp%3Apull%2Cpush",
    )
    .await;
    assert_eq!(token["token"], token["access_token"]);
    assert_eq!(token["expires_in"], 300);
    assert!(token["issued_at"].as_str().unwrap().ends_with('Z'), "{token}");
    assert!(
        token.get("refresh_token").is_none(),
        "the client did not ask for one"
    );
    let bearer = bearer(&token);
    let image = image::oci(1);
    let repository = client.repository("team/app");
    for blob in &image.blobs {
        let path = format!("{}?digest={}", repository.uploads_path(), blob.digest);
        let request = client.post(&path).header("authorization", &bearer);
        request.body(blob.bytes.clone()).await.expect(201);
    }
    let put = repository
        .put_manifest("1", &image.manifest)
        .header("authorization", &bearer);
    put.await.expect(201);
    assert_eq!(status(&server, "/v2/team/app/manifests/1", &bearer).await, 200);
    assert_eq!(status(&server, "/v2/", &bearer).await, 200);
    let other = client
        .get("/v2/other/tags/list")
        .header("authorization", &bearer)
        .await;
    let challenge = other.expect(401).header("www-authenticate").to_owned();
    assert!(challenge.ends_with("error=\"insufficient_scope\""), "{challenge}");

    let keys = client.get("/auth/jwks.json").await.expect(200).json();
    assert_eq!(keys["keys"][0]["alg"], "ES256");
    assert!(keys["keys"][0].get("d").is_none(), "{keys}");
}

/// What docker does, from the login to a pull some weeks later.
async fn a_login_needs_its_password_once(builder: ServerBuilder) {
    let server = issuing(builder, TOKENS);
    let login = token(
        &alice(&server),
        "account=alice&client_id=docker&offline_token=true",
    )
    .await;
    assert_eq!(status(&server, "/v2/", &bearer(&login)).await, 200);
    let refresh = login["refresh_token"].as_str().unwrap();
    alice(&server)
        .repository("team/app")
        .push_image("1", &image::oci(1))
        .await;
    for _ in 0..2 {
        let answer = refreshed(&server, refresh, "repository:team/app:pull")
            .await
            .expect(200);
        let token = answer.json();
        assert_eq!(token["refresh_token"], refresh, "docker stores no other one");
        assert_eq!(token["scope"], "repository:team/app:pull");
        assert_eq!(
            status(&server, "/v2/team/app/manifests/1", &bearer(&token)).await,
            200
        );
    }
    let form = "grant_type=password&username=alice&password=pw&service=wharf&access_type=offline&scope=repository:team/app:pull";
    let token = post(&server, form).await.expect(200).json();
    assert!(token["refresh_token"].is_string(), "{token}");
}

async fn ends_with_its_user(builder: ServerBuilder, after: &[(&str, &str)]) {
    let server = issuing(builder, TOKENS);
    alice(&server)
        .repository("a")
        .push_image("1", &image::oci(1))
        .await;
    let query = "offline_token=true&scope=repository:a:pull";
    let (alices, bobs) = (
        token(&alice(&server), query).await,
        token(&server.anonymous().as_user("bob", "pw"), query).await,
    );
    for token in [&alices, &bobs] {
        assert_eq!(status(&server, "/v2/a/manifests/1", &bearer(token)).await, 200);
    }
    server.write("htpasswd", users(after));
    let answer = server.anonymous().get("/v2/a/manifests/1");
    let answer = answer.header("authorization", bearer(&alices)).await;
    let answer = answer
        .expect_error(401, "UNAUTHORIZED")
        .expect_message("the token has ended");
    assert!(
        answer
            .header("www-authenticate")
            .ends_with("error=\"invalid_token\"")
    );
    let refused = refreshed(
        &server,
        alices["refresh_token"].as_str().unwrap(),
        "repository:a:pull",
    )
    .await;
    assert_eq!(refused.expect(400).json()["error"], "invalid_grant");

    assert_eq!(status(&server, "/v2/a/manifests/1", &bearer(&bobs)).await, 200);
    refreshed(&server, bobs["refresh_token"].as_str().unwrap(), "")
        .await
        .expect(200);
}

async fn a_removed_user_loses_every_token_at_once(builder: ServerBuilder) {
    ends_with_its_user(builder, &[("bob", HASH)]).await;
}

async fn another_password_ends_every_token_at_once(builder: ServerBuilder) {
    ends_with_its_user(builder, &[("alice", OTHER_HASH), ("bob", HASH)]).await;
}

const RULES: &str = "rules:\n\
    - {accounts: anonymous, repositories: 'public/**', allow: pull}\n\
    - {accounts: alice, repositories: 'team/**', allow: [pull, push]}\n\
    - {accounts: alice, repositories: 'public/**', allow: pull}\n";

fn ruled(builder: ServerBuilder) -> Server {
    builder.write("rules.yml", RULES);
    let path = builder.path("rules.yml").display().to_string();
    issuing(
        builder,
        &format!("access: {{rules: {path}, tokens: {{enabled: true}}}}"),
    )
}

async fn scopes_are_cut_down_to_what_rules_grant(builder: ServerBuilder) {
    let server = ruled(builder);
    let query = "scope=repository:team/app:pull,push,delete&scope=repository:public/a:push+repository:other:pull&scope=registry:catalog:*&scope=repository:Team/app:pull&scope=repository:team/../other:pull";
    let granted = token(&alice(&server), query).await;
    assert_eq!(
        granted["scope"],
        "repository:team/app:pull,push repository:public/a: repository:other: registry:catalog:* \
         repository:Team/app: repository:team/../other:"
    );
    let everything = token(&alice(&server), "scope=repository:team/app:*").await;
    assert_eq!(everything["scope"], "repository:team/app:pull,push");
    // A rule that is taken away ends what a token allows.
    let bearer = bearer(&granted);
    assert_eq!(status(&server, "/v2/team/app/tags/list", &bearer).await, 404);
    server.write(
        "rules.yml",
        "rules: [{accounts: bob, repositories: '**', allow: pull}]\n",
    );
    assert_eq!(status(&server, "/v2/team/app/tags/list", &bearer).await, 403);
}

async fn clients_without_an_account_get_what_is_public(builder: ServerBuilder) {
    let server = ruled(builder);
    let query = "scope=repository:public/a:pull,push+repository:team/app:pull";
    let granted = token(&server.anonymous(), &format!("{query}&offline_token=true")).await;
    assert_eq!(granted["scope"], "repository:public/a:pull repository:team/app:");
    assert!(
        granted.get("refresh_token").is_none(),
        "there is nothing that it could be bound to"
    );
    assert_eq!(
        status(&server, "/v2/public/a/tags/list", &bearer(&granted)).await,
        404
    );
    assert_eq!(
        status(&server, "/v2/team/app/tags/list", &bearer(&granted)).await,
        401
    );
}

async fn passwords_go_on_beside_tokens(builder: ServerBuilder) {
    let server = issuing(builder, TOKENS);
    let image = image::oci(1);
    alice(&server).repository("a").push_image("1", &image).await;
    alice(&server).repository("a").pull_image("1", &image).await;
    let wrong = server.anonymous().as_user("alice", "wrong");
    wrong.get("/v2/").await.expect_error(401, "UNAUTHORIZED");
    let refused = wrong
        .get("/auth/token?service=wharf")
        .await
        .expect_error(401, "UNAUTHORIZED");
    refused.expect_header("www-authenticate", "Basic realm=\"Registry Realm\"");
    // Nothing is public here, so there is nothing to have a token for.
    let refused = server.anonymous().get("/auth/token?service=wharf").await;
    refused
        .expect(401)
        .expect_header("www-authenticate", "Basic realm=\"Registry Realm\"");
}

async fn what_is_wrong_with_a_request_is_said_as_oauth_says_it(builder: ServerBuilder) {
    let server = issuing(builder, TOKENS);
    let client = alice(&server);
    let thousand = format!("scope=repository:a:{}", ["pull"; 1000].join(","));
    let long = format!("scope=repository:{}:pull", "a/".repeat(8 << 10));
    for (query, error) in [
        ("account=bob", "invalid_request"),
        ("service=other", "invalid_request"),
        ("service=wharf&service=wharf", "invalid_request"),
        ("scope=repository:a", "invalid_scope"),
        ("scope=a:b:c:d:e", "invalid_scope"),
        (&*thousand, "invalid_scope"),
        (&*long, "invalid_scope"),
    ] {
        let answer = client.get(&format!("/auth/token?{query}")).await.expect(400);
        let answer = answer
            .expect_header("cache-control", "no-store")
            .expect_no_header("access-control-allow-origin");
        assert_eq!(answer.json()["error"], error, "{answer}");
    }
    let large = format!("grant_type=password&x={}", "a".repeat(64 << 10));
    for (form, status, error) in [
        (
            "grant_type=password&username=alice&password=wrong",
            401,
            "invalid_client",
        ),
        ("grant_type=password&username=alice", 400, "invalid_request"),
        ("grant_type=refresh_token", 400, "invalid_request"),
        ("grant_type=refresh_token&refresh_token=x", 400, "invalid_grant"),
        ("grant_type=client_credentials", 400, "unsupported_grant_type"),
        (
            "grant_type=password&username=alice&password=pw&service=other",
            400,
            "invalid_request",
        ),
        ("", 400, "invalid_request"),
        (&*large, 413, "invalid_request"),
    ] {
        let answer = post(&server, form).await.expect(status);
        assert_eq!(answer.json()["error"], error, "{answer}");
        assert!(!answer.errors().is_empty(), "docker shows these");
    }
    let no_form = client.post("/auth/token").body("{}").await.expect(400);
    assert_eq!(no_form.json()["error"], "invalid_request");
    let put = client.put("/auth/token").await.expect(405);
    put.expect_header("allow", "GET, POST");
    client.get("/auth").await.expect(200);
    client.get("/token").await.expect(200);
    client.head("/auth/jwks.json").await.expect(200).expect_body("");
}

/// Of 1 MiB, sixteen of the largest forms would take all.
async fn forms_of_which_no_byte_comes_take_no_room(builder: ServerBuilder) {
    let server = issuing(builder.http("limits: {bodies: 1048576}"), TOKENS);
    let mut silent = Vec::new();
    for _ in 0..32 {
        let mut raw = server.raw().await;
        raw.send(
            b"POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
              Content-Length: 65536\r\n\r\n",
        )
        .await;
        silent.push(raw);
    }
    post(
        &server,
        "grant_type=password&username=alice&password=pw&service=wharf",
    )
    .await
    .expect(200);
    drop(silent);
}

/// A registry that issues tokens, and believes `proxies` which account their clients have.
fn signed_on(builder: ServerBuilder, proxies: &str) -> Server {
    let header = format!("{{user: X-Remote-User, groups: X-Remote-Groups, proxies: {proxies}}}");
    issuing(
        builder,
        &format!("access: {{tokens: {{enabled: true}}, proxyheader: {header}}}"),
    )
}

fn by_get(client: &Client) -> wharf_testkit::Request {
    client.get("/auth/token?service=wharf&offline_token=true")
}

fn by_post(client: &Client) -> wharf_testkit::Request {
    let form = "grant_type=password&username=alice&password=pw&service=wharf&access_type=offline";
    let request = client.post("/auth/token").body(form);
    request.header("content-type", "application/x-www-form-urlencoded")
}

async fn an_account_that_a_proxy_names_gets_no_token_that_outlives_its_session(builder: ServerBuilder) {
    let server = signed_on(builder, "127.0.0.0/8");
    // Neither for a user of the password file, nor for one of the sign-on alone, nor beside a password.
    for name in ["alice", "zoe"] {
        for request in [
            by_get(&server.anonymous()),
            by_get(&alice(&server)),
            by_post(&server.anonymous()),
        ] {
            let refused = request
                .header("x-remote-user", name)
                .header("x-remote-groups", "ops")
                .await
                .expect_error(403, "DENIED")
                .expect_no_header("www-authenticate");
            assert_eq!(refused.json()["error"], "unauthorized_client");
        }
    }
    let anonymous = server.anonymous();
    let named = anonymous.get("/v2/").header("x-remote-user", "zoe").await;
    named.expect(200);
    by_get(&alice(&server)).await.expect(200);
}

async fn a_client_that_names_its_account_itself_gets_no_token(builder: ServerBuilder) {
    let server = signed_on(builder, "192.0.2.1");
    // Also with a good password.
    for request in [by_get(&alice(&server)), by_post(&server.anonymous())] {
        request
            .header("x-remote-user", "alice")
            .await
            .expect_error(401, "UNAUTHORIZED")
            .expect_message("believed only from the addresses");
    }
    by_get(&alice(&server)).await.expect(200);
}

async fn a_token_is_good_for_one_purpose(builder: ServerBuilder) {
    let server = issuing(builder, TOKENS);
    let login = token(&alice(&server), "offline_token=true&scope=repository:a:pull").await;
    let access = login["access_token"].as_str().unwrap();
    let refresh = login["refresh_token"].as_str().unwrap();
    // A refresh token is no access token, and the other way round.
    assert_eq!(status(&server, "/v2/", &format!("Bearer {refresh}")).await, 401);
    let refused = refreshed(&server, access, "repository:a:pull").await.expect(400);
    assert_eq!(refused.json()["error"], "invalid_grant");
    // A token fetches no other one.
    let request = server.anonymous().get("/auth/token?scope=repository:a:push");
    request
        .header("authorization", format!("Bearer {access}"))
        .await
        .expect(401);
    let (head, rest) = access.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    for forged in [
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."),
        // {"alg":"ES256","typ":"JWT","kid":"../../wharf/access/keys"}
        format!(
            "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Ii4uLy4uL3doYXJmL2FjY2Vzcy9rZXlzIn0.{claims}.{signature}"
        ),
        format!("{head}.{claims}."),
        format!("{head}.{claims}.{}", signature.replace(|_: char| true, "A")),
        format!("{access}{}", "A".repeat(16 << 10)),
        "wharf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa000000".to_owned(),
    ] {
        assert_eq!(
            status(&server, "/v2/", &format!("Bearer {forged}")).await,
            401,
            "{forged}"
        );
        refreshed(&server, &forged, "").await.expect(400);
    }
}

async fn the_realm_is_where_the_client_finds_it(builder: ServerBuilder) {
    let named = builder.another().http("host: https://hub.example/images");
    let server = issuing(builder.http("prefix: /registry/"), TOKENS);
    let realm = |answer: Answer| {
        let challenge = answer.expect(401).header("www-authenticate").to_owned();
        challenge.split('"').nth(1).unwrap().to_owned()
    };
    let client = server.anonymous();
    let plain = realm(client.get("/registry/v2/").await);
    assert_eq!(plain, format!("http://{}/registry/auth/token", client.address()));
    let proxied = client.get("/registry/v2/").header("x-forwarded-proto", "https");
    let proxied = realm(proxied.header("x-forwarded-host", "hub.example").await);
    assert_eq!(proxied, "https://hub.example/registry/auth/token");
    alice(&server).get("/registry/auth/token").await.expect(200);
    alice(&server).get("/auth/token").await.expect(404);
    let server = issuing(named, TOKENS);
    assert_eq!(
        realm(server.anonymous().get("/v2/").await),
        "https://hub.example/images/auth/token"
    );
}

/// Runs `wharf token` on the data of a server that does not run yet.
fn wharf_token(builder: &ServerBuilder, words: &[&str]) -> Value {
    std::fs::create_dir_all(builder.root()).unwrap();
    let root = builder.root().display().to_string();
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n{TOKENS}\nauth: {{htpasswd: {{path: x}}}}\n"
    );
    builder.write("token.yml", config);
    let path = builder.path("token.yml");
    let run = Command::new(crate::BINARY)
        .arg("token")
        .args(words)
        .arg("--json")
        .arg("--config")
        .arg(path)
        .output();
    let run = run.unwrap();
    assert!(
        run.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    serde_json::from_slice(&run.stdout).unwrap()
}

async fn robot_tokens_are_made_by_a_command_and_work_as_passwords_and_as_tokens(builder: ServerBuilder) {
    let made = wharf_token(
        &builder,
        &["create", "ci", "--repo", "team/**", "--allow", "pull,push"],
    );
    let secret = made["token"].as_str().unwrap().to_owned();
    let gone = wharf_token(&builder, &["create", "old", "--repo", "**", "--allow", "pull"]);
    wharf_token(&builder, &["revoke", "old"]);
    assert_eq!(wharf_token(&builder, &["ls"]).as_array().unwrap().len(), 1);
    builder.write("rules.yml", RULES);
    let path = builder.path("rules.yml").display().to_string();
    let mut server = issuing(
        builder,
        &format!("access: {{rules: {path}, tokens: {{enabled: true}}}}"),
    );
    let image = image::oci(1);
    // As the password of any user name.
    let robot = server.anonymous().as_user("anything", &secret);
    robot.repository("team/app").push_image("1", &image).await;
    robot.repository("team/app").pull_image("1", &image).await;
    let refused = robot
        .get("/v2/public/a/tags/list")
        .await
        .expect_error(403, "DENIED");
    refused.expect_message("the token `ci` is not for it");
    alice(&server).get("/v2/public/a/tags/list").await.expect(404);
    let catalog = robot.get("/v2/_catalog").await.expect(200);
    catalog.expect_body("{\"repositories\":[\"team/app\"]}\n");
    // As a bearer token.
    assert_eq!(
        status(&server, "/v2/team/app/manifests/1", &format!("Bearer {secret}")).await,
        200
    );
    // And as the password for tokens, which are no wider.
    let query = "account=anything&offline_token=true&scope=repository:team/app:pull,push,delete+repository:public/a:pull";
    let login = token(&robot, query).await;
    assert_eq!(
        login["scope"],
        "repository:team/app:pull,push repository:public/a:"
    );
    assert_eq!(
        status(&server, "/v2/team/app/manifests/1", &bearer(&login)).await,
        200
    );
    let refreshed = refreshed(
        &server,
        login["refresh_token"].as_str().unwrap(),
        "repository:team/app:pull",
    )
    .await;
    let narrow = refreshed.expect(200).json();
    let bearer = bearer(&narrow);
    let delete = server.anonymous().delete("/v2/team/app/manifests/1");
    delete.header("authorization", &bearer).await.expect(403);
    // The robot token may push; this one was fetched to pull.
    let push = server.anonymous().post("/v2/team/app/blobs/uploads/");
    push.header("authorization", &bearer).await.expect(401);
    let old = gone["token"].as_str().unwrap();
    assert_eq!(status(&server, "/v2/", &format!("Bearer {old}")).await, 401);
    server.stop();
    assert!(!server.log().contains(&secret[..20]), "no secret is in the log");
    let root = server.root();
    let used = std::fs::read_to_string(root.join("wharf/access/robots-used")).unwrap();
    assert!(used.contains(made["id"].as_str().unwrap()), "{used}");
}

async fn keys_outlive_the_process_and_are_private(builder: ServerBuilder) {
    let mut server = issuing(builder, TOKENS);
    let login = token(&alice(&server), "offline_token=true").await;
    let keys = server.root().join("wharf/access/keys");
    let mode = std::fs::metadata(&keys).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    server.restart();
    assert_eq!(status(&server, "/v2/", &bearer(&login)).await, 200);
    let again = refreshed(&server, login["refresh_token"].as_str().unwrap(), "").await;
    assert_eq!(again.expect(200).json()["scope"], json!(""));
}

async fn a_token_for_the_catalogue_alone_shows_no_content(builder: ServerBuilder) {
    let server = issuing(builder, TOKENS);
    let client = alice(&server);
    for repository in ["app", "other"] {
        client
            .repository(repository)
            .push_image("latest", &image::oci(1))
            .await;
    }
    let shown = async |scopes: &str, target: &str| {
        let authorization = bearer(&token(&client, scopes).await);
        let request = server.anonymous().get(&format!("/api/v1{target}"));
        request.header("authorization", authorization).await
    };
    let catalogue = "scope=registry:catalog:*";
    let names = shown(catalogue, "/repositories").await.expect(200).json();
    assert_eq!(names["repositories"], json!([]));
    for query in ["q=app", "q=latest", "q=sha256"] {
        let found = shown(catalogue, &format!("/search?{query}"))
            .await
            .expect(200)
            .json();
        assert_eq!(found["hits"], json!([]), "{query}");
    }

    let both = "scope=registry:catalog:*+repository:other:pull";
    let names = shown(both, "/repositories").await.expect(200).json();
    assert_eq!(
        (
            names["repositories"].as_array().unwrap().len(),
            &names["repositories"][0]["name"]
        ),
        (1, &"other".into())
    );
    let found = shown(both, "/search?q=latest").await.expect(200).json();
    assert_eq!(
        (
            found["hits"].as_array().unwrap().len(),
            &found["hits"][0]["repository"]
        ),
        (1, &"other".into())
    );
    for target in ["/repositories", "/search?q=a"] {
        shown("scope=repository:other:pull", target).await.expect(401);
    }
}
