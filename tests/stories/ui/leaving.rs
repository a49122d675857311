//! The browsers in which an account is signed in, signing out of them, and what the activity log has of both.

use wharf_testkit::{Answer, Engine, Server, ServerBuilder, Value, eventually};

use super::{Browser, Form, with_accounts};
use crate::admin::ExpectProblem as _;

wharf_testkit::configured_on_both_engines![
    an_account_sees_its_browsers_and_signs_one_out,
    signing_out_everywhere_ends_every_session_of_the_account_alone,
    an_administrator_signs_an_account_out_by_the_api,
    signing_out_that_cannot_be_written_is_told_and_drops_the_cookie,
    a_damaged_document_of_sessions_keeps_no_user_out,
    the_cookie_lasts_as_long_as_the_session,
    signing_in_and_out_are_in_the_activity_log,
];

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A browser of `alice` that says to be Firefox.
async fn firefox(server: &Server) -> Browser {
    let mut browser = Browser::new(server);
    let page = browser.open("/sign-in").await.expect(200);
    let form = Form::find(&page, "/sign-in")
        .with("name", "alice")
        .with("password", "pw");
    let origin = format!("http://{}", server.address());
    let headers = [("origin", origin.as_str()), ("user-agent", FIREFOX)];
    browser.send_with(&form, &headers).await.expect(303);
    browser
}

/// The rows of the browsers on the page of the account.
fn rows(page: &Answer) -> Vec<String> {
    let text = page.text();
    let section = text.split("aria-labelledby=\"sessions\"").nth(1).unwrap();
    let section = section.split("</section>").next().unwrap();
    let rows = section.split("<tr>").skip(2);
    rows.map(str::to_owned).collect()
}

/// The form of a row.
fn leaving(page: &Answer, row: &str) -> Form {
    let id = row.split("name=\"session\" value=\"").nth(1).unwrap();
    let id = id.split('"').next().unwrap();
    Form::find(page, "/account/sessions").with("session", id)
}

async fn an_account_sees_its_browsers_and_signs_one_out(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut other = firefox(&server).await;
    let mut browser = Browser::of(&server, "alice").await;
    let _bob = Browser::of(&server, "bob").await;
    let page = browser.open("/account").await.expect(200);
    let shown = rows(&page);
    assert_eq!(shown.len(), 2, "{shown:?}");
    let (own, others): (Vec<String>, Vec<String>) =
        shown.into_iter().partition(|row| row.contains("this browser"));
    assert_eq!((own.len(), others.len()), (1, 1));
    assert!(others[0].contains("Firefox · Linux"), "{}", others[0]);
    assert!(others[0].contains("127.0.0.1"), "{}", others[0]);

    let left = browser.send(&leaving(&page, &others[0])).await.expect(303);
    assert_eq!(left.header("location"), "/ui/account");
    let page = browser.follow(&left).await.expect(200);
    assert!(page.text().contains("Signed out of 1 browser"), "{}", page.text());
    assert_eq!(rows(&page).len(), 1);
    other.open("/account").await.expect(303);
    // Once more: it has ended, and that is all.
    browser.send(&leaving(&page, &others[0])).await.expect(303);
    // The own one.
    let left = browser.send(&leaving(&page, &own[0])).await.expect(303);
    assert_eq!(left.header("location"), "/ui/sign-in");
    assert!(!browser.cookies.contains_key("wharf"));
    browser.open("/account").await.expect(303);
}

async fn signing_out_everywhere_ends_every_session_of_the_account_alone(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut others = [firefox(&server).await, firefox(&server).await];
    let mut browser = Browser::of(&server, "alice").await;
    let mut bob = Browser::of(&server, "bob").await;
    let copy = browser.clone();
    let page = browser.open("/account").await.expect(200);
    let form = Form::find(&page, "/account/sessions");
    assert_eq!(form.get("session"), "");
    // Without the proof of this browser nothing ends.
    browser.send(&form.clone().with("csrf", "")).await.expect(403);
    others[0].open("/account").await.expect(200);
    let left = browser.send(&form).await.expect(303);
    let left = left.expect_header("clear-site-data", "\"cache\"");
    assert_eq!(left.header("location"), "/ui/sign-in");
    let page = browser.follow(&left).await.expect(200);
    assert!(
        page.text().contains("Signed out of 3 browsers"),
        "{}",
        page.text()
    );
    for browser in others.iter_mut().chain([&mut browser, &mut copy.clone()]) {
        browser.open("/account").await.expect(303);
    }
    bob.open("/account").await.expect(200);
    browser.sign_in("alice", "pw").await.expect(303);
    browser.open("/account").await.expect(200);
}

