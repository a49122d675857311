//! What a form has done, told on the page to which it leads.
//!
//! The notice waits in a cookie for the page after a redirect, for a minute, and is removed with it. It is a word of ours with numbers and
//! the identifier of a deletion, never a sentence, and it has a proof by the secret of the browser: a cookie that was planted shows nothing.

use wharf_access::sessions::Secret;
use wharf_pages::{Notice, Page, Text};
use wharf_registry::TrashId;

use super::{
    answer::Answer,
    call::Call,
    cookies::{Cookie, NOTICE},
};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Tags were deleted: their number, and the bytes that come free.
    Deleted,
    /// Manifests without a tag were deleted: their number, and the bytes that come free.
    DeletedManifests,
    /// A deletion was taken back: number of its tags.
    Restored,
    /// Deletions in the trash were given up: their number.
    Emptied,
    /// A tag was moved back.
    RolledBack,
    /// A user was removed, with a number of robot tokens.
    RemovedUser,
    /// A user was added.
    AddedUser,
    /// A password was changed.
    ChangedPassword,
    /// A robot token was revoked.
    RevokedToken,
    /// The account was signed out of a number of browsers.
    SignedOut,
    /// The same for this server alone, because the store could not be written.
    SignedOutHere,
}

/// What was done, how much, and how it is undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    pub(crate) done: Done,
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    /// The deletion that can be taken back.
    pub(crate) deletion: Option<TrashId>,
}

impl Done {
    const ALL: [Self; 11] = [
        Self::Deleted,
        Self::DeletedManifests,
        Self::Restored,
        Self::Emptied,
        Self::RolledBack,
        Self::RemovedUser,
        Self::AddedUser,
        Self::ChangedPassword,
        Self::RevokedToken,
        Self::SignedOut,
        Self::SignedOutHere,
    ];

    /// The last part of the key of its text.
    fn word(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::DeletedManifests => "deleted-manifests",
            Self::Restored => "restored",
            Self::Emptied => "emptied",
            Self::RolledBack => "rolled-back",
            Self::RemovedUser => "removed-user",
            Self::AddedUser => "added-user",
            Self::ChangedPassword => "changed-password",
            Self::RevokedToken => "revoked-token",
            Self::SignedOut => "signed-out",
            Self::SignedOutHere => "signed-out-here",
        }
    }
}

impl Deed {
    /// A deed of which only a number is told.
    pub(crate) fn new(done: Done, number: u64) -> Self {
        Self {
            done,
            number,
            bytes: 0,
            deletion: None,
        }
    }

    fn text(&self) -> String {
        let deletion = self
            .deletion
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        format!("{}~{}~{}~{deletion}", self.done.word(), self.number, self.bytes)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '~');
        let word = parts.next()?;
        let done = Done::ALL.into_iter().find(|done| done.word() == word)?;
        let (number, bytes) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let deletion = match parts.next()? {
            "" => None,
            id => Some(id.parse().ok()?),
        };
        Some(Self {
            done,
            number,
            bytes,
            deletion,
        })
    }

    fn shown(&self, page: &Page, root: &str) -> Notice {
        let key = format!("notice.{}", self.done.word());
        let text: Text = page.t(key).n(self.number).arg("size", page.size(self.bytes));
        let undo = self.deletion.as_ref();
        Notice {
            text,
            is_warning: self.done == Done::SignedOutHere,
            undo: undo.map_or_else(String::new, |id| format!("{root}/trash/{id}/restore")),
        }
    }
}

impl Answer {
    /// Tells on the page to which the answer leads what was done.
    pub(crate) fn with_notice(self, call: Call<'_>, deed: &Deed) -> Self {
        match &call.visitor.forms {
            Some(secret) => self.with_notice_for(call, secret, deed),
            None => self,
        }
    }

    /// The same for a browser that gets this secret with the answer.
    pub(super) fn with_notice_for(self, call: Call<'_>, secret: &Secret, deed: &Deed) -> Self {
        let text = deed.text();
        let Ok(proof) = secret.proof(&purpose(&text)) else {
            return self;
        };
        let value = format!("{proof}.{text}");
        self.with_cookie(call.cookies.set(Cookie::Notice, &value, NOTICE))
    }
}

/// The notice in the cookie of a request.
pub(super) fn of(call: Call<'_>, page: &Page) -> Option<Notice> {
    let value = call.cookies.get(&call.parts.headers, Cookie::Notice)?;
    let (proof, text) = value.split_once('.')?;
    let secret = call.visitor.forms.as_ref()?;
    let deed = Deed::read(text).filter(|_| secret.proves(&purpose(text), proof))?;
    Some(deed.shown(page, &call.shared.root))
}

fn purpose(text: &str) -> String {
    format!("notice {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_comes_back_from_its_text_and_nothing_else_does() {
        for done in Done::ALL {
            let deed = Deed {
                bytes: 7,
                ..Deed::new(done, 3)
            };
            assert_eq!(Deed::read(&deed.text()), Some(deed));
        }
        for text in [
            "",
            "deleted",
            "deleted~1",
            "deleted~1~2",
            "deleted~1~2~<script>",
            "other~1~2~",
            "deleted~-1~2~",
        ] {
            assert_eq!(Deed::read(text), None, "{text}");
        }
    }
}
