//! Which of some blobs are needed in other repositories, or by the trash: what stays when one repository loses them.

use std::{collections::HashSet, pin::pin, sync::Arc};

use futures_util::StreamExt as _;
use wharf_message::Sentence;
use wharf_oci::Digest;
use wharf_storage::Storage;

use super::{
    REPOSITORIES,
    known_links::KnownLinks,
    listing::{self, Found},
    mark::Examination,
    portion::Portion,
    report::CollectOptions,
};
use crate::{
    error::Result,
    trash::{
        records::Trash,
        roots::{Roots, TrashRoots},
    },
    tree::{manifest::Manifests, parallel::failed_job},
};

/// How many repositories are named.
const NAMED: usize = 100;

/// What keeps some blobs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Blobs that other repositories need.
    pub(crate) shared: HashSet<Digest>,
    /// Repositories that need one of them: for each blob the first that was found, and not more than a hundred in all.
    pub(crate) repositories: Vec<Box<str>>,
    /// Of the rest, the blobs that records of the trash name, or what these name needs.
    pub(crate) in_trash: HashSet<Digest>,
    /// Why something else may need the rest: a part of the store could not be read.
    pub(crate) uncertain: Option<Sentence>,
}

/// What keeps `blobs`, apart from the repositories `except`. Every manifest that a repository has counts as needed, with or without
/// a tag.
///
/// It goes from repository to repository, and ends early when a need of each blob is known. What cannot be read is no
/// failure: the answer says so.
pub(crate) async fn of(
    storage: &Arc<dyn Storage>,
    manifests: &Arc<Manifests>,
    trash: &Trash,
    except: HashSet<Box<str>>,
    blobs: HashSet<Digest>,
) -> Needs {
    let examination = Examination {
        storage: Arc::clone(storage),
        manifests: Arc::clone(manifests),
        links: Arc::new(KnownLinks::new(Arc::clone(storage))),
        portion: Arc::new(Portion::all()),
        options: CollectOptions::default(),
    };
    let mut looking = Looking {
        examination,
        left: blobs,
        needs: Needs::default(),
    };
    let looked = async {
        looking.in_repositories(except).await?;
        looking.in_trash(trash).await
    };
    if let Err(error) = looked.await {
        looking.needs.uncertain = Some(error.to_string().into());
    }
    looking.needs
}

/// A look for the needs of some blobs.
struct Looking {
    examination: Examination,
    /// Blobs of which no need is known yet.
    left: HashSet<Digest>,
    needs: Needs,
}

impl Looking {
    async fn in_repositories(&mut self, except: HashSet<Box<str>>) -> Result<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        let examination = self.examination.clone();
        let marked = listing::all(&examination.storage)
            .filter(move |found| {
                let is_other = !matches!(found, Ok(found) if except.contains(found.path()));
                std::future::ready(is_other)
            })
            .map(|found| {
                let examination = examination.clone();
                tokio::spawn(async move { needed_in(&examination, found?).await })
            })
            .buffered(REPOSITORIES);
        let mut marked = pin!(marked);
        while let Some(job) = marked.next().await {
            let (name, needed) = job.map_err(failed_job)??;
            let before = self.left.len();
            for digest in needed {
                if self.left.remove(&digest) {
                    self.needs.shared.insert(digest);
                }
            }
            if self.left.len() < before && self.needs.repositories.len() < NAMED {
                self.needs.repositories.push(name);
            }
            if self.left.is_empty() {
                break;
            }
        }
        Ok(())
    }

    async fn in_trash(&mut self, trash: &Trash) -> Result<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        let records = TrashRoots::read(trash).await?;
        let names: Vec<Box<str>> = records.repositories().map(Box::from).collect();
        for name in names {
            let Some(examined) = self.examination.deleted(&name, &records.of(&name)).await? else {
                continue;
            };
            for mark in &examined.marks {
                if self.left.remove(mark.digest()) {
                    self.needs.in_trash.insert(*mark.digest());
                }
            }
        }
        Ok(())
    }
}

/// Name and needs of a repository; no needs where the directory only holds other repositories.
async fn needed_in(examination: &Examination, found: Found) -> Result<(Box<str>, Vec<Digest>)> {
    let name = Box::from(found.path());
    let Some(mut survey) = examination.survey(found).await? else {
        return Ok((name, Vec::new()));
    };
    let mut live = examination.mark(&mut survey, &Roots::default()).await?;
    live.follow_links(&examination.storage, &mut survey, examination.options)
        .await?;
    let needed = live.into_marks();
    Ok((name, needed.iter().map(|mark| *mark.digest()).collect()))
}
