//! What is deleted at the destination: tags that the list selects and the source does not have. A wharf plans it; of other registries
//! only manifests go that no tag needs which stays.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use wharf_client::{Deleted, Error};
use wharf_oci::{Digest, ManifestView, Reference, Tag};
use wharf_server::admin::wire;

use super::{
    output::{Act, Row},
    plan::Plan,
    side::Repository,
};
use crate::cmd::transfer::is_of_digest;

/// The deletions from one repository.
pub(super) struct Removal {
    repository: Repository,
    /// Tags that go, each with its place in the rows.
    tags: Vec<(Tag, usize)>,
    how: How,
}

enum How {
    /// By the plan that a wharf has made for this deletion.
    Planned(Box<(wire::Deletion, wire::Plan)>),
    /// By these digests, each once.
    Digests(BTreeSet<Digest>),
}

/// Finds what is to go, and adds a row for each tag.
pub(super) async fn plan(plan: &mut Plan, force: bool, jobs: usize) -> Vec<Removal> {
    let mut removals = Vec::new();
    let mut done: Vec<Repository> = Vec::new();
    for place in 0..plan.pairs.len() {
        let repository = plan.pairs[place].to.clone();
        if done.iter().any(|known| known.is(&repository)) {
            continue;
        }
        done.push(repository.clone());
        match of_repository(plan, &repository, force, jobs).await {
            Ok(Some(removal)) => removals.push(removal),
            Ok(None) => {}
            Err(reason) => {
                let text = format!("nothing is deleted there: {reason}");
                plan.rows.push(Row::failed(None, repository.text(), text));
            }
        }
    }
    removals
}

/// What is to go from one repository.
async fn of_repository(
    plan: &mut Plan,
    repository: &Repository,
    force: bool,
    jobs: usize,
) -> Result<Option<Removal>, String> {
    let client = &repository.client;
    let name = repository.name.as_str();
    let listed = match client.tags(name).await {
        Err(Error::Refused { status, .. }) if status.as_u16() == 404 => return Ok(None),
        listed => listed.map_err(|error| format!("its tags cannot be listed: {error}"))?,
    };
    let listed: Result<Vec<Tag>, _> = listed.iter().map(|tag| tag.parse()).collect();
    let listed = listed.map_err(|error| format!("it lists a tag that is none: {error}"))?;
    let goes = gone(plan, repository, &listed);
    if goes.is_empty() {
        return Ok(None);
    }
    let text = repository.text();
    let is_incomplete = plan
        .rows
        .iter()
        .any(|row| row.act == Act::Failed && of(&row.destination, &text));
    if is_incomplete {
        return Err("something else failed for this repository".to_owned());
    }
    let pairs = plan.pairs.iter().filter(|pair| pair.to.is(repository));
    let is_empty = pairs
        .clone()
        .any(|pair| pair.tags.as_ref().is_some_and(BTreeSet::is_empty));
    if is_empty && !force {
        let from = pairs
            .map(|pair| pair.from.text())
            .collect::<Vec<_>>()
            .join("`, `");
        for tag in &goes {
            plan.rows.push(refused(
                &text,
                tag,
                None,
                format!("`{from}` has no tags, which may be a mistake; `--force` deletes nevertheless"),
            ));
        }
        return Ok(None);
    }
    let wanted = wire::Deletion {
        tags: Some(goes.iter().map(Tag::to_string).collect()),
        ..wire::Deletion::default()
    };
    let query = [("repository", name)];
    let planned = client
        .administer(Method::POST, "/plans", &query, Some(&wanted))
        .await;
    match planned {
        Ok(planned) => Ok(Some(by_plan(plan, repository, &goes, (wanted, planned)))),
        Err(error) if error.leaves_standard_api() => by_digest(plan, repository, (&goes, &listed), jobs)
            .await
            .map(Some),
        Err(error) => Err(error.to_string()),
    }
}

