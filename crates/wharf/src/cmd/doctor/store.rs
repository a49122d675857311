//! The registry in the directory or the bucket: whether it is where it is looked for, what is left over in it, the keys of the token
//! server, and the servers that share a bucket.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::TryStreamExt as _;
use jiff::SignedDuration;
use tokio::time::timeout;
use wharf_access::{issuer::Issuer, robot::Robots};
use wharf_budget::{Budget, Limits, Machine};
use wharf_storage::{Storage, fs::FsStorage, replicas};

use super::report::Report;
use crate::{
    bucket, cloud,
    config::{Engine, Settings},
    nesting::{self, TREE, holds_registry},
};

const DATA: &str = "data";
const BUCKET: &str = "bucket";
const CLOCK: &str = "clock";
const UPLOADS: &str = "uploads";
const TOKENS: &str = "tokens";
const SERVERS: &str = "servers";

/// Time since the last byte after which an upload is left over: the age at which a server removes it by default.
const OLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Difference of the clocks that is worth a warning: stores refuse requests at a quarter of an hour.
const SKEW: Duration = Duration::from_secs(60);

/// Looks at the store.
pub(super) async fn look(settings: &Settings, report: &mut Report) {
    if let Engine::Filesystem { root } = &settings.storage {
        tree(root, report);
    }
    let Some(storage) = open(settings, report).await else {
        return;
    };
    match timeout(PATIENCE, uploads(&storage, settings, report)).await {
        Ok(()) => {}
        Err(_elapsed) => report.ok(
            UPLOADS,
            "there are too many repositories to look at all; `wharf uploads ls` does",
        ),
    }
    if settings.tokens.is_some() {
        tokens(settings, &storage, report).await;
    }
    if matches!(settings.storage, Engine::S3(_) | Engine::Cloud(_)) {
        servers(&storage, report).await;
    }
}

/// Opens the store to read; `None`: there is nothing to look at.
async fn open(settings: &Settings, report: &mut Report) -> Option<Arc<dyn Storage>> {
    let parts = || Budget::new(Limits::of(Machine::read())).parts;
    let (place, opened) = match &settings.storage {
        Engine::InMemory => {
            report.warning(
                DATA,
                "everything is kept in memory, and lost when the server stops",
                "name a directory: `storage: {filesystem: {rootdirectory: /var/lib/registry}}`",
            );
            return None;
        }
        // A directory that cannot be read was told before.
        Engine::Filesystem { root } => return Some(Arc::new(FsStorage::open_to_read(root).ok()?)),
        Engine::S3(settings) => {
            let opened = timeout(PATIENCE, bucket::open(settings, parts())).await;
            let opened = opened.map(|opened| opened.map(|opened| (opened.storage, opened.skew)));
            (settings.place(), opened)
        }
        Engine::Cloud(settings) => {
            let opened = timeout(PATIENCE, cloud::open(settings, parts())).await;
            let opened = opened.map(|opened| opened.map(|opened| (opened.storage, opened.skew)));
            (settings.place(), opened)
        }
    };
    let remedy = "correct `storage`, the credentials, or the way to the store";
    match opened {
        Ok(Ok((storage, skew))) => {
            report.ok(BUCKET, format!("{place} answers"));
            clock(skew, report);
            Some(Arc::new(storage))
        }
        Ok(Err(error)) => {
            report.problem(BUCKET, format!("{error:#}"), remedy);
            None
        }
        Err(_elapsed) => {
            let text = format!("{place} does not answer within {} s", PATIENCE.as_secs());
            report.problem(BUCKET, text, remedy);
            None
        }
    }
}

fn clock(skew: Option<SignedDuration>, report: &mut Report) {
    let Some(skew) = skew else { return };
    let (seconds, is_far) = (skew.unsigned_abs().as_secs(), skew.unsigned_abs() >= SKEW);
    match is_far {
        true => report.warning(
            CLOCK,
            format!("it differs from that of the store by {seconds} s"),
            "set it, or the store will refuse requests; `timedatectl set-ntp true` keeps it right",
        ),
        false => report.ok(CLOCK, format!("it differs from that of the store by {seconds} s")),
    }
}

/// Whether a registry lies where the server looks for it, and no other one a directory too deep.
fn tree(root: &Path, report: &mut Report) {
    let is_here = holds_registry(&root.join(TREE));
    if let Some(wrong) = too_deep(root) {
        return report.problem(
            DATA,
            format!(
                "there is no `{TREE}` in `{}`, which is itself in a registry",
                root.display()
            ),
            format!("set `storage.filesystem.rootdirectory: {}`", wrong.display()),
        );
    }
    let nested = nesting::nested(root);
    let leftover = root.join("scheduler-state.json");
    if leftover.exists() {
        report.warning(
            DATA,
            format!(
                "`{}` is of a pull-through cache of registry:2, and has no effect",
                leftover.display()
            ),
            format!("rm {}", leftover.display()),
        );
    }
    match (&nested[..], is_here) {
        ([], true) => report.ok(DATA, format!("a registry in `{}`", root.display())),
        ([], false) => report.ok(DATA, format!("`{}` has no image yet", root.display())),
        ([found, ..], false) => report.problem(
            DATA,
            format!(
                "there is a registry below `{}`, and none in `{}`: a backup was restored a directory too deep",
                found.display(),
                root.display()
            ),
            format!(
                "stop the server, and `wharf restore --fix-nesting --to {}`; or set `storage.filesystem.rootdirectory: {}`",
                root.display(),
                found.display()
            ),
        ),
        ([found, ..], true) => report.warning(
            DATA,
            format!(
                "besides the registry in `{}` there is another one below `{}`, which is not served: was a backup restored a \
                 directory too deep?",
                root.display(),
                found.display()
            ),
            format!(
                "`wharf storage copy {} {}` with the server stopped brings its images here; then remove it",
                found.display(),
                root.display()
            ),
        ),
    }
}

