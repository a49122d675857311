//! Upkeep and administration by the page, without JavaScript.

use wharf_testkit::{Answer, ServerBuilder, eventually, image};

use super::{Browser, Form, with_accounts};

wharf_testkit::configured_on_both_engines![
    users_are_added_changed_and_removed,
    a_password_that_was_made_is_shown_once,
    tokens_are_made_renewed_and_revoked,
    a_collection_is_started_and_its_end_is_told,
    rules_of_retention_are_tried_and_their_plan_carried_out,
    the_log_of_activity_is_filtered_and_ones_own,
    rules_answer_who_may_do_what,
    the_search_field_finds_names,
    the_trash_is_emptied_and_single_deletions_given_up,
];

/// The form that adds a user.
fn add(page: &Answer) -> Form {
    Form::find(page, "/users")
}

async fn users_are_added_changed_and_removed(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut root = Browser::of(&server, "root").await;
    let page = root.open("/users").await.expect(200);
    let form = add(&page).with("name", "carol").with("password", "secret words");
    root.send(&form).await.expect(303);
    server
        .anonymous()
        .as_user("carol", "secret words")
        .get("/v2/")
        .await
        .expect(200);
    // The same name, and names that are none, are told at their field.
    for (name, status) in [("carol", 409), ("a:b", 400)] {
        let page = root.open("/users").await.expect(200);
        let form = add(&page).with("name", name).with("password", "secret words");
        let answer = root.send(&form).await.expect(status);
        assert!(
            answer.text().contains("aria-invalid=\"true\""),
            "{}",
            answer.text()
        );
        assert!(!answer.text().contains("secret words"));
        assert_eq!(add(&answer).get("name"), name);
    }
    let page = root.open("/users/password?name=carol").await.expect(200);
    let form = Form::find(&page, "/users/password").with("password", "other words");
    root.send(&form).await.expect(303);
    server
        .anonymous()
        .as_user("carol", "other words")
        .get("/v2/")
        .await
        .expect(200);
    let page = root.open("/users/remove?name=carol").await.expect(200);
    root.send(&Form::find(&page, "/users/remove")).await.expect(303);
    server
        .anonymous()
        .as_user("carol", "other words")
        .get("/v2/")
        .await
        .expect(401);
    assert!(!root.open("/users").await.text().contains("carol"));
}

async fn a_password_that_was_made_is_shown_once(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut root = Browser::of(&server, "root").await;
    let page = root.open("/users").await.expect(200);
    let form = Form::find(&page, "/users")
        .with("name", "carol")
        .with("password", "");
    let answer = root
        .send(&form)
        .await
        .expect(200)
        .expect_header("cache-control", "no-store");
    let text = answer.text();
    let banner = text.split("role=\"status\"").nth(1).unwrap().to_owned();
    let password = banner.split("<code").nth(1).unwrap();
    let password = password.split('>').nth(1).unwrap().split('<').next().unwrap();
    server
        .anonymous()
        .as_user("carol", password)
        .get("/v2/")
        .await
        .expect(200);
    assert!(!root.open("/users").await.text().contains(password));
    // The form again is refused, and shows no other one.
    root.send(&form).await.expect(409);
}

async fn tokens_are_made_renewed_and_revoked(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut alice = Browser::of(&server, "alice").await;
    let page = alice.open("/tokens").await.expect(200);
    let form = Form::find(&page, "/tokens")
        .with("name", "ci")
        .with("repositories", "team/** base")
        .with("lifetime", "30");
    let made = alice
        .send(&form.clone())
        .await
        .expect(200)
        .expect_header("cache-control", "no-store");
    let secret = |text: String| {
        let start = text.find("wharf_").expect("a secret");
        let rest = &text[start..];
        rest[..rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
            .unwrap()]
            .to_owned()
    };
    let first = secret(made.text());
    let status = |secret: String| {
        let client = server.anonymous().as_user("any", &secret);
        async move { client.get("/v2/").await.status.as_u16() }
    };
    assert_eq!(status(first.clone()).await, 200);
    assert!(!alice.open("/tokens").await.text().contains(&first));
    alice.send(&form).await.expect(409);
    let page = alice.open("/tokens/rotate?token=ci").await.expect(200);
    let rotated = alice.send(&Form::find(&page, "/tokens/rotate")).await.expect(200);
    let second = secret(rotated.text());
    assert_eq!((status(first).await, status(second.clone()).await), (401, 200));
    // Another account sees and ends nothing of it.
    let mut bob = Browser::of(&server, "bob").await;
    assert!(!bob.open("/tokens").await.text().contains("token=ci"));
    let page = bob.open("/tokens/revoke?token=ci").await.expect(200);
    bob.send(&Form::find(&page, "/tokens/revoke")).await.expect(404);
    let page = alice.open("/tokens/revoke?token=ci").await.expect(200);
    alice.send(&Form::find(&page, "/tokens/revoke")).await.expect(303);
    assert_eq!(status(second).await, 401);
}

