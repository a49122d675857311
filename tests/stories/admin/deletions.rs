//! Deletions as plans, and the trash.

use wharf_testkit::{Client, Method, ServerBuilder, Value, eventually, image, json};

use super::{Api, ExpectProblem as _, tags::ruled, with_users};

wharf_testkit::configured_on_both_engines![
    a_plan_is_applied_as_it_was_seen_and_taken_back,
    a_whole_repository_goes_and_the_one_below_it_stays,
    each_account_deletes_and_restores_what_it_may,
    what_an_account_may_not_push_or_see_is_neither_restored_nor_counted,
    a_repository_that_goes_for_good_gives_its_earlier_deletions_up,
    only_administrators_delete_without_the_trash_and_empty_it,
    what_is_wrong_is_named,
    nothing_is_deleted_where_that_is_switched_off,
    nothing_is_deleted_from_a_store_that_is_read_only,
    the_newest_deletion_stands_first_in_the_trash,
];

const PLANS: &str = "/plans?repository=app";
const APPLY: &str = "/plans/apply?repository=app";

fn of_tags(tags: &[&str]) -> Value {
    json!({"tags": tags})
}

/// The same deletion, with the identifier of a plan.
fn as_seen(deletion: &Value, plan: &Value) -> String {
    let mut body = deletion.clone();
    body["plan"] = plan["id"].clone();
    body.to_string()
}

async fn deletions(api: &Api) -> Vec<Value> {
    let trash = api.get("/trash").await.expect(200).json();
    assert_eq!(trash["damaged"], json!([]));
    trash["deletions"].as_array().unwrap().clone()
}

async fn tags(client: &Client, name: &str) -> Vec<String> {
    client.repository(name).tags().await
}