/// The tags of the destination that an entry selects and no source has. Where a source could not be listed, its tags are not known, and
/// those that it selects stay.
fn gone(plan: &Plan, repository: &Repository, listed: &[Tag]) -> Vec<Tag> {
    let pairs: Vec<_> = plan.pairs.iter().filter(|pair| pair.to.is(repository)).collect();
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

fn by_plan(
    plan: &mut Plan,
    repository: &Repository,
    goes: &[Tag],
    (wanted, planned): (wire::Deletion, wire::Plan),
) -> Removal {
    let text = repository.text();
    let mut tags = Vec::new();
    for tag in goes {
        let stays = planned
            .stays
            .iter()
            .find(|staying| staying.tag.as_deref() == Some(tag.as_str()));
        if let Some(staying) = stays {
            plan.rows.push(refused(&text, tag, None, staying.why.clone()));
            continue;
        }
        let known = planned.tags.iter().find(|known| known.tag == tag.as_str());
        let digest = known.and_then(|known| known.digest.parse().ok());
        tags.push((tag.clone(), plan.rows.len()));
        plan.rows.push(going(&text, tag, digest));
    }
    Removal {
        repository: repository.clone(),
        tags,
        how: How::Planned(Box::new((wanted, planned))),
    }
}

/// Decides by the digests of all tags, because other registries delete a manifest with all its tags.
async fn by_digest(
    plan: &mut Plan,
    repository: &Repository,
    (goes, listed): (&[Tag], &[Tag]),
    jobs: usize,
) -> Result<Removal, String> {
    let digests: BTreeMap<&Tag, Digest> = stream::iter(listed)
        .map(|tag| async move {
            let reference = Reference::Tag(tag.clone());
            let name = repository.name.as_str();
            let digest = repository.client.manifest_digest(name, &reference).await?;
            Ok::<_, Error>(digest.map(|digest| (tag, digest)))
        })
        .buffer_unordered(jobs)
        .try_filter_map(|found| async move { Ok(found) })
        .try_collect()
        .await
        .map_err(|error| format!("its tags cannot be read: {error}"))?;
    let (staying, leaving): (Vec<_>, Vec<_>) = digests.iter().partition(|(tag, _)| !goes.contains(tag));
    let needed = needed(repository, &staying).await?;
    let text = repository.text();
    let (mut tags, mut going_digests) = (Vec::new(), BTreeSet::new());
    for (tag, digest) in leaving {
        match needed.get(digest) {
            Some(by) => plan.rows.push(refused(
                &text,
                tag,
                Some(*digest),
                format!("this registry deletes images by digest, and `{by}` needs the same one"),
            )),
            None => {
                tags.push(((*tag).clone(), plan.rows.len()));
                plan.rows.push(going(&text, tag, Some(*digest)));
                going_digests.insert(*digest);
            }
        }
    }
    Ok(Removal {
        repository: repository.clone(),
        tags,
        how: How::Digests(going_digests),
    })
}

/// The manifests that tags need which stay, each with one of these tags.
async fn needed(
    repository: &Repository,
    staying: &[(&&Tag, &Digest)],
) -> Result<BTreeMap<Digest, Tag>, String> {
    let mut needed = BTreeMap::new();
    for (tag, digest) in staying {
        let mut left = vec![**digest];
        let mut seen: HashSet<Digest> = HashSet::new();
        while let Some(digest) = left.pop() {
            if !seen.insert(digest) || needed.insert(digest, (**tag).clone()).is_some() {
                continue;
            }
            let reference = Reference::Digest(digest);
            let manifest = repository
                .client
                .manifest(repository.name.as_str(), &reference)
                .await;
            let unreadable = |why: String| format!("what `{tag}` needs cannot be read: {why}");
            let manifest = manifest.map_err(|error| unreadable(error.to_string()))?;
            let view = ManifestView::parse_stored(&manifest.bytes);
            let view = view.map_err(|error| unreadable(error.to_string()))?;
            left.extend(view.children().map(|child| child.digest));
        }
    }
    Ok(needed)
}

impl Removal {
    /// Deletes, and notes in the rows what went.
    pub(super) async fn apply(&self, rows: &mut [Row]) {
        if self.tags.is_empty() {
            return;
        }
        match &self.how {
            How::Planned(planned) => self.apply_plan(&planned.0, &planned.1.id, rows).await,
            How::Digests(digests) => self.apply_digests(digests, rows).await,
        }
    }

    async fn apply_plan(&self, deletion: &wire::Deletion, plan: &str, rows: &mut [Row]) {
        let application = wire::Application::new(deletion.clone(), Some(plan.to_owned()), false);
        let name = self.repository.name.as_str();
        let query = [("repository", name)];
        let applied = self
            .repository
            .client
            .administer::<wire::Applied>(Method::POST, "/plans/apply", &query, Some(&application))
            .await;
        for (tag, row) in &self.tags {
            let row = &mut rows[*row];
            match &applied {
                Err(error) => row.fail(error.to_string()),
                Ok(applied) => {
                    let stayed = applied
                        .stayed
                        .iter()
                        .find(|stayed| stayed.tag.as_deref() == Some(tag.as_str()));
                    match (stayed, &applied.deletion) {
                        (Some(stayed), _) => {
                            row.act = Act::Refused;
                            row.reason = Some(stayed.why.clone());
                        }
                        (None, record) => {
                            row.done = true;
                            row.reason = record
                                .as_ref()
                                .map(|id| format!("`wharf trash restore {id}` takes it back"));
                        }
                    }
                }
            }
        }
    }

    async fn apply_digests(&self, digests: &BTreeSet<Digest>, rows: &mut [Row]) {
        for digest in digests {
            let name = self.repository.name.as_str();
            let deleted = self
                .repository
                .client
                .delete_manifest(name, &Reference::Digest(*digest))
                .await;
            for (_, row) in &self.tags {
                let row = &mut rows[*row];
                if row.digest != Some(*digest) {
                    continue;
                }
                match &deleted {
                    Ok(Deleted::Gone | Deleted::Absent) => row.done = true,
                    Ok(Deleted::Unsupported(status)) => {
                        row.fail(format!("the registry does not delete, or not so ({status})"));
                    }
                    Err(error) => row.fail(error.to_string()),
                }
            }
        }
    }

    /// The plan of a wharf.
    pub(super) fn into_plan(self) -> Option<wire::Plan> {
        match self.how {
            How::Planned(planned) => Some(planned.1),
            How::Digests(_) => None,
        }
    }
}

fn refused(repository: &str, tag: &Tag, digest: Option<Digest>, reason: String) -> Row {
    Row {
        act: Act::Refused,
        reason: Some(reason),
        ..going(repository, tag, digest)
    }
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
