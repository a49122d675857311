//! Ids of requests, and how a line of the application log finds the id of its request.

use std::{
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU64,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracing::{
    Metadata,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use uuid::Uuid;

/// The id of a request: the same in the application log, in traces, and in events.
///
/// It is a number within the process; its [UUID](Self::uuid) is computed where it is written. The span of a request
/// carries the number, and the subscriber makes the [`Id`] of the span from it, so that a request in whose span no line
/// is written costs neither memory nor a lock for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(NonZeroU64);

impl RequestId {
    /// The id of the next request of this process.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // Does not wrap: 2^64 requests take thousands of years.
        Self(NonZeroU64::MIN.saturating_add(LAST.fetch_add(1, Relaxed)))
    }

    /// The id as the other programs know it: random in form, unique over all processes.
    pub fn uuid(self) -> Uuid {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let half = |half: u8| u128::from(KEY.hash_one((self.0, half)));
        let random = half(0) << 64 | half(1);
        uuid::Builder::from_random_bytes(random.to_ne_bytes()).into_uuid()
    }

    /// The span of the request in the application log. At the level of errors, so that it is entered whatever the
    /// level of the log is.
    pub(crate) fn span(self) -> tracing::Span {
        tracing::error_span!("request", number = self.0)
    }

    /// Whether `metadata` is that of the span of a request.
    pub fn is_span(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == module_path!()
    }

    /// The id of the request whose span has `attributes`.
    pub fn of_span(attributes: &Attributes<'_>) -> Self {
        let mut id = Self(NonZeroU64::MAX);
        attributes.record(&mut id);
        id
    }
}

impl From<RequestId> for Id {
    fn from(id: RequestId) -> Self {
        Self::from_non_zero_u64(id.0)
    }
}

impl From<&Id> for RequestId {
    fn from(id: &Id) -> Self {
        Self(id.into_non_zero_u64())
    }
}

/// Reads the number from the fields of a span.
impl Visit for RequestId {
    fn record_u64(&mut self, _: &Field, number: u64) {
        self.0 = NonZeroU64::new(number).unwrap_or(self.0);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_a_uuid_of_its_own_that_stays() {
        let (one, other) = (RequestId::next(), RequestId::next());
        assert_eq!(one.uuid(), one.uuid());
        assert_ne!(one.uuid(), other.uuid());
        assert_eq!(one.uuid().get_version_num(), 4);
    }
}
