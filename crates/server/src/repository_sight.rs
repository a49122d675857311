//! What a client may see of the catalogue, and the walk that passes over the rest.

use wharf_access::Sight;
use wharf_oci::{RepoName, Tag};
use wharf_registry::RepositorySight;

/// What a client may see of the catalogue; `None`: everything.
pub(crate) struct CatalogSight<'a>(pub(crate) Option<Sight<'a>>);

impl RepositorySight for CatalogSight<'_> {
    fn sees(&self, name: &RepoName, tag: Option<&Tag>) -> bool {
        let tag = tag.map(Tag::as_str);
        self.0.as_ref().is_none_or(|sight| sight.sees(name, tag))
    }

    fn go_on_after(&self, after: &str) -> Option<Box<str>> {
        match &self.0 {
            Some(sight) => go_on_after(sight, after).map(Into::into),
            None => Some(after.into()),
        }
    }
}

/// The place at which a walk through the catalogue goes on that has passed `after`: there, or just before the next name that may be
/// visible. `None`: there is none.
pub(crate) fn go_on_after(sight: &Sight<'_>, after: &str) -> Option<String> {
    let next = sight.next_from(after)?;
    Some(match next == after {
        true => after.to_owned(),
        false => just_before(next),
    })
}

/// A text that comes before `name` and behind every name of a repository that does: these have no byte above `z`.
fn just_before(name: &str) -> String {
    let mut text = name.as_bytes().to_vec();
    match text.pop() {
        Some(byte) if byte.is_ascii() && byte > 0 => text.extend([byte - 1, 0x7f]),
        // A prefix is the beginning of a name, which is ASCII; from the start nothing is left out.
        _ => text.clear(),
    }
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_jumps_to_the_place_before_a_name_and_misses_none() {
        let names = [
            "a", "tea", "team", "team-x/y", "team.a", "team/", "team/a", "team0", "teb", "z",
        ];
        for target in ["team/", "team", "t", "z", "a", "0", ""] {
            let place = just_before(target);
            for name in names {
                assert_eq!(*name > *place, name >= target, "{name} and {target}");
            }
        }
    }
}
