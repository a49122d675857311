//! Documents of the store: changes add up, damage changes nothing, and a look costs one request.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use wharf_access::state::{Content, State, StateError};
use wharf_storage::{
    ErrorKind, Key, Operation, Put, Removal, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    object::ObjectStorage,
};

/// A set of names.
#[derive(Debug)]
struct Names(Document);

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    names: BTreeSet<String>,
}

impl Content for Names {
    const WHAT: &'static str = "names of the test";
    const VERSION: u32 = 2;
    type Document = Document;
    type Context = ();

    fn read(document: Document, (): &(), _: Option<&Self>) -> Result<Self, String> {
        match document.names.contains("impossible") {
            true => Err("one name is impossible".to_owned()),
            false => Ok(Self(document)),
        }
    }

    fn document(&self) -> &Document {
        &self.0
    }
}

fn key() -> Key {
    layout::robot_tokens()
}

fn state(storage: &Arc<dyn Storage>) -> State<Names> {
    State::new(Arc::clone(storage), key(), ())
}

fn names(state: &State<Names>) -> Vec<String> {
    let content = state.current().unwrap();
    content.0.names.iter().cloned().collect()
}

async fn add(state: &State<Names>, name: &str) -> Result<bool, StateError> {
    state
        .change(|document| document.names.insert(name.to_owned()))
        .await
}

async fn put(storage: &Arc<dyn Storage>, text: &str) {
    storage
        .publish(&[Put::new(key(), text.to_owned())])
        .await
        .unwrap();
}

fn faulty() -> (Arc<Faulty>, Arc<dyn Storage>) {
    let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let storage = Arc::clone(&faulty);
    (faulty, storage)
}

async fn on_both_engines<T: Future<Output = ()>>(story: impl Fn(Arc<dyn Storage>) -> T) {
    story(Arc::new(ObjectStorage::in_memory())).await;
    let directory = tempfile::tempdir().unwrap();
    story(Arc::new(FsStorage::open(directory.path()).unwrap())).await;
}

#[tokio::test]
async fn changes_of_several_processes_add_up() {
    on_both_engines(|storage| async move {
        let replicas = [state(&storage), state(&storage), state(&storage)];
        assert!(replicas[0].current().is_none(), "nothing was looked at");
        let mut tasks = Vec::new();
        for (number, replica) in replicas.iter().enumerate() {
            let replica = replica.clone();
            tasks.push(tokio::spawn(async move {
                for name in 0..3 {
                    assert!(add(&replica, &format!("{number}-{name}")).await.unwrap());
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        for replica in &replicas {
            replica.refresh().await.unwrap();
            assert_eq!(names(replica).len(), 9);
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_is_in_force_at_once_here_and_at_the_next_look_elsewhere() {
    on_both_engines(|storage| async move {
        let (here, there) = (state(&storage), state(&storage));
        there.refresh().await.unwrap();
        add(&here, "a").await.unwrap();
        assert_eq!(names(&here), ["a"]);
        assert!(names(&there).is_empty());
        there.refresh().await.unwrap();
        assert_eq!(names(&there), ["a"]);
        assert!(!add(&there, "a").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn what_is_damaged_changes_nothing_and_is_not_overwritten() {
    on_both_engines(|storage| async move {
        let state = state(&storage);
        add(&state, "good").await.unwrap();
        let newer = r#"{"version": 3, "nonce": "", "content": {"names": [], "more": 1}, "seal": 1}"#;
        for (text, why) in [
            ("", "EOF"),
            ("{\"version\": 2, \"nonce\"", "EOF"),
            (
                r#"{"version": 2, "nonce": "", "content": {"names": [], "more": 1}}"#,
                "unknown field `more`",
            ),
            (
                r#"{"version": 2, "nonce": "", "content": {"names": []}, "more": 1}"#,
                "unknown field `more`",
            ),
            (
                r#"{"version": 2, "nonce": "", "content": {"names": ["impossible"]}}"#,
                "is impossible",
            ),
            (newer, "have the form 3, and this version of wharf knows 2"),
        ] {
            put(&storage, text).await;
            let error = state.refresh().await.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert_eq!(state.problem().unwrap().to_string(), error);
            assert_eq!(names(&state), ["good"], "{why}");
            let refused = add(&state, "new").await.unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
            assert_eq!(storage.read(&key(), 1000).await.unwrap().bytes, text);
        }
        put(
            &storage,
            r#"{"version": 2, "nonce": "", "content": {"names": ["mended"]}}"#,
        )
        .await;
        state.refresh().await.unwrap();
        assert!(state.problem().is_none());
        assert_eq!(names(&state), ["mended"]);
    })
    .await;
}

#[tokio::test]
async fn a_document_that_is_gone_revokes_nothing() {
    on_both_engines(|storage| async move {
        let state = state(&storage);
        add(&state, "a").await.unwrap();
        let removal = Removal {
            key: key(),
            keep: Key::new("wharf").unwrap(),
        };
        storage.remove_many(&[removal]).await.unwrap();
        let error = state.refresh().await.unwrap_err();
        assert!(matches!(*error, StateError::Gone { .. }), "{error}");
        assert!(matches!(add(&state, "b").await, Err(StateError::Gone { .. })));
        assert_eq!(names(&state), ["a"]);
    })
    .await;
}

#[tokio::test]
async fn a_look_at_what_did_not_change_is_one_request_that_reads_nothing() {
    let (faulty, storage) = faulty();
    let state = state(&storage);
    add(&state, "a").await.unwrap();
    state.refresh().await.unwrap();
    // Each request is delayed by nothing, and counted.
    faulty.inject(Fault::delay(Duration::ZERO));
    state.refresh().await.unwrap();
    assert_eq!(faulty.struck(), 1);
    faulty.heal();
    faulty.inject(Fault::before(ErrorKind::Unavailable).on(Operation::Read).times(1));
    let error = state.refresh().await.unwrap_err();
    assert!(
        error.to_string().starts_with("cannot read the names of the test"),
        "{error}"
    );
    assert_eq!(names(&state), ["a"]);
    state.refresh().await.unwrap();
    assert!(state.problem().is_none());
}

/// The store did what it was told and its answer was lost: the caller hears of an error, and the change counts.
#[tokio::test]
async fn a_change_whose_answer_was_lost_is_seen_at_the_next_look() {
    let (faulty, storage) = faulty();
    let state = state(&storage);
    add(&state, "a").await.unwrap();
    faulty.inject(
        Fault::after_effect(ErrorKind::Unavailable)
            .on(Operation::Publish)
            .times(1),
    );
    let error = add(&state, "b").await.unwrap_err();
    assert!(error.to_string().starts_with("cannot write"), "{error}");
    assert_eq!(names(&state), ["a"]);
    state.refresh().await.unwrap();
    assert_eq!(names(&state), ["a", "b"]);
}
