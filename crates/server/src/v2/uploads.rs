//! Uploads: starting or mounting, receiving in one request or in chunks, status, cancelling.
//!
//! A `PATCH`, and a `PUT` that says by `Content-Range` where its bytes belong, keeps what came of it when it breaks off: the client asks how
//! far it came, and goes on there. A `PUT` or `POST` without `Content-Range` is all or nothing: clients, and their HTTP
//! libraries, send it once more as it was.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use wharf_oci::{Algorithm, ChunkRange, Digest, ErrorCode, RepoName, Route, UploadId, query_value};
use wharf_registry::{BlobInfo, Caller as _, UploadSession};
use wharf_storage::Announced;

use super::{
    answer::{Answer, CONTENT_DIGEST, admit, content_digest, empty, to_the_end, value},
    receive,
};
use crate::{
    body::Content,
    call::Call,
    error::{Failure, Result},
    location,
    rights::Rights,
};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// `POST /v2/<name>/blobs/uploads/`: mounts, receives in one request, or starts a session.
pub(super) async fn start(call: Call<'_>, rights: &Rights, name: &RepoName, body: &mut Incoming) -> Answer {
    let query = call.query();
    if let Some(algorithm) = query_value(query, "digest-algorithm") {
        require_algorithm(&algorithm)?;
    }
    if let Some(digest) = query_value(query, "mount") {
        if let Some(answer) = mount(call, rights, name, &digest).await? {
            return Ok(answer);
        }
    } else if let Some(digest) = query_value(query, "digest") {
        let digest = digest.parse()?;
        return receive_whole(call, name, &digest, body).await;
    }
    let id = call.app.registry.start_upload(name).await?;
    Ok(progress(call, name, &id, 0, StatusCode::ACCEPTED))
}

/// `PATCH …/<id>`: appends a chunk, or the whole blob.
pub(super) async fn patch(call: Call<'_>, name: &RepoName, id: &UploadId, body: &mut Incoming) -> Answer {
    let chunk = announced_chunk(call, name, id).await?;
    let mut session = call.app.registry.open_upload(name, id).await?;
    session.announce(announced(None, body));
    let size = match receive_chunk(call, name, id, chunk, &mut session, body).await {
        Ok(()) => session.suspend().await.map_err(Failure::from),
        Err(failure) => Err(let_go(call, name, id, session, failure).await),
    };
    match size {
        Ok(size) => Ok(progress(call, name, id, size, StatusCode::ACCEPTED)),
        Err(failure) => Err(without_leftovers(call, name, id, failure).await),
    }
}

/// `PUT …/<id>?digest=…`: appends the last chunk, if there is one, and makes the upload a blob.
pub(super) async fn put(call: Call<'_>, name: &RepoName, id: &UploadId, body: &mut Incoming) -> Answer {
    let Some(digest) = query_value(call.query(), "digest") else {
        let text =
            "the blob's digest is missing; add `?digest=sha256:…` to the `Location` of the last answer";
        return Err(Failure::new(ErrorCode::DigestInvalid, text));
    };
    let digest: Digest = digest.parse()?;
    let chunk = announced_chunk(call, name, id).await?;
    let mut session = match call.app.registry.open_upload(name, id).await {
        Ok(session) => session,
        Err(error) => return finished_before(call, name, &digest, error.into()).await,
    };
    session.announce(announced(Some(digest), body));
    if chunk.is_none() {
        session.write_provisionally();
    }
    let blob = match receive_chunk(call, name, id, chunk, &mut session, body).await {
        Ok(()) => finish(call, session, digest).await,
        Err(failure) => Err(let_go(call, name, id, session, failure).await),
    };
    match blob {
        Ok(blob) => Ok(created(call, name, &blob.digest)),
        Err(failure) => {
            let failure = without_leftovers(call, name, id, failure).await;
            finished_before(call, name, &digest, failure).await
        }
    }
}

/// The answer to a last `PUT` that failed. When the upload is gone and the repository has the blob that the client names, the
/// same request was received before, and the client did not get its answer, or got an error. The blob that is visible need not
/// be durable, so its link is written again before the client is told that it is.
async fn finished_before(call: Call<'_>, name: &RepoName, digest: &Digest, failure: Failure) -> Answer {
    let is_gone = failure
        .errors()
        .iter()
        .any(|error| error.code == ErrorCode::BlobUploadUnknown);
    if !is_gone {
        return Err(failure);
    }
    let (registry, to, digest) = (Arc::clone(&call.app.registry), name.clone(), *digest);
    let link = async move { registry.link_blob_again(&to, &digest).await };
    match to_the_end(admit(call).await?, link).await? {
        Some(blob) => Ok(created(call, name, &blob.digest)),
        None => Err(failure),
    }
}

