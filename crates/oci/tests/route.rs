//! Which paths are routes, and the errors of all other paths.

use wharf_oci::{
    DigestError, NameError, ReferenceError, RepoName, Route, RouteError, TagError, UploadIdError, clean_path,
};

const SHA256: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a route is, as one word and its parts.
fn shown(path: &str) -> String {
    match Route::parse(path).unwrap_or_else(|error| panic!("{path}: {error}")) {
        Route::Base => "base".to_owned(),
        Route::Catalog => "catalog".to_owned(),
        Route::Tags(name) => format!("tags {name}"),
        Route::Manifest(name, reference) => format!("manifest {name} {reference}"),
        Route::Blob(name, digest) => format!("blob {name} {digest}"),
        Route::Uploads(name) => format!("uploads {name}"),
        Route::Upload(name, id) => format!("upload {name} {id}"),
        Route::Referrers(name, digest) => format!("referrers {name} {digest}"),
    }
}

#[test]
fn every_route_is_found() {
    let table = [
        ("/v2", "base"),
        ("/v2/", "base"),
        ("/v2/_catalog", "catalog"),
        ("/v2/a/tags/list", "tags a"),
        (
            "/v2/library/alpine/manifests/3.22",
            "manifest library/alpine 3.22",
        ),
        ("/v2/a/manifests/DIGEST", "manifest a DIGEST"),
        ("/v2/a/b/c/d/blobs/DIGEST", "blob a/b/c/d DIGEST"),
        ("/v2/a/blobs/uploads", "uploads a"),
        ("/v2/a/blobs/uploads/", "uploads a"),
        (
            "/v2/a/blobs/uploads/0f8fad5b-d9cb-469f-a165-70867728950e",
            "upload a 0f8fad5b-d9cb-469f-a165-70867728950e",
        ),
        ("/v2/a/referrers/DIGEST", "referrers a DIGEST"),
    ];
    for (path, expected) in table {
        assert_eq!(
            shown(&path.replace("DIGEST", SHA256)),
            expected.replace("DIGEST", SHA256),
            "{path}"
        );
    }
}

#[test]
fn names_may_hold_the_words_of_the_api() {
    let table = [
        ("/v2/a/blobs/uploads/blobs/uploads/", "uploads a/blobs/uploads"),
        ("/v2/a/blobs/uploads/blobs/uploads", "uploads a/blobs/uploads"),
        ("/v2/blobs/uploads/blobs/uploads/", "uploads blobs/uploads"),
        (
            "/v2/blobs/uploads/blobs/uploads/blobs",
            "upload blobs/uploads blobs",
        ),
        ("/v2/blobs/uploads/manifests/x", "manifest blobs/uploads x"),
        ("/v2/blobs/uploads/tags/list", "tags blobs/uploads"),
        ("/v2/a/tags/list/tags/list", "tags a/tags/list"),
        ("/v2/tags/tags/list", "tags tags"),
        ("/v2/tags/list/tags/list", "tags tags/list"),
        ("/v2/x/manifests/y/manifests/z", "manifest x/manifests/y z"),
        ("/v2/x/manifests/tags/list", "tags x/manifests"),
        (
            "/v2/manifests/manifests/manifests",
            "manifest manifests manifests",
        ),
        ("/v2/a/tags/manifests/list", "manifest a/tags list"),
        ("/v2/a/blobs/uploads/uploads", "upload a uploads"),
        ("/v2/a/blobs/uploads/list", "upload a list"),
        ("/v2/a/manifests/uploads", "manifest a uploads"),
        ("/v2/referrers/referrers/DIGEST", "referrers referrers DIGEST"),
        ("/v2/v2/blobs/DIGEST", "blob v2 DIGEST"),
    ];
    for (path, expected) in table {
        assert_eq!(
            shown(&path.replace("DIGEST", SHA256)),
            expected.replace("DIGEST", SHA256),
            "{path}"
        );
    }
}

