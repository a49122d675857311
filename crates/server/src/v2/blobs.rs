//! Blobs: reading, whole and in ranges, and unlinking.

use std::{ops::Range, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use wharf_access::Verb;
use wharf_mirror::{FoundBlob, Mirrored};
use wharf_oci::{Digest, ErrorCode, RangeRequest, RepoName, media_type, parse_range};
use wharf_registry::{BlobInfo, Caller as _, Error as RegistryError, OpenBlob};

use super::{
    answer::{Answer, CONTENT_DIGEST, admit, empty, entity_tag, to_the_end, value},
    byte_ranges::{self, content_range},
    conditions::has_already,
    deletion::{asks_for_force, rights_to_tags},
};
use crate::{
    body::Content,
    call::Call,
    error::{Failure, Result},
    options::Redirect,
    rights::Rights,
};

pub(super) async fn get(call: Call<'_>, rights: &Rights, name: &RepoName, digest: &Digest) -> Answer {
    if call.parts.method == Method::HEAD {
        // A client that cannot push leaves no mark that the blob is needed.
        let access = call.app.services.access.as_deref();
        let may_push = || rights.on(access, name, Verb::Push, None).is_some();
        let info = match !call.app.options.read_only && may_push() {
            true => call.app.registry.blob_to_rely_on(name, digest).await?,
            false => call.app.registry.blob(name, digest).await?,
        };
        call.app.registry.pulled_blob(&call, name, &info);
        return Ok(head(call, &info));
    }
    if let Some(redirect) = call.app.options.redirect
        && let Some(response) = elsewhere(call, name, digest, redirect).await?
    {
        return Ok(response);
    }
    let may_want_less = [header::RANGE, header::IF_NONE_MATCH]
        .iter()
        .any(|header| call.header(header).is_some());
    let blob = match may_want_less {
        true => call.app.registry.open_blob_parts(name, digest).await?,
        false => call.app.registry.open_blob(name, digest).await?,
    };
    let info = blob.info;
    let digest = info.digest.to_string();
    let response = if has_already(call, &digest) {
        not_modified(&digest)
    } else {
        match wanted_range(call, &digest, info.size) {
            RangeRequest::Whole => whole(&digest, blob),
            RangeRequest::One(range) => part(&digest, range, blob),
            RangeRequest::Many(ranges) => parts(&digest, ranges, blob),
            RangeRequest::Unsatisfiable => return Err(unsatisfiable(info.size)),
        }
    };
    call.app.registry.pulled_blob(&call, name, &info);
    Ok(response)
}

/// A blob of a mirror: the stored one, or else that of the upstream, while it is downloaded.
pub(super) async fn get_mirrored(
    call: Call<'_>,
    rights: &Rights,
    mirrored: &Mirrored,
    digest: &Digest,
) -> Answer {
    if !mirrored.is_allowed() {
        return Err(RegistryError::BlobUnknown { digest: *digest }.into());
    }
    match get(call, rights, mirrored.name(), digest).await {
        Err(failure) if failure.is(ErrorCode::BlobUnknown) => {}
        found => {
            mirrored.found_stored();
            return found;
        }
    }
    if call.parts.method == Method::HEAD {
        let info = mirrored.blob_info(digest).await?;
        return Ok(head(call, &info));
    }
    let text = digest.to_string();
    let found = mirrored.blob(digest, begin_of_part(call)).await?;
    let info = match &found {
        FoundBlob::Stored => return get(call, rights, mirrored.name(), digest).await,
        FoundBlob::Arriving(following) => following.info,
        FoundBlob::Upstream(info) => *info,
    };
    if has_already(call, &text) {
        return Ok(not_modified(&text));
    }
    let (range, is_part) = match wanted_range(call, &text, info.size) {
        RangeRequest::One(range) => (range, true),
        RangeRequest::Unsatisfiable => return Err(unsatisfiable(info.size)),
        // A server may answer several ranges with the whole (RFC 9110, section 14.2).
        RangeRequest::Whole | RangeRequest::Many(_) => (0..info.size, false),
    };
    let remaining = range.end - range.start;
    let stream = match found {
        FoundBlob::Arriving(following) => following.stream(range.clone()),
        FoundBlob::Upstream(_) | FoundBlob::Stored => mirrored.part(digest, range.clone()).await?,
    };
    let mut response = Response::new(match remaining {
        0 => Content::Empty,
        _ => Content::Stream { stream, remaining },
    });
    describe(response.headers_mut(), &text);
    if is_part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let content_range = value(content_range(&range, info.size));
        response
            .headers_mut()
            .insert(header::CONTENT_RANGE, content_range);
    }
    call.app.registry.pulled_blob(&call, mirrored.name(), &info);
    Ok(response)
}

