//! The table of pages and forms: the one place that says which paths there are, and that every change is a form.

use super::{
    account, activity, artifact, certificates, checks, collection, compare, configuration, connect, deletion,
    disk, find, history, image, layer_files, preferences, repositories, retention,
    route::{Form, Handler, Route, Sender, Stands},
    rules, search, servers, sign_in, sign_out, tags, tokens, traffic, trash, users,
};

/// All pages and forms. The first one that fits a path answers it.
static ROUTES: &[Route] = &[
    page("/sign-in", "", sign_in::show),
    form(
        "/sign-in",
        "",
        sign_in::sign_in,
        Form {
            sender: Sender::EveryBrowser,
            kept: sign_in::FIELDS,
            stands: Stands::Here,
        },
    ),
    form(
        "/sign-out",
        "",
        sign_out::sign_out,
        Form {
            sender: Sender::Leaving,
            kept: &[],
            stands: Stands::At("/account"),
        },
    ),
    form(
        "/account/sessions",
        "",
        sign_out::end,
        Form {
            sender: Sender::Leaving,
            kept: &[],
            stands: Stands::At("/account"),
        },
    ),
    form(
        "/preferences",
        "",
        preferences::set,
        Form {
            sender: Sender::Looking,
            kept: &["lang", "theme", "client", "to"],
            stands: Stands::At("/account"),
        },
    ),
    open("/", "/", repositories::show),
    open("/search", "/", search::show),
    open("/repo/{repository}", "/", tags::show),
    open("/image/{image}", "/", image::show),
    open("/files/{image}", "/", layer_files::show),
    open("/blob/{image}", "/", artifact::download),
    open("/history/{image}", "/", history::show),
    page("/rollback/{image}", "/", history::confirm),
    form(
        "/rollback/{image}",
        "/",
        history::roll_back,
        of_account(history::FIELDS, Stands::Here),
    ),
    open("/compare/{repository}", "/", compare::show),
    page("/trash", "/trash", trash::list),
    page("/trash/empty", "/trash", trash::confirm_emptying),
    form(
        "/trash/empty",
        "/trash",
        trash::empty,
        of_account(&[], Stands::Here),
    ),
    form(
        "/trash/{id}/restore",
        "/trash",
        trash::restore,
        of_account(&["force"], Stands::Above),
    ),
    form(
        "/trash/{id}/purge",
        "/trash",
        trash::purge,
        of_account(&[], Stands::Above),
    ),
    page("/trash/{id}", "/trash", trash::show),
    page("/delete/{repository}", "/", deletion::show),
    form(
        "/delete/{repository}",
        "/",
        deletion::apply,
        of_account(deletion::FIELDS, Stands::Here),
    ),
    page("/collection", "/collection", collection::show),
    form(
        "/collection",
        "/collection",
        collection::begin,
        of_account(&[], Stands::Here),
    ),
    page("/collection.json", "/collection", collection::progress),
    page("/why", "/collection", collection::why),
    page("/retention", "/retention", retention::show),
    page("/activity", "/activity", activity::list),
    page("/users", "/users", users::list),
    form(
        "/users",
        "/users",
        users::add,
        of_account(&["name"], Stands::Here),
    ),
    page("/users/password", "/users", users::confirm_password),
    form(
        "/users/password",
        "/users",
        users::set_password,
        of_account(&["name"], Stands::Here),
    ),
    page("/users/remove", "/users", users::confirm_removal),
    form(
        "/users/remove",
        "/users",
        users::remove,
        of_account(&["name"], Stands::Here),
    ),
    page("/tokens", "/tokens", tokens::list),
    form(
        "/tokens",
        "/tokens",
        tokens::make,
        of_account(&["name", "repositories", "action", "lifetime"], Stands::Here),
    ),
    page("/tokens/rotate", "/tokens", tokens::confirm_rotation),
    form(
        "/tokens/rotate",
        "/tokens",
        tokens::rotate,
        of_account(&["token"], Stands::Here),
    ),
    page("/tokens/revoke", "/tokens", tokens::confirm_revocation),
    form(
        "/tokens/revoke",
        "/tokens",
        tokens::revoke,
        of_account(&["token"], Stands::Here),
    ),
    page("/rules", "/rules", rules::show),
    page("/checks", "/checks", checks::show),
    form("/checks", "/checks", checks::start, of_account(&[], Stands::Here)),
    page("/disk", "/disk", disk::show),
    page("/certificates", "/certificates", certificates::show),
    open("/connect", "/connect", connect::show),
    open("/ca.crt", "/connect", connect::authority),
    page("/config", "/config", configuration::show),
    page("/servers", "/servers", servers::show),
    page("/traffic", "/traffic", traffic::show),
    open("/account", "", account::show),
    open("/keys", "", account::keys),
    open("/find.json", "", find::find),
];

/// A form for accounts.
const fn of_account(kept: &'static [&'static str], stands: Stands) -> Form {
    Form {
        sender: Sender::Account,
        kept,
        stands,
    }
}

const fn page(path: &'static str, nav: &'static str, handler: Handler) -> Route {
    Route {
        path,
        nav,
        handler,
        is_open: false,
        form: None,
    }
}

/// A page with what any client may pull.
const fn open(path: &'static str, nav: &'static str, handler: Handler) -> Route {
    Route {
        is_open: true,
        ..page(path, nav, handler)
    }
}

const fn form(path: &'static str, nav: &'static str, handler: Handler, form: Form) -> Route {
    Route {
        path,
        nav,
        handler,
        is_open: false,
        form: Some(form),
    }
}

/// The page at `path`, with what stands there in the place of its `{…}`.
pub(super) fn page_at(path: &str) -> Option<(&'static Route, &str)> {
    find_at(path, false)
}

/// The form that is sent to `path`.
pub(super) fn form_at(path: &str) -> Option<(&'static Route, &str)> {
    find_at(path, true)
}

fn find_at(path: &str, is_form: bool) -> Option<(&'static Route, &str)> {
    let mut routes = ROUTES.iter().filter(|route| route.form.is_some() == is_form);
    routes.find_map(|route| Some((route, route.fits(path)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that fits the route.
    fn example(route: &Route) -> String {
        match route.path.split_once('{') {
            None => route.path.to_owned(),
            Some((start, end)) => {
                let (name, end) = end.split_once('}').unwrap();
                let value = if name == "id" { "one" } else { "team/app" };
                format!("{start}{value}{end}")
            }
        }
    }

    #[test]
    fn every_form_stands_on_a_page() {
        for route in ROUTES.iter().filter(|route| route.form.is_some()) {
            let path = example(route);
            let place = route.page_of(&path);
            assert!(page_at(place).is_some(), "{route:?} stands at {place}");
        }
    }

    #[test]
    fn no_route_hides_another() {
        for route in ROUTES {
            let path = example(route);
            let (found, _) = find_at(&path, route.form.is_some()).unwrap();
            assert_eq!(found.path, route.path, "{path}");
        }
    }

    #[test]
    fn no_form_keeps_a_secret() {
        for route in ROUTES {
            let kept = route.form.as_ref().map_or(&[][..], |form| form.kept);
            for name in kept {
                assert!(
                    !["password", "csrf", "secret", "*"].contains(name),
                    "{route:?}: {name}"
                );
            }
        }
    }
}
