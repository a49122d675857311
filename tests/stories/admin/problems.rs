//! Every kind of problem, and that none of them changes anything.

use wharf_testkit::{Bytes, Method, ServerBuilder};

use super::{ALICE, Api, ExpectProblem as _, with_socket, with_users};

wharf_testkit::configured_on_both_engines![
    each_mistake_has_its_problem_and_changes_nothing,
    callers_without_the_right_are_told_which_one,
    a_server_without_users_has_none_to_administer,
    bodies_have_a_limit_and_a_type,
];

wharf_testkit::on_disk![a_damaged_file_is_told_to_the_administrator];

async fn each_mistake_has_its_problem_and_changes_nothing(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let api = Api::of_operator(&server).await;
    let version = api.get("/users").await.header("etag").to_owned();
    for (target, field) in [
        ("/users?nme=alice", "nme"),
        ("/users?limit=0", "limit"),
        ("/users?limit=1001", "limit"),
        ("/users?limit=x", "limit"),
        ("/users?limit=1&limit=2", "limit"),
        ("/users?cursor=", "cursor"),
        ("/whoami?x=1", "x"),
    ] {
        let answer = api.get(target).await.expect_problem(400, "bad-query");
        assert_eq!(answer.json()["field"], field, "{target}\n{answer}");
    }
    api.delete("/users").await.expect_problem(400, "bad-query");
    for (body, field) in [
        ("", None),
        ("{", None),
        ("[1]", None),
        ("{}", Some("name")),
        (r#"{"name":"x","pasword":"y"}"#, Some("pasword")),
        (r#"{"name":"x","password":""}"#, Some("password")),
        (r#"{"name":"x","password":"p","hash":"h"}"#, Some("hash")),
        (r#"{"name":"x","hash":"plain"}"#, Some("hash")),
        (r#"{"name":"x","hash":"$2y$10$"}"#, Some("hash")),
        (r#"{"name":"x","cost":3}"#, Some("cost")),
        (r#"{"name":"x","cost":18}"#, Some("cost")),
        (r#"{"name":"x:y"}"#, Some("name")),
        (r##"{"name":"#x"}"##, Some("name")),
        (r#"{"name":""}"#, Some("name")),
        (r#"{"name":"x\ny"}"#, Some("name")),
    ] {
        let answer = api.post("/users", body).await.expect_problem(400, "bad-body");
        let told = answer.json();
        assert_eq!(
            told.get("field").and_then(|field| field.as_str()),
            field,
            "{body}\n{answer}"
        );
    }
    let line = ALICE.trim_end().split_once(':').unwrap().1;
    let two = format!(r#"{{"name":"x","hash":"{line}\nmallory:{line}"}}"#);
    api.post("/users", &two).await.expect_problem(400, "bad-body");
    api.post("/users", r#"{"name":"alice"}"#)
        .await
        .expect_problem(409, "user-exists");
    api.put("/users/password?name=bob", r#"{"cost":4}"#)
        .await
        .expect_problem(404, "unknown-user");
    api.get("/user").await.expect_problem(404, "unknown-path");
    let slash = api.get("/users/").await.expect_problem(404, "unknown-path");
    assert!(slash.text().contains("`/api/v1/users`"), "{slash}");
    let patch = api.send(Method::PATCH, "/users", &[], Some("{}")).await;
    patch
        .expect_problem(405, "method-not-allowed")
        .expect_header("allow", "GET, HEAD, POST, DELETE, OPTIONS");
    assert_eq!(api.get("/users").await.header("etag"), version);
    assert_eq!(std::fs::read_to_string(server.path("htpasswd")).unwrap(), ALICE);
}

async fn callers_without_the_right_are_told_which_one(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let api = Api::of_operator(&server).await;
    let anonymous = api.with(server.anonymous());
    for target in ["/whoami", "/users"] {
        let answer = anonymous
            .get(target)
            .await
            .expect_problem(401, "not-authenticated");
        answer.expect_header("www-authenticate", "Basic realm=\"Registry Realm\"");
    }
    let wrong = api.with(server.anonymous().as_user("alice", "wrong"));
    wrong
        .get("/whoami")
        .await
        .expect_problem(401, "not-authenticated");
    let alice = api.with(server.anonymous().as_user("alice", "pw"));
    alice.get("/whoami").await.expect(200);
    for answer in [
        alice.get("/users").await,
        alice.get("/server").await,
        alice.post("/users", r#"{"name":"bob"}"#).await,
        alice.put("/users/password?name=alice", "{}").await,
        alice.delete("/users?name=alice").await,
    ] {
        let answer = answer.expect_problem(403, "forbidden");
        assert_eq!(answer.json()["right"], "admin", "{answer}");
        assert!(
            answer.text().contains("`alice` lacks the right `admin`"),
            "{answer}"
        );
    }
    assert_eq!(std::fs::read_to_string(server.path("htpasswd")).unwrap(), ALICE);
}

async fn a_server_without_users_has_none_to_administer(builder: ServerBuilder) {
    let server = with_socket(builder).start();
    let api = Api::of_operator(&server).await;
    api.get("/users").await.expect_problem(409, "no-users");
    api.post("/users", r#"{"name":"bob"}"#)
        .await
        .expect_problem(409, "no-users");
    let anonymous = api.with(server.anonymous());
    assert_eq!(anonymous.get("/whoami").await.expect(200).json()["admin"], false);
    anonymous.get("/users").await.expect_problem(403, "forbidden");
}

async fn bodies_have_a_limit_and_a_type(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let api = Api::of_operator(&server).await;
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(64 << 10));
    api.post("/users", &large)
        .await
        .expect_problem(413, "body-too-large");
    let streamed = api
        .client
        .post("/api/v1/users")
        .header("content-type", "application/json")
        .streamed(&Bytes::from(large), 32 << 10);
    streamed.await.expect_problem(413, "body-too-large");
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let headers = [("content-type", media_type)];
        let answer = api
            .send(Method::POST, "/users", &headers, Some(r#"{"name":"bob"}"#))
            .await;
        answer.expect_problem(415, "not-json");
    }
    let typed = [("content-type", "application/JSON; charset=utf-8")];
    let answer = api
        .send(Method::POST, "/users", &typed, Some(r#"{"name":"bob","cost":4}"#))
        .await;
    answer.expect(201);
}

async fn a_damaged_file_is_told_to_the_administrator(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let api = Api::of_operator(&server).await;
    server.write("htpasswd", "not a password file\n");
    let answer = api
        .post("/users", r#"{"name":"bob","cost":4}"#)
        .await
        .expect_problem(500, "failed");
    assert!(answer.text().contains("is not a password file"), "{answer}");
    assert_eq!(
        std::fs::read_to_string(server.path("htpasswd")).unwrap(),
        "not a password file\n"
    );
}
