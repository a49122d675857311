//! Waiting for a registry that is busy or stumbles: how often, how long, and what the user is told.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, StatusCode, header};

use crate::Error;

/// The longest time that a registry may ask to wait; beyond it the user decides.
const LONGEST: Duration = Duration::from_secs(120);
/// Time that one request waits at most, all pauses together.
const WHOLE: Duration = Duration::from_secs(300);
/// How often a busy registry is asked again.
const BUSY_TRIES: u32 = 8;
/// How often a connection without patience goes on after a broken one, without a byte in between.
const RESUMPTIONS: u32 = 3;
/// Pauses before a request is repeated that the network or the registry has broken.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(800),
    Duration::from_millis(3200),
];

/// Takes a sentence for the user.
type Tell = dyn Fn(&str) + Send + Sync;

/// Where the client says that it waits, and why.
#[derive(Clone, Default)]
pub struct Notices(Option<Arc<Tell>>);

/// What is wrong with an answer, if asking again may help.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The registry wants fewer requests. It may say when to come back.
    Busy {
        status: StatusCode,
        after: Option<Duration>,
    },
    /// The registry, or what is before it, has failed.
    Failing(StatusCode),
    /// The connection broke.
    Broken,
}

/// The pauses of one request.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    tries: u32,
    waited: Duration,
}

impl Notices {
    /// Calls `tell` with a sentence for each pause.
    pub fn to(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, sentence: &str) {
        if let Self(Some(tell)) = self {
            tell(sentence);
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notices").field(&self.0.is_some()).finish()
    }
}

impl Fault {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        Self::of_status(status, retry_after(headers))
    }

    /// What is wrong with a request that ended with an error.
    pub(crate) fn of_error(error: &Error) -> Option<Self> {
        match error {
            Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Interrupted { .. } => {
                Some(Self::Broken)
            }
            // The connection is slow, and the rest of the blob may pass with the next request.
            Error::Refused { status, .. } if *status == StatusCode::REQUEST_TIMEOUT => {
                Some(Self::Failing(*status))
            }
            Error::Refused { status, after, .. } => Self::of_status(*status, *after),
            _ => None,
        }
    }

    fn of_status(status: StatusCode, after: Option<Duration>) -> Option<Self> {
        match status.as_u16() {
            429 => Some(Self::Busy { status, after }),
            503 if after.is_some() => Some(Self::Busy { status, after }),
            500 | 502..=504 => Some(Self::Failing(status)),
            _ => None,
        }
    }
}

impl Patience {
    /// Whether the rest of a body is asked for without a pause.
    pub(crate) fn goes_on_at_once(&mut self) -> bool {
        self.tries += 1;
        self.tries <= RESUMPTIONS
    }

    /// The pause before the next try; `None`: enough.
    pub(crate) fn next(&mut self, fault: &Fault) -> Option<Duration> {
        let pause = match fault {
            Fault::Busy {
                after: Some(after), ..
            } => (*after <= LONGEST).then_some(*after),
            Fault::Busy { after: None, .. } => Some(Duration::from_secs(1 << self.tries.min(6))),
            Fault::Failing(_) | Fault::Broken => PAUSES.get(self.tries as usize).copied(),
        }?;
        let waited = self.waited.saturating_add(pause);
        if self.tries >= BUSY_TRIES || waited > WHOLE {
            return None;
        }
        self.tries += 1;
        self.waited = waited;
        Some(pause)
    }
}

/// A sentence about a pause.
pub(crate) fn sentence(host: &str, fault: &Fault, pause: Duration) -> String {
    let pause = duration(pause);
    match fault {
        Fault::Busy { status, .. } => {
            format!("`{host}` limits its clients ({status}), asking again in {pause}")
        }
        Fault::Failing(status) => format!("`{host}` answers {status}, asking again in {pause}"),
        Fault::Broken => format!("the connection to `{host}` broke, asking again in {pause}"),
    }
}

/// When to come back, by the header of an answer: seconds, or a date. Docker Hub sends the seconds since 1970.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let now = SystemTime::now();
    let until = |time: SystemTime| time.duration_since(now).unwrap_or_default();
    if let Ok(seconds) = text.parse::<u64>() {
        let is_date = seconds > 1_000_000_000;
        let seconds = Duration::from_secs(seconds);
        return match is_date {
            true => UNIX_EPOCH.checked_add(seconds).map(until),
            false => Some(seconds),
        };
    }
    httpdate::parse_http_date(text).ok().map(until)
}

/// A time as people write it: `800 ms`, `30 s`, `6 h 5 min`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.subsec_millis() > 0 => format!("{} ms", time.as_millis()),
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(text: &str) -> HeaderMap {
        [(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap())]
            .into_iter()
            .collect()
    }

    fn fault(status: u16, headers: &HeaderMap) -> Option<Fault> {
        Fault::of(StatusCode::from_u16(status).unwrap(), headers)
    }

    #[test]
    fn a_registry_says_when_to_come_back_in_seconds_or_as_a_date() {
        assert_eq!(retry_after(&headers("30")), Some(Duration::from_secs(30)));
        let soon = SystemTime::now() + Duration::from_secs(90);
        let since = soon.duration_since(UNIX_EPOCH).unwrap().as_secs();
        for text in [httpdate::fmt_http_date(soon), since.to_string()] {
            let after = retry_after(&headers(&text)).unwrap();
            assert!((85..=90).contains(&after.as_secs()), "{text}: {after:?}");
        }
        assert_eq!(
            retry_after(&headers("Wed, 21 Oct 2015 07:28:00 GMT")),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after(&headers("soon")), None);
    }

    #[test]
    fn waiting_has_an_end() {
        let busy = |text: &str| fault(429, &headers(text)).unwrap();
        assert_eq!(Patience::default().next(&busy("7")), Some(Duration::from_secs(7)));
        assert_eq!(Patience::default().next(&busy("21600")), None, "six hours");
        let pauses = |fault: &Fault| {
            let mut patience = Patience::default();
            std::iter::from_fn(|| patience.next(fault)).collect::<Vec<_>>()
        };
        assert_eq!(pauses(&busy("100")).len(), 3, "five minutes in all");
        assert_eq!(pauses(&busy("0")).len(), BUSY_TRIES as usize);
        let growing = pauses(&fault(429, &HeaderMap::new()).unwrap());
        assert!(growing.is_sorted() && growing.iter().sum::<Duration>() <= WHOLE);
        for failing in [fault(502, &HeaderMap::new()).unwrap(), Fault::Broken] {
            assert_eq!(pauses(&failing), PAUSES);
        }
    }

    #[test]
    fn only_what_may_pass_is_asked_for_again() {
        for status in [200, 206, 307, 400, 401, 403, 404, 405, 416, 501] {
            assert_eq!(fault(status, &headers("1")), None, "{status}");
        }
        for status in [429, 500, 502, 503, 504] {
            assert!(fault(status, &headers("1")).is_some(), "{status}");
        }
    }

    #[test]
    fn a_pause_is_told_with_its_reason_and_time() {
        let busy = fault(429, &headers("30")).unwrap();
        assert_eq!(
            sentence("h:5000", &busy, Duration::from_secs(30)),
            "`h:5000` limits its clients (429 Too Many Requests), asking again in 30 s"
        );
        assert_eq!(duration(Duration::from_millis(800)), "800 ms");
        assert_eq!(duration(Duration::from_secs(21900)), "6 h 5 min");
    }
}
