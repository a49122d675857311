//! Token scopes, `repository:team/app:pull,push`: what a client asks a token server for.
//!
//! The grammar is that of the Docker registry, `type[(class)]:name:action[,action]`, several with spaces between them. A
//! name may hold one `:` (`host:5000/app`), so a scope is split at its first and at its last one. Every text that follows
//! the grammar is a scope, and shows as it was written; whether it stands for something that this server has is another
//! question ([`Scope::resource`]): a name with upper case, `..` or a wildcard is no repository, and nothing is granted on it.

use std::{fmt, str::FromStr};

use wharf_oci::RepoName;

use crate::{Action, Resource, Verb};

/// The longest list of scopes that is read, in bytes.
pub const SCOPES_LIMIT: usize = 16 << 10;

/// The most scopes of one request.
pub const SCOPES: usize = 128;

/// The most actions of one scope.
pub const SCOPE_ACTIONS: usize = 32;

/// The longest name in a scope, in bytes: a repository of 255 with a host before it.
const NAME: usize = 512;

/// The longest type, class or action, in bytes.
const WORD: usize = 64;

/// The actions that a client asks for on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    kind: Box<str>,
    class: Option<Box<str>>,
    name: Box<str>,
    actions: Box<[Box<str>]>,
}

/// What a scope is about, if this server has such things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scoped {
    /// The list of all repositories: `registry:catalog`.
    Catalog,
    /// A repository, which need not exist.
    Repository(RepoName),
}

/// Why a text is no scope, or more than is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// There are fewer than three parts.
    #[error("a scope is `type:name:action`, such as `repository:team/app:pull,push`")]
    Parts,
    /// The type or the class has other characters than letters and digits.
    #[error(
        "the type of a scope is a word, with at most a class behind it: `repository` or `repository(plugin)`"
    )]
    Type,
    /// The name is empty, too long, or has characters or colons that none has.
    #[error(
        "the name in a scope has 1 to {NAME} printable characters without spaces, commas and quotes, and at most one `:`"
    )]
    Name,
    /// An action is no word.
    #[error("an action of a scope is a word such as `pull`, or `*`; several have one `,` between them")]
    Action,
    /// There are too many actions.
    #[error("a scope has at most {SCOPE_ACTIONS} actions")]
    TooManyActions,
    /// There are too many scopes.
    #[error("a request has at most {SCOPES} scopes")]
    TooMany,
    /// The list is too long.
    #[error("the scopes of a request have at most {SCOPES_LIMIT} bytes")]
    TooLong,
}

/// What `*` stands for on a repository.
const PARTS: [Verb; 3] = [Verb::Pull, Verb::Push, Verb::Delete];

impl Scope {
    /// A scope of these parts, as a client writes it.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] when the parts do not follow the grammar.
    pub fn new<'a>(
        kind: &str,
        name: &str,
        actions: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ScopeError> {
        let actions: Vec<&str> = actions.into_iter().collect();
        format!("{kind}:{name}:{}", actions.join(",")).parse()
    }

    /// Reads the scopes of a request: several parameters, each with several scopes and spaces between them.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] for the first text that is no scope, and when there is more than a client needs.
    pub fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, ScopeError> {
        let (mut scopes, mut bytes) = (Vec::new(), 0);
        for text in texts {
            bytes += text.len() + 1;
            if bytes > SCOPES_LIMIT + 1 {
                return Err(ScopeError::TooLong);
            }
            for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
                if scopes.len() == SCOPES {
                    return Err(ScopeError::TooMany);
                }
                scopes.push(scope.parse()?);
            }
        }
        Ok(scopes)
    }

    /// The type, `repository` or `registry`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The class behind the type, as in `repository(plugin)`; it is of no account.
    pub fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    /// The name of the resource.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The actions, as they are written.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(|action| &**action)
    }

    /// The resource that the scope is about; `None` if this server has no such resource.
    pub fn resource(&self) -> Option<Scoped> {
        match (&*self.kind, &*self.name) {
            ("registry", "catalog") => Some(Scoped::Catalog),
            ("repository", name) => name.parse().ok().map(Scoped::Repository),
            _ => None,
        }
    }

    /// This scope with those of its actions that `allows` lets through. `*` is what it stands for if one of these is not
    /// allowed: another server takes it at its word. Each action is decided once, however often it is asked for.
    #[must_use]
    pub fn cut_down(&self, mut allows: impl FnMut(&Action<'_>) -> bool) -> Self {
        let mut granted: Vec<Box<str>> = Vec::new();
        if let Some(scoped) = self.resource() {
            let mut decided: Vec<(Verb, bool)> = Vec::new();
            let mut decide = |verb: Verb| match decided.iter().find(|(other, _)| *other == verb) {
                Some(&(_, is_allowed)) => is_allowed,
                None => {
                    let is_allowed = allows(&scoped.action(verb));
                    decided.push((verb, is_allowed));
                    is_allowed
                }
            };
            let mut grant = |verb: Verb| {
                if granted.iter().all(|other| **other != *verb.as_str()) {
                    granted.push(verb.as_str().into());
                }
            };
            for verb in self.actions().filter_map(Verb::named) {
                let parts: &[Verb] = match (&scoped, verb) {
                    (Scoped::Repository(_), Verb::All) => &PARTS,
                    _ => &[],
                };
                if decide(verb) && parts.iter().all(|part| decide(*part)) {
                    grant(verb);
                } else {
                    parts
                        .iter()
                        .filter(|part| decide(**part))
                        .for_each(|part| grant(*part));
                }
            }
        }
        Self {
            actions: granted.into(),
            ..self.clone()
        }
    }
}

