//! The origin: what may be framed, loaded and run; and what `/` is to browsers and to others.

use wharf_testkit::{ServerBuilder, image};

use super::{Browser, Form, with_accounts};

wharf_testkit::configured_on_both_engines![
    no_page_can_be_framed_or_run_what_is_not_ours,
    content_of_the_registry_is_nothing_that_runs,
    the_root_is_the_page_to_browsers_and_liveness_to_all_others,
    a_server_without_the_page_has_none,
    the_page_works_below_a_prefix,
    cookies_on_tls_are_of_this_host_alone,
    registries_below_paths_of_one_host_have_other_cookies,
    a_proxy_that_hides_tls_gets_no_session,
    what_is_wrong_is_told_with_its_status,
    the_image_of_the_operator_is_an_image_alone,
];

async fn no_page_can_be_framed_or_run_what_is_not_ours(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::of(&server, "root").await;
    for path in [
        "/sign-in?to=/ui/",
        "/account",
        "/users",
        "/no-such-page",
        "/find.json?q=ab",
    ] {
        let page = browser.open(path).await;
        let page = page
            .expect_header("x-frame-options", "DENY")
            .expect_header("x-content-type-options", "nosniff")
            .expect_header("referrer-policy", "same-origin")
            .expect_header("cross-origin-opener-policy", "same-origin")
            .expect_header("cross-origin-resource-policy", "same-origin")
            .expect_no_header("access-control-allow-origin");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        let text = page.text();
        for bad in [" style=\"", "<style", "onclick=", "javascript:"] {
            assert!(!text.contains(bad), "{path}: {bad}");
        }
    }
}

async fn content_of_the_registry_is_nothing_that_runs(builder: ServerBuilder) {
    let server = builder.start();
    let app = server.anonymous().repository("app");
    let image = image::oci("app");
    app.push_image("1.0", &image).await;
    let blob = app.blob_path(&image.blobs[1].digest);
    let navigated = server
        .anonymous()
        .get(&blob)
        .header("sec-fetch-dest", "document")
        .await
        .expect(200);
    let navigated = navigated
        .expect_header("content-disposition", "attachment")
        .expect_header("x-content-type-options", "nosniff");
    assert!(navigated.header("content-security-policy").contains("sandbox"));
    let pulled = app.get_blob(&image.blobs[1].digest).await.expect(200);
    pulled
        .expect_no_header("content-disposition")
        .expect_header("x-content-type-options", "nosniff");
    let manifest = app.get_manifest("1.0").await.expect(200);
    assert!(manifest.header("content-security-policy").contains("sandbox"));
}

async fn the_root_is_the_page_to_browsers_and_liveness_to_all_others(builder: ServerBuilder) {
    let server = builder.start();
    let client = server.anonymous();
    let browser = client
        .get("/")
        .header("accept", "text/html,*/*;q=0.8")
        .await
        .expect(303);
    assert_eq!(browser.header("location"), "/ui/");
    browser.expect_header("vary", "Accept");
    for accept in ["*/*", "application/json", "text/html;q=0"] {
        let answer = client.get("/").header("accept", accept).await.expect(200);
        answer
            .expect_body("")
            .expect_header("cache-control", "no-cache")
            .expect_header("vary", "Accept");
    }
    client.get("/").await.expect(200).expect_body("");
    client.post("/").header("accept", "text/html").await.expect(405);
    client
        .get("/ui")
        .await
        .expect(303)
        .expect_header("location", "/ui/");
}

async fn a_server_without_the_page_has_none(builder: ServerBuilder) {
    let server = builder.config("ui: {disabled: true}").start();
    let client = server.anonymous();
    client
        .get("/")
        .header("accept", "text/html")
        .await
        .expect(200)
        .expect_body("");
    for path in ["/ui", "/ui/", "/ui/sign-in", "/ui/assets/x/app.js"] {
        client.get(path).header("accept", "text/html").await.expect(404);
    }
}

async fn the_page_works_below_a_prefix(builder: ServerBuilder) {
    let server = with_accounts(builder).http("prefix: /registry/").start();
    let mut browser = Browser::new(&server);
    browser.root = "/registry/ui".to_owned();
    let redirect = browser.go("/").await.expect(303);
    assert_eq!(redirect.header("location"), "/registry/ui/");
    let page = browser.open("/sign-in").await.expect(200);
    let form = Form::find(&page, "/sign-in");
    assert_eq!(form.action, "/registry/ui/sign-in");
    let answer = browser
        .send(&form.with("name", "alice").with("password", "pw"))
        .await
        .expect(303);
    assert_eq!(answer.header("location"), "/registry/ui/");
    assert!(
        browser
            .cookies
            .keys()
            .any(|name| name.starts_with("wharf-") && name.len() == "wharf-01234567".len())
    );
    let page = browser.open("/account").await.expect(200);
    assert!(!page.text().contains("\"/ui/"), "{}", page.text());
    browser.go("/ui/account").await.expect(404);
}

