//! Forms: what a page of another site cannot send, what is kept when a session has ended, and what is refused although no button offers it.

use wharf_testkit::{Answer, Server, ServerBuilder, image};

use super::{Browser, Form, with_accounts};

wharf_testkit::configured_on_both_engines![
    a_page_of_another_site_sends_no_form,
    a_form_without_the_proof_of_its_browser_does_nothing,
    signing_a_browser_in_needs_the_proof_too,
    a_form_of_an_ended_session_comes_back_whole_and_is_not_carried_out,
    a_form_that_another_account_was_given_is_shown_again,
    what_no_button_offers_is_refused_all_the_same,
    a_page_that_only_shows_changes_nothing,
    without_users_this_machine_alone_may_change_something,
    no_link_makes_a_form_with_fields_of_its_own,
    nothing_is_changed_by_get,
    bodies_are_bounded_and_forms,
];

/// The form that adds a user.
async fn new_user(browser: &mut Browser, name: &str) -> Form {
    let page = browser.open("/users").await.expect(200);
    let form = Form::find(&page, "/users");
    form.with("name", name).with("password", "a good password")
}

async fn names(browser: &mut Browser) -> String {
    browser.open("/users").await.expect(200).text()
}

async fn a_page_of_another_site_sends_no_form(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::of(&server, "root").await;
    // The attacker is given the best: the cookie is sent along, and even the proof is right.
    let form = new_user(&mut browser, "mallory").await;
    let own = format!("http://{}", server.address());
    let attacks: [&[(&str, &str)]; 8] = [
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost.evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("referer", &own)],
    ];
    for headers in attacks {
        browser.send_with(&form, headers).await.expect(403);
        assert!(!names(&mut browser).await.contains("mallory"), "{headers:?}");
    }
    browser
        .send_with(&form, &[("sec-fetch-site", "same-origin")])
        .await
        .expect(303);
    assert!(names(&mut browser).await.contains("mallory"));
}

async fn a_form_without_the_proof_of_its_browser_does_nothing(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::of(&server, "root").await;
    let form = new_user(&mut browser, "mallory").await;
    let mut other = Browser::of(&server, "root").await;
    let of_other = new_user(&mut other, "mallory").await;
    let mut anonymous = Browser::new(&server);
    let page = anonymous.open("/sign-in").await.expect(200);
    let before = Form::find(&page, "/sign-in");
    for forged in [
        form.clone().without("csrf"),
        form.clone().with("csrf", ""),
        form.clone().with("csrf", "AAAA"),
        form.clone().with("csrf", &"A".repeat(43)),
        form.clone().with("csrf", of_other.get("csrf")),
        form.clone().with("csrf", before.get("csrf")),
    ] {
        let answer = browser.send(&forged).await.expect(403);
        // The form is there again, without the password, and with a proof that is good.
        let again = Form::find(&answer, "/users");
        assert_eq!(again.get("name"), "mallory");
        assert_eq!(again.get("password"), "");
        assert!(!names(&mut browser).await.contains("mallory"));
    }
    let first = form.get("csrf").to_owned();
    let second = new_user(&mut browser, "x").await.get("csrf").to_owned();
    assert_ne!(first, second, "each page has another text, and both are good");
    browser.send(&form).await.expect(303);
    assert!(names(&mut browser).await.contains("mallory"));
}

async fn signing_a_browser_in_needs_the_proof_too(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut attacker = Browser::new(&server);
    let page = attacker.open("/sign-in").await.expect(200);
    let forged = Form::find(&page, "/sign-in")
        .with("name", "bob")
        .with("password", "pw");
    let mut browser = Browser::new(&server);
    for form in [forged.clone(), forged.clone().without("csrf")] {
        let answer = browser.send(&form).await.expect(403);
        assert!(!browser.cookies.contains_key("wharf"), "{}", answer.text());
    }
    browser.open("/account").await.expect(303);
}

