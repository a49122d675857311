//! Pages of a list of the administration API.

use anyhow::Context as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use wharf_client::Client;

use crate::cmd::remote::say;

/// Rows of a page.
const LIMIT: usize = 1000;

/// A page with the cursor of the next one.
pub(super) trait Page: DeserializeOwned {
    /// One of its rows.
    type Row;

    /// The rows, and the cursor.
    fn take(self) -> (Vec<Self::Row>, Option<String>);

    /// What the registry says about the page.
    fn remark(&self) -> Option<String>;
}

/// All rows of the list at `path` of the administration API, for the parameters of `query`; `None` where the registry does not tell them.
pub(super) async fn all<P: Page>(
    client: &Client,
    path: &str,
    query: &[(&str, &str)],
) -> anyhow::Result<Option<Vec<P::Row>>> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let limit = LIMIT.to_string();
        let more = [("limit", Some(&*limit)), ("cursor", cursor.as_deref())];
        let more = more.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let all = query.iter().copied().chain(more);
        let parameters: Vec<String> = all
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let Some(body) = client
            .administration(&format!("{path}?{}", parameters.join("&")))
            .await?
        else {
            return match cursor {
                None => Ok(None),
                Some(_) => anyhow::bail!(
                    "the registry does not go on with its list at `{path}`; run the command again"
                ),
            };
        };
        let page: P = serde_json::from_slice(&body).with_context(|| {
            format!("the list at `{path}` is not one that this program knows; another version may")
        })?;
        if let Some(remark) = page.remark() {
            say(&remark);
        }
        let (page, next) = page.take();
        rows.extend(page);
        if next.is_none() || next == cursor {
            return Ok(Some(rows));
        }
        cursor = next;
    }
}

/// `value` as a part of a query.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}
