//! `kill -9` in the middle of deletions, restores, collections and backups: what a tag needs is there, and what was deleted can be
//! restored.

use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use wharf_testkit::{
    Client, Server, ServerBuilder, Unanswered,
    image::{self, Blob, Image},
    store,
    tool::{Bench, Ran},
};

use crate::LAUNCHER;

wharf_testkit::on_disk![deletions_restores_collections_and_backups_survive_kill_9];

/// How many clients push and delete, each in a repository of its own.
const CLIENTS: u64 = 3;

/// How many layers there are in all: what is garbage in one repository is needed in another one.
const LAYERS: u64 = 8;

/// What is known of a tag that was pushed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Its push was not answered.
    Maybe,
    /// It was pushed, or restored, and not deleted.
    There,
    /// It was to be deleted or restored, with or without an answer: it is there, or in the trash.
    InTrashOrThere,
}

/// All tags, by repository and name.
type Book = Arc<Mutex<BTreeMap<(String, String), (Image, Known)>>>;

/// The command line beside the server.
#[derive(Clone)]
struct Commands {
    bench: Arc<Bench>,
    /// Processes that end with the server.
    running: Arc<Mutex<Vec<Child>>>,
    ended: Arc<AtomicBool>,
}

impl Commands {
    fn run(&self, words: &[&str]) -> Ran {
        let words = [words, &["--config", "config.yml"]].concat();
        self.bench.try_run(LAUNCHER, &words)
    }

    /// Repeats a command until the server is killed, and kills it then.
    fn repeat(&self, words: &[&str]) {
        while !self.ended.load(SeqCst) {
            let mut running = self.running.lock().unwrap();
            let child = Command::new(LAUNCHER)
                .args(words)
                .args(["--config", "config.yml"])
                .current_dir(self.bench.path(""))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            running.push(child.unwrap());
            let number = running.len() - 1;
            drop(running);
            while self.running.lock().unwrap()[number].try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Kills what still runs.
    fn kill(&self) {
        self.ended.store(true, SeqCst);
        for child in &mut *self.running.lock().unwrap() {
            // One that has ended already is the aim.
            drop(child.kill());
            child.wait().unwrap();
        }
    }
}

async fn deletions_restores_collections_and_backups_survive_kill_9(builder: ServerBuilder) {
    let cycles: u64 = std::env::var("WHARF_CRASH_CYCLES").map_or(6, |n| n.parse().unwrap());
    let mut server = builder
        .on_real_disk()
        .config("trash: {retention: 1h}")
        .config("collect: {enabled: false, grace: 1s}")
        .start();
    let bench = Arc::new(Bench::new());
    let root = server.root().display().to_string();
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\ntrash: {{retention: 1h}}\ncollect: {{grace: 1s}}\n"
    );
    bench.write("config.yml", &config);
    let (book, numbers) = (Book::default(), Arc::new(AtomicU64::new(1)));
    let (mut deleted, mut restored) = (0, 0);
    for cycle in 1..=cycles {
        let commands = Commands {
            bench: Arc::clone(&bench),
            running: Arc::default(),
            ended: Arc::default(),
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let repository = format!("crash/client{number}");
                tokio::spawn(push_and_delete(
                    server.anonymous(),
                    repository,
                    Arc::clone(&numbers),
                    Arc::clone(&book),
                ))
            })
            .collect();
        let on_thread = |work: fn(&Commands, &Book)| {
            let (commands, book) = (commands.clone(), Arc::clone(&book));
            thread::spawn(move || work(&commands, &book))
        };
        let threads = [
            on_thread(|commands, _| commands.repeat(&["gc"])),
            on_thread(|commands, _| commands.repeat(&["backup", "--to", "backups"])),
            on_thread(restore),
        ];
        tokio::time::sleep(Duration::from_millis(300 + cycle * 7919 % 1500)).await;
        server.kill9();
        commands.kill();
        for client in clients {
            deleted += client.await.unwrap();
        }
        for thread in threads {
            thread.join().unwrap();
        }

        let report = store::check(&server.root(), store::Rules::default());
        assert_eq!(report.problems, Vec::<String>::new(), "after cycle {cycle}");
        server.start_again();
        restored += examine(&server, &bench, &book).await;
    }
    println!(
        "survived {cycles} kills amid deletions; {deleted} tags were deleted, {restored} deletions restored"
    );
    assert!(deleted > 0 && restored > 0, "nothing was tested");
    server.stop();
    finish(&server, &bench);
}

/// Pushes images, each with a tag of its own, and deletes some of them, until the server is killed. Answers how many were deleted.
async fn push_and_delete(client: Client, repository: String, numbers: Arc<AtomicU64>, book: Book) -> u64 {
    let mut deleted = 0;
    while let Ok(done) = push_or_delete(&client, &repository, numbers.fetch_add(1, SeqCst), &book).await {
        deleted += u64::from(done);
    }
    deleted
}

