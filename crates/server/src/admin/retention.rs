//! Retention: the rules of the configuration and of requests, and what they would take.

mod pulls;
mod run;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::time::Instant;
use wharf_oci::RepoName;
use wharf_pattern::Pattern;
use wharf_registry::{
    Deletion, Registry, Result, TagRights,
    retention::{DEFAULT_MOST, Policy, RetentionRule, repository_pattern, tag_pattern},
};

use super::{
    plans::{DeletionError, shown_bytes, shown_plan},
    pulls::PullCounts,
    shown::time,
    wire,
};

/// How many rules and patterns a request may have together.
const LONGEST: usize = 100;

/// Retention as it is configured. Clones share what its runs have done.
#[derive(Debug, Clone)]
pub struct Retention(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    policy: Arc<Policy>,
    pulls: PullCounts,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    applies: bool,
    is_running: bool,
    next: Option<(Instant, SystemTime)>,
    last: Option<wire::EndedRetention>,
    totals: Totals,
}

/// What the runs of a server have done since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) runs: u64,
    pub(crate) tags: usize,
    pub(crate) manifests: usize,
    /// Repositories from which the last run took nothing, because something was wrong.
    pub(crate) refused: usize,
}

/// When runs begin by themselves, and what they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSchedule {
    /// From the begin of one to the begin of the next.
    pub interval: Duration,
    /// Whether they delete; otherwise they only say what they would delete.
    pub applies: bool,
}

impl Default for Retention {
    /// Without rules.
    fn default() -> Self {
        let policy = Policy {
            rules: Vec::new(),
            protected: Vec::new(),
            most: DEFAULT_MOST,
            keep_history: DEFAULT_KEEP_HISTORY,
        };
        Self::new(policy, PullCounts::None)
    }
}

/// How long histories keep what they name, if nothing else is configured.
pub const DEFAULT_KEEP_HISTORY: Duration = Duration::from_secs(30 * 86_400);

impl Retention {
    /// Retention by `policy`, where `pulls` are counted.
    pub fn new(policy: Policy, pulls: PullCounts) -> Self {
        Self(Arc::new(Inner {
            policy: Arc::new(policy),
            pulls,
            state: Mutex::default(),
        }))
    }

    /// How long histories keep what they name.
    pub fn keep_history(&self) -> Duration {
        self.0.policy.keep_history
    }

    /// The rules that `wanted` asks for, with those of the configuration that hold in any case.
    ///
    /// # Errors
    ///
    /// [`DeletionError`], when a rule cannot be read, or takes nothing at all.
    pub fn policy_of(&self, wanted: &wire::Retention) -> std::result::Result<Arc<Policy>, DeletionError> {
        require_few(wanted)?;
        let configured = &self.0.policy;
        let mut policy = Policy::clone(configured);
        policy
            .protected
            .extend(patterns("protect", &wanted.protect, tag_pattern)?);
        if let Some(most) = wanted.max_delete {
            if most > 100 {
                return Err(DeletionError::new(
                    "max_delete",
                    &"it is a percentage, 100 at most",
                ));
            }
            policy.most = most;
        }
        if let Some(seconds) = wanted.keep_history {
            policy.keep_history = Duration::from_secs(seconds);
        }
        match &wanted.rules {
            None if configured.rules.is_empty() => {
                let text = "the configuration has none (`retention.rules`), so say what is to go";
                return Err(DeletionError::new("rules", &text));
            }
            None => {}
            Some(rules) if rules.is_empty() => {
                return Err(DeletionError::new("rules", &"give one rule at least"));
            }
            Some(rules) => policy.rules = rules.iter().map(rule_of).collect::<std::result::Result<_, _>>()?,
        }
        Ok(Arc::new(policy))
    }

    /// The deletion with what it needs to know of pulls.
    ///
    /// # Errors
    ///
    /// Errors of the store, where others count as well.
    pub async fn with_pulls(&self, deletion: Deletion, name: &RepoName) -> Result<Deletion> {
        let Deletion::Retention { policy, .. } = deletion else {
            return Ok(deletion);
        };
        let pulls = self.0.pulls.for_policy(&policy).await?;
        let pulls = wharf_registry::PullsOf::pulls_of(&pulls, name);
        Ok(Deletion::Retention { policy, pulls })
    }

