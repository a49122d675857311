//! A circuit breaker: an upstream that fails again and again is left alone for a while, so that no client waits for it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How many failures in a row open the circuit.
const FAILURES: u32 = 3;
/// The first pause; each further one is twice as long.
const SHORTEST: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether the upstream may be asked.
#[derive(Debug, Default)]
pub(crate) struct Circuit(Mutex<State>);

#[derive(Debug)]
enum State {
    /// Requests pass; so many in a row have failed.
    Closed { failures: u32 },
    /// No request passes before `until`, and then one.
    Open { until: Instant, pause: Duration },
    /// One request is under way that decides, since this moment. Without an outcome, another one may pass after `pause`.
    Probing { since: Instant, pause: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Lets a request pass.
    ///
    /// # Errors
    ///
    /// The time after which it is worth asking again.
    pub(crate) fn enter(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let mut state = self.0.lock();
        let (until, pause) = match *state {
            State::Closed { .. } => return Ok(()),
            State::Open { until, pause } => (until, pause),
            // The request that was to decide was given up before its outcome.
            State::Probing { since, pause } => (since + pause, pause),
        };
        if now < until {
            return Err(until - now);
        }
        *state = State::Probing { since: now, pause };
        Ok(())
    }

    /// Notes that the upstream has answered. Returns whether it was out of order before.
    pub(crate) fn succeeded(&self) -> bool {
        let before = std::mem::take(&mut *self.0.lock());
        !matches!(before, State::Closed { .. })
    }

    /// Notes that the upstream has failed. Returns the pause if this failure opened the circuit.
    pub(crate) fn failed(&self) -> Option<Duration> {
        let mut state = self.0.lock();
        let pause = match *state {
            State::Closed { failures } if failures + 1 < FAILURES => {
                *state = State::Closed {
                    failures: failures + 1,
                };
                return None;
            }
            State::Closed { .. } => SHORTEST,
            State::Probing { pause, .. } => (2 * pause).min(LONGEST),
            // A request that had passed before the circuit opened.
            State::Open { .. } => return None,
        };
        *state = State::Open {
            until: Instant::now() + pause,
            pause,
        };
        Some(pause)
    }

    /// Whether requests pass as usual.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.0.lock(), State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn three_failures_in_a_row_open_it_and_an_answer_closes_it() {
        let circuit = Circuit::default();
        assert_eq!((circuit.failed(), circuit.failed()), (None, None));
        assert!(!circuit.succeeded(), "it was closed all the time");
        assert_eq!((circuit.failed(), circuit.failed()), (None, None));
        assert!(circuit.enter().is_ok());
        assert_eq!(circuit.failed(), Some(SHORTEST));
        assert_eq!(circuit.enter(), Err(SHORTEST));
        advance(SHORTEST).await;
        assert!(circuit.enter().is_ok(), "one request may try");
        assert!(circuit.enter().is_err(), "and no other meanwhile");
        assert!(circuit.succeeded());
        assert!(circuit.is_closed() && circuit.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_have_an_end() {
        let circuit = Circuit::default();
        for _ in 0..FAILURES {
            circuit.failed();
        }
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let pause = circuit.enter().unwrap_err();
            pauses.push(pause.as_secs());
            advance(pause).await;
            circuit.enter().unwrap();
            circuit.failed();
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_without_an_outcome_keeps_no_other_out_for_ever() {
        let circuit = Circuit::default();
        for _ in 0..FAILURES {
            circuit.failed();
        }
        advance(SHORTEST).await;
        circuit.enter().unwrap();
        advance(SHORTEST).await;
        assert!(circuit.enter().is_ok());
    }
}
