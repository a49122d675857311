//! One page, one language: what services say stands in that of the visitor.

use wharf_testkit::{Server, ServerBuilder, image};

use super::{Browser, Form, with_accounts};

wharf_testkit::configured_on_both_engines![
    a_plan_says_in_the_language_of_the_visitor_why_something_stays,
    reasons_of_retention_are_in_the_language_of_the_visitor,
    errors_are_in_the_language_of_the_visitor,
    rights_and_differences_are_in_the_language_of_the_visitor,
    english_pages_say_what_the_api_says,
];

const LANGUAGES: [&str; 3] = ["ru", "zh", "es"];

async fn signed_in(server: &Server, name: &str, lang: &str) -> Browser {
    let mut browser = Browser::of(server, name).await;
    browser.cookies.insert("wharf-lang".to_owned(), lang.to_owned());
    browser
}

/// The content of a page, without what surrounds it.
fn content(page: &str) -> &str {
    let (_, rest) = page.split_once("<main").unwrap();
    rest.split_once("</main>").unwrap().0
}

/// The text without the elements of this name.
fn without(text: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}"), format!("</{element}>"));
    let mut rest = text;
    let mut left = String::new();
    while let Some((before, inside)) = rest.split_once(&open) {
        left.push_str(before);
        rest = inside.split_once(&close).map_or("", |(_, after)| after);
    }
    left + rest
}

/// Refuses a page in another language than English with an English sentence in it. Names and code may be in any language.
#[track_caller]
fn require_no_english(page: &str, lang: &str) {
    assert!(page.contains(&format!("<html lang=\"{lang}\"")), "{page}");
    let content = content(page);
    assert!(!content.contains("lang=\"en\""), "{content}");
    // Spanish is written with the same letters.
    if lang == "es" {
        return;
    }
    let text = without(&without(content, "code"), "bdi");
    let text: String = text
        .split('<')
        .filter_map(|part| part.split_once('>'))
        .fold(String::new(), |text, (_, after)| text + after + "\n");
    for line in text.lines() {
        let words = line
            .split_whitespace()
            .map(|word| word.trim_matches([',', ';', '.', ':']));
        let is_english = |word: &str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
        let words: Vec<bool> = words.map(is_english).collect();
        assert!(
            !words
                .windows(3)
                .any(|three| three.iter().all(|is_english| *is_english)),
            "an English sentence: {line}"
        );
    }
}

async fn a_plan_says_in_the_language_of_the_visitor_why_something_stays(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let app = server.anonymous().as_user("root", "pw").repository("team/app");
    let shared = image::oci("shared");
    for tag in ["1.0", "stable"] {
        app.push_image(tag, &shared).await;
    }
    for (lang, reason) in [
        ("ru", "у него есть ещё тег <code><bdi>stable</bdi></code>"),
        ("zh", "它还有标签 <code><bdi>stable</bdi></code>"),
        ("es", "tiene también la etiqueta <code><bdi>stable</bdi></code>"),
    ] {
        let mut browser = signed_in(&server, "root", lang).await;
        let plan = browser.open("/delete/team/app?tag=1.0").await.expect(200);
        assert!(plan.text().contains(reason), "{}", plan.text());
        require_no_english(&plan.text(), lang);
    }
}

async fn reasons_of_retention_are_in_the_language_of_the_visitor(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let app = server.anonymous().as_user("root", "pw").repository("team/app");
    for tag in ["ci-1", "ci-2", "ci-3", "1.0"] {
        app.push_image(tag, &image::oci(tag)).await;
    }
    for (lang, reasons) in [
        (
            "ru",
            [
                "3-й по новизне, а остаётся только новейших: 1",
                "не подходит ни под одно правило",
            ],
        ),
        ("zh", ["推送时间第 3 新，只保留最新的 1 个", "没有规则涉及它"]),
        (
            "es",
            [
                "es la n.º 3 por fecha de subida, y solo se quedan las últimas: 1",
                "ninguna regla trata de ella",
            ],
        ),
    ] {
        let mut browser = signed_in(&server, "root", lang).await;
        let preview = browser
            .open("/retention?try=1&tags=ci-*&keep=1")
            .await
            .expect(200);
        for reason in reasons {
            assert!(preview.text().contains(reason), "{}", preview.text());
        }
        require_no_english(&preview.text(), lang);
        // The plan that the button leads to says the same, by its form.
        let form = Form::find(&preview, "/delete/team/app");
        assert!(!form.get("plan").is_empty());
        let age = browser.open("/retention?try=1&older=30d").await.expect(200);
        require_no_english(&age.text(), lang);
    }
}

