//! Addresses of registries, and names of images.

use std::{net::IpAddr, str::FromStr};

use wharf_oci::{Reference, RepoName, Tag};

/// The name of Docker Hub in names of images.
pub(crate) const HUB: &str = "docker.io";

/// The server that has the images of Docker Hub.
const HUB_SERVER: &str = "registry-1.docker.io";

/// A registry, as people write it: `localhost:5000`, `https://registry.example.com`, `http://10.0.0.5:5000/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Option<Scheme>,
    host: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// An image: its registry, its repository, and a tag or digest, by default `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// Registry that has the image.
    pub registry: Address,
    /// Repository in that registry.
    pub repository: RepoName,
    /// Tag or digest in that repository.
    pub reference: Reference,
}

/// The text names no registry, or no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text names no registry.
    #[error("`{0}` names no registry; write `HOST`, `HOST:PORT` or `https://HOST:PORT`")]
    Registry(String),
    /// The text names no image.
    #[error("`{text}` names no image: {reason}; write `HOST:PORT/NAME:TAG` or `HOST:PORT/NAME@DIGEST`")]
    Image {
        /// The text.
        text: String,
        /// Reason why it names no image.
        reason: String,
    },
}

impl Address {
    /// Whether a registry is in front of the first slash of `name`, as docker reads names: it has a dot or a colon, or is `localhost`.
    /// `team/app` is in the registry of this machine.
    pub fn leads(name: &str) -> bool {
        let has_scheme = name.starts_with("http://") || name.starts_with("https://");
        let first = name.split_once('/').map(|(first, _)| first);
        has_scheme || first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost")
    }

    /// Host, with the port if there is one: the name under which docker stores credentials.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host, with the port if it is not the one that goes without saying: equal for all ways to write one registry.
    pub fn identity(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        let port = match self.scheme {
            Some(Scheme::Http) => ":80",
            Some(Scheme::Https) | None => ":443",
        };
        let host = host.strip_suffix(port).unwrap_or(&host);
        match is_hub(host) {
            true => HUB.to_owned(),
            false => host.to_owned(),
        }
    }

    /// Host, with the port if there is one, of the server that answers for the registry.
    pub(crate) fn server(&self) -> &str {
        match self.is_hub() {
            true => HUB_SERVER,
            false => &self.host,
        }
    }

    /// Whether this is Docker Hub, which has other names than other registries.
    pub(crate) fn is_hub(&self) -> bool {
        is_hub(&self.host)
    }

    /// Whether the address itself says that the registry speaks TLS.
    pub fn requires_tls(&self) -> bool {
        self.scheme == Some(Scheme::Https)
    }

    /// The same registry, spoken to over plain HTTP.
    #[must_use]
    pub fn over_plain_http(self) -> Self {
        Self {
            scheme: Some(Scheme::Http),
            ..self
        }
    }

    /// Whether the registry is on this machine: docker takes plain HTTP and any certificate there.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => self.host.split(':').next().unwrap_or(&self.host),
        };
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The schemes to try, in this order. On this machine plain HTTP comes first: most registries there speak it, no secret is sent until one
    /// has answered, and the first handshake of TLS costs tens of milliseconds.
    pub(crate) fn schemes(&self, insecure: bool) -> &'static [Scheme] {
        match self.scheme {
            Some(Scheme::Http) => &[Scheme::Http],
            None if self.is_loopback() => &[Scheme::Http, Scheme::Https],
            None if insecure => &[Scheme::Https, Scheme::Http],
            Some(Scheme::Https) | None => &[Scheme::Https],
        }
    }
}

impl Scheme {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Whether `host` is one of the names of Docker Hub.
pub(crate) fn is_hub(host: &str) -> bool {
    host == HUB || host == HUB_SERVER || host == "index.docker.io"
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (Some(Scheme::Https), rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (Some(Scheme::Http), rest)
        } else {
            (None, text)
        };
        let host = rest.trim_end_matches('/');
        let host = host.strip_suffix("/v2").unwrap_or(host);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) || host.starts_with(':') {
            return Err(AddressError::Registry(text.to_owned()));
        }
        let host = match is_hub(host) {
            true => HUB,
            false => host,
        };
        let host = host.to_owned();
        Ok(Self { scheme, host })
    }
}