async fn a_plan_is_applied_as_it_was_seen_and_taken_back(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let (app, operator) = (alice.repository("app"), Api::of_operator(&server).await);
    let (kept, gone) = (image::oci(1), image::oci(2));
    app.push_image("1.0", &kept).await;
    app.push_manifest("latest", &kept.manifest).await;
    app.push_image("old", &gone).await;

    let deletion = of_tags(&["1.0", "old"]);
    let plan = operator
        .post(PLANS, &deletion.to_string())
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&plan["kind"], &plan["repository"]),
        (&"tags".into(), &"app".into())
    );
    assert_eq!(
        (&plan["tags_total"], &plan["manifests_total"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        plan["manifests"],
        json!([{"digest": gone.manifest.digest, "role": "image"}])
    );
    assert_eq!(plan["stays"][0]["digest"], kept.manifest.digest.as_str());
    assert_eq!(plan["stays"][0]["why"], "it also has the tag `latest`");
    assert!(
        plan["bytes"]["free"].as_u64().unwrap() > 0 && plan["retention"] == 604_800,
        "{plan}"
    );

    // The repository changes: what was not seen is not deleted.
    app.push_image("old", &image::oci(3)).await;
    let by_alice = operator.with(alice.clone());
    by_alice
        .post(APPLY, &as_seen(&deletion, &plan))
        .await
        .expect_problem(412, "changed");
    assert_eq!(tags(&alice, "app").await, ["1.0", "latest", "old"]);
    app.push_manifest("old", &gone.manifest).await;

    let applied = by_alice
        .post(APPLY, &as_seen(&deletion, &plan))
        .await
        .expect(200)
        .json();
    assert_eq!(applied["tags"], json!(["1.0", "old"]));
    assert_eq!(applied["manifests"], json!([gone.manifest.digest]));
    assert_eq!(applied["stayed"], json!([]));
    assert_eq!(tags(&alice, "app").await, ["latest"]);
    app.get_manifest(&gone.manifest.digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    app.pull_image("latest", &kept).await;

    let [deleted] = <[Value; 1]>::try_from(deletions(&by_alice).await).unwrap();
    let id = applied["deletion"].as_str().unwrap();
    assert_eq!(deleted["id"], id);
    assert_eq!(
        (&deleted["actor"], &deleted["surface"]),
        (&"alice".into(), &"administration".into())
    );
    assert_eq!(
        (&deleted["tags"], &deleted["manifests"], &deleted["kind"]),
        (&2.into(), &1.into(), &"tags".into())
    );
    let record = by_alice
        .get(&format!("/trash/record?deletion={id}"))
        .await
        .expect(200)
        .json();
    assert_eq!(record["tags"][1]["tag"], "old");
    assert_eq!(record["tags"][1]["digest"], gone.manifest.digest.as_str());

    // The tag `old` is pushed meanwhile: it is left alone, unless that is forced, and its manifest comes back by its digest.
    app.push_image("old", &image::oci(4)).await;
    let restore = format!("/trash/restore?deletion={id}");
    let restored = by_alice.post(&restore, "{}").await.expect(200).json();
    assert_eq!(
        (&restored["tags"], &restored["manifests"]),
        (&json!(["1.0"]), &1.into())
    );
    app.get_manifest(&gone.manifest.digest).await.expect(200);
    assert_eq!(restored["left_alone"][0]["tag"], "old");
    assert_eq!(deletions(&by_alice).await.len(), 1, "it can still be forced");
    by_alice.post(&restore, r#"{"force":true}"#).await.expect(200);
    app.pull_image("old", &gone).await;
    app.pull_image("1.0", &kept).await;
    assert_eq!(deletions(&by_alice).await, Vec::<Value>::new());
    by_alice
        .post(&restore, "{}")
        .await
        .expect_problem(404, "unknown-deletion");

    // Each tag is an event, which the activity log has.
    let deleted = async || {
        let log = operator
            .get("/activity?repository=app&action=delete")
            .await
            .expect(200)
            .json();
        let entries = log["entries"].as_array().unwrap().clone();
        entries
            .iter()
            .filter(|entry| entry["actor"]["name"] == "alice")
            .count()
    };
    eventually("the deletions of alice are logged", async || deleted().await >= 3).await;
}

async fn a_whole_repository_goes_and_the_one_below_it_stays(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let operator = Api::of_operator(&server).await;
    let (index, below) = (image::oci_index(1), image::oci(2));
    alice.repository("app").push_index("multi", &index).await;
    alice.repository("app/sub").push_image("1", &below).await;
    alice.repository("other").push_image("1", &below).await;

    let everything = json!({"everything": true});
    let plan = operator
        .post(PLANS, &everything.to_string())
        .await
        .expect(200)
        .json();
    assert!(plan["layers"].as_u64().unwrap() > 0, "{plan}");
    operator
        .post(APPLY, &as_seen(&everything, &plan))
        .await
        .expect(200);
    let catalog = alice.get("/v2/_catalog").await.expect(200).json();
    assert_eq!(catalog["repositories"], json!(["app/sub", "other"]));
    alice
        .get("/v2/app/tags/list")
        .await
        .expect_error(404, "NAME_UNKNOWN");
    alice.repository("app/sub").pull_image("1", &below).await;
    let [deleted] = <[Value; 1]>::try_from(deletions(&operator).await).unwrap();
    let restore = format!("/trash/restore?deletion={}", deleted["id"].as_str().unwrap());
    operator.post(&restore, "{}").await.expect(200);
    for child in &index.images {
        alice
            .repository("app")
            .pull_image(&child.manifest.digest, child)
            .await;
    }

    // What is untagged goes by itself, once it is old enough.
    alice.repository("app").delete_manifest("multi").await.expect(202);
    let untagged = |age: u64| json!({"untagged": {"min_age": age, "keep_history": 0}}).to_string();
    let young = operator.post(PLANS, &untagged(3600)).await.expect(200).json();
    assert_eq!(young["manifests_total"], 0);
    let applied = operator.post(APPLY, &untagged(0)).await.expect(200).json();
    assert_eq!(applied["manifests_total"], 1 + index.images.len());
    // The other repository shares its bytes with the one below.
    let shared = operator
        .post("/plans?repository=other", &everything.to_string())
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&shared["bytes"]["free"], &shared["bytes"]["shared_with"]),
        (&0.into(), &json!(["app/sub"]))
    );
}

async fn each_account_deletes_and_restores_what_it_may(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: alice, repositories: '**', allow: [pull, push, delete]}\n\
         - {accounts: bob, repositories: app, tags: release, deny: delete}\n\
         - {accounts: bob, repositories: app, allow: [pull, delete]}\n\
         - {accounts: carol, repositories: other, allow: [pull, push, delete]}\n",
    );
    let user = |name: &str| server.anonymous().as_user(name, "pw");
    let operator = Api::of_operator(&server).await;
    let by = |name: &str| operator.with(user(name));
    let image = image::oci(1);
    for name in ["app", "secret"] {
        user("alice").repository(name).push_image("release", &image).await;
        user("alice")
            .repository(name)
            .push_image("test", &image::oci(2))
            .await;
    }

    let everything = json!({"everything": true}).to_string();
    let denied = by("bob")
        .post(PLANS, &everything)
        .await
        .expect_problem(403, "forbidden")
        .json();
    assert_eq!(denied["right"], "delete");
    assert!(
        denied["detail"].as_str().unwrap().contains("`release`"),
        "{denied}"
    );
    by("carol")
        .post(PLANS, &everything)
        .await
        .expect_problem(404, "unknown-image");
    operator
        .with(server.anonymous())
        .post(PLANS, &everything)
        .await
        .expect_problem(401, "not-authenticated");
    // Names of repositories that the account may not see are not told.
    let plan = by("bob")
        .post(PLANS, &of_tags(&["test"]).to_string())
        .await
        .expect(200)
        .json();
    assert_eq!(plan["bytes"]["shared_with"], json!([]), "{plan}");
    assert!(plan["bytes"]["shared"].as_u64().unwrap() > 0);

    let applied = by("bob")
        .post(APPLY, &of_tags(&["test"]).to_string())
        .await
        .expect(200)
        .json();
    let id = applied["deletion"].as_str().unwrap();
    assert_eq!(deletions(&by("alice")).await.len(), 1);
    assert_eq!(deletions(&by("bob")).await.len(), 1);
    assert_eq!(deletions(&by("carol")).await.len(), 0);
    let (record, restore) = (
        format!("/trash/record?deletion={id}"),
        format!("/trash/restore?deletion={id}"),
    );
    by("bob").get(&record).await.expect(200);
    by("carol")
        .get(&record)
        .await
        .expect_problem(404, "unknown-deletion");
    by("carol")
        .post(&restore, "{}")
        .await
        .expect_problem(404, "unknown-deletion");
    let denied = by("bob")
        .post(&restore, "{}")
        .await
        .expect_problem(403, "forbidden")
        .json();
    assert_eq!(denied["right"], "push");
    by("alice").post(&restore, "{}").await.expect(200);
    user("alice")
        .repository("app")
        .pull_image("test", &image::oci(2))
        .await;
}

