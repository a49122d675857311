//! `auth`: the authentication of clients.

use wharf_access::token::{Algorithms, KeyFiles, Realm, Settings};

use super::{
    Auth, Htpasswd, Token,
    keys::{Group, Key, Since::From3, keys},
    section::Section,
    unsupported,
};

keys! {
    AUTH: Group = Key::choice("auth", "`none`").help("Authentication of clients: one of the sections below, or its name");
    NONE: Group = Key::named("auth.none").help("No authentication: every client may do everything");
    HTPASSWD: Group = Key::named("auth.htpasswd").help("Authentication with a password file");
    REALM: String = Key::new("auth.htpasswd.realm")
        .default("Registry Realm")
        .help("Name of the protected area, which browsers show when they ask for a password");
    PATH: Option<String> = Key::new("auth.htpasswd.path").help("Path of the password file; see [users](users.md)");
    TOKEN: Group = Key::named("auth.token").help("Authentication with the tokens of a token server, such as that of GitLab or docker_auth");
    TOKEN_REALM: Option<String> = Key::new("auth.token.realm").help("URL at which clients fetch tokens");
    SERVICE: Option<String> = Key::new("auth.token.service")
        .help("Name of this registry at the token server, which tokens must have as their audience (`aud`)");
    ISSUER: Option<String> = Key::new("auth.token.issuer").help("Name of the token server, which tokens must have as their issuer (`iss`)");
    BUNDLE: Option<String> = Key::new("auth.token.rootcertbundle")
        .help("Path of a file with certificates or public keys of the token server, in PEM");
    JWKS: Option<String> = Key::new("auth.token.jwks")
        .since(From3("3.0"))
        .help("Path of a file with public keys of the token server, a JSON Web Key Set");
    ALGORITHMS: Vec<String> = Key::list("auth.token.signingalgorithms")
        .since(From3("3.0"))
        .help("Accepted signature algorithms, such as `RS256` and `ES256`; all of them if it is empty, but none with a shared secret");
    AUTOREDIRECT: bool = Key::new("auth.token.autoredirect")
        .default("false")
        .help("Whether the realm is at the host that the client has asked, by its `Host`, and by `X-Forwarded-Proto` of a trusted proxy");
    AUTOREDIRECT_PATH: String = Key::new("auth.token.autoredirectpath")
        .default(Realm::DEFAULT_PATH)
        .since(From3("3.0"))
        .help("Path of the realm with `autoredirect`");
}

/// Reads the authentication. An unsupported method is a problem: without it every client could connect.
pub(super) fn read(root: &Section<'_>) -> Option<Auth> {
    let ways = [NONE.info(), HTPASSWD.info(), TOKEN.info()]
        .into_iter()
        .chain(unsupported::LOGINS);
    let ways: Vec<String> = ways
        .filter(|&way| root.has(way))
        .map(|way| format!("`{}` ({})", way.name(), root.origin(way)))
        .collect();
    if ways.len() > 1 {
        root.problem(
            AUTH,
            &format!(
                "names {} authentication methods, {}; remove all but one",
                ways.len(),
                ways.join(" and ")
            ),
        );
    }
    if root.has(TOKEN) {
        return token(root).map(Auth::Token);
    }
    root.has(HTPASSWD)
        .then(|| htpasswd(root))
        .flatten()
        .map(Auth::Htpasswd)
}

fn htpasswd(root: &Section<'_>) -> Option<Htpasswd> {
    let path = root.get(PATH);
    if path.is_none() {
        root.problem(
            PATH,
            "is missing; say where the password file is, such as `/auth/htpasswd`",
        );
    }
    Some(Htpasswd {
        realm: root.get(REALM),
        path: path?.into(),
    })
}

fn token(root: &Section<'_>) -> Option<Token> {
    let needed = |key: Key<Option<String>>, remedy: &str| {
        let value = root.get(key);
        if value.is_none() {
            root.problem(key, &format!("is missing; {remedy}"));
        }
        value
    };
    let realm = needed(
        TOKEN_REALM,
        "say where clients fetch tokens, such as `https://auth.example.com/token`",
    );
    let service = needed(
        SERVICE,
        "say how the token server names this registry in `aud`, such as `registry.example.com`",
    );
    let issuer = needed(ISSUER, "say how the token server names itself in `iss`");
    let keys = KeyFiles {
        bundle: root.get(BUNDLE).map(Into::into),
        jwks: root.get(JWKS).map(Into::into),
    };
    if keys.is_empty() {
        root.problem(
            TOKEN,
            "has neither `rootcertbundle` nor `jwks`; without a key of the token server no token can be verified",
        );
    }
    let algorithms = root.get(ALGORITHMS);
    let algorithms = match Algorithms::named(algorithms.iter().map(String::as_str)) {
        Ok(algorithms) => algorithms,
        Err(error) => {
            root.problem(ALGORITHMS, &error.to_string());
            Algorithms::default()
        }
    };
    let realm = match root.get(AUTOREDIRECT) {
        true => Realm::OfRequest {
            path: root.get(AUTOREDIRECT_PATH),
            otherwise: realm?,
        },
        false => Realm::Fixed(realm?),
    };
    Some(Token {
        settings: Settings {
            realm,
            service: service?,
            issuer: issuer?,
            algorithms,
        },
        keys,
    })
}
