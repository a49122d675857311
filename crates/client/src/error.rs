//! Why a registry could not be read, and what to do about it.

use std::time::Duration;

use http::StatusCode;
use wharf_oci::Digest;

use crate::{CredentialsError, text::printable};

/// The result of asking a registry.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a registry could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No server answers at the address.
    #[error("cannot reach `{url}`: {reason}")]
    Unreachable {
        /// URL or host that was asked.
        url: String,
        /// Reason, with a remedy where there is one.
        reason: String,
    },
    /// The registry does not answer in time.
    #[error("`{url}` does not answer in time: {reason}")]
    TimedOut {
        /// URL or host that was asked.
        url: String,
        /// What did not come, with a remedy where there is one.
        reason: String,
    },
    /// The connection broke while a request was under way.
    #[error(
        "the connection to `{url}` broke: {reason}; the same command may succeed when it is repeated{}",
        broken_upload(url)
    )]
    Interrupted {
        /// Host and path that were asked.
        url: String,
        /// Reason why it broke.
        reason: String,
    },
    /// The server that answers is no registry, or a faulty one.
    #[error("`{}` is not the answer of a registry: {reason}", printable(what))]
    NotARegistry {
        /// Path or header that was not as a registry answers it.
        what: String,
        /// Reason why it is wrong.
        reason: String,
    },
    /// The registry does not accept the credentials, or requires some.
    #[error("{}", unauthorized(host, user.as_deref()))]
    Unauthorized {
        /// Host and port of the registry.
        host: String,
        /// User whose password was sent; `None`: no credentials were sent.
        user: Option<String>,
    },
    /// The registry knows the user, and does not let it do this.
    #[error("{}", missing_right(host, user.as_deref(), scope))]
    MissingRight {
        /// Host and port of the registry.
        host: String,
        /// User that lacks the right; `None`: the request was anonymous.
        user: Option<String>,
        /// What was asked for: `repository:app:pull`.
        scope: String,
    },
    /// The registry refuses the request.
    #[error(
        "`{}` is refused with {status}{}: {}{}",
        printable(path),
        by(server.as_deref()),
        printable(message),
        remedy(path, *status, message)
    )]
    Refused {
        /// Path that was asked for.
        path: String,
        /// Status of the answer.
        status: StatusCode,
        /// Reason in the registry's words.
        message: String,
        /// Time after which the registry wants to be asked again.
        after: Option<Duration>,
        /// Scheme, host and port of the server that refuses, when redirects led to it from the registry.
        server: Option<String>,
    },
    /// The list of referrers that clients keep at a tag cannot be extended.
    #[error("the list of referrers at the tag `{tag}` of `{repository}` cannot be extended: {reason}")]
    ReferrersTag {
        /// Name of the repository.
        repository: String,
        /// The tag.
        tag: String,
        /// Reason, with a remedy where there is one.
        reason: String,
    },
    /// The bytes do not have their digest.
    #[error(
        "`{path}` should have the digest {expected}, but has {actual}; it was changed on the way, or in the registry"
    )]
    Damaged {
        /// Path that was asked for.
        path: String,
        /// Digest that was asked for, or announced by the registry.
        expected: Digest,
        /// Digest of the bytes that came.
        actual: Digest,
    },
    /// The blob has another size than its manifest says.
    #[error("`{path}` should have {expected} bytes, but has {actual}; it was cut short, or changed")]
    WrongSize {
        /// Path of the blob.
        path: String,
        /// Size that the manifest names, in bytes.
        expected: u64,
        /// Number of bytes that came.
        actual: u64,
    },
    /// The bytes to push cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    File {
        /// Path of the file.
        path: String,
        /// Reason why it cannot be read.
        reason: String,
    },
    /// The answer is larger than anything of its kind.
    #[error("the answer to `{}` has more than {limit} bytes", printable(path))]
    TooLarge {
        /// Path that was asked for.
        path: String,
        /// Limit of the body, in bytes.
        limit: usize,
    },
    /// The list has no end, or one that is too far away.
    #[error(
        "the list at `{path}` does not end: reading stopped after {entries} names, which is more than any registry has"
    )]
    Endless {
        /// Path of the list.
        path: String,
        /// Number of names that came.
        entries: usize,
    },
    /// A server asks for what would send a secret, or what was asked over TLS, where it does not belong.
    #[error("`{server}` is not trusted with this: {reason}")]
    Untrusted {
        /// Scheme, host and port of the server.
        server: String,
        /// Reason, with a remedy where there is one.
        reason: String,
    },
    /// A file with certificates cannot be used.
    #[error("the certificates in `{path}` cannot be used: {reason}")]
    Authorities {
        /// Path of the file.
        path: String,
        /// Reason why it cannot be used.
        reason: String,
    },
    /// The credentials of the user cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl Error {
    /// Whether the user may not do this, or is not told whether what was asked for exists.
    pub(crate) fn is_denied(&self) -> bool {
        match self {
            Self::Unauthorized { .. } | Self::MissingRight { .. } => true,
            Self::Refused { status, .. } => {
                matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            }
            _ => false,
        }
    }

    pub(crate) fn not_a_registry(what: &str, reason: &str) -> Self {
        Self::NotARegistry {
            what: what.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// Whether a registry that answers with `status` does not know what it is asked for; others may pass, or are for the user to solve.
pub(crate) fn is_unsupported(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404 | 405 | 406 | 501)
}

/// The server that refuses, when it is not the registry.
fn by(server: Option<&str>) -> String {
    server.map_or_else(String::new, |server| {
        format!(" by `{server}`, to which the registry led")
    })
}

fn unauthorized(host: &str, user: Option<&str>) -> String {
    match user {
        Some(user) => format!(
            "`{host}` does not accept the password of `{}`; `wharf login {host}` or `docker login {host}` stores another",
            printable(user)
        ),
        None => format!(
            "`{host}` requires a login; add `--user NAME`, or run `wharf login {host}` or `docker login {host}` first"
        ),
    }
}

fn missing_right(host: &str, user: Option<&str>, scope: &str) -> String {
    // `repository:NAME:pull,push`; a name may have a port, and so a colon.
    let parts = scope.split_once(':').and_then(|(kind, rest)| {
        let (name, rights) = rest.rsplit_once(':')?;
        Some((kind, name, rights))
    });
    if scope.starts_with("registry:catalog:") {
        return format!(
            "`{host}` does not list its repositories, or not for this user: name one, as in `wharf tag ls {host}/REPOSITORY`"
        );
    }
    let what = match parts {
        Some(("repository", name, rights)) => {
            format!("the right `{}` in `{}`", printable(rights), printable(name))
        }
        _ => format!("the right `{}`", printable(scope)),
    };
    match user {
        Some(user) => format!(
            "`{}` lacks {what} at `{host}`, or there is no such repository; ask the operator of the registry for it",
            printable(user)
        ),
        None => format!(
            "{what} at `{host}` is not for everyone, or there is no such repository; log in with `wharf login {host}`"
        ),
    }
}

/// Amazon's ECR makes no repository by itself, and ends the connection of an upload to one that does not exist
/// (aws/containers-roadmap#1970).
fn broken_upload(url: &str) -> &'static str {
    let host = url
        .trim_start_matches("https://")
        .split('/')
        .next()
        .unwrap_or_default();
    match host.contains(".dkr.ecr.") && url.contains("/blobs/uploads/") {
        true => {
            ", but not if the repository does not exist: ECR makes none by itself, `aws ecr create-repository` does"
        }
        false => "",
    }
}