impl Scoped {
    /// The action `verb` on it.
    pub fn action(&self, verb: Verb) -> Action<'_> {
        let resource = match self {
            Self::Catalog => Resource::Catalog,
            Self::Repository(name) => Resource::Repository(name),
        };
        Action { resource, verb }
    }
}

impl Verb {
    /// The operation that an action of a scope stands for.
    fn named(action: &str) -> Option<Self> {
        let verbs = [Self::Pull, Self::Push, Self::Delete, Self::All];
        verbs.into_iter().find(|verb| verb.as_str() == action)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > SCOPES_LIMIT {
            return Err(ScopeError::TooLong);
        }
        let (kind, rest) = text.split_once(':').ok_or(ScopeError::Parts)?;
        let (name, actions) = rest.rsplit_once(':').ok_or(ScopeError::Parts)?;
        let (kind, class) = match kind.split_once('(') {
            Some((kind, class)) => (kind, Some(class.strip_suffix(')').ok_or(ScopeError::Type)?)),
            None => (kind, None),
        };
        if ![Some(kind), class].into_iter().flatten().all(is_word) {
            return Err(ScopeError::Type);
        }
        if name.is_empty() || name.len() > NAME || !name.bytes().all(is_of_names) || colons(name) > 1 {
            return Err(ScopeError::Name);
        }
        Ok(Self {
            kind: kind.into(),
            class: class.map(Into::into),
            name: name.into(),
            actions: self::actions(actions)?,
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if let Some(class) = &self.class {
            write!(f, "({class})")?;
        }
        write!(f, ":{}:", self.name)?;
        for (place, action) in self.actions.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{action}")?;
        }
        Ok(())
    }
}

/// A scope without an action is one: docker_auth answers it, and so do its clients ask.
fn actions(text: &str) -> Result<Box<[Box<str>]>, ScopeError> {
    if text.is_empty() {
        return Ok(Box::default());
    }
    if text.split(',').count() > SCOPE_ACTIONS {
        return Err(ScopeError::TooManyActions);
    }
    let each = text.split(',').map(|action| match action {
        "*" => Ok(action.into()),
        _ if is_word(action) => Ok(action.into()),
        _ => Err(ScopeError::Action),
    });
    each.collect()
}

fn is_word(text: &str) -> bool {
    let is_of_words = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= WORD && text.bytes().all(is_of_words)
}

fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b',' | b'"' | b'\\')
}

