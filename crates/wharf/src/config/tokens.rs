//! `access.tokens`: the token server of this registry.

use std::time::Duration;

use wharf_access::{issuer::Options, token::Realm};
use wharf_server::ServerOptions;

use super::{
    Auth,
    keys::{Key, Positive, Since, keys},
    section::Section,
};

/// The shortest time that a token can be good: clients take less for this much, and would come too late.
const SHORTEST: Duration = Duration::from_secs(60);

/// The shortest time that a key can sign: replicas have to read the next one meanwhile.
const SHORTEST_ROTATION: Duration = Duration::from_secs(60 * 60);

/// The longest name of a service or an issuer, in bytes.
const NAME: usize = 255;

keys! {
    ENABLED: bool = Key::new("access.tokens.enabled")
        .default("false")
        .help("Whether this registry is the token server of its users: `docker login` then stores no password, and robot tokens work; see [tokens](tokens.md)")
        .since(Since::Ours);
    ISSUER: String = Key::new("access.tokens.issuer")
        .default("wharf")
        .help("Name of the token server in its tokens (`iss`)")
        .since(Since::Ours);
    SERVICE: String = Key::new("access.tokens.service")
        .default("wharf")
        .help("Name of this registry in its tokens (`aud`), the same for all replicas")
        .since(Since::Ours);
    EXPIRY: Positive<Duration> = Key::new("access.tokens.expiry")
        .default("5m")
        .help("How long a token is good; at least a minute")
        .since(Since::Ours);
    REFRESH_EXPIRY: Positive<Duration> = Key::new("access.tokens.refreshexpiry")
        .default("90d")
        .help("How long a refresh token is good, with which `docker login` is remembered")
        .since(Since::Ours);
    ROTATION: Positive<Duration> = Key::new("access.tokens.rotation")
        .default("90d")
        .help("How long a key signs tokens; those that it has signed stay good")
        .since(Since::Ours);
}

/// Reads `access.tokens`.
pub(super) fn read(root: &Section<'_>, auth: Option<&Auth>, server: &ServerOptions) -> Option<Options> {
    if !root.get(ENABLED) {
        return None;
    }
    match auth {
        Some(Auth::Htpasswd(_)) => {}
        Some(Auth::Token(_)) => root.problem(
            ENABLED,
            "makes this registry its own token server, and `auth.token` names another one; remove one of the two",
        ),
        None => root.problem(
            ENABLED,
            "needs the users of `auth.htpasswd`, to whom tokens are issued",
        ),
    }
    let name = |key: Key<String>| {
        let name: String = root.get(key);
        if name.is_empty() || name.len() > NAME || name.contains(char::is_control) {
            root.problem(key, &format!("must have 1 to {NAME} printable characters"));
        }
        name
    };
    let time = |key: Key<Positive<Duration>>, shortest: Duration| {
        let Positive(time) = root.get(key);
        if time < shortest {
            root.problem(key, &format!("must be at least `{}s`", shortest.as_secs()));
        }
        time
    };
    let expiry = time(EXPIRY, SHORTEST);
    Some(Options {
        realm: realm(server),
        issuer: name(ISSUER),
        service: name(SERVICE),
        expiry,
        refresh_expiry: time(REFRESH_EXPIRY, expiry.max(SHORTEST)),
        rotation: time(ROTATION, SHORTEST_ROTATION),
    })
}

/// The address of the token server: below `http.host` if that says how clients reach this server, else at the host that
/// the client has asked.
fn realm(server: &ServerOptions) -> Realm {
    let path = Realm::DEFAULT_PATH;
    match &server.host {
        Some(host) => Realm::Fixed(format!("{host}{path}")),
        None => {
            let path = format!("{}{path}", server.prefix);
            Realm::OfRequest {
                otherwise: path.clone(),
                path,
            }
        }
    }
}
