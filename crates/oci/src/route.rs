//! The routes of `/v2`: from a request path to the resource that it names.

use std::{borrow::Cow, fmt};

use http::Method;
use percent_encoding::percent_decode_str;

use crate::{
    Digest, DigestError, NameError, Reference, ReferenceError, RepoName, TagError, UploadId, UploadIdError,
};

/// What a request path below `/v2` names (distribution specification, "Endpoints").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/v2/`: the version check.
    Base,
    /// `/v2/_catalog`: all repositories.
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags(RepoName),
    /// `/v2/<name>/manifests/<tag or digest>`
    Manifest(RepoName, Reference),
    /// `/v2/<name>/blobs/<digest>`
    Blob(RepoName, Digest),
    /// `/v2/<name>/blobs/uploads/`: where uploads start.
    Uploads(RepoName),
    /// `/v2/<name>/blobs/uploads/<id>`: one upload.
    Upload(RepoName, UploadId),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(RepoName, Digest),
}

impl Route {
    /// Reads a raw request path: still percent-encoded, without the query.
    ///
    /// Paths are read from their right-hand end, so a repository may be called `a/tags` or `blobs/uploads`.
    /// Segments are percent-decoded one by one, and once: `sha256%3Aabc…` is a digest. An encoded slash is one of the
    /// repository's name, as in registry:2, and separates nothing else.
    ///
    /// # Errors
    ///
    /// When the path has none of the forms of the API, or a part of it is not valid.
    pub fn parse(path: &str) -> Result<Self, RouteError> {
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Self::Base),
            Some(rest) => rest.strip_prefix('/').ok_or(RouteError::NotFound)?,
            None => return Err(RouteError::NotFound),
        };
        let Some((rest, last)) = split_last(rest) else {
            return if decoded(rest) == "_catalog" {
                Ok(Self::Catalog)
            } else {
                Err(RouteError::NotFound)
            };
        };
        let (name, kind) = split_last(rest).ok_or(RouteError::NotFound)?;
        match (&*kind, &*last) {
            ("manifests", reference) if !reference.is_empty() => {
                Ok(Self::Manifest(repo(name)?, reference.parse()?))
            }
            ("blobs", "uploads") => Ok(Self::Uploads(repo(name)?)),
            ("blobs", digest) if !digest.is_empty() => Ok(Self::Blob(repo(name)?, digest.parse()?)),
            ("uploads", id) => match split_last(name) {
                Some((name, kind)) if kind == "blobs" && id.is_empty() => Ok(Self::Uploads(repo(name)?)),
                Some((name, kind)) if kind == "blobs" => Ok(Self::Upload(repo(name)?, id.parse()?)),
                _ => Err(RouteError::NotFound),
            },
            ("tags", "list") => Ok(Self::Tags(repo(name)?)),
            ("referrers", digest) if !digest.is_empty() => Ok(Self::Referrers(repo(name)?, digest.parse()?)),
            _ => Err(RouteError::NotFound),
        }
    }

    /// The path that [`Route::parse`] reads as this route. It needs no percent-encoding.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// The repository of the route, if it has one.
    pub fn repository(&self) -> Option<&RepoName> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _) => Some(name),
        }
    }

    /// The value of the `Allow` header of a 405.
    pub fn allowed_methods(&self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Tags(_) | Self::Referrers(..) => "GET, HEAD",
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::Uploads(_) => "POST",
            Self::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }

    /// Whether [`Route::allowed_methods`] has `method`.
    pub fn allows(&self, method: &Method) -> bool {
        self.allowed_methods()
            .split(", ")
            .any(|allowed| allowed == method.as_str())
    }

    /// The value of the label `handler` in the metrics of `registry:2`.
    pub fn handler(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Tags(_) => "tags",
            Self::Manifest(..) => "manifest",
            Self::Blob(..) => "blob",
            Self::Uploads(_) => "blob_upload",
            Self::Upload(..) => "blob_upload_chunk",
            Self::Referrers(..) => "referrers",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("/v2/"),
            Self::Catalog => f.write_str("/v2/_catalog"),
            Self::Tags(name) => write!(f, "/v2/{name}/tags/list"),
            Self::Manifest(name, reference) => write!(f, "/v2/{name}/manifests/{reference}"),
            Self::Blob(name, digest) => write!(f, "/v2/{name}/blobs/{digest}"),
            Self::Uploads(name) => write!(f, "/v2/{name}/blobs/uploads/"),
            Self::Upload(name, id) => write!(f, "/v2/{name}/blobs/uploads/{id}"),
            Self::Referrers(name, digest) => write!(f, "/v2/{name}/referrers/{digest}"),
        }
    }
}

/// `path` without doubled slashes and without a slash at its end; `None` when it has neither.
///
/// Nothing else is changed: what is encoded stays so, and `.` and `..` are segments like others.
pub fn clean_path(path: &str) -> Option<String> {
    // The path of some routes ends with a slash.
    let is_clean = !path.contains("//") && (!path.ends_with('/') || Route::parse(path).is_ok());
    if is_clean {
        return None;
    }
    let mut clean = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        clean.push('/');
        clean.push_str(segment);
    }
    Some(clean)
}

/// Why a path is not a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path has none of the forms of the API.
    #[error(
        "no such path; those of the registry API are `/v2/`, `/v2/_catalog` and `/v2/<name>/(manifests|blobs|tags|referrers)/…`"
    )]
    NotFound,
    /// The path names a manifest by a tag and by a digest.
    #[error(transparent)]
    Reference(ReferenceError),
    /// The name of the repository is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The tag is not valid.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The digest is not valid.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The identifier of the upload is not valid.
    #[error(transparent)]
    UploadId(#[from] UploadIdError),
}

impl From<ReferenceError> for RouteError {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Tag(error) => Self::Tag(error),
            ReferenceError::Digest(error) => Self::Digest(error),
            ReferenceError::TagAndDigest { .. } => Self::Reference(error),
        }
    }
}

/// The raw path before the last slash, and the decoded segment behind it.
fn split_last(path: &str) -> Option<(&str, Cow<'_, str>)> {
    let (rest, last) = path.rsplit_once('/')?;
    Some((rest, decoded(last)))
}

/// One or more segments, percent-decoded. Bytes that are no UTF-8 become U+FFFD, which no name, tag or digest may contain.
fn decoded(segment: &str) -> Cow<'_, str> {
    if segment.contains('%') {
        percent_decode_str(segment).decode_utf8_lossy()
    } else {
        Cow::Borrowed(segment)
    }
}

/// The name of a repository, from one or more raw segments.
fn repo(raw: &str) -> Result<RepoName, NameError> {
    decoded(raw).parse()
}
