//! Names that a shell completes: those of registries, repositories, tags.
//!
//! A registry is asked for them with the stored logins, for a short time, and in silence: nothing is asked at the terminal, and what fails
//! completes nothing.

use std::{ffi::OsStr, time::Duration};

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use tokio::{runtime, time::timeout};
use wharf_client::{Address, Client, Options, printable};

/// The variable by which a shell asks for completions.
pub(crate) const VARIABLE: &str = "WHARF_COMPLETE";

/// Time in which a registry must have answered.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most names that are offered: more help no reader.
const MOST: usize = 500;

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Repository,
    Image,
}

/// Completes `HOST/REPOSITORY`.
pub(crate) fn repository() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(current, Wanted::Repository))
}

/// Completes `HOST/REPOSITORY:TAG`.
pub(crate) fn image() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(current, Wanted::Image))
}

fn candidates(current: &OsStr, wanted: Wanted) -> Vec<CompletionCandidate> {
    let names = current.to_str().and_then(|text| names(text, wanted));
    let names = names.unwrap_or_default().into_iter().take(MOST);
    names.map(CompletionCandidate::new).collect()
}

/// A name that is being written: a registry, and the beginning of a repository or of a tag.
#[derive(Debug, PartialEq, Eq)]
struct Begun<'a> {
    /// The registry as it is written, with the slash behind it.
    before: &'a str,
    address: Address,
    repository: &'a str,
    /// The beginning of the tag, behind the colon.
    tag: Option<&'a str>,
}

impl<'a> Begun<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let start = text.find("://").map_or(0, |at| at + 3);
        let slash = text[start..].find('/').map(|at| at + start)?;
        let (before, name) = text.split_at(slash + 1);
        let (repository, tag) = match name.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (name, None),
        };
        Some(Self {
            address: before.parse().ok()?,
            before,
            repository,
            tag,
        })
    }
}

/// The names that begin as `text` does; `None`: there is no registry to ask, or it does not answer.
fn names(text: &str, wanted: Wanted) -> Option<Vec<String>> {
    let begun = Begun::read(text)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let found = runtime.block_on(async { timeout(PATIENCE, ask(&begun, wanted)).await });
    // A name server that does not answer must not hold the shell.
    runtime.shutdown_background();
    found.ok()?
}

async fn ask(begun: &Begun<'_>, wanted: Wanted) -> Option<Vec<String>> {
    let client = Client::connect(&begun.address, Options::default()).await.ok()?;
    let (before, repository) = (begun.before, begun.repository);
    if let Some(tag) = begun.tag {
        return (wanted == Wanted::Image).then_some(tags(&client, before, repository, tag).await?);
    }
    let repositories = client.repositories().await.ok()?;
    let mut found: Vec<String> = repositories
        .into_iter()
        .filter(|name| name.starts_with(repository) && is_plain(name))
        .map(|name| format!("{before}{name}"))
        .collect();
    if wanted == Wanted::Image && found == [format!("{before}{repository}")] {
        return tags(&client, before, repository, "").await;
    }
    found.sort();
    Some(found)
}

async fn tags(client: &Client, before: &str, repository: &str, begun: &str) -> Option<Vec<String>> {
    let tags = client.tags(repository).await.ok()?.into_iter();
    let tags = tags.filter(|tag| tag.starts_with(begun) && is_plain(tag));
    let mut names: Vec<String> = tags.map(|tag| format!("{before}{repository}:{tag}")).collect();
    names.sort();
    Some(names)
}

/// Whether a name of a registry can stand in a command line as it is.
fn is_plain(name: &str) -> bool {
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    printable(name) == name && name.bytes().all(is_character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_while_it_is_written() {
        let check = |text: &str, host: &str, repository: &str, tag: Option<&str>| {
            let begun = Begun::read(text).unwrap();
            assert_eq!(
                (begun.address.host(), begun.repository, begun.tag),
                (host, repository, tag),
                "{text}"
            );
        };
        check("localhost:5000/", "localhost:5000", "", None);
        check("localhost:5000/te", "localhost:5000", "te", None);
        check("https://r.test/team/app:", "r.test", "team/app", Some(""));
        check("r.test/app:1.", "r.test", "app", Some("1."));
        for text in ["", "localhost", "localhost:5000", "https://r.test", "/app"] {
            assert_eq!(Begun::read(text), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_answer_completes_nothing() {
        assert!(candidates(OsStr::new("localhost:1/a"), Wanted::Image).is_empty());
    }

    #[test]
    fn names_that_a_shell_would_carry_out_are_left_out() {
        assert!(is_plain("team/app") && is_plain("v1.0_x-y"));
        for name in ["$(reboot)", "a b", "a;b", "a\nb", "a`b`"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
