//! Authentication challenges of a registry (status 401), and the answer: Basic, or a token of a token server.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{
    Error, Result,
    authorization::Authorization,
    credentials::{Login, Secret},
    wire::{Answer, Wire},
};

/// Bytes of the answer of a token server.
const TOKEN_LIMIT: usize = 1 << 20;

/// One challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1).
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    /// Name of the scheme, in lower case.
    scheme: String,
    parameters: Vec<(String, String)>,
}

/// The authorization with which to repeat the request that `refusal` answered; `None`: there is nothing to log
/// in with, or the token server refuses it.
pub(crate) async fn answer(
    wire: &Wire,
    login: Option<Login>,
    refusal: &Answer,
    scope: &str,
) -> Result<Option<Authorization>> {
    let challenges = challenges(refusal)?;
    if let Some(Login {
        secret: Secret::RegistryToken(token),
        ..
    }) = &login
    {
        return sensitive(format!("Bearer {token}")).map(|header| Some(Authorization::lasting(header)));
    }
    if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
        return fetch_token(wire, bearer, login.as_ref(), scope).await;
    }
    match login {
        Some(Login {
            user,
            secret: Secret::Password(password),
        }) if challenges.iter().any(|challenge| challenge.scheme == "basic") => {
            sensitive(basic(&user, &password)).map(|header| Some(Authorization::lasting(header)))
        }
        _ => Ok(None),
    }
}

/// The challenges of a refusal, each of which names a server to which credentials may go.
///
/// # Errors
/// When it is another server than the registry that refuses: a redirect, or the address of an upload, led there. The credentials of the
/// registry are none of its business, nor of the token server that it names.
fn challenges(refusal: &Answer) -> Result<Vec<Challenge>> {
    if let Some(server) = &refusal.elsewhere {
        return Err(Error::Untrusted {
            server: server.clone(),
            reason: "the registry led to it, and it asks for a login; no credentials were sent".to_owned(),
        });
    }
    let headers = refusal.headers.get_all(header::WWW_AUTHENTICATE);
    let texts = headers.iter().filter_map(|value| value.to_str().ok());
    Ok(texts.flat_map(parse).collect())
}

/// Whether a refusal says that the token is wrong (RFC 6750, section 3.1), and not that it has too few rights.
pub(crate) fn calls_token_invalid(refusal: &Answer) -> bool {
    let headers = refusal.headers.get_all(header::WWW_AUTHENTICATE).iter();
    let mut challenges = headers.filter_map(|value| value.to_str().ok()).flat_map(parse);
    challenges.any(|challenge| challenge.parameter("error") == Some("invalid_token"))
}

/// The names of the schemes that a refusal offers, in lower case.
pub(crate) fn schemes(refusal: &Answer) -> Vec<String> {
    let headers = refusal.headers.get_all(header::WWW_AUTHENTICATE).iter();
    let challenges = headers.filter_map(|value| value.to_str().ok()).flat_map(parse);
    challenges.map(|challenge| challenge.scheme).collect()
}

/// What a login that is to be kept comes to.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    /// Header with which to try it.
    pub(crate) authorization: HeaderValue,
    /// Refresh token that takes the place of the password.
    pub(crate) refresh_token: Option<String>,
}

