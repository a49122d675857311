//! `GET /v2/<name>/tags/list`

use http::{Response, header};
use wharf_access::Sight;
use wharf_mirror::Mirrored;
use wharf_oci::{PageRequest, RepoName, Route, link};
use wharf_registry::NamePage;

use super::{
    answer::{Answer, json, value},
    mirrored,
};
use crate::{body::Content, call::Call, error::Result, location, rights::Rights};

/// How many names at most are asked of the registry at once to find those that a client may see.
pub(super) const AT_ONCE: usize = 1000;

/// The tags of a repository, of a mirror by the word of its upstream.
pub(super) async fn list(
    call: Call<'_>,
    rights: &Rights,
    name: &RepoName,
    mirrored: Option<&Mirrored>,
) -> Answer {
    let mut page = PageRequest::parse(call.query())?;
    page.n = page.n.map(|n| n.min(call.app.options.tags_limit));
    let sight = rights.sight(call.app.services.access.as_deref());
    let source = Source { call, name, mirrored };
    let (found, stale) = match sight.filter(Sight::limits_tags) {
        None => source.tags(&page).await?,
        Some(sight) => visible(source, &sight, &page).await?,
    };
    let mut body = Vec::with_capacity(64 + 24 * found.names.len());
    body.extend_from_slice(b"{\"name\":");
    append_string(&mut body, name.as_str());
    body.extend_from_slice(b",\"tags\":");
    append_names(&mut body, &found.names);
    body.extend_from_slice(b"}\n");
    let route = Route::Tags(name.clone());
    let mut response = with_link(call, json(body), &route, &page, &found);
    mirrored::warn(&mut response, stale.as_deref());
    Ok(response)
}

/// Where the tags of a repository are listed.
#[derive(Clone, Copy)]
struct Source<'a> {
    call: Call<'a>,
    name: &'a RepoName,
    mirrored: Option<&'a Mirrored>,
}

impl Source<'_> {
    /// A page of the tags, and why it is stale.
    async fn tags(self, page: &PageRequest) -> Result<(NamePage, Option<String>)> {
        match self.mirrored {
            Some(mirrored) => Ok(mirrored.tags(page).await?),
            None => Ok((self.call.app.registry.tags(self.name, page).await?, None)),
        }
    }
}

/// The page of the tags that the client may see.
async fn visible(
    source: Source<'_>,
    sight: &Sight<'_>,
    page: &PageRequest,
) -> Result<(NamePage, Option<String>)> {
    let mut found = NamePage::default();
    if page.n == Some(0) {
        return source.tags(page).await;
    }
    let mut request = page.clone();
    loop {
        // One more than is wanted tells whether there is another page; hidden tags need no request each.
        request.n = page
            .n
            .map(|wanted| (wanted + 1 - found.names.len()).clamp(AT_ONCE / 10, AT_ONCE));
        let (walked, stale) = source.tags(&request).await?;
        let end = walked.names.last().filter(|_| walked.more).cloned();
        let seen = walked
            .names
            .into_iter()
            .filter(|tag| sight.sees(source.name, Some(tag)));
        found.names.extend(seen);
        if let Some(wanted) = page.n
            && found.names.len() > wanted
        {
            found.names.truncate(wanted);
            found.more = true;
            return Ok((found, stale));
        }
        match end {
            Some(end) => request.last = Some(end.into()),
            None => return Ok((found, stale)),
        }
    }
}

/// The answer with a `Link` to the next page, if there is one.
pub(super) fn with_link(
    call: Call<'_>,
    mut response: Response<Content>,
    route: &Route,
    page: &PageRequest,
    found: &NamePage,
) -> Response<Content> {
    if let (true, Some(n), Some(last)) = (found.more, page.n, found.names.last()) {
        response
            .headers_mut()
            .insert(header::LINK, value(link(&location::path(call, route), last, n)));
    }
    response
}

/// `["a","b"]`
pub(super) fn append_names(body: &mut Vec<u8>, names: &[Box<str>]) {
    body.push(b'[');
    for (position, name) in names.iter().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        append_string(body, name);
    }
    body.push(b']');
}

/// Appends a JSON string. Names and tags need no escapes; directories that were made by hand may.
fn append_string(body: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        body.push(b'"');
        body.extend_from_slice(text.as_bytes());
        body.push(b'"');
    } else {
        body.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_a_json_list() {
        let check = |names: &[&str], expected: &str| {
            let names: Vec<Box<str>> = names.iter().map(|&name| name.into()).collect();
            let mut body = Vec::new();
            append_names(&mut body, &names);
            assert_eq!(String::from_utf8(body).unwrap(), expected);
        };
        check(&[], "[]");
        check(&["1.0"], r#"["1.0"]"#);
        check(&["a/b", "c\"\\\n", "ä"], r#"["a/b","c\"\\\n","ä"]"#);
    }
}
