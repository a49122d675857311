//! The error table, held against the contract of the wire.

use std::collections::HashSet;

use http::StatusCode;
use wharf_oci::{ApiError, ErrorCode, error_body};

#[test]
fn the_table_is_the_contracts() {
    let contract = [
        ("BLOB_UNKNOWN", 404, "blob unknown to registry"),
        ("BLOB_UPLOAD_INVALID", 404, "blob upload invalid"),
        ("BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry"),
        ("DENIED", 403, "requested access to the resource is denied"),
        (
            "DIGEST_INVALID",
            400,
            "provided digest did not match uploaded content",
        ),
        ("MANIFEST_BLOB_UNKNOWN", 400, "blob unknown to registry"),
        ("MANIFEST_INVALID", 400, "manifest invalid"),
        ("MANIFEST_UNKNOWN", 404, "manifest unknown"),
        (
            "MANIFEST_UNVERIFIED",
            400,
            "manifest failed signature verification",
        ),
        ("NAME_INVALID", 400, "invalid repository name"),
        ("NAME_UNKNOWN", 404, "repository name not known to registry"),
        (
            "PAGINATION_NUMBER_INVALID",
            400,
            "invalid number of results requested",
        ),
        ("RANGE_INVALID", 416, "invalid content range"),
        (
            "SIZE_INVALID",
            400,
            "provided length did not match content length",
        ),
        ("TAG_INVALID", 400, "manifest tag did not match URI"),
        ("TOOMANYREQUESTS", 429, "too many requests"),
        ("UNAUTHORIZED", 401, "authentication required"),
        ("UNAVAILABLE", 503, "service unavailable"),
        ("UNKNOWN", 500, "unknown error"),
        ("UNSUPPORTED", 405, "The operation is unsupported."),
    ];
    let table: Vec<_> = ErrorCode::all()
        .iter()
        .map(|code| (code.code(), code.status().as_u16(), code.message()))
        .collect();
    assert_eq!(table, contract);
    assert_eq!(
        table.iter().map(|(code, ..)| code).collect::<HashSet<_>>().len(),
        contract.len()
    );
}

#[test]
fn an_error_is_built() {
    let plain = ApiError::new(ErrorCode::ManifestUnknown);
    assert_eq!(plain.message, "manifest unknown");
    assert_eq!(plain.status(), StatusCode::NOT_FOUND);
    assert_eq!(ApiError::from(ErrorCode::ManifestUnknown), plain);
    let full = plain
        .with_message("no tag `x`")
        .with_detail("unknown tag=x")
        .with_status(StatusCode::GONE);
    assert_eq!(full.message, "no tag `x`");
    assert_eq!(full.detail, "unknown tag=x");
    assert_eq!(full.status(), StatusCode::GONE);
    let large = ApiError::new(ErrorCode::ManifestInvalid).with_status(StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(large.status().as_u16(), 413);
    assert_eq!(large.code.status().as_u16(), 400);
}

#[test]
fn a_body_is_as_registry_2_writes_it() {
    let body = |errors: &[ApiError]| String::from_utf8(error_body(errors)).unwrap();
    assert_eq!(body(&[]), "{\"errors\":[]}\n");
    assert_eq!(
        body(&[ErrorCode::Unsupported.into()]),
        "{\"errors\":[{\"code\":\"UNSUPPORTED\",\"message\":\"The operation is unsupported.\"}]}\n"
    );
    let errors = [
        ApiError::new(ErrorCode::ManifestUnknown).with_detail("unknown tag=x"),
        ApiError::new(ErrorCode::BlobUnknown)
            .with_message("a \"quote\", a\nline, a \0")
            .with_detail(serde_json::json!({"digest": "sha256:00"})),
    ];
    assert_eq!(
        body(&errors),
        concat!(
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":"unknown tag=x"},"#,
            r#"{"code":"BLOB_UNKNOWN","message":"a \"quote\", a\nline, a \u0000","detail":{"digest":"sha256:00"}}]}"#,
            "\n"
        )
    );
}