/// The directory that should be named instead of `root`, which is on the way to a registry or in it.
fn too_deep(root: &Path) -> Option<PathBuf> {
    if root.join(TREE).exists() {
        return None;
    }
    [("registry/v2", 1), ("v2", 2), ("", 3)]
        .into_iter()
        .filter(|(rest, _)| holds_registry(&root.join(rest)))
        .find_map(|(_, above)| {
            let canonical = root.canonicalize().ok()?;
            let wanted = canonical.ancestors().nth(above)?.to_owned();
            holds_registry(&wanted.join(TREE)).then_some(wanted)
        })
}

/// Counts the unfinished uploads that no client goes on with.
async fn uploads(storage: &Arc<dyn Storage>, settings: &Settings, report: &mut Report) {
    let now = SystemTime::now();
    let listed = async {
        let uploads = storage.list_uploads().await?;
        let counted = uploads.try_fold((0_usize, 0_usize), |(all, old), upload| {
            let is_old = now.duration_since(upload.touched()).unwrap_or_default() > OLD;
            std::future::ready(Ok((all + 1, old + usize::from(is_old))))
        });
        counted.await
    };
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    match listed.await {
        Ok((all, 0)) => report.ok(
            UPLOADS,
            format!("{all} unfinished upload{}, none of them a week old", plural(all)),
        ),
        Ok((_, old)) => {
            let remedy = match settings.purge {
                Some(_) => "the server removes them, with `storage.maintenance.uploadpurging`, some minutes after its start".to_owned(),
                None => {
                    "`wharf uploads purge --older-than 168h` with the server stopped; or set \
                     `storage.maintenance.uploadpurging.enabled: true`"
                        .to_owned()
                }
            };
            let text = format!(
                "{old} unfinished upload{} of pushes that ended a week ago or more take space",
                plural(old)
            );
            report.warning(UPLOADS, text, remedy);
        }
        Err(error) => report.problem(
            UPLOADS,
            format!("cannot list uploads: {error}"),
            "let the user that the server runs as read the data",
        ),
    }
}

/// Reads the keys and the robot tokens.
async fn tokens(settings: &Settings, storage: &Arc<dyn Storage>, report: &mut Report) {
    let Some(options) = &settings.tokens else { return };
    let issuer = Issuer::new(storage, options.clone());
    let remedy = "restore the file from a backup, or let the user that the server runs as read it";
    if let Err(error) = issuer.look().await {
        return report.problem(TOKENS, error.to_string(), remedy);
    }
    let robots = Robots::new(storage);
    if let Err(error) = robots.refresh().await {
        return report.problem(TOKENS, error.to_string(), remedy);
    }
    let count = robots.list(SystemTime::now()).len();
    let plural = if count == 1 { "" } else { "s" };
    report.ok(
        TOKENS,
        format!("the keys can be read; {count} robot token{plural}"),
    );
}

/// Lists the servers that write to the bucket.
async fn servers(storage: &Arc<dyn Storage>, report: &mut Report) {
    match replicas::serving(storage).await {
        Ok(servers) if servers.is_empty() => report.ok(SERVERS, "none writes to the bucket"),
        Ok(servers) => {
            let named: Vec<String> = servers
                .iter()
                .map(|server| format!("{} on `{}` ({})", server.address, server.host, server.version))
                .collect();
            let is_mixed = servers.windows(2).any(|pair| pair[0].version != pair[1].version);
            match is_mixed {
                false => report.ok(SERVERS, named.join(", ")),
                true => report.warning(
                    SERVERS,
                    format!("several versions write to the bucket: {}", named.join(", ")),
                    "bring all of them to the same version",
                ),
            }
        }
        Err(error) => report.problem(
            SERVERS,
            format!("cannot list the servers of the bucket: {error}"),
            "let the credentials list and read the keys below `wharf/`",
        ),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "makes registries to look for")]
mod tests {
    use super::{super::report::State, *};

    #[test]
    fn clocks_that_differ_are_told() {
        let look = |seconds| {
            let mut report = Report::default();
            clock(Some(SignedDuration::from_secs(seconds)), &mut report);
            report.lines.remove(0)
        };
        assert_eq!(look(-59).state, State::Ok);
        for seconds in [-60, 300] {
            let line = look(seconds);
            assert_eq!(line.state, State::Warning);
            assert!(line.text.contains(&format!("by {} s", seconds.abs())), "{line:?}");
            assert!(line.remedy.is_some_and(|remedy| remedy.contains("set it")));
        }
    }

    #[test]
    fn a_directory_in_a_registry_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join(TREE).join("repositories/app")).unwrap();
        assert_eq!(too_deep(&root), None);
        for place in ["docker", "docker/registry", TREE] {
            assert_eq!(too_deep(&root.join(place)), Some(root.clone()), "{place}");
        }
        assert_eq!(too_deep(&root.join("docker/registry/v2/repositories")), None);
    }
}
