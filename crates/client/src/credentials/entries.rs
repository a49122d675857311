//! The entries of a configuration: which of them is for a registry, and what it says.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{CredentialsError, Login, Secret, helper::Helper};
use crate::address::{HUB, is_hub};

/// The name of Docker Hub in docker's configurations.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Objects at the top of a configuration that are no registries.
const NO_REGISTRIES: [&str; 7] = [
    "auths",
    "credHelpers",
    "HttpHeaders",
    "proxies",
    "plugins",
    "aliases",
    "features",
];

/// The credentials for `repository` of the registry at `host` in a configuration, which is at `place`.
pub(super) async fn find(
    configuration: &Value,
    place: &str,
    host: &str,
    repository: Option<&str>,
) -> Result<Option<Login>, CredentialsError> {
    let objects = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let stored = objects(&configuration["auths"]).into_iter();
    let stored = stored.map(|(key, entry)| (key, entry, true));
    // Those of a file from before `auths` existed: the hosts are at the top.
    let old = objects(configuration).into_iter();
    let old = old.filter(|(key, entry)| is_old_entry(key, entry));
    let old = old.map(|(key, entry)| (key, entry, false));
    let fitting = stored.chain(old).filter_map(|(name, entry, has_paths)| {
        let fit = fit(&name, host, repository, has_paths)?;
        // Of several spellings of one registry, the one that docker writes.
        let is_exact = name == key(host);
        Some(((fit, is_exact, has_paths), name, entry))
    });
    let found = fitting.max_by_key(|(fit, ..)| *fit);
    let of_found = || match &found {
        Some((_, key, entry)) => of_entry(entry).map_err(|reason| CredentialsError::Configuration {
            place: place.to_owned(),
            reason: format!("`{key}`: {reason}"),
        }),
        None => Ok(None),
    };
    // A helper knows hosts. An entry for a part of the registry is more exact.
    if found.as_ref().is_some_and(|((fit, ..), ..)| *fit > 0) {
        return of_found();
    }
    if let Some(name) = helper(configuration, host)
        && let Some(login) = Helper::named(name)?.get(key(host)).await?
    {
        return Ok(Some(login));
    }
    of_found()
}

/// The name of the helper that has the credentials for `host`: the one for this registry, or the one for all.
pub(super) fn helper<'a>(configuration: &'a Value, host: &str) -> Option<&'a str> {
    let of_hub = [HUB_KEY, HUB, "index.docker.io"];
    let names = match is_hub(host) {
        true => &of_hub[..],
        false => &[host][..],
    };
    let mut helpers = names
        .iter()
        .filter_map(|name| configuration["credHelpers"][*name].as_str());
    let helper = helpers.next().or_else(|| configuration["credsStore"].as_str());
    helper.filter(|name| !name.is_empty())
}

/// The name of the registry at `host` in configurations, and in questions to helpers.
pub(super) fn key(host: &str) -> &str {
    match is_hub(host) {
        true => HUB_KEY,
        false => host,
    }
}

/// Whether a member at the top of a configuration is the login for a registry.
pub(super) fn is_old_entry(name: &str, entry: &Value) -> bool {
    entry.is_object() && !NO_REGISTRIES.contains(&name)
}

/// How exactly a key of a configuration names `repository` of `host`: the length of the path in the key; `None`: the
/// key names another registry, or another part of this one.
///
/// `registry.example.com:5000/team` names a part of a registry (podman, containers-auth.json(5)). Docker's keys are URLs
/// such as `https://registry.example.com:5000/v2/`, and name the whole registry, as do those with `/v1/` or `/v2/` alone.
pub(super) fn fit(key: &str, host: &str, repository: Option<&str>, has_paths: bool) -> Option<usize> {
    let (is_url, rest) = match key.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, key),
    };
    let (named, path) = rest.split_once('/').unwrap_or((rest, ""));
    if named != host && !(is_hub(named) && is_hub(host)) {
        return None;
    }
    let path = path.trim_end_matches('/');
    if is_url || !has_paths || matches!(path, "" | "v1" | "v2") {
        return Some(0);
    }
    let below = repository?.strip_prefix(path)?;
    (below.is_empty() || below.starts_with('/')).then_some(path.len())
}

