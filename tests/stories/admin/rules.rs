//! The access rules: those in force, and the check of a text.

use wharf_testkit::{Client, Server, ServerBuilder, Value, json};

use super::{ALICE, Api, ExpectProblem as _, socket_of, with_socket, with_users};

wharf_testkit::configured_on_both_engines![
    a_text_is_checked_and_not_used,
    without_users_there_are_no_rules,
    a_question_is_answered_by_the_rules_in_force,
    administrators_are_those_that_a_key_or_a_rule_names,
];

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

async fn a_question_is_answered_by_the_rules_in_force(builder: ServerBuilder) {
    builder.write(
        "rules.yml",
        "groups: {ci: [dan]}\nrules:\n- {accounts: '@ci', repositories: 'team/**', allow: push, push: create-only, comment: Once}\n",
    );
    let rules = builder.path("rules.yml").display().to_string();
    let server = with_users(builder)
        .config(format!("access: {{admins: [alice], rules: '{rules}'}}"))
        .start();
    let operator = api(&server).await;
    let test = async |question: Value| operator.post("/rules/test", &question.to_string()).await;
    let push =
        json!({"account": "bob", "groups": ["ci"], "action": "push", "repository": "team/app", "tag": "1"});
    assert_eq!(
        test(push).await.expect(200).json(),
        json!({
            "allowed": true, "create_only": true,
            "rule": {"file": rules, "line": 3, "origin": "line 3", "comment": "Once"},
        })
    );
    let admin = json!({"account": "alice", "action": "admin"});
    assert_eq!(
        test(admin).await.expect(200).json(),
        json!({
            "allowed": true, "create_only": false,
            "rule": {"key": "access.admins", "origin": "`access.admins` of the configuration"},
        })
    );
    let anonymous = json!({"action": "pull", "repository": "team/app", "from": "10.0.0.1"});
    assert_eq!(
        test(anonymous.clone()).await.expect(200).json(),
        json!({"allowed": false, "create_only": false})
    );
    for (field, value) in [
        ("repository", json!("A")),
        ("repository", Value::Null),
        ("tag", json!("-")),
        ("from", json!("here")),
    ] {
        let mut wrong = anonymous.clone();
        wrong[field] = value;
        let problem = test(wrong).await.expect_problem(400, "bad-body").json();
        assert_eq!(problem["field"], field, "{problem}");
    }
    // Which rules there are is a secret of the administrators.
    let bob = operator.with(server.anonymous().as_user("bob", "pw"));
    bob.post("/rules/test", r#"{"action":"admin"}"#)
        .await
        .expect_problem(401, "not-authenticated");
}

async fn administrators_are_those_that_a_key_or_a_rule_names(builder: ServerBuilder) {
    let file = "rules:\n  - accounts: bob\n    repositories: '**'\n    allow: [admin]\n  \
        - accounts: carol\n    repositories: 'team/**'\n    allow: [pull, push]\n";
    builder.write("rules.yml", file);
    let rules = builder.path("rules.yml").display().to_string();
    let server = with_users(builder)
        .config(format!("access: {{admins: [alice], rules: '{rules}'}}"))
        .start();
    let hash = ALICE.trim_end().split_once(':').unwrap().1;
    let users = ["alice", "bob", "carol"].map(|name| format!("{name}:{hash}\n"));
    server.write("htpasswd", users.concat());
    let operator = api(&server).await;
    let user = |name: &str| operator.with(server.anonymous().as_user(name, "pw"));
    for (name, is_admin) in [("alice", true), ("bob", true), ("carol", false)] {
        let me = user(name).get("/whoami").await.expect(200).json();
        assert_eq!((&me["account"], &me["admin"]), (&name.into(), &is_admin.into()));
        let users = user(name).get("/users").await;
        if is_admin {
            users.expect(200);
        } else {
            users.expect_problem(403, "forbidden");
        }
    }
    let shown = user("bob").get("/rules").await.expect(200).json();
    assert_eq!(shown["file"], json!({"path": rules, "warnings": []}), "{shown}");
    let listed = shown["rules"].as_array().unwrap();
    let origins: Vec<&str> = listed
        .iter()
        .map(|rule| rule["origin"].as_str().unwrap())
        .collect();
    assert_eq!(
        origins,
        ["`access.admins` of the configuration", "line 2", "line 5"]
    );
    assert_eq!(listed[1]["actions"], json!(["admin"]));

    // Half a write: the last good rules stay in force, and the state of the file says so.
    server.write("rules.yml", "rules:\n  - accounts: bob\n");
    let shown = user("alice").get("/rules").await.expect(200).json();
    assert!(
        shown["file"]["problem"].as_str().unwrap().contains("line"),
        "{shown}"
    );
    assert_eq!(shown["rules"].as_array().unwrap().len(), 3, "{shown}");
    server.write("rules.yml", "rules: []\n");
    user("bob").get("/users").await.expect_problem(403, "forbidden");
    // A user that is removed is no administrator any more.
    operator.delete("/users?name=alice").await.expect(200);
    user("alice")
        .get("/users")
        .await
        .expect_problem(401, "not-authenticated");
}