/// All bytes came. Whether the client waits for the answer or not, they become a blob.
async fn finish(call: Call<'_>, session: UploadSession, digest: Digest) -> Result<BlobInfo> {
    let origin = call.origin();
    let permit = admit(call).await?;
    to_the_end(permit, async move { session.finish(&origin, &digest).await }).await
}

/// Ends a request that failed. The bytes that came are kept, so that the client can continue after them, unless they are
/// provisional.
async fn let_go(
    call: Call<'_>,
    name: &RepoName,
    id: &UploadId,
    session: UploadSession,
    failure: Failure,
) -> Failure {
    match session.suspend().await {
        Ok(size) => with_progress(failure, call, name, id, size),
        // The client gets the first failure.
        Err(_again) => failure,
    }
}

/// Removes an upload that found the store full: its bytes would keep it full for every client.
async fn without_leftovers(call: Call<'_>, name: &RepoName, id: &UploadId, failure: Failure) -> Failure {
    if failure.is_out_of_space()
        && let Err(error) = call.app.registry.cancel_upload(name, id).await
    {
        tracing::debug!(%error, "cannot remove an upload that found the store full; it stays until it is purged");
    }
    failure
}

/// `GET …/<id>`: the bytes that the upload has.
pub(super) async fn status(call: Call<'_>, name: &RepoName, id: &UploadId) -> Answer {
    let size = call.app.registry.upload_size(name, id).await?;
    Ok(progress(call, name, id, size, StatusCode::NO_CONTENT))
}

/// `DELETE …/<id>`: cancels the upload.
pub(super) async fn cancel(call: Call<'_>, name: &RepoName, id: &UploadId) -> Answer {
    call.app.registry.cancel_upload(name, id).await?;
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(UPLOAD_UUID, value(id.as_str()));
    Ok(response)
}

/// Mounts a blob. `None`: it cannot be mounted, and the client has to push it; also if the digest or the source is
/// invalid, as in registry:2: the push that follows reports that.
///
/// A client that may not read the source is not told whether the blob is there. Without a source the blob may lie in any
/// repository, also in one that the client may not read.
async fn mount(
    call: Call<'_>,
    rights: &Rights,
    name: &RepoName,
    digest: &str,
) -> Result<Option<Response<Content>>> {
    let from = query_value(call.query(), "from").filter(|from| !from.is_empty());
    let from = from.map(|from| from.parse::<RepoName>()).transpose();
    let (Ok(digest), Ok(from)) = (digest.parse::<Digest>(), from) else {
        return Ok(None);
    };
    let may_mount = match from {
        Some(_) => rights.may_mount(),
        None => rights.is_unrestricted(call.app.services.access.as_deref()),
    };
    if !may_mount {
        return Ok(None);
    }
    let (registry, to) = (Arc::clone(&call.app.registry), name.clone());
    let origin = call.origin();
    let mount = async move { registry.mount_blob(&origin, &to, &digest, from.as_ref()).await };
    let blob = to_the_end(admit(call).await?, mount).await?;
    Ok(blob.map(|blob| created(call, name, &blob.digest)))
}

/// What the store is told of the bytes in `body`; `digest` is that of the whole upload.
fn announced(digest: Option<Digest>, body: &Incoming) -> Announced {
    Announced {
        digest,
        length: body.size_hint().exact(),
    }
}

/// Receives a blob in one request: it is kept only if it is complete.
async fn receive_whole(call: Call<'_>, name: &RepoName, digest: &Digest, body: &mut Incoming) -> Answer {
    let registry = &call.app.registry;
    let id = registry.start_upload(name).await?;
    let mut session = registry.open_upload(name, &id).await?;
    session.announce(announced(Some(*digest), body));
    session.write_provisionally();
    if let Err(failure) = receive_chunk(call, name, &id, None, &mut session, body).await {
        if let Err(error) = session.discard().await {
            tracing::debug!(%error, "cannot remove an incomplete upload; it stays until it is purged");
        }
        return Err(failure);
    }
    match finish(call, session, *digest).await {
        Ok(blob) => Ok(created(call, name, &blob.digest)),
        Err(failure) => Err(without_leftovers(call, name, &id, failure).await),
    }
}

/// The chunk that `Content-Range` announces, checked against `Content-Length`; `None` without the header. A refusal
/// carries the state of the upload, from which the client can go on.
async fn announced_chunk(call: Call<'_>, name: &RepoName, id: &UploadId) -> Result<Option<ChunkRange>> {
    let Some(header) = call.parts.headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    match chunk_of(call, &String::from_utf8_lossy(header.as_bytes())) {
        Ok(chunk) => Ok(Some(chunk)),
        Err(failure) => {
            let size = call.app.registry.upload_size(name, id).await?;
            Err(with_progress(failure, call, name, id, size))
        }
    }
}

