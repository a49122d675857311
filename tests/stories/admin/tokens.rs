//! Robot tokens by the API: made by accounts for themselves, ended by administrators for all.

use wharf_testkit::{Method, Server, ServerBuilder, Value, eventually, image, serde_json};

use super::{ALICE, Api, ExpectProblem as _, with_socket};

wharf_testkit::configured_on_both_engines![
    an_account_makes_lists_and_ends_its_own_tokens_alone,
    an_administrator_ends_the_tokens_of_all,
    a_user_of_the_name_of_a_removed_one_has_none_of_its_tokens,
    tokens_of_a_user_that_another_program_removed_wait_for_the_user_or_for_its_removal,
    a_token_is_never_wider_than_the_account_that_made_it,
    a_token_makes_no_tokens,
    a_token_lists_and_finds_what_it_lets_pull_alone,
    what_no_token_can_be_is_refused_with_its_field,
    an_end_is_a_time_or_a_number_of_seconds,
    tokens_come_in_pages_by_their_names,
    an_account_has_a_limited_number_of_tokens,
    a_registry_that_takes_no_tokens_makes_none,
];

mod damaged {
    use super::*;

    wharf_testkit::on_disk![the_activity_log_names_a_removed_user_whose_tokens_could_not_be_revoked];
}

mod binary {
    use super::*;

    wharf_testkit::on_disk![crate::BINARY; secrets_of_tokens_are_in_no_log_and_are_shown_once];
}

const TEAM: &str = r#"{"name": "ci", "repositories": ["team/**"], "actions": ["pull", "push"]}"#;

/// A server with the users `alice`, `bob` and `root`, an administrator, which takes robot tokens. All have the password `pw`.
fn taking_tokens(builder: ServerBuilder) -> ServerBuilder {
    taking(builder, "")
}

/// The same with more keys of `access`.
fn taking(builder: ServerBuilder, more: &str) -> ServerBuilder {
    let hash = ALICE.trim_end().split_once(':').unwrap().1;
    let users = ["alice", "bob", "root"].map(|name| format!("{name}:{hash}\n"));
    builder.write("htpasswd", users.concat());
    let path = builder.path("htpasswd").display().to_string();
    let access = format!("access: {{tokens: {{enabled: true}}, admins: [root]{more}}}");
    with_socket(builder).htpasswd(&path).config(access)
}

/// The same API for a user.
fn of_user(api: &Api, server: &Server, name: &str) -> Api {
    api.with(server.anonymous().as_user(name, "pw"))
}