async fn errors_are_in_the_language_of_the_visitor(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let app = server.anonymous().as_user("root", "pw").repository("team/app");
    app.push_image("1.0", &image::oci("1.0")).await;
    for lang in LANGUAGES {
        let mut root = signed_in(&server, "root", lang).await;
        for (path, status) in [
            ("/nowhere", 404),
            ("/image/team/app:2.0", 404),
            ("/repo/team/none", 404),
            ("/trash/20261129T101500.123-5e1c09ab-e46f", 404),
            ("/delete/team/app", 400),
        ] {
            let page = root.open(path).await.expect(status);
            require_no_english(&page.text(), lang);
        }
        let mut alice = signed_in(&server, "alice", lang).await;
        let page = alice.open("/users").await.expect(403);
        require_no_english(&page.text(), lang);
        // What exists in English only follows the kind of failure, and says so.
        let page = root.open("/why?digest=nonsense").await.expect(400);
        let text = page.text();
        let kind = match lang {
            "ru" => "параметр адреса неверен",
            "zh" => "地址中的参数有误",
            _ => "un parámetro de la dirección no es válido",
        };
        let place = text.find(kind).unwrap_or_else(|| panic!("{text}"));
        assert!(text[place..].contains("<bdi lang=\"en\">"), "{text}");
    }
}

async fn rights_and_differences_are_in_the_language_of_the_visitor(builder: ServerBuilder) {
    let rules = "rules:\n- {accounts: alice, repositories: '**', allow: [pull, push]}\n";
    let server = super::with_rules(builder, rules).start();
    let app = server.anonymous().as_user("alice", "pw").repository("team/app");
    for (tag, content) in [("1.0", "short"), ("1.1", "a bit longer")] {
        app.push_image(tag, &image::oci(content)).await;
    }
    for (lang, rights, content) in [
        ("ru", "скачивать, отправлять: **", "(содержимое)"),
        ("zh", "拉取, 推送: **", "(内容)"),
        ("es", "descargar, subir: **", "(contenido)"),
    ] {
        let mut alice = signed_in(&server, "alice", lang).await;
        let account = alice.open("/account").await.expect(200).text();
        assert!(account.contains(rights), "{account}");
        let compared = alice
            .open("/compare/team/app?from=1.0&to=1.1")
            .await
            .expect(200)
            .text();
        assert!(compared.contains(content), "{compared}");
    }
}

async fn english_pages_say_what_the_api_says(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let root = server.anonymous().as_user("root", "pw");
    let app = root.repository("team/app");
    let shared = image::oci("shared");
    for tag in ["1.0", "stable"] {
        app.push_image(tag, &shared).await;
    }
    let request = root.post("/api/v1/plans?repository=team/app");
    let request = request.header("content-type", "application/json");
    let plan = request
        .body(r#"{"tags": ["1.0"]}"#.to_owned())
        .await
        .expect(200)
        .json();
    let stays = &plan["stays"][0];
    assert_eq!(stays["why"], "it also has the tag `stable`");
    assert_eq!(
        stays["why_messages"][0].to_string(),
        r#"{"arguments":{"tag":{"text":"stable"}},"code":"stays.also-tag"}"#
    );
    let unknown = root.get("/api/v1/image?repository=team/app&reference=2.0").await;
    let problem = unknown.expect(404).json();
    assert_eq!(problem["detail_messages"][0]["code"], "refused.manifest-unknown");
    let mut browser = Browser::of(&server, "root").await;
    let page = browser.open("/delete/team/app?tag=1.0").await.expect(200).text();
    assert!(page.contains("it also has the tag <code>stable</code>"), "{page}");
}
