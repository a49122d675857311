//! The history of a tag, and the way back.

use wharf_testkit::{Client, Method, Server, ServerBuilder, Value, eventually, image, json};

use super::{ALICE, Api, ExpectProblem as _, with_users};

wharf_testkit::configured_on_both_engines![
    a_tag_goes_back_and_its_history_says_so,
    each_account_sees_and_moves_what_it_may_pull_and_push,
    what_is_wrong_is_named,
    nothing_moves_where_the_store_is_read_only,
];

/// Pushes two images under `app:latest`, one after the other, and gives their digests.
async fn pushed_twice(client: &Client) -> [String; 2] {
    let repository = client.repository("app");
    let mut digests = Vec::new();
    for number in 1..=2 {
        let image = image::oci(number);
        repository.push_image("latest", &image).await;
        digests.push(image.manifest.digest);
    }
    digests.try_into().unwrap()
}

fn target(digest: &str) -> String {
    json!({"digest": digest}).to_string()
}

const HISTORY: &str = "/tags/history?repository=app&tag=latest";
const RESTORE: &str = "/tags/restore?repository=app&tag=latest";

/// The digests of a history, and those of them at which the tag points.
fn digests(history: &Value) -> (Vec<&str>, Vec<&str>) {
    let entries = history["entries"].as_array().unwrap();
    let all = entries.iter().map(|entry| entry["digest"].as_str().unwrap());
    let current = entries.iter().filter(|entry| entry["current"] == true);
    (
        all.collect(),
        current.map(|entry| entry["digest"].as_str().unwrap()).collect(),
    )
}

async fn a_tag_goes_back_and_its_history_says_so(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let [one, two] = pushed_twice(&alice).await;
    let operator = Api::of_operator(&server).await;

    let answer = operator
        .get(HISTORY)
        .await
        .expect(200)
        .expect_header("etag", format!("\"{two}\""));
    let history = answer.json();
    assert_eq!(
        (&history["repository"], &history["total"]),
        (&"app".into(), &2.into())
    );
    let (all, current) = digests(&history);
    assert_eq!(current, [two.as_str()]);
    assert!(all.contains(&one.as_str()) && all.len() == 2, "{history}");
    assert_eq!(history["entries"][0]["available"], true);
    let first = operator
        .get(&format!("{HISTORY}&limit=1"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (first["entries"].as_array().unwrap().len(), &first["total"]),
        (1, &2.into())
    );

    let moved = operator
        .send(
            Method::POST,
            RESTORE,
            &[("if-match", &format!("\"{one}\""))],
            Some(&target(&one)),
        )
        .await;
    moved.expect_problem(412, "changed");
    let moved = operator
        .send(
            Method::POST,
            RESTORE,
            &[("if-match", &format!("\"{two}\""))],
            Some(&target(&one)),
        )
        .await;
    assert_eq!(
        moved
            .expect(200)
            .expect_header("etag", format!("\"{one}\""))
            .json(),
        json!({"repository": "app", "tag": "latest", "digest": one})
    );
    let served = alice
        .request(Method::HEAD, "/v2/app/manifests/latest")
        .await
        .expect(200);
    assert_eq!(served.header("docker-content-digest"), one);
    let history = operator.get(HISTORY).await.expect(200).json();
    assert_eq!(digests(&history).1, [one.as_str()]);

    // It is a push, of the account that asked for it, and no act of administration.
    let by_alice = operator.with(alice);
    by_alice.post(RESTORE, &target(&two)).await.expect(200);
    let pushes = async || {
        let log = operator
            .get("/activity?repository=app&action=push")
            .await
            .expect(200)
            .json();
        let entries = log["entries"].as_array().unwrap().clone();
        let of_two = entries
            .into_iter()
            .filter(|entry| entry["actor"]["name"] == "alice" && entry["target"]["digest"] == two.as_str());
        of_two
            .map(|entry| entry["count"].as_u64().unwrap_or(1))
            .sum::<u64>()
    };
    eventually("alice has pushed it twice", async || pushes().await == 2).await;
    let log = operator
        .get("/activity?action=administration")
        .await
        .expect(200)
        .json();
    assert_eq!(log["entries"], json!([]), "{log}");
}

/// A server with the users alice, bob and carol, all with the password `pw`, and these rules.
pub(crate) fn ruled(builder: ServerBuilder, rules: &str) -> Server {
    builder.write("rules.yml", rules);
    let path = builder.path("rules.yml").display().to_string();
    let server = with_users(builder)
        .config(format!("access: {{rules: '{path}'}}"))
        .start();
    let hash = ALICE.trim_end().split_once(':').unwrap().1;
    server.write(
        "htpasswd",
        ["alice", "bob", "carol"]
            .map(|name| format!("{name}:{hash}\n"))
            .concat(),
    );
    server
}

async fn each_account_sees_and_moves_what_it_may_pull_and_push(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: alice, repositories: app, allow: [pull, push]}\n\
         - {accounts: bob, repositories: app, allow: pull}\n\
         - {accounts: carol, repositories: app, allow: [pull, push], push: create-only}\n\
         - {accounts: anonymous, repositories: app, allow: pull}\n",
    );
    let user = |name: &str| server.anonymous().as_user(name, "pw");
    let [one, two] = pushed_twice(&user("alice")).await;
    let operator = Api::of_operator(&server).await;
    let by = |client| operator.with(client);

    for client in [user("alice"), user("bob"), user("carol"), server.anonymous()] {
        by(client).get(HISTORY).await.expect(200);
    }
    let other = "/tags/history?repository=other&tag=latest";
    by(user("bob"))
        .get(other)
        .await
        .expect_problem(404, "unknown-image");
    by(server.anonymous())
        .get(other)
        .await
        .expect_problem(401, "not-authenticated");

    let denied = by(user("bob"))
        .post(RESTORE, &target(&one))
        .await
        .expect_problem(403, "forbidden")
        .json();
    assert_eq!(denied["right"], "push");
    by(server.anonymous())
        .post(RESTORE, &target(&one))
        .await
        .expect_problem(401, "not-authenticated");
    by(user("carol"))
        .post(RESTORE, &target(&one))
        .await
        .expect_problem(409, "tag-exists");
    let history = operator.get(HISTORY).await.expect(200).json();
    assert_eq!(digests(&history).1, [two.as_str()], "nothing has moved");
    by(user("alice")).post(RESTORE, &target(&one)).await.expect(200);
}

