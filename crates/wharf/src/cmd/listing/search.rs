//! `wharf search`.

use anyhow::Context as _;
use wharf_client::printable;
use wharf_server::admin::wire::{SearchHit, SearchPage};

use super::{
    asked::{self, Page},
    known, show_json, show_names,
};
use crate::{
    cli::{Output, Search, SearchPlace},
    cmd::{
        remote::{ask, print},
        table::aligned,
    },
};

impl Page for SearchPage {
    type Row = SearchHit;

    fn take(self) -> (Vec<SearchHit>, Option<String>) {
        (self.hits, self.next)
    }

    fn remark(&self) -> Option<String> {
        let count = self.incomplete;
        (count > 0).then(|| {
            format!(
                "{count} images were not searched whole: manifests of them are missing or damaged, or an index lists more than 64"
            )
        })
    }
}

/// Searches a registry.
pub(crate) fn run(arguments: Search) -> anyhow::Result<()> {
    let output = arguments.form.output(Output::Table);
    let places: Vec<&str> = arguments.places.iter().copied().map(SearchPlace::text).collect();
    let places = places.join(",");
    let mut query = vec![("q", arguments.text.as_str())];
    query.extend((!places.is_empty()).then_some(("in", &*places)));
    let hits = ask(&arguments.registry, arguments.remote, async |client| {
        let hits = asked::all::<SearchPage>(&client, "/search", &query).await?;
        hits.context("this registry does not search: only a wharf does, in what the user may pull; `wharf repo ls --match PATTERN` looks for names in any registry")
    })?;
    match output {
        Output::Name => {
            let names: Vec<String> = hits.iter().map(name).collect();
            show_names(names.iter().map(String::as_str))
        }
        Output::Json => show_json(&hits),
        Output::Table => {
            let rows = hits.iter().map(|hit| {
                let places = hit
                    .matches
                    .iter()
                    .map(|place| format!("{}: {}", place.within, printable(&place.text)));
                [
                    printable(&name(hit)).into_owned(),
                    known(hit.digest.as_deref(), |digest| printable(digest).into_owned()),
                    places.collect::<Vec<_>>().join(", "),
                ]
            });
            print(&format!("{}\n", aligned(["IMAGE", "DIGEST", "FOUND IN"], rows)))
        }
    }
}

/// The image that was found, as other commands take it behind the registry.
fn name(hit: &SearchHit) -> String {
    match &hit.tag {
        Some(tag) => format!("{}:{tag}", hit.repository),
        None => hit.repository.clone(),
    }
}