/// The deletion takes an entry of the history of `release`, and a tag that bob may not see.
async fn what_an_account_may_not_push_or_see_is_neither_restored_nor_counted(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: alice, repositories: '**', allow: [pull, push, delete]}\n\
         - {accounts: bob, repositories: app, tags: release, deny: [push, pull]}\n\
         - {accounts: bob, repositories: app, allow: [pull, push, delete]}\n",
    );
    let user = |name: &str| server.anonymous().as_user(name, "pw");
    let operator = Api::of_operator(&server).await;
    let by = |name: &str| operator.with(user(name));
    let app = user("alice").repository("app");
    let old = image::oci(1);
    app.push_image("release", &old).await;
    app.push_image("release", &image::oci(2)).await;
    let deletion = json!({"manifest": old.manifest.digest}).to_string();
    let applied = by("bob").post(APPLY, &deletion).await.expect(200).json();
    let restore = |applied: &Value| {
        let id = applied["deletion"].as_str().unwrap();
        format!("/trash/restore?deletion={id}")
    };
    let denied = by("bob").post(&restore(&applied), "{}").await;
    assert_eq!(denied.expect_problem(403, "forbidden").json()["right"], "push");
    app.get_manifest(&old.manifest.digest).await.expect(404);
    by("alice").post(&restore(&applied), "{}").await.expect(200);
    app.get_manifest(&old.manifest.digest).await.expect(200);

    let both = of_tags(&["release", "seen"]);
    app.push_image("seen", &image::oci(3)).await;
    let applied = by("alice")
        .post(APPLY, &both.to_string())
        .await
        .expect(200)
        .json();
    let record = format!("/trash/record?deletion={}", applied["deletion"].as_str().unwrap());
    for (name, count) in [("alice", 2), ("bob", 1)] {
        let shown = by(name).get(&record).await.expect(200).json();
        assert_eq!(shown["tags"].as_array().unwrap().len(), count, "{name}: {shown}");
        assert_eq!(shown["deletion"]["tags"], count, "{name}: {shown}");
    }
}

