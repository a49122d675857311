//! `/files` and `/comparison`: what layers hold, and in what two images differ.

use std::fmt::Display;

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_layers::clean;
use wharf_oci::{Reference, ReferenceError, RepoName};
use wharf_registry::PartsWanted;

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
    users::LARGEST_PAGE,
};
use crate::{
    admin::{ChangesWanted, FilesWanted, compare_images, layer_files},
    tag_rights::RightsToTags,
};

/// Number of entries on a page if the client names none.
const ENTRIES: usize = 100;

/// The longest text that is looked for, in bytes.
const LONGEST: usize = 1000;

pub(crate) fn list(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let (name, query) = (repository(&call)?, &call.query);
        let reference = reference(&call, "reference")?;
        let path = query.get("path").unwrap_or("/");
        let path = clean(path).ok_or_else(|| bad("path", &"it leads out of the image"))?;
        let matching = query.get("match").map(str::to_owned);
        if matching.as_ref().is_some_and(|text| text.len() > LONGEST) {
            return Err(bad("match", &"it has more than 1,000 bytes; shorten it"));
        }
        let wanted = FilesWanted {
            layer: query.number("layer").unwrap_or(1),
            path,
            matching,
            after: query.get("cursor").map(str::to_owned),
            limit: query.number("limit").unwrap_or(ENTRIES).min(LARGEST_PAGE),
        };
        let image = PartsWanted {
            name: &name,
            reference: &reference,
            platform: query.get("platform"),
        };
        let rights = RightsToTags::new(call.rights, call.shared.access.clone(), &name);
        let files = &call.shared.admin.files;
        Answer::large_json(layer_files(&call.registry, files, image, wanted, &rights).await?).await
    }
    .boxed()
}

pub(crate) fn compare(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let (name, query) = (repository(&call)?, &call.query);
        let references = [reference(&call, "from")?, reference(&call, "to")?];
        let images = references.each_ref().map(|reference| PartsWanted {
            name: &name,
            reference,
            platform: query.get("platform"),
        });
        let wanted = ChangesWanted {
            after: query.get("cursor").map(str::to_owned),
            limit: query.number("limit").unwrap_or(ENTRIES).min(LARGEST_PAGE),
        };
        let rights = RightsToTags::new(call.rights, call.shared.access.clone(), &name);
        let files = &call.shared.admin.files;
        Answer::large_json(compare_images(&call.registry, files, images, wanted, &rights).await?).await
    }
    .boxed()
}

fn repository(call: &Call) -> Result<RepoName> {
    let name = call.query.repository();
    name.ok_or_else(|| Problem::failed("an image without a repository"))
}

fn reference(call: &Call, parameter: &str) -> Result<Reference> {
    let text = call.query.required(parameter);
    text.parse()
        .map_err(|error: ReferenceError| bad(parameter, &error))
}

fn bad(parameter: &str, text: &dyn Display) -> Problem {
    Problem::new(Kind::BadQuery, format!("`{parameter}`: {text}")).with_field(parameter)
}