async fn push_or_delete(
    client: &Client,
    repository: &str,
    number: u64,
    book: &Book,
) -> Result<bool, Unanswered> {
    let image = image_of(number);
    let tag = format!("t{number}");
    let key = (repository.to_owned(), tag.clone());
    let on = client.repository(repository);
    for blob in &image.blobs {
        if on.head_blob(&blob.digest).try_send().await?.status != 200 {
            let begun = client.post(&on.uploads_path()).try_send().await?.expect(202);
            let put = on.finish(&begun.location(), &blob.digest, blob.bytes.clone());
            put.try_send().await?.expect(201);
        }
    }
    book.lock()
        .unwrap()
        .insert(key.clone(), (image.clone(), Known::Maybe));
    let pushed = on.put_manifest(&tag, &image.manifest).try_send().await?;
    if pushed.status == 400 {
        // What was there is kept for the grace period of a second, and this machine may be slow.
        return Ok(false);
    }
    pushed.expect(201);
    note(book, &key, Known::There);
    if number.is_multiple_of(3) {
        return Ok(false);
    }
    note(book, &key, Known::InTrashOrThere);
    // By its tag, or by its digest, with which its tag goes.
    let reference = match number % 3 {
        1 => tag.as_str(),
        _ => &image.manifest.digest,
    };
    on.delete_manifest(reference).try_send().await?.expect(202);
    Ok(true)
}

fn note(book: &Book, key: &(String, String), known: Known) {
    if let Some((_, state)) = book.lock().unwrap().get_mut(key) {
        *state = known;
    }
}

/// An image that no other number has, of layers that others have as well.
fn image_of(number: u64) -> Image {
    let layer =
        |number: u64| Blob::random(number, 2048).of_type("application/vnd.oci.image.layer.v1.tar+gzip");
    let layers = vec![layer(number % LAYERS), layer(number / LAYERS % LAYERS)];
    let config = format!(r#"{{"architecture":"amd64","os":"linux","variant":"{number}"}}"#);
    let config = Blob::new("application/vnd.oci.image.config.v1+json", config.into_bytes());
    image::image("application/vnd.oci.image.manifest.v1+json", config, layers)
}

/// Takes every other deletion in the trash back, and gives the rest up, so that there is garbage to collect, until the server is
/// killed.
fn restore(commands: &Commands, book: &Book) {
    while !commands.ended.load(SeqCst) {
        for (number, record) in records(&commands.run(&["trash", "ls", "--json"]))
            .iter()
            .enumerate()
        {
            if commands.ended.load(SeqCst) {
                return;
            }
            if number.is_multiple_of(2) {
                commands.run(&["trash", "restore", record]);
                continue;
            }
            // From now on nothing keeps its tags, unless they were restored before.
            let shown = commands.run(&["trash", "show", record]);
            if !shown.succeeded {
                continue;
            }
            let is_named = |tag: &str| shown.stdout.split_whitespace().any(|word| word == tag);
            let mut book = book.lock().unwrap();
            for ((_, tag), (_, known)) in &mut *book {
                if is_named(tag) {
                    *known = Known::Maybe;
                }
            }
            drop(book);
            commands.run(&["trash", "empty", record, "--yes"]);
        }
    }
}

/// The identifiers of the deletions that `wharf trash ls --json` lists, if it was answered.
fn records(listed: &Ran) -> Vec<String> {
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
    let deletions = listed["deletions"].as_array().cloned().unwrap_or_default();
    let id = |deletion: &serde_json::Value| deletion["id"].as_str().unwrap().to_owned();
    deletions.iter().map(id).collect()
}

/// Takes all deletions back. Then every tag is there that was not given up, whole. Answers how many deletions there were.
async fn examine(server: &Server, bench: &Bench, book: &Book) -> usize {
    let run = |words: &[&str]| {
        let ran = bench.try_run(LAUNCHER, &[words, &["--config", "config.yml"]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    };
    // What the collector has forgotten with the process is found again.
    run(&["gc"]);
    let deletions = records(&run(&["trash", "ls", "--json"]));
    for record in &deletions {
        run(&["trash", "restore", record]);
    }
    let tags = book.lock().unwrap().clone();
    for ((repository, tag), (image, known)) in tags {
        let on = server.anonymous().repository(&repository);
        if known == Known::Maybe && on.head_manifest(&tag).await.status == 404 {
            continue;
        }
        on.pull_image(&tag, &image).await;
        note(book, &(repository, tag), Known::There);
    }
    if bench.path("backups").exists() && has_snapshot(bench) {
        let ran = bench.try_run(LAUNCHER, &["verify", "backups"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    deletions.len()
}

/// Whether a backup came to its end.
fn has_snapshot(bench: &Bench) -> bool {
    let listed = bench.try_run(LAUNCHER, &["backup", "ls", "backups", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
    !listed.as_array().is_none_or(Vec::is_empty)
}

/// Without a server, a collection leaves nothing over, and a last backup is whole.
#[expect(
    clippy::disallowed_methods,
    reason = "the test looks at what is left on the disk"
)]
fn finish(server: &Server, bench: &Bench) {
    let run = |words: &[&str]| {
        let ran = bench.try_run(LAUNCHER, words);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    run(&["backup", "--to", "backups", "--config", "config.yml"]);
    run(&["verify", "backups"]);
    run(&["garbage-collect", "config.yml"]);
    let left = run(&["garbage-collect", "--dry-run", "config.yml"]);
    assert!(
        left.contains(" 0 blobs and 0 manifests eligible for deletion"),
        "{left}"
    );
    let report = store::check(&server.root(), store::Rules::default());
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(
        fs::read_dir(server.root().join("wharf/trash")).map_or(0, Iterator::count),
        0
    );
}
