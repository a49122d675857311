//! The activity log by the API: what is recorded of administration, and which entries each caller sees.

use wharf_testkit::{Answer, Method, Server, ServerBuilder, Value, eventually, image};

use super::{ALICE, Api, ExpectProblem as _, with_socket, with_users};

wharf_testkit::configured_on_both_engines![
    administration_is_recorded_and_each_account_sees_its_own,
    a_server_without_a_log_says_so,
];

/// A server with the users `alice` and `root`, an administrator, which takes robot tokens. Both have the password `pw`.
fn serving(builder: ServerBuilder) -> Server {
    let hash = ALICE.trim_end().split_once(':').unwrap().1;
    let users = ["alice", "root"].map(|name| format!("{name}:{hash}\n"));
    builder.write("htpasswd", users.concat());
    let path = builder.path("htpasswd").display().to_string();
    let access = "access: {tokens: {enabled: true}, admins: [root]}";
    with_socket(builder).htpasswd(&path).config(access).start()
}

/// The entries of a page, each as account, action, result and detail.
fn told(answer: &Answer) -> Vec<String> {
    let page = answer.json();
    let entries = page["entries"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    entries
        .iter()
        .map(|entry| {
            let parts = [
                &entry["actor"]["name"],
                &entry["action"],
                &entry["result"],
                &entry["detail"],
            ];
            parts.map(text).join(" ")
        })
        .collect()
}

async fn administration_is_recorded_and_each_account_sees_its_own(builder: ServerBuilder) {
    let server = serving(builder);
    let operator = Api::of_operator(&server).await;
    let user = |name: &str| operator.with(server.anonymous().as_user(name, "pw"));
    let (alice, root) = (user("alice"), user("root"));
    let image = image::oci(1);
    let repository = alice.client.repository("team/app");
    repository.push_image("1", &image).await;
    root.post("/users", r#"{"name":"bob","password":"hunter2","cost":4}"#)
        .await
        .expect(201);
    let same = [("idempotency-key", "k")];
    for _ in 0..2 {
        let target = "/users/password?name=bob";
        let answer = root.send(Method::PUT, target, &same, Some(r#"{"cost":4}"#)).await;
        answer.expect(200);
    }
    operator.delete("/users?name=bob").await.expect(200);
    operator
        .delete("/users?name=bob")
        .await
        .expect_problem(404, "unknown-user");
    alice
        .delete("/users?name=root")
        .await
        .expect_problem(403, "forbidden");
    let ci = r#"{"name":"ci","repositories":["team/**"]}"#;
    let made = alice.post("/tokens", ci).await.expect(201).json();
    alice.post("/tokens/rotate?token=ci", "{}").await.expect(200);
    root.delete("/tokens?token=ci").await.expect(200);
    let id = made["token"]["id"].as_str().unwrap();

    let of_administration = "/activity?action=administration";
    let last = format!("root administration ok revoked the token `ci` ({id})");
    eventually("entries are written", async || {
        told(&operator.get(of_administration).await.expect(200)).contains(&last)
    })
    .await;
    let expected = [
        "root administration ok added the user `bob`".to_owned(),
        "root administration ok changed the password of the user `bob`".to_owned(),
        "- administration ok removed the user `bob`".to_owned(),
        "alice administration denied removeUser".to_owned(),
        format!("alice administration ok made the token `ci` ({id})"),
        format!("alice administration ok rotated the token `ci` ({id})"),
        last,
    ];
    for administrator in [&operator, &root] {
        let answer = administrator.get(of_administration).await.expect(200);
        assert_eq!(told(&answer), expected, "{answer}");
        assert!(
            !answer.text().contains("hunter2") && !answer.text().contains("wharf_"),
            "{answer}"
        );
    }
    let own = alice.get(of_administration).await.expect(200);
    assert_eq!(told(&own), expected[3..6], "{own}");
    let named = alice.get(&format!("{of_administration}&account=alice")).await;
    assert_eq!(told(&named), expected[3..6]);
    let answer = alice.get("/activity?account=root").await;
    let answer = answer.expect_problem(403, "forbidden");
    assert_eq!(answer.json()["right"], "admin");
    let of_root = operator.get(&format!("{of_administration}&account=root")).await;
    assert_eq!(told(&of_root).len(), 3);

    let pushed = root
        .get("/activity?repository=team/*&action=push")
        .await
        .expect(200);
    let pushed = pushed.json()["entries"].clone();
    let manifest = pushed.as_array().unwrap().last().unwrap();
    assert_eq!(manifest["target"]["digest"], *image.manifest.digest, "{manifest}");
    assert_eq!(manifest["actor"]["name"], "alice");
    assert!(
        told(&root.get("/activity?repository=other").await.expect(200)).is_empty(),
        "entries of other repositories"
    );

    pages_have_each_entry_once(&operator, &expected).await;
    for (query, field) in [
        ("action=drop", "action"),
        ("since=yesterday", "since"),
        ("until=2026-13-01", "until"),
        ("repository=a//b", "repository"),
        ("cursor=x", "cursor"),
        ("limit=1001", "limit"),
    ] {
        let answer = root.get(&format!("/activity?{query}")).await;
        let answer = answer.expect_problem(400, "bad-query");
        assert_eq!(answer.json()["field"], field, "{answer}");
    }
    let later = root.get("/activity?since=2199-01-01T00:00:00Z").await.expect(200);
    assert!(told(&later).is_empty());
    let before = root.get("/activity?until=2020-01-01T00:00:00Z").await.expect(200);
    assert!(told(&before).is_empty());
}

async fn pages_have_each_entry_once(api: &Api, expected: &[String]) {
    let first = "/activity?action=administration&limit=2";
    let (mut target, mut pages) = (first.to_owned(), Vec::new());
    loop {
        let answer = api.get(&target).await.expect(200);
        pages.push(told(&answer));
        match answer.json().get("next").and_then(Value::as_str) {
            Some(next) => target = format!("{first}&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages.len(), 4);
    let given: Vec<String> = pages.into_iter().rev().flatten().collect();
    assert_eq!(given, expected);
}

async fn a_server_without_a_log_says_so(builder: ServerBuilder) {
    let server = with_users(builder).config("activity: {disabled: true}").start();
    let api = Api::of_operator(&server).await;
    let answer = api.get("/activity").await.expect_problem(409, "no-activity");
    assert!(answer.text().contains("activity.disabled"), "{answer}");
    // Changes are made all the same.
    api.post("/users", r#"{"name":"bob","cost":4}"#).await.expect(201);
}
