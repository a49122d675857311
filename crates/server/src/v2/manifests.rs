//! Manifests: reading by tag or digest, pushing, deleting.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use wharf_access::Verb;
use wharf_mirror::Mirrored;
use wharf_oci::{ErrorCode, Reference, RepoName, Route, Tag, media_type, query_pairs};
use wharf_registry::{Caller as _, ManifestPush, StoredManifest};

use super::{
    accept,
    answer::{Answer, CONTENT_DIGEST, admit, content_digest, empty, entity_tag, to_the_end, value},
    conditions::{self, has_already},
    deletion::{asks_for_force, rights_to_tags},
    receive::{self, Gathered},
};
use crate::{
    body::Content,
    call::Call,
    error::{Failure, Result},
    location,
    rights::Rights,
};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// Maximum number of tags in one push; the specification demands at least ten.
const TAGS_LIMIT: usize = 100;

pub(super) async fn get(call: Call<'_>, name: &RepoName, reference: &Reference) -> Answer {
    let manifest = call.app.registry.manifest(name, reference).await?;
    if call.app.options.strict_accept {
        let manifest = Box::pin(accept::choose(call, name, reference, manifest)).await?;
        return Ok(answer(call, name, reference, &manifest));
    }
    Ok(answer(call, name, reference, &manifest))
}

/// A manifest of a mirror, which may have to be fetched.
pub(super) async fn get_mirrored(call: Call<'_>, mirrored: &Mirrored, reference: &Reference) -> Answer {
    let found = mirrored.manifest(reference).await?;
    let mut response = answer(call, mirrored.name(), reference, &found.manifest);
    super::mirrored::warn(&mut response, found.stale.as_deref());
    Ok(response)
}

/// The stored bytes, with their true digest and type.
fn answer(
    call: Call<'_>,
    name: &RepoName,
    reference: &Reference,
    manifest: &Arc<StoredManifest>,
) -> Response<Content> {
    let digest = manifest.digest.to_string();
    let is_known = has_already(call, &digest);
    if !is_known {
        call.app
            .registry
            .pulled_manifest(&call, name, reference, manifest);
    }
    let mut response = match is_known {
        true => empty(StatusCode::NOT_MODIFIED),
        false => Response::new(Content::Full(manifest.bytes.clone())),
    };
    let headers = response.headers_mut();
    headers.reserve(6);
    if !is_known {
        let content_type = HeaderValue::from_str(&manifest.media_type);
        let fallback = HeaderValue::from_static(media_type::OCTET_STREAM);
        headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(fallback));
    }
    headers.insert(header::ETAG, entity_tag(&digest));
    headers.insert(CONTENT_DIGEST, value(digest));
    response
}

pub(super) async fn put(
    call: Call<'_>,
    rights: &Rights,
    name: &RepoName,
    reference: &Reference,
    body: &mut Incoming,
) -> Answer {
    let tags = match reference {
        Reference::Digest(_) => tags_of(call.query())?,
        Reference::Tag(_) => Vec::new(),
    };
    let creates_only = rights.creates_only() | may_push(call, rights, name, &tags)?;
    require_plain(call)?;
    let Gathered { bytes, charge } =
        receive::whole(call, body, call.app.registry.options().manifest_limit).await?;
    // After the body: requests that wait for room for theirs keep no other changes waiting.
    let permit = admit(call).await?;
    let push = ManifestPush {
        reference,
        tags: &tags,
        content_type: call.header(&header::CONTENT_TYPE),
        bytes: &bytes,
        condition: &conditions::of_push(call),
        creates_only,
    };
    let prepared = call.app.registry.prepare_manifest(name, push).await?;
    let (registry, origin) = (Arc::clone(&call.app.registry), call.origin());
    let publish = async move { registry.publish_manifest(&origin, prepared).await };
    let pushed = to_the_end((permit, charge), publish).await?;

    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    let location = Route::Manifest(name.clone(), pushed.digest.into());
    headers.insert(header::LOCATION, location::of(call, &location));
    headers.insert(CONTENT_DIGEST, content_digest(&pushed.digest));
    if let Some(subject) = &pushed.subject {
        headers.insert(OCI_SUBJECT, content_digest(subject));
    }
    for tag in &tags {
        headers.append(OCI_TAG, value(tag.as_str()));
    }
    Ok(response)
}

pub(super) async fn delete(call: Call<'_>, rights: Rights, name: &RepoName, reference: &Reference) -> Answer {
    let force = asks_for_force(call, &rights)?;
    let registry = Arc::clone(&call.app.registry);
    let rights = rights_to_tags(call, rights, name);
    let (name, reference) = (name.clone(), reference.clone());
    let origin = call.origin();
    let delete = async move {
        match reference {
            Reference::Tag(tag) => registry.delete_tag(&origin, &name, &tag).await,
            Reference::Digest(digest) => {
                let deleted = registry.delete_manifest_of(&origin, &name, &digest, force, &rights);
                deleted.await.map(drop)
            }
        }
    };
    to_the_end(admit(call).await?, delete).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Whether a client that may push by digest may create further tags only, and not move them.
///
/// # Errors
///
/// The answer, if it has no right to push one of them.
fn may_push(call: Call<'_>, rights: &Rights, name: &RepoName, tags: &[Tag]) -> Result<bool> {
    let access = call.app.services.access.as_deref();
    let mut creates_only = false;
    for tag in tags {
        // As for a push by that tag: its answer may say what the tag names.
        let may = |verb| rights.on(access, name, verb, Some(tag.as_str()));
        let denied = |verb| {
            let text = format!(
                "{}: no right to {verb} tag `{tag}`; nothing was stored",
                ErrorCode::Denied.message()
            );
            Failure::new(ErrorCode::Denied, text)
        };
        creates_only |= may(Verb::Push).ok_or_else(|| denied("push"))?.creates_only;
        may(Verb::Pull).ok_or_else(|| denied("pull"))?;
    }
    Ok(creates_only)
}

/// The `tag` parameters of a push by digest (spec end-7b).
fn tags_of(query: &str) -> Result<Vec<Tag>> {
    let mut tags = Vec::new();
    for (key, value) in query_pairs(query) {
        if key != "tag" {
            continue;
        }
        if tags.len() == TAGS_LIMIT {
            let text = format!("a push can name at most {TAGS_LIMIT} tags; push again with the rest");
            return Err(Failure::new(ErrorCode::TagInvalid, text).with_status(StatusCode::URI_TOO_LONG));
        }
        let tag: Tag = value.parse()?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// Refuses a manifest that is sent compressed: its digest, and what is served later, is of the bytes as they come.
fn require_plain(call: Call<'_>) -> Result<()> {
    let encoding = call.header(&header::CONTENT_ENCODING);
    match encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        None => Ok(()),
        Some(encoding) => {
            let text = format!(
                "a manifest cannot be pushed with `Content-Encoding: {}`; send the JSON itself",
                encoding.escape_default()
            );
            Err(Failure::new(ErrorCode::Unsupported, text)
                .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_a_push_are_checked_and_bounded() {
        let names = |query: &str| {
            tags_of(query).map(|tags| tags.iter().map(|tag| tag.as_str().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            names("tag=1.2&x=y&tag=latest&tag=1.2").unwrap(),
            ["1.2", "latest"]
        );
        assert!(names("").unwrap().is_empty());
        assert_eq!(names("tag=.bad").unwrap_err().into_response().status(), 400);
        let many: String = (0..=TAGS_LIMIT).map(|n| format!("&tag=t{n}")).collect();
        assert_eq!(names(&many).unwrap_err().into_response().status(), 414);
    }
}