#[test]
fn segments_are_percent_decoded_one_by_one() {
    let hex = &SHA256[7..];
    let table = [
        (format!("/v2/a/blobs/sha256%3A{hex}"), format!("blob a {SHA256}")),
        (format!("/v2/a/blobs/sha256%3a{hex}"), format!("blob a {SHA256}")),
        (
            format!("/v2/a/manifests/sha256%3A{hex}"),
            format!("manifest a {SHA256}"),
        ),
        ("/v2/%61bc/d%2de/tags/list".to_owned(), "tags abc/d-e".to_owned()),
        ("/v2/a/manifests/v1%2E0".to_owned(), "manifest a v1.0".to_owned()),
        ("/v2/a/%6Danifests/x".to_owned(), "manifest a x".to_owned()),
        (
            "/v2/a/%62lobs/upload%73/i%3D".to_owned(),
            "upload a i=".to_owned(),
        ),
        ("/v2/%5Fcatalog".to_owned(), "catalog".to_owned()),
        ("/v2/a%2Fb/tags/list".to_owned(), "tags a/b".to_owned()),
        (
            "/v2/a%2fb%2Fc/manifests/x".to_owned(),
            "manifest a/b/c x".to_owned(),
        ),
        ("/v2/a%2Fb/blobs/uploads/".to_owned(), "uploads a/b".to_owned()),
    ];
    for (path, expected) in table {
        assert_eq!(shown(&path), expected, "{path}");
    }
}

#[test]
fn unclean_paths_are_cleaned() {
    let table = [
        ("/v2/_catalog/", "/v2/_catalog"),
        ("/v2/a/tags/list/", "/v2/a/tags/list"),
        ("/v2/a/tags/list//", "/v2/a/tags/list"),
        ("//v2/", "/v2"),
        ("/v2//", "/v2"),
        ("///", ""),
        ("//evil.example/v2/", "/evil.example/v2"),
        ("/v2//_catalog", "/v2/_catalog"),
        ("/v2/a//b/tags/list", "/v2/a/b/tags/list"),
        ("/v2//a/blobs/uploads//", "/v2/a/blobs/uploads"),
        ("/v2/a%2F//b/../", "/v2/a%2F/b/.."),
        ("/v3/", "/v3"),
    ];
    for (path, clean) in table {
        assert_eq!(clean_path(path).as_deref(), Some(clean), "{path}");
        assert_eq!(clean_path(clean), None, "{clean}");
    }
    for path in [
        "",
        "/v2",
        "/v2/",
        "/v2/_catalog",
        "/v2/a/blobs/uploads/",
        "/v2/a%2F/x",
    ] {
        assert_eq!(clean_path(path), None, "{path}");
    }
}

#[test]
fn other_paths_are_not_found() {
    for path in [
        "",
        "/",
        "v2",
        "v2/",
        "/v1/",
        "/v22",
        "/v2x/a/tags/list",
        "/V2/",
        "//v2/",
        "/v2//",
        "/v2/x",
        "/v2/a/b/c",
        "/v2/_catalog/",
        "/v2//_catalog",
        "/v2/tags/list",
        "/v2/manifests/x",
        "/v2/blobs/uploads/",
        "/v2/blobs/uploads/x",
        "/v2/blobs/uploads",
        "/v2/a/tags/list/",
        "/v2/a/tags/",
        "/v2/a/tags",
        "/v2/a/tags/x",
        "/v2/a/manifests/",
        "/v2/a/manifests",
        "/v2/a/blobs/",
        "/v2/a/referrers/",
        "/v2/a/uploads/x",
        "/v2/a/uploads/",
        "/v2/a/blobs/uploads//",
        "/v2/a/blobs/uploads/x/",
        "/v2/a/blobs/uploads/x/y",
        "/v2/a/Manifests/x",
        "/v2/_catalog/x",
        "/v2?n=1",
    ] {
        assert_eq!(Route::parse(path), Err(RouteError::NotFound), "{path}");
    }
}

