//! Signing in and out: passwords, limits against guessing, robot tokens, the way back.

use wharf_testkit::{ServerBuilder, eventually, json};

use super::{Browser, Form, with_accounts, with_accounts_and};

wharf_testkit::configured_on_both_engines![
    a_user_signs_in_with_the_password_and_out_again,
    a_wrong_name_and_a_wrong_password_are_told_alike,
    guessing_is_limited_as_by_other_clients,
    a_robot_token_signs_no_browser_in,
    the_way_back_leads_to_no_other_host,
    a_page_for_accounts_leads_to_signing_in_and_back,
    what_rules_open_to_all_is_seen_without_signing_in,
    where_users_do_not_log_in_browsers_cannot_either,
];

async fn a_user_signs_in_with_the_password_and_out_again(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::new(&server);
    browser.open("/account").await.expect(303);
    let signed_in = browser.sign_in("alice", "pw").await.expect(303);
    assert_eq!(signed_in.header("location"), "/ui/");
    let page = browser.open("/account").await.expect(200);
    assert!(page.text().contains("alice"), "{}", page.text());
    let cookie = browser.cookies["wharf"].clone();
    let out = browser.send(&Form::find(&page, "/sign-out")).await.expect(303);
    let out = out.expect_header("clear-site-data", "\"cache\"");
    assert_eq!(out.header("location"), "/ui/sign-in");
    assert!(!browser.cookies.contains_key("wharf"));
    // The record ended: a copy of the cookie is worth nothing.
    browser.cookies.insert("wharf".to_owned(), cookie);
    browser.open("/account").await.expect(303);
}

async fn a_wrong_name_and_a_wrong_password_are_told_alike(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::new(&server);
    let mut texts = Vec::new();
    for (name, password) in [
        ("alice", "wrong"),
        ("no-such-user", "pw"),
        ("alice", ""),
        ("", "pw"),
    ] {
        let answer = browser.sign_in(name, password).await.expect(401);
        let answer = answer.expect_header("www-authenticate", "Form");
        assert!(!browser.cookies.contains_key("wharf"), "{name}");
        let text = answer.text();
        let alert = text.split("role=\"alert\"").nth(1).unwrap();
        texts.push(alert.split("</div>").next().unwrap().to_owned());
        assert!(!text.contains("value=\"wrong\""), "a password is never sent back");
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    // The log has them as it has those of other clients.
    let root = server.anonymous().as_user("root", "pw");
    eventually("the log has the failures", || async {
        let log = root
            .get("/api/v1/activity?action=login_failure")
            .await
            .expect(200);
        log.text().contains("no-such-user")
    })
    .await;
}

async fn guessing_is_limited_as_by_other_clients(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::new(&server);
    let mut limited = None;
    for attempt in 0..60 {
        let answer = browser.sign_in("alice", &format!("guess-{attempt}")).await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
        answer.expect(401);
    }
    let limited = limited.expect("sixty guesses in a row");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(!browser.cookies.contains_key("wharf"));
}

async fn a_robot_token_signs_no_browser_in(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let token = json!({"name": "ci", "repositories": ["**"], "actions": ["pull", "push", "delete"]});
    let made = alice
        .post("/api/v1/tokens")
        .header("content-type", "application/json")
        .body(token.to_string())
        .await
        .expect(201)
        .json();
    let secret = made["secret"].as_str().unwrap();
    let mut browser = Browser::new(&server);
    for name in ["alice", "ci", "robot:ci"] {
        browser.sign_in(name, secret).await.expect(401);
        assert!(!browser.cookies.contains_key("wharf"));
    }
}

async fn the_way_back_leads_to_no_other_host(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    for (to, expected) in [
        ("/ui/trash?repository=team/app", "/ui/trash?repository=team/app"),
        ("https://evil.example/", "/ui/"),
        ("//evil.example/", "/ui/"),
        ("/\\evil.example", "/ui/"),
        ("/ui/..//evil.example", "/ui/"),
        ("/ui//evil.example", "/ui/"),
        ("javascript:alert(1)", "/ui/"),
        ("/ui/\r\nX: y", "/ui/"),
        ("/v2/", "/ui/"),
    ] {
        let mut browser = Browser::new(&server);
        let page = browser.open("/sign-in").await.expect(200);
        let form = Form::find(&page, "/sign-in").with("to", to);
        let answer = browser
            .send(&form.with("name", "alice").with("password", "pw"))
            .await
            .expect(303);
        assert_eq!(answer.header("location"), expected, "{to:?}");
        let page = browser.open("/account").await.expect(200);
        let form = Form::find(&page, "/preferences")
            .with("to", to)
            .with("lang", "ru");
        assert_eq!(
            browser.send(&form).await.expect(303).header("location"),
            expected,
            "{to:?}"
        );
    }
}

async fn a_page_for_accounts_leads_to_signing_in_and_back(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::new(&server);
    let answer = browser.open("/trash?repository=team/app").await.expect(303);
    let page = browser.follow(&answer).await.expect(200);
    let form = Form::find(&page, "/sign-in");
    assert_eq!(form.get("to"), "/ui/trash?repository=team/app");
    let answer = browser
        .send(&form.with("name", "alice").with("password", "pw"))
        .await
        .expect(303);
    browser.follow(&answer).await.expect(200);
    // What is for administrators stays closed, with the reason.
    let refused = browser.open("/users").await.expect(403);
    assert!(
        refused.text().contains("<code>admin</code>"),
        "{}",
        refused.text()
    );
}

async fn what_rules_open_to_all_is_seen_without_signing_in(builder: ServerBuilder) {
    let server = with_accounts_and(builder, ", anonymous: ['public/**']").start();
    let mut browser = Browser::new(&server);
    let page = browser.open("/sign-in").await.expect(200);
    assert!(
        page.text().contains("Look around without signing in"),
        "{}",
        page.text()
    );
    let found = browser.open("/find.json?q=public").await.expect(200);
    assert_eq!(found.json()["hits"].as_array().unwrap().len(), 0);
    // Looking around sets no cookie.
    let mut other = Browser::new(&server);
    other
        .open("/keys")
        .await
        .expect(200)
        .expect_no_header("set-cookie");
}

async fn where_users_do_not_log_in_browsers_cannot_either(builder: ServerBuilder) {
    let server = builder.start();
    let mut browser = Browser::new(&server);
    browser.open("/sign-in").await.expect(409);
    browser.open("/keys").await.expect(200);
    browser.open("/users").await.expect(403);
    browser
        .open("/account")
        .await
        .expect(401)
        .expect_header("www-authenticate", "Form");
}
