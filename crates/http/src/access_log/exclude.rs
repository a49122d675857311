//! Requests that have no line in the access log, such as those of health checks.

use std::{net::IpAddr, str::FromStr};

use http::{header, request};

use crate::proxies::Network;

/// Requests that have no line in the access log: a request that fits one of these has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessLogExclusions {
    /// Paths, without the query.
    pub paths: Vec<Pattern>,
    /// Values of `User-Agent`.
    pub user_agents: Vec<Pattern>,
    /// Addresses of clients, behind trusted proxies.
    pub networks: Vec<Network>,
}

/// A text in which each `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<[Box<str>]>);

impl AccessLogExclusions {
    pub(super) fn covers(&self, client: Option<IpAddr>, request: &request::Parts) -> bool {
        let fits = |patterns: &[Pattern], text: &str| patterns.iter().any(|pattern| pattern.fits(text));
        let user_agent = || request.headers.get(header::USER_AGENT)?.to_str().ok();
        fits(&self.paths, request.uri.path())
            || !self.user_agents.is_empty() && fits(&self.user_agents, user_agent().unwrap_or_default())
            || client.is_some_and(|client| self.networks.iter().any(|network| network.contains(client)))
    }
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &*self.0 else {
            return self.0.first().is_some_and(|whole| **whole == *text);
        };
        let inner = text
            .strip_prefix(&**first)
            .and_then(|rest| rest.strip_suffix(&**last));
        let Some(mut rest) = inner else { return false };
        // The first place of each part leaves the most for the others.
        for part in middle {
            let Some((_, after)) = rest.split_once(&**part) else {
                return false;
            };
            rest = after;
        }
        true
    }
}

impl FromStr for Pattern {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.split('*').map(Box::from).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        let fits = |pattern: &str, text: &str| pattern.parse::<Pattern>().unwrap().fits(text);
        assert!(fits("/v2/", "/v2/") && !fits("/v2/", "/v2/a") && !fits("/v2/", "/v2"));
        assert!(fits("kube-probe/*", "kube-probe/1.33") && !fits("kube-probe/*", "a kube-probe/1"));
        assert!(fits("*Health*", "ELB-HealthChecker/2.0") && fits("*", "") && fits("a*b*c", "abbc"));
        assert!(!fits("a*b*c", "ac") && !fits("aba*ba", "aba") && !fits("", "x") && fits("", ""));
    }

    #[test]
    fn each_kind_covers_a_request_by_itself() {
        let request = http::Request::get("/v2/?x").header("User-Agent", "probe/1");
        let (request, ()) = request.body(()).unwrap().into_parts();
        let client = Some([10, 0, 0, 7].into());
        let covers = |exclusions: AccessLogExclusions| exclusions.covers(client, &request);
        let none = AccessLogExclusions::default;
        assert!(!covers(none()));
        let patterns = |text: &str| vec!["other".parse().unwrap(), text.parse().unwrap()];
        assert!(covers(AccessLogExclusions {
            paths: patterns("/v2/"),
            ..none()
        }));
        assert!(!covers(AccessLogExclusions {
            paths: patterns("/v2/*/x"),
            ..none()
        }));
        assert!(covers(AccessLogExclusions {
            user_agents: patterns("probe/*"),
            ..none()
        }));
        let networks = vec!["10.0.0.0/29".parse().unwrap()];
        assert!(covers(AccessLogExclusions {
            networks: networks.clone(),
            ..none()
        }));
        assert!(!AccessLogExclusions { networks, ..none() }.covers(None, &request));
    }
}