/// The first byte of a part that a client wants, and no more than this part. One that goes on to the end is no such part: the client
/// continues what it has begun, and the rest is worth storing.
fn begin_of_part(call: Call<'_>) -> Option<u64> {
    let (first, last) = call
        .header(&header::RANGE)?
        .trim()
        .strip_prefix("bytes=")?
        .split_once('-')?;
    match (first.trim(), last.trim()) {
        (_, "") => None,
        // The last bytes of the blob.
        ("", _) => Some(u64::MAX),
        (first, last) => last.parse::<u64>().ok().and(first.parse().ok()),
    }
}

/// The redirect to the store; `None` when the blob is small, or the store has no address for clients.
///
/// A client repeats `Range` there, and must not repeat `Authorization`.
async fn elsewhere(
    call: Call<'_>,
    name: &RepoName,
    digest: &Digest,
    redirect: Redirect,
) -> Result<Option<Response<Content>>> {
    let registry = &call.app.registry;
    let (info, location) = registry
        .blob_elsewhere(name, digest, redirect.min_size, redirect.expiry)
        .await?;
    let digest = info.digest.to_string();
    if has_already(call, &digest) {
        registry.pulled_blob(&call, name, &info);
        return Ok(Some(not_modified(&digest)));
    }
    let Some(location) = location else {
        return Ok(None);
    };
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, value(location));
    headers.insert(CONTENT_DIGEST, value(digest.as_str()));
    // The URL ends before the blob does.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    registry.pulled_blob(&call, name, &info);
    Ok(Some(response))
}

pub(super) async fn delete(call: Call<'_>, rights: Rights, name: &RepoName, digest: &Digest) -> Answer {
    let (registry, name, digest) = (Arc::clone(&call.app.registry), name.clone(), *digest);
    let force = asks_for_force(call, &rights)?;
    let rights = rights_to_tags(call, rights, &name);
    let origin = call.origin();
    let delete = async move {
        registry
            .delete_blob_of(&origin, &name, &digest, force, &rights)
            .await
    };
    to_the_end(admit(call).await?, delete).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

fn head(call: Call<'_>, info: &BlobInfo) -> Response<Content> {
    let digest = info.digest.to_string();
    if has_already(call, &digest) {
        return not_modified(&digest);
    }
    let mut response = empty(StatusCode::OK);
    describe(response.headers_mut(), &digest);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, info.size.into());
    response
}

fn whole(digest: &str, blob: OpenBlob) -> Response<Content> {
    let size = blob.info.size;
    let mut response = Response::new(content(blob, 0..size));
    describe(response.headers_mut(), digest);
    response
}

fn part(digest: &str, range: Range<u64>, blob: OpenBlob) -> Response<Content> {
    let content_range = content_range(&range, blob.info.size);
    let mut response = Response::new(content(blob, range));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    describe(response.headers_mut(), digest);
    response
        .headers_mut()
        .insert(header::CONTENT_RANGE, value(content_range));
    response
}

fn parts(digest: &str, ranges: Vec<Range<u64>>, blob: OpenBlob) -> Response<Content> {
    let (body, content_type) = byte_ranges::body(blob, ranges);
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    describe(response.headers_mut(), digest);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn unsatisfiable(size: u64) -> Failure {
    let text = format!("`Range` asks for bytes that the blob does not have; it has {size}");
    Failure::new(ErrorCode::RangeInvalid, text)
        .with_header(header::CONTENT_RANGE, value(format!("bytes */{size}")))
}

fn content(blob: OpenBlob, range: Range<u64>) -> Content {
    let remaining = range.end - range.start;
    match remaining {
        0 => Content::Empty,
        _ => Content::Stream {
            stream: blob.stream(range),
            remaining,
        },
    }
}

fn not_modified(digest: &str) -> Response<Content> {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=31536000"),
    );
    headers.insert(header::ETAG, entity_tag(digest));
    headers.insert(CONTENT_DIGEST, value(digest));
    response
}

fn describe(headers: &mut HeaderMap, digest: &str) {
    headers.reserve(8);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=31536000"),
    );
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(media_type::OCTET_STREAM),
    );
    headers.insert(CONTENT_DIGEST, value(digest));
    headers.insert(header::ETAG, entity_tag(digest));
}

/// `Range`, unless `If-Range` names another content (RFC 9110, section 13.1.5: strong comparison).
fn wanted_range(call: Call<'_>, digest: &str, size: u64) -> RangeRequest {
    let Some(range) = call.header(&header::RANGE) else {
        return RangeRequest::Whole;
    };
    let is_of_this = match call.header(&header::IF_RANGE) {
        None => true,
        Some(tag) => tag.trim().strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(digest),
    };
    if is_of_this {
        parse_range(range, size)
    } else {
        RangeRequest::Whole
    }
}
