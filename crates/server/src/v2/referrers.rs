//! `GET /v2/<name>/referrers/<digest>`

use http::{HeaderName, HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use wharf_mirror::Mirrored;
use wharf_oci::{Digest, RepoName, Route, media_type, query_value};

use super::answer::{Answer, json as json_answer, value};
use crate::{call::Call, location};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// What refers to a manifest of a mirror: by the word of its upstream, which sees more than what is stored here.
pub(super) async fn list_mirrored(call: Call<'_>, mirrored: &Mirrored, subject: &Digest) -> Answer {
    let Some(index) = mirrored.referrers(subject).await? else {
        return list(call, mirrored.name(), subject).await;
    };
    let mut response = json_answer(index.into());
    let content_type = HeaderValue::from_static(media_type::OCI_INDEX);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

pub(super) async fn list(call: Call<'_>, name: &RepoName, subject: &Digest) -> Answer {
    // A plus in a query stands for a space; no media type has a space, many have a plus, and clients forget
    // to encode it.
    let artifact_type = query_value(call.query(), "artifactType")
        .filter(|wanted| !wanted.is_empty())
        .map(|wanted| wanted.replace(' ', "+"));
    let after = query_value(call.query(), "last")
        .map(|last| last.parse::<Digest>())
        .transpose()?;
    let page = call
        .app
        .registry
        .referrers(name, subject, artifact_type.as_deref(), after.as_ref())
        .await?;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": page.descriptors,
    });
    let mut body = index.to_string().into_bytes();
    body.push(b'\n');

    let mut response = json_answer(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(media_type::OCI_INDEX),
    );
    if artifact_type.is_some() {
        headers.insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let (true, Some(last)) = (page.more, page.descriptors.last()) {
        let path = location::path(call, &Route::Referrers(name.clone(), *subject));
        let filter = artifact_type
            .map(|wanted| format!("&artifactType={}", utf8_percent_encode(&wanted, NON_ALPHANUMERIC)))
            .unwrap_or_default();
        let next = format!("<{path}?last={}{filter}>; rel=\"next\"", last.digest);
        headers.insert(header::LINK, value(next));
    }
    Ok(response)
}