async fn a_form_of_an_ended_session_comes_back_whole_and_is_not_carried_out(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::of(&server, "root").await;
    let form = new_user(&mut browser, "carol & \"co\" <b>").await;
    browser.cookies.clear();
    let answer = browser
        .send(&form)
        .await
        .expect(401)
        .expect_header("www-authenticate", "Form");
    assert!(
        !answer.text().contains("a good password"),
        "a password is not kept"
    );
    let resumed = Form::find(&answer, "/sign-in");
    assert_eq!(resumed.get("to"), "/ui/users");
    assert_eq!(resumed.get("kept.name"), "carol & \"co\" <b>");
    // A wrong password on the way loses nothing either.
    let again = browser
        .send(&resumed.with("name", "root").with("password", "wrong"))
        .await
        .expect(401);
    let resumed = Form::find(&again, "/sign-in");
    let signed_in = browser
        .send(&resumed.with("name", "root").with("password", "pw"))
        .await
        .expect(303);
    let page = browser.follow(&signed_in).await.expect(200);
    let form = Form::find(&page, "/users");
    assert_eq!(form.get("name"), "carol & \"co\" <b>");
    // Signing in carried nothing out.
    let list = users(&server).await;
    assert!(!list.text().contains("carol"));
    browser
        .send(&form.with("password", "a good password"))
        .await
        .expect(303);
    let list = users(&server).await;
    assert!(list.text().contains("carol"));
}

async fn a_form_that_another_account_was_given_is_shown_again(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::of(&server, "root").await;
    let form = new_user(&mut browser, "mallory").await;
    // In another tab another account signs in.
    browser.sign_in("alice", "pw").await.expect(303);
    browser.send(&form).await.expect(403);
    let list = users(&server).await;
    assert!(!list.text().contains("mallory"));
}

