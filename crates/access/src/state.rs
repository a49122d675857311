//! Documents of the store that decide who may do what: the keys of tokens, and robot tokens.
//!
//! A document is one object below `wharf/access/`, read and replaced whole, so that both engines and several replicas work
//! the same. What is in force is the last good content that was read; a [worker](State::worker) looks for another one every
//! [`INTERVAL`], with one request that costs nothing while there is none.
//!
//! **Changes.** A change reads the document, changes it, and replaces it on condition that it still is of the version that
//! was read. When another process was first, the change is made again on what that one has written, so changes of several
//! processes add up. It is in force in this process when [`State::change`] returns, elsewhere at the next look.
//! On a bucket that honours no conditions the client of the bucket looks at the version right before it puts: of two changes
//! within the few milliseconds between these two requests the later one wins and the other is lost. Such a bucket is for
//! one server anyway, and then it takes a command that is run at the same moment to lose one.
//!
//! **Damage.** A document that cannot be read, or that holds what this version does not know, changes nothing: the last good
//! content stays in force, [`State::problem`] says why, and changes are refused, so that nothing of it is lost. The same
//! holds for a document that is gone: it is made anew by the next start alone, because a store that answers wrongly for a
//! moment must not revoke every token.
//!
//! Where the content is worth little, as that of sessions, a document that is damaged or gone counts as an empty one instead, and the
//! next change replaces it ([`WithoutDocument::BeginAnew`]): an administrator must be able to sign in to see what is wrong. A document
//! that a newer version has written is never replaced.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time;
use wharf_storage::{ErrorKind, Key, Object, Put, Storage, Version};
use wharf_workers::{Error as WorkError, Unit, Work, Worker};

use crate::random;

/// How often a document is looked at.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// The largest document, in bytes.
const LARGEST: u64 = 8 << 20;

/// How often a change is made again because other processes were first.
const ATTEMPTS: u32 = 50;

/// The pause before a change is made again, and before a file is looked at again whose time stamp is too young to tell.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the time stamp of a file can be too young: some file systems count in steps of two seconds.
const LOOKS: u32 = 150;

/// What becomes of the content where its document is damaged or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutDocument {
    /// The last good content stays in force, and nothing is changed.
    KeepLast,
    /// There is none, until the next change writes a new document.
    BeginAnew,
}

/// What a document means once it is read.
pub trait Content: fmt::Debug + Send + Sync + Sized + 'static {
    /// What the document holds, for messages: `keys of tokens`.
    const WHAT: &'static str;
    /// Version of the form of the document. Each change of the form has a new one.
    const VERSION: u32;
    /// What becomes of the content where its document is damaged or gone.
    const WITHOUT: WithoutDocument = WithoutDocument::KeepLast;
    /// The document as it is written. Unknown fields must be an error.
    type Document: Serialize + DeserializeOwned + Default + Clone + PartialEq + Send + Sync;
    /// What the reading depends on besides.
    type Context: fmt::Debug + Send + Sync;

    /// Reads a document, in place of the content `old`.
    ///
    /// # Errors
    ///
    /// Why the document cannot be used.
    fn read(document: Self::Document, context: &Self::Context, old: Option<&Self>) -> Result<Self, String>;

    /// The document that this was read from.
    fn document(&self) -> &Self::Document;
}

/// A document of the store. Clones share everything.
#[derive(Debug)]
pub struct State<C: Content> {
    shared: Arc<Shared<C>>,
}

#[derive(Debug)]
struct Shared<C: Content> {
    storage: Arc<dyn Storage>,
    key: Key,
    context: C::Context,
    current: RwLock<Current<C>>,
    /// Held by a look or a change until it ends.
    working: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Current<C> {
    /// The last good content
    content: Option<Arc<C>>,
    seen: Seen,
    problem: Option<Arc<StateError>>,
}

/// What was at the key at the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// There was no look yet.
    Nothing,
    /// There was no object.
    Absent,
    /// An object, of this version if that was known.
    Object(Option<Version>),
}

