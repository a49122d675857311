//! `ui`: the page for browsers, and how long they stay signed in.

use std::{path::PathBuf, time::Duration};

use wharf_access::sessions::Lifetimes;
use wharf_server::UiOptions;

use super::{
    Ui,
    keys::{Key, Positive, Since, keys},
    section::Section,
};

keys! {
    DISABLED: bool = Key::new("ui.disabled")
        .default("false")
        .help("Answer no page: `/` is the liveness answer for browsers, too, and nothing lies at `/ui/`")
        .since(Since::Ours);
    TITLE: Option<String> = Key::new("ui.title")
        .help("Name of this registry on its page, in place of `wharf`")
        .since(Since::Ours);
    LOGO: Option<String> = Key::new("ui.logo")
        .help("Path of an image beside the name: PNG, JPEG or SVG, at most 256 KiB; it is read at the start")
        .since(Since::Ours);
    READ_ONLY: bool = Key::new("ui.readonly")
        .default("false")
        .help("Only show: nothing can be changed by the page, whatever rights an account has")
        .since(Since::Ours);
    IDLE: Positive<Duration> = Key::new("ui.session.idle")
        .default("12h")
        .help("Time without use after which a browser has to sign in again; at least five minutes")
        .since(Since::Ours);
    AGE: Positive<Duration> = Key::new("ui.session.age")
        .default("7d")
        .help("Time after which a browser has to sign in again in any case")
        .since(Since::Ours);
}

/// The longest title, in characters: it stands in the bar of a phone.
const TITLE_LENGTH: usize = 60;

/// The shortest session, so that a form can be filled in.
const SHORTEST: Duration = Duration::from_secs(5 * 60);

/// Reads `ui`, and the part of it that is an option of the server. `None`: there is no page.
pub(super) fn read(root: &Section<'_>) -> (Ui, Option<UiOptions>) {
    let title = root.get(TITLE).map(|title| title.trim().to_owned());
    if let Some(title) = &title
        && (title.is_empty() || title.chars().count() > TITLE_LENGTH || title.contains(char::is_control))
    {
        root.problem(
            TITLE,
            &format!("must have 1 to {TITLE_LENGTH} printable characters"),
        );
    }
    let time = |key: Key<Positive<Duration>>, shortest: Duration| {
        let Positive(time) = root.get(key);
        if time < shortest {
            root.problem(key, &format!("must be at least `{}s`", shortest.as_secs()));
        }
        time
    };
    let idle = time(IDLE, SHORTEST);
    let options = UiOptions {
        title,
        // Read by the start.
        logo: None,
        read_only: root.get(READ_ONLY),
    };
    let ui = Ui {
        logo: root.get(LOGO).map(PathBuf::from),
        lifetimes: Lifetimes {
            idle,
            whole: time(AGE, SHORTEST),
        },
    };
    (ui, (!root.get(DISABLED)).then_some(options))
}
