//! Rules of the operator for pushed manifests: the URLs of layers, and the children that must exist.

use regex::bytes::{Regex, RegexBuilder};
use wharf_oci::{Descriptor, ManifestView};

use crate::error::{Error, Result};

/// The most bytes that one compiled pattern takes.
const PATTERN_LIMIT: usize = 256 << 10;

/// Which children of an index must be in the repository before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Children {
    /// All children.
    #[default]
    All,
    /// No children.
    None,
    /// Children for one of these platforms, each an architecture and an operating system.
    OfPlatforms(Vec<(String, String)>),
}

impl Children {
    pub(crate) fn include(&self, child: &Descriptor) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::OfPlatforms(platforms) => child.platform.as_ref().is_some_and(|platform| {
                platforms
                    .iter()
                    .any(|(architecture, os)| *architecture == platform.architecture && *os == platform.os)
            }),
        }
    }
}

/// URLs at which layers may be stored (`validation.manifests.urls` of registry:2). Without any pattern, at all URLs.
///
/// The patterns are those of Go, without look-around and back references, so matching takes linear time.
#[derive(Debug, Clone, Default)]
pub struct UrlRules {
    allow: Vec<Regex>,
    deny: Vec<Regex>,
}

/// Compares the patterns as they were written.
impl PartialEq for UrlRules {
    fn eq(&self, other: &Self) -> bool {
        let written = |rules: &Self| {
            let texts = |patterns: &[Regex]| -> Vec<String> {
                patterns
                    .iter()
                    .map(|pattern| pattern.as_str().to_owned())
                    .collect()
            };
            (texts(&rules.allow), texts(&rules.deny))
        };
        written(self) == written(other)
    }
}

impl UrlRules {
    /// Adds an allowed pattern. Once there is one, every URL must match one of them.
    ///
    /// # Errors
    ///
    /// When `pattern` is not a regular expression, or takes too much memory.
    pub fn allow(&mut self, pattern: &str) -> std::result::Result<(), regex::Error> {
        self.allow.push(compile(pattern)?);
        Ok(())
    }

    /// Adds a denied pattern. No URL may match one of them.
    ///
    /// # Errors
    ///
    /// As [`allow`](Self::allow).
    pub fn deny(&mut self, pattern: &str) -> std::result::Result<(), regex::Error> {
        self.deny.push(compile(pattern)?);
        Ok(())
    }

    /// Refuses a manifest that names a URL which is not allowed.
    pub(crate) fn check(&self, view: &ManifestView) -> Result<()> {
        if self.allow.is_empty() && self.deny.is_empty() {
            return Ok(());
        }
        let listed = view.manifests.iter().filter(|entry| entry.is_blob());
        let urls = view.layers.iter().chain(listed).flat_map(|layer| &layer.urls);
        for url in urls {
            if let Some(why) = self.objection(url) {
                let url: String = url.chars().take(200).flat_map(char::escape_debug).collect();
                return Err(Error::ManifestInvalid {
                    reason: format!("a layer lies at `{url}`, which {why}"),
                });
            }
        }
        Ok(())
    }

    fn objection(&self, url: &str) -> Option<&'static str> {
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(url.as_bytes()));
        // Go looks at the scheme without regard to letter case, after parsing.
        let (scheme, rest) = url.split_once(':').unwrap_or_default();
        if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
            Some("is not an http or https URL")
        } else if rest.contains('#') {
            Some("has a fragment; the URL of a layer has none")
        } else if !self.allow.is_empty() && !matches(&self.allow) {
            Some("this registry does not allow; see `validation.manifests.urls.allow` in its configuration")
        } else if matches(&self.deny) {
            Some("this registry does not allow; see `validation.manifests.urls.deny` in its configuration")
        } else {
            None
        }
    }
}

/// Classes such as `\w` are ASCII, as in Go.
fn compile(pattern: &str) -> std::result::Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(PATTERN_LIMIT)
        .dfa_size_limit(PATTERN_LIMIT)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> UrlRules {
        let mut rules = UrlRules::default();
        for pattern in allow {
            rules.allow(pattern).unwrap();
        }
        for pattern in deny {
            rules.deny(pattern).unwrap();
        }
        rules
    }

    #[test]
    fn a_url_must_be_allowed_and_not_denied() {
        let rules = rules(
            &["^https://a\\.example/", "^https?://b\\.example/"],
            &["/secret/"],
        );
        for good in ["https://a.example/x", "http://b.example/"] {
            assert_eq!(rules.objection(good), None, "{good}");
        }
        for bad in [
            "http://a.example/x",
            "https://c.example/",
            "https://a.example/secret/x",
            "https://a.example/#x",
            "ftp://a.example/",
            "https",
            "",
        ] {
            assert!(rules.objection(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn denying_alone_allows_the_rest() {
        let rules = rules(&[], &["^https://evil\\."]);
        assert_eq!(rules.objection("https://good.example/"), None);
        assert!(rules.objection("https://evil.example/").is_some());
    }

    #[test]
    fn patterns_are_bounded() {
        assert!(UrlRules::default().allow("(").is_err());
        assert!(UrlRules::default().allow("((a{1000}){1000}){1000}").is_err());
    }
}
