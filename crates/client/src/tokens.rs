//! Logins that are kept for further requests, each for its scope, and made once for all requests that need the same one.

use std::{collections::HashMap, sync::Arc, time::Instant};

use http::HeaderValue;
use parking_lot::Mutex;

use crate::{Error, Result, authorization::Authorization};

/// Scopes that are kept at the same time: those of more repositories are logged in to again.
const MOST_SCOPES: usize = 4096;

/// The logins of one client.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<HashMap<String, Arc<Scope>>>);

/// The login for one scope.
#[derive(Debug, Default)]
struct Scope {
    known: Mutex<Option<Authorization>>,
    /// Held while a request logs in. What it guards is the last failure, and when it came.
    turn: tokio::sync::Mutex<Option<(Instant, Error)>>,
}

impl Tokens {
    /// The header that was good for `scope` before, unless it has ended: without one, the registry refuses at once and names its
    /// token server.
    pub(crate) fn known(&self, scope: &str) -> Option<HeaderValue> {
        let found = self.0.lock().get(scope).map(Arc::clone)?;
        let known = found.known.lock();
        let good = known.as_ref().filter(|known| known.is_good())?;
        Some(good.header.clone())
    }

    /// What `log_in` gives for `scope`, or has just given to another request.
    ///
    /// Requests for one scope log in one after the other. The first one fetches the token, those that waited meanwhile find it, or
    /// get its error: a token server that fails is not asked again by each of them. The turn is an asynchronous lock because it
    /// is held while the token server is asked; a request that is given up drops it, and the next one asks.
    ///
    /// # Errors
    /// The error of `log_in`, its own or that of the request that it waited for.
    pub(crate) async fn logged_in(
        &self,
        scope: &str,
        refused: Option<&HeaderValue>,
        log_in: impl Future<Output = Result<Authorization>>,
    ) -> Result<Authorization> {
        let scope = self.scope(scope);
        let begun = Instant::now();
        let mut turn = scope.turn.lock().await;
        let known = scope.known.lock().clone();
        // The one that the registry has refused is no answer.
        let is_new = |known: &Authorization| known.is_good() && refused != Some(&known.header);
        if let Some(known) = known.filter(is_new) {
            return Ok(known);
        }
        if let Some((failed, error)) = &*turn
            && *failed > begun
        {
            return Err(error.clone());
        }
        match log_in.await {
            Ok(new) => {
                *scope.known.lock() = Some(new.clone());
                *turn = None;
                Ok(new)
            }
            Err(error) => {
                *turn = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Forgets a header that is refused by now, unless another one has taken its place.
    pub(crate) fn forget(&self, scope: &str, refused: &HeaderValue) {
        let found = self.0.lock().get(scope).map(Arc::clone);
        if let Some(found) = found {
            let mut known = found.known.lock();
            if known.as_ref().is_some_and(|known| known.header == *refused) {
                *known = None;
            }
        }
    }

    /// Forgets the header for `scope`, whichever it is.
    pub(crate) fn clear(&self, scope: &str) {
        self.0.lock().remove(scope);
    }

    fn scope(&self, scope: &str) -> Arc<Scope> {
        let mut scopes = self.0.lock();
        if let Some(found) = scopes.get(scope) {
            return Arc::clone(found);
        }
        if scopes.len() >= MOST_SCOPES {
            // Those that a request logs in to stay: all others have one owner, this map, which is locked.
            let is_used = |scope: &Arc<Scope>| Arc::strong_count(scope) > 1;
            let is_good =
                |scope: &Arc<Scope>| scope.known.lock().as_ref().is_some_and(Authorization::is_good);
            scopes.retain(|_, scope| is_used(scope) || is_good(scope));
            if scopes.len() >= MOST_SCOPES {
                scopes.retain(|_, scope| is_used(scope));
            }
        }
        Arc::clone(scopes.entry(scope.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn token(text: &'static str) -> Authorization {
        Authorization::lasting(HeaderValue::from_static(text))
    }

    #[tokio::test]
    async fn requests_at_the_same_time_log_in_once() {
        let tokens = Tokens::default();
        let asked = AtomicUsize::new(0);
        let log_in = |outcome: Result<Authorization>| {
            let asked = &asked;
            async move {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                outcome
            }
        };
        let good = || tokens.logged_in("a", None, log_in(Ok(token("Bearer 1"))));
        let (one, two, three) = tokio::join!(good(), good(), good());
        for outcome in [one, two, three] {
            assert_eq!(outcome.unwrap().header, "Bearer 1");
        }
        assert_eq!(asked.swap(0, Ordering::Relaxed), 1);
        let bad = || tokens.logged_in("b", None, log_in(Err(Error::not_a_registry("x", "y"))));
        let (one, two) = tokio::join!(bad(), bad());
        assert!(one.is_err() && two.is_err());
        assert_eq!(asked.swap(0, Ordering::Relaxed), 1, "an error is shared");
        assert!(bad().await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 1, "a later request tries itself");
    }

    #[tokio::test]
    async fn what_was_refused_is_no_answer() {
        let tokens = Tokens::default();
        let give = |text| async move { Ok(token(text)) };
        let first = tokens.logged_in("a", None, give("Bearer 1")).await.unwrap();
        assert_eq!(tokens.known("a").unwrap(), "Bearer 1");
        let second = tokens
            .logged_in("a", Some(&first.header), give("Bearer 2"))
            .await
            .unwrap();
        assert_eq!(second.header, "Bearer 2");
        tokens.forget("a", &first.header);
        assert!(tokens.known("a").is_some(), "another one has taken its place");
        tokens.forget("a", &second.header);
        assert!(tokens.known("a").is_none());
    }

    #[tokio::test]
    async fn scopes_are_bounded() {
        let tokens = Tokens::default();
        for scope in 0..MOST_SCOPES + 10 {
            let give = async { Ok(token("Bearer 1")) };
            tokens.logged_in(&scope.to_string(), None, give).await.unwrap();
        }
        assert!(tokens.0.lock().len() <= MOST_SCOPES);
    }
}
