//! What is deleted at the destination: tags that the list selects and the source does not have. A wharf plans it; of other registries
//! only manifests go that no tag needs which stays.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use wharf_client::{Client, Deleted, Error, transfer::Source};
use wharf_oci::{Digest, ManifestView, Reference, Tag};
use wharf_server::admin::wire;

use super::{
    output::{Act, Row},
    pairs::Pair,
    plan::Plan,
    side::Repository,
};
use crate::cmd::transfer::is_of_digest;

/// Tags of one deletion by a wharf: its answers name no more.
const AT_ONCE: usize = 1000;

/// How deletions are done.
pub(super) struct How {
    /// Also where the source has no tag at all.
    pub(super) force: bool,
    /// Not only planned.
    pub(super) apply: bool,
    /// Requests at a time.
    pub(super) jobs: usize,
}

/// A tag that goes, the digest that it has, and its place in the rows.
struct Going {
    tag: Tag,
    digest: Digest,
    row: usize,
}

/// A tag that stays, and where what it needs is read.
struct Staying {
    tag: Tag,
    digest: Digest,
    client: Arc<Client>,
    repository: String,
}

/// Finds what is to go, and adds a row for each tag. Where it is to be done, it is done before the next repository is looked at: nothing is
/// deleted for what was read long ago. Gives the plans that wharfs have made.
pub(super) async fn remove(plan: &mut Plan, how: &How) -> Vec<wire::Plan> {
    let mut plans = Vec::new();
    let mut done: Vec<Repository> = Vec::new();
    for place in 0..plan.pairs.len() {
        let repository = plan.pairs[place].to.clone();
        if done.iter().any(|known| known.is(&repository)) {
            continue;
        }
        done.push(repository.clone());
        match from_repository(plan, &repository, how).await {
            Ok(made) => plans.extend(made),
            Err(reason) => {
                let text = format!("nothing more is deleted there: {reason}");
                plan.rows.push(Row::failed(None, repository.text(), text));
            }
        }
    }
    plans
}

/// Removes what is to go from one repository.
async fn from_repository(
    plan: &mut Plan,
    repository: &Repository,
    how: &How,
) -> Result<Vec<wire::Plan>, String> {
    let Some(listed) = tags(repository).await? else {
        return Ok(Vec::new());
    };
    let goes = gone(plan, repository, &listed);
    if goes.is_empty() {
        return Ok(Vec::new());
    }
    require_complete(plan, repository)?;
    if !how.force && refuse_for_empty(plan, repository, &goes) {
        return Ok(Vec::new());
    }
    let goes = really_gone(plan, repository, goes, how.jobs).await?;
    let mut plans = Vec::new();
    for part in goes.chunks(AT_ONCE) {
        match by_plan(plan, repository, part, how.apply).await? {
            Some(made) => plans.push(made),
            None if plans.is_empty() => {
                by_digest(plan, repository, (&goes, &listed), how).await?;
                break;
            }
            None => return Err("the registry no longer answers as a wharf".to_owned()),
        }
    }
    Ok(plans)
}

/// The tags of a repository; `None`: there is no such repository.
async fn tags(repository: &Repository) -> Result<Option<Vec<Tag>>, String> {
    let listed = repository.client.pushed_tags(repository.name.as_str()).await;
    let listed = listed.map_err(|error| format!("its tags cannot be listed: {error}"))?;
    let tags = listed.map(|names| names.iter().map(|tag| tag.parse()).collect::<Result<_, _>>());
    tags.transpose()
        .map_err(|error: wharf_oci::TagError| format!("it lists a tag that is none: {error}"))
}

/// The entries that mirror to a repository.
fn pairs_of<'a>(plan: &'a Plan, repository: &'a Repository) -> impl Iterator<Item = &'a Pair> {
    plan.pairs.iter().filter(move |pair| pair.to.is(repository))
}

/// The tags of the destination that an entry selects and no source has. Where a source could not be listed, its tags are not known, and
/// those that it selects stay.
fn gone(plan: &Plan, repository: &Repository, listed: &[Tag]) -> Vec<Tag> {
    let pairs: Vec<_> = pairs_of(plan, repository).collect();
    let is_gone = |tag: &&Tag| {
        let selecting = pairs.iter().filter(|pair| pair.choice.admits(tag.as_str()));
        let mut is_selected = false;
        for pair in selecting {
            match &pair.tags {
                Some(tags) if !tags.contains(*tag) => is_selected = true,
                _ => return false,
            }
        }
        is_selected && !is_of_digest(tag.as_str())
    };
    listed.iter().filter(is_gone).cloned().collect()
}