/// What to do about a refusal, where the registry does not say it.
fn remedy(path: &str, status: StatusCode, message: &str) -> &'static str {
    let has_code = |code: &str| message.starts_with(code);
    match status.as_u16() {
        400 | 401 | 403 | 404 | 405 | 501 if path.starts_with("/v2/_catalog") => {
            "; it does not list its repositories, or not for this user: name one, as in `wharf tag ls HOST/REPOSITORY`"
        }
        // Google's registries (GoogleCloudPlatform/docker-credential-gcr#73).
        400 if has_code("GOOGLE_MANIFEST_DANGLING_TAG") => {
            "; this registry deletes a digest only when no tag points at it any more: delete its tags first"
        }
        // ECR's repositories and Harbor's projects.
        404 if has_code("NAME_UNKNOWN") && path.contains("/blobs/uploads/") => {
            "; this registry makes no repository or project by itself: make it there first, or look at the name"
        }
        405 => "; the registry cannot do this, or it is switched off there",
        // Our own server says which right, and what to do.
        403 if !message.contains("has no right") => {
            "; the user lacks the right for this: ask the operator of the registry for it"
        }
        404 if has_code("NAME_UNKNOWN") => "; there is no such repository, or it is not for this user",
        404 if has_code("MANIFEST_UNKNOWN") => "; there is no such tag or digest in the repository",
        500 | 502..=504 => "; the registry has a fault: try again later, or ask its operator",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str, status: u16, message: &str) -> String {
        let refused = Error::Refused {
            path: path.to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            message: message.to_owned(),
            after: None,
            server: None,
        };
        refused.to_string()
    }

    #[test]
    fn a_refusal_has_a_remedy() {
        for status in [401, 403, 404, 405] {
            let text = refused("/v2/_catalog?n=1000", status, "UNSUPPORTED: x");
            assert!(text.contains("wharf tag ls HOST/REPOSITORY"), "{text}");
        }
        assert!(refused("/v2/a/tags/list", 403, "DENIED: x").contains("lacks the right"));
        let own = refused(
            "/v2/a/tags/list",
            403,
            "DENIED: x: `ann` has no right to pull from a; ask",
        );
        assert!(!own.contains("lacks the right"), "{own}");
        assert!(refused("/v2/a/tags/list", 404, "NAME_UNKNOWN: x").contains("no such repository"));
    }

    #[test]
    fn what_some_registries_mean_is_said() {
        let dangling = "GOOGLE_MANIFEST_DANGLING_TAG: Manifest is still referenced by tag: v1";
        assert!(refused("/v2/p/app/manifests/sha256:0", 400, dangling).contains("delete its tags first"));
        let unknown =
            "NAME_UNKNOWN: The repository with name 'app' does not exist in the registry with id '1'";
        let push = refused("/v2/app/blobs/uploads/", 404, unknown);
        assert!(push.contains("make it there first"), "{push}");
        let broken = |url: &str| {
            let error = Error::Interrupted {
                url: url.to_owned(),
                reason: "x".to_owned(),
            };
            error.to_string()
        };
        let ecr = broken("https://1.dkr.ecr.eu-central-1.amazonaws.com/v2/app/blobs/uploads/");
        assert!(ecr.contains("aws ecr create-repository"), "{ecr}");
        assert!(!broken("https://registry.example/v2/app/blobs/uploads/").contains("ecr"));
    }

    #[test]
    fn the_missing_right_is_named() {
        let lacks = |user: Option<&str>, scope: &str| missing_right("h:5000", user, scope);
        let text = lacks(Some("ann"), "repository:team/app:pull");
        assert!(
            text.contains("`ann` lacks the right `pull` in `team/app`") && text.contains("operator"),
            "{text}"
        );
        assert!(lacks(Some("ann"), "registry:catalog:*").contains("wharf tag ls h:5000/REPOSITORY"));
        assert!(lacks(None, "repository:app:pull").contains("wharf login h:5000"));
    }
}
