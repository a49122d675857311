//! Settings of a bucket that work against a registry: versions, retention, and rules that remove blobs.

use serde::Deserialize;

use super::{
    super::answers,
    report::Finding,
    tries::{Tries, Try},
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Versioning {
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ObjectLock {
    object_lock_enabled: String,
    rule: Option<LockRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LockRule {
    default_retention: Option<Retention>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Retention {
    mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lifecycle {
    #[serde(rename = "Rule")]
    rules: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Rule {
    #[serde(rename = "ID")]
    id: String,
    status: String,
    prefix: Option<String>,
    filter: Option<Filter>,
    expiration: Option<Expiration>,
    #[serde(rename = "Transition")]
    transitions: Vec<Transition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filter {
    prefix: Option<String>,
    tag: Option<Tag>,
    and: Option<And>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct And {
    prefix: Option<String>,
    #[serde(rename = "Tag")]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
struct Tag {}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Expiration {
    days: Option<String>,
    date: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Transition {
    storage_class: String,
}

/// Looks at them. `tree` is the prefix of all keys of images. What the policy does not allow to read, or the store does not
/// have, is as good as not set.
pub(super) async fn look(tries: &Tries, tree: &str) -> Vec<Finding> {
    let versioning = read(tries, "versioning").await;
    let lock = read(tries, "object-lock").await;
    let lifecycle = read(tries, "lifecycle").await;
    let mut findings = Vec::new();
    findings.extend(versions(&answers::read(&versioning).unwrap_or_default()));
    findings.extend(retention(&answers::read(&lock).unwrap_or_default()));
    let Lifecycle { rules } = answers::read(&lifecycle).unwrap_or_default();
    findings.extend(
        rules
            .iter()
            .filter_map(|rule| harm(rule, tree))
            .map(Finding::warning),
    );
    findings
}

async fn read(tries: &Tries, setting: &str) -> Vec<u8> {
    let tried = Try {
        query: &[(setting, "")],
        ..Try::default()
    };
    match tries.once(&tried).await {
        Ok(answer) if answer.status.is_success() => answer.body.into(),
        _ => Vec::new(),
    }
}

fn versions(versioning: &Versioning) -> Option<Finding> {
    (versioning.status == "Enabled").then(|| {
        Finding::warning(
            "the bucket keeps versions: what is deleted, replaced or collected goes on to take space; suspend versioning, or add \
             a lifecycle rule with NoncurrentVersionExpiration",
        )
    })
}

fn retention(lock: &ObjectLock) -> Option<Finding> {
    let rule = lock.rule.as_ref()?;
    let Retention { mode } = rule.default_retention.as_ref()?;
    (lock.object_lock_enabled == "Enabled").then(|| {
        Finding::warning(format!(
            "the bucket locks objects ({mode}): what is deleted or collected goes on to take space until its retention ends; \
             remove the default retention of the bucket"
        ))
    })
}

/// What an enabled rule does to images.
fn harm(rule: &Rule, tree: &str) -> Option<String> {
    let id = &rule.id;
    if rule.status != "Enabled" || !rule.is_about(tree) {
        return None;
    }
    let removes = |expiration: &Expiration| expiration.days.is_some() || expiration.date.is_some();
    if rule.expiration.as_ref().is_some_and(removes) {
        return Some(format!(
            "the lifecycle rule `{id}` of the bucket removes objects below `{tree}` by their age: images lose blobs; remove \
             the rule, or limit it to another prefix"
        ));
    }
    // What is there cannot be read without being restored for hours.
    let cold = ["GLACIER", "DEEP_ARCHIVE"];
    let moves = |transition: &Transition| cold.contains(&transition.storage_class.as_str());
    rule.transitions.iter().any(moves).then(|| {
        format!(
            "the lifecycle rule `{id}` of the bucket archives objects below `{tree}` by their age: images cannot be pulled then; \
             remove the rule, or use the class GLACIER_IR"
        )
    })
}

impl Rule {
    /// Whether objects below `tree`, which have no tags, may be among those of the rule.
    fn is_about(&self, tree: &str) -> bool {
        let (mut prefix, mut has_tags) = (self.prefix.as_deref(), false);
        if let Some(filter) = &self.filter {
            has_tags = filter.tag.is_some();
            prefix = prefix.or(filter.prefix.as_deref());
            if let Some(and) = &filter.and {
                has_tags |= !and.tags.is_empty();
                prefix = prefix.or(and.prefix.as_deref());
            }
        }
        let prefix = prefix.unwrap_or_default();
        !has_tags && (prefix.starts_with(tree) || tree.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harms(rules: &str) -> Vec<String> {
        let text = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        let Lifecycle { rules } = answers::read(text.as_bytes()).unwrap();
        rules
            .iter()
            .filter_map(|rule| harm(rule, "root/docker/registry/v2/"))
            .collect()
    }

    #[test]
    fn rules_that_remove_or_archive_blobs_are_found() {
        let rule = |inner: &str| format!("<Rule><ID>r</ID><Status>Enabled</Status>{inner}</Rule>");
        let days = "<Expiration><Days>30</Days></Expiration>";
        for filter in [
            "",
            "<Prefix></Prefix>",
            "<Filter><Prefix>root/</Prefix></Filter>",
            "<Filter><Prefix>root/docker/registry/v2/blobs/</Prefix></Filter>",
            "<Filter><And><Prefix>r</Prefix><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter>",
        ] {
            let found = harms(&rule(&format!("{filter}{days}")));
            assert!(
                found.len() == 1 && found[0].contains("`r` of the bucket removes"),
                "{filter}"
            );
        }
        let archived = rule("<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>");
        assert!(harms(&archived)[0].contains("archives"));
        for harmless in [
            rule(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
            ),
            rule("<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
            rule(&format!("<Filter><Prefix>logs/</Prefix></Filter>{days}")),
            rule(&format!(
                "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>{days}"
            )),
            rule("<Transition><Days>1</Days><StorageClass>GLACIER_IR</StorageClass></Transition>"),
            format!("<Rule><ID>r</ID><Status>Disabled</Status>{days}</Rule>"),
        ] {
            assert!(harms(&harmless).is_empty(), "{harmless}");
        }
    }

    #[test]
    fn versions_and_retention_are_found() {
        let versioning =
            answers::read(b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>");
        assert!(versions(&versioning.unwrap()).is_some());
        assert!(versions(&answers::read(b"<VersioningConfiguration/>").unwrap()).is_none());
        let lock = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
            <Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
        assert!(retention(&answers::read(lock).unwrap()).is_some());
    }
}
