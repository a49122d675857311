//! What surrounds the content of a page, made from a request.

use jiff::Timestamp;
use wharf_message::Message;
use wharf_pages::{Banner, Caller, Lang, Line, NavGroup, NavItem, Page, Said, Theme, Tone, assets};

use super::{call::Call, cookies::Cookie, csrf, notice, visitor::can_sign_in};
use crate::{admin::Checks, health::Health};

/// Name of the registry where the operator has chosen none.
const TITLE: &str = "wharf";

/// An entry of the navigation: path, icon, key of its text, and to which visitors it is shown.
type Entry = (&'static str, &'static str, &'static str, Sees);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    All,
    /// Accounts, and all clients where users do not log in.
    Accounts,
    /// Accounts that can have robot tokens.
    Tokens,
    /// Accounts, if there is an activity log.
    Activity,
    Admins,
}

const NAVIGATION: [(&str, &[Entry]); 4] = [
    (
        "nav.images",
        &[
            ("/", "repo", "repositories.title", Sees::All),
            ("/trash", "trash", "trash.title", Sees::Accounts),
        ],
    ),
    (
        "nav.upkeep",
        &[
            ("/disk", "disk", "disk.title", Sees::Admins),
            ("/collection", "collect", "collection.title", Sees::Admins),
            ("/retention", "clock", "retention.title", Sees::Admins),
            ("/checks", "shield", "checks.title", Sees::Admins),
            ("/traffic", "chart", "traffic.title", Sees::Admins),
            ("/activity", "list", "activity.title", Sees::Activity),
        ],
    ),
    (
        "nav.administration",
        &[
            ("/users", "users", "users.title", Sees::Admins),
            ("/tokens", "key", "tokens.title", Sees::Tokens),
            ("/rules", "rules", "rules.title", Sees::Admins),
            ("/certificates", "cert", "certificates.title", Sees::Admins),
            ("/config", "gear", "configuration.title", Sees::Admins),
            ("/servers", "server", "servers.title", Sees::Admins),
        ],
    ),
    ("nav.help", &[("/connect", "plug", "nav.connect", Sees::All)]),
];

impl Call<'_> {
    /// The language of the visitor.
    pub(crate) fn lang(self) -> Lang {
        let headers = &self.parts.headers;
        let accepted = headers.get(http::header::ACCEPT_LANGUAGE);
        let accepted = accepted.and_then(|value| value.to_str().ok());
        Lang::negotiate(accepted, self.cookies.get(headers, Cookie::Lang))
    }

    /// A sentence of a service that need not be, in the language of the visitor.
    pub(crate) fn said(self, english: Option<impl AsRef<str>>, messages: &[Message]) -> Said {
        english.map_or_else(Said::default, |english| {
            Said::of(self.lang(), english.as_ref(), messages)
        })
    }

    /// What surrounds the content of the page that is asked for.
    pub(crate) fn page(self) -> Page {
        let shared = self.shared;
        let headers = &self.parts.headers;
        let visitor = self.visitor;
        let theme = self.cookies.get(headers, Cookie::Theme).and_then(Theme::parse);
        let root = shared.root.clone();
        let account = visitor.caller.account().map(|name| Caller {
            name: Line::from(name),
            admin: visitor.caller.is_admin(),
            leaves: visitor.leaves(),
        });
        let mut page = Page {
            lang: self.lang(),
            theme: theme.unwrap_or_default(),
            now: Timestamp::now(),
            site: Line::from(shared.options.title.as_deref().unwrap_or(TITLE)),
            logo: self.logo(),
            assets: format!("{root}/assets/{}", assets::HASH),
            root,
            alone: false,
            signs_in: can_sign_in(&shared.app) && account.is_none(),
            account,
            here: self.here(),
            changes: self.offers_settings(),
            csrf: csrf::proof(visitor),
            query: String::new(),
            banners: Vec::new(),
            notice: None,
            // Strangers need not know it.
            version: match visitor.is_known() {
                true => env!("CARGO_PKG_VERSION"),
                false => "",
            },
            secure: shared.is_secure(self.context, self.parts),
            nav: self.navigation(),
        };
        page.banners = self.banners(&page);
        page.notice = notice::of(self, &page);
        page
    }

    /// Path and query of this page, as the browser has them. Of a form that was sent, the page on which it stands.
    fn here(self) -> String {
        match self.query.is_empty() {
            true => self.url(self.path),
            false => format!("{}?{}", self.url(self.path), self.query.to_query()),
        }
    }

    /// URL of the image of the operator, which changes with the image.
    fn logo(self) -> String {
        match &self.shared.options.logo {
            Some(logo) => self.url(&format!("/logo/{}", logo.name())),
            None => String::new(),
        }
    }

    fn navigation(self) -> Vec<NavGroup> {
        let groups = NAVIGATION.into_iter().map(|(label, entries)| NavGroup {
            label,
            items: entries
                .iter()
                .filter(|(.., sees)| self.is_shown(*sees))
                .map(|&(path, icon, label, _)| NavItem {
                    path,
                    icon,
                    label,
                    current: path == self.nav,
                    count: self.count(path),
                })
                .collect(),
        });
        groups.filter(|group| !group.items.is_empty()).collect()
    }

    /// What stands beside an entry of the navigation: how much is damaged.
    fn count(self, path: &str) -> u64 {
        let checks = self.shared.app.services.admin.checks.as_ref();
        checks
            .filter(|_| path == "/checks")
            .map_or(0, Checks::known_damage)
    }

    fn is_shown(self, sees: Sees) -> bool {
        let (caller, admin) = (&self.visitor.caller, &self.shared.app.services.admin);
        match sees {
            Sees::All => true,
            Sees::Accounts => self.visitor.is_known(),
            Sees::Tokens => caller.account().is_some() && admin.tokens.is_some(),
            Sees::Activity => caller.account().is_some() && admin.activity.is_some(),
            Sees::Admins => caller.is_admin(),
        }
    }

    /// The states of the server that every page tells.
    fn banners(self, page: &Page) -> Vec<Banner> {
        let app = &self.shared.app;
        let banner = |tone, icon, title, text| Banner {
            tone,
            icon,
            title,
            text,
        };
        let mut banners = Vec::new();
        if self.is_stale {
            let (title, text) = (page.t("not-done"), page.t("form.stale"));
            banners.push(banner(Tone::Warn, "warn", title, text));
        }
        let failing = app
            .services
            .health
            .as_deref()
            .map(Health::failing)
            .unwrap_or_default();
        if !failing.is_empty() {
            // Their names may say what is where in the network of the operator.
            let names = match self.visitor.caller.is_admin() {
                true => failing.keys().copied().collect::<Vec<_>>().join(", "),
                false => failing.len().to_string(),
            };
            let text = page.t("banner.unwell.hint").arg("checks", names);
            banners.push(banner(Tone::Bad, "warn", page.t("banner.unwell"), text));
        }
        if let Some(free) = self.shortage {
            let text = page.t("banner.full.hint").arg("free", page.size(free));
            banners.push(banner(Tone::Warn, "warn", page.t("banner.full"), text));
        }
        if app.options.read_only {
            let text = page
                .t("banner.read-only.hint")
                .arg("key", "storage.maintenance.readonly");
            banners.push(banner(Tone::Info, "info", page.t("banner.read-only"), text));
        }
        banners
    }
}
