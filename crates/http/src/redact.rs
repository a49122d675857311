//! Redaction of secrets in targets and URLs: logs are copied.

use std::borrow::Cow;

/// Query parameters whose values grant access, or finish an upload.
const SECRET: [&str; 9] = [
    "_state",
    "access_token",
    "client_secret",
    "code",
    "password",
    "refresh_token",
    "secret",
    "sig",
    "token",
];

const REDACTED: &str = "REDACTED";

/// A path with its query, without the values of secret parameters.
pub fn target(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else {
        return Cow::Borrowed(target);
    };
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(target);
    }
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if is_secret(parameter) => format!("{name}={REDACTED}"),
        _ => parameter.to_owned(),
    });
    let query = parameters.collect::<Vec<_>>().join("&");
    Cow::Owned(format!("{path}?{query}"))
}

/// A URL, without user and password and the values of secret parameters.
pub fn url(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return target(url);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://{REDACTED}{}", target(&rest[at..]))),
        None => target(url),
    }
}

fn is_secret(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or_default();
    // An encoded name is decoded by the server that reads it.
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (given, expected) in [
            ("/v2/", "/v2/"),
            ("/v2/a?digest=sha256:1&n=2", "/v2/a?digest=sha256:1&n=2"),
            ("/u?_state=abc&digest=d", "/u?_state=REDACTED&digest=d"),
            ("/u?digest=d&_state=a=b", "/u?digest=d&_state=REDACTED"),
            ("/u?Token=t&%70assword=p", "/u?Token=REDACTED&%70assword=REDACTED"),
            ("/u?token", "/u?token"),
        ] {
            assert_eq!(target(given), expected);
        }
    }

    #[test]
    fn urls_lose_their_users() {
        for (given, expected) in [
            ("http://a.b/c", "http://a.b/c"),
            ("http://u:p@a.b/c?token=1", "http://REDACTED@a.b/c?token=REDACTED"),
            ("http://u:p@w@a.b", "http://REDACTED@a.b"),
            ("http://a.b/c@d", "http://a.b/c@d"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(url(given), expected);
        }
    }
}