#[test]
fn the_part_that_is_wrong_is_named() {
    let long = "a".repeat(256);
    let table: Vec<(String, RouteError)> = vec![
        ("/v2//tags/list".into(), NameError::Empty.into()),
        ("/v2/a//b/tags/list".into(), NameError::EmptyComponent.into()),
        (
            "/v2/../tags/list".into(),
            NameError::DotComponent { component: ".." }.into(),
        ),
        (
            "/v2/a/%2e%2e/tags/list".into(),
            NameError::DotComponent { component: ".." }.into(),
        ),
        (
            "/v2/a%252Fb/tags/list".into(),
            NameError::BadCharacter { character: '%' }.into(),
        ),
        (
            "/v2/a%2F..%2Fb/tags/list".into(),
            NameError::DotComponent { component: ".." }.into(),
        ),
        (
            "/v2/a%2f%2e%2fb/tags/list".into(),
            NameError::DotComponent { component: "." }.into(),
        ),
        ("/v2/a%2F%2Fb/tags/list".into(), NameError::EmptyComponent.into()),
        ("/v2/a%2F/tags/list".into(), NameError::EmptyComponent.into()),
        ("/v2/%2Fa/tags/list".into(), NameError::EmptyComponent.into()),
        (
            "/v2/a%00b/tags/list".into(),
            NameError::ControlCharacter { character: '\0' }.into(),
        ),
        (
            "/v2/a%0a/tags/list".into(),
            NameError::ControlCharacter { character: '\n' }.into(),
        ),
        (
            "/v2/a%ff/tags/list".into(),
            NameError::BadCharacter {
                character: '\u{fffd}',
            }
            .into(),
        ),
        (
            "/v2/a%25/tags/list".into(),
            NameError::BadCharacter { character: '%' }.into(),
        ),
        (
            "/v2/a%zz/tags/list".into(),
            NameError::BadCharacter { character: '%' }.into(),
        ),
        (
            "/v2/_catalog/tags/list".into(),
            NameError::SeparatorAtEnd {
                component: "_catalog".into(),
            }
            .into(),
        ),
        (
            "/v2/Library/Alpine/tags/list".into(),
            NameError::UpperCase {
                name: "Library/Alpine".into(),
                lower: "library/alpine".into(),
            }
            .into(),
        ),
        (
            format!("/v2/{long}/tags/list"),
            NameError::TooLong { got: 256 }.into(),
        ),
        (
            "/v2/a/manifests/-x".into(),
            TagError::BadStart { character: '-' }.into(),
        ),
        (
            "/v2/a/manifests/x%2Fy".into(),
            TagError::BadCharacter { character: '/' }.into(),
        ),
        (
            "/v2/a/manifests/x%00".into(),
            TagError::BadCharacter { character: '\0' }.into(),
        ),
        (
            "/v2/a/manifests/sha256:abc".into(),
            DigestError::WrongLength {
                algorithm: wharf_oci::Algorithm::Sha256,
                expected: 64,
                got: 3,
            }
            .into(),
        ),
        (
            "/v2/a/manifests/md5:abc".into(),
            DigestError::UnknownAlgorithm {
                algorithm: "md5".into(),
            }
            .into(),
        ),
        (
            format!("/v2/a/manifests/1.0@{SHA256}"),
            RouteError::Reference(ReferenceError::TagAndDigest {
                tag: "1.0".into(),
                digest: SHA256.into(),
            }),
        ),
        ("/v2/a/blobs/latest".into(), DigestError::MissingColon.into()),
        ("/v2/a/referrers/latest".into(), DigestError::MissingColon.into()),
        (
            format!("/v2/a/blobs/{}", SHA256.to_uppercase().replace("SHA", "sha")),
            DigestError::UpperCase.into(),
        ),
        ("/v2/a/blobs/uploads/..".into(), UploadIdError::Dots.into()),
        (
            "/v2/a/blobs/uploads/x%2F..".into(),
            UploadIdError::BadCharacter { character: '/' }.into(),
        ),
        (
            format!("/v2/a/blobs/uploads/{}", "x".repeat(129)),
            UploadIdError::TooLong { got: 129 }.into(),
        ),
    ];
    for (path, error) in table {
        assert_eq!(Route::parse(&path), Err(error), "{path}");
    }
}

#[test]
fn what_may_be_done_is_said() {
    use http::Method;
    let table = [
        ("/v2/", "GET, HEAD", "base"),
        ("/v2/_catalog", "GET, HEAD", "catalog"),
        ("/v2/a/tags/list", "GET, HEAD", "tags"),
        ("/v2/a/manifests/x", "GET, HEAD, PUT, DELETE", "manifest"),
        (&format!("/v2/a/blobs/{SHA256}"), "GET, HEAD, DELETE", "blob"),
        ("/v2/a/blobs/uploads/", "POST", "blob_upload"),
        (
            "/v2/a/blobs/uploads/x",
            "GET, HEAD, PATCH, PUT, DELETE",
            "blob_upload_chunk",
        ),
        (&format!("/v2/a/referrers/{SHA256}"), "GET, HEAD", "referrers"),
    ];
    for (path, methods, handler) in table {
        let route = Route::parse(path).unwrap();
        assert_eq!(route.allowed_methods(), methods, "{path}");
        assert_eq!(route.handler(), handler, "{path}");
        assert_eq!(route.path(), path);
        assert_eq!(
            route.repository().map(RepoName::as_str),
            path.contains("/a/").then_some("a"),
            "{path}"
        );
        for method in [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let listed = methods.split(", ").any(|allowed| allowed == method.as_str());
            assert_eq!(route.allows(&method), listed, "{method} {path}");
        }
    }
}
