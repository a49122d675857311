//! `wharf tag ls`.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use wharf_client::{Client, ImageName};
use wharf_oci::{ManifestKind, Reference};
use wharf_server::admin::wire::{ListedTag, TagPage};

use super::{
    asked::{self, Page},
    chosen, known, show_json, show_names, time,
};
use crate::{
    cli::{List, Output},
    cmd::{
        image::Image,
        nearest::explain,
        remote::{ask, print, say},
        size::readable,
        table::aligned,
    },
};

/// How many manifests of another registry are read at once.
const AT_ONCE: usize = 8;

/// A tag, as `--output json` prints it.
#[derive(Debug, Default, Serialize)]
struct Row {
    tag: String,
    digest: Option<String>,
    media_type: Option<String>,
    kind: Option<String>,
    size: Option<u64>,
    platforms: Vec<String>,
    pushed: Option<String>,
    last_pull: Option<String>,
    pulls: Option<u64>,
    problem: Option<String>,
}

impl Page for TagPage {
    type Row = ListedTag;

    fn take(self) -> (Vec<ListedTag>, Option<String>) {
        (self.tags, self.next)
    }

    fn remark(&self) -> Option<String> {
        self.problem.clone()
    }
}

/// Lists the tags of a repository.
pub(in crate::cmd) fn tags(name: &ImageName, list: &List) -> anyhow::Result<()> {
    let output = list.output();
    let rows = ask(&name.registry, list.remote.clone(), async |client| {
        if list.wants_more_than_names()
            && let Some(rows) = of_wharf(&client, name, list).await?
        {
            return Ok(rows);
        }
        let repository = name.repository.to_string();
        let tags = match client.tags(&repository).await {
            Ok(tags) => chosen(tags, list)?,
            Err(error) => return Err(explain(&client, name, error).await),
        };
        if output == Output::Name {
            let named = |tag| Row {
                tag,
                ..Row::default()
            };
            return Ok(tags.into_iter().map(named).collect());
        }
        say("this registry does not tell when tags were pushed and pulled, nor the sizes of indexes");
        let rows = stream::iter(tags).map(|tag| read(&client, &repository, tag));
        rows.buffered(AT_ONCE).try_collect().await
    })?;
    match output {
        Output::Name => show_names(rows.iter().map(|row| &*row.tag)),
        Output::Json => show_json(&rows),
        Output::Table => print(&format!("{}\n", table(rows))),
    }
}

/// The rows that a wharf tells.
async fn of_wharf(client: &Client, name: &ImageName, list: &List) -> anyhow::Result<Option<Vec<Row>>> {
    let mut query = vec![
        ("repository", name.repository.as_str()),
        ("sort", list.sort.text()),
    ];
    query.extend(list.pattern.as_deref().map(|pattern| ("match", pattern)));
    let tags = asked::all::<TagPage>(client, "/tags", &query).await?;
    Ok(tags.map(|tags| tags.into_iter().map(Row::from).collect()))
}

impl From<ListedTag> for Row {
    fn from(listed: ListedTag) -> Self {
        let platforms = listed.image.platforms.into_iter();
        Self {
            tag: listed.tag,
            digest: listed.digest,
            media_type: listed.image.media_type,
            kind: listed.image.kind,
            size: listed.image.size,
            platforms: platforms.map(|platform| platform.platform).collect(),
            pushed: Some(listed.pushed),
            last_pull: listed.pulls.last_pull,
            pulls: listed.pulls.pulls,
            problem: listed.image.problem,
        }
    }
}

/// What the standard API tells of a tag. What cannot be read is a problem of that tag.
async fn read(client: &Client, repository: &str, tag: String) -> anyhow::Result<Row> {
    let mut row = Row {
        tag,
        ..Row::default()
    };
    let reference: Reference = match row.tag.parse() {
        Ok(reference) => reference,
        Err(error) => {
            row.problem = Some(format!("no tag: {error}"));
            return Ok(row);
        }
    };
    match Image::read(client, repository, &reference, None).await {
        Ok(image) => {
            row.digest = Some(image.manifest.digest.to_string());
            row.platforms = image.platforms();
            row.size = (image.view.kind != ManifestKind::Index).then(|| image.size());
            row.media_type = Some(image.view.media_type);
        }
        Err(error) => row.problem = Some(format!("{error:#}")),
    }
    Ok(row)
}

fn table(rows: Vec<Row>) -> String {
    let rows = rows.into_iter().map(|row| {
        let digest = row.digest.as_deref().map(shortened);
        [
            wharf_client::printable(&row.tag).into_owned(),
            known(row.problem.or(digest), |text| {
                wharf_client::printable(&text).into_owned()
            }),
            known(row.size, readable),
            known(row.pushed, |text| time(&text)),
            known(row.last_pull, |text| time(&text)),
            known(row.pulls, |count| count.to_string()),
            wharf_client::printable(&row.platforms.join(", ")).into_owned(),
        ]
    });
    aligned(
        [
            "TAG",
            "DIGEST",
            "SIZE",
            "PUSHED",
            "LAST PULL",
            "PULLS",
            "PLATFORMS",
        ],
        rows,
    )
}

/// A digest as short as tables have it.
fn shortened(digest: &str) -> String {
    const DIGITS: usize = 12;
    let (algorithm, hex) = digest.split_once(':').unwrap_or(("", digest));
    format!("{algorithm}:{}", hex.get(..DIGITS).unwrap_or(hex))
}
