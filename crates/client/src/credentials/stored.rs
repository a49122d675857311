//! Logins that are kept: what `docker login` and `docker logout` do to a configuration, and to its helper.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

pub use super::helper::Helper;
use super::{CredentialsError, Login, Secret, edit::Members, entries};

/// Most bytes of a configuration that is changed.
pub const LIMIT: u64 = 16 << 20;

/// The name of the registry at `host` in configurations, and in questions to helpers. Docker Hub has a name from its
/// early days.
pub fn key(host: &str) -> &str {
    entries::key(host)
}

/// The helper that keeps the logins for `host`, by the configuration `text`, which is at `place`.
///
/// # Errors
/// When the configuration is damaged.
pub fn helper(text: &[u8], place: &str, host: &str) -> Result<Option<Helper>, CredentialsError> {
    let text = String::from_utf8_lossy(text);
    let configuration = super::parse(place, &text)?;
    entries::helper(&configuration, host)
        .map(Helper::named)
        .transpose()
}

/// The configuration `text` with `login` for `host` in it; `None`: a helper has the login, and the configuration only
/// says for which registry.
///
/// # Errors
/// When the configuration is damaged.
pub fn with_login(
    text: &[u8],
    place: &str,
    host: &str,
    login: Option<&Login>,
) -> Result<Vec<u8>, CredentialsError> {
    let entry = login.map_or_else(|| json!({}), entry);
    let mut all = members(text, place)?;
    let mut auths = all.object("auths");
    let damaged = |_| damaged(place);
    auths
        .set(key(host), indented(&entry).map_err(damaged)?)
        .map_err(damaged)?;
    all.set("auths", auths.text(1)).map_err(damaged)?;
    Ok(all.text(0).into_bytes())
}

/// The configuration `text` without the logins for `host`; `None`: there is none in it. Logins for a part of the
/// registry, as podman has them, stay.
///
/// # Errors
/// When the configuration is damaged.
pub fn without(text: &[u8], place: &str, host: &str) -> Result<Option<Vec<u8>>, CredentialsError> {
    let mut all = members(text, place)?;
    let mut auths = all.object("auths");
    let is_other = |key: &str, _: &str| entries::fit(key, host, None, true).is_none();
    let is_gone = auths.retain(is_other);
    if is_gone {
        all.set("auths", auths.text(1)).map_err(|_| damaged(place))?;
    }
    // Of a file from before `auths` existed.
    let is_old = all.retain(|key, entry| {
        let entry: Value = serde_json::from_str(entry).unwrap_or_default();
        !entries::is_old_entry(key, &entry) || entries::fit(key, host, None, false).is_none()
    });
    Ok((is_gone || is_old).then(|| all.text(0).into_bytes()))
}

fn members(text: &[u8], place: &str) -> Result<Members, CredentialsError> {
    Members::parse(text).map_err(|_| damaged(place))
}

fn damaged(place: &str) -> CredentialsError {
    CredentialsError::Configuration {
        place: place.to_owned(),
        reason: "it is not a JSON object; mend it, or move it away".to_owned(),
    }
}

/// An entry of `auths` for `login`, as docker writes it.
fn entry(login: &Login) -> Value {
    let auth = |password: &str| STANDARD.encode(format!("{}:{password}", login.user));
    match &login.secret {
        Secret::Password(password) => json!({"auth": auth(password)}),
        Secret::IdentityToken(token) => json!({"auth": auth(""), "identitytoken": token}),
        Secret::RegistryToken(token) => json!({"registrytoken": token}),
    }
}

/// The entry in lines, indented for its depth.
fn indented(entry: &Value) -> serde_json::Result<String> {
    let mut members = Members::default();
    for (name, value) in entry.as_object().into_iter().flatten() {
        members.set(name, value.to_string())?;
    }
    Ok(members.text(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "{\n\t\"auths\": {\n\t\t\"other:5000\": {\n\t\t\t\"auth\": \"bzp3\"\n\t\t},\n\t\t\"h\": {\"auth\": \"YTpi\"},\n\t\t\"https://h/v2/\": {},\n\t\t\"h/team\": {\"auth\": \"dDp3\"}\n\t},\n\t\"psFormat\": \"table {{.ID}}\\t{{.Names}} \\u00e9\",\n\t\"big\": 123456789012345678901234567890.10,\n\t\"credHelpers\": {\"x\": \"pass\"}\n}";

    fn login(secret: Secret) -> Login {
        let user = "ann".to_owned();
        Login { user, secret }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_login_changes_nothing_else() {
        let password = login(Secret::Password("p:w".to_owned()));
        let new = text(with_login(OLD.as_bytes(), "c", "h", Some(&password)).unwrap());
        let expected = OLD.replace(
            "\"h\": {\"auth\": \"YTpi\"}",
            "\"h\": {\n\t\t\t\"auth\": \"YW5uOnA6dw==\"\n\t\t}",
        );
        assert_eq!(new, expected);
        let again = with_login(new.as_bytes(), "c", "h", Some(&password)).unwrap();
        assert_eq!(text(again), new);
    }

    #[test]
    fn a_new_file_is_as_docker_writes_it() {
        let token = login(Secret::IdentityToken("t".to_owned()));
        let new = text(with_login(b"", "c", "docker.io", Some(&token)).unwrap());
        assert_eq!(
            new,
            "{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {\n\t\t\t\"auth\": \"YW5uOg==\",\n\t\t\t\"identitytoken\": \"t\"\n\t\t}\n\t}\n}"
        );
        let new = text(with_login(b"{}", "c", "h:1", None).unwrap());
        assert_eq!(new, "{\n\t\"auths\": {\n\t\t\"h:1\": {}\n\t}\n}");
    }

    #[test]
    fn a_logout_takes_every_spelling_and_nothing_else() {
        let new = text(without(OLD.as_bytes(), "c", "h").unwrap().unwrap());
        let old: Value = serde_json::from_str(OLD).unwrap();
        let new: Value = serde_json::from_str(&new).unwrap();
        let names: Vec<_> = new["auths"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["h/team", "other:5000"]);
        assert_eq!(
            (&new["psFormat"], &new["credHelpers"]),
            (&old["psFormat"], &old["credHelpers"])
        );
        assert!(without(OLD.as_bytes(), "c", "unknown").unwrap().is_none());
        let older = r#"{"h":{"auth":"YTpi"},"i":{"auth":"YTpi"},"HttpHeaders":{"auth":"x"}}"#;
        let new = text(without(older.as_bytes(), "c", "h").unwrap().unwrap());
        assert!(!new.contains("\"h\"") && new.contains("\"i\"") && new.contains("HttpHeaders"));
    }

    #[test]
    fn what_is_no_configuration_is_left_alone() {
        for damaged in ["[]", "{", "secret"] {
            let error = with_login(damaged.as_bytes(), "c.json", "h", None).unwrap_err();
            assert!(
                error.to_string().contains("`c.json`") && !error.to_string().contains("secret"),
                "{error}"
            );
            assert!(without(damaged.as_bytes(), "c.json", "h").is_err(), "{damaged}");
        }
    }

    #[test]
    fn the_helper_for_the_registry_wins() {
        let text = br#"{"credsStore":"all","credHelpers":{"h":"one","docker.io":"hub"}}"#;
        let program = |host: &str| helper(text, "c", host).unwrap().unwrap().program();
        assert_eq!(program("h"), "docker-credential-one");
        assert_eq!(program("docker.io"), "docker-credential-hub");
        assert_eq!(program("i"), "docker-credential-all");
        assert!(helper(b"", "c", "h").unwrap().is_none());
    }
}