/// Why a document cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error("cannot {verb} the {what} (`{key}`): {error}")]
    Store {
        /// What was tried: `read` or `write`.
        verb: &'static str,
        /// What the document holds.
        what: &'static str,
        /// Key of the document.
        key: Key,
        /// The cause.
        error: wharf_storage::Error,
    },
    /// The document is damaged.
    #[error("the {what} (`{key}`) cannot be read: {why}; {}", remedy(*without))]
    Damaged {
        /// What the document holds.
        what: &'static str,
        /// Key of the document.
        key: Key,
        /// What is wrong with it.
        why: String,
        /// What becomes of the content.
        without: WithoutDocument,
    },
    /// A newer program has written the document.
    #[error(
        "the {what} (`{key}`) have the form {found}, and this version of wharf knows {known}; run the newer version"
    )]
    Newer {
        /// What the document holds.
        what: &'static str,
        /// Key of the document.
        key: Key,
        /// The version of its form.
        found: u32,
        /// The version that is known.
        known: u32,
    },
    /// The document was there and is gone.
    #[error("the {what} (`{key}`) are gone; restore the object, or start every server again to begin anew")]
    Gone {
        /// What the document holds.
        what: &'static str,
        /// Key of the document.
        key: Key,
    },
    /// Other processes change the document again and again.
    #[error(
        "cannot change the {what} (`{key}`): other processes changed them {ATTEMPTS} times meanwhile; try again"
    )]
    Contended {
        /// What the document holds.
        what: &'static str,
        /// Key of the document.
        key: Key,
    },
    /// No random numbers, and so no change that differs from all others.
    #[error(transparent)]
    Random(#[from] random::NoRandomness),
}

/// The form of every document. The nonce makes each one differ from all before it, because a store may tell versions apart
/// by their content alone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<D> {
    version: u32,
    nonce: String,
    content: D,
}