async fn registries_below_paths_of_one_host_have_other_cookies(builder: ServerBuilder) {
    let server = with_accounts(builder)
        .http("host: 'https://registry.example/one'")
        .start();
    let page = server
        .anonymous()
        .get("/ui/sign-in")
        .header("x-forwarded-proto", "https")
        .await
        .expect(200);
    let cookie = page.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-wharf-forms-") || cookie.starts_with("wharf-forms-"),
        "{cookie}"
    );
    assert!(
        page.text().contains("action=\"/one/ui/sign-in\""),
        "{}",
        page.text()
    );
}

async fn a_proxy_that_hides_tls_gets_no_session(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::new(&server);
    let page = browser.open("/sign-in").await.expect(200);
    let form = Form::find(&page, "/sign-in")
        .with("name", "alice")
        .with("password", "pw");
    let hidden = format!("https://{}", server.address());
    let answer = browser.send_with(&form, &[("origin", &hidden)]).await.expect(400);
    assert!(answer.text().contains("X-Forwarded-Proto"), "{}", answer.text());
    assert!(!browser.cookies.contains_key("wharf"));
}

async fn cookies_on_tls_are_of_this_host_alone(builder: ServerBuilder) {
    // A proxy in front ends TLS.
    let server = with_accounts(builder).http("trustedproxies: [127.0.0.1]").start();
    let client = server.anonymous();
    let page = client
        .get("/ui/sign-in")
        .header("x-forwarded-proto", "https")
        .await
        .expect(200);
    let cookie = page.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Host-wharf-forms="), "{cookie}");
    for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/;"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    // A bare cookie that was planted over plain HTTP counts for nothing there.
    let plain = Browser::of(&server, "alice").await;
    let planted = format!("wharf={}", plain.cookies["wharf"]);
    let answer = client.get("/ui/account").header("cookie", &planted);
    answer.header("x-forwarded-proto", "https").await.expect(303);
    client
        .get("/ui/account")
        .header("cookie", planted)
        .await
        .expect(200);
}

async fn what_is_wrong_is_told_with_its_status(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::of(&server, "root").await;
    let page = browser
        .open("/no-such-page?q=%3Cscript%3Ealert(1)%3C/script%3E")
        .await
        .expect(404);
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
    let text = page.text();
    let id = text
        .split("<code>")
        .find(|part| part.as_bytes().get(8) == Some(&b'-'));
    assert!(id.is_some(), "the number of the request: {text}");
    let form = Form {
        action: "/ui/account".to_owned(),
        fields: Vec::new(),
    };
    let answer = browser.send(&form).await.expect(405);
    assert_eq!(answer.header("allow"), "GET, HEAD");
    browser.open("/trash/no-such-id").await.expect(400);
    browser.open("/activity?action=nonsense").await.expect(400);
    browser
        .open("/account/")
        .await
        .expect(303)
        .expect_header("location", "/ui/account");
    let russian = server
        .anonymous()
        .get("/ui/no-such-page")
        .header("accept-language", "ru-RU,ru;q=0.9")
        .await;
    assert!(russian.expect(404).text().contains("lang=\"ru\""));
}

async fn the_image_of_the_operator_is_an_image_alone(builder: ServerBuilder) {
    let image = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    builder.write("logo.svg", image);
    let path = builder.path("logo.svg").display().to_string();
    let server = builder
        .config(format!("ui: {{logo: '{path}', title: Ours}}"))
        .start();
    let mut browser = Browser::new(&server);
    let page = browser.open("/keys").await.expect(200);
    assert!(page.text().contains("Ours"));
    let text = page.text();
    let logo = text
        .split("<img src=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let answer = browser
        .go(&logo)
        .await
        .expect(200)
        .expect_header("content-type", "image/svg+xml");
    assert!(answer.header("content-security-policy").contains("sandbox"));
    assert_eq!(answer.text(), image);
    browser.open("/logo/0000000000000000").await.expect(404);
}