impl FromStr for ImageName {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let failed = |reason: String| AddressError::Image {
            text: text.to_owned(),
            reason,
        };
        let start = text.find("://").map_or(0, |at| at + 3);
        let Some(slash) = text[start..].find('/').map(|at| at + start) else {
            return Err(failed(no_registry(text)));
        };
        let (registry, name) = (&text[..slash], &text[slash + 1..]);
        let (name, reference) = if let Some((name, digest)) = name.split_once('@') {
            let digest = digest.parse().map_err(|error| failed(format!("{error}")))?;
            // `NAME:TAG@DIGEST` means the digest, as for docker.
            let name = name.split_once(':').map_or(name, |(name, _tag)| name);
            (name, Reference::Digest(digest))
        } else {
            let (name, tag) = name.split_once(':').unwrap_or((name, "latest"));
            let tag: Tag = tag.parse().map_err(|error| failed(format!("{error}")))?;
            (name, Reference::Tag(tag))
        };
        let registry: Address = registry.parse()?;
        // Images without an owner are those of `library`.
        let library = match registry.is_hub() && !name.contains('/') {
            true => format!("library/{name}"),
            false => String::new(),
        };
        let name = if library.is_empty() { name } else { &library };
        Ok(Self {
            registry,
            repository: name.parse().map_err(|error| failed(format!("{error}")))?,
            reference,
        })
    }
}

/// For docker, a name without a registry is one of Docker Hub; here it could as well be meant for a server of our own.
fn no_registry(text: &str) -> String {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_name) {
        true => format!("there is no registry in front (`{HUB}/{text}` is that of Docker Hub)"),
        false => "there is no registry in front".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_read_as_people_write_them() {
        let check = |text: &str, scheme, host: &str, is_loopback: bool| {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.scheme, address.host()), (scheme, host), "{text}");
            assert_eq!(address.is_loopback(), is_loopback, "{text}");
        };
        check("localhost:5000", None, "localhost:5000", true);
        check(
            "https://localhost:5443",
            Some(Scheme::Https),
            "localhost:5443",
            true,
        );
        check(
            "https://r.example.com/v2/",
            Some(Scheme::Https),
            "r.example.com",
            false,
        );
        check(
            "http://127.0.0.1:5000/",
            Some(Scheme::Http),
            "127.0.0.1:5000",
            true,
        );
        check("[::1]:5000", None, "[::1]:5000", true);
        check("localhost.example.com", None, "localhost.example.com", false);
        for bad in ["", "https://", "a b", "r.example.com/name", ":5000", "user@host"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_registry_has_one_identity() {
        for (text, identity) in [
            ("R.Example.com", "r.example.com"),
            ("r.example.com:443", "r.example.com"),
            ("https://r.example.com:443/", "r.example.com"),
            ("http://r.example.com:443", "r.example.com:443"),
            ("http://r.example.com:80", "r.example.com"),
            ("r.example.com:5000", "r.example.com:5000"),
            ("[::1]:443", "[::1]"),
            ("Index.docker.io:443", "docker.io"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().identity(), identity, "{text}");
        }
    }

    #[test]
    fn docker_hub_has_other_names() {
        for (text, repository) in [
            ("docker.io/alpine:3", "library/alpine"),
            ("index.docker.io/alpine", "library/alpine"),
            ("https://registry-1.docker.io/library/alpine", "library/alpine"),
            ("docker.io/grafana/loki", "grafana/loki"),
        ] {
            let image: ImageName = text.parse().unwrap();
            assert_eq!(image.repository.as_str(), repository, "{text}");
            assert_eq!(
                (image.registry.host(), image.registry.server()),
                ("docker.io", "registry-1.docker.io")
            );
        }
        let error = "alpine:3".parse::<ImageName>().unwrap_err().to_string();
        assert!(error.contains("`docker.io/alpine:3`"), "{error}");
    }

    #[test]
    fn images_are_read_as_docker_reads_them() {
        let digest = Digest::sha256_of(b"");
        let check = |text: &str, repository: &str, reference: &str| {
            let image: ImageName = text.parse().unwrap();
            assert_eq!(image.repository.as_str(), repository, "{text}");
            assert_eq!(image.reference.to_string(), reference, "{text}");
        };
        check("localhost:5000/kyo/my-image:1.0", "kyo/my-image", "1.0");
        check("https://r.example.com/app", "app", "latest");
        check(&format!("r.example.com/app@{digest}"), "app", &digest.to_string());
        check(
            &format!("r.example.com/app:1@{digest}"),
            "app",
            &digest.to_string(),
        );
        for bad in [
            "app",
            "r.example.com/",
            "r.example.com/App",
            "r.example.com/app:",
            "r.example.com/app@sha256:1",
        ] {
            let error = bad.parse::<ImageName>().unwrap_err().to_string();
            assert!(error.contains("write `HOST"), "{bad}: {error}");
        }
    }

    use wharf_oci::Digest;
}
