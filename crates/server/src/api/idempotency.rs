//! `Idempotency-Key`: a change that is sent again is not made again, and gets the answer that it got.
//!
//! The promise holds for one process and for ten minutes: another replica, or this one after a restart, carries the request
//! out. What is remembered has a limit; the oldest answer is forgotten for a new one. Only successes are remembered: what
//! failed may be tried again, as it has changed nothing, or to try it again completes it.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    answer::Answer,
    problem::{Kind, Problem, Result},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long an answer is remembered. It may hold a password that was generated, so it is not long.
const MEMORY: Duration = Duration::from_secs(10 * 60);

/// How many requests are remembered, and the largest answer in bytes.
const MOST: usize = 256;
const LARGEST: usize = 16 << 10;

/// The longest key.
const LONGEST_KEY: usize = 255;

/// The requests that were carried out lately, or are being carried out.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    inner: Mutex<Inner>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Id, Entry>,
    /// The ids of the remembered answers, the oldest first.
    order: VecDeque<(Instant, Id)>,
}

/// A caller, and the key that it chose.
type Id = (String, String);

#[derive(Debug)]
struct Entry {
    /// A keyed hash of the request.
    request: u64,
    /// `None`: it is being carried out.
    answer: Option<Answer>,
}

/// What is known of a request.
#[derive(Debug)]
pub(crate) enum Known {
    /// It has no key, and is carried out.
    No,
    /// It is new, and is to be carried out with this claim.
    New(Claim),
    /// It was carried out, with this answer.
    Done(Answer),
}

/// The right to carry out a request. Dropped without an answer, it lets the request be tried again.
#[derive(Debug)]
pub(crate) struct Claim {
    memory: Arc<Memory>,
    id: Option<Id>,
}

impl Memory {
    /// Looks for the request of `caller` with these headers, of which `facts` are method, target and body.
    pub(crate) fn claim(
        self: &Arc<Self>,
        caller: &str,
        headers: &HeaderMap,
        facts: (&str, &str, &[u8]),
    ) -> Result<Known> {
        let Some(key) = key(headers)? else {
            return Ok(Known::No);
        };
        let (id, request) = ((caller.to_owned(), key), self.hasher.hash_one(facts));
        let mut inner = self.inner.lock();
        inner.forget(Instant::now());
        match inner.entries.get(&id) {
            Some(entry) if entry.request != request => {
                let text =
                    "this `Idempotency-Key` was used for another request; choose a new one for each change";
                Err(Problem::new(Kind::KeyReused, text))
            }
            Some(Entry {
                answer: Some(answer), ..
            }) => Ok(Known::Done(answer.clone())),
            Some(_) => {
                let text =
                    "a request with this `Idempotency-Key` is still being carried out; ask again in a moment";
                Err(Problem::new(Kind::KeyInUse, text))
            }
            None => {
                if inner.entries.len() >= MOST && !inner.forget_oldest() {
                    let text = "too many changes are being made; ask again in a moment";
                    return Err(Problem::new(Kind::Busy, text));
                }
                inner.entries.insert(
                    id.clone(),
                    Entry {
                        request,
                        answer: None,
                    },
                );
                let memory = Arc::clone(self);
                Ok(Known::New(Claim { memory, id: Some(id) }))
            }
        }
    }
}

impl Inner {
    /// Forgets what is older than it may be.
    fn forget(&mut self, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(since, _)| now - *since >= MEMORY)
        {
            self.forget_oldest();
        }
    }

    /// Forgets the oldest answer; whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let oldest = self.order.pop_front();
        oldest.is_some_and(|(_, id)| self.entries.remove(&id).is_some())
    }
}

impl Claim {
    /// Remembers the answer to the request.
    pub(crate) fn keep(mut self, answer: &Answer) {
        if answer.body.len() > LARGEST {
            return;
        }
        let Some(id) = self.id.take() else { return };
        let mut inner = self.memory.inner.lock();
        if let Some(entry) = inner.entries.get_mut(&id) {
            entry.answer = Some(answer.clone());
            inner.order.push_back((Instant::now(), id));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.memory.inner.lock().entries.remove(&id);
        }
    }
}