/// What every version of an envelope has.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl<C: Content> State<C> {
    /// The document at `key`, which is not looked at yet.
    pub fn new(storage: Arc<dyn Storage>, key: Key, context: C::Context) -> Self {
        let shared = Shared {
            storage,
            key,
            context,
            current: RwLock::new(Current {
                content: None,
                seen: Seen::Nothing,
                problem: None,
            }),
            working: tokio::sync::Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The last good content; `None` if there never was one.
    pub fn current(&self) -> Option<Arc<C>> {
        self.shared.current.read().content.clone()
    }

    /// Why the last look failed; `None` if it did not.
    pub fn problem(&self) -> Option<Arc<StateError>> {
        self.shared.current.read().problem.clone()
    }

    /// Looks at the document. A document that is not there yet is empty.
    ///
    /// # Errors
    ///
    /// [`StateError`]; the last good content stays in force.
    pub async fn refresh(&self) -> Result<(), Arc<StateError>> {
        let _one_at_a_time = self.shared.working.lock().await;
        let problem = self.shared.look().await.err().map(Arc::new);
        self.shared.note(problem.as_ref());
        problem.map_or(Ok(()), Err)
    }

    /// Changes the document by `change`, which is called again when another process was first, and returns what the last call
    /// returned. A `change` that leaves the document as it is writes nothing; what was read is in force then as well.
    ///
    /// # Errors
    ///
    /// [`StateError`]; nothing was changed then, unless an answer of the store was lost.
    pub async fn change<R>(&self, mut change: impl FnMut(&mut C::Document) -> R) -> Result<R, StateError> {
        let shared = &*self.shared;
        let _one_at_a_time = shared.working.lock().await;
        for _ in 0..ATTEMPTS {
            let (old, version) = shared.read_to_change().await?;
            let mut document = old.clone();
            let outcome = change(&mut document);
            if document == old {
                // Another process may have written it since the last look.
                let seen = version.map_or(Seen::Absent, |version| Seen::Object(Some(version)));
                shared.put_in_force(shared.content(document)?, seen);
                shared.note(None);
                return Ok(outcome);
            }
            let content = shared.content(document.clone())?;
            if shared.write(document, version).await? {
                shared.put_in_force(content, Seen::Object(None));
                shared.note(None);
                return Ok(outcome);
            }
            time::sleep(PAUSE).await;
        }
        Err(StateError::Contended {
            what: C::WHAT,
            key: shared.key.clone(),
        })
    }

    /// The worker that looks at the document every [`INTERVAL`].
    pub fn worker(&self) -> impl Worker + use<C> {
        Refresh {
            state: self.clone(),
            next: time::Instant::now() + INTERVAL,
        }
    }
}

impl<C: Content> Clone for State<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C: Content> Shared<C> {
    /// Reads the document unless it still is what it was, and puts it in force.
    async fn look(&self) -> Result<(), StateError> {
        let seen = self.current.read().seen.clone();
        let read = match &seen {
            Seen::Object(Some(version)) => self.storage.read_unless(&self.key, LARGEST, version).await,
            _ => self.storage.read(&self.key, LARGEST).await.map(Some),
        };
        match read {
            Ok(None) => Ok(()),
            Ok(Some(object)) => match self.document(&object) {
                Ok(document) => {
                    self.put_in_force(self.content(document)?, Seen::Object(object.stat.version));
                    Ok(())
                }
                Err(error) if begins_anew::<C>(&error) => {
                    // Without its version, so that the next look finds the damage as well.
                    self.put_in_force(self.content(C::Document::default())?, Seen::Object(None));
                    Err(error)
                }
                Err(error) => Err(error),
            },
            Err(error) if error.is_not_found() => match seen {
                Seen::Object(_) if C::WITHOUT == WithoutDocument::KeepLast => Err(self.gone()),
                Seen::Object(_) => {
                    tracing::error!(error = %self.gone(), "there are none until the next change");
                    self.put_in_force(self.content(C::Document::default())?, Seen::Absent);
                    Ok(())
                }
                Seen::Absent => Ok(()),
                Seen::Nothing => {
                    let content = self.content(C::Document::default())?;
                    self.put_in_force(content, Seen::Absent);
                    Ok(())
                }
            },
            Err(error) => Err(self.failed("read", error)),
        }
    }

    /// The document as it is now, and the version that a change must find; `None`: there must be none.
    async fn read_to_change(&self) -> Result<(C::Document, Option<Version>), StateError> {
        for _ in 0..LOOKS {
            let object = match self.storage.read(&self.key, LARGEST).await {
                Ok(object) => object,
                Err(error) if error.is_not_found() => {
                    let was_there = matches!(self.current.read().seen, Seen::Object(_));
                    return match was_there && C::WITHOUT == WithoutDocument::KeepLast {
                        true => Err(self.gone()),
                        false => Ok((C::Document::default(), None)),
                    };
                }
                Err(error) => return Err(self.failed("read", error)),
            };
            let document = match self.document(&object) {
                Err(error) if begins_anew::<C>(&error) => C::Document::default(),
                read => read?,
            };
            if let Some(version) = object.stat.version {
                return Ok((document, Some(version)));
            }
            time::sleep(PAUSE).await;
        }
        Err(StateError::Contended {
            what: C::WHAT,
            key: self.key.clone(),
        })
    }

    /// Replaces the document; false when another process was first.
    async fn write(&self, content: C::Document, version: Option<Version>) -> Result<bool, StateError> {
        let nonce = u128::from_ne_bytes(random::bytes()?);
        let envelope = Envelope {
            version: C::VERSION,
            nonce: format!("{nonce:032x}"),
            content,
        };
        let text = serde_json::to_vec_pretty(&envelope).map_err(|error| self.damaged(error.to_string()))?;
        let put = Put::new(self.key.clone(), text);
        let put = match version {
            Some(version) => put.only_if(version),
            None => put.if_absent(),
        };
        match self.storage.publish(&[put]).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Precondition => {
                // The answer to a put that took effect may have been lost, and the put sent again.
                let object = self.storage.read(&self.key, LARGEST).await;
                let there = object.map_err(|error| self.failed("read", error))?;
                let there = serde_json::from_slice::<Envelope<serde::de::IgnoredAny>>(&there.bytes);
                Ok(there.is_ok_and(|there| there.nonce == envelope.nonce))
            }
            Err(error) => Err(self.failed("write", error)),
        }
    }

    fn document(&self, object: &Object) -> Result<C::Document, StateError> {
        let damaged = |error: serde_json::Error| self.damaged(error.to_string());
        let head: Head = serde_json::from_slice(&object.bytes).map_err(damaged)?;
        if head.version > C::VERSION {
            return Err(StateError::Newer {
                what: C::WHAT,
                key: self.key.clone(),
                found: head.version,
                known: C::VERSION,
            });
        }
        let envelope: Envelope<C::Document> = serde_json::from_slice(&object.bytes).map_err(damaged)?;
        Ok(envelope.content)
    }

    fn content(&self, document: C::Document) -> Result<Arc<C>, StateError> {
        let old = self.current.read().content.clone();
        let content = C::read(document, &self.context, old.as_deref());
        content.map(Arc::new).map_err(|why| self.damaged(why))
    }

    fn put_in_force(&self, content: Arc<C>, seen: Seen) {
        let mut current = self.current.write();
        (current.content, current.seen) = (Some(content), seen);
    }

    /// Remembers the outcome of a look, and logs a problem once.
    fn note(&self, problem: Option<&Arc<StateError>>) {
        let before = std::mem::replace(&mut self.current.write().problem, problem.cloned());
        let text = |error: &Arc<StateError>| error.to_string();
        if before.as_ref().map(text) != problem.map(text) {
            match problem {
                Some(error) if begins_anew::<C>(error) => {
                    tracing::error!(%error, "there are no {} until the next change", C::WHAT);
                }
                Some(error) => tracing::error!(%error, "the last good {} stay in force", C::WHAT),
                None => tracing::info!("the {} can be read again", C::WHAT),
            }
        }
    }

    fn damaged(&self, why: String) -> StateError {
        StateError::Damaged {
            what: C::WHAT,
            key: self.key.clone(),
            why,
            without: C::WITHOUT,
        }
    }

    fn gone(&self) -> StateError {
        StateError::Gone {
            what: C::WHAT,
            key: self.key.clone(),
        }
    }

    fn failed(&self, verb: &'static str, error: wharf_storage::Error) -> StateError {
        StateError::Store {
            verb,
            what: C::WHAT,
            key: self.key.clone(),
            error,
        }
    }
}