    /// What the rules of `wanted` would take from the repositories after `after`. Nothing changes.
    ///
    /// # Errors
    ///
    /// As [`Registry::plan_retention`].
    pub async fn plan(
        &self,
        registry: &Registry,
        policy: &Arc<Policy>,
        after: Option<&RepoName>,
        rights: &dyn TagRights,
    ) -> Result<wire::RetentionPlans> {
        let pulls = self.0.pulls.for_policy(policy).await?;
        let page = registry.plan_retention(policy, &pulls, after, rights).await?;
        let plans = page.plans.into_iter().map(|(plan, free)| {
            let mut shown = shown_plan(registry, &plan, rights);
            shown.bytes.free = free;
            shown
        });
        Ok(wire::RetentionPlans {
            plans: plans.collect(),
            bytes: shown_bytes(page.bytes, &|_| true),
            unread: page.unread.into_iter().map(unread).collect(),
            next: page.next.map(|name| name.to_string()),
        })
    }

    /// The rules of the configuration, and what they have done.
    pub fn show(&self) -> wire::ConfiguredRetention {
        let policy = &self.0.policy;
        let state = self.0.state.lock();
        wire::ConfiguredRetention {
            rules: policy.rules.iter().map(shown_rule).collect(),
            protect: texts(&policy.protected),
            max_delete: policy.most,
            keep_history: policy.keep_history.as_secs(),
            apply: state.applies,
            running: state.is_running,
            next: state.next.map(|(_, at)| time(at)),
            last: state.last.clone(),
        }
    }

    /// Whether there are rules, and none deletes this tag.
    pub fn protects(&self, tag: &str) -> bool {
        let policy = &self.0.policy;
        let mut protected = policy.protected.iter();
        !policy.rules.is_empty() && protected.any(|pattern| pattern.matches(tag, None))
    }

    /// What runs have done since the start.
    pub(crate) fn totals(&self) -> Totals {
        self.0.state.lock().totals
    }
}

fn unread((repository, problem): (RepoName, String)) -> wire::UnreadRepository {
    wire::UnreadRepository {
        repository: repository.to_string(),
        problem,
    }
}

fn rule_of(rule: &wire::RetentionRule) -> std::result::Result<RetentionRule, DeletionError> {
    let kinds: std::result::Result<Vec<_>, _> = rule.kinds.iter().map(|kind| kind.parse()).collect();
    let age = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    let mut repositories = patterns("repositories", &rule.repositories, repository_pattern)?;
    if repositories.is_empty() {
        repositories.push(Pattern::everything());
    }
    let read = RetentionRule {
        repositories,
        kinds: kinds.map_err(|error| DeletionError::new("kinds", &error))?,
        tags: patterns("tags", &rule.tags, tag_pattern)?,
        not_tags: patterns("not_tags", &rule.not_tags, tag_pattern)?,
        keep: rule.keep,
        older_than: age(rule.older_than),
        not_pulled: age(rule.not_pulled),
        untagged: age(rule.untagged),
    };
    if !read.takes_tags() && read.untagged.is_none() {
        let text = "a rule says what goes by `keep`, `older_than`, `not_pulled` or `untagged`";
        return Err(DeletionError::new("rules", &text));
    }
    Ok(read)
}

fn shown_rule(rule: &RetentionRule) -> wire::RetentionRule {
    let age = |age: Option<Duration>| age.map(|age| age.as_secs());
    wire::RetentionRule {
        repositories: texts(&rule.repositories),
        kinds: rule.kinds.iter().map(ToString::to_string).collect(),
        tags: texts(&rule.tags),
        not_tags: texts(&rule.not_tags),
        keep: rule.keep,
        older_than: age(rule.older_than),
        not_pulled: age(rule.not_pulled),
        untagged: age(rule.untagged),
    }
}

fn texts(patterns: &[Pattern]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}

/// How a pattern of one kind of names is read.
type Read = fn(&str) -> std::result::Result<Pattern, String>;

fn patterns(
    field: &'static str,
    texts: &[String],
    read: Read,
) -> std::result::Result<Vec<Pattern>, DeletionError> {
    let read = texts.iter().map(|text| {
        read(text).map_err(|error| DeletionError::new(field, &format!("`{}`: {error}", text.escape_debug())))
    });
    read.collect()
}

/// Refuses rules whose patterns take long to read and to match.
fn require_few(wanted: &wire::Retention) -> std::result::Result<(), DeletionError> {
    let of_rule =
        |rule: &wire::RetentionRule| 1 + rule.repositories.len() + rule.tags.len() + rule.not_tags.len();
    let of_rules: usize = wanted.rules.iter().flatten().map(of_rule).sum();
    if of_rules + wanted.protect.len() > LONGEST {
        let text = format!(
            "rules and patterns are {LONGEST} together at most in a request; the configuration has more room"
        );
        return Err(DeletionError::new("rules", &text));
    }
    Ok(())
}