async fn what_is_wrong_is_named(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let [one, two] = pushed_twice(&alice).await;
    let operator = Api::of_operator(&server).await;

    for (query, field) in [
        ("repository=app", "tag"),
        ("tag=latest", "repository"),
        ("repository=APP&tag=latest", "repository"),
        ("repository=app&tag=-", "tag"),
        ("repository=app&tag=latest&limit=0", "limit"),
    ] {
        let problem = operator.get(&format!("/tags/history?{query}")).await;
        assert_eq!(
            problem.expect_problem(400, "bad-query").json()["field"],
            field,
            "{query}"
        );
    }
    for query in ["repository=app&tag=other", "repository=other&tag=latest"] {
        operator
            .get(&format!("/tags/history?{query}"))
            .await
            .expect_problem(404, "unknown-image");
    }
    for body in ["{}", r#"{"digest":"sha256:1"}"#, r#"{"digest":1}"#] {
        operator.post(RESTORE, body).await.expect_problem(400, "bad-body");
    }
    let bad = [("if-match", "\"latest\"")];
    operator
        .send(Method::POST, RESTORE, &bad, Some(&target(&one)))
        .await
        .expect_problem(400, "bad-header");
    let never = format!("sha256:{}", "0".repeat(64));
    operator
        .post(RESTORE, &target(&never))
        .await
        .expect_problem(404, "not-in-history");
    alice
        .request(Method::DELETE, &format!("/v2/app/manifests/{one}"))
        .await
        .expect(202);
    let history = operator.get(HISTORY).await.expect(200).json();
    let gone: Vec<_> = history["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["available"] == false)
        .collect();
    assert_eq!(
        (gone.len(), &gone[0]["digest"]),
        (1, &one.as_str().into()),
        "{history}"
    );
    operator
        .post(RESTORE, &target(&one))
        .await
        .expect_problem(404, "unknown-image");
    operator.post(RESTORE, &target(&two)).await.expect(200);
}

async fn nothing_moves_where_the_store_is_read_only(builder: ServerBuilder) {
    // Without users, a client of this machine may do everything.
    let server = builder
        .storage("maintenance: {readonly: {enabled: true}}")
        .start();
    let operator = Api::new(server.anonymous(), "/api/v1").await;
    let never = format!("sha256:{}", "0".repeat(64));
    operator
        .post(RESTORE, &target(&never))
        .await
        .expect_problem(409, "read-only");
    operator.get(HISTORY).await.expect_problem(404, "unknown-image");
}