fn of_entry(entry: &Value) -> Result<Option<Login>, String> {
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty());
    let (user, password) = match text("auth") {
        Some(encoded) => {
            let decoded = STANDARD
                .decode(encoded.trim())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.ok_or("`auth` is not base64 of `user:password`")?;
            // Docker's own store pads with zero bytes.
            let (user, password) = decoded
                .split_once(':')
                .ok_or("`auth` is not base64 of `user:password`")?;
            (user.to_owned(), Some(password.trim_end_matches('\0').to_owned()))
        }
        None => (
            text("username").unwrap_or_default().to_owned(),
            text("password").map(str::to_owned),
        ),
    };
    let secret = if let Some(token) = text("registrytoken") {
        Secret::RegistryToken(token.to_owned())
    } else if let Some(token) = text("identitytoken") {
        Secret::IdentityToken(token.to_owned())
    } else if let Some(password) = password.filter(|password| !password.is_empty()) {
        Secret::Password(password)
    } else {
        return Ok(None);
    };
    Ok(Some(Login { user, secret }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn found(configuration: Value, host: &str) -> Option<(String, String)> {
        found_for(configuration, host, None).await
    }

    async fn found_for(
        configuration: Value,
        host: &str,
        repository: Option<&str>,
    ) -> Option<(String, String)> {
        let login = find(&configuration, "test", host, repository).await.unwrap()?;
        let secret = match login.secret {
            Secret::Password(secret) => secret,
            Secret::IdentityToken(secret) => format!("identity {secret}"),
            Secret::RegistryToken(secret) => format!("registry {secret}"),
        };
        Some((login.user, secret))
    }

    #[tokio::test]
    async fn every_shape_of_docker_s_file_is_read() {
        let auth = STANDARD.encode("bob:p:w");
        let expected = Some(("bob".to_owned(), "p:w".to_owned()));
        for key in [
            "r.example.com:5000",
            "https://r.example.com:5000",
            "https://r.example.com:5000/v2/",
        ] {
            let host = "r.example.com:5000";
            assert_eq!(
                found(json!({"auths": {key: {"auth": auth}}}), host).await,
                expected,
                "{key}"
            );
            assert_eq!(
                found(json!({key: {"auth": auth, "email": ""}}), host).await,
                expected,
                "S4-03: {key}"
            );
            assert_eq!(
                found(json!({"auths": {key: {"auth": auth}}}), "r.example.com").await,
                None
            );
        }
        let host = "h";
        let entry = |entry: Value| json!({"auths": {host: entry}});
        assert_eq!(
            found(entry(json!({"username": "bob", "password": "p:w"})), host).await,
            expected
        );
        let token = found(
            entry(json!({"auth": STANDARD.encode("x:"), "identitytoken": "t"})),
            host,
        )
        .await;
        assert_eq!(token.unwrap().1, "identity t");
        assert_eq!(
            found(entry(json!({"registrytoken": "t"})), host).await.unwrap().1,
            "registry t"
        );
        assert_eq!(found(entry(json!({})), host).await, None);
    }

    #[tokio::test]
    async fn the_longest_key_that_fits_is_taken() {
        let entry = |user: &str| json!({"auth": STANDARD.encode(format!("{user}:pw"))});
        let configuration = json!({"auths": {
            "h:5000": entry("whole"),
            "h:5000/team-a": entry("team"),
            "h:5000/team-a/app": entry("app"),
            "other/team-a": entry("other"),
        }});
        for (repository, user) in [
            (None, "whole"),
            (Some("team-b/app"), "whole"),
            (Some("team-abc"), "whole"),
            (Some("team-a"), "team"),
            (Some("team-a/web"), "team"),
            (Some("team-a/app"), "app"),
            (Some("team-a/app/x"), "app"),
            (Some("team-a/apple"), "team"),
        ] {
            let found = found_for(configuration.clone(), "h:5000", repository).await;
            assert_eq!(found.unwrap().0, user, "{repository:?}");
        }
        let part = json!({"auths": {"h/team-a": entry("team")}});
        for repository in [None, Some("team-b/app"), Some("team-ab")] {
            assert_eq!(
                found_for(part.clone(), "h", repository).await,
                None,
                "{repository:?}"
            );
        }
        let old = json!({"h/v1/": entry("old")});
        assert_eq!(found_for(old, "h", Some("app")).await.unwrap().0, "old");
        for whole in ["h/v2/", "https://h/team-a"] {
            let whole = json!({"auths": {whole: entry("whole")}});
            assert_eq!(found_for(whole, "h", Some("app")).await.unwrap().0, "whole");
        }
    }

    #[tokio::test]
    async fn docker_hub_is_found_by_each_of_its_names() {
        let auth = STANDARD.encode("bob:pw");
        for key in [
            "https://index.docker.io/v1/",
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
        ] {
            let configuration = json!({"auths": {key: {"auth": auth}}});
            assert!(found(configuration, "docker.io").await.is_some(), "{key}");
        }
    }

    #[tokio::test]
    async fn of_two_spellings_the_one_that_docker_writes_is_taken() {
        let entry = |user: &str| json!({"auth": STANDARD.encode(format!("{user}:pw"))});
        let configuration = json!({
            "auths": {"h": entry("new"), "https://h": entry("old"), "http://h/v1/": entry("older")},
            "h": entry("oldest"),
        });
        assert_eq!(found(configuration, "h").await.unwrap().0, "new");
    }

    #[tokio::test]
    async fn damage_names_its_place_and_no_secret() {
        for auth in ["%%%", "bm9jb2xvbg=="] {
            let configuration = json!({"auths": {"h": {"auth": auth}}});
            let error = find(&configuration, "c.json", "h", None)
                .await
                .err()
                .unwrap()
                .to_string();
            assert!(
                error.contains("`c.json`") && error.contains("`h`") && !error.contains(auth),
                "{error}"
            );
        }
    }
}