/// Refuses a key where the answer has a secret that is shown once, so that nothing remembers it.
///
/// # Errors
///
/// [`Kind::BadHeader`] if the request has a key.
pub(crate) fn refuse_key(headers: &HeaderMap) -> Result<()> {
    if !headers.contains_key(IDEMPOTENCY_KEY) {
        return Ok(());
    }
    let text = "`Idempotency-Key` is not taken here, because the answer has a secret that the server does not keep; leave it out. \
                If the answer is lost, rotate the token for another secret";
    Err(Problem::new(Kind::BadHeader, text))
}

/// The key of a request.
fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) && values.next().is_none() => {
            Ok(Some(key.to_owned()))
        }
        _ => {
            let text = format!("`Idempotency-Key` takes one text of 1 to {LONGEST_KEY} ASCII characters");
            Err(Problem::new(Kind::BadHeader, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with_key(key: &str) -> HeaderMap {
        HeaderMap::from_iter([(IDEMPOTENCY_KEY, HeaderValue::try_from(key).unwrap())])
    }

    fn claimed(memory: &Arc<Memory>, key: &str) -> Claim {
        match memory.claim("alice", &with_key(key), FACTS).unwrap() {
            Known::New(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    fn refused(memory: &Arc<Memory>, key: &str, facts: (&str, &str, &[u8])) -> Kind {
        memory.claim("alice", &with_key(key), facts).unwrap_err().kind()
    }

    const FACTS: (&str, &str, &[u8]) = ("POST", "/users", b"{}");

    #[tokio::test(start_paused = true)]
    async fn a_repetition_gets_the_answer_for_ten_minutes_and_from_its_caller_alone() {
        let memory = Arc::new(Memory::default());
        let claim = claimed(&memory, "k");
        assert_eq!(refused(&memory, "k", FACTS), Kind::KeyInUse);
        claim.keep(&Answer::document("{}".into()));
        assert_eq!(refused(&memory, "k", ("POST", "/users", b"{ }")), Kind::KeyReused);
        let again = memory.claim("alice", &with_key("k"), FACTS).unwrap();
        assert!(matches!(again, Known::Done(answer) if answer.body == "{}"));
        let other = memory.claim("bob", &with_key("k"), FACTS).unwrap();
        assert!(
            matches!(other, Known::New(_)),
            "another caller's keys are other ones"
        );
        assert!(matches!(
            memory.claim("alice", &HeaderMap::new(), FACTS).unwrap(),
            Known::No
        ));
        tokio::time::advance(MEMORY).await;
        drop(claimed(&memory, "k"));
        assert!(memory.inner.lock().order.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_may_be_tried_again_and_memory_has_a_limit() {
        let memory = Arc::new(Memory::default());
        drop(claimed(&memory, "k"));
        drop(claimed(&memory, "k"));
        claimed(&memory, "large").keep(&Answer::document(vec![b' '; LARGEST + 1].into()));
        assert_eq!(memory.inner.lock().entries.len(), 0);
        for number in 0..2 * MOST {
            claimed(&memory, &number.to_string()).keep(&Answer::document("{}".into()));
        }
        assert_eq!(memory.inner.lock().entries.len(), MOST);
        assert_eq!(memory.inner.lock().order.len(), MOST);
        let running: Vec<Claim> = (0..MOST)
            .map(|number| claimed(&memory, &format!("r{number}")))
            .collect();
        assert_eq!(refused(&memory, "one more", FACTS), Kind::Busy);
        drop(running);
        drop(claimed(&memory, "one more"));
    }

    #[test]
    fn a_key_is_one_text() {
        assert!(key(&with_key("")).is_err());
        assert!(key(&with_key(&"x".repeat(256))).is_err());
        let mut two = with_key("a");
        two.append(IDEMPOTENCY_KEY, HeaderValue::from_static("b"));
        assert!(key(&two).is_err());
    }
}