async fn a_collection_is_started_and_its_end_is_told(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut root = Browser::of(&server, "root").await;
    let page = root.open("/collection").await.expect(200);
    let started = root.send(&Form::find(&page, "/collection")).await.expect(303);
    let asked = started.header("location").to_owned();
    root.go(&asked).await.expect(200);
    let client = server.anonymous().as_user("root", "pw");
    eventually("the collection has ended", || async {
        let shown = client.get("/api/v1/collections").await.expect(200).json();
        shown["last"]["number"].as_u64() >= Some(1) && shown["running"].is_null()
    })
    .await;
    let page = root.go(&asked).await.expect(200);
    assert!(
        Form::maybe(&page, "/collection").is_some(),
        "another one can be started"
    );
    let progress = root.open("/collection.json").await.expect(200).json();
    assert_eq!(progress["running"], false);
    let digest = format!("sha256:{}", "0".repeat(64));
    root.open(&format!("/why?digest={digest}")).await.expect(200);
    root.open("/why?digest=nonsense").await.expect(400);
}

async fn rules_of_retention_are_tried_and_their_plan_carried_out(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let app = server.anonymous().as_user("root", "pw").repository("team/app");
    for tag in ["ci-1", "ci-2", "ci-3", "1.0"] {
        app.push_image(tag, &image::oci(tag)).await;
    }
    let mut root = Browser::of(&server, "root").await;
    root.open("/retention").await.expect(200);
    let wrong = root.open("/retention?try=1&older=soon").await.expect(200);
    assert!(wrong.text().contains("aria-invalid=\"true\""), "{}", wrong.text());
    let preview = root.open("/retention?try=1&tags=ci-*&keep=1").await.expect(200);
    let form = Form::find(&preview, "/delete/team/app");
    assert_eq!(app.tags().await.len(), 4, "to look changes nothing");
    root.send(&form).await.expect(303);
    let left = app.tags().await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains(&"1.0".to_owned()));
}

async fn the_log_of_activity_is_filtered_and_ones_own(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let alice = server.anonymous().as_user("alice", "pw").repository("team/app");
    alice.push_image("1.0", &image::oci("1.0")).await;
    let mut root = Browser::of(&server, "root").await;
    let shown = tokio::sync::Mutex::new(&mut root);
    eventually("the push is in the log", || async {
        let page = shown
            .lock()
            .await
            .open("/activity?action=push&account=alice")
            .await
            .expect(200);
        page.text().contains("team/app")
    })
    .await;
    let none = root.open("/activity?action=push&account=bob").await.expect(200);
    assert!(!none.text().contains("team/app"));
    root.open("/activity?since=2020-01-01&until=2020-01-02&repository=team/**")
        .await
        .expect(200);
    let mut bob = Browser::of(&server, "bob").await;
    let own = bob.open("/activity?account=alice").await.expect(200);
    assert!(!own.text().contains("team/app"), "{}", own.text());
}

async fn rules_answer_who_may_do_what(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut root = Browser::of(&server, "root").await;
    root.open("/rules").await.expect(200);
    let page = root
        .open("/rules?account=alice&action=push&repository=team/app")
        .await
        .expect(200);
    assert!(page.text().contains("Allowed"), "{}", page.text());
    let page = root
        .open("/rules?action=push&repository=team/app")
        .await
        .expect(200);
    assert!(page.text().contains("Denied"), "{}", page.text());
    let page = root.open("/rules?action=push&repository=NO").await.expect(200);
    assert!(page.text().contains("aria-invalid=\"true\""));
}

async fn the_search_field_finds_names(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let root = server.anonymous().as_user("root", "pw").repository("team/app");
    root.push_image("1.0", &image::oci("1.0")).await;
    let mut alice = Browser::of(&server, "alice").await;
    let found = alice.open("/find.json?q=TEAM").await.expect(200).json();
    let hits = found["hits"].as_array().unwrap();
    assert!(
        hits.iter().any(|hit| hit["href"] == "/ui/repo/team/app"),
        "{found}"
    );
    let none = alice.open("/find.json?q=x").await.expect(200).json();
    assert_eq!(none["hits"].as_array().unwrap().len(), 0);
    let mut anonymous = Browser::new(&server);
    anonymous.open("/find.json?q=team").await.expect(401);
}

async fn the_trash_is_emptied_and_single_deletions_given_up(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let app = server.anonymous().as_user("root", "pw").repository("team/app");
    for tag in ["1", "2", "3"] {
        app.push_image(tag, &image::oci(tag)).await;
    }
    let mut root = Browser::of(&server, "root").await;
    for tag in ["1", "2", "3"] {
        let plan = root
            .open(&format!("/delete/team/app?tag={tag}"))
            .await
            .expect(200);
        root.send(&Form::find(&plan, "/delete/team/app"))
            .await
            .expect(303);
    }
    let trash = root.open("/trash").await.expect(200);
    let id = Form::find(&trash, "/restore")
        .action
        .split('/')
        .nth(3)
        .unwrap()
        .to_owned();
    let record = root.open(&format!("/trash/{id}")).await.expect(200);
    root.send(&Form::find(&record, "/purge")).await.expect(303);
    root.open(&format!("/trash/{id}")).await.expect(404);
    let confirm = root.open("/trash/empty").await.expect(200);
    root.send(&Form::find(&confirm, "/trash/empty")).await.expect(303);
    let trash = root.open("/trash").await.expect(200);
    assert!(!trash.text().contains("team/app"), "{}", trash.text());
}