async fn a_repository_that_goes_for_good_gives_its_earlier_deletions_up(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let (app, operator) = (alice.repository("app"), Api::of_operator(&server).await);
    app.push_image("1", &image::oci(1)).await;
    app.push_image("2", &image::oci(2)).await;
    let earlier = operator.post(APPLY, &of_tags(&["1"]).to_string()).await;
    let earlier = earlier.expect(200).json()["deletion"].clone();
    let everything = json!({"everything": true});
    let plan = operator
        .post(PLANS, &everything.to_string())
        .await
        .expect(200)
        .json();
    assert_eq!(plan["earlier"], json!([earlier]));
    let mut body = everything.clone();
    (body["plan"], body["now"]) = (plan["id"].clone(), true.into());
    let applied = operator.post(APPLY, &body.to_string()).await.expect(200).json();
    assert_eq!((&applied["earlier"], applied.get("deletion")), (&1.into(), None));
    assert_eq!(deletions(&operator).await.len(), 0);
}

async fn only_administrators_delete_without_the_trash_and_empty_it(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let operator = Api::of_operator(&server).await;
    let by_alice = operator.with(alice.clone());
    let app = alice.repository("app");
    for (number, tag) in ["1", "2", "3"].into_iter().enumerate() {
        app.push_image(tag, &image::oci(u32::try_from(number).unwrap()))
            .await;
    }
    let now = json!({"tags": ["1"], "now": true}).to_string();
    let denied = by_alice
        .post(APPLY, &now)
        .await
        .expect_problem(403, "forbidden")
        .json();
    assert_eq!(denied["right"], "admin");
    let applied = operator.post(APPLY, &now).await.expect(200).json();
    assert!(applied["deletion"].is_null(), "{applied}");
    assert_eq!(deletions(&operator).await.len(), 0);

    let mut ids = Vec::new();
    for tag in ["2", "3"] {
        let applied = by_alice
            .post(APPLY, &of_tags(&[tag]).to_string())
            .await
            .expect(200)
            .json();
        ids.push(applied["deletion"].as_str().unwrap().to_owned());
    }
    let page = operator.get("/trash?limit=1").await.expect(200).json();
    let next = page["next"].as_str().unwrap();
    assert_eq!(
        (page["deletions"].as_array().unwrap().len(), next),
        (1, ids[1].as_str())
    );
    let rest = operator
        .get(&format!("/trash?cursor={next}"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&rest["deletions"][0]["id"], &rest["next"]),
        (&ids[0].as_str().into(), &Value::Null)
    );
    let others = operator.get("/trash?repository=other").await.expect(200).json();
    assert_eq!(others["deletions"], json!([]));

    let one = format!("/trash?deletion={}", ids[0]);
    by_alice.delete(&one).await.expect_problem(403, "forbidden");
    by_alice
        .post("/trash/empty", r#"{"older_than":0}"#)
        .await
        .expect_problem(403, "forbidden");
    operator.delete(&one).await.expect(200);
    operator
        .delete(&one)
        .await
        .expect_problem(404, "unknown-deletion");
    let old = operator
        .post("/trash/empty", r#"{"older_than":3600}"#)
        .await
        .expect(200)
        .json();
    assert_eq!(old["removed"], 0);
    let all = operator
        .post("/trash/empty", r#"{"older_than":0}"#)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&all["removed"], deletions(&operator).await.len()),
        (&1.into(), 0)
    );
    let logged = async || {
        let log = operator
            .get("/activity?action=administration")
            .await
            .expect(200)
            .json();
        log.to_string()
            .contains(&format!("gave up the deletion `{}`", ids[0]))
    };
    eventually("it is logged that a deletion was given up", logged).await;
}

async fn what_is_wrong_is_named(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let operator = Api::of_operator(&server).await;
    let index = image::oci_index(1);
    alice.repository("app").push_index("multi", &index).await;
    for (body, field) in [
        (json!({}), "tags"),
        (json!({"tags": []}), "tags"),
        (json!({"tags": ["-"]}), "tags"),
        (json!({"tags": ["multi"], "everything": true}), "tags"),
        (json!({"manifest": "sha256:1"}), "manifest"),
        (json!({"everything": true, "keep_images": true}), "keep_images"),
    ] {
        let problem = operator
            .post(PLANS, &body.to_string())
            .await
            .expect_problem(400, "bad-body")
            .json();
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
    let no_plan = json!({"everything": true, "plan": "x"}).to_string();
    let problem = operator
        .post(APPLY, &no_plan)
        .await
        .expect_problem(400, "bad-body")
        .json();
    assert_eq!(problem["field"], "plan");
    operator
        .post(PLANS, &of_tags(&["none"]).to_string())
        .await
        .expect_problem(404, "unknown-image");
    let other = operator
        .post("/plans?repository=none", &of_tags(&["1"]).to_string())
        .await;
    other.expect_problem(404, "unknown-image");
    let child = json!({"manifest": index.images[0].manifest.digest}).to_string();
    for target in [PLANS, APPLY] {
        let needed = operator
            .post(target, &child)
            .await
            .expect_problem(409, "needed")
            .json();
        assert!(
            needed["detail"].as_str().unwrap().contains("`app:multi`"),
            "{needed}"
        );
    }
    for target in ["/trash/record?deletion=x", "/trash?cursor=x"] {
        operator.get(target).await.expect_problem(400, "bad-query");
    }
    let never = "20261129T101500.123-5e1c09ab";
    let unknown = operator.get(&format!("/trash/record?deletion={never}")).await;
    unknown.expect_problem(404, "unknown-deletion");
}

async fn nothing_is_deleted_where_that_is_switched_off(builder: ServerBuilder) {
    let server = with_users(builder).storage("delete: {enabled: false}").start();
    let alice = server.anonymous().as_user("alice", "pw");
    alice.repository("app").push_image("1", &image::oci(1)).await;
    let operator = Api::of_operator(&server).await;
    let deletion = of_tags(&["1"]).to_string();
    operator.post(PLANS, &deletion).await.expect(200);
    let problem = operator
        .post(APPLY, &deletion)
        .await
        .expect_problem(409, "deleting-disabled")
        .json();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`storage.delete.enabled: true`"), "{detail}");
    assert_eq!(tags(&alice, "app").await, ["1"]);
}

async fn nothing_is_deleted_from_a_store_that_is_read_only(builder: ServerBuilder) {
    // Without users, a client of this machine may do everything.
    let server = builder
        .storage("maintenance: {readonly: {enabled: true}}")
        .start();
    let operator = Api::new(server.anonymous(), "/api/v1").await;
    let deletion = of_tags(&["1"]).to_string();
    for (method, target, body) in [
        (Method::POST, APPLY, Some(deletion.as_str())),
        (
            Method::POST,
            "/trash/restore?deletion=20261129T101500.123-5e1c09ab",
            Some("{}"),
        ),
        (
            Method::DELETE,
            "/trash?deletion=20261129T101500.123-5e1c09ab",
            None,
        ),
        (Method::POST, "/trash/empty", Some(r#"{"older_than":0}"#)),
    ] {
        let answer = operator.send(method, target, &[], body).await;
        answer.expect_problem(409, "read-only");
    }
    operator.get("/trash").await.expect(200);
}

async fn the_newest_deletion_stands_first_in_the_trash(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let app = server.anonymous().as_user("alice", "pw").repository("app");
    let api = Api::of_operator(&server).await;
    let mut made = Vec::new();
    let delete = async |tag: &str| {
        app.push_image(tag, &image::oci(tag)).await;
        let target = "/plans/apply?repository=app";
        let applied = api.post(target, &of_tags(&[tag]).to_string()).await.expect(200);
        applied.json()["deletion"].as_str().unwrap().to_owned()
    };
    for tag in ["1", "2", "3"] {
        made.push(delete(tag).await);
    }
    let page = async |cursor: &str| {
        let page = api
            .get(&format!("/trash?limit=2{cursor}"))
            .await
            .expect(200)
            .json();
        let ids = page["deletions"].as_array().unwrap().iter();
        let ids: Vec<String> = ids
            .map(|deleted| deleted["id"].as_str().unwrap().to_owned())
            .collect();
        (
            ids,
            page.get("next").map(|next| next.as_str().unwrap().to_owned()),
        )
    };
    let (first, next) = page("").await;
    assert_eq!(first, [made[2].clone(), made[1].clone()]);
    // What comes and goes meanwhile moves nothing.
    let newest = delete("4").await;
    api.delete(&format!("/trash?deletion={}", made[1]))
        .await
        .expect(200);
    let (rest, end) = page(&format!("&cursor={}", next.unwrap())).await;
    assert_eq!((rest, end), (vec![made[0].clone()], None));
    assert_eq!(page("").await.0, [newest, made[2].clone()]);
}
