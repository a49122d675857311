//! Deleting by the page: the plan is the confirmation, and the trash the way back.

use wharf_testkit::{Server, ServerBuilder, image};

use super::{Browser, Form, with_accounts};

wharf_testkit::configured_on_both_engines![
    tags_are_deleted_by_their_plan_and_brought_back,
    a_plan_that_has_changed_deletes_nothing,
    a_repository_is_deleted_when_its_name_is_typed,
    a_deletion_of_an_ended_session_shows_its_plan_again,
    very_many_tags_of_an_ended_session_are_kept_as_well,
    without_users_this_machine_deletes,
    tags_that_were_pushed_again_are_left_alone_and_told,
    a_manifest_is_deleted_by_its_digest,
];

mod without_a_second_right {
    use super::*;

    wharf_testkit::configured_on_both_engines![a_reader_is_offered_no_deletion];
}

async fn push(server: &Server, tags: &[&str]) {
    let app = server.anonymous().as_user("root", "pw").repository("team/app");
    for tag in tags {
        app.push_image(tag, &image::oci(tag)).await;
    }
}

async fn tags(server: &Server) -> Vec<String> {
    let root = server.anonymous().as_user("root", "pw");
    let answer = root.get("/v2/team/app/tags/list").await;
    match answer.status.as_u16() {
        404 => Vec::new(),
        _ => {
            let tags = answer.expect(200).json()["tags"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
        }
    }
}

async fn tags_are_deleted_by_their_plan_and_brought_back(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    push(&server, &["1.0", "1.1", "2.0"]).await;
    let mut browser = Browser::of(&server, "root").await;
    let plan = browser.open("/delete/team/app?tag=1.0&tag=1.1").await.expect(200);
    assert!(plan.text().contains("1.0") && plan.text().contains("1.1"));
    assert_eq!(tags(&server).await.len(), 3, "to look changes nothing");
    let deleted = browser
        .send(&Form::find(&plan, "/delete/team/app"))
        .await
        .expect(303);
    assert_eq!(deleted.header("location"), "/ui/repo/team/app");
    assert_eq!(tags(&server).await, ["2.0"]);
    // The notice is told once, on the next page, with the way back.
    let page = browser.open("/account").await.expect(200);
    let undo = Form::find(&page, "/restore");
    assert!(page.text().contains("2 tags deleted"), "{}", page.text());
    let after = browser.open("/account").await.expect(200);
    assert!(Form::maybe(&after, "/restore").is_none());
    let trash = browser.open("/trash").await.expect(200);
    assert!(trash.text().contains("team/app"));
    let id = undo.action.split('/').nth(3).unwrap().to_owned();
    let record = browser.open(&format!("/trash/{id}")).await.expect(200);
    assert!(record.text().contains("1.1"));
    let restored = browser.send(&undo).await.expect(303);
    assert_eq!(restored.header("location"), "/ui/repo/team/app");
    assert_eq!(tags(&server).await, ["1.0", "1.1", "2.0"]);
}

async fn a_plan_that_has_changed_deletes_nothing(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    push(&server, &["1.0", "2.0"]).await;
    let mut browser = Browser::of(&server, "root").await;
    let plan = browser.open("/delete/team/app?tag=1.0").await.expect(200);
    let form = Form::find(&plan, "/delete/team/app");
    let app = server.anonymous().as_user("root", "pw").repository("team/app");
    app.push_image("1.0", &image::oci("another")).await;
    let answer = browser.send(&form).await.expect(412);
    assert!(
        answer.text().contains("has changed since you saw the plan"),
        "{}",
        answer.text()
    );
    assert_eq!(tags(&server).await, ["1.0", "2.0"]);
    let again = Form::find(&answer, "/delete/team/app");
    assert_ne!(again.get("plan"), form.get("plan"));
    browser.send(&again).await.expect(303);
    assert_eq!(tags(&server).await, ["2.0"]);
}

async fn a_repository_is_deleted_when_its_name_is_typed(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    push(&server, &["1.0"]).await;
    let mut browser = Browser::of(&server, "root").await;
    let plan = browser.open("/delete/team/app?everything=1").await.expect(200);
    let form = Form::find(&plan, "/delete/team/app");
    for typed in ["", "team", "team/app2"] {
        browser
            .send(&form.clone().with("confirm", typed))
            .await
            .expect(409);
        assert_eq!(tags(&server).await, ["1.0"]);
    }
    let deleted = browser.send(&form.with("confirm", "team/app")).await.expect(303);
    assert_eq!(deleted.header("location"), "/ui/");
    assert!(tags(&server).await.is_empty());
}

async fn a_deletion_of_an_ended_session_shows_its_plan_again(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    push(&server, &["1.0", "1.1", "2.0"]).await;
    let mut browser = Browser::of(&server, "root").await;
    let plan = browser.open("/delete/team/app?tag=1.0&tag=1.1").await.expect(200);
    let form = Form::find(&plan, "/delete/team/app");
    browser.cookies.clear();
    let answer = browser.send(&form).await.expect(401);
    let resumed = Form::find(&answer, "/sign-in")
        .with("name", "root")
        .with("password", "pw");
    let signed_in = browser.send(&resumed).await.expect(303);
    assert_eq!(tags(&server).await.len(), 3, "nothing was carried out");
    let plan = browser.follow(&signed_in).await.expect(200);
    let form = Form::find(&plan, "/delete/team/app");
    let chosen: Vec<&str> = form
        .fields
        .iter()
        .filter(|(name, _)| name == "tag")
        .map(|(_, tag)| &**tag)
        .collect();
    assert_eq!(chosen, ["1.0", "1.1"]);
    browser.send(&form).await.expect(303);
    assert_eq!(tags(&server).await, ["2.0"]);
}

async fn very_many_tags_of_an_ended_session_are_kept_as_well(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    push(&server, &["first", "last"]).await;
    let mut browser = Browser::of(&server, "root").await;
    let plan = browser.open("/delete/team/app?tag=first").await.expect(200);
    let mut form = Form::find(&plan, "/delete/team/app");
    for number in 0..300 {
        form.fields
            .push(("tag".to_owned(), format!("a-tag-that-is-not-there-{number}")));
    }
    form.fields.push(("tag".to_owned(), "last".to_owned()));
    browser.cookies.clear();
    let answer = browser.send(&form).await.expect(401);
    let resumed = Form::find(&answer, "/sign-in")
        .with("name", "root")
        .with("password", "pw");
    let page = browser.send(&resumed).await.expect(200);
    let again = Form::find(&page, "/delete/team/app");
    assert_eq!(again.fields.iter().filter(|(name, _)| name == "tag").count(), 302);
    assert_eq!(again.get("plan"), "", "it only shows the plan");
    // Some are not there, which the plan says; nothing was deleted on the way.
    browser.send(&again).await;
    assert_eq!(tags(&server).await, ["first", "last"]);
}

async fn without_users_this_machine_deletes(builder: ServerBuilder) {
    let server = builder.start();
    let app = server.anonymous().repository("team/app");
    app.push_image("1.0", &image::oci("1.0")).await;
    let mut browser = Browser::new(&server);
    let plan = browser.open("/delete/team/app?tag=1.0").await.expect(200);
    let form = Form::find(&plan, "/delete/team/app");
    browser.send(&form.clone().with("csrf", "")).await.expect(403);
    app.get_manifest("1.0").await.expect(200);
    browser.send(&form).await.expect(303);
    app.get_manifest("1.0").await.expect(404);
}

async fn tags_that_were_pushed_again_are_left_alone_and_told(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    push(&server, &["1.0", "2.0"]).await;
    let mut browser = Browser::of(&server, "root").await;
    let plan = browser.open("/delete/team/app?tag=1.0").await.expect(200);
    browser
        .send(&Form::find(&plan, "/delete/team/app"))
        .await
        .expect(303);
    let app = server.anonymous().as_user("root", "pw").repository("team/app");
    app.push_image("1.0", &image::oci("another")).await;
    let trash = browser.open("/trash").await.expect(200);
    let restored = browser.send(&Form::find(&trash, "/restore")).await;
    match restored.status.as_u16() {
        200 => assert!(restored.text().contains("pushed again"), "{}", restored.text()),
        status => assert_eq!(status, 303),
    }
    let now = app.get_manifest("1.0").await.expect(200);
    now.expect_body(image::oci("another").manifest.bytes);
}

async fn a_manifest_is_deleted_by_its_digest(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    push(&server, &["1.0", "2.0"]).await;
    let digest = image::oci("1.0").manifest.digest;
    let mut browser = Browser::of(&server, "root").await;
    let plan = browser
        .open(&format!("/delete/team/app?manifest={digest}"))
        .await
        .expect(200);
    browser
        .send(&Form::find(&plan, "/delete/team/app"))
        .await
        .expect(303);
    assert_eq!(tags(&server).await, ["2.0"]);
    for nonsense in [
        "",
        "?tag=",
        "?manifest=sha256:00",
        "?tag=not%20a%20tag",
        "?tag=a&everything=1",
    ] {
        let answer = browser.open(&format!("/delete/team/app{nonsense}")).await;
        assert_eq!(answer.status, 400, "{nonsense}");
    }
    browser.open("/delete/no-such/app?tag=1.0").await.expect(404);
    browser.open("/delete/NO/app?tag=1.0").await.expect(404);
}

async fn a_reader_is_offered_no_deletion(builder: ServerBuilder) {
    builder.write(
        "rules.yml",
        "rules:\n  - {accounts: '*', repositories: 'team/**', allow: [pull]}\n",
    );
    let path = builder.path("rules.yml").display().to_string();
    let server = super::with_accounts_and(builder, &format!(", rules: '{path}'")).start();
    push(&server, &["1.0"]).await;
    let mut root = Browser::of(&server, "root").await;
    let plan = root.open("/delete/team/app?tag=1.0").await.expect(200);
    root.send(&Form::find(&plan, "/delete/team/app"))
        .await
        .expect(303);
    push(&server, &["1.0"]).await;
    let mut alice = Browser::of(&server, "alice").await;
    alice.open("/delete/team/app?tag=1.0").await.expect(403);
    let trash = alice.open("/trash").await.expect(200);
    assert!(Form::maybe(&trash, "/restore").is_none() && !trash.text().contains("team/app"));
    let record = root.open("/trash").await.expect(200);
    let forged = Form::find(&record, "/restore");
    let proof = Form::find(&trash, "/sign-out").get("csrf").to_owned();
    alice.send(&forged.with("csrf", &proof)).await.expect(404);
    let forged = Form::find(&plan, "/delete/team/app").with("csrf", &proof);
    alice.send(&forged).await.expect(403);
    assert_eq!(tags(&server).await, ["1.0"]);
}
