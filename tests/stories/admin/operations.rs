//! Every operation, as the operator and as users call it.

use std::collections::BTreeSet;

use wharf_testkit::{Client, Method, Server, ServerBuilder, image, json};

use super::{Api, ExpectProblem as _, socket_of, with_socket, with_users};

wharf_testkit::configured_on_both_engines![
    the_operator_administers_users_and_each_change_counts_at_once,
    every_operation_is_described_and_answers_so,
    a_list_comes_in_pages_of_one_version,
    changes_for_one_version_are_made_to_that_version_alone,
    head_options_http2_and_the_prefix_are_as_elsewhere,
];

async fn logs_in(server: &Server, name: &str, password: &str) -> bool {
    let client = server.anonymous().as_user(name, password);
    match client.get("/v2/").await.status.as_u16() {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

async fn the_operator_administers_users_and_each_change_counts_at_once(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let api = Api::of_operator(&server).await;
    let added = api
        .post("/users", r#"{"name": "bob", "cost": 4}"#)
        .await
        .expect(201);
    let generated = added.json()["password"].as_str().unwrap().to_owned();
    assert_eq!(generated.len(), 20);
    assert_eq!(
        added.json()["file"],
        server.path("htpasswd").display().to_string()
    );
    assert!(logs_in(&server, "bob", &generated).await);

    let other = r#"{"password": "correct horse", "cost": 4}"#;
    let changed = api.put("/users/password?name=bob", other).await.expect(200);
    assert!(
        changed.json().get("password").is_none(),
        "it was given\n{changed}"
    );
    assert!(!logs_in(&server, "bob", &generated).await);
    assert!(logs_in(&server, "bob", "correct horse").await);

    let hash = super::ALICE.trim_end().split_once(':').unwrap().1;
    let with_hash = format!(r#"{{"name": "käthe smith", "hash": "{hash}"}}"#);
    api.post("/users", &with_hash).await.expect(201);
    let list = api.get("/users").await.expect(200).json();
    let names: Vec<&str> = list["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["alice", "bob", "käthe smith"]);
    assert_eq!(list["users"][1]["cost"], 4);

    api.delete("/users?name=bob").await.expect(200);
    assert!(!logs_in(&server, "bob", "correct horse").await);
    api.delete("/users?name=k%C3%A4the+smith").await.expect(200);
    api.delete("/users?name=bob")
        .await
        .expect_problem(404, "unknown-user");
}

async fn every_operation_is_described_and_answers_so(builder: ServerBuilder) {
    let server = with_users(builder)
        .config("access: {tokens: {enabled: true}}")
        .start();
    let api = Api::of_operator(&server).await;
    let image = image::oci(1);
    let alice = server.anonymous().as_user("alice", "pw");
    alice.repository("app").push_image("latest", &image).await;
    alice.repository("other").push_image("latest", &image).await;
    let everything = r#"{"everything":true}"#;
    let applied = api
        .post("/plans/apply?repository=other", everything)
        .await
        .expect(200);
    let deletion = applied.json()["deletion"].as_str().unwrap().to_owned();
    let of_deletion = |path: &str| format!("{path}?deletion={deletion}");
    let called = [
        ("applyDeletion", applied),
        (
            "planDeletion",
            api.post("/plans?repository=app", everything).await.expect(200),
        ),
        ("listTrash", api.get("/trash").await.expect(200)),
        (
            "showDeletion",
            api.get(&of_deletion("/trash/record")).await.expect(200),
        ),
        (
            "restoreDeletion",
            api.post(&of_deletion("/trash/restore"), "{}").await.expect(200),
        ),
        (
            "giveUpDeletion",
            api.delete(&of_deletion("/trash"))
                .await
                .expect_problem(404, "unknown-deletion"),
        ),
        (
            "emptyTrash",
            api.post("/trash/empty", r#"{"older_than":0}"#).await.expect(200),
        ),
        ("showCollections", api.get("/collections").await.expect(200)),
        ("showRetention", api.get("/retention").await.expect(200)),
        (
            "planRetention",
            api.post("/retention/plans", r#"{"rules":[{"keep":1}]}"#)
                .await
                .expect(200),
        ),
        (
            "explain",
            api.get(&format!("/why?digest={}", image.manifest.digest))
                .await
                .expect(200),
        ),
        (
            "collect",
            api.send(Method::POST, "/collections", &[], None)
                .await
                .expect(202),
        ),
        ("whoAmI", api.get("/whoami").await.expect(200)),
        ("showServer", api.get("/server").await.expect(200)),
        ("showApi", api.get("/openapi.json").await.expect(200)),
        ("listUsers", api.get("/users").await.expect(200)),
        (
            "addUser",
            api.post("/users", r#"{"name":"bob","password":"pw","cost":4}"#)
                .await
                .expect(201),
        ),
        (
            "setPassword",
            api.put("/users/password?name=bob", r#"{"cost":4}"#)
                .await
                .expect(200),
        ),
        (
            "listSessions",
            api.get("/sessions?account=alice").await.expect(200),
        ),
        (
            "endSession",
            api.delete("/sessions?account=alice&session=none")
                .await
                .expect_problem(404, "unknown-session"),
        ),
        (
            "endSessions",
            api.send(Method::POST, "/sessions/end?account=alice", &[], None)
                .await
                .expect(200),
        ),
        ("listActivity", api.get("/activity").await.expect(200)),
        ("listTokens", api.get("/tokens").await.expect(200)),
        (
            "createToken",
            api.post("/tokens", r#"{"name":"ci","repositories":["team/**"]}"#)
                .await
                .expect(201),
        ),
        (
            "rotateToken",
            api.post("/tokens/rotate?token=ci", "{}").await.expect(200),
        ),
        ("revokeToken", api.delete("/tokens?token=ci").await.expect(200)),
        ("showRules", api.get("/rules").await.expect(200)),
        (
            "checkRules",
            api.post("/rules/check", r#"{"text":"rules: []"}"#)
                .await
                .expect(200),
        ),
        (
            "testRules",
            api.post(
                "/rules/test",
                r#"{"account":"bob","action":"pull","repository":"a"}"#,
            )
            .await
            .expect(200),
        ),
        (
            "showImage",
            api.get("/image?repository=app&reference=latest")
                .await
                .expect(200),
        ),
        (
            "listUntagged",
            api.get("/untagged?repository=app").await.expect(200),
        ),
        (
            "listFiles",
            api.get("/files?repository=app&reference=latest&layer=1")
                .await
                .expect(200),
        ),
        (
            "compareImages",
            api.get("/comparison?repository=app&from=latest&to=latest")
                .await
                .expect(200),
        ),
        ("showChecks", api.get("/checks").await.expect(200)),
        (
            "check",
            api.post("/checks", r#"{"quick":true}"#).await.expect(202),
        ),
        ("showConfiguration", api.get("/configuration").await.expect(200)),
        ("showCertificates", api.get("/certificates").await.expect(200)),
        ("showAuthority", api.get("/authority").await.expect(200)),
        ("search", api.get("/search?q=app").await.expect(200)),
        ("showTraffic", api.get("/traffic").await.expect(200)),
        ("showUsage", api.get("/usage").await.expect(200)),
        ("listRepositories", api.get("/repositories").await.expect(200)),
        ("listTags", api.get("/tags?repository=app").await.expect(200)),
        (
            "showTagHistory",
            api.get("/tags/history?repository=app&tag=latest")
                .await
                .expect(200),
        ),
        (
            "restoreTag",
            api.post(
                "/tags/restore?repository=app&tag=latest",
                &json!({"digest": image.manifest.digest}).to_string(),
            )
            .await
            .expect(200),
        ),
        ("removeUser", api.delete("/users?name=bob").await.expect(200)),
    ];
    let called: BTreeSet<String> = called.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(
        called,
        api.operations().into_iter().collect(),
        "an operation without a story"
    );

    let me = api.get("/whoami").await.json();
    assert_eq!(
        (&me["via"], &me["admin"], me.get("account")),
        (&"operator".into(), &true.into(), None)
    );
    let shown = api.get("/server").await.json();
    assert_eq!(shown["name"], "wharf");
    assert!(
        ["filesystem", "inmemory", "s3aws"].contains(&shown["engine"].as_str().unwrap()),
        "{shown}"
    );
    let alice = api.with(server.anonymous().as_user("alice", "pw"));
    let me = alice.get("/whoami").await.expect(200).json();
    assert_eq!(
        (&me["account"], &me["via"], &me["admin"]),
        (&"alice".into(), &"password".into(), &false.into())
    );
}

async fn a_list_comes_in_pages_of_one_version(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let line = super::ALICE.trim_end().split_once(':').unwrap().1;
    let file: String = ["e", "d", "c", "b", "a"]
        .map(|name| format!("{name}:{line}\n"))
        .concat();
    server.write("htpasswd", file);
    let api = Api::of_operator(&server).await;
    let mut names = String::new();
    let mut target = "/users?limit=2".to_owned();
    let mut pages = 0;
    loop {
        let page = api.get(&target).await.expect(200).json();
        pages += 1;
        for user in page["users"].as_array().unwrap() {
            names.push_str(user["name"].as_str().unwrap());
        }
        let Some(next) = page.get("next") else { break };
        target = format!("/users?limit=2&cursor={}", next.as_str().unwrap());
    }
    assert_eq!((names.as_str(), pages), ("edcba", 3));

    api.delete("/users?name=e").await.expect(200);
    api.get(&target).await.expect_problem(409, "list-changed");
    api.get("/users?cursor=x").await.expect_problem(400, "bad-query");
}

async fn changes_for_one_version_are_made_to_that_version_alone(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let api = Api::of_operator(&server).await;
    let version = api.get("/users").await.expect(200).header("etag").to_owned();
    let additions = (0..6).map(|number| {
        let (api, version) = (api.clone(), version.clone());
        tokio::spawn(async move {
            let body = format!(r#"{{"name":"user{number}","cost":4}}"#);
            api.send(Method::POST, "/users", &[("if-match", &version)], Some(&body))
                .await
        })
    });
    let mut statuses = Vec::new();
    for addition in additions.collect::<Vec<_>>() {
        let answer = addition.await.unwrap();
        if answer.status == 412 {
            answer.clone().expect_problem(412, "changed");
        }
        statuses.push(answer.status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412, 412, 412, 412, 412]);

    let now = api.get("/users").await.header("etag").to_owned();
    let remove = async |name: &str, version: &str| {
        let target = format!("/users?name={name}");
        api.send(Method::DELETE, &target, &[("if-match", version)], None)
            .await
    };
    remove("alice", &version).await.expect_problem(412, "changed");
    let after = remove("alice", &now).await.expect(200).header("etag").to_owned();
    assert_eq!(
        api.get("/users").await.header("etag"),
        after,
        "a change tells the new version"
    );
    let any = [("if-match", "*")];
    let added = api
        .send(Method::POST, "/users", &any, Some(r#"{"name":"x","cost":4}"#))
        .await;
    added.expect(201);
    for bad in ["W/\"a\"", "a", "\"a\", \"b\""] {
        remove("x", bad).await.expect_problem(400, "bad-header");
    }
}

async fn head_options_http2_and_the_prefix_are_as_elsewhere(builder: ServerBuilder) {
    let server = with_socket(builder).http("prefix: /reg/").start();
    let client = server.anonymous();
    let api = Api::new(client.clone(), "/reg/api/v1").await;
    let got = api.get("/whoami").await.expect(200);
    assert_eq!(got.json()["via"], "anonymous");
    let head = client
        .head("/reg/api/v1/whoami")
        .await
        .expect(200)
        .expect_body("");
    assert_eq!(head.header("content-length"), got.body.len().to_string());
    let options = client
        .request(Method::OPTIONS, "/reg/api/v1/users")
        .await
        .expect(204);
    assert_eq!(options.header("allow"), "GET, HEAD, POST, DELETE, OPTIONS");
    api.with(server.anonymous_http2())
        .get("/whoami")
        .await
        .expect(200);

    // Outside the prefix the distribution API says where things are; the socket has no prefix.
    client
        .get("/api/v1/whoami")
        .await
        .expect_error(404, "UNSUPPORTED");
    client.get("/reg/api").await.expect_problem(404, "unknown-path");
    let socket = Client::unix(&socket_of(&server));
    socket.get("/api/v1/whoami").await.expect(200);
    socket.get("/v2/").await.expect_problem(404, "unknown-path");
}
