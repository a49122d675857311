//! The way back after signing in, and after a choice: a page of ours, and the fields that its form keeps.
//!
//! A way back is what the table of [routes] has as a page, so it leaves neither this host nor the pages (open redirect). Names
//! in the paths of pages need no encoding, so `%` is refused there, and with it every other spelling of a dot or a slash that browsers
//! know; `#` would end the path for a browser alone.
//!
//! Of the fields that come with a form to sign in, those are kept that the form at the end of the way keeps by itself. So no link and no
//! page of another site can make our own pages show a form with a password, with a plan, or with anything else that carries it out.

use super::{
    fields::{Fields, KEPT},
    routes,
};

/// The longest way back, in bytes.
const LONGEST: usize = 8_000;

/// The most bytes of the fields that are kept, as a query.
const MOST: usize = 64 << 10;

/// The way back that `to` names, else the first page.
pub(super) fn of(root: &str, to: &str) -> String {
    match page_of(root, to) {
        Some(_) => to.to_owned(),
        None => format!("{root}/"),
    }
}

/// Of the fields of the form to sign in, those that the form at the end of the way keeps.
pub(super) fn kept(root: &str, to: &str, fields: &Fields) -> Fields {
    let form = page_of(root, to).and_then(routes::form_at);
    match form.and_then(|(route, _)| route.form.as_ref()) {
        Some(form) => bounded(fields.behind(KEPT).only(form.kept)),
        None => Fields::default(),
    }
}

/// Fields that are few enough to be kept; none if they are not.
pub(super) fn bounded(fields: Fields) -> Fields {
    match fields.to_query().len() <= MOST {
        true => fields,
        false => Fields::default(),
    }
}

/// The path below the root of the page that `to` names.
fn page_of<'t>(root: &str, to: &'t str) -> Option<&'t str> {
    let is_visible = to.len() <= LONGEST && to.bytes().all(|byte| byte.is_ascii_graphic());
    let path = to.split('?').next()?.strip_prefix(root)?;
    let is_plain = !path.contains(['%', '\\', '#']) && !to.contains('#');
    let has_dots = path.split('/').any(|part| part == "." || part == "..");
    let is_ours = is_visible && is_plain && !has_dots && path.starts_with('/') && !path.contains("//");
    (is_ours && routes::page_at(path).is_some()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_ours_is_a_way_back() {
        for to in [
            "/ui/",
            "/ui/account",
            "/ui/trash?repository=a%2Fb&q=..",
            "/ui/delete/team/app?tag=1.0&tag=2.0",
        ] {
            assert_eq!(of("/ui", to), to);
        }
        for to in [
            "",
            "/",
            "/ui",
            "/uix/",
            "/ui/no-such-page",
            "//evil.example/ui/",
            "/ui//evil.example",
            "/ui/../v2/",
            "/ui/delete/../users",
            "/ui/delete/%2e%2e/users/password",
            "/ui/delete/.%2E/users",
            "/ui/%2e%2e/v2/",
            "/ui/account#x",
            "/ui/..#x",
            "/ui/account?x#y",
            "/ui/./account",
            "https://evil.example/ui/",
            "/\\evil.example",
            "/ui/\\evil.example",
            "/ui/\r\nSet-Cookie: a=b",
            "/ui/ account",
            "/ui/é",
            "javascript:alert(1)",
            "\t/ui/",
            &format!("/ui/account?{}", "a".repeat(10_000)),
        ] {
            assert_eq!(of("/ui", to), "/ui/", "{to}");
        }
        assert_eq!(of("/registry/ui", "/registry/ui/trash"), "/registry/ui/trash");
        assert_eq!(of("/registry/ui", "/ui/trash"), "/registry/ui/");
    }

    #[test]
    fn nothing_is_kept_that_carries_a_form_out() {
        let sent = Fields::read(
            "kept.tag=1.0&kept.plan=sha256:00&kept.now=1&kept.confirm=team/app&kept.password=x&kept.csrf=y&kept.name=root&kept.rule.keep=3",
        );
        let kept = |to: &str| kept("/ui", to, &sent).to_query();
        assert_eq!(kept("/ui/delete/team/app"), "tag=1.0&rule.keep=3");
        assert_eq!(kept("/ui/users/password?name=x"), "name=root");
        assert_eq!(kept("/ui/account"), "");
        assert_eq!(kept("/ui/delete/%2e%2e/users/password"), "");
        assert_eq!(kept("https://evil.example/"), "");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let sent = Fields::read(&format!("kept.tag={}", "x".repeat(100_000)));
        assert_eq!(kept("/ui", "/ui/delete/a", &sent), Fields::default());
    }
}
