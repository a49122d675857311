//! `GET /v2/_catalog`

use std::sync::Arc;

use wharf_access::Sight;
use wharf_oci::{PageRequest, RepoName, Route};
use wharf_registry::NamePage;

use super::{
    answer::{Answer, json},
    tags::{AT_ONCE, append_names, with_link},
};
use crate::{call::Call, error::Result, repository_sight::go_on_after, rights::Rights};

pub(super) async fn list(call: Call<'_>, rights: &Rights) -> Answer {
    let options = &call.app.options;
    let mut page = PageRequest::parse(call.query())?;
    // Decision D3: a larger number is clamped and answered with a `Link`, never refused.
    let wanted = page.n.unwrap_or(options.catalog_page).min(options.catalog_limit);
    page.n = Some(wanted);
    let found = match rights.sight(call.app.services.access.as_deref()) {
        None => call.app.registry.catalog(&page).await?,
        Some(sight) => Arc::new(visible(call, &sight, page.last.clone(), wanted).await?),
    };
    let mut body = Vec::with_capacity(32 + 40 * found.names.len());
    body.extend_from_slice(b"{\"repositories\":");
    append_names(&mut body, &found.names);
    body.extend_from_slice(b"}\n");
    Ok(with_link(call, json(body), &Route::Catalog, &page, &found))
}

/// The page of the repositories after `last` that the client may see. Where it may see none, the walk jumps to the next place
/// where it may.
async fn visible(call: Call<'_>, sight: &Sight<'_>, last: Option<String>, wanted: usize) -> Result<NamePage> {
    let mut found = NamePage::default();
    if wanted == 0 {
        return Ok(found);
    }
    let mut after = last.unwrap_or_default();
    loop {
        match go_on_after(sight, &after) {
            None => return Ok(found),
            Some(place) => after = place,
        }
        // One more tells whether there is another page.
        let missing = wanted + 1 - found.names.len();
        let request = PageRequest {
            n: Some(missing.clamp(AT_ONCE / 10, AT_ONCE)),
            last: Some(after),
        };
        let walked = call.app.registry.catalog(&request).await?;
        let is_visible = |name: &str| name.parse::<RepoName>().is_ok_and(|name| sight.sees(&name, None));
        let names = walked.names.iter().filter(|name| is_visible(name)).cloned();
        found.names.extend(names.take(missing));
        if found.names.len() > wanted {
            found.names.truncate(wanted);
            found.more = true;
            return Ok(found);
        }
        match walked.names.last().filter(|_| walked.more) {
            Some(end) => after = end.to_string(),
            None => return Ok(found),
        }
    }
}