/// The names in a list of tokens.
async fn names(api: &Api) -> Vec<String> {
    let page = api.get("/tokens").await.expect(200).json();
    let tokens = page["tokens"].as_array().unwrap().clone();
    tokens
        .iter()
        .map(|token| token["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The status of a request with a robot token as its password.
async fn status(server: &Server, path: &str, secret: &Value) -> u16 {
    let client = server.anonymous().as_user("any", secret.as_str().unwrap());
    client.get(path).await.status.as_u16()
}

async fn an_account_makes_lists_and_ends_its_own_tokens_alone(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let operator = Api::of_operator(&server).await;
    let (alice, bob) = (
        of_user(&operator, &server, "alice"),
        of_user(&operator, &server, "bob"),
    );
    let made = alice.post("/tokens", TEAM).await.expect(201).json();
    let (token, secret) = (&made["token"], &made["secret"]);
    assert!(secret.as_str().unwrap().starts_with("wharf_"), "{made}");
    assert_eq!(
        (&token["creator"], &token["state"]),
        (&"alice".into(), &"active".into())
    );
    assert_eq!(token["actions"], wharf_testkit::json!(["pull", "push"]));
    assert_eq!(status(&server, "/v2/", secret).await, 200);
    assert_eq!(status(&server, "/v2/team/app/tags/list", secret).await, 404);
    assert_eq!(status(&server, "/v2/other/tags/list", secret).await, 403);
    let listed = alice.get("/tokens").await.expect(200).json();
    assert_eq!(listed["tokens"][0]["id"], token["id"]);
    assert!(listed["tokens"][0]["last_use"].is_string(), "{listed}");
    assert!(
        !listed.to_string().contains(secret.as_str().unwrap()),
        "shown once"
    );

    assert!(names(&bob).await.is_empty());
    let id = format!("/tokens?token={}", token["id"].as_str().unwrap());
    for target in ["/tokens?token=ci", id.as_str(), "/tokens?token=none"] {
        bob.delete(target).await.expect_problem(404, "unknown-token");
        let rotated = bob.post(&target.replace('?', "/rotate?"), "{}").await;
        rotated.expect_problem(404, "unknown-token");
    }
    bob.post("/tokens", TEAM)
        .await
        .expect_problem(409, "token-exists");
    assert_eq!(status(&server, "/v2/", secret).await, 200);

    let rotated = alice
        .post("/tokens/rotate?token=ci", "{}")
        .await
        .expect(200)
        .json();
    assert_eq!(rotated["token"]["id"], token["id"]);
    assert_eq!(status(&server, "/v2/", secret).await, 401);
    assert_eq!(status(&server, "/v2/", &rotated["secret"]).await, 200);
    alice.delete(&id).await.expect(200);
    assert_eq!(status(&server, "/v2/", &rotated["secret"]).await, 401);
    alice.delete(&id).await.expect_problem(404, "unknown-token");
}

async fn an_administrator_ends_the_tokens_of_all(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let operator = Api::of_operator(&server).await;
    let user = |name| of_user(&operator, &server, name);
    let (alice, root) = (user("alice"), user("root"));
    let made = operator.post("/tokens", TEAM).await.expect(201).json();
    assert!(
        made["token"].get("creator").is_none(),
        "the operator has no account\n{made}"
    );
    let of_alice = alice
        .post("/tokens", &TEAM.replace("ci", "alice-ci"))
        .await
        .expect(201)
        .json();
    let of_root = root
        .post("/tokens", &TEAM.replace("ci", "root-ci"))
        .await
        .expect(201)
        .json();
    assert_eq!(of_root["token"]["creator"], "root");
    for administrator in [&root, &operator] {
        assert_eq!(names(administrator).await, ["alice-ci", "ci", "root-ci"]);
    }
    assert_eq!(names(&alice).await, ["alice-ci"]);
    let rotated = root
        .post("/tokens/rotate?token=alice-ci", "{}")
        .await
        .expect(200)
        .json();
    assert_eq!(rotated["token"]["creator"], "alice", "whose it was");
    assert_eq!(status(&server, "/v2/", &of_alice["secret"]).await, 401);
    root.delete("/tokens?token=alice-ci").await.expect(200);
    operator.delete("/tokens?token=root-ci").await.expect(200);
    assert_eq!(names(&root).await, ["ci"]);
    // What ends with its creator is refused, too.
    let last = alice
        .post("/tokens", &TEAM.replace("ci", "last"))
        .await
        .expect(201)
        .json();
    operator.delete("/users?name=alice").await.expect(200);
    assert_eq!(status(&server, "/v2/", &last["secret"]).await, 401);
    assert_eq!(status(&server, "/v2/", &made["secret"]).await, 200);
}

/// Adds a user with the password `pw`.
async fn add(operator: &Api, name: &str) {
    let hash = ALICE.trim_end().split_once(':').unwrap().1;
    let user = format!(r#"{{"name":"{name}","hash":"{hash}"}}"#);
    operator.post("/users", &user).await.expect(201);
}

async fn a_user_of_the_name_of_a_removed_one_has_none_of_its_tokens(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let operator = Api::of_operator(&server).await;
    let user = |name| of_user(&operator, &server, name);
    let make = async |api: &Api, name: &str| {
        let made = api.post("/tokens", &TEAM.replace("ci", name)).await.expect(201);
        made.json()["secret"].clone()
    };
    let (alice, root) = (user("alice"), user("root"));
    let nightly = make(&alice, "nightly").await;
    let ci = make(&alice, "ci").await;
    // An administrator rotates the token of an account, and it stays with that; its own tokens are its own.
    root.post("/tokens/rotate?token=nightly", "{}").await.expect(200);
    let (of_root, of_operator) = (make(&root, "root-ci").await, make(&operator, "all").await);
    let of_token = server.anonymous().as_user("any", ci.as_str().unwrap());
    let issued = of_token.get("/auth/token?service=wharf").await.expect(200).json();

    let removed = root.delete("/users?name=alice").await.expect(200).json();
    assert_eq!(removed["tokens"], serde_json::json!(["ci", "nightly"]));
    assert_eq!(removed["was_user"], true);
    assert_eq!(names(&operator).await, ["all", "root-ci"]);
    add(&operator, "alice").await;
    assert!(names(&alice).await.is_empty());
    for secret in [&nightly, &ci] {
        assert_eq!(status(&server, "/v2/", secret).await, 401);
    }
    let bearer = format!("Bearer {}", issued["access_token"].as_str().unwrap());
    let with_issued = server.anonymous().get("/v2/").header("authorization", bearer);
    with_issued.await.expect(401);
    for secret in [&of_root, &of_operator, &make(&alice, "ci").await] {
        assert_eq!(status(&server, "/v2/", secret).await, 200);
    }
    let deed = "removed the user `alice`, and revoked its robot tokens: ci, nightly";
    eventually("the removal is in the activity log", async || {
        let log = operator.get("/activity?action=administration").await.expect(200);
        log.text().contains(deed)
    })
    .await;
}

async fn the_activity_log_names_a_removed_user_whose_tokens_could_not_be_revoked(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let operator = Api::of_operator(&server).await;
    let (alice, root) = (
        of_user(&operator, &server, "alice"),
        of_user(&operator, &server, "root"),
    );
    alice.post("/tokens", TEAM).await.expect(201);
    let document = server.root().join("wharf/access/robots");
    let whole = std::fs::read(&document).unwrap();
    std::fs::write(&document, "{").unwrap();
    let failed = root.delete("/users?name=alice").await;
    let failed = failed.expect_problem(500, "failed");
    assert!(
        failed.text().contains("user `alice` is removed, but not"),
        "{failed}"
    );
    std::fs::write(&document, whole).unwrap();
    let removed = root.delete("/users?name=alice").await.expect(200).json();
    assert_eq!(
        (&removed["was_user"], &removed["tokens"][0]),
        (&false.into(), &"ci".into())
    );
    let expected = [
        ("failed", "removed the user `alice`, not its robot tokens"),
        (
            "ok",
            "removed what was left of the user `alice`, and revoked its robot tokens: ci",
        ),
    ];
    eventually("both removals are in the activity log", async || {
        let log = operator
            .get("/activity?action=administration")
            .await
            .expect(200)
            .json();
        let entries = log["entries"].as_array().unwrap();
        expected.iter().all(|(result, detail)| {
            entries.iter().any(|entry| {
                entry["result"] == *result && entry["detail"] == *detail && entry["actor"]["name"] == "root"
            })
        })
    })
    .await;
}

async fn tokens_of_a_user_that_another_program_removed_wait_for_the_user_or_for_its_removal(
    builder: ServerBuilder,
) {
    let server = taking_tokens(builder).start();
    let operator = Api::of_operator(&server).await;
    let alice = of_user(&operator, &server, "alice");
    let secret = &alice.post("/tokens", TEAM).await.expect(201).json()["secret"];
    let all = std::fs::read_to_string(server.path("htpasswd")).unwrap();
    let without: String = all
        .lines()
        .filter(|line| !line.starts_with("alice:"))
        .map(|line| format!("{line}\n"))
        .collect();
    for (lines, expected) in [(&without, 401), (&all, 200), (&without, 401)] {
        server.write("htpasswd", lines);
        assert_eq!(status(&server, "/v2/", secret).await, expected);
    }
    let removed = operator.delete("/users?name=alice").await.expect(200).json();
    assert_eq!(removed["tokens"], serde_json::json!(["ci"]));
    assert_eq!(removed["was_user"], false);
    let again = operator.delete("/users?name=alice").await;
    again.expect_problem(404, "unknown-user");
    add(&operator, "alice").await;
    assert_eq!(status(&server, "/v2/", secret).await, 401);
}

async fn a_token_is_never_wider_than_the_account_that_made_it(builder: ServerBuilder) {
    builder.write(
        "rules.yml",
        "rules:\n  - {accounts: [alice], repositories: ['team/**'], allow: pull}\n",
    );
    let rules = format!(", rules: '{}'", builder.path("rules.yml").display());
    let server = taking(builder, &rules).start();
    let operator = Api::of_operator(&server).await;
    let alice = of_user(&operator, &server, "alice");
    let all = r#"{"name": "all", "repositories": ["**"], "actions": ["pull", "push", "delete"]}"#;
    let secret = &alice.post("/tokens", all).await.expect(201).json()["secret"];
    assert_eq!(status(&server, "/v2/team/app/tags/list", secret).await, 404);
    assert_eq!(status(&server, "/v2/other/tags/list", secret).await, 403);
    let client = server.anonymous().as_user("any", secret.as_str().unwrap());
    client.post("/v2/team/app/blobs/uploads/").await.expect(403);
}

async fn a_token_makes_no_tokens(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let operator = Api::of_operator(&server).await;
    let alice = of_user(&operator, &server, "alice");
    let made = alice.post("/tokens", TEAM).await.expect(201).json();
    let secret = made["secret"].as_str().unwrap();
    let issued = server.anonymous().as_user("alice", "pw");
    let issued = issued.get("/auth/token?service=wharf").await.expect(200).json();
    let bearers = [secret, issued["access_token"].as_str().unwrap()];
    let with_bearer = |bearer: &str| format!("Bearer {bearer}");
    for authorization in bearers.map(with_bearer) {
        let headers = [("authorization", authorization.as_str())];
        let anonymous = operator.with(server.anonymous());
        for (method, target, body) in [
            (Method::GET, "/tokens", None),
            (
                Method::POST,
                "/tokens",
                Some(r#"{"name":"x","repositories":["**"]}"#),
            ),
            (Method::POST, "/tokens/rotate?token=ci", Some("{}")),
            (Method::DELETE, "/tokens?token=ci", None),
        ] {
            let answer = anonymous.send(method, target, &headers, body).await;
            let answer = answer.expect_problem(403, "forbidden");
            assert_eq!(answer.json()["right"], "account", "{answer}");
        }
    }
    let robot = operator.with(server.anonymous().as_user("any", secret));
    robot.get("/tokens").await.expect_problem(403, "forbidden");
    let anonymous = operator.with(server.anonymous());
    anonymous
        .get("/tokens")
        .await
        .expect_problem(401, "not-authenticated");
    assert_eq!(names(&operator).await, ["ci"]);
}

async fn a_token_lists_and_finds_what_it_lets_pull_alone(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let operator = Api::of_operator(&server).await;
    let alice = server.anonymous().as_user("alice", "pw");
    for name in ["other", "team/app", "team/base"] {
        alice
            .repository(name)
            .push_image("latest", &image::docker(1))
            .await;
    }
    let narrow = r#"{"name": "narrow", "repositories": ["team/a*"]}"#;
    let made = operator
        .with(alice)
        .post("/tokens", narrow)
        .await
        .expect(201)
        .json();
    let secret = made["secret"].as_str().unwrap();
    let robot = operator.with(server.anonymous().as_user("any", secret));
    for (target, list, field) in [
        ("/repositories", "repositories", "name"),
        ("/repositories?sort=-pushed", "repositories", "name"),
        ("/search?q=latest", "hits", "repository"),
        ("/search?q=sha256", "hits", "repository"),
    ] {
        let page = robot.get(target).await.expect(200).json();
        let names = page[list].as_array().unwrap().iter();
        let names: Vec<&str> = names.map(|entry| entry[field].as_str().unwrap()).collect();
        assert_eq!(names, ["team/app"], "{target}");
    }
}

async fn what_no_token_can_be_is_refused_with_its_field(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let operator = Api::of_operator(&server).await;
    let alice = of_user(&operator, &server, "alice");
    for (fields, field, hint) in [
        (r#""name":"x""#, "repositories", "missing field"),
        (r#""name":"x","repositories":[]"#, "repositories", "`team/**`"),
        (r#""name":"x","repositories":["a//b"]"#, "repositories", "`a//b`"),
        (
            r#""name":"x","repositories":["a**"]"#,
            "repositories",
            "stands alone",
        ),
        (
            r#""name":"x","repositories":["${user}"]"#,
            "repositories",
            "`${account}`",
        ),
        (r#""name":"Ci","repositories":["a"]"#, "name", "lower case"),
        (
            r#""name":"0123456789ab","repositories":["a"]"#,
            "name",
            "lower case",
        ),
        (
            r#""name":"x","repositories":["a"],"actions":[]"#,
            "actions",
            "at least one",
        ),
        (
            r#""name":"x","repositories":["a"],"actions":["admin"]"#,
            "actions",
            "`delete`",
        ),
        (
            r#""name":"x","repositories":["a"],"actions":["*"]"#,
            "actions",
            "`pull`",
        ),
        (
            r#""name":"x","repositories":["a"],"expires":"soon""#,
            "expires",
            "RFC 3339",
        ),
        (
            r#""name":"x","repositories":["a"],"expires":"2030-02-30T00:00:00Z""#,
            "expires",
            "RFC 3339",
        ),
        (
            r#""name":"x","repositories":["a"],"expires":"2020-01-01T00:00:00Z""#,
            "expires",
            "in the past",
        ),
        (
            r#""name":"x","repositories":["a"],"expires":"1960-01-01T00:00:00Z""#,
            "expires",
            "in the past",
        ),
        (
            r#""name":"x","repositories":["a"],"expires":"never","lifetime":5"#,
            "expires",
            "exclude",
        ),
        (
            r#""name":"x","repositories":["a"],"lifetime":0"#,
            "lifetime",
            "a second",
        ),
        (
            r#""name":"x","repositories":["a"],"creator":"bob""#,
            "creator",
            "unknown field",
        ),
    ] {
        let answer = alice.post("/tokens", &format!("{{{fields}}}")).await;
        let answer = answer.expect_problem(400, "bad-body");
        let told = answer.json();
        assert_eq!(told["field"], field, "{fields}\n{answer}");
        assert!(
            told["detail"].as_str().unwrap().contains(hint),
            "{fields}\n{answer}"
        );
    }
    let many = vec![r#""a""#; 33].join(",");
    let many = format!(r#"{{"name":"x","repositories":[{many}]}}"#);
    alice.post("/tokens", &many).await.expect_problem(400, "bad-body");
    assert!(names(&operator).await.is_empty());

    alice.post("/tokens", TEAM).await.expect(201);
    for rotation in [r#"{"expires":"never"}"#, r#"{"expires":"2020-01-01T00:00:00Z"}"#] {
        let answer = alice.post("/tokens/rotate?token=ci", rotation).await;
        let answer = answer.expect_problem(400, "bad-body");
        assert_eq!(answer.json()["field"], "expires", "{answer}");
    }
    let key = [("idempotency-key", "k")];
    for (target, body) in [("/tokens", TEAM), ("/tokens/rotate?token=ci", "{}")] {
        let answer = alice.send(Method::POST, target, &key, Some(body)).await;
        let answer = answer.expect_problem(400, "bad-header");
        assert!(answer.text().contains("does not keep"), "{answer}");
    }
    alice.delete("/tokens").await.expect_problem(400, "bad-query");
    alice
        .get("/tokens?cursor=%2F")
        .await
        .expect_problem(400, "bad-query");
    // A revocation shows no secret, and its repetition is noticed.
    for _ in 0..2 {
        let revoked = alice.send(Method::DELETE, "/tokens?token=ci", &key, None).await;
        revoked.expect(200);
    }
}

async fn an_end_is_a_time_or_a_number_of_seconds(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let api = Api::of_operator(&server).await;
    let make = async |name: &str, more: &str| -> Value {
        let body = format!(r#"{{"name":"{name}","repositories":["a"]{more}}}"#);
        api.post("/tokens", &body).await.expect(201).json()["token"].clone()
    };
    let at = make("at", r#","expires":"2030-12-31T23:59:59+01:00""#).await;
    assert_eq!(at["expires"], "2030-12-31T22:59:59Z");
    assert!(
        make("ever", r#","expires":"never""#)
            .await
            .get("expires")
            .is_none()
    );
    let usual = make("usual", "").await;
    assert_eq!(usual["actions"], wharf_testkit::json!(["pull"]));
    assert!(usual["expires"].as_str() > usual["created"].as_str(), "{usual}");
    let long = make("long", r#","lifetime":315360000"#).await;
    assert!(long["expires"].as_str() > usual["expires"].as_str(), "{long}");
    let rotate = async |name: &str, body: &str| {
        let target = format!("/tokens/rotate?token={name}");
        api.post(&target, body).await.expect(200).json()["token"]["expires"].clone()
    };
    assert_eq!(
        rotate("usual", r#"{"expires":"2031-01-01T00:00:00Z"}"#).await,
        "2031-01-01T00:00:00Z"
    );
    assert!(rotate("ever", "{}").await.is_null());
}

async fn tokens_come_in_pages_by_their_names(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let api = Api::of_operator(&server).await;
    for name in ["d", "b", "a", "c", "e"] {
        let body = format!(r#"{{"name":"{name}","repositories":["a"]}}"#);
        api.post("/tokens", &body).await.expect(201);
    }
    let mut target = "/tokens?limit=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = api.get(&target).await.expect(200).json();
        let tokens = page["tokens"].as_array().unwrap();
        let names = tokens.iter().map(|token| token["name"].as_str().unwrap());
        pages.push(names.collect::<String>());
        // What is removed before the next page moves no other token.
        let first = tokens[0]["name"].as_str().unwrap();
        api.delete(&format!("/tokens?token={first}")).await.expect(200);
        let Some(next) = page.get("next").and_then(Value::as_str) else {
            break;
        };
        target = format!("/tokens?limit=2&cursor={next}");
    }
    assert_eq!(pages, ["ab", "cd", "e"]);
}

async fn an_account_has_a_limited_number_of_tokens(builder: ServerBuilder) {
    let server = taking_tokens(builder).start();
    let operator = Api::of_operator(&server).await;
    let alice = of_user(&operator, &server, "alice");
    let body = |number: usize| format!(r#"{{"name":"t{number}","repositories":["a"]}}"#);
    for number in 0..100 {
        alice.post("/tokens", &body(number)).await.expect(201);
    }
    let answer = alice.post("/tokens", &body(100)).await;
    let answer = answer.expect_problem(409, "too-many-tokens");
    assert!(answer.text().contains("revoke those"), "{answer}");
    operator.post("/tokens", &body(100)).await.expect(201);
    of_user(&operator, &server, "bob")
        .post("/tokens", &body(101))
        .await
        .expect(201);
}

async fn a_registry_that_takes_no_tokens_makes_none(builder: ServerBuilder) {
    let server = super::with_users(builder).start();
    let operator = Api::of_operator(&server).await;
    let alice = of_user(&operator, &server, "alice");
    for api in [&operator, &alice] {
        api.get("/tokens").await.expect_problem(409, "no-tokens");
        let answer = api.post("/tokens", TEAM).await.expect_problem(409, "no-tokens");
        assert!(answer.text().contains("access.tokens.enabled"), "{answer}");
    }
}

async fn secrets_of_tokens_are_in_no_log_and_are_shown_once(builder: ServerBuilder) {
    let server = taking_tokens(builder).config("log: {level: debug}").start();
    let api = Api::of_operator(&server).await;
    let made = api.post("/tokens", TEAM).await.expect(201).json();
    let rotated = api.post("/tokens/rotate?token=ci", "{}").await.expect(200).json();
    let revoked = api.delete("/tokens?token=ci").await.expect(200);
    server.says("operation=revokeToken").await;
    let log = server.log();
    for secret in [&made["secret"], &rotated["secret"]] {
        let secret = secret.as_str().unwrap();
        assert!(!log.contains(secret), "{log}");
        assert!(!revoked.text().contains(secret), "{revoked}");
    }
    for operation in ["createToken", "rotateToken"] {
        assert!(log.contains(&format!("operation={operation}")), "{log}");
    }
}
