//! The trace of a request (W3C Trace Context, level 1), and the decision whether it is sampled.

use std::hash::{BuildHasher as _, RandomState};

/// The span of the caller, from the header `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) is_sampled: bool,
}

/// The ids of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanContext {
    pub(super) trace: u128,
    pub(super) span: u64,
}

/// Selects the requests that are traced (`OTEL_TRACES_SAMPLER`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sampler {
    /// Whether the caller's decision takes precedence.
    pub(super) follows_parent: bool,
    /// Fraction of traces that are sampled, from 0 to 1.
    pub(super) ratio: f64,
}

impl Parent {
    /// Parses the header. A malformed one counts as absent, as the standard requires.
    pub(super) fn parse(header: &[u8]) -> Option<Self> {
        let header = std::str::from_utf8(header).ok()?.trim();
        let mut fields = header.split('-');
        let version = fields
            .next()
            .filter(|version| is_hex(version, 2) && *version != "ff")?;
        let trace = fields.next().filter(|trace| is_hex(trace, 32))?;
        let span = fields.next().filter(|span| is_hex(span, 16))?;
        let flags = fields.next().filter(|flags| is_hex(flags, 2))?;
        // Later versions may have more.
        if version == "00" && fields.next().is_some() {
            return None;
        }
        let parent = Self {
            trace: u128::from_str_radix(trace, 16).ok()?,
            span: u64::from_str_radix(span, 16).ok()?,
            is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        };
        (parent.trace != 0 && parent.span != 0).then_some(parent)
    }
}

impl Sampler {
    /// The ids of a request that is sampled; `None`: it is not.
    pub(super) fn sample(&self, parent: Option<&Parent>) -> Option<SpanContext> {
        let trace = parent.map_or_else(
            || u128::from(random()) << 64 | u128::from(random()),
            |parent| parent.trace,
        );
        let is_sampled = match parent {
            Some(parent) if self.follows_parent => parent.is_sampled,
            _ => self.takes(trace),
        };
        is_sampled.then(|| SpanContext {
            trace,
            span: random(),
        })
    }

    /// Decides by the id of the trace, so that all services with the same ratio decide alike.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "of 63 random bits, the 53 upper ones decide"
    )]
    fn takes(&self, trace: u128) -> bool {
        let random = (trace as u64) >> 1;
        self.ratio >= 1.0 || (random as f64) < self.ratio * (1_u64 << 63) as f64
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A random number other than zero. It need not be unpredictable, only unique: the seed of hash maps is enough.
fn random() -> u64 {
    RandomState::new().hash_one(()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_as_the_standard_says() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let parse = |text: &str| Parent::parse(text.as_bytes());
        let parent = parse(&format!("00-{trace}-b7ad6b7169203331-01")).unwrap();
        assert_eq!(
            parent,
            Parent {
                trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
                span: 0xb7ad_6b71_6920_3331,
                is_sampled: true
            }
        );
        assert!(
            !parse(&format!("00-{trace}-b7ad6b7169203331-00"))
                .unwrap()
                .is_sampled
        );
        assert!(parse(&format!("cc-{trace}-b7ad6b7169203331-01-more")).is_some());
        for bad in [
            "",
            "00",
            &format!("00-{trace}-b7ad6b7169203331"),
            &format!("00-{trace}-b7ad6b7169203331-01-more"),
            &format!("ff-{trace}-b7ad6b7169203331-01"),
            &format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            &format!("00-{trace}-0000000000000000-01"),
            &format!("00-+{}-b7ad6b7169203331-01", &trace[1..]),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(Parent::parse(b"\xff"), None);
    }

    #[test]
    fn samplers_decide() {
        let sampler = |follows_parent, ratio| Sampler {
            follows_parent,
            ratio,
        };
        let parent = |is_sampled| Parent {
            trace: 7,
            span: 8,
            is_sampled,
        };
        assert!(sampler(true, 1.0).sample(None).is_some());
        assert!(sampler(true, 0.0).sample(None).is_none());
        assert!(sampler(true, 0.0).sample(Some(&parent(true))).is_some());
        assert!(sampler(true, 1.0).sample(Some(&parent(false))).is_none());
        assert!(sampler(false, 0.0).sample(Some(&parent(true))).is_none());
        let child = sampler(false, 1.0).sample(Some(&parent(false))).unwrap();
        assert!(child.trace == 7 && child.span != 8);
        assert!(!sampler(false, 0.5).takes(u128::from(u64::MAX)));
        assert!(sampler(false, 0.5).takes(u128::from(u64::MAX / 2 - 1024)));
    }

    #[test]
    fn about_half_of_the_traces_are_half() {
        let half = Sampler {
            follows_parent: true,
            ratio: 0.5,
        };
        let taken = (0..2000).filter(|_| half.sample(None).is_some()).count();
        // Sixteen standard deviations: an id that is not random would show.
        assert!((640..=1360).contains(&taken), "{taken}");
    }
}
