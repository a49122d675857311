//! Cookies: which ones a browser sent, and how they are set.
//!
//! **Names.** On TLS the names begin with `__Host-`: browsers take such a cookie only from this very host, over TLS, and for the whole of
//! it, so neither another name below the same domain nor anything on the network between can plant one. That prefix demands `Path=/`,
//! which is why the other surfaces of this server must not look at cookies, and do not: a cookie can never pull, push or delete by `/v2/`,
//! nor call the API. Without TLS no browser takes a cookie with `Secure` or with that prefix; then the names are bare, and as safe as
//! such a connection is. Only the names of the connection's own kind are read, so a bare cookie that was planted over plain HTTP is
//! nothing on TLS.
//!
//! **Two registries on one host** below different paths have different names, by the path that browsers see. Cookies know no ports: what
//! else answers on the same host name, on any port, gets them sent, so a registry should have a host name of its own.
//!
//! **Attributes.** `HttpOnly`: no script needs one. `SameSite=Lax` and not `Strict`: with `Strict` a link in a chat would open a page as
//! if the browser were signed out; what `Lax` sends along is GET by navigation, and no GET changes anything here.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use wharf_oci::Digest;

/// How long a choice is remembered.
pub(super) const CHOICE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a notice waits for its page.
pub(super) const NOTICE: Duration = Duration::from_secs(60);

/// How long a form can stay open before the browser is signed in.
pub(super) const FORMS: Duration = Duration::from_secs(24 * 60 * 60);

/// A cookie of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    /// The secret of a session.
    Session,
    /// The secret by which forms are known before there is a session.
    Forms,
    /// What the last request has changed.
    Notice,
    /// The chosen language.
    Lang,
    /// The chosen colours.
    Theme,
    /// The program in commands that are copied.
    Client,
}

/// The cookies of one connection.
#[derive(Debug, Clone)]
pub(super) struct Cookies {
    is_secure: bool,
    /// What tells the registries of one host apart; empty at the root of it.
    suffix: String,
}

impl Cookie {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "wharf",
            Self::Forms => "wharf-forms",
            Self::Notice => "wharf-notice",
            Self::Lang => "wharf-lang",
            Self::Theme => "wharf-theme",
            Self::Client => "wharf-client",
        }
    }
}

impl Cookies {
    /// Those of a registry that browsers see below `prefix`, on a connection that is encrypted or not as the browser sees it.
    pub(super) fn new(prefix: &str, is_secure: bool) -> Self {
        let suffix = match prefix {
            "" => String::new(),
            _ => {
                let digest = Digest::sha256_of(prefix.as_bytes());
                format!("-{}", &digest.hex().as_str()[..8])
            }
        };
        Self { is_secure, suffix }
    }

    fn name(&self, cookie: Cookie) -> String {
        let prefix = if self.is_secure { "__Host-" } else { "" };
        format!("{prefix}{}{}", cookie.name(), self.suffix)
    }

    /// The value of a cookie. Of two with one name neither counts: one of them was planted.
    pub(super) fn get<'h>(&self, headers: &'h HeaderMap, cookie: Cookie) -> Option<&'h str> {
        let name = self.name(cookie);
        let values = headers.get_all(header::COOKIE).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let pairs = texts.flat_map(|text| text.split(';'));
        let mut found = pairs.filter_map(|pair| {
            let (candidate, value) = pair.trim().split_once('=')?;
            (candidate == name).then_some(value)
        });
        let value = found.next()?;
        found.next().is_none().then_some(value)
    }

    /// Whether a header that sets a cookie sets this one.
    pub(super) fn is_of(&self, cookie: Cookie, header: &str) -> bool {
        header.split('=').next() == Some(self.name(cookie).as_str())
    }

    /// The header that removes a cookie.
    pub(super) fn remove(&self, cookie: Cookie) -> Option<HeaderValue> {
        self.set(cookie, "", Duration::ZERO)
    }

    /// The header that sets a cookie, which the browser keeps for so long.
    pub(super) fn set(&self, cookie: Cookie, value: &str, age: Duration) -> Option<HeaderValue> {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; Max-Age={}; HttpOnly{secure}; SameSite=Lax",
            self.name(cookie),
            age.as_secs()
        );
        let is_value = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        let is_safe = value.bytes().all(is_value);
        HeaderValue::try_from(text).ok().filter(|_| is_safe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookies: &[&str]) -> HeaderMap {
        let values = cookies
            .iter()
            .map(|text| (header::COOKIE, HeaderValue::from_str(text).unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn a_cookie_is_read_by_the_name_of_its_kind_of_connection_alone() {
        let (plain, secure) = (Cookies::new("", false), Cookies::new("", true));
        let headers = sent(&["a=b; wharf=bare;__Host-wharf=safe", "wharf-lang=ru"]);
        assert_eq!(plain.get(&headers, Cookie::Session), Some("bare"));
        assert_eq!(secure.get(&headers, Cookie::Session), Some("safe"));
        assert_eq!(plain.get(&headers, Cookie::Lang), Some("ru"));
        assert_eq!(secure.get(&headers, Cookie::Lang), None);
        assert_eq!(plain.get(&headers, Cookie::Notice), None);
    }

    #[test]
    fn of_two_cookies_with_one_name_neither_counts() {
        let plain = Cookies::new("", false);
        for headers in [sent(&["wharf=a; wharf=b"]), sent(&["wharf=a", "wharf=a"])] {
            assert_eq!(plain.get(&headers, Cookie::Session), None);
        }
    }

    #[test]
    fn registries_behind_other_prefixes_have_other_cookies() {
        let (one, other) = (Cookies::new("/one", true), Cookies::new("/other", true));
        let header = one.set(Cookie::Session, "x", Duration::from_secs(7)).unwrap();
        let pair = header.to_str().unwrap().split(';').next().unwrap().to_owned();
        let headers = sent(&[&pair]);
        assert_eq!(one.get(&headers, Cookie::Session), Some("x"));
        assert_eq!(other.get(&headers, Cookie::Session), None);
        assert_eq!(Cookies::new("", true).get(&headers, Cookie::Session), None);
    }

    #[test]
    fn attributes_keep_a_cookie_from_scripts_other_hosts_and_plain_connections() {
        let set = Cookies::new("", true).set(Cookie::Session, "x", Duration::from_secs(7));
        assert_eq!(
            set.unwrap(),
            "__Host-wharf=x; Path=/; Max-Age=7; HttpOnly; Secure; SameSite=Lax"
        );
        let plain = Cookies::new("", false);
        assert_eq!(
            plain.set(Cookie::Session, "x", Duration::from_secs(7)).unwrap(),
            "wharf=x; Path=/; Max-Age=7; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            plain.remove(Cookie::Session).unwrap(),
            "wharf=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
        for value in ["a;b", "a b", "a\r\nb", "é", "a,b"] {
            assert_eq!(plain.set(Cookie::Lang, value, Duration::ZERO), None, "{value:?}");
        }
    }
}