/// Logs in with a password that is to be kept; `None`: the token server refuses it, or the registry has no challenge that is known.
pub(crate) async fn log_in(wire: &Wire, login: &Login, refusal: &Answer) -> Result<Option<LoggedIn>> {
    let challenges = challenges(refusal)?;
    let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") else {
        let authorization = answer(wire, Some(login.clone()), refusal, "").await?;
        return Ok(authorization.map(|authorization| LoggedIn {
            authorization: authorization.header,
            refresh_token: None,
        }));
    };
    let scope = bearer.parameter("scope").unwrap_or_default();
    let more = [("offline_token", "true"), ("account", &*login.user)];
    let Some(json) = ask(wire, bearer, Some(login), scope, &more).await? else {
        return Ok(None);
    };
    let token = token_of(bearer, &json)?;
    Ok(Some(LoggedIn {
        authorization: sensitive(format!("Bearer {token}"))?,
        refresh_token: json["refresh_token"]
            .as_str()
            .filter(|token| !token.is_empty())
            .map(str::to_owned),
    }))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn sensitive(text: String) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(text).map_err(|_| {
        Error::not_a_registry(
            "Authorization",
            "a token or password has characters that no header can carry",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A refresh token of the token server that `refusal` names: for a password, or in place of another one, then for `lifetime` at
/// most if the server can do that. `None`: it refuses the credentials, or gives none.
pub(crate) async fn refresh_token(
    wire: &Wire,
    login: &Login,
    refusal: &Answer,
    lifetime: Option<Duration>,
) -> Result<Option<String>> {
    let challenges = challenges(refusal)?;
    let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") else {
        return Ok(None);
    };
    let seconds = lifetime.map(|lifetime| lifetime.as_secs().to_string());
    let seconds = seconds.as_deref().unwrap_or_default();
    let mut more = vec![("refresh_expires_in", seconds)];
    if let Secret::Password(_) = login.secret {
        more.extend([("offline_token", "true"), ("account", &*login.user)]);
    }
    let answer = ask(wire, bearer, Some(login), "", &more).await?;
    Ok(answer.and_then(|json| Some(json["refresh_token"].as_str()?.to_owned())))
}

/// The authorization by a new token; `None` when the token server refuses the credentials.
async fn fetch_token(
    wire: &Wire,
    challenge: &Challenge,
    login: Option<&Login>,
    scope: &str,
) -> Result<Option<Authorization>> {
    // The scope of the challenge takes precedence: the registry may want more than the caller asked for.
    let scope = challenge.parameter("scope").unwrap_or(scope);
    let Some(json) = ask(wire, challenge, login, scope, &[]).await? else {
        return Ok(None);
    };
    let header = sensitive(format!("Bearer {}", token_of(challenge, &json)?))?;
    Ok(Some(Authorization::with_token(header, &json)))
}

/// The token in the answer of a token server, by either of its names.
fn token_of(challenge: &Challenge, json: &Value) -> Result<String> {
    let names = ["token", "access_token"];
    let mut tokens = names.iter().filter_map(|name| json[*name].as_str());
    let token = tokens.find(|token| !token.is_empty());
    let missing = || {
        let realm = challenge.parameter("realm").unwrap_or_default();
        Error::not_a_registry(realm, "an answer without `token`")
    };
    token.map(str::to_owned).ok_or_else(missing)
}

/// Asks the token server; `None` when it refuses the credentials.
async fn ask(
    wire: &Wire,
    challenge: &Challenge,
    login: Option<&Login>,
    scope: &str,
    more: &[(&str, &str)],
) -> Result<Option<Value>> {
    let realm = challenge
        .parameter("realm")
        .ok_or_else(|| Error::not_a_registry("WWW-Authenticate", "a Bearer challenge without `realm`"))?;
    let server = wire.token_server(realm, login.is_some())?;
    let service = challenge.parameter("service").unwrap_or_default();
    let own = [("service", service), ("scope", scope), ("client_id", "wharf")];
    let parameters = [&own[..], more].concat();
    let encoded = |pairs: &[(&str, &str)]| {
        let pair =
            |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(pair)
            .collect::<Vec<_>>()
            .join("&")
    };
    let is_exchange = matches!(
        login,
        Some(Login {
            secret: Secret::IdentityToken(_),
            ..
        })
    );
    let request = match login {
        Some(Login {
            secret: Secret::IdentityToken(token),
            ..
        }) => {
            let grant = [("grant_type", "refresh_token"), ("refresh_token", token)];
            wire.client_for(&server)
                .post(server)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(encoded(&[&parameters[..], &grant].concat()))
        }
        login => {
            let mut url = server.clone();
            let query = [url.query().unwrap_or_default(), &encoded(&parameters)].join("&");
            url.set_query(Some(query.trim_start_matches('&')));
            let request = wire.client_for(&server).get(url);
            match login {
                Some(Login {
                    user,
                    secret: Secret::Password(password),
                }) => request.header(header::AUTHORIZATION, sensitive(basic(user, password))?),
                _ => request,
            }
        }
    };
    let answer = wire.ask_token_server(request, TOKEN_LIMIT).await?;
    // A refresh token that has ended is a bad request by RFC 6749, section 5.2.
    let is_over = || {
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
        json.is_some_and(|json| json["error"] == "invalid_grant")
    };
    let is_refused = answer.status == http::StatusCode::UNAUTHORIZED
        || is_exchange && answer.status == http::StatusCode::BAD_REQUEST && is_over();
    if is_refused {
        return Ok(None);
    }
    let answer = answer.successful(realm)?;
    serde_json::from_slice(&answer.body)
        .map(Some)
        .map_err(|_| Error::not_a_registry(realm, "no JSON"))
}

impl Challenge {
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The challenges of one header line. Text that is no challenge ends the list.
fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        if word.is_empty() {
            return challenges;
        }
        match tail.trim_start().strip_prefix('=') {
            Some(value) => {
                let Some((value, after)) = parameter_value(value.trim_start()) else {
                    return challenges;
                };
                if let Some(challenge) = challenges.last_mut() {
                    challenge.parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            None => {
                challenges.push(Challenge {
                    scheme: word.to_ascii_lowercase(),
                    parameters: Vec::new(),
                });
                rest = tail;
            }
        }
    }
}

/// A token or a quoted string, and what comes after it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The address of an upload, or a redirect of the version check, led to a server that names a token server of its own.
    #[test]
    fn a_server_to_which_the_registry_led_gets_no_credentials() {
        let refusal = |elsewhere: Option<&str>| Answer {
            status: http::StatusCode::UNAUTHORIZED,
            headers: http::HeaderMap::from_iter([(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"https://evil.test/token\""),
            )]),
            body: bytes::Bytes::new(),
            elsewhere: elsewhere.map(str::to_owned),
        };
        assert_eq!(challenges(&refusal(None)).unwrap().len(), 1);
        let error = challenges(&refusal(Some("https://uploads.test"))).unwrap_err();
        assert!(matches!(error, Error::Untrusted { .. }), "{error}");
    }

    #[test]
    fn challenges_are_read() {
        let header = r#"Bearer realm="https://auth.test/auth?x=1",service="token-service", scope="repository:a/b:pull,push", error=x, Basic realm="a \"b\"""#;
        let found = parse(header);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].parameter("realm"), Some("https://auth.test/auth?x=1"));
        assert_eq!(found[0].parameter("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(found[0].parameter("error"), Some("x"));
        assert_eq!(
            (found[1].scheme.as_str(), found[1].parameter("realm")),
            ("basic", Some("a \"b\""))
        );
        assert_eq!(parse("Basic").len(), 1);
        for bad in ["", ",", "=", "Basic realm=\"", "Basic realm=\"\\"] {
            assert!(
                parse(bad).iter().all(|challenge| challenge.parameters.is_empty()),
                "{bad}"
            );
        }
    }
}
