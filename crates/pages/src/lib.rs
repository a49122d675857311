//! The pages of a registry for browsers: what is seen, without a request, a session or a service.
//!
//! A page is a *view*: a public struct that the surface fills with what a service returned, and that renders itself by the template of
//! its name ([`View::html`]). Views hold numbers, times and texts as they are; how these look in a language is decided here.
//!
//! - [`Page`] has what all pages share: the language, the caller, the navigation, banners. Every view has one.
//! - Texts of the pages are in `texts/*.toml`, one key for each text, with the plural forms of each language. A template names a key:
//!   `page.t("tags.title")`. A [`Text`] is the only type that is written without being escaped, because it escapes what is put into it.
//! - Sentences of services are a [`Said`]: English as the service writes it, in other languages by the code and the arguments that it
//!   carries, with the texts in `texts/services/*.toml`.
//! - Texts of the registry (names of files, labels, user agents) are a [`Shown`], which is cut and can be opened, or a [`Line`]. Both write
//!   characters that are not seen, or that reorder the text around them, as `\u{202e}`.
//! - Assets are embedded, compressed by the build, and named by one hash of all of them ([`assets`]).
//!
//! No template has an inline script, an inline style or a handler in an attribute, so the pages work under a Content-Security-Policy
//! without exceptions. `tests/` checks that, the completeness of the texts, and that hostile values stay text in every view.

pub mod assets;
mod catalogue;
mod figures;
#[expect(unreachable_pub, reason = "the macro of askama makes the filters public")]
mod filters;
mod foreign;
mod language;
mod moment;
mod page;
mod said;
mod text;
mod values;
mod view;
mod views;

pub use catalogue::places_of_sentences;
pub use foreign::{CLIENT_LIMIT, LONG_LIMIT, Line, Shown, TABLE_LIMIT};
pub use language::{Lang, Theme};
pub use moment::Time;
pub use page::{Banner, Caller, NavGroup, NavItem, Notice, Page};
pub use said::Said;
pub use text::Text;
pub use values::{
    Choice, Column, Command, Digest, Field, Hidden, Link, NamedChoice, Pages, Pair, Sorted, Tone,
};
pub use view::{NotRendered, View};
pub use views::*;
