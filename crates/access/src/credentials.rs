//! What an `Authorization` header says.

use std::{fmt, sync::Arc};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use smallvec::SmallVec;

/// As Go's `base64.StdEncoding`, which registry:2 uses: padding is needed, stray bits at the end are ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The longest name and password, with the colon, for which nothing is allocated.
const SHORT: usize = 96;

/// The credentials of a request.
pub enum Credentials<'a> {
    /// The request has no credentials.
    None,
    /// A user name and a password (RFC 7617).
    Basic(Basic),
    /// A token (RFC 6750), which never appears in debug output.
    Bearer(&'a [u8]),
    /// An account that a proxy has authenticated.
    Proxied(Proxied),
    /// The header cannot be read; the text says why.
    Malformed(&'static str),
}

/// A name and a password. The password may be any bytes, also with colons; it never appears in debug output.
pub struct Basic {
    /// `name:password`; UTF-8 up to the colon.
    pair: SmallVec<[u8; SHORT]>,
    colon: usize,
}

/// The account that a proxy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxied {
    pub(crate) account: Arc<str>,
    pub(crate) groups: Arc<[Box<str>]>,
}

impl<'a> Credentials<'a> {
    /// Reads the values of all `Authorization` headers of a request.
    ///
    /// More than one is refused, although registry:2 takes the first: a proxy in front may have looked at the
    /// other one.
    pub fn of_headers(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(value), None) => Self::of_header(value),
            (Some(_), Some(_)) => Self::Malformed("there is more than one `Authorization` header"),
        }
    }

    /// The account that they name, whether they are good or not; `None` when only their check tells it.
    pub fn claimed_name(&self) -> Option<&str> {
        match self {
            Self::Basic(basic) => Some(basic.name()),
            Self::Proxied(proxied) => Some(&proxied.account),
            Self::None | Self::Bearer(_) | Self::Malformed(_) => None,
        }
    }

    fn of_header(value: &'a [u8]) -> Self {
        let space = value.iter().position(|&byte| byte == b' ').unwrap_or(value.len());
        let (scheme, rest) = value.split_at(space);
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return match rest.trim_ascii() {
                [] => Self::Malformed("nothing follows `Bearer` in the `Authorization` header"),
                token => Self::Bearer(token),
            };
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Self::Malformed("the `Authorization` header does not begin with `Basic`");
        }
        let Some(pair) = rest.get(1..).and_then(decoded) else {
            return Self::Malformed("what follows `Basic` in the `Authorization` header is not base64");
        };
        let Some(colon) = pair.iter().position(|&byte| byte == b':') else {
            return Self::Malformed("the `Authorization` header has no `:` between user name and password");
        };
        if std::str::from_utf8(&pair[..colon]).is_err() {
            return Self::Malformed("the user name in the `Authorization` header is not UTF-8");
        }
        Self::Basic(Basic { pair, colon })
    }
}

fn decoded(text: &[u8]) -> Option<SmallVec<[u8; SHORT]>> {
    let mut pair = SmallVec::from_elem(0, base64::decoded_len_estimate(text.len()));
    let length = BASE64.decode_slice(text, &mut pair).ok()?;
    pair.truncate(length);
    Some(pair)
}

impl Basic {
    /// Credentials that did not come in a header.
    pub fn new(name: &str, password: &[u8]) -> Self {
        let mut pair = SmallVec::with_capacity(name.len() + 1 + password.len());
        pair.extend_from_slice(name.as_bytes());
        pair.push(b':');
        pair.extend_from_slice(password);
        Self {
            pair,
            colon: name.len(),
        }
    }

    /// Whether both the name and the password are empty.
    pub fn is_empty(&self) -> bool {
        self.pair.len() == 1
    }

    /// The user name.
    pub fn name(&self) -> &str {
        // Checked when the pair was made.
        std::str::from_utf8(&self.pair[..self.colon]).unwrap_or_default()
    }

    pub(crate) fn password(&self) -> &[u8] {
        &self.pair[self.colon + 1..]
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic(basic) => basic.fmt(f),
            Self::Bearer(_) => f.write_str("Bearer"),
            Self::Proxied(proxied) => proxied.fmt(f),
            Self::Malformed(what) => f.debug_tuple("Malformed").field(what).finish(),
        }
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basic")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Credentials<'_> {
        Credentials::of_headers([value.as_bytes()].into_iter())
    }

    #[test]
    fn a_pair_is_read_as_registry_2_reads_it() {
        let check = |value: &str, name: &str, password: &[u8]| match read(value) {
            Credentials::Basic(basic) => {
                assert_eq!((basic.name(), basic.password()), (name, password), "{value}");
            }
            other => panic!("{value}: {other:?}"),
        };
        check("Basic YWxpY2U6cHc=", "alice", b"pw");
        check("bAsIc YWxpY2U6cHc=", "alice", b"pw");
        check("Basic YTpiOmM6", "a", b"b:c:");
        check("Basic w6k6w6k=", "é", "é".as_bytes());
        check("Basic YTr/", "a", b"\xff");
        check("Basic Og==", "", b"");
    }

    #[test]
    fn what_cannot_be_read_is_never_taken_for_nothing() {
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic  YWxpY2U6cHc=",
            "Basic YWxpY2U6cHc",
            "Basic YWxpY2U6cHc= x",
            "Basic YWxpY2U=",
            "Basic !!!!",
            "Basic\tYWxpY2U6cHc=",
            "Digest x",
            "Bearer",
            "Bearer ",
            "Basic /zph",
            "Negotiate YWxpY2U6cHc=",
        ] {
            assert!(
                matches!(read(value), Credentials::Malformed(_)),
                "{value}: {:?}",
                read(value)
            );
        }
        for (value, token) in [
            ("Bearer x", "x"),
            ("bearer  a.b.c ", "a.b.c"),
            ("BEARER a b", "a b"),
        ] {
            assert!(
                matches!(read(value), Credentials::Bearer(it) if it == token.as_bytes()),
                "{value}"
            );
        }
        assert!(matches!(
            Credentials::of_headers([].into_iter()),
            Credentials::None
        ));
        let two = [b"Basic YWxpY2U6cHc=".as_slice(); 2];
        assert!(matches!(
            Credentials::of_headers(two.into_iter()),
            Credentials::Malformed(_)
        ));
    }

    #[test]
    fn a_password_does_not_show() {
        let basic = Basic::new("alice", b"secret");
        assert!(!format!("{basic:?}").contains("secret") && format!("{basic:?}").contains("alice"));
        assert!(!format!("{:?}", read("Bearer secret")).contains("secret"));
        let bytes = format!("{:?}", b"secret");
        assert!(!format!("{basic:?}").contains(&bytes));
    }
}
