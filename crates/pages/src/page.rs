//! What all pages share.

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use wharf_message::{Count, Message};

use crate::{
    figures,
    foreign::Line,
    language::{Lang, Theme},
    said::Said,
    text::Text,
    values::{Choice, NamedChoice, Tone},
};

/// What surrounds the content of a page: the caller, the language, the navigation. Every view has one.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Language of the texts.
    pub lang: Lang,
    /// Colours.
    pub theme: Theme,
    /// Time of the request, from which "3 hours ago" counts.
    pub now: Timestamp,
    /// Title of the registry.
    pub site: Line,
    /// URL of the logo below [`assets`](Self::assets); empty without one.
    pub logo: String,
    /// Path under which the pages are, without a slash at its end: `/ui`, or `/registry/ui` behind a prefix.
    pub root: String,
    /// Path of the folder of assets: [`root`](Self::root), `/assets/` and [`assets::HASH`](crate::assets::HASH).
    pub assets: String,
    /// Whether the page stands without the navigation, as signing in does.
    pub alone: bool,
    /// The caller; `None`: an anonymous one.
    pub account: Option<Caller>,
    /// Whether users log in to this registry, so an anonymous caller gets a button for it.
    pub signs_in: bool,
    /// Path and query of this page as in the request line, to which "sign in" and the switches lead back.
    pub here: String,
    /// Whether forms that change something are offered: the operator may let the page show, and no more.
    pub changes: bool,
    /// Token of the session for forms that change something.
    pub csrf: String,
    /// Text in the search field of the bar.
    pub query: String,
    /// What the reader has to know about the state of the server.
    pub banners: Vec<Banner>,
    /// What the last request changed.
    pub notice: Option<Notice>,
    /// Version of the program.
    pub version: &'static str,
    /// Whether the connection of the client is encrypted.
    pub secure: bool,
    /// The navigation, without pages that the caller may not see.
    pub nav: Vec<NavGroup>,
}

impl Page {
    /// The text of `key` in the language of the page. A key that no catalogue has shows itself.
    pub fn t(&self, key: impl AsRef<str>) -> Text {
        Text::of(self.lang, key)
    }

    /// The text of `section.value`: names of kinds, actions and states that services return as words.
    pub fn t_of(&self, section: impl AsRef<str>, value: impl AsRef<str>) -> Text {
        Text::of(self.lang, format!("{}.{}", section.as_ref(), value.as_ref()))
    }

    /// A sentence of a service: `english`, which says `messages`.
    pub fn said(&self, english: impl AsRef<str>, messages: &[Message]) -> Said {
        Said::of(self.lang, english.as_ref(), messages)
    }

    /// A sentence of a service that need not be.
    pub fn said_if(&self, english: Option<impl AsRef<str>>, messages: &[Message]) -> Said {
        english.map_or_else(Said::default, |english| self.said(english, messages))
    }

    /// Sentences of a service, each with what it says.
    pub fn said_each(&self, english: &[String], messages: &[Vec<Message>]) -> Vec<Said> {
        let said = english.iter().enumerate().map(|(place, english)| {
            let messages = messages.get(place).map_or(&[][..], Vec::as_slice);
            self.said(english, messages)
        });
        said.collect()
    }

    /// A size such as `12.3 MiB`.
    pub fn size(&self, bytes: impl Count) -> String {
        figures::size(self.lang, bytes.count())
    }

    /// A size to the byte, such as `12,897,484 bytes`.
    pub fn exact_size(&self, bytes: impl Count) -> String {
        self.t("size.exact").n(bytes).attr()
    }

    /// A number in groups of three digits.
    pub fn number(&self, number: impl Count) -> String {
        figures::number(self.lang, number.count())
    }

    /// What something took, such as `3.4 s`.
    pub fn seconds(&self, milliseconds: impl Count) -> String {
        figures::seconds(self.lang, milliseconds.count())
    }

    /// The share of `part` in `whole`, in percent.
    pub fn percent(&self, part: impl Count, whole: impl Count) -> String {
        figures::percent(part.count(), whole.count())
    }

    /// [`here`](Self::here) as a value in a query.
    pub fn here_in_query(&self) -> String {
        utf8_percent_encode(&self.here, NON_ALPHANUMERIC).to_string()
    }

    /// The themes, with the one of the page chosen.
    pub fn themes(&self) -> impl Iterator<Item = Choice> {
        let chosen = self.theme;
        Theme::ALL.into_iter().map(move |theme| Choice {
            value: theme.word().to_owned(),
            chosen: theme == chosen,
        })
    }

    /// The languages, with the one of the page chosen.
    pub fn languages(&self) -> impl Iterator<Item = NamedChoice> {
        let chosen = self.lang;
        Lang::ALL.into_iter().map(move |lang| NamedChoice {
            value: lang.tag().to_owned(),
            name: lang.own_name().into(),
            chosen: lang == chosen,
        })
    }
}

/// The caller of a page.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Name of the account.
    pub name: Line,
    /// Whether it administers the registry.
    pub admin: bool,
    /// Whether it has a session, which it can leave.
    pub leaves: bool,
}

/// A state of the server that concerns every page.
#[derive(Debug, Clone)]
pub struct Banner {
    /// Its weight.
    pub tone: Tone,
    /// Name of its icon.
    pub icon: &'static str,
    /// The state in a few words.
    pub title: Text,
    /// What follows from it, and what to do.
    pub text: Text,
}

/// What a request changed, shown once.
#[derive(Debug, Clone)]
pub struct Notice {
    /// What was done.
    pub text: Text,
    /// Whether a part of it was not done.
    pub is_warning: bool,
    /// Path of the form that undoes it; empty where that is not possible.
    pub undo: String,
}

/// A group of the navigation.
#[derive(Debug, Clone)]
pub struct NavGroup {
    /// Key of its text.
    pub label: &'static str,
    /// Its pages.
    pub items: Vec<NavItem>,
}

/// A page in the navigation.
#[derive(Debug, Clone)]
pub struct NavItem {
    /// Its path below [`Page::root`].
    pub path: &'static str,
    /// Name of its icon.
    pub icon: &'static str,
    /// Key of its text.
    pub label: &'static str,
    /// Whether it is the page that is shown.
    pub current: bool,
    /// How many damaged or missing things its page shows; 0: none are known.
    pub count: u64,
}
