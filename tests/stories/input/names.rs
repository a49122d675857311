//! Malformed names.

use wharf_testkit::{Method, Server, digest, store};

wharf_testkit::on_both_engines![
    names_outside_the_grammar_are_refused_everywhere,
    dots_lead_nowhere,
    slashes_encoded_twice_or_in_the_wrong_place_and_nul_are_refused,
    a_name_of_256_characters_is_refused,
    the_message_names_what_is_wrong,
    tags_outside_the_grammar_are_refused,
    upload_ids_that_are_paths_are_refused,
    a_mount_from_a_name_that_is_none_gives_nothing_away,
];

async fn refused_everywhere(server: &Server, name: &str) {
    let client = server.anonymous();
    let unknown = digest::unknown(1);
    for (method, path) in [
        (Method::GET, format!("/v2/{name}/tags/list")),
        (Method::GET, format!("/v2/{name}/manifests/latest")),
        (Method::PUT, format!("/v2/{name}/manifests/latest")),
        (Method::GET, format!("/v2/{name}/blobs/{unknown}")),
        (Method::DELETE, format!("/v2/{name}/blobs/{unknown}")),
        (Method::POST, format!("/v2/{name}/blobs/uploads/")),
        (Method::GET, format!("/v2/{name}/referrers/{unknown}")),
    ] {
        client
            .request(method, &path)
            .await
            .expect_error(400, "NAME_INVALID");
    }
}

async fn names_outside_the_grammar_are_refused_everywhere(server: Server) {
    for name in [
        "A",
        "kyo/My-Image",
        "-a",
        "a-",
        "a..b",
        "a___b",
        ".a",
        "_a",
        "a/_b",
        "a_/b",
        "%C3%A4",
        "a%20b",
        "a~b",
    ] {
        refused_everywhere(&server, name).await;
    }
}

/// As a client cannot send them: the path reaches the server unchanged.
async fn dots_lead_nowhere(server: Server) {
    for name in [
        "..",
        "a/..",
        "../a",
        "a/../../b",
        "%2e%2e",
        "a/%2E%2e/b",
        ".",
        "a/./b",
    ] {
        for target in [
            format!("/v2/{name}/tags/list"),
            format!("/v2/{name}/blobs/uploads/"),
        ] {
            let method = if target.ends_with("list") { "GET" } else { "POST" };
            let mut raw = server.raw().await;
            raw.send(format!(
                "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
            let answer = raw.answer().await;
            assert!(
                matches!(answer.status, 400 | 404),
                "{target}: {}{}",
                answer.head,
                answer.text()
            );
        }
    }
    nothing_was_written(&server);
}

async fn slashes_encoded_twice_or_in_the_wrong_place_and_nul_are_refused(server: Server) {
    for name in [
        "a%252Fb",
        "a%2f..%2fb",
        "a%2F%2Fb",
        "a%2F",
        "%2Fa",
        "a%00b",
        "%00",
        "a%0Ab",
        "a%5Cb",
    ] {
        refused_everywhere(&server, name).await;
    }
    nothing_was_written(&server);
}

/// An inmemory server has no tree; a file system must not even have a directory.
fn nothing_was_written(server: &Server) {
    let repositories = server.root().join(store::TREE).join("repositories");
    let found: Vec<_> = std::fs::read_dir(repositories).into_iter().flatten().collect();
    assert!(found.is_empty(), "{found:?}");
}

async fn a_name_of_256_characters_is_refused(server: Server) {
    refused_everywhere(&server, &"a".repeat(256)).await;
    refused_everywhere(&server, &format!("{}bb", "a/".repeat(127))).await;
    refused_everywhere(&server, &"a".repeat(5000)).await;
    let answer = server
        .anonymous()
        .get(&format!("/v2/{}/tags/list", "a".repeat(256)))
        .await;
    answer.expect_message("255").expect_message("256");
}

async fn the_message_names_what_is_wrong(server: Server) {
    let client = server.anonymous();
    client
        .get("/v2/kyo/My-Image/tags/list")
        .await
        .expect_error(400, "NAME_INVALID")
        .expect_message("lower");
    client
        .get("/v2/a%20b/tags/list")
        .await
        .expect_error(400, "NAME_INVALID")
        .expect_message("` `");
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
async fn tags_outside_the_grammar_are_refused(server: Server) {
    let client = server.anonymous();
    for tag in [
        ".a",
        "-a",
        "a%20b",
        "a%2Fb",
        "a%00b",
        "%2e%2e",
        &"a".repeat(129),
        "a~b",
        "%C3%A4",
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer = client.request(method, &format!("/v2/a/manifests/{tag}")).await;
            let code = answer.errors()[0]["code"].as_str().unwrap().to_owned();
            assert!(answer.status == 400 || answer.status == 404, "{answer}");
            assert!(
                [
                    "TAG_INVALID",
                    "MANIFEST_INVALID",
                    "MANIFEST_UNKNOWN",
                    "NAME_INVALID"
                ]
                .contains(&&*code),
                "{answer}"
            );
        }
    }
    nothing_was_written(&server);
}

async fn upload_ids_that_are_paths_are_refused(server: Server) {
    server.anonymous().repository("a").start_upload().await;
    for id in [
        "..",
        ".",
        "%2e%2e",
        "..%2f..%2f..%2fetc",
        "a%00",
        &"a".repeat(5000),
        "%2e",
    ] {
        for method in ["GET", "PATCH", "PUT", "DELETE"] {
            let mut raw = server.raw().await;
            let target = format!("/v2/a/blobs/uploads/{id}?digest={}", digest::unknown(1));
            raw.send(format!(
                "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
            let answer = raw.answer().await;
            assert!(
                matches!(answer.status, 400 | 404 | 405),
                "{method} {target}: {}{}",
                answer.head,
                answer.text()
            );
        }
    }
}

async fn a_mount_from_a_name_that_is_none_gives_nothing_away(server: Server) {
    let client = server.anonymous();
    for from in ["..", "A", "../../etc", "a%00", &"a".repeat(300)] {
        let path = format!("/v2/a/blobs/uploads/?mount={}&from={from}", digest::unknown(1));
        let answer = client.post(&path).await;
        // registry:2 starts an upload; a refusal is accepted as well, nothing else.
        if answer.status != 202 {
            answer.expect_error(400, "NAME_INVALID");
        }
    }
}