async fn what_no_button_offers_is_refused_all_the_same(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut root = Browser::of(&server, "root").await;
    let mut alice = Browser::of(&server, "alice").await;
    let page = alice.open("/account").await.expect(200);
    for hidden in [
        "/ui/users",
        "/ui/rules",
        "/ui/collection",
        "/ui/disk",
        "/ui/config",
    ] {
        assert!(!page.text().contains(&format!("href=\"{hidden}\"")), "{hidden}");
    }
    let proof = Form::find(&page, "/sign-out").get("csrf").to_owned();
    let form = |action: &str, fields: &[(&str, &str)]| Form {
        action: format!("/ui{action}"),
        fields: [("csrf", proof.as_str())]
            .iter()
            .chain(fields)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    for forged in [
        form("/users", &[("name", "mallory"), ("password", "x")]),
        form("/users/password", &[("name", "root"), ("password", "x")]),
        form("/users/remove", &[("name", "root")]),
        form("/collection", &[]),
        form("/trash/empty", &[]),
        form("/trash/00000000000000000000000000000000/purge", &[]),
    ] {
        let action = forged.action.clone();
        let answer = alice.send(&forged).await;
        assert!(
            [403, 404, 400].contains(&answer.status.as_u16()),
            "{action}: {}",
            answer.status
        );
    }
    for path in [
        "/users",
        "/users/password?name=root",
        "/users/remove?name=root",
        "/rules",
        "/collection",
        "/retention",
        "/why?digest=x",
    ] {
        alice.open(path).await.expect(403);
    }
    root.open("/users").await.expect(200);
    let list = users(&server).await;
    assert!(!list.text().contains("mallory") && list.text().contains("root"));
}

async fn a_page_that_only_shows_changes_nothing(builder: ServerBuilder) {
    let server = with_accounts(builder)
        .config("ui: {readonly: true, title: 'The <b>registry</b>'}")
        .start();
    let mut root = Browser::of(&server, "root").await;
    let page = root.open("/users").await.expect(200);
    assert!(
        page.text().contains("The &#60;b&#62;registry&#60;/b&#62;"),
        "{}",
        page.text()
    );
    let proof = Form::find(&page, "/sign-out").get("csrf").to_owned();
    let form = Form {
        action: "/ui/users".to_owned(),
        fields: vec![
            ("csrf".to_owned(), proof),
            ("name".to_owned(), "mallory".to_owned()),
        ],
    };
    root.send(&form).await.expect(403);
    assert!(!names(&mut root).await.contains("mallory"));
    let page = root.open("/account").await.expect(200);
    root.send(&Form::find(&page, "/preferences").with("theme", "dark"))
        .await
        .expect(303);
    assert!(root.open("/account").await.text().contains("data-theme=\"dark\""));
    root.send(&Form::find(&page, "/sign-out")).await.expect(303);
}

async fn without_users_this_machine_alone_may_change_something(builder: ServerBuilder) {
    let server = builder.http("trustedproxies: [127.0.0.1]").start();
    let app = server.anonymous().repository("team/app");
    app.push_image("1.0", &image::oci("1.0")).await;
    let mut browser = Browser::new(&server);
    let page = browser.open("/trash").await.expect(200);
    assert!(browser.cookies.contains_key("wharf-forms"), "{}", page.text());
    let form = Form {
        action: "/ui/delete/team/app".to_owned(),
        fields: vec![("tag".to_owned(), "1.0".to_owned())],
    };
    let own = format!("http://{}", server.address());
    let through = [("origin", own.as_str()), ("x-forwarded-for", "203.0.113.7")];
    let answer = browser.send_with(&form, &through).await.expect(403);
    assert!(answer.text().contains("this machine"), "{}", answer.text());
    let named = [
        ("origin", "http://evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-for", "127.0.0.1"),
    ];
    browser.send_with(&form, &named).await.expect(403);
    // What any client may pull may be looked at from elsewhere, and no change of it is offered.
    for (path, title) in [("/ui/", "team/"), ("/ui/repo/team/app", "1.0")] {
        let request = server.anonymous().get(path);
        let page = request.header("x-forwarded-for", "203.0.113.7").await.expect(200);
        assert!(page.text().contains(title), "{}", page.text());
        for offered in ["/ui/trash", "everything=1", "name=\"tag\""] {
            assert!(!page.text().contains(offered), "{path} offers {offered}");
        }
    }
    // The rest is refused as well: a page of another site may have brought its own name here (DNS rebinding).
    for headers in [
        [("x-forwarded-for", "203.0.113.7"), ("accept", "text/html")],
        [
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-for", "127.0.0.1"),
        ],
    ] {
        let mut request = server.anonymous().get("/ui/trash");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.await.expect(403);
    }
}

/// A link to the page to sign in, with fields that a form would keep, makes no form of ours that carries anything out.
async fn no_link_makes_a_form_with_fields_of_its_own(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let pad = "!".repeat(1_400);
    for to in [
        "/ui/delete/%252e%252e/users/password",
        "/ui/delete/team/app",
        "/ui/users/password",
        "/ui/delete/..%23",
    ] {
        let link = format!(
            "/sign-in?to={to}&kept.name=root&kept.password=chosen&kept.plan=x&kept.now=1&kept.pad={pad}"
        );
        let mut browser = Browser::new(&server);
        let page = browser.open(&link).await.expect(200);
        let form = Form::find(&page, "/sign-in");
        assert!(
            form.fields.iter().all(|(name, _)| !name.starts_with("kept.")),
            "{form:?}"
        );
        // The same as fields of a form that a page of ours was made to send.
        let mut forged = form.with("name", "root").with("password", "pw");
        for (name, value) in [
            ("kept.name", "root"),
            ("kept.password", "chosen"),
            ("kept.plan", "x"),
            ("kept.now", "1"),
            ("kept.tag", "1.0"),
            ("kept.pad", &pad),
        ] {
            forged.fields.push((name.to_owned(), value.to_owned()));
        }
        let answer = browser.send(&forged).await.expect(303);
        let location = answer.header("location");
        for word in ["chosen", "plan=", "now=", "pad=", "%2e", "%252e"] {
            assert!(!location.contains(word), "{to}: {location}");
        }
    }
    // Without the proof of this browser nothing is kept at all.
    let mut browser = Browser::new(&server);
    let page = browser.open("/sign-in?to=/ui/delete/team/app").await.expect(200);
    let mut forged = Form::find(&page, "/sign-in")
        .with("csrf", "")
        .with("name", "root");
    forged.fields.push(("kept.tag".to_owned(), "1.0".to_owned()));
    let answer = browser.send(&forged).await.expect(403);
    assert!(!answer.text().contains("kept."), "{}", answer.text());
}

async fn nothing_is_changed_by_get(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut root = Browser::of(&server, "root").await;
    for path in ["/sign-out", "/preferences", "/trash/x/restore", "/trash/x/purge"] {
        let answer = root.open(path).await;
        assert!(
            [404, 405].contains(&answer.status.as_u16()),
            "{path}: {}",
            answer.status
        );
    }
    for path in [
        "/users/remove?name=alice",
        "/trash/empty",
        "/users?name=mallory&password=x",
    ] {
        root.open(path).await.expect(200);
    }
    let list = users(&server).await;
    assert!(list.text().contains("alice") && !list.text().contains("mallory"));
    root.open("/account").await.expect(200);
}

async fn bodies_are_bounded_and_forms(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut root = Browser::of(&server, "root").await;
    let form = new_user(&mut root, &"n".repeat(400_000)).await;
    root.send(&form).await.expect(413);
    let own = format!("http://{}", server.address());
    let json = server
        .anonymous()
        .post("/ui/sign-in")
        .header("origin", own)
        .header("content-type", "application/json")
        .body("{}");
    json.await.expect(400);
}

/// The users of the registry, as the API lists them.
async fn users(server: &Server) -> Answer {
    let root = server.anonymous().as_user("root", "pw");
    root.get("/api/v1/users").await.expect(200)
}