/// Refuses to delete from a repository if it is not known for sure what it should have.
fn require_complete(plan: &Plan, repository: &Repository) -> Result<(), String> {
    let text = repository.text();
    let mut rows = plan.rows.iter();
    if rows.any(|row| row.act == Act::Failed && of(&row.destination, &text)) {
        return Err("something else failed for this repository".to_owned());
    }
    let mut unlisted = plan.unlisted.iter();
    match unlisted.find(|entry| entry.may_fill(&repository.host, &repository.name)) {
        Some(entry) => Err(format!(
            "the entry of line {} may have images for it, and could not be read",
            entry.line
        )),
        None => Ok(()),
    }
}

/// Refuses to delete `goes` if one of the sources has no tag at all; whether it has none.
fn refuse_for_empty(plan: &mut Plan, repository: &Repository, goes: &[Tag]) -> bool {
    let is_empty = |pair: &Pair| pair.tags.as_ref().is_some_and(BTreeSet::is_empty);
    if !pairs_of(plan, repository).any(is_empty) {
        return false;
    }
    let from: Vec<String> = pairs_of(plan, repository).map(|pair| pair.from.text()).collect();
    let from = from.join("`, `");
    for tag in goes {
        plan.rows.push(refused(
            &repository.text(),
            tag,
            None,
            format!("`{from}` has no tags, which may be a mistake; `--force` deletes nevertheless"),
        ));
    }
    true
}

/// The tags that the sources do not have when they are asked for each of them. A list may be cut, and is older than the copies that were
/// made since.
async fn really_gone(
    plan: &mut Plan,
    repository: &Repository,
    goes: Vec<Tag>,
    jobs: usize,
) -> Result<Vec<Tag>, String> {
    let pairs: Vec<_> = pairs_of(plan, repository).collect();
    let pairs = &pairs;
    let asked: Vec<(Tag, Option<String>)> = stream::iter(goes)
        .map(|tag| async move {
            let reference = Reference::Tag(tag.clone());
            for pair in pairs.iter().filter(|pair| pair.choice.admits(tag.as_str())) {
                let name = pair.from.name.as_str();
                let found = pair.from.client.manifest_digest(name, &reference).await;
                let found = found.map_err(|error| {
                    let text = pair.from.text();
                    format!("whether `{text}` still has `{tag}` is not known: {error}")
                })?;
                if found.is_some() {
                    return Ok((tag, Some(pair.from.text())));
                }
            }
            Ok::<_, String>((tag, None))
        })
        .buffered(jobs.max(1))
        .try_collect()
        .await?;
    let mut gone = Vec::new();
    for (tag, at) in asked {
        match at {
            None => gone.push(tag),
            Some(source) => plan.rows.push(refused(
                &repository.text(),
                &tag,
                None,
                format!("`{source}` has it, although its list of tags did not name it"),
            )),
        }
    }
    Ok(gone)
}

