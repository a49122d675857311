//! Redaction of secrets in targets and URLs, and the end of long texts: logs are copied.

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

/// Stands for a secret.
pub const REDACTED: &str = "REDACTED";

/// Maximum length in bytes of a text of a client in a log. Lines that wait to be written lie in memory, and a client
/// could fill them, and the disk, with 64 KiB for each request.
const LONGEST: usize = 1 << 10;

/// The begin of a long text of a client. Secrets are redacted before: the mark by which one is known may come late.
pub fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// The same for bytes.
pub(crate) fn cut_bytes(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(LONGEST)]
}

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

/// The URL of another server, as it was configured, with `mask` for user and password and for each value of its query:
/// services name the parameters for their keys as they like.
pub fn configured<'a>(url: &'a str, mask: &str) -> Cow<'a, str> {
    let is_scheme = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return Cow::Borrowed(url);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let user = rest[..end].rfind('@');
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if user.is_none() && query.is_empty() {
        return Cow::Borrowed(url);
    }
    let path = user.map_or(path.to_owned(), |at| format!("{mask}{}", &path[at..]));
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) => format!("{name}={mask}"),
        // The key alone.
        None if !parameter.is_empty() => mask.to_owned(),
        None => String::new(),
    });
    let query = parameters.collect::<Vec<_>>().join("&");
    let separator = if query.is_empty() { "" } else { "?" };
    Cow::Owned(format!("{scheme}://{path}{separator}{query}"))
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

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = format!("x{}", "\u{e9}".repeat(LONGEST));
        assert_eq!(cut(&long).len(), LONGEST - 1);
    }

    #[test]
    fn configured_urls_lose_every_value_of_their_query() {
        for (given, expected) in [
            ("http://a.b/c", "http://a.b/c"),
            ("host:5000", "host:5000"),
            ("^https://a.b/(c)?d=e", "^https://a.b/(c)?d=e"),
            ("http://u:p@a.b/c@d?x=1&y&&z=a=b", "http://*@a.b/c@d?x=*&*&&z=*"),
            ("https://a.b?T0ken#f", "https://a.b?*"),
            ("https://u@a.b", "https://*@a.b"),
            ("https://a.b/?", "https://a.b/?"),
            ("https://a.b/x?u=v@w", "https://a.b/x?u=*"),
        ] {
            assert_eq!(configured(given, "*"), expected);
        }
    }
}
