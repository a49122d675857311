//! Sessions: a new secret at each signing in, the end with the password, cookies that nothing else looks at.

use wharf_testkit::{ServerBuilder, image};

use super::{Browser, Form, with_accounts};

wharf_testkit::configured_on_both_engines![
    signing_in_takes_no_secret_over_and_ends_the_session_before,
    a_session_ends_when_the_password_changes_or_the_user_goes,
    a_session_is_known_on_every_page,
    other_surfaces_ignore_the_cookie,
    pages_are_kept_by_no_cache,
    a_program_may_send_a_password_in_place_of_a_cookie,
];

async fn signing_in_takes_no_secret_over_and_ends_the_session_before(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    // A secret that an attacker chose, and one of a session of the attacker.
    let mut attacker = Browser::of(&server, "bob").await;
    let made_up = "A".repeat(43);
    for planted in [made_up.clone(), attacker.cookies["wharf"].clone()] {
        let mut browser = Browser::new(&server);
        browser.cookies.insert("wharf".to_owned(), planted.clone());
        let page = browser.open("/sign-in?to=/ui/account").await.expect(200);
        let form = Form::find(&page, "/sign-in")
            .with("name", "alice")
            .with("password", "pw");
        browser.send(&form).await.expect(303);
        assert_ne!(browser.cookies["wharf"], planted, "a new secret");
        browser.open("/account").await.expect(200);
        let mut other = Browser::new(&server);
        other.cookies.insert("wharf".to_owned(), planted);
        other.open("/account").await.expect(303);
    }
    attacker.open("/account").await.expect(303);
}

async fn a_session_ends_when_the_password_changes_or_the_user_goes(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut alice = Browser::of(&server, "alice").await;
    let mut bob = Browser::of(&server, "bob").await;
    let root = server.anonymous().as_user("root", "pw");
    root.put("/api/v1/users/password?name=alice")
        .header("content-type", "application/json")
        .body(r#"{"password": "another", "cost": 4}"#)
        .await
        .expect(200);
    alice.open("/account").await.expect(303);
    bob.open("/account").await.expect(200);
    // The browser is told, and forgets the cookie.
    assert!(!alice.cookies.contains_key("wharf"));
    alice.sign_in("alice", "another").await.expect(303);
    root.delete("/api/v1/users?name=bob").await.expect(200);
    bob.open("/account").await.expect(303);
    alice.open("/account").await.expect(200);
}

async fn a_session_is_known_on_every_page(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::of(&server, "alice").await;
    for path in ["/account", "/trash", "/tokens", "/activity", "/keys"] {
        let page = browser.open(path).await.expect(200);
        assert!(page.text().contains("alice"), "{path}");
    }
}

async fn other_surfaces_ignore_the_cookie(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    alice
        .repository("team/app")
        .push_image("1.0", &image::oci("app"))
        .await;
    let mut browser = Browser::of(&server, "root").await;
    for path in [
        "/v2/",
        "/v2/_catalog",
        "/v2/team/app/tags/list",
        "/v2/team/app/manifests/1.0",
        "/api/v1/whoami",
        "/api/v1/users",
        "/api/v1/repositories",
    ] {
        browser.go(path).await.expect(401);
    }
    let token = browser
        .go("/auth/token?service=wharf&scope=repository:team/app:pull,push")
        .await;
    if token.status == 200 {
        let given = token.json()["token"].as_str().unwrap().to_owned();
        let bearer = format!("Bearer {given}");
        let pull = server
            .anonymous()
            .get("/v2/team/app/manifests/1.0")
            .header("authorization", bearer);
        pull.await.expect(401);
    }
    let form = Form {
        action: "/api/v1/collections".to_owned(),
        fields: Vec::new(),
    };
    browser.send(&form).await.expect(401);
}

async fn pages_are_kept_by_no_cache(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::of(&server, "root").await;
    for path in [
        "/account",
        "/users",
        "/trash",
        "/activity",
        "/no-such-page",
        "/sign-in?to=/ui/",
    ] {
        let page = browser
            .open(path)
            .await
            .expect_header("cache-control", "no-store");
        assert!(page.header("vary").contains("Cookie"), "{path}");
    }
    let page = browser.open("/account").await.expect(200);
    let text = page.text();
    let asset = text.split("<script type=\"module\" src=\"").nth(1).unwrap();
    let asset = asset.split('"').next().unwrap();
    let script = browser.go(asset).await.expect(200).expect_no_header("set-cookie");
    assert!(script.header("cache-control").contains("immutable"));
    let (folder, _) = asset.rsplit_once('/').unwrap();
    let (other, _) = folder.rsplit_once('/').unwrap();
    browser
        .go(&format!("{other}/0000000000000000/app.js"))
        .await
        .expect(404);
    browser.go(&format!("{folder}/../../users")).await.expect(404);
}

async fn a_program_may_send_a_password_in_place_of_a_cookie(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let page = alice.get("/ui/account").await.expect(200);
    assert!(page.text().contains("alice"));
    assert!(
        Form::maybe(&page, "/sign-out").is_none(),
        "there is no session to leave"
    );
    let wrong = server.anonymous().as_user("alice", "wrong");
    let refused = wrong.get("/ui/account").await.expect(401);
    refused.expect_header("www-authenticate", "Form");
    // A browser that goes on sending an old password can sign in, and its session counts.
    wrong.get("/ui/sign-in").await.expect(200);
    let browser = Browser::of(&server, "bob").await;
    let cookie = format!("wharf={}", browser.cookies["wharf"]);
    let page = wrong
        .get("/ui/account")
        .header("cookie", cookie)
        .await
        .expect(200);
    assert!(page.text().contains("bob"));
}