/// Whether the content counts as empty after this error, and the next change replaces the document.
fn begins_anew<C: Content>(error: &StateError) -> bool {
    matches!(error, StateError::Damaged { .. }) && C::WITHOUT == WithoutDocument::BeginAnew
}

/// What to do about a damaged document.
fn remedy(without: WithoutDocument) -> &'static str {
    match without {
        WithoutDocument::KeepLast => {
            "restore the object from a backup, or remove it and start every server again to begin anew"
        }
        WithoutDocument::BeginAnew => "it counts as empty, and the next change replaces it",
    }
}

/// Looks at a document again and again.
struct Refresh<C: Content> {
    state: State<C>,
    next: time::Instant,
}

impl<C: Content> Worker for Refresh<C> {
    fn name(&self) -> String {
        format!("refresh of the {}", C::WHAT)
    }

    async fn work(&mut self) -> Unit {
        if time::Instant::now() < self.next {
            return Ok(Work::Idle);
        }
        self.next = time::Instant::now() + INTERVAL;
        match self.state.refresh().await {
            Ok(()) => Ok(Work::Idle),
            Err(error) => Err(WorkError::expected(error.to_string(), INTERVAL)),
        }
    }

    async fn wait(&mut self) {
        time::sleep_until(self.next).await;
    }
}

/// A time as documents have it: in seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