/// Lets a wharf plan the deletion of some tags, and applies the plan; `None`: it is no wharf.
async fn by_plan(
    plan: &mut Plan,
    repository: &Repository,
    goes: &[Tag],
    apply: bool,
) -> Result<Option<wire::Plan>, String> {
    let wanted = wire::Deletion {
        tags: Some(goes.iter().map(Tag::to_string).collect()),
        ..wire::Deletion::default()
    };
    let name = repository.name.as_str();
    let query = [("repository", name)];
    let planned = repository
        .client
        .administer::<wire::Plan>(Method::POST, "/plans", &query, Some(&wanted))
        .await;
    let planned = match planned {
        Ok(planned) => planned,
        Err(error) if error.leaves_standard_api() => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let text = repository.text();
    let mut tags = Vec::new();
    for tag in goes {
        let known = planned.tags.iter().find(|known| known.tag == tag.as_str());
        if let Some(known) = known {
            tags.push((tag.clone(), plan.rows.len()));
            plan.rows.push(going(&text, tag, known.digest.parse().ok()));
            continue;
        }
        let mut stays = planned.stays.iter();
        let staying = stays.find(|staying| staying.tag.as_deref() == Some(tag.as_str()));
        let why = staying.map_or_else(
            || "the plan of the registry does not name it".to_owned(),
            |staying| staying.why.clone(),
        );
        plan.rows.push(refused(&text, tag, None, why));
    }
    if apply && !tags.is_empty() {
        apply_plan(repository, (wanted, &planned.id), &tags, &mut plan.rows).await;
    }
    Ok(Some(planned))
}

async fn apply_plan(
    repository: &Repository,
    (deletion, plan): (wire::Deletion, &str),
    tags: &[(Tag, usize)],
    rows: &mut [Row],
) {
    let application = wire::Application::new(deletion, Some(plan.to_owned()), false);
    let query = [("repository", repository.name.as_str())];
    let applied = repository
        .client
        .administer::<wire::Applied>(Method::POST, "/plans/apply", &query, Some(&application))
        .await;
    for (tag, row) in tags {
        let row = &mut rows[*row];
        match &applied {
            Err(error) => row.fail(error.to_string()),
            Ok(applied) => outcome(row, tag, applied, &repository.host),
        }
    }
}

/// Notes what became of a tag, by the answer of the wharf at `host`.
fn outcome(row: &mut Row, tag: &Tag, applied: &wire::Applied, host: &str) {
    let mut stayed = applied.stayed.iter();
    if applied.tags.iter().any(|gone| gone == tag.as_str()) {
        row.done = true;
        let record = applied.deletion.as_ref();
        row.reason = record.map(|id| format!("`wharf trash restore {id} --server {host}` takes it back"));
    } else if let Some(stayed) = stayed.find(|stayed| stayed.tag.as_deref() == Some(tag.as_str())) {
        row.refuse(stayed.why.clone());
    } else {
        row.fail("the registry does not say that it is deleted".to_owned());
    }
}

/// Decides by the digests of all tags, because other registries delete a manifest with all its tags; and deletes.
async fn by_digest(
    plan: &mut Plan,
    repository: &Repository,
    (goes, listed): (&[Tag], &[Tag]),
    how: &How,
) -> Result<(), String> {
    let before = digests(repository, listed, how.jobs).await?;
    let needed = needed(&staying(plan, repository, goes, &before)).await?;
    let text = repository.text();
    let mut leaving = Vec::new();
    for (tag, digest) in goes.iter().filter_map(|tag| Some((tag, *before.get(tag)?))) {
        match needed.get(&digest) {
            Some(by) => plan.rows.push(refused(
                &text,
                tag,
                Some(digest),
                format!("this registry deletes images by digest, and `{by}` needs the same one"),
            )),
            None => {
                leaving.push(Going {
                    tag: tag.clone(),
                    digest,
                    row: plan.rows.len(),
                });
                plan.rows.push(going(&text, tag, Some(digest)));
            }
        }
    }
    if how.apply && !leaving.is_empty() {
        apply_digests(repository, (&leaving, &before), how.jobs, &mut plan.rows).await;
    }
    Ok(())
}

/// The digests of tags; those that are gone meanwhile have none.
async fn digests(
    repository: &Repository,
    tags: &[Tag],
    jobs: usize,
) -> Result<BTreeMap<Tag, Digest>, String> {
    stream::iter(tags)
        .map(|tag| async move {
            let reference = Reference::Tag(tag.clone());
            let name = repository.name.as_str();
            let digest = repository.client.manifest_digest(name, &reference).await?;
            Ok::<_, Error>(digest.map(|digest| (tag.clone(), digest)))
        })
        .buffer_unordered(jobs.max(1))
        .try_filter_map(|found| async move { Ok(found) })
        .try_collect()
        .await
        .map_err(|error| format!("its tags cannot be read: {error}"))
}

/// The tags that stay, with what copies will have made of them that are not carried out yet.
fn staying(
    plan: &Plan,
    repository: &Repository,
    goes: &[Tag],
    digests: &BTreeMap<Tag, Digest>,
) -> Vec<Staying> {
    let text = repository.text();
    let mut staying = Vec::new();
    let mut planned: HashSet<&Tag> = HashSet::new();
    for copy in &plan.copies {
        let row = &plan.rows[copy.row];
        if row.destination != format!("{text}:{}", copy.tag) {
            continue;
        }
        planned.insert(&copy.tag);
        // An index of some platforms is not at the source, but may be at other tags of the destination. What the source has in its place
        // needs more, and so more stays.
        let made = row.digest.filter(|made| *made != copy.original);
        if let Some(made) = made.filter(|made| digests.values().any(|known| known == made)) {
            staying.push(at(repository, &copy.tag, &made));
        }
        if let Source::Registry { client, repository } = &copy.source {
            staying.push(Staying {
                tag: copy.tag.clone(),
                digest: copy.original,
                client: Arc::clone(client),
                repository: repository.clone(),
            });
        }
    }
    let others = digests
        .iter()
        .filter(|(tag, _)| !goes.contains(tag) && !planned.contains(tag));
    staying.extend(others.map(|(tag, digest)| at(repository, tag, digest)));
    staying
}

/// A tag that stays as it is.
fn at(repository: &Repository, tag: &Tag, digest: &Digest) -> Staying {
    Staying {
        tag: tag.clone(),
        digest: *digest,
        client: Arc::clone(&repository.client),
        repository: repository.name.to_string(),
    }
}

/// The manifests that tags need which stay, each with one of these tags.
async fn needed(staying: &[Staying]) -> Result<BTreeMap<Digest, Tag>, String> {
    let mut needed = BTreeMap::new();
    for Staying {
        tag,
        digest: root,
        client,
        repository,
    } in staying
    {
        let mut left = vec![*root];
        while let Some(digest) = left.pop() {
            if needed.insert(digest, tag.clone()).is_some() {
                continue;
            }
            let manifest = client.manifest(repository, &Reference::Digest(digest)).await;
            let manifest = match manifest {
                // Some indexes name images that were never pushed, and need nothing below those.
                Err(Error::Refused { status, .. }) if status.as_u16() == 404 && digest != *root => continue,
                manifest => manifest,
            };
            let unreadable = |why: String| format!("what `{tag}` needs cannot be read: {why}");
            let manifest = manifest.map_err(|error| unreadable(error.to_string()))?;
            let view = ManifestView::parse_stored(&manifest.bytes);
            let view = view.map_err(|error| unreadable(error.to_string()))?;
            left.extend(view.children().map(|child| child.digest));
        }
    }
    Ok(needed)
}

/// Deletes manifests, and notes in the rows what went. The tags are looked at once more before: what has changed meanwhile stays, and what
/// is needed by what has changed.
async fn apply_digests(
    repository: &Repository,
    (leaving, before): (&[Going], &BTreeMap<Tag, Digest>),
    jobs: usize,
    rows: &mut [Row],
) {
    let (now, needed) = match changes(repository, before, jobs).await {
        Ok(changes) => changes,
        Err(reason) => {
            leaving
                .iter()
                .for_each(|going| rows[going.row].fail(reason.clone()));
            return;
        }
    };
    let mut deleted: BTreeMap<Digest, Result<(), String>> = BTreeMap::new();
    for Going { tag, digest, row } in leaving {
        let row = &mut rows[*row];
        if now.get(tag) != Some(digest) {
            row.refuse(
                "it was changed at the destination while this ran; the next run looks at it again".to_owned(),
            );
            continue;
        }
        if let Some(by) = needed.get(digest) {
            row.refuse(format!(
                "this registry deletes images by digest, and `{by}`, which is new there, needs the same one"
            ));
            continue;
        }
        if !deleted.contains_key(digest) {
            let name = repository.name.as_str();
            let reference = Reference::Digest(*digest);
            let outcome = match repository.client.delete_manifest(name, &reference).await {
                Ok(Deleted::Gone) => Ok(()),
                Ok(Deleted::Unsupported(status)) => {
                    Err(format!("the registry does not delete, or not so ({status})"))
                }
                Err(error) => Err(error.to_string()),
            };
            deleted.insert(*digest, outcome);
        }
        match deleted.get(digest) {
            Some(Err(reason)) => row.fail(reason.clone()),
            _ => row.done = true,
        }
    }
}

/// The digests of all tags at this moment, and the manifests that those need which are new, or others than `before`.
async fn changes(
    repository: &Repository,
    before: &BTreeMap<Tag, Digest>,
    jobs: usize,
) -> Result<(BTreeMap<Tag, Digest>, BTreeMap<Digest, Tag>), String> {
    let listed = tags(repository).await?.unwrap_or_default();
    let now = digests(repository, &listed, jobs).await?;
    let changed = now
        .iter()
        .filter(|(tag, digest)| before.get(*tag) != Some(*digest));
    let changed: Vec<Staying> = changed.map(|(tag, digest)| at(repository, tag, digest)).collect();
    let needed = needed(&changed).await?;
    Ok((now, needed))
}

fn refused(repository: &str, tag: &Tag, digest: Option<Digest>, reason: String) -> Row {
    let mut row = going(repository, tag, digest);
    row.refuse(reason);
    row
}

fn going(repository: &str, tag: &Tag, digest: Option<Digest>) -> Row {
    Row {
        act: Act::Delete,
        done: false,
        source: None,
        destination: format!("{repository}:{tag}"),
        digest,
        previous: None,
        reason: None,
    }
}

/// Whether a row is about a repository, or a tag of it.
fn of(destination: &str, repository: &str) -> bool {
    let rest = destination.strip_prefix(repository);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_a_wharf_names_is_said_to_be_deleted() {
        let applied: wire::Applied = serde_json::from_value(json!({
            "repository": "app", "deletion": "d1", "tags": ["gone"], "tags_total": 1, "manifests": [], "manifests_total": 0,
            "layers": 0, "earlier": 0, "stayed": [{"tag": "moved", "why": "it was moved"}],
        }))
        .unwrap();
        let row = |name: &str| {
            let tag: Tag = name.parse().unwrap();
            let mut row = going("r.test/app", &tag, None);
            outcome(&mut row, &tag, &applied, "r.test");
            (row.act, row.done, row.reason.unwrap_or_default())
        };
        let restores = "`wharf trash restore d1 --server r.test` takes it back".to_owned();
        assert_eq!(row("gone"), (Act::Delete, true, restores));
        assert_eq!(row("moved"), (Act::Refused, false, "it was moved".to_owned()));
        let (act, is_done, _) = row("forgotten");
        assert_eq!((act, is_done), (Act::Failed, false));
    }
}
