//! What is to be copied: the tags that the list chooses, and what the destination has in their places.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};
use wharf_client::transfer::{self, Comparison, Settings, Source, Target};
use wharf_oci::{Digest, Tag};

use super::{
    file::Entry,
    output::{Act, Row},
    pairs::{Pair, Pairs},
    side::Clients,
};
use crate::cmd::transfer::is_of_digest;

/// What is to be done, and what is known.
pub(super) struct Plan {
    pub(super) rows: Vec<Row>,
    pub(super) copies: Vec<Copy>,
    pub(super) pairs: Vec<Pair>,
    /// Entries of which it is not known what they would put where: something could not be listed.
    pub(super) unlisted: Vec<Entry>,
}

/// An image that is to be copied.
pub(super) struct Copy {
    /// Its place in the rows.
    pub(super) row: usize,
    pub(super) source: Source,
    pub(super) target: Target,
    pub(super) tag: Tag,
    pub(super) original: Digest,
    pub(super) settings: Settings,
}

/// An image that an entry has put at a tag of the destination.
struct Taken {
    digest: Digest,
    /// Line of the entry.
    line: usize,
    /// Its place in the rows.
    row: usize,
}

/// What the comparison of one tag needs.
struct Wanted {
    pair: usize,
    tag: Tag,
}

impl Plan {
    /// Lists the sources, and compares each chosen tag. What fails becomes a row, so that the rest goes on.
    pub(super) async fn make(entries: &[Entry], clients: &Clients, jobs: usize, deletes: bool) -> Self {
        let Pairs {
            pairs,
            unlisted,
            failed,
        } = Pairs::find(entries, clients, jobs, deletes).await;
        let mut plan = Self {
            rows: failed,
            copies: Vec::new(),
            pairs,
            unlisted,
        };
        let compared: Vec<_> = stream::iter(plan.wanted())
            .map(|wanted| plan.compare(wanted))
            .buffered(jobs)
            .collect()
            .await;
        let mut taken: HashMap<String, Taken> = HashMap::new();
        for (wanted, comparison) in compared {
            plan.take(&wanted, comparison, &mut taken);
        }
        plan
    }

    /// The tags to compare.
    fn wanted(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (place, pair) in self.pairs.iter().enumerate() {
            let tags = pair.tags.iter().flatten();
            // Tags made of digests come with the images that they are about.
            let tags: Vec<Tag> = tags.filter(|tag| !is_of_digest(tag.as_str())).cloned().collect();
            let chosen = pair.choice.of(&tags);
            wanted.extend(chosen.into_iter().map(|tag| Wanted { pair: place, tag }));
        }
        wanted
    }

    async fn compare(&self, wanted: Wanted) -> (Wanted, Result<Comparison, transfer::TransferError>) {
        let pair = &self.pairs[wanted.pair];
        let compared = transfer::compare(&pair.source(), &pair.target(), &wanted.tag, &pair.settings).await;
        (wanted, compared)
    }

    fn take(
        &mut self,
        wanted: &Wanted,
        comparison: Result<Comparison, transfer::TransferError>,
        taken: &mut HashMap<String, Taken>,
    ) {
        let pair = &self.pairs[wanted.pair];
        let tag = &wanted.tag;
        let source = format!("{}:{tag}", pair.from.text());
        let destination = format!("{}:{tag}", pair.to.text());
        let comparison = match comparison {
            Ok(comparison) => comparison,
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::from(error));
                self.rows.push(Row::failed(Some(source), destination, reason));
                return;
            }
        };
        match taken.get(&destination) {
            Some(first) if first.digest != comparison.digest => {
                let reason = format!(
                    "the entries of lines {} and {} want different images there; leave the tag out of one of them",
                    first.line, pair.line
                );
                // Neither of them is right until the list says which.
                self.rows[first.row].fail(reason.clone());
                self.copies.retain(|copy| copy.row != first.row);
                self.rows.push(Row::failed(Some(source), destination, reason));
                return;
            }
            Some(_) => return,
            None => {
                let first = Taken {
                    digest: comparison.digest,
                    line: pair.line,
                    row: self.rows.len(),
                };
                taken.insert(destination.clone(), first);
            }
        }
        let missing = comparison.missing;
        let (act, reason) = match comparison.there {
            Some(there) if there != comparison.digest => (Act::Move, None),
            Some(_) if missing == 0 => (Act::Equal, None),
            Some(_) => (
                Act::Copy,
                Some(format!(
                    "{missing} referrer(s), such as signatures, are not there"
                )),
            ),
            None => (Act::Copy, None),
        };
        if act != Act::Equal {
            self.copies.push(Copy {
                row: self.rows.len(),
                source: pair.source(),
                target: pair.target(),
                tag: tag.clone(),
                original: comparison.original,
                settings: Settings {
                    platforms: comparison.platforms,
                    ..pair.settings.clone()
                },
            });
        }
        self.rows.push(Row {
            act,
            done: false,
            source: Some(source),
            destination,
            digest: Some(comparison.digest),
            previous: comparison.there,
            reason,
        });
    }
}
