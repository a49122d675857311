//! Files with old stamps: they are compared by the open file, and each change of it is seen by the very next use.

use std::{
    fs::{File, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
};

use super::*;

/// A change of the file at a path, its name, and what is in force then.
type Change = (&'static str, fn(&Path), &'static str);

/// Both files begin as `ab`.
const CHANGES: [Change; 7] = [
    ("written in place", overwrite, "ab\nac\n"),
    ("written, and given its old time", overwrite_in_secret, "ab\nac\n"),
    ("replaced", replace, "ab\nac\n"),
    ("removed", |path| fs::remove_file(path).unwrap(), "ab\nab\n"),
    (
        "renamed",
        |path| fs::rename(path, away(path)).unwrap(),
        "ab\nab\n",
    ),
    ("given another mode", change_mode, "ab\nab\n"),
    ("touched", touch, "ab\nab\n"),
];

fn away(path: &Path) -> PathBuf {
    path.with_extension("away")
}

fn writer(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

/// Keeps the size.
fn overwrite(path: &Path) {
    writer(path).write_all(b"ac\n").unwrap();
}

fn overwrite_in_secret(path: &Path) {
    let file = writer(path);
    let modified = file.metadata().unwrap().modified().unwrap();
    overwrite(path);
    file.set_modified(modified).unwrap();
}

fn replace(path: &Path) {
    fs::write(away(path), "ac\n").unwrap();
    fs::rename(away(path), path).unwrap();
}

fn change_mode(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn touch(path: &Path) {
    writer(path).set_modified(std::time::SystemTime::now()).unwrap();
}

impl Scene {
    fn is_settled(&self) -> bool {
        let state = self.texts.shared.state();
        state.seen.iter().all(|seen| matches!(seen, Seen::Settled(..)))
    }

    /// From now on the paths count as looked at a moment ago: a use compares the open files alone.
    fn trust_paths(&self) {
        self.texts.shared.state().found.store(u64::MAX, Ordering::Relaxed);
    }
}

#[test]
fn the_next_use_sees_each_change_of_an_open_file() {
    let scenes = CHANGES.map(|change| {
        let scene = Scene::new();
        scene.write("ab", "ab");
        (scene, change)
    });
    for (scene, (what, change, in_force)) in &scenes {
        while !scene.is_settled() {
            thread::sleep(Duration::from_millis(50));
            scene.used();
        }
        scene.trust_paths();
        assert!(scene.is_unchanged(), "before it was {what}");
        change(&scene.directory.path().join("two"));
        assert!(!scene.is_unchanged(), "{what}");
        assert_eq!(*scene.used(), *in_force, "{what}");
    }
}
