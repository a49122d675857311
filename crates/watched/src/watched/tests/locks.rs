//! A disk that does not answer one use holds up that one, and no other by a lock.

use std::sync::mpsc;

use super::*;

#[test]
fn no_lock_is_held_while_the_paths_are_looked_at() {
    let scene = Scene::new();
    scene.settle_at_once();
    let shared = &scene.texts.shared;
    // Another use sees a change, and its look ends before the second path was looked at.
    let slow = |path: &Path| {
        let signature = file::signature(path);
        assert!(shared.state.try_write().is_some(), "{}", path.display());
        if path.ends_with("two") {
            scene.write("b", "b");
            shared.look();
        }
        signature
    };
    let used = shared.if_in_place(slow, |value| String::clone(value));
    assert_eq!(
        used.as_deref(),
        Some("a\na\n"),
        "what was compared is what is used"
    );
    assert_eq!(*scene.texts.current(), "b\nb\n");
}

#[test]
fn what_was_in_force_is_known_while_a_look_waits_for_a_comparison() {
    let scene = Scene::new();
    let shared = &scene.texts.shared;
    let comparison = shared.state.read();
    let texts = scene.texts.clone();
    let look = thread::spawn(move || texts.shared.look());
    while shared.state.try_read().is_some() {
        thread::sleep(Duration::from_millis(1));
    }
    let (sender, known) = mpsc::channel();
    let texts = scene.texts.clone();
    let other = thread::spawn(move || {
        let known = (texts.current(), texts.with_current(String::clone), texts.status());
        sender.send(known).unwrap();
    });
    let known = known.recv_timeout(60 * SECOND);
    drop(comparison);
    look.join().unwrap();
    other.join().unwrap();
    let value = "a\na\n".to_owned();
    assert_eq!(
        known.unwrap(),
        (Arc::new(value.clone()), value, Status::default())
    );
}
