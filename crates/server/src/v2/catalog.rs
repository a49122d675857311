//! `GET /v2/_catalog`

use wharf_oci::{PageRequest, Route};

use super::{
    answer::{Answer, json},
    tags::{append_names, with_link},
};
use crate::call::Call;

pub(super) async fn list(call: Call<'_>) -> Answer {
    let options = &call.app.options;
    let mut page = PageRequest::parse(call.query())?;
    // Decision D3: a larger number is clamped and answered with a `Link`, never refused.
    page.n = Some(page.n.unwrap_or(options.catalog_page).min(options.catalog_limit));
    let found = call.app.registry.catalog(&page).await?;
    let mut body = Vec::with_capacity(32 + 40 * found.names.len());
    body.extend_from_slice(b"{\"repositories\":");
    append_names(&mut body, &found.names);
    body.extend_from_slice(b"}\n");
    Ok(with_link(call, json(body), &Route::Catalog, &page, &found))
}
