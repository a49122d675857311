//! What an account may not pull: it is told the same as of what is not there.

use wharf_testkit::{Answer, Method, ServerBuilder, Value, image};

use super::{Api, ExpectProblem as _, tags::ruled};
use crate::ui::Browser;

wharf_testkit::configured_on_both_engines![
    a_hidden_repository_is_answered_as_one_that_is_not_there,
    a_hidden_tag_is_answered_as_one_that_is_not_there,
    pages_of_a_hidden_repository_are_those_of_one_that_is_not_there,
];

/// `bob` may not pull from `secret`, where there are tags, and may do everything in `absent`, which does not exist.
const RULES: &str = "rules:\n\
     - {accounts: alice, repositories: '**', allow: [pull, push]}\n\
     - {accounts: bob, repositories: absent, allow: [pull, push, delete]}\n\
     - {accounts: bob, repositories: app, tags: [open], allow: pull}\n";

/// All operations on one repository.
const OPERATIONS: [(Method, &str, Option<&str>); 11] = [
    (Method::GET, "/tags?repository=NAME", None),
    (Method::GET, "/untagged?repository=NAME", None),
    (Method::GET, "/image?repository=NAME&reference=1.0", None),
    (Method::GET, "/image?repository=NAME&reference=DIGEST", None),
    (Method::GET, "/files?repository=NAME&reference=1.0&layer=1", None),
    (Method::GET, "/comparison?repository=NAME&from=1.0&to=2.0", None),
    (Method::GET, "/tags/history?repository=NAME&tag=1.0", None),
    (
        Method::POST,
        "/tags/restore?repository=NAME&tag=1.0",
        Some(r#"{"digest": "DIGEST"}"#),
    ),
    (
        Method::POST,
        "/plans?repository=NAME",
        Some(r#"{"everything": true}"#),
    ),
    (
        Method::POST,
        "/plans?repository=NAME",
        Some(r#"{"tags": ["1.0"]}"#),
    ),
    (
        Method::POST,
        "/plans/apply?repository=NAME",
        Some(r#"{"tags": ["1.0"]}"#),
    ),
];

/// What an answer tells about `name`, without what differs from request to request.
fn told(answer: &Answer, name: &str) -> (u16, Vec<String>, Value) {
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    let body = body.to_string();
    let body = body.replace(&format!("`{name}`"), "`NAME`");
    // The same, as the argument of a sentence.
    let body = body.replace(&format!("\"{name}\""), "\"NAME\"");
    let mut headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort();
    (
        answer.status.as_u16(),
        headers,
        serde_json::from_str(&body).unwrap(),
    )
}

async fn a_hidden_repository_is_answered_as_one_that_is_not_there(builder: ServerBuilder) {
    let server = ruled(builder, RULES);
    let secret = server.anonymous().as_user("alice", "pw").repository("secret");
    let stored = image::oci(1);
    secret.push_image("1.0", &stored).await;
    let bob = Api::of_operator(&server)
        .await
        .with(server.anonymous().as_user("bob", "pw"));
    let ask = async |method: &Method, target: &str, body: Option<&str>, name: &str| {
        let filled = |text: &str| {
            text.replace("NAME", name)
                .replace("DIGEST", &stored.manifest.digest)
        };
        let body = body.map(filled);
        bob.send(method.clone(), &filled(target), &[], body.as_deref())
            .await
    };
    for (method, target, body) in &OPERATIONS {
        let absent = ask(method, target, *body, "absent").await;
        let absent = told(&absent.expect_problem(404, "unknown-image"), "absent");
        // Whether it is there or not.
        for name in ["secret", "secre"] {
            let hidden = ask(method, target, *body, name).await;
            assert_eq!(told(&hidden, name), absent, "{method} {target}");
        }
    }
    secret.pull_image("1.0", &stored).await;
    // Clients of the distribution API are told as registry:2 tells them.
    let client = server.anonymous().as_user("bob", "pw");
    client
        .get("/v2/secret/tags/list")
        .await
        .expect_error(403, "DENIED");
}

async fn a_hidden_tag_is_answered_as_one_that_is_not_there(builder: ServerBuilder) {
    let server = ruled(builder, RULES);
    let app = server.anonymous().as_user("alice", "pw").repository("app");
    for tag in ["open", "closed"] {
        app.push_image(tag, &image::oci(1)).await;
    }
    let bob = Api::of_operator(&server)
        .await
        .with(server.anonymous().as_user("bob", "pw"));
    bob.get("/tags/history?repository=app&tag=open").await.expect(200);
    let mut answers = Vec::new();
    for tag in ["closed", "absent"] {
        let target = format!("/tags/history?repository=app&tag={tag}");
        let answer = bob.get(&target).await.expect_problem(404, "unknown-image");
        answers.push(told(&answer, tag));
    }
    assert_eq!(answers[0], answers[1]);
}

async fn pages_of_a_hidden_repository_are_those_of_one_that_is_not_there(builder: ServerBuilder) {
    let server = ruled(builder, RULES);
    let secret = server.anonymous().as_user("alice", "pw").repository("secret");
    secret.push_image("1.0", &image::oci(1)).await;
    let mut bob = Browser::of(&server, "bob").await;
    for path in [
        "/repo/NAME",
        "/repo/NAME?untagged=1",
        "/image/NAME:1.0",
        "/files/NAME:1.0",
        "/blob/NAME:1.0?layer=1",
        "/history/NAME:1.0",
        "/rollback/NAME:1.0",
        "/compare/NAME",
        "/compare/NAME?from=1.0&to=2.0",
        "/delete/NAME?everything=1",
        "/delete/NAME?tag=1.0",
    ] {
        let mut pages = Vec::new();
        for name in ["absent", "secret"] {
            let page = bob.open(&path.replace("NAME", name)).await.expect(404);
            let text = page.text();
            let main = text
                .split("<main")
                .nth(1)
                .unwrap()
                .split("</main>")
                .next()
                .unwrap();
            // What follows is the identifier of the request.
            let main = main.split("<p class=\"small quiet\">").next().unwrap();
            let main = main.replace(name, "NAME");
            let mut headers: Vec<String> = page.headers.keys().map(ToString::to_string).collect();
            headers.sort();
            pages.push((main, headers));
        }
        assert_eq!(pages[0], pages[1], "{path}");
    }
}
