//! The access rules: those in force, and the check of a text.

use wharf_testkit::{Client, Server, ServerBuilder, json};

use super::{Api, ExpectProblem as _, socket_of, with_socket, with_users};

wharf_testkit::configured_on_both_engines![a_text_is_checked_and_not_used, without_users_there_are_no_rules,];

async fn api(server: &Server) -> Api {
    Api::new(Client::unix(&socket_of(server)), "/api/v1").await
}

async fn a_text_is_checked_and_not_used(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let api = api(&server).await;
    assert_eq!(api.get("/rules").await.expect(200).json(), json!({"rules": []}));
    let good =
        json!({"text": "rules:\n  - accounts: alice\n    repositories: team/**\n    allow: [pull, push]\n"});
    let checked = api
        .post("/rules/check", &good.to_string())
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&checked["usable"], &checked["problems"]),
        (&true.into(), &json!([])),
        "{checked}"
    );
    let rule = &checked["rules"][0];
    assert_eq!(
        (&rule["line"], &rule["effect"]),
        (&2.into(), &"allow".into()),
        "{checked}"
    );
    assert_eq!(rule["actions"], json!(["pull", "push"]));
    assert_eq!(
        (&rule["accounts"], &rule["repositories"]),
        (&json!(["alice"]), &json!(["team/**"]))
    );

    let bad = json!({"text": "rules:\n  - accounts: alice\n    repositories: '**'\n    allow: [pul]\n"});
    let checked = api
        .post("/rules/check", &bad.to_string())
        .await
        .expect(200)
        .json();
    assert_eq!(checked["usable"], false, "{checked}");
    let problem = &checked["problems"][0];
    assert_eq!(
        (&problem["line"], &problem["weight"]),
        (&4.into(), &"error".into()),
        "{checked}"
    );
    assert!(problem["text"].as_str().unwrap().contains("pul"), "{checked}");

    let long = format!("# {}\nrules: []\n", "x".repeat(900 << 10));
    api.post("/rules/check", &json!({"text": long}).to_string())
        .await
        .expect(200);
    let longer = json!({"text": "x".repeat(1 << 20)}).to_string();
    api.post("/rules/check", &longer)
        .await
        .expect_problem(413, "body-too-large");
    api.post("/rules/check", r#"{"txt":""}"#)
        .await
        .expect_problem(400, "bad-body");
    assert_eq!(api.get("/rules").await.expect(200).json(), json!({"rules": []}));
}

async fn without_users_there_are_no_rules(builder: ServerBuilder) {
    let server = with_socket(builder).start();
    api(&server)
        .await
        .get("/rules")
        .await
        .expect_problem(409, "no-users");
}
