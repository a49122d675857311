//! Growth and traffic: what happened on each day, and which images are pulled most, and never.

use std::cmp::Reverse;

use wharf_activity::AllPulls;
use wharf_oci::RepoName;
use wharf_registry::{Error, EveryTag, Order, Registry, Result, TagsWanted};

use super::{pulls::PullCounts, shown::time, wire};

/// How many images are shown.
const IMAGES: usize = 20;

/// Among how many tags those without a pull are looked for.
const TAGS: usize = 2000;

/// How many tags are asked for at once.
const AT_ONCE: usize = 200;

/// What happened on each day, and which images are pulled most, and never.
///
/// # Errors
///
/// Errors of the store.
pub async fn show_traffic(registry: &Registry, pulls: &PullCounts) -> Result<wire::Traffic> {
    let Some(all) = pulls.all().await? else {
        let text = "nothing is counted, because there is no activity log (`activity.disabled`), or the store can only be read";
        return Ok(wire::Traffic {
            problem: Some(text.to_owned()),
            ..wire::Traffic::default()
        });
    };
    let (never, problem) = match all.is_complete && !all.has_forgotten {
        true => never_pulled(registry, &all).await?,
        false => {
            let text =
                "which images were never pulled is not known: counts were forgotten, or cannot be read";
            (Vec::new(), Some(text.to_owned()))
        }
    };
    let days = all.days.iter().map(|(date, day)| wire::TrafficDay {
        day: date.to_string(),
        pulls: day.pulls,
        pushes: day.pushes,
        received: day.received,
        refused: day.refused,
    });
    Ok(wire::Traffic {
        since: all.since.map(|since| time(since.into())),
        days: days.collect(),
        most: most_pulled(&all),
        never,
        problem,
    })
}

/// The tags that were pulled most.
fn most_pulled(all: &AllPulls) -> Vec<wire::PulledImage> {
    let tags = all.repositories.iter().flat_map(|(name, counts)| {
        let tags = counts.tags.iter();
        tags.map(move |(tag, count)| (count.count, count.last, name, tag))
    });
    let mut tags: Vec<_> = tags.collect();
    tags.sort_unstable_by_key(|(count, last, name, tag)| (Reverse(*count), Reverse(*last), *name, *tag));
    let most = tags.into_iter().take(IMAGES);
    most.map(|(count, last, name, tag)| wire::PulledImage {
        repository: name.to_string(),
        tag: tag.to_string(),
        pulls: count,
        last_pull: time(last.into()),
    })
    .collect()
}

/// The largest of the tags that were not pulled since pulls are counted, and why some may be missing.
async fn never_pulled(
    registry: &Registry,
    all: &AllPulls,
) -> Result<(Vec<wire::UnpulledImage>, Option<String>)> {
    let (mut found, mut looked, mut last) = (Vec::new(), 0, None::<RepoName>);
    let is_whole = 'names: loop {
        let (names, more) = registry.names_after(last.as_ref()).await?;
        for name in &names {
            let pulled = all.repositories.get(name.as_str());
            let wanted = TagsWanted {
                matching: None,
                order: Order::Name,
                after: None,
                limit: AT_ONCE,
            };
            let page = match registry.list_tags(name, wanted, &EveryTag).await {
                Ok(page) => page,
                // Deleted meanwhile.
                Err(Error::NameUnknown { .. }) => continue,
                Err(error) => return Err(error),
            };
            looked += page.tags.len();
            let is_pulled = |tag: &str| pulled.is_some_and(|pulled| pulled.tags.contains_key(tag));
            let unpulled = page.tags.into_iter().filter(|row| !is_pulled(row.tag.as_str()));
            found.extend(unpulled.map(|row| wire::UnpulledImage {
                repository: name.to_string(),
                tag: row.tag.to_string(),
                size: row.image.size,
                pushed: time(row.pushed),
            }));
            if looked >= TAGS || page.next.is_some() {
                break 'names false;
            }
        }
        last = names.last().cloned();
        if !more || last.is_none() {
            break true;
        }
    };
    found.sort_by_key(|image| Reverse(image.size));
    found.truncate(IMAGES);
    let problem = (!is_whole).then(|| {
        format!("images that were never pulled were looked for among the first {looked} tags alone, at most {AT_ONCE} of a repository")
    });
    Ok((found, problem))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wharf_activity::{PullCount, RepositoryPulls};

    use super::*;

    #[test]
    fn those_that_were_pulled_most_come_first() {
        let count = |count| PullCount {
            count,
            ..PullCount::default()
        };
        let of = |tags: &[(&str, u64)]| RepositoryPulls {
            tags: tags
                .iter()
                .map(|(tag, pulls)| ((*tag).into(), count(*pulls)))
                .collect(),
            ..RepositoryPulls::default()
        };
        let all = AllPulls {
            repositories: BTreeMap::from([
                ("a".into(), of(&[("1", 2), ("2", 7)])),
                ("b".into(), of(&[("1", 7)])),
            ]),
            ..AllPulls::default()
        };
        let names: Vec<String> = most_pulled(&all)
            .into_iter()
            .map(|image| format!("{}:{} {}", image.repository, image.tag, image.pulls))
            .collect();
        assert_eq!(names, ["a:2 7", "b:1 7", "a:1 2"]);
    }
}