fn chunk_of(call: Call<'_>, header: &str) -> Result<ChunkRange> {
    let chunk: ChunkRange = header.parse().map_err(|error: wharf_oci::ChunkRangeError| {
        Failure::new(ErrorCode::RangeInvalid, error.to_string())
    })?;
    let length = call
        .header(&header::CONTENT_LENGTH)
        .and_then(|length| length.parse::<u64>().ok());
    match length {
        Some(length) if length != chunk.len() => {
            let text = format!(
                "`Content-Range: {chunk}` means {} bytes, but `Content-Length` says {length}",
                chunk.len()
            );
            Err(Failure::new(ErrorCode::SizeInvalid, text))
        }
        _ => Ok(chunk),
    }
}

/// Appends the body to the upload, if it begins where the upload ends; never more than was announced.
async fn receive_chunk(
    call: Call<'_>,
    name: &RepoName,
    id: &UploadId,
    chunk: Option<ChunkRange>,
    session: &mut UploadSession,
    body: &mut Incoming,
) -> Result<()> {
    let metrics = call.app.services.metrics.as_deref();
    let _counted = metrics.map(|metrics| metrics.transfers().upload());
    let Some(chunk) = chunk else {
        while let Some(bytes) = receive::next_of_blob(call, body).await? {
            session.write(bytes).await?;
        }
        return Ok(());
    };
    let held = session.size();
    if chunk.start != held {
        let text = format!(
            "the chunk starts at byte {}, but the upload goes on at byte {held}",
            chunk.start
        );
        let failure = Failure::new(ErrorCode::RangeInvalid, text);
        return Err(with_progress(failure, call, name, id, held));
    }
    let mut missing = chunk.len();
    while let Some(mut bytes) = receive::next_of_blob(call, body).await? {
        let more = bytes.split_off(bytes.len().min(usize::try_from(missing).unwrap_or(usize::MAX)));
        missing -= bytes.len() as u64;
        session.write(bytes).await?;
        if !more.is_empty() {
            let text = format!(
                "more bytes came than `Content-Range: {chunk}` means; those beyond it were not taken"
            );
            return Err(Failure::new(ErrorCode::SizeInvalid, text));
        }
    }
    if missing > 0 {
        let text = format!(
            "{missing} bytes fewer came than `Content-Range: {chunk}` means; go on after those that came"
        );
        return Err(Failure::new(ErrorCode::SizeInvalid, text));
    }
    Ok(())
}

fn require_algorithm(name: &str) -> Result<()> {
    match name.parse::<Algorithm>() {
        Ok(_) => Ok(()),
        Err(_) => {
            let text = format!(
                "`digest-algorithm={}` is not supported; `sha256` and `sha512` are",
                name.escape_default()
            );
            Err(Failure::new(ErrorCode::DigestInvalid, text))
        }
    }
}

/// The answer with the state of an upload, from which clients continue.
fn progress(
    call: Call<'_>,
    name: &RepoName,
    id: &UploadId,
    size: u64,
    status: StatusCode,
) -> Response<Content> {
    let mut response = empty(status);
    describe(response.headers_mut(), call, name, id, size);
    response
}

fn with_progress(failure: Failure, call: Call<'_>, name: &RepoName, id: &UploadId, size: u64) -> Failure {
    let mut headers = HeaderMap::new();
    describe(&mut headers, call, name, id, size);
    headers
        .into_iter()
        .fold(failure, |failure, (header, value)| match header {
            Some(header) => failure.with_header(header, value),
            None => failure,
        })
}

fn describe(headers: &mut HeaderMap, call: Call<'_>, name: &RepoName, id: &UploadId, size: u64) {
    headers.insert(
        header::LOCATION,
        location::of(call, &Route::Upload(name.clone(), id.clone())),
    );
    // registry:2 answers `0-0` for an empty upload, too.
    headers.insert(header::RANGE, value(format!("0-{}", size.saturating_sub(1))));
    headers.insert(UPLOAD_UUID, value(id.as_str()));
}

/// The answer to a complete upload, or a mount.
fn created(call: Call<'_>, name: &RepoName, digest: &Digest) -> Response<Content> {
    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    headers.insert(
        header::LOCATION,
        location::of(call, &Route::Blob(name.clone(), *digest)),
    );
    headers.insert(CONTENT_DIGEST, content_digest(digest));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}
