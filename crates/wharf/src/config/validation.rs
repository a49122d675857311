//! `validation`: which manifests are accepted.

use super::raw::Section;

/// Sets in `registry` what manifests may be like.
pub(super) fn read(mut validation: Section<'_>, registry: &mut wharf_registry::Options) {
    if validation.boolean("disabled") == Some(true) {
        registry.allow_foreign_layers = true;
    }
    validation.ignore(&["enabled"]);
    let mut manifests = validation.section("manifests");
    let mut urls = manifests.section("urls");
    let (allow, deny) = (urls.strings("allow"), urls.strings("deny"));
    if !allow.is_empty() || !deny.is_empty() {
        registry.allow_foreign_layers = true;
        let accepts_all = deny.is_empty()
            && allow
                .iter()
                .any(|pattern| matches!(&**pattern, ".*" | "^https?://"));
        if !accepts_all {
            manifests.warning("urls", "allows layers that lie elsewhere, but its patterns are not compared yet: every URL is accepted");
        }
    }
    urls.finish();
    manifests.finish();
    validation.finish();
}
