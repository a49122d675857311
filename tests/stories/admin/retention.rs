//! Retention by the administration API: what rules would take, and taking it.

use wharf_testkit::{ServerBuilder, Value, eventually, image, json};

use super::{Api, ExpectProblem as _, tags::ruled, with_users};

wharf_testkit::configured_on_both_engines![
    a_plan_of_retention_has_a_reason_for_every_tag_and_is_applied_as_it_was_seen,
    rules_of_the_configuration_protect_and_run_on_schedule,
    what_a_rule_lacks_is_named,
    an_account_prunes_only_what_it_may_delete,
    too_many_tags_are_refused_and_allowed_when_asked_for,
];

const PLANS: &str = "/plans?repository=app";
const APPLY: &str = "/plans/apply?repository=app";

/// The tags of a plan with this fate.
fn tags(plan: &Value, goes: bool) -> Vec<&str> {
    let verdicts = plan["verdicts"].as_array().expect("verdicts").iter();
    let fitting = verdicts.filter(|verdict| verdict["goes"] == goes);
    fitting.map(|verdict| verdict["tag"].as_str().unwrap()).collect()
}

fn keep(count: usize) -> Value {
    json!({"rules": [{"keep": count}]})
}

async fn a_plan_of_retention_has_a_reason_for_every_tag_and_is_applied_as_it_was_seen(
    builder: ServerBuilder,
) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let (app, operator) = (alice.repository("app"), Api::of_operator(&server).await);
    for number in 1..=3 {
        app.push_image(&format!("1.{number}"), &image::oci(number)).await;
    }
    alice.repository("other").push_image("1", &image::oci(1)).await;
    let all = operator
        .post("/retention/plans", &keep(1).to_string())
        .await
        .expect(200)
        .json();
    let plans = all["plans"].as_array().unwrap();
    assert_eq!((plans.len(), &all["next"]), (2, &Value::Null));
    // Times on a bucket are in whole seconds; then the order of the names decides.
    assert_eq!(
        (tags(&plans[0], true), tags(&plans[0], false)),
        (vec!["1.2", "1.1"], vec!["1.3"])
    );
    assert_eq!(plans[0]["verdicts"][0]["why"], "newest of 1 that stay");
    assert_eq!(
        (&plans[1]["repository"], tags(&plans[1], true)),
        (&"other".into(), vec![])
    );

    let deletion = json!({"retention": keep(1)});
    let plan = operator
        .post(PLANS, &deletion.to_string())
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&plan["id"], &plan["kind"]),
        (&plans[0]["id"], &"retention".into())
    );
    let mut seen = deletion.clone();
    seen["plan"] = plan["id"].clone();
    app.push_image("1.4", &image::oci(4)).await;
    operator
        .post(APPLY, &seen.to_string())
        .await
        .expect_problem(412, "changed");
    let applied = operator
        .post(APPLY, &deletion.to_string())
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&applied["tags_total"], app.tags().await),
        (&3.into(), vec!["1.4".to_owned()])
    );
}

async fn rules_of_the_configuration_protect_and_run_on_schedule(builder: ServerBuilder) {
    let rules =
        "retention: {apply: true, schedule: 1s, protect: [latest], rules: [{repositories: [app], keep: 1}]}";
    let server = with_users(builder).config(rules).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let (app, operator) = (alice.repository("app"), Api::of_operator(&server).await);
    for tag in ["latest", "v1", "v2"] {
        app.push_image(tag, &image::oci(tag)).await;
    }
    eventually("retention has run", || async {
        app.tags().await == ["latest", "v2"]
    })
    .await;
    let shown = || async { operator.get("/retention").await.expect(200).json() };
    eventually("the run is shown", || async {
        shown().await["last"]["applied"] == true
    })
    .await;
    let shown = shown().await;
    assert_eq!(
        (&shown["apply"], &shown["protect"]),
        (&true.into(), &json!(["latest"]))
    );
    assert_eq!(shown["rules"], json!([{"repositories": ["app"], "keep": 1}]));
    let plan = operator
        .post(PLANS, r#"{"retention":{"rules":[{"keep":0}],"max_delete":100}}"#)
        .await;
    let plan = plan.expect(200).json();
    assert_eq!(
        (tags(&plan, true), tags(&plan, false)),
        (vec!["v2"], vec!["latest"])
    );
}

async fn what_a_rule_lacks_is_named(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let operator = Api::of_operator(&server).await;
    for body in [
        r#"{"rules":[]}"#,
        r#"{"rules":[{"tags":["a"]}]}"#,
        r#"{"rules":[{"keep":1,"tags":["["]}]}"#,
        r#"{"rules":[{"keep":1,"tags":["release/*"]}]}"#,
        r#"{"rules":[{"keep":1,"kinds":["images"]}]}"#,
        r#"{"rules":[{"keep":1,"tags":["re:("]}]}"#,
        r#"{"rules":[{"keep":1}],"max_delete":101}"#,
        "{}",
    ] {
        operator
            .post("/retention/plans", body)
            .await
            .expect_problem(400, "bad-body");
    }
    let many = json!({"rules": [{"keep": 1, "tags": vec!["a*"; 200]}]});
    operator
        .post("/retention/plans", &many.to_string())
        .await
        .expect_problem(400, "bad-body");
}

async fn an_account_prunes_only_what_it_may_delete(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: bob, repositories: app, tags: release, deny: delete}\n\
         - {accounts: [alice, bob], repositories: '**', allow: [pull, push, delete]}\n",
    );
    let user = |name: &str| server.anonymous().as_user(name, "pw");
    let (alice, bob) = (user("alice"), user("bob"));
    for tag in ["release", "1", "2"] {
        alice.repository("app").push_image(tag, &image::oci(1)).await;
    }
    let bob = Api::of_operator(&server).await.with(bob);
    let all = r#"{"retention":{"rules":[{"keep":0}],"max_delete":100}}"#;
    bob.post(APPLY, all).await.expect_problem(403, "forbidden");
    bob.post("/retention/plans", &keep(1).to_string())
        .await
        .expect_problem(403, "forbidden");
    let others = r#"{"retention":{"rules":[{"keep":0,"not_tags":["release"]}],"max_delete":100}}"#;
    bob.post(APPLY, others).await.expect(200);
    assert_eq!(alice.repository("app").tags().await, ["release"]);
}

async fn too_many_tags_are_refused_and_allowed_when_asked_for(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let (app, operator) = (alice.repository("app"), Api::of_operator(&server).await);
    app.push_image("1", &image::oci(1)).await;
    let none = r#"{"retention":{"rules":[{"keep":0}]}}"#;
    let plan = operator.post(PLANS, none).await.expect(200).json();
    assert!(
        plan["refused"].as_str().unwrap().contains("1 of 1 tags"),
        "{plan}"
    );
    operator
        .post(APPLY, none)
        .await
        .expect_problem(409, "too-many-tags");
    let allowed = r#"{"retention":{"rules":[{"keep":0}],"max_delete":100}}"#;
    operator.post(APPLY, allowed).await.expect(200);
    app.get_manifest("1").await.expect(404);
}