fn colons(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b':').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn a_scope_is_split_from_both_ends() {
        let scope = parsed("repository:host.example:5000/team/app:pull,push");
        assert_eq!(
            (scope.kind(), scope.name()),
            ("repository", "host.example:5000/team/app")
        );
        assert_eq!(scope.actions().collect::<Vec<_>>(), ["pull", "push"]);
        let plugin = parsed("repository(plugin):team/app:pull");
        assert_eq!((plugin.kind(), plugin.class()), ("repository", Some("plugin")));
        assert_eq!(
            plugin.resource(),
            Some(Scoped::Repository("team/app".parse().unwrap()))
        );
        assert_eq!(parsed("registry:catalog:*").resource(), Some(Scoped::Catalog));
        assert_eq!(parsed("repository:a:").actions().count(), 0);
    }

    #[test]
    fn texts_that_are_no_scopes_are_refused_with_the_reason() {
        for (text, error) in [
            ("", ScopeError::Parts),
            ("repository", ScopeError::Parts),
            ("repository:a", ScopeError::Parts),
            (":a:pull", ScopeError::Type),
            ("repository(:a:pull", ScopeError::Type),
            ("repository():a:pull", ScopeError::Type),
            ("repository(a(b):c:pull", ScopeError::Type),
            ("repository::pull", ScopeError::Name),
            ("repository:a:b:c:pull", ScopeError::Name),
            ("repository:é:pull", ScopeError::Name),
            ("repository:a\"b:pull", ScopeError::Name),
            ("repository:a:pull,", ScopeError::Action),
            ("repository:a:,", ScopeError::Action),
            ("repository:a:pull push", ScopeError::Action),
        ] {
            assert_eq!(text.parse::<Scope>(), Err(error), "{text}");
        }
        let long = format!("repository:{}:pull", "a".repeat(NAME + 1));
        assert_eq!(long.parse::<Scope>(), Err(ScopeError::Name));
    }

    #[test]
    fn more_than_a_client_needs_is_refused() {
        let thousand = format!("repository:a:{}", ["pull"; 1000].join(","));
        assert_eq!(thousand.parse::<Scope>(), Err(ScopeError::TooManyActions));
        let many = ["repository:a:pull"; SCOPES + 1].join(" ");
        assert_eq!(Scope::list([&*many]), Err(ScopeError::TooMany));
        let long = "x".repeat(SCOPES_LIMIT + 1);
        assert_eq!(Scope::list([&*long]), Err(ScopeError::TooLong));
        assert_eq!(long.parse::<Scope>(), Err(ScopeError::TooLong));
        let halves = ["repository:a:pull", "  registry:catalog:*  repository:b:push "];
        assert_eq!(Scope::list(halves).unwrap().len(), 3);
    }

    #[test]
    fn nothing_is_granted_on_a_name_that_no_repository_has() {
        for name in [
            "Team/app",
            "team/../app",
            "/team",
            "team/",
            "*",
            "**",
            "team//app",
            "a:5000/b",
            "%2e",
        ] {
            let scope = parsed(&format!("repository:{name}:pull,push,delete,*"));
            let granted = scope.cut_down(|_| panic!("{name} is not asked for"));
            assert_eq!(granted.actions().count(), 0);
            assert_eq!(granted.name(), name);
        }
        let other = parsed("wiki:team/app:pull").cut_down(|_| true);
        assert_eq!(other.to_string(), "wiki:team/app:");
    }

    #[test]
    fn every_action_is_cut_down_to_those_that_are_allowed() {
        let cut = |text: &str, allowed: &[Verb]| {
            let granted = parsed(text).cut_down(|action| allowed.contains(&action.verb));
            granted.to_string()
        };
        let all = [Verb::All, Verb::Pull, Verb::Push, Verb::Delete];
        assert_eq!(cut("repository:a:*,*", &all), "repository:a:*");
        assert_eq!(cut("repository:a:*", &all[..3]), "repository:a:pull,push");
        assert_eq!(cut("registry:catalog:*", &[Verb::All]), "registry:catalog:*");
        let mut asked = 0;
        let scope = parsed("repository:a:*,*,pull,*,push,*,*");
        let none = scope.cut_down(|_| {
            asked += 1;
            false
        });
        assert_eq!((none.actions().count(), asked), (0, 4));
        assert_eq!(cut("repository:a:*", &[Verb::Pull]), "repository:a:pull");
        assert_eq!(cut("repository:a:pull,*", &[Verb::Pull]), "repository:a:pull");
        assert_eq!(
            cut("repository:a:push,pull,pull,admin", &[Verb::Pull, Verb::Push]),
            "repository:a:push,pull"
        );
        assert_eq!(cut("repository:a:push", &[]), "repository:a:");
    }

    proptest! {
        #[test]
        fn a_scope_shows_as_it_was_written(text in "[a-z]{1,3}(\\([a-z]{1,3}\\))?:[!-~]{1,12}:([a-z*]{1,3}(,[a-z*]{1,3}){0,2})?") {
            if let Ok(scope) = text.parse::<Scope>() {
                prop_assert_eq!(scope.to_string(), text);
            }
        }

        #[test]
        fn no_text_grants_more_than_it_asks_for(text in "\\PC{0,40}", more in "repository:[a-z:/.]{1,9}:[a-z*,]{0,20}") {
            for text in [text, more] {
                for scope in Scope::list([&*text]).unwrap_or_default() {
                    let granted = scope.cut_down(|_| true);
                    let asked: Vec<&str> = scope.actions().collect();
                    prop_assert!(granted.actions().all(|action| asked.contains(&action)));
                    prop_assert_eq!(&granted.to_string().parse::<Scope>().unwrap(), &granted);
                }
            }
        }
    }
}
