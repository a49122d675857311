//! Single flight: requests for the same key share one round of work, which starts after each of them came.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The rounds that are about to begin, by key, each with the requests that wait for its answer.
#[derive(Debug)]
pub(crate) struct Rounds<K, T>(Mutex<HashMap<K, Waiting<T>>>);

type Waiting<T> = Vec<oneshot::Sender<Arc<T>>>;

impl<K, T> Default for Rounds<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, T> Rounds<K, T> {
    /// The outcome of `work`, which the first request for `key` does, for all that come before it begins. When that
    /// request fails or goes away, the waiting requests do the work themselves.
    ///
    /// # Errors
    ///
    /// Errors of `work`.
    pub(crate) async fn share<E, F>(&self, key: &K, work: impl Fn() -> F) -> Result<Arc<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        loop {
            match self.join(key) {
                Role::Leader(round) => {
                    // Requests that are ready to ask may join until the work begins.
                    tokio::task::yield_now().await;
                    let waiting = round.start();
                    let found = Arc::new(work().await?);
                    for follower in waiting {
                        // The receiver may be gone with its client.
                        drop(follower.send(Arc::clone(&found)));
                    }
                    return Ok(found);
                }
                Role::Follower(answer) => {
                    if let Ok(found) = answer.await {
                        return Ok(found);
                    }
                }
            }
        }
    }

    fn join(&self, key: &K) -> Role<'_, K, T> {
        let mut rounds = self.0.lock();
        if let Some(waiting) = rounds.get_mut(key) {
            let (sender, answer) = oneshot::channel();
            waiting.push(sender);
            return Role::Follower(answer);
        }
        rounds.insert(key.clone(), Vec::new());
        Role::Leader(Round {
            rounds: self,
            key: Some(key.clone()),
        })
    }
}

enum Role<'a, K: Eq + Hash, T> {
    Leader(Round<'a, K, T>),
    Follower(oneshot::Receiver<Arc<T>>),
}

/// A round that has not begun. Dropping it, with the request that leads it, lets its followers know.
struct Round<'a, K: Eq + Hash, T> {
    rounds: &'a Rounds<K, T>,
    /// Key of the round; taken when the work begins.
    key: Option<K>,
}

impl<K: Eq + Hash, T> Round<'_, K, T> {
    /// Ends the time in which requests join.
    fn start(mut self) -> Waiting<T> {
        self.close()
    }

    fn close(&mut self) -> Waiting<T> {
        self.key
            .take()
            .and_then(|key| self.rounds.0.lock().remove(&key))
            .unwrap_or_default()
    }
}

impl<K: Eq + Hash, T> Drop for Round<'_, K, T> {
    fn drop(&mut self) {
        drop(self.close());
    }
}