async fn an_administrator_signs_an_account_out_by_the_api(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut alice = firefox(&server).await;
    let mut bob = Browser::of(&server, "bob").await;
    let (root, by_alice) = (
        server.anonymous().as_user("root", "pw"),
        server.anonymous().as_user("alice", "pw"),
    );
    let own = by_alice.get("/api/v1/sessions").await.expect(200).json();
    assert_eq!(own["account"], "alice");
    assert_eq!(own["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(own["sessions"][0]["user_agent"], FIREFOX);
    let id = own["sessions"][0]["id"].as_str().unwrap();
    assert!(!own.to_string().contains(&alice.cookies["wharf"]));
    // Of others only an administrator sees and ends sessions.
    for request in [
        by_alice.get("/api/v1/sessions?account=bob"),
        by_alice.post("/api/v1/sessions/end?account=bob"),
    ] {
        request.await.expect_problem(403, "forbidden");
    }
    let by_bob = server.anonymous().as_user("bob", "pw");
    by_bob
        .delete(&format!("/api/v1/sessions?session={id}"))
        .await
        .expect_problem(404, "unknown-session");
    alice.open("/account").await.expect(200);
    let ended = root.post("/api/v1/sessions/end?account=alice").await.expect(200);
    assert_eq!(ended.json()["ended"], 1);
    alice.open("/account").await.expect(303);
    bob.open("/account").await.expect(200);
}

async fn signing_out_that_cannot_be_written_is_told_and_drops_the_cookie(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    if server.engine() != Engine::Filesystem {
        return;
    }
    let mut browser = Browser::of(&server, "alice").await;
    let copy = browser.cookies["wharf"].clone();
    let page = browser.open("/account").await.expect(200);
    let place = server.root().join("wharf/access/sessions");
    // A newer version has written it, so this one changes nothing.
    std::fs::write(&place, r#"{"version": 99, "nonce": "", "content": {}}"#).unwrap();
    let left = browser.send(&Form::find(&page, "/sign-out")).await.expect(303);
    assert!(!browser.cookies.contains_key("wharf"));
    let page = browser.follow(&left).await.expect(200);
    assert!(page.text().contains("Signed out here"), "{}", page.text());
    // Told once, and the form to sign in works.
    let page = browser.open("/sign-in").await.expect(200);
    assert!(!page.text().contains("Signed out here"), "{}", page.text());
    browser.cookies.insert("wharf".to_owned(), copy);
    browser.open("/account").await.expect(303);
    browser.sign_in("alice", "pw").await.expect(303);
    browser.open("/account").await.expect(200);
}

async fn a_damaged_document_of_sessions_keeps_no_user_out(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    if server.engine() != Engine::Filesystem {
        return;
    }
    let mut before = Browser::of(&server, "alice").await;
    let place = server.root().join("wharf/access/sessions");
    std::fs::write(&place, "no JSON").unwrap();
    let mut browser = Browser::of(&server, "bob").await;
    browser.open("/account").await.expect(200);
    before.open("/account").await.expect(303);
    let written = std::fs::read_to_string(&place).unwrap();
    assert!(serde_json::from_str::<Value>(&written).is_ok(), "{written}");
}

async fn the_cookie_lasts_as_long_as_the_session(builder: ServerBuilder) {
    let server = with_accounts(builder)
        .config("ui: {session: {idle: 2h, age: 90m}}")
        .start();
    let mut browser = Browser::new(&server);
    let signed_in = browser.sign_in("alice", "pw").await.expect(303);
    let cookies = signed_in.headers.get_all("set-cookie").iter();
    let mut cookies = cookies.map(|value| value.to_str().unwrap());
    let session = cookies.find(|value| value.starts_with("wharf=")).unwrap();
    assert!(session.contains("; Max-Age=5400;"), "{session}");
}

async fn signing_in_and_out_are_in_the_activity_log(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = firefox(&server).await;
    let mut other = Browser::new(&server);
    other.sign_in("alice", "wrong").await.expect(401);
    other.sign_in("alice", "pw").await.expect(303);
    let page = other.open("/account").await.expect(200);
    other.send(&Form::find(&page, "/sign-out")).await.expect(303);
    other.sign_in("alice", "pw").await.expect(303);
    let page = browser.open("/account").await.expect(200);
    browser
        .send(&Form::find(&page, "/account/sessions"))
        .await
        .expect(303);
    let root = server.anonymous().as_user("root", "pw");
    let entries = async |action: &str| {
        let log = root
            .get(&format!("/api/v1/activity?account=alice&action={action}"))
            .await
            .expect(200);
        log.json()["entries"].as_array().unwrap().clone()
    };
    eventually("the log has them all", || async {
        entries("sign_in").await.len() == 3
            && entries("sign_out").await.len() == 2
            && entries("login_failure").await.len() == 1
    })
    .await;
    for action in ["sign_in", "sign_out", "login_failure"] {
        for entry in entries(action).await {
            assert_eq!(entry["actor"]["name"], "alice", "{entry}");
            assert_eq!(entry["request"]["addr"], "127.0.0.1", "{entry}");
            assert!(entry["request"]["id"].is_string(), "{entry}");
        }
    }
    let left = entries("sign_out").await;
    assert_eq!(left[1]["detail"], "signed out of 2 browser(s)", "{left:?}");
    let mut root = Browser::of(&server, "root").await;
    for (action, shown) in [("sign_in", "Firefox/140.0"), ("sign_out", "signed out of 2")] {
        let page = root
            .open(&format!("/activity?account=alice&action={action}"))
            .await
            .expect(200);
        assert!(page.text().contains(shown), "{}", page.text());
    }
}
